package com.example.interop;

/** Declared nowhere: Dubbo's security check refuses to write it. */
public class UnlistedException extends RuntimeException {
    public UnlistedException(String message) {
        super(message);
    }
}
