package com.example.interop;

import java.io.Serializable;

/** A record. */
public record Point(int x, int y, String label) implements Serializable {}
