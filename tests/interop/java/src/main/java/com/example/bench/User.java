package com.example.bench;

import java.io.Serializable;

/** The small message of bench/codec.py, and the element of its list. */
public class User implements Serializable {
    public long id;
    public String name;
    public int age;
    public String email;
    public boolean active;
}
