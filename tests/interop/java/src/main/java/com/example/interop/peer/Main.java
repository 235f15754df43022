package com.example.interop.peer;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** The modes of the peer; ../README.md of the project tells what each one reads and writes. */
public final class Main {
    private static final String USAGE =
            "usage: provide [PORT [HOST]] | call | vectors DIRECTORY COMMAND | roundtrip | random"
                + " SEED COUNT | codecbench";

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String mode = arguments.length == 0 ? "" : arguments[0];
        List<String> rest =
                Arrays.asList(arguments).subList(Math.min(1, arguments.length), arguments.length);
        switch (mode) {
            case "provide" -> Provide.run(rest);
            case "call" -> Call.run();
            case "vectors" -> Vectors.write(Path.of(rest.get(0)), rest.get(1));
            case "roundtrip" -> Vectors.roundtrip();
            case "random" ->
                    Vectors.random(Long.parseLong(rest.get(0)), Integer.parseInt(rest.get(1)));
            case "codecbench" -> CodecBench.run();
            default -> {
                System.err.println(USAGE);
                System.exit(2);
            }
        }
    }
}
