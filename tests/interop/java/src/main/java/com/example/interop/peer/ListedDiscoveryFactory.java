package com.example.interop.peer;

import org.apache.dubbo.common.URL;
import org.apache.dubbo.registry.client.AbstractServiceDiscoveryFactory;
import org.apache.dubbo.registry.client.ServiceDiscovery;

/** The registry {@code listed://}, by the name in META-INF/dubbo; see {@link ListedDiscovery}. */
public final class ListedDiscoveryFactory extends AbstractServiceDiscoveryFactory {
    @Override
    protected ServiceDiscovery createDiscovery(URL registry) {
        return new ListedDiscovery(applicationModel, registry);
    }
}
