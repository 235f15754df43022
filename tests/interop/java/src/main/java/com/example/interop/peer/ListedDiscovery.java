package com.example.interop.peer;

import org.apache.dubbo.common.URL;
import org.apache.dubbo.registry.client.AbstractServiceDiscovery;
import org.apache.dubbo.registry.client.DefaultServiceInstance;
import org.apache.dubbo.registry.client.ServiceInstance;
import org.apache.dubbo.rpc.model.ApplicationModel;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A registry of applications that is written down in its own address:
 *
 * <pre>listed://HOST:PORT?app=NAME&amp;instances=HOST:PORT,HOST:PORT&amp;revision=REVISION</pre>
 *
 * <p>Nobody listens at its own host and port, by which Dubbo tells one registry from another.
 * <p>Each instance has what a Java provider with the dubbo protocol puts into a registry. All that
 * is behind it is Dubbo's own: it asks an instance's MetadataService what the revision stands for,
 * and makes invokers of the answer.
 */
final class ListedDiscovery extends AbstractServiceDiscovery {
    private final URL registry;

    ListedDiscovery(ApplicationModel application, URL registry) {
        super(application, registry);
        this.registry = registry;
    }

    @Override
    public Set<String> getServices() {
        return Set.of(registry.getParameter("app"));
    }

    @Override
    public List<ServiceInstance> getInstances(String name) {
        List<ServiceInstance> instances = new ArrayList<>();
        if (name.equals(registry.getParameter("app"))) {
            for (String address : registry.getParameter("instances").split(",")) {
                String[] parts = address.split(":");
                instances.add(instance(name, parts[0], Integer.parseInt(parts[1])));
            }
        }
        return instances;
    }

    private ServiceInstance instance(String name, String host, int port) {
        DefaultServiceInstance instance =
                new DefaultServiceInstance(name, host, port, applicationModel);
        Map<String, String> metadata = instance.getMetadata();
        metadata.put("dubbo.endpoints", "[{\"port\":" + port + ",\"protocol\":\"dubbo\"}]");
        metadata.put(
                "dubbo.metadata-service.url-params",
                "{\"version\":\"1.0.0\",\"dubbo\":\"2.0.2\",\"side\":\"provider\","
                        + "\"protocol\":\"dubbo\",\"prefer.serialization\":\"hessian2\",\"port\":\""
                        + port
                        + "\"}");
        metadata.put("dubbo.metadata.revision", registry.getParameter("revision"));
        metadata.put("dubbo.metadata.storage-type", "local");
        metadata.put("meta-v", "1.0.0");
        return instance;
    }

    @Override
    protected void doRegister(ServiceInstance instance) {}

    @Override
    protected void doUnregister(ServiceInstance instance) {}

    @Override
    protected void doDestroy() {}

    @Override
    public String toString() {
        return "listed";
    }
}
