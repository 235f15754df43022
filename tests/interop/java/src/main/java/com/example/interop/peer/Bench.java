package com.example.interop.peer;

import com.alibaba.fastjson2.JSONObject;
import com.example.GreetService;
import com.example.User;

import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Calls/s of GreetService.greet over one connection, and what they cost this process. */
final class Bench {
    private Bench() {}

    static void run(Call call, JSONObject line, Map<String, Object> answer)
            throws InterruptedException {
        line.put("interface", GreetService.class.getName());
        line.putIfAbsent("version", "1.0.0");
        GreetService greeter = (GreetService) call.reference(line, GreetService.class);
        int calls = line.getIntValue("calls", 1000);
        int inflight = line.getIntValue("inflight", 1);
        round(greeter, line.getIntValue("warmup", calls), inflight, null);
        long[] nanos = new long[calls];
        long cpu = cpu();
        long began = System.nanoTime();
        round(greeter, calls, inflight, nanos);
        double seconds = (System.nanoTime() - began) / 1e9;
        Arrays.sort(nanos);
        answer.put("calls", calls);
        answer.put("inflight", inflight);
        answer.put("seconds", seconds);
        answer.put("calls_per_second", calls / seconds);
        answer.put("cpu_us_per_call", (cpu() - cpu) / 1e3 / calls);
        answer.put("p50_ms", nanos[calls / 2] / 1e6);
        answer.put("p99_ms", nanos[(int) (calls * 0.99)] / 1e6);
    }

    private static void round(GreetService greeter, int calls, int inflight, long[] nanos)
            throws InterruptedException {
        AtomicInteger next = new AtomicInteger();
        Thread[] threads = new Thread[inflight];
        for (int at = 0; at < inflight; at++) {
            threads[at] =
                    new Thread(
                            () -> {
                                for (int number = next.getAndIncrement();
                                        number < calls;
                                        number = next.getAndIncrement()) {
                                    long began = System.nanoTime();
                                    greeter.greet(new User(number, "Ann"));
                                    if (nanos != null) {
                                        nanos[number] = System.nanoTime() - began;
                                    }
                                }
                            });
            threads[at].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean)
                        ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }
}
