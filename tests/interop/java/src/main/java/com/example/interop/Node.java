package com.example.interop;

import java.io.Serializable;
import java.util.List;

/** A node of a graph: it may point at itself, and two may share a third. */
public class Node implements Serializable {
    public String name;
    public Node next;
    public List<Node> children;
    public Object other;

    public Node() {}

    public Node(String name) {
        this.name = name;
    }
}
