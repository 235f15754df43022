package com.example.interop;

/** Declared by {@link EchoService#throwDeclared}: it passes the security check by that. */
public class BizException extends Exception {
    private int code;

    public BizException() {}

    public BizException(int code, String message) {
        super(message);
        this.code = code;
    }

    public int getCode() {
        return code;
    }
}
