package com.example.interop;

import java.io.Serializable;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.time.LocalDate;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * A field of nearly every type. No primitive float: hessian-lite 4.0.4 reads such a field as a
 * double into four bytes, and destroys its neighbour.
 */
public class Everything implements Serializable {
    public boolean flag;
    public byte tiny;
    public short small;
    public char letter;
    public int number;
    public long big;
    public double ratio;
    public Boolean boxedFlag;
    public Byte boxedByte;
    public Short boxedShort;
    public Character boxedChar;
    public Integer boxedInt;
    public Long boxedLong;
    public Float boxedFloat;
    public Double boxedDouble;
    public String text;
    public byte[] bytes;
    public int[] ints;
    public String[] strings;
    public List<Item> items;
    public Set<String> names;
    public Map<String, Integer> counts;
    public Map<Integer, Item> byNumber;
    public Color color;
    public BigDecimal price;
    public BigInteger huge;
    public Date created;
    public UUID uuid;
    public LocalDate day;
    public Instant instant;
    public Object anything;
    public Item item;
    public transient String forgotten;
}
