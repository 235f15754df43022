package com.example.interop;

/** Hides a field of its parent by one of the same name. */
public class Shadow extends Animal {
    public String name;
}
