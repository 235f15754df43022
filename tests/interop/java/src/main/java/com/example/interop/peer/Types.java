package com.example.interop.peer;

import java.util.Map;

/** Classes by the names that a Java source would use. */
final class Types {
    private static final Map<String, Class<?>> PRIMITIVES =
            Map.of(
                    "int",
                    int.class,
                    "long",
                    long.class,
                    "short",
                    short.class,
                    "byte",
                    byte.class,
                    "char",
                    char.class,
                    "float",
                    float.class,
                    "double",
                    double.class,
                    "boolean",
                    boolean.class,
                    "void",
                    void.class);

    private Types() {}

    /** {@code int}, {@code java.lang.String}, {@code long[][]}, {@code com.example.User}. */
    static Class<?> named(String name) throws ClassNotFoundException {
        if (name.endsWith("[]")) {
            return named(name.substring(0, name.length() - 2)).arrayType();
        }
        Class<?> primitive = PRIMITIVES.get(name);
        return primitive != null ? primitive : Class.forName(name);
    }
}
