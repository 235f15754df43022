package com.example.bench;

import java.io.Serializable;

/** A part of {@link Order}; one is held twice. */
public class Address implements Serializable {
    public String street;
    public String city;
    public int zip;
}
