package com.example.interop;

/** An enum; one constant has a body, and with it a class of its own. */
public enum Color {
    RED,
    GREEN {
        @Override
        public String toString() {
            return "green, with a body";
        }
    },
    BLUE
}
