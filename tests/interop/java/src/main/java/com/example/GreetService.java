package com.example;

/** The service of the examples; version 1.0.0. */
public interface GreetService {
    String greet(User user);

    String sayHello(String name);
}
