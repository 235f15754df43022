package com.example.interop.peer;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import com.sun.management.OperatingSystemMXBean;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/** hessian-lite's side of bench/codec.py, whose codec_peers.py tells the lines. */
final class CodecBench {
    private static final OperatingSystemMXBean CPU =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    /** Results go here and are lost: without, the compiler may leave out what made them. */
    private static volatile Object sink;

    private final Map<String, byte[]> messages = new HashMap<>();
    private final Map<String, Object> values = new HashMap<>();
    private final Map<String, Class<?>> types = new HashMap<>();

    static void run() throws IOException {
        CodecBench bench = new CodecBench();
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out =
                new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true);
        out.println(Json.write(Map.of("ready", Codec.producer())));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                bench.answer(JSON.parseObject(text), answer);
            } catch (Exception | StackOverflowError error) {
                answer.put("error", error.toString());
            }
            out.println(Json.write(answer));
        }
    }

    private void answer(JSONObject line, Map<String, Object> answer) throws Exception {
        String name = line.getString("message");
        switch (line.getString("do")) {
            case "load" -> {
                byte[] bytes = HexFormat.of().parseHex(line.getString("hex"));
                Class<?> type = Types.named(line.getString("class"));
                Object value = Codec.decode(bytes, type);
                messages.put(name, bytes);
                types.put(name, type);
                values.put(name, value);
                answer.put("hex", HexFormat.of().formatHex(Codec.encode(value)));
            }
            case "encode" -> {
                Object value = values.get(name);
                answer.put("us", time(() -> Codec.encode(value), line.getDoubleValue("seconds")));
            }
            case "decode" -> {
                byte[] bytes = messages.get(name);
                Class<?> type = types.get(name);
                answer.put(
                        "us", time(() -> Codec.decode(bytes, type), line.getDoubleValue("seconds")));
            }
            default -> throw new IllegalArgumentException(line.getString("do"));
        }
    }

    private interface Task {
        Object run() throws IOException;
    }

    /** Microseconds of CPU time of this process, garbage collection included. */
    private static double time(Task task, double seconds) throws IOException {
        long began = CPU.getProcessCpuTime();
        long elapsed = 0;
        long count = 0;
        for (int batch = 1; elapsed < seconds * 1e9; batch = Math.min(2 * batch, 1024)) {
            for (int at = 0; at < batch; at++) {
                sink = task.run();
            }
            count += batch;
            elapsed = CPU.getProcessCpuTime() - began;
        }
        return elapsed / 1e3 / count;
    }
}
