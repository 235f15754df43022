package com.example;

import java.io.Serializable;

/** The argument of {@link GreetService#greet}. */
public class User implements Serializable {
    public long id;
    public String name;

    public User() {}

    public User(long id, String name) {
        this.id = id;
        this.name = name;
    }

    public long getId() {
        return id;
    }

    public void setId(long id) {
        this.id = id;
    }

    public String getName() {
        return name;
    }

    public void setName(String name) {
        this.name = name;
    }
}
