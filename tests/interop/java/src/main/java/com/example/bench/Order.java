package com.example.bench;

import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** The nested graph of bench/codec.py. */
public class Order implements Serializable {
    public long id;
    public User customer;
    public Address shipping;
    public Address billing;
    public List<Item> items;
    public Map<String, String> tags;
    public String note;
}
