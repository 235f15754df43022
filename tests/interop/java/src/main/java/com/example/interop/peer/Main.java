package com.example.interop.peer;

import java.util.Arrays;
import java.util.List;

/** {@code provide [PORT [HOST]] | call | vectors | roundtrip | random SEED COUNT}. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        List<String> rest = Arrays.asList(arguments).subList(Math.min(1, arguments.length), arguments.length);
        switch (arguments.length == 0 ? "" : arguments[0]) {
            case "provide" -> Provide.run(rest);
            default -> {
                System.err.println(
                        "usage: provide [PORT [HOST]] | call | vectors | roundtrip | random SEED COUNT");
                System.exit(2);
            }
        }
    }
}
