package com.example.interop.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/** Golden octets of the named cases, and judgement over octets that others made. */
final class Vectors {
    /** A description longer than this is left out of the vectors: the octets say it. */
    private static final int LONGEST_DESCRIPTION = 4000;

    private Vectors() {}

    /** Writes SECTION.jsonl into the directory, one case a line. */
    static void write(Path directory, String command) throws IOException {
        Map<String, Writer> files = new HashMap<>();
        for (Cases.Case one : Cases.all()) {
            Writer file = files.get(one.section());
            if (file == null) {
                file = Files.newBufferedWriter(directory.resolve(one.section() + ".jsonl"));
                files.put(one.section(), file);
            }
            file.write(Json.write(line(one, command)) + "\n");
        }
        for (Writer file : files.values()) {
            file.close();
        }
    }

    private static Map<String, Object> line(Cases.Case one, String command) throws IOException {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", one.name());
        line.put("meaning", one.meaning());
        line.put("producer", Codec.producer());
        line.put("command", command);
        // Before the value is told: BigInteger caches in its fields what toString asks for.
        byte[] bytes = Codec.encode(one.value());
        Object java = Describe.value(one.value());
        boolean brief = Json.write(java).length() <= LONGEST_DESCRIPTION;
        if (brief) {
            line.put("java", java);
        }
        line.put("hex", HexFormat.of().formatHex(bytes));
        try {
            Object back = Describe.value(Codec.decode(bytes, null));
            if (!Json.write(back).equals(Json.write(java))) {
                line.put("java_decodes", brief ? back : "something else");
            }
        } catch (IOException | RuntimeException error) {
            line.put("java_refuses", error.toString());
        }
        return line;
    }

    /** For each line "HEX [CLASS]" of stdin: what Java sees, and what it would write for that. */
    static void roundtrip() throws IOException {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out =
                new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            Map<String, Object> line = new LinkedHashMap<>();
            try {
                String[] words = text.strip().split(" ");
                Class<?> type = words.length > 1 ? Types.named(words[1]) : null;
                Object value = Codec.decode(HexFormat.of().parseHex(words[0]), type);
                line.put("ok", true);
                line.put("java", Describe.value(value));
                line.put("hex", HexFormat.of().formatHex(Codec.encode(value)));
            } catch (Exception | StackOverflowError error) {
                line.clear();
                line.put("ok", false);
                line.put("error", error.toString());
            }
            out.println(Json.write(line));
            if (!in.ready()) {
                out.flush(); // a driver that waits for each answer gets it
            }
        }
        out.flush();
    }

    /** COUNT random values: octets, and what Java itself reads from them. */
    static void random(long seed, int count) throws IOException {
        PrintStream out =
                new PrintStream(new java.io.BufferedOutputStream(System.out, 1 << 16), false);
        RandomValues values = new RandomValues(seed);
        for (int at = 0; at < count; at++) {
            byte[] bytes = Codec.encode(values.next());
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("hex", HexFormat.of().formatHex(bytes));
            line.put("java", Describe.value(Codec.decode(bytes, null)));
            out.println(Json.write(line));
        }
        out.flush();
    }
}
