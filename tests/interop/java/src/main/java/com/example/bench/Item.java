package com.example.bench;

import java.io.Serializable;

/** A line of {@link Order}. */
public class Item implements Serializable {
    public String sku;
    public int quantity;
    public double price;
}
