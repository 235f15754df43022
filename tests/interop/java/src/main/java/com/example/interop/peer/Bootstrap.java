package com.example.interop.peer;

import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** Dubbo as both modes use it: no registry, no metadata report, no port of its own for QoS. */
final class Bootstrap {
    private Bootstrap() {}

    static DubboBootstrap of(String name) {
        ApplicationConfig application = new ApplicationConfig(name);
        application.setQosEnable(false);
        return DubboBootstrap.getInstance()
                .application(application)
                .registry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
    }
}
