package com.example.interop.peer;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.Collection;
import java.util.Comparator;
import java.util.Date;
import java.util.HexFormat;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;

/**
 * Tells a value's exact Java types, content and shape in JSON, so that two values can be compared
 * by text and a Python test can say what Java must have seen.
 *
 * <pre>
 * null true "text"                      themselves
 * {"int": 1} {"long": 1} {"short": 1} {"byte": 1} {"double": "1.5"} {"float": "0.1"} {"char": "a"}
 * {"bytes": "00ff"}  {"date": MS}
 * {"list": [...], "class": C}           any collection; a set without order is sorted by text
 * {"array": [...], "class": "[I"}
 * {"map": [[K, V], ...], "class": C}    a map without order is sorted by text
 * {"object": {FIELD: V, ...}, "class": C}   fields by name; a hidden field as Parent.name
 * {"throwable": {...}, "class": C}      the same, with "message", "cause" and "frames" (how many)
 * {"enum": NAME, "class": C}
 * {"value": TEXT, "class": C}           BigDecimal, UUID, java.time and their like, as text
 * {..., "id": N} and {"ref": N}         only where something is referred to twice
 * </pre>
 */
final class Describe {
    private final Map<Object, Integer> seen = new IdentityHashMap<>();
    private final Map<Object, Map<String, Object>> made = new IdentityHashMap<>();

    private Describe() {}

    static Object value(Object value) {
        return new Describe().describe(value);
    }

    static String text(Object value) {
        return Json.write(value(value));
    }

    private Object describe(Object value) {
        if (value == null || value instanceof Boolean || value instanceof String) {
            return value;
        }
        if (value instanceof Integer
                || value instanceof Long
                || value instanceof Short
                || value instanceof Byte) {
            String tag =
                    value instanceof Integer
                            ? "int"
                            : value.getClass().getSimpleName().toLowerCase();
            return one(tag, value);
        }
        if (value instanceof Double || value instanceof Float) {
            return one(value.getClass().getSimpleName().toLowerCase(), value.toString());
        }
        if (value instanceof Character) {
            return one("char", value.toString());
        }
        if (value instanceof Enum<?> constant) {
            return two("enum", constant.name(), constant.getDeclaringClass().getName());
        }
        if (value.getClass() == Date.class) {
            return one("date", ((Date) value).getTime());
        }
        if (value instanceof byte[] bytes) {
            return one("bytes", HexFormat.of().formatHex(bytes));
        }
        if (value instanceof java.sql.Timestamp stamp) {
            return two("value", stamp.getTime() + " " + stamp.getNanos(), "java.sql.Timestamp");
        }
        if (value instanceof Date date) {
            return two("value", String.valueOf(date.getTime()), date.getClass().getName());
        }
        if (value instanceof Calendar calendar) {
            return two(
                    "value",
                    String.valueOf(calendar.getTimeInMillis()),
                    calendar.getClass().getName());
        }
        Map<String, Object> known = made.get(value);
        if (known != null) {
            known.putIfAbsent("id", seen.size());
            seen.putIfAbsent(value, (Integer) known.get("id"));
            return one("ref", known.get("id"));
        }
        Map<String, Object> out = new LinkedHashMap<>();
        made.put(value, out);
        describe(value, out);
        return out;
    }

    private void describe(Object value, Map<String, Object> out) {
        Class<?> type = value.getClass();
        if (type.isArray()) {
            List<Object> items = new ArrayList<>();
            out.put("array", items);
            out.put("class", type.getName());
            for (int at = 0; at < Array.getLength(value); at++) {
                items.add(describe(Array.get(value, at)));
            }
        } else if (value instanceof Collection<?> collection) {
            List<Object> items = new ArrayList<>();
            out.put("list", items);
            out.put("class", type.getName());
            collection.forEach(item -> items.add(describe(item)));
            if (value instanceof Set<?> && !(value instanceof SortedSet<?>) && !ordered(type)) {
                items.sort(Comparator.comparing(Json::write));
            }
        } else if (value instanceof Map<?, ?> map) {
            describeMap(map, out);
        } else if (value instanceof Throwable error) {
            Map<String, Object> fields = new TreeMap<>();
            out.put("throwable", fields);
            out.put("class", type.getName());
            fields.put("message", error.getMessage());
            fields.put("cause", describe(error.getCause()));
            fields.put("frames", error.getStackTrace().length);
            describeFields(value, fields);
        } else if (type.getName().startsWith("java.") || type.getName().startsWith("sun.")) {
            out.put("value", value instanceof Class<?> named ? named.getName() : value.toString());
            out.put("class", type.getName());
        } else {
            Map<String, Object> fields = new TreeMap<>();
            out.put("object", fields);
            out.put("class", type.getName());
            describeFields(value, fields);
        }
    }

    private void describeMap(Map<?, ?> map, Map<String, Object> out) {
        List<Object> entries = new ArrayList<>();
        out.put("map", entries);
        out.put("class", map.getClass().getName());
        List<Map.Entry<?, ?>> all = new ArrayList<>(map.entrySet());
        if (!(map instanceof SortedMap<?, ?>) && !ordered(map.getClass())) {
            // Sorted before the values are told, so that ids do not depend on the hash.
            all.sort(Comparator.comparing(entry -> text(entry.getKey())));
        }
        for (Map.Entry<?, ?> entry : all) {
            List<Object> pair = new ArrayList<>();
            pair.add(describe(entry.getKey()));
            pair.add(describe(entry.getValue()));
            entries.add(pair);
        }
    }

    private static boolean ordered(Class<?> type) {
        return type.getName().contains("Linked");
    }

    private void describeFields(Object value, Map<String, Object> fields) {
        for (Class<?> type = value.getClass();
                type != null && !type.getName().startsWith("java.");
                type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers())
                        || Modifier.isTransient(field.getModifiers())) {
                    continue;
                }
                String name =
                        fields.containsKey(field.getName())
                                ? type.getSimpleName() + "." + field.getName()
                                : field.getName();
                try {
                    field.setAccessible(true);
                    fields.put(name, describe(field.get(value)));
                } catch (IllegalAccessException error) {
                    throw new IllegalStateException(error);
                }
            }
        }
    }

    private static Map<String, Object> one(String tag, Object value) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put(tag, value);
        return out;
    }

    private static Map<String, Object> two(String tag, Object value, String type) {
        Map<String, Object> out = one(tag, value);
        out.put("class", type);
        return out;
    }
}
