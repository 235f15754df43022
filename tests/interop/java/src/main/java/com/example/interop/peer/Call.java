package com.example.interop.peer;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONReader;
import com.example.interop.EchoService;

import org.apache.dubbo.common.beanutil.JavaBeanDescriptor;
import org.apache.dubbo.common.beanutil.JavaBeanSerializeUtil;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.service.GenericService;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A Dubbo consumer that a test drives: one JSON object a line on stdin is a call, one on stdout its
 * answer. Calls run side by side, answers come as they are ready and carry the "id" of their call.
 */
final class Call {
    private final Map<String, Object> references = new ConcurrentHashMap<>();
    private final PrintStream out;

    private Call(PrintStream out) {
        this.out = out;
    }

    static void run() throws IOException {
        PrintStream out = System.out;
        System.setOut(System.err); // whatever a library prints is no answer
        Bootstrap.of("java-peer-consumer").start();
        Call call = new Call(out);
        call.answer(Map.of("ready", true, "pid", ProcessHandle.current().pid()));
        ExecutorService calls = Executors.newCachedThreadPool();
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            JSONObject line = JSON.parseObject(text, JSONReader.Feature.UseBigDecimalForDoubles);
            if ("close".equals(line.getString("cmd"))) {
                break;
            }
            calls.execute(() -> call.answer(call.handle(line)));
        }
        System.exit(0);
    }

    private void answer(Map<String, Object> line) {
        String text = Json.write(line);
        synchronized (out) {
            out.println(text);
            out.flush();
        }
    }

    private Map<String, Object> handle(JSONObject line) {
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("id", line.get("id"));
        try {
            line.putIfAbsent("interface", EchoService.class.getName());
            switch (line.getString("cmd") == null ? "call" : line.getString("cmd")) {
                case "call" -> call(line, answer);
                case "echo" -> echo(line, answer);
                case "cases" -> cases(answer);
                case "bench" -> Bench.run(this, line, answer);
                default ->
                        throw new IllegalArgumentException("unknown cmd " + line.getString("cmd"));
            }
            answer.put("ok", true);
        } catch (Throwable error) {
            answer.put("ok", false);
            answer.putAll(
                    describe(
                            error instanceof InvocationTargetException wrapped
                                    ? wrapped.getCause()
                                    : error));
        }
        return answer;
    }

    private void call(JSONObject line, Map<String, Object> answer) throws Exception {
        attach(line);
        Object value;
        try {
            value = form(line).isEmpty() ? typed(line) : generic(line);
        } finally {
            RpcContext.removeClientAttachment();
        }
        answer.put("value", Plain.value(value));
        answer.put("class", value == null ? null : value.getClass().getName());
        answer.put("java", Describe.value(value));
        answer.put(
                "attachments",
                Plain.value(RpcContext.getClientResponseContext().getObjectAttachments()));
    }

    private Object typed(JSONObject line) throws Exception {
        Method method = method(line);
        return method.invoke(
                reference(line, Class.forName(line.getString("interface"))),
                arguments(line, method));
    }

    private static Method method(JSONObject line) throws Exception {
        Class<?> type = Class.forName(line.getString("interface"));
        String name = line.getString("method");
        JSONArray types = line.getJSONArray("types");
        if (types != null) {
            Class<?>[] classes = new Class<?>[types.size()];
            for (int at = 0; at < classes.length; at++) {
                classes[at] = Types.named(types.getString(at));
            }
            return type.getMethod(name, classes);
        }
        List<Method> found = new ArrayList<>();
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name)) {
                found.add(method);
            }
        }
        if (found.size() != 1) {
            throw new NoSuchMethodException(
                    name + ": " + found.size() + " of that name; give \"types\"");
        }
        return found.get(0);
    }

    private static Object[] arguments(JSONObject line, Method method) throws Exception {
        JSONArray given = line.getJSONArray("args");
        Type[] types = method.getGenericParameterTypes();
        if ((given == null ? 0 : given.size()) != types.length) {
            throw new IllegalArgumentException(method + " takes " + types.length + " arguments");
        }
        Object[] arguments = new Object[types.length];
        for (int at = 0; at < types.length; at++) {
            arguments[at] = Plain.convert(given.get(at), types[at]);
        }
        return arguments;
    }

    /** "generic" is absent, true, or Dubbo's word for a form; empty: no generic call. */
    private static String form(JSONObject line) {
        Object generic = line.get("generic");
        return generic == null || generic.equals(false) ? "" : generic.toString();
    }

    /** Through {@code $invoke}, or "via"; with "bean" as the form, values are descriptors. */
    private Object generic(JSONObject line) throws Exception {
        JSONArray types = line.getJSONArray("types");
        JSONArray given = line.getJSONArray("args");
        boolean bean = form(line).equals("bean");
        String[] names = types == null ? new String[0] : types.toArray(new String[0]);
        Object[] arguments = new Object[given == null ? 0 : given.size()];
        for (int at = 0; at < arguments.length; at++) {
            Class<?> type = bean ? Types.named(names[at]) : Object.class;
            if (Collection.class.isAssignableFrom(type) || Map.class.isAssignableFrom(type)) {
                type = Object.class; // where "class" says what an item is
            }
            Object argument = Plain.convert(given.get(at), type);
            arguments[at] = bean ? JavaBeanSerializeUtil.serialize(argument) : argument;
        }
        GenericService service = (GenericService) reference(line, GenericService.class);
        String method = line.getString("method");
        Object value =
                "$invokeAsync".equals(line.getString("via"))
                        ? service.$invokeAsync(method, names, arguments).get()
                        : service.$invoke(method, names, arguments);
        return value instanceof JavaBeanDescriptor descriptor
                ? JavaBeanSerializeUtil.deserialize(descriptor)
                : value;
    }

    /**
     * Sends a named case through its echo method. "expected" is what a Java provider would make of
     * it: both ways lose what hessian-lite itself loses (List.of comes back as an ArrayList).
     */
    private void echo(JSONObject line, Map<String, Object> answer) throws Exception {
        Cases.Case one = Cases.named(line.getString("case"));
        Method method =
                echoMethod(line.getBooleanValue("untyped") ? "echoObject" : methodName(one));
        attach(line);
        Object value;
        try {
            value = method.invoke(reference(line, EchoService.class), one.value());
        } finally {
            RpcContext.removeClientAttachment();
        }
        Object arrived = Codec.decode(Codec.encode(one.value()), method.getParameterTypes()[0]);
        Object expected =
                Describe.value(Codec.decode(Codec.encode(arrived), method.getReturnType()));
        Object got = Describe.value(value);
        answer.put("same", Json.write(expected).equals(Json.write(got)));
        answer.put("method", method.getName());
        answer.put("sent", Describe.value(one.value()));
        answer.put("expected", expected);
        answer.put("got", got);
    }

    private static String methodName(Cases.Case one) {
        return one.method().isEmpty() ? "echoObject" : one.method();
    }

    private static Method echoMethod(String name) throws NoSuchMethodException {
        for (Method method : EchoService.class.getMethods()) {
            if (method.getName().equals(name)) {
                return method;
            }
        }
        throw new NoSuchMethodException(name);
    }

    /** The cases that can be sent, each with its method. */
    private static void cases(Map<String, Object> answer) {
        Map<String, Object> all = new LinkedHashMap<>();
        for (Cases.Case one : Cases.all()) {
            if (!one.method().equals("-")) {
                all.put(one.name(), methodName(one));
            }
        }
        answer.put("cases", all);
    }

    private static void attach(JSONObject line) {
        JSONObject attachments = line.getJSONObject("attachments");
        if (attachments != null) {
            attachments.forEach(
                    (key, value) ->
                            RpcContext.getClientAttachment().setObjectAttachment(key, value));
        }
    }

    /** One reference for each combination of what shapes it; Dubbo shares their connection. */
    Object reference(JSONObject line, Class<?> type) {
        String oneway = line.getBooleanValue("oneway") ? line.getString("method") : "";
        String key =
                String.join(
                        "|",
                        type.getName(),
                        line.getString("interface"),
                        line.getString("url"),
                        line.getString("registry"),
                        form(line),
                        line.getString("group"),
                        line.getString("version"),
                        line.getString("timeout"),
                        line.getString("parameters"),
                        oneway);
        return references.computeIfAbsent(
                key,
                unused -> {
                    ReferenceConfig<Object> reference = new ReferenceConfig<>();
                    reference.setInterface(line.getString("interface"));
                    if (type == GenericService.class) {
                        reference.setGeneric(form(line));
                    }
                    if (notEmpty(line.getString("registry"))) {
                        reference.setRegistry(new RegistryConfig(line.getString("registry")));
                        reference.setProvidedBy(line.getString("providedBy"));
                    } else {
                        reference.setUrl(line.getString("url"));
                    }
                    reference.setCheck(false);
                    reference.setRetries(0);
                    if (notEmpty(line.getString("group"))) {
                        reference.setGroup(line.getString("group"));
                    }
                    if (notEmpty(line.getString("version"))) {
                        reference.setVersion(line.getString("version"));
                    }
                    if (line.get("timeout") != null) {
                        reference.setTimeout(line.getIntValue("timeout"));
                    }
                    if (line.getJSONObject("parameters") != null) {
                        Map<String, String> parameters = new LinkedHashMap<>();
                        line.getJSONObject("parameters")
                                .forEach((name, value) -> parameters.put(name, value.toString()));
                        reference.setParameters(parameters);
                    }
                    if (!oneway.isEmpty()) {
                        MethodConfig method = new MethodConfig();
                        method.setName(oneway);
                        method.setReturn(false);
                        reference.setMethods(new ArrayList<>(List.of(method)));
                    }
                    return reference.get();
                });
    }

    private static boolean notEmpty(String text) {
        return text != null && !text.isEmpty();
    }

    private static Map<String, Object> describe(Throwable error) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("exception", error.getClass().getName());
        out.put("message", error.getMessage());
        if (error instanceof RpcException remote) {
            out.put("code", remote.getCode());
        }
        out.put("java", Describe.value(error));
        List<Object> frames = new ArrayList<>();
        for (StackTraceElement frame : error.getStackTrace()) {
            frames.add(frame.toString());
        }
        out.put("stack", frames.subList(0, Math.min(frames.size(), 8)));
        return out;
    }
}
