package com.example.interop;

import java.io.Serializable;
import java.util.List;

/** A small record of an order. */
public class Item implements Serializable {
    public long id;
    public String name;
    public double price;
    public Color color;
    public List<String> tags;

    public Item() {}

    public Item(long id, String name, double price, Color color, List<String> tags) {
        this.id = id;
        this.name = name;
        this.price = price;
        this.color = color;
        this.tags = tags;
    }
}
