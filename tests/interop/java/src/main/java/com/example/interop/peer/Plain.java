package com.example.interop.peer;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Values as the plain JSON that a test would write by hand: an object is {"class": C, FIELD: V},
 * octets are hex, an enum its name, a date its milliseconds. It loses types; {@link Describe} keeps
 * them.
 */
final class Plain {
    private static final int DEEPEST = 12;

    private Plain() {}

    static Object value(Object value) {
        return value(value, 0);
    }

    private static Object value(Object value, int depth) {
        if (depth > DEEPEST) {
            return "...";
        }
        if (value == null
                || value instanceof Boolean
                || value instanceof Number
                || value instanceof String) {
            return value instanceof BigDecimal ? value.toString() : value;
        }
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof Date date) {
            return date.getTime();
        }
        if (value instanceof Enum<?> constant) {
            return constant.name();
        }
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> out = new LinkedHashMap<>();
            map.forEach(
                    (key, item) ->
                            out.put(String.valueOf(value(key, depth + 1)), value(item, depth + 1)));
            return out;
        }
        List<Object> items = new ArrayList<>();
        if (value instanceof Collection<?> collection) {
            collection.forEach(item -> items.add(value(item, depth + 1)));
            return items;
        }
        if (value.getClass().isArray()) {
            for (int at = 0; at < Array.getLength(value); at++) {
                items.add(value(Array.get(value, at), depth + 1));
            }
            return items;
        }
        return value.getClass().getName().startsWith("java.")
                ? value.toString()
                : fields(value, depth);
    }

    private static Object fields(Object value, int depth) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("class", value.getClass().getName());
        for (Class<?> type = value.getClass();
                type != null && !type.getName().startsWith("java.");
                type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (!Modifier.isStatic(field.getModifiers())
                        && !Modifier.isTransient(field.getModifiers())) {
                    try {
                        field.setAccessible(true);
                        out.putIfAbsent(field.getName(), value(field.get(value), depth + 1));
                    } catch (IllegalAccessException error) {
                        throw new IllegalStateException(error);
                    }
                }
            }
        }
        return out;
    }

    /**
     * JSON to a Java value of the declared type. Octets are hex; where Object is declared, "class"
     * says what an object is, and numbers are what JSON makes them: Integer, Long, Double.
     */
    static Object convert(Object given, Type type) throws ClassNotFoundException {
        if (given == null) {
            return null;
        }
        if (type == byte[].class) {
            return HexFormat.of().parseHex(given.toString());
        }
        if (type == char.class || type == Character.class) {
            return given.toString().charAt(0);
        }
        if (type == Class.class || type.getTypeName().startsWith("java.lang.Class<")) {
            return Types.named(given.toString());
        }
        if (type == Object.class) {
            return untyped(given);
        }
        if (given instanceof JSONObject object && object.containsKey("class")) {
            Object found = untyped(given);
            if (type instanceof Class<?> declared && declared.isInstance(found)) {
                return found; // a subclass of what is declared
            }
        }
        return JSON.parseObject(JSON.toJSONString(given), type);
    }

    private static Object untyped(Object given) throws ClassNotFoundException {
        if (given instanceof BigDecimal number) {
            return number.doubleValue();
        }
        if (given instanceof JSONArray array) {
            List<Object> items = new ArrayList<>();
            for (Object item : array) {
                items.add(untyped(item));
            }
            return items;
        }
        if (given instanceof JSONObject object) {
            if (object.get("class") instanceof String name) {
                return JSON.parseObject(JSON.toJSONString(object), Types.named(name));
            }
            Map<String, Object> map = new LinkedHashMap<>();
            for (Map.Entry<String, Object> entry : object.entrySet()) {
                map.put(entry.getKey(), untyped(entry.getValue()));
            }
            return map;
        }
        return given;
    }
}
