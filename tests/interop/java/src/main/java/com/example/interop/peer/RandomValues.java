package com.example.interop.peer;

import com.example.User;
import com.example.interop.Color;
import com.example.interop.Dog;
import com.example.interop.Everything;
import com.example.interop.Item;
import com.example.interop.Node;
import com.example.interop.Point;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;

/** Values of random types and shapes; the same ones for the same seed. */
final class RandomValues {
    private static final int DEEPEST = 5;

    /** Compound values in one value, so that its size has a bound. */
    private static final int MOST = 25;

    private final Random random;
    private final List<Object> earlier = new ArrayList<>();
    private int left;

    RandomValues(long seed) {
        random = new Random(seed);
    }

    Object next() {
        earlier.clear();
        left = MOST;
        return any(0);
    }

    private Object any(int depth) {
        if (!earlier.isEmpty() && random.nextInt(12) == 0) {
            return earlier.get(random.nextInt(earlier.size())); // shared, or a cycle
        }
        return depth >= DEEPEST || --left < 0 || random.nextInt(5) < 2 ? scalar() : compound(depth);
    }

    private Object scalar() {
        return switch (random.nextInt(19)) {
            case 0 -> null;
            case 1 -> random.nextBoolean();
            case 2, 3 -> number();
            case 4, 5 -> (long) number() * (random.nextBoolean() ? 1 : number());
            case 6 -> real();
            case 7, 8, 9 -> text();
            case 10 -> bytes();
            case 11 -> new Date(random.nextBoolean() ? number() * 60000L : random.nextLong());
            case 12 -> Color.values()[random.nextInt(3)];
            case 13 -> decimal();
            case 14 -> new BigInteger(1 + random.nextInt(150), random).negate();
            case 15 -> new UUID(random.nextLong(), random.nextLong());
            case 16 -> time();
            case 17 -> (short) number();
            default -> (float) number() / 8;
        };
    }

    private Object compound(int depth) {
        return switch (random.nextInt(16)) {
            case 0, 1 -> fill(new ArrayList<>(), depth);
            case 2 -> fill(new LinkedList<>(), depth);
            case 3, 4 -> fill(new HashMap<>(), depth);
            case 5 -> fill(new LinkedHashMap<>(), depth);
            case 6 -> fill(new TreeMap<>(), depth);
            case 7 -> texts(random.nextBoolean());
            case 8 -> array(depth);
            case 9 -> new User(number(), text());
            case 10 -> item();
            case 11 -> everything(depth);
            case 12, 13 -> node(depth);
            case 14 -> new Point(number(), number(), text());
            default -> dog(depth);
        };
    }

    private int number() {
        return random.nextInt() >> random.nextInt(32);
    }

    private double real() {
        return switch (random.nextInt(5)) {
            case 0 -> number();
            case 1 -> number() * 0.001;
            case 2 -> number() / 8.0;
            case 3 -> random.nextGaussian();
            default -> Double.longBitsToDouble(random.nextLong());
        };
    }

    private BigDecimal decimal() {
        return new BigDecimal(
                new BigInteger(1 + random.nextInt(80), random), random.nextInt(20) - 5);
    }

    private String text() {
        int length = random.nextInt(100) == 0 ? random.nextInt(3000) : random.nextInt(20);
        StringBuilder text = new StringBuilder();
        int kind = random.nextInt(4);
        while (text.length() < length) {
            switch (kind == 3 ? random.nextInt(4) : kind) {
                case 0 -> text.append((char) (0x20 + random.nextInt(0x5f)));
                case 1 -> text.append((char) random.nextInt(0x800));
                case 2 -> text.appendCodePoint(random.nextInt(0x110000));
                default -> text.append((char) (0xd800 + random.nextInt(0x800)));
            }
        }
        return text.toString();
    }

    private byte[] bytes() {
        byte[] bytes =
                new byte[random.nextInt(30) == 0 ? random.nextInt(10000) : random.nextInt(30)];
        random.nextBytes(bytes);
        return bytes;
    }

    private Object time() {
        LocalDate date = LocalDate.ofEpochDay(random.nextInt(100000) - 50000);
        LocalTime time = LocalTime.ofNanoOfDay((long) (random.nextDouble() * 86400e9));
        return switch (random.nextInt(6)) {
            case 0 -> date;
            case 1 -> time;
            case 2 -> LocalDateTime.of(date, time);
            case 3 -> Instant.ofEpochSecond(number(), random.nextInt(1_000_000_000));
            case 4 -> Duration.ofSeconds(number(), random.nextInt(1_000_000_000));
            default ->
                    LocalDateTime.of(date, time)
                            .atOffset(ZoneOffset.ofTotalSeconds(random.nextInt(1000) * 60 - 30000));
        };
    }

    private int size() {
        return random.nextInt(6) == 0 ? random.nextInt(40) : random.nextInt(5);
    }

    private List<Object> fill(List<Object> list, int depth) {
        earlier.add(list);
        for (int more = size(); more > 0; more--) {
            list.add(any(depth + 1));
        }
        return list;
    }

    private Map<Object, Object> fill(Map<Object, Object> map, int depth) {
        earlier.add(map);
        int kind = random.nextInt(3);
        for (int more = size(); more > 0; more--) {
            map.put(
                    kind == 0 ? (Object) number() : kind == 1 ? (Object) (long) number() : text(),
                    any(depth + 1));
        }
        return map;
    }

    private Object texts(boolean sorted) {
        List<String> all = new ArrayList<>();
        for (int more = size(); more > 0; more--) {
            all.add(text());
        }
        return sorted ? new TreeSet<>(all) : new HashSet<>(all);
    }

    private Object array(int depth) {
        int size = size();
        switch (random.nextInt(8)) {
            case 0:
                return random.ints(size).toArray();
            case 1:
                return random.longs(size).toArray();
            case 2:
                double[] doubles = new double[size];
                java.util.Arrays.setAll(doubles, at -> real());
                return doubles;
            case 3:
                boolean[] booleans = new boolean[size];
                for (int at = 0; at < size; at++) {
                    booleans[at] = random.nextBoolean();
                }
                return booleans;
            case 4:
                String[] strings = new String[size];
                java.util.Arrays.setAll(strings, at -> text());
                return strings;
            case 5:
                short[] shorts = new short[size];
                for (int at = 0; at < size; at++) {
                    shorts[at] = (short) number();
                }
                return shorts;
            case 6:
                Item[] items = new Item[size];
                java.util.Arrays.setAll(items, at -> item());
                return items;
            default:
                Object[] objects = new Object[size];
                earlier.add(objects);
                java.util.Arrays.setAll(objects, at -> any(depth + 1));
                return objects;
        }
    }

    private Item item() {
        List<String> tags = new ArrayList<>();
        for (int more = random.nextInt(4); more > 0; more--) {
            tags.add(text());
        }
        return new Item(number(), text(), real(), Color.values()[random.nextInt(3)], tags);
    }

    private Node child(int depth) {
        return --left < 0 ? null : node(depth);
    }

    private Node node(int depth) {
        Node node = new Node(text());
        earlier.add(node);
        if (depth < DEEPEST && random.nextBoolean()) {
            node.next = random.nextInt(4) == 0 ? node : child(depth + 1);
        }
        if (depth < DEEPEST && random.nextInt(3) == 0) {
            node.children = new ArrayList<>();
            for (int more = random.nextInt(4); more > 0; more--) {
                node.children.add(random.nextInt(4) == 0 ? node : child(depth + 1));
            }
        }
        if (random.nextInt(3) == 0) {
            node.other = any(depth + 1);
        }
        return node;
    }

    private Dog dog(int depth) {
        Dog dog = new Dog();
        dog.name = text();
        dog.legs = number();
        dog.good = random.nextBoolean();
        if (depth < DEEPEST && random.nextBoolean()) {
            dog.friend = random.nextInt(3) == 0 ? dog : dog(depth + 1);
        }
        return dog;
    }

    private Everything everything(int depth) {
        Everything all = new Everything();
        earlier.add(all);
        all.flag = random.nextBoolean();
        all.tiny = (byte) number();
        all.small = (short) number();
        all.letter = (char) number();
        all.number = number();
        all.big = random.nextLong() >> random.nextInt(64);
        all.ratio = real();
        all.boxedByte = random.nextBoolean() ? (byte) number() : null;
        all.boxedShort = random.nextBoolean() ? (short) number() : null;
        all.boxedChar = random.nextBoolean() ? (char) number() : null;
        all.boxedInt = random.nextBoolean() ? number() : null;
        all.boxedLong = random.nextBoolean() ? random.nextLong() : null;
        all.boxedFloat = random.nextBoolean() ? number() / 4f : null;
        all.boxedDouble = random.nextBoolean() ? real() : null;
        all.boxedFlag = random.nextBoolean() ? random.nextBoolean() : null;
        all.text = text();
        all.bytes = bytes();
        all.ints = random.ints(random.nextInt(10)).toArray();
        all.strings = new String[] {text(), null};
        all.items = new ArrayList<>(List.of(item(), item()));
        all.names = new HashSet<>(List.of(text()));
        all.counts = new HashMap<>(Map.of(text(), number()));
        all.byNumber = new HashMap<>(Map.of(number(), item()));
        all.color = Color.values()[random.nextInt(3)];
        all.price = decimal();
        all.huge = new BigInteger(100, random);
        all.created = new Date(random.nextLong());
        all.uuid = new UUID(random.nextLong(), random.nextLong());
        all.day = LocalDate.ofEpochDay(random.nextInt(100000));
        all.instant = Instant.ofEpochSecond(number());
        all.anything = any(depth + 1);
        all.item = item();
        return all;
    }
}
