package com.example.interop;

import java.io.Serializable;
import java.util.List;

/** A generic class, and a nested one. */
public class Page<T> implements Serializable {
    public List<T> items;
    public int total;
    public Cursor cursor;

    /** Its Java name has a dollar sign. */
    public static class Cursor implements Serializable {
        public String token;
        public boolean more;
    }
}
