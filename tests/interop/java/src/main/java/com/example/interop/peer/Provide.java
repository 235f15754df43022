package com.example.interop.peer;

import com.example.GreetService;
import com.example.interop.EchoService;

import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

import java.io.IOException;
import java.net.ServerSocket;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Serves the interfaces of the tests until stdin ends or the process is told to stop. */
final class Provide {
    private Provide() {}

    /**
     * @param arguments [PORT [HOST]]; port 0 takes a free one. A host other than 127.* is the only
     *     address that is bound; without one, every address is.
     */
    static void run(List<String> arguments) throws IOException {
        int port = arguments.isEmpty() ? 20880 : Integer.parseInt(arguments.get(0));
        if (port == 0) {
            try (ServerSocket free = new ServerSocket(0)) {
                port = free.getLocalPort();
            }
        }
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        if (arguments.size() > 1) {
            protocol.setHost(arguments.get(1));
        }
        DubboBootstrap bootstrap = Bootstrap.of("java-peer-provider").protocol(protocol);
        bootstrap.service(service(GreetService.class, new Greeter("java"), "", "1.0.0"));
        bootstrap.service(service(GreetService.class, new Greeter("java-eu"), "eu", "2.0.0"));
        bootstrap.service(service(EchoService.class, new Echo(), "", ""));
        bootstrap.start();

        Map<String, Object> ready = new LinkedHashMap<>();
        ready.put("ready", true);
        ready.put("port", port);
        ready.put("pid", ProcessHandle.current().pid());
        System.out.println(Json.write(ready));
        System.out.flush();
        while (System.in.read() >= 0) {
            // Whatever is written there is no command: only the end counts.
        }
        System.exit(0);
    }

    private static <T> ServiceConfig<T> service(
            Class<T> type, T implementation, String group, String version) {
        ServiceConfig<T> service = new ServiceConfig<>();
        service.setInterface(type);
        service.setRef(implementation);
        if (!group.isEmpty()) {
            service.setGroup(group);
        }
        if (!version.isEmpty()) {
            service.setVersion(version);
        }
        return service;
    }
}
