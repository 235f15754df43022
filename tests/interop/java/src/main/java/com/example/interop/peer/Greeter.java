package com.example.interop.peer;

import com.example.GreetService;
import com.example.User;

import org.apache.dubbo.rpc.RpcContext;

/** Says who answers, so that a test can tell providers from each other. */
final class Greeter implements GreetService {
    private final String name;

    Greeter(String name) {
        this.name = name;
    }

    @Override
    public String greet(User user) {
        return "Hello " + user.name + " (" + user.id + ") from " + name + " " + address();
    }

    @Override
    public String sayHello(String to) {
        return "Hello " + to + " from " + name + " " + address();
    }

    private static String address() {
        return RpcContext.getServiceContext().getLocalAddressString();
    }
}
