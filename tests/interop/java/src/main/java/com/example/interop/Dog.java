package com.example.interop;

/** Inherits the fields of {@link Animal}. */
public class Dog extends Animal {
    public boolean good;
    public Dog friend;
}
