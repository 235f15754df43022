package com.example.interop;

import java.io.Serializable;

/** The parent of {@link Dog}. */
public class Animal implements Serializable {
    public String name;
    public int legs;
}
