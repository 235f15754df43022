package com.example.interop.peer;

import com.example.User;
import com.example.interop.BizException;
import com.example.interop.Color;
import com.example.interop.Dog;
import com.example.interop.Everything;
import com.example.interop.Item;
import com.example.interop.Node;
import com.example.interop.Page;
import com.example.interop.Point;
import com.example.interop.Shadow;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.DayOfWeek;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.MonthDay;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.Period;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Calendar;
import java.util.Collections;
import java.util.Currency;
import java.util.Date;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Named values of every type and at every boundary of Hessian's compact forms. They are the vectors
 * under tests/vectors/hessian2, what {@code EchoService.produce} returns, and what the calling peer
 * sends to a Python provider.
 */
final class Cases {
    /**
     * @param section the file of vectors that it belongs to.
     * @param method the typed echo method that takes it; empty where there is only echoObject; "-"
     *     where Dubbo's class check does not let it pass a connection.
     * @param meaning one line for a person.
     */
    record Case(String section, String name, String method, Object value, String meaning) {}

    private static final Map<String, Case> ALL = new LinkedHashMap<>();
    private static String section;

    private Cases() {}

    static Case named(String name) {
        Case found = ALL.get(name);
        if (found == null) {
            throw new IllegalArgumentException("no case " + name);
        }
        return found;
    }

    /** The names of the cases that may pass a connection. */
    static List<String> names() {
        return ALL.values().stream()
                .filter(one -> !one.method().equals("-"))
                .map(Case::name)
                .toList();
    }

    static List<Case> all() {
        return new ArrayList<>(ALL.values());
    }

    private static void add(String name, String method, Object value, String meaning) {
        if (ALL.put(name, new Case(section, name, method, value, meaning)) != null) {
            throw new IllegalStateException("two cases " + name);
        }
    }

    static {
        scalars();
        strings();
        binaries();
        doubles();
        dates();
        boxes();
        arrays();
        lists();
        maps();
        objects();
        graphs();
        exceptions();
        values();
        times();
    }

    private static void scalars() {
        section = "scalars";
        add("null", "", null, "null");
        add("true", "echoBoolean", true, "T");
        add("false", "echoBoolean", false, "F");
        int[] ints = {
            0,
            1,
            -1,
            -16,
            -17,
            47,
            48,
            -2048,
            -2049,
            2047,
            2048,
            -262144,
            -262145,
            262143,
            262144,
            65535,
            65536,
            16777216,
            Integer.MAX_VALUE,
            Integer.MIN_VALUE,
        };
        for (int value : ints) {
            add(
                    "int/" + value,
                    "echoInt",
                    value,
                    "int: 1 octet -16..47, 2 -2048..2047, 3 -262144..262143, else I");
        }
        long[] longs = {
            0,
            1,
            -1,
            -8,
            -9,
            15,
            16,
            -2048,
            -2049,
            2047,
            2048,
            -262144,
            -262145,
            262143,
            262144,
            Integer.MAX_VALUE,
            Integer.MIN_VALUE,
            Integer.MAX_VALUE + 1L,
            Integer.MIN_VALUE - 1L,
            9007199254740993L,
            Long.MAX_VALUE,
            Long.MIN_VALUE,
        };
        for (long value : longs) {
            add(
                    "long/" + value,
                    "echoLong",
                    value,
                    "long: 1 octet -8..15, 2, 3, Y 32 bits, else L");
        }
    }

    private static void strings() {
        section = "strings";
        for (int length : new int[] {0, 1, 31, 32, 255, 256, 1023, 1024, 4095, 4096}) {
            add(
                    "string/ascii-" + length,
                    "echoString",
                    letters(length),
                    "ASCII, " + length + " letters");
        }
        for (int length : new int[] {0x7fff, 0x8000, 0x8001, 0x10001}) {
            add(
                    "string/long-" + length,
                    "echoString",
                    letters(length),
                    "around the size of a chunk");
        }
        add("string/latin", "echoString", "Grüße, señor", "two octets a letter");
        add(
                "string/latin-31",
                "echoString",
                "ü".repeat(31),
                "31 units in 62 octets: still the short form");
        add("string/latin-32", "echoString", "ü".repeat(32), "32 units");
        add("string/cjk", "echoString", "杜博服务", "three octets a letter");
        add(
                "string/emoji",
                "echoString",
                "😀",
                "CESU-8: a pair of surrogates, three octets each; length 2");
        add("string/emoji-16", "echoString", "😀".repeat(16), "32 units: no longer the short form");
        add("string/mixed", "echoString", "aü杜😀z", "1, 2, 3 and 2*3 octets");
        add(
                "string/nul",
                "echoString",
                "a\0b",
                "U+0000 is one octet, unlike Java's modified UTF-8");
        add(
                "string/controls",
                "echoString",
                "\t\r\n\u007f\u0080\u07ff\u0800\uffff",
                "edges of the 1, 2 and 3 octet forms");
        add("string/high-alone", "echoString", "a\ud83dz", "a lone high surrogate passes");
        add("string/low-alone", "echoString", "a\ude00z", "a lone low surrogate passes");
        add(
                "string/pair-reversed",
                "echoString",
                "\ude00\ud83d",
                "two surrogates in the wrong order");
        add(
                "string/pair-at-chunk-end",
                "echoString",
                "x".repeat(0x7fff) + "😀" + "y".repeat(8),
                "a pair is not split between chunks");
        add(
                "string/emoji-long",
                "echoString",
                "😀".repeat(0x4001),
                "only pairs, more than one chunk");
    }

    private static void binaries() {
        section = "binaries";
        for (int length :
                new int[] {0, 1, 15, 16, 255, 256, 1023, 1024, 4093, 4096, 8187, 8192, 20000}) {
            add(
                    "bytes/" + length,
                    "echoBytes",
                    counting(length),
                    length + " octets counting up modulo 251");
        }
        add("bytes/all", "echoBytes", allBytes(), "every octet once");
    }

    private static void doubles() {
        section = "doubles";
        double[] values = {
            0.0,
            1.0,
            -1.0,
            2.0,
            -128.0,
            -129.0,
            127.0,
            128.0,
            -32768.0,
            -32769.0,
            32767.0,
            32768.0,
            0.001,
            -0.001,
            0.5,
            1.5,
            0.1,
            3.14,
            12.25,
            65.536,
            2147483.647,
            -2147483.648,
            2147483.648,
            1e10,
            1e300,
            0.1 + 0.2,
            1.0 / 3,
            123456.789,
            4.9e-324,
            2.2250738585072014E-308,
            1.7976931348623157E308,
            Math.PI,
            9007199254740993.0,
            1.0005,
            1e-3 + 1e-9,
        };
        for (double value : values) {
            add(
                    "double/" + value,
                    "echoDouble",
                    value,
                    "double: 0.0, 1.0, int8, int16, int32 thousandths, else D");
        }
        add("double/nan", "echoDouble", Double.NaN, "not a number");
        add("double/infinity", "echoDouble", Double.POSITIVE_INFINITY, "infinity");
        add("double/minus-infinity", "echoDouble", Double.NEGATIVE_INFINITY, "minus infinity");
        add("double/minus-zero", "", -0.0, "hessian-lite itself loses the sign: 0.0");
    }

    private static void dates() {
        section = "dates";
        long[] values = {
            0L,
            1L,
            -1L,
            60000L,
            59999L,
            -60000L,
            -60001L,
            1700000000000L,
            1700000040000L,
            1700000000001L,
            894621091000L,
            128849018820000L,
            128849018880000L,
            -128849018880000L,
            -128849018940000L,
            Long.MAX_VALUE,
            Long.MIN_VALUE,
        };
        for (long value : values) {
            add(
                    "date/" + value,
                    "echoDate",
                    new Date(value),
                    "whole minutes in 32 bits, else 64 bits of milliseconds");
        }
    }

    private static void boxes() {
        section = "boxes";
        add("short/1", "echoShort", (short) 1, "an int on the wire");
        add("short/min", "echoShort", Short.MIN_VALUE, "an int on the wire");
        add("short/max", "echoBoxedShort", Short.MAX_VALUE, "an int on the wire");
        add("byte/1", "echoByte", (byte) 1, "an int on the wire");
        add("byte/min", "echoByte", Byte.MIN_VALUE, "an int on the wire");
        add("byte/max", "echoBoxedByte", Byte.MAX_VALUE, "an int on the wire");
        add("char/a", "echoChar", 'a', "a string of one unit");
        add("char/nul", "echoChar", '\0', "a string of one unit");
        add("char/cjk", "echoBoxedChar", '杜', "a string of one unit");
        add("char/surrogate", "echoChar", '\ud83d', "a string of one lone surrogate");
        add("float/0.1", "echoFloat", 0.1f, "the double of its shortest decimal");
        add("float/1.5", "echoFloat", 1.5f, "a double");
        add("float/third", "echoFloat", 1.0f / 3, "a double");
        add("float/max", "echoFloat", Float.MAX_VALUE, "a double");
        add("float/min", "echoBoxedFloat", Float.MIN_VALUE, "a double");
        add("float/nan", "echoFloat", Float.NaN, "a double");
    }

    private static void arrays() {
        section = "arrays";
        add(
                "array/int",
                "echoInts",
                new int[] {1, -1, 300000, Integer.MIN_VALUE},
                "typed list [int");
        add("array/int-empty", "echoInts", new int[0], "typed list [int");
        add(
                "array/int-7",
                "echoInts",
                new int[] {1, 2, 3, 4, 5, 6, 7},
                "the last length of the short form");
        add(
                "array/int-8",
                "echoInts",
                new int[] {1, 2, 3, 4, 5, 6, 7, 8},
                "the first length of the long form");
        add("array/long", "echoLongs", new long[] {1, -1, Long.MAX_VALUE}, "typed list [long");
        add("array/short", "echoShorts", new short[] {1, -1, Short.MAX_VALUE}, "typed list [short");
        add("array/char", "echoChars", "aü杜".toCharArray(), "a string");
        add("array/char-empty", "echoChars", new char[0], "an empty string");
        add("array/float", "echoFloats", new float[] {0.1f, 1.5f, -2f}, "typed list [float");
        add("array/double", "echoDoubles", new double[] {0.1, 1, Double.NaN}, "typed list [double");
        add("array/boolean", "echoBooleans", new boolean[] {true, false}, "typed list [boolean");
        add("array/int-int", "echoIntMatrix", new int[][] {{1, 2}, {}, {3}}, "typed list [[int");
        add("array/string", "echoStrings", new String[] {"a", null, ""}, "typed list [string");
        add("array/string-empty", "echoStrings", new String[0], "typed list [string");
        add(
                "array/object",
                "echoObjects",
                new Object[] {1, 2L, "three", 4.5, null, true},
                "typed list [object");
        add(
                "array/integer",
                "echoIntegers",
                new Integer[] {1, null, 3},
                "typed list [java.lang.Integer");
        add(
                "array/boxed-long",
                "echoBoxedLongs",
                new Long[] {1L, null, 3L},
                "typed list [java.lang.Long");
        add("array/date", "echoDates", new Date[] {new Date(0), null}, "typed list of dates");
        add(
                "array/enum",
                "echoColors",
                new Color[] {Color.RED, Color.GREEN, null, Color.RED},
                "typed list of enums");
        add(
                "array/item",
                "echoItemArray",
                new Item[] {item(1), item(2), null},
                "typed list of objects");
        add(
                "array/nested-object",
                "",
                new Object[] {new Object[] {1}, new String[] {"a"}, new int[] {1}},
                "arrays in an array");
        add("array/bytes-bytes", "", new byte[][] {{1, 2}, {}, {3}}, "typed list of binaries");
    }

    private static void lists() {
        section = "lists";
        add("list/empty", "echoStringList", new ArrayList<>(), "untyped list");
        add("list/1", "echoStringList", new ArrayList<>(List.of("a")), "untyped list");
        add("list/7", "echoIntList", counted(7), "the last length of the short form");
        add("list/8", "echoIntList", counted(8), "the first length of the long form");
        add("list/300", "echoIntList", counted(300), "untyped list");
        add(
                "list/longs",
                "echoLongList",
                new ArrayList<>(List.of(1L, -1L, Long.MAX_VALUE)),
                "untyped list");
        add(
                "list/nulls",
                "echoStringList",
                new ArrayList<>(Arrays.asList(null, "a", null)),
                "untyped list");
        add(
                "list/mixed",
                "",
                new ArrayList<>(Arrays.asList(1, 2L, 3.5, "four", true, null, new Date(5))),
                "untyped list of everything");
        add(
                "list/nested",
                "",
                new ArrayList<>(List.of(new ArrayList<>(List.of(new ArrayList<>(List.of(1)))))),
                "lists in lists");
        add(
                "list/items",
                "echoItemList",
                new ArrayList<>(List.of(item(1), item(2), item(3))),
                "one class definition, three objects");
        add("list/of-0", "echoStringList", List.of(), "List.of()");
        add("list/of-2", "echoStringList", List.of("a", "b"), "List.of(a, b)");
        add("list/of-3", "echoStringList", List.of("a", "b", "c"), "List.of(a, b, c)");
        add(
                "list/as-list",
                "echoStringList",
                Arrays.asList("a", "b"),
                "typed java.util.Arrays$ArrayList");
        add("list/empty-list", "echoStringList", Collections.emptyList(), "Collections.emptyList");
        add(
                "list/singleton",
                "echoStringList",
                Collections.singletonList("a"),
                "Collections.singletonList");
        add(
                "list/unmodifiable",
                "echoStringList",
                Collections.unmodifiableList(new ArrayList<>(List.of("a"))),
                "Collections.unmodifiableList");
        add(
                "list/linked",
                "echoStringList",
                new LinkedList<>(List.of("a", "b")),
                "typed java.util.LinkedList");
        add(
                "list/sublist",
                "echoStringList",
                new ArrayList<>(List.of("a", "b", "c")).subList(1, 3),
                "a view");
        add("list/deque", "-", new ArrayDeque<>(List.of("a", "b")), "typed java.util.ArrayDeque");
        add(
                "list/linked-twice",
                "",
                new ArrayList<>(
                        List.of(new LinkedList<>(List.of("a")), new LinkedList<>(List.of("b")))),
                "the second type is a type reference");
        add(
                "set/hash",
                "echoStringSet",
                new HashSet<>(List.of("a", "b")),
                "typed java.util.HashSet");
        add("set/empty", "echoStringSet", new HashSet<>(), "typed java.util.HashSet");
        add(
                "set/linked",
                "echoStringSet",
                new LinkedHashSet<>(List.of("b", "a")),
                "typed java.util.LinkedHashSet");
        add(
                "set/tree",
                "echoStringSet",
                new TreeSet<>(List.of("b", "a")),
                "typed java.util.TreeSet");
        add("set/of-2", "echoStringSet", Set.of("a"), "Set.of");
        add("set/enum", "", EnumSet.of(Color.RED, Color.BLUE), "EnumSet");
    }

    private static void maps() {
        section = "maps";
        add("map/empty", "echoStringMap", new HashMap<>(), "untyped map");
        add("map/1", "echoStringMap", new HashMap<>(Map.of("a", "b")), "untyped map");
        add("map/null-value", "echoStringMap", nullValue(), "a null value");
        add("map/null-key", "", nullKey(), "a null key");
        add("map/of", "echoStringMap", Map.of("a", "b"), "Map.of");
        add(
                "map/linked",
                "echoStringMap",
                new LinkedHashMap<>(Map.of("a", "b")),
                "typed java.util.LinkedHashMap");
        add(
                "map/tree",
                "echoStringMap",
                new TreeMap<>(Map.of("b", "1", "a", "2")),
                "typed java.util.TreeMap");
        add(
                "map/concurrent",
                "",
                new ConcurrentHashMap<>(Map.of("a", "b")),
                "typed java.util.concurrent.ConcurrentHashMap");
        add("map/enum", "", new EnumMap<>(Map.of(Color.RED, 1)), "EnumMap");
        add(
                "map/int-keys",
                "echoIntKeyMap",
                new TreeMap<>(Map.of(1, "a", 100000, "b")),
                "integer keys");
        add("map/long-keys", "echoLongKeyMap", new TreeMap<>(Map.of(1L, item(1))), "long keys");
        add("map/enum-keys", "echoEnumKeyMap", new HashMap<>(Map.of(Color.RED, 1)), "enum keys");
        add(
                "map/items",
                "echoItemMap",
                new TreeMap<>(Map.of("a", item(1), "b", item(2))),
                "objects as values");
        add("map/objects", "echoObjectMap", mixedMap(), "values of every kind");
        add(
                "map/tree-twice",
                "",
                new ArrayList<>(
                        List.of(new TreeMap<>(Map.of("a", 1)), new TreeMap<>(Map.of("b", 2)))),
                "the second type is a type reference");
        add("map/empty-map", "echoStringMap", Collections.emptyMap(), "Collections.emptyMap");
        add(
                "map/singleton",
                "echoStringMap",
                Collections.singletonMap("a", "b"),
                "Collections.singletonMap");
        Map<String, List<Map<Integer, Item>>> nested = new TreeMap<>();
        nested.put("a", new ArrayList<>(List.of(new TreeMap<>(Map.of(1, item(1))))));
        nested.put("b", new ArrayList<>());
        add("map/nested", "echoNested", nested, "Map<String, List<Map<Integer, Item>>>");
    }

    private static void objects() {
        section = "objects";
        add("object/user", "", new User(1, "Ann"), "com.example.User");
        add("object/item", "echoItem", item(1), "com.example.interop.Item");
        add("object/item-nulls", "echoItem", new Item(), "fields of their default value");
        add("object/everything", "echoEverything", everything(), "a field of every type");
        add(
                "object/everything-empty",
                "echoEverything",
                new Everything(),
                "all fields of their default value");
        add("object/dog", "echoDog", dog(), "inherited fields");
        add("object/dog-as-animal", "echoAnimal", dog(), "a subclass where the parent is declared");
        add("object/shadow", "echoShadow", shadow(), "a field that hides its parent's");
        add("object/point", "echoPoint", new Point(1, -1, "p"), "a record");
        add("object/page", "echoPage", page(), "generic, with a nested class");
        add(
                "object/classes-17",
                "",
                seventeen(),
                "more than 16 class definitions: the long form of an object");
        add("enum/red", "echoColor", Color.RED, "an enum");
        add(
                "enum/green",
                "echoColor",
                Color.GREEN,
                "a constant with a body: the class of the enum");
        add("enum/day", "echoDayOfWeek", DayOfWeek.FRIDAY, "an enum of the JDK");
    }

    private static void graphs() {
        section = "graphs";
        Node self = new Node("self");
        self.next = self;
        add("graph/self", "echoNode", self, "an object that refers to itself");
        Node left = new Node("left");
        Node right = new Node("right");
        left.next = right;
        right.next = left;
        add("graph/cycle", "echoNode", left, "two that refer to each other");
        Node shared = new Node("shared");
        Node root = new Node("root");
        root.next = shared;
        root.children = new ArrayList<>(List.of(shared, shared));
        root.other = root.children;
        add("graph/shared", "echoNode", root, "an object and a list that are referred to twice");
        List<Object> list = new ArrayList<>();
        list.add(list);
        add("graph/list-in-itself", "", list, "a list that contains itself");
        Map<String, Object> map = new HashMap<>();
        map.put("self", map);
        add("graph/map-in-itself", "", map, "a map that contains itself");
        Item item = item(1);
        add(
                "graph/pair",
                "",
                new Object[] {item, item, "x", "x"},
                "objects are shared, strings are not");
        Date date = new Date(1);
        add(
                "graph/date-twice",
                "",
                new ArrayList<>(List.of(date, date, item, item)),
                "dates take no reference number");
        byte[] bytes = {1};
        BigDecimal number = new BigDecimal("1.5");
        add(
                "graph/values-twice",
                "",
                new ArrayList<>(
                        List.of(bytes, bytes, number, number, Color.RED, Color.RED, item, item)),
                "which values take a reference number");
        Node deep = null;
        for (int at = 0; at < 20; at++) {
            Node next = new Node("n" + at);
            next.next = deep;
            deep = next;
        }
        add("graph/chain-20", "echoNode", deep, "20 objects deep");
        List<Object> many = new ArrayList<>();
        for (int at = 0; at < 300; at++) {
            many.add(new Node("n" + at));
        }
        many.add(many.get(299));
        many.add(many.get(60));
        add("graph/ref-300", "", many, "a reference number of two octets");
    }

    private static void exceptions() {
        section = "exceptions";
        add("exception/runtime", "", bare(new RuntimeException("boom")), "no frames");
        add("exception/no-message", "", bare(new IllegalStateException()), "no message");
        add("exception/biz", "", bare(new BizException(7, "declared 7")), "a field of its own");
        add(
                "exception/cause",
                "",
                bare(
                        new IllegalStateException(
                                "outer", bare(new IllegalArgumentException("inner")))),
                "a cause");
        RuntimeException frames = new RuntimeException("frames");
        frames.setStackTrace(
                new StackTraceElement[] {
                    new StackTraceElement("com.example.A", "first", "A.java", 10),
                    new StackTraceElement("com.example.B", "second", null, -2),
                });
        add("exception/frames", "", frames, "two frames");
        RuntimeException suppressed = bare(new RuntimeException("outer"));
        suppressed.addSuppressed(bare(new RuntimeException("suppressed")));
        add("exception/suppressed", "", suppressed, "a suppressed one");
    }

    private static void values() {
        section = "values";
        for (String text :
                new String[] {
                    "0",
                    "1.50",
                    "-1.50",
                    "1E+3",
                    "123456789012345678901234567890.123456789",
                    "1E-10"
                }) {
            add("decimal/" + text, "echoBigDecimal", new BigDecimal(text), "object {value}");
        }
        for (String text :
                new String[] {
                    "0",
                    "1",
                    "-1",
                    "255",
                    "4294967295",
                    "4294967296",
                    "18446744073709551616",
                    "-123456789012345678901234567890"
                }) {
            add(
                    "biginteger/" + text,
                    "echoBigInteger",
                    new BigInteger(text),
                    "object {signum, mag, ...}");
        }
        add(
                "uuid",
                "echoUUID",
                UUID.fromString("123e4567-e89b-12d3-a456-426614174000"),
                "object {value}");
        add("locale/de-DE", "echoLocale", Locale.GERMANY, "LocaleHandle");
        add("locale/root", "echoLocale", Locale.ROOT, "LocaleHandle");
        add(
                "locale/zh-Hans-CN",
                "echoLocale",
                Locale.forLanguageTag("zh-Hans-CN"),
                "LocaleHandle with a script");
        BitSet bits = new BitSet();
        bits.set(1);
        bits.set(70);
        add("bitset", "echoBitSet", bits, "BitSetHandle");
        add("class/string", "echoClass", String.class, "java.lang.Class");
        add("class/int", "", int.class, "java.lang.Class");
        Calendar calendar = Calendar.getInstance(TimeZone.getTimeZone("UTC"));
        calendar.setTimeInMillis(1700000000000L);
        add("calendar", "echoCalendar", calendar, "CalendarHandle");
        add(
                "sql/timestamp",
                "echoSqlTimestamp",
                new java.sql.Timestamp(1700000000123L),
                "object {value: date}");
        java.sql.Timestamp nanos = new java.sql.Timestamp(1700000000123L);
        nanos.setNanos(123456789);
        add("sql/timestamp-nanos", "", nanos, "nanoseconds");
        add("sql/date", "echoSqlDate", new java.sql.Date(1700000000000L), "object {value: date}");
        add("sql/time", "echoSqlTime", new java.sql.Time(1700000000000L), "object {value: date}");
        add("currency", "", Currency.getInstance("EUR"), "Currency");
        add("atomic/int", "", new AtomicInteger(5), "AtomicInteger");
        add("atomic/long", "", new AtomicLong(5), "AtomicLong");
        add("atomic/boolean", "", new AtomicBoolean(true), "AtomicBoolean");
    }

    private static void times() {
        section = "times";
        add("time/local-date", "echoLocalDate", LocalDate.of(2024, 2, 29), "LocalDateHandle");
        add("time/local-date-min", "echoLocalDate", LocalDate.MIN, "a year of nine digits");
        add(
                "time/local-time",
                "echoLocalTime",
                LocalTime.of(23, 59, 58, 123456789),
                "LocalTimeHandle");
        add("time/midnight", "echoLocalTime", LocalTime.MIDNIGHT, "LocalTimeHandle");
        add(
                "time/local-date-time",
                "echoLocalDateTime",
                LocalDateTime.of(2024, 2, 29, 23, 59, 58, 1000),
                "LocalDateTimeHandle");
        add(
                "time/instant",
                "echoInstant",
                Instant.ofEpochSecond(1700000000L, 123456789),
                "InstantHandle");
        add("time/instant-before", "echoInstant", Instant.ofEpochSecond(-1, 1), "before 1970");
        add("time/duration", "echoDuration", Duration.ofSeconds(90061, 5), "DurationHandle");
        add("time/duration-negative", "echoDuration", Duration.ofMillis(-1500), "DurationHandle");
        add("time/period", "echoPeriod", Period.of(1, -2, 3), "PeriodHandle");
        add(
                "time/zoned-offset",
                "echoZonedDateTime",
                ZonedDateTime.of(2024, 7, 1, 12, 0, 0, 0, ZoneOffset.ofHours(2)),
                "ZonedDateTimeHandle with an offset");
        add(
                "time/zoned-region",
                "echoZonedDateTime",
                ZonedDateTime.of(2024, 7, 1, 12, 0, 0, 0, ZoneId.of("Europe/Berlin")),
                "ZonedDateTimeHandle with a region");
        add(
                "time/offset-date-time",
                "echoOffsetDateTime",
                OffsetDateTime.of(2024, 7, 1, 12, 0, 0, 5, ZoneOffset.ofHoursMinutes(-3, -30)),
                "OffsetDateTimeHandle");
        add(
                "time/offset-time",
                "echoOffsetTime",
                OffsetTime.of(12, 30, 0, 0, ZoneOffset.UTC),
                "OffsetTimeHandle");
        add("time/year", "echoYear", Year.of(2024), "YearHandle");
        add("time/year-month", "echoYearMonth", YearMonth.of(2024, 2), "YearMonthHandle");
        add("time/month-day", "echoMonthDay", MonthDay.of(2, 29), "MonthDayHandle");
        add("time/zone-region", "echoZoneId", ZoneId.of("Europe/Berlin"), "ZoneIdHandle");
        add("time/zone-offset", "echoZoneOffset", ZoneOffset.ofHours(9), "ZoneOffsetHandle");
    }

    private static String letters(int length) {
        StringBuilder text = new StringBuilder(length);
        for (int at = 0; at < length; at++) {
            text.append((char) ('a' + at % 26));
        }
        return text.toString();
    }

    private static byte[] counting(int length) {
        byte[] bytes = new byte[length];
        for (int at = 0; at < length; at++) {
            bytes[at] = (byte) (at % 251);
        }
        return bytes;
    }

    private static byte[] allBytes() {
        byte[] bytes = new byte[256];
        for (int at = 0; at < 256; at++) {
            bytes[at] = (byte) at;
        }
        return bytes;
    }

    private static List<Integer> counted(int length) {
        List<Integer> list = new ArrayList<>();
        for (int at = 0; at < length; at++) {
            list.add(at);
        }
        return list;
    }

    private static Map<String, String> nullValue() {
        Map<String, String> map = new HashMap<>();
        map.put("a", null);
        return map;
    }

    private static Map<String, String> nullKey() {
        Map<String, String> map = new HashMap<>();
        map.put(null, "a");
        return map;
    }

    private static Map<String, Object> mixedMap() {
        Map<String, Object> map = new TreeMap<>();
        map.put("int", 1);
        map.put("long", 2L);
        map.put("double", 3.5);
        map.put("string", "four");
        map.put("null", null);
        map.put("list", new ArrayList<>(List.of(1, "a")));
        map.put("map", new HashMap<>(Map.of("k", "v")));
        map.put("item", item(1));
        map.put("date", new Date(1));
        map.put("bytes", new byte[] {1, 2});
        map.put("enum", Color.BLUE);
        return map;
    }

    static Item item(long id) {
        return new Item(
                id,
                "item " + id,
                id * 1.25,
                Color.values()[(int) (id % 3)],
                new ArrayList<>(List.of("t" + id)));
    }

    private static Dog dog() {
        Dog friend = new Dog();
        friend.name = "Bello";
        Dog dog = new Dog();
        dog.name = "Rex";
        dog.legs = 4;
        dog.good = true;
        dog.friend = friend;
        return dog;
    }

    private static Shadow shadow() {
        Shadow shadow = new Shadow();
        shadow.name = "mine";
        ((com.example.interop.Animal) shadow).name = "parent's";
        shadow.legs = 2;
        return shadow;
    }

    private static Page<Item> page() {
        Page<Item> page = new Page<>();
        page.items = new ArrayList<>(List.of(item(1), item(2)));
        page.total = 2;
        page.cursor = new Page.Cursor();
        page.cursor.token = "next";
        page.cursor.more = true;
        return page;
    }

    private static List<Object> seventeen() {
        List<Object> list =
                new ArrayList<>(
                        List.of(
                                new User(1, "Ann"),
                                item(1),
                                dog(),
                                new Point(1, 2, "p"),
                                page(),
                                new Node("n"),
                                new Everything(),
                                Color.RED,
                                DayOfWeek.MONDAY,
                                new BigDecimal("1"),
                                BigInteger.ONE,
                                LocalDate.of(2024, 1, 1),
                                LocalTime.NOON,
                                Instant.EPOCH,
                                Duration.ZERO,
                                Year.of(2024),
                                MonthDay.of(1, 1),
                                YearMonth.of(2024, 1),
                                Period.ZERO));
        list.add(new User(2, "Bob"));
        list.add(Period.ZERO);
        list.add(Year.of(2025));
        return list;
    }

    private static Everything everything() {
        Everything all = new Everything();
        all.flag = true;
        all.tiny = -8;
        all.small = 300;
        all.letter = 'é';
        all.number = 70000;
        all.big = 5_000_000_000L;
        all.ratio = 0.1;
        all.boxedFlag = false;
        all.boxedByte = 7;
        all.boxedShort = -7;
        all.boxedChar = 'z';
        all.boxedInt = 1;
        all.boxedLong = 2L;
        all.boxedFloat = 0.5f;
        all.boxedDouble = 2.5;
        all.text = "text 😀";
        all.bytes = new byte[] {0, -1};
        all.ints = new int[] {1, 2, 3};
        all.strings = new String[] {"a", "b"};
        all.items = new ArrayList<>(List.of(item(1), item(2)));
        all.names = new HashSet<>(List.of("n"));
        all.counts = new HashMap<>(Map.of("a", 1));
        all.byNumber = new HashMap<>(Map.of(5, item(5)));
        all.color = Color.BLUE;
        all.price = new BigDecimal("19.99");
        all.huge = new BigInteger("12345678901234567890");
        all.created = new Date(1700000000000L);
        all.uuid = UUID.fromString("123e4567-e89b-12d3-a456-426614174000");
        all.day = LocalDate.of(2024, 2, 29);
        all.instant = Instant.ofEpochSecond(1700000000L, 5);
        all.anything = new ArrayList<>(List.of("any", 1, 2L));
        all.item = item(9);
        all.forgotten = "transient: not sent";
        return all;
    }

    private static <T extends Throwable> T bare(T error) {
        error.setStackTrace(new StackTraceElement[0]);
        return error;
    }
}
