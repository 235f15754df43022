package com.example.interop;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.DayOfWeek;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.MonthDay;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.Period;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.BitSet;
import java.util.Calendar;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * One method a Java type, and one a behaviour, for the tests of both directions.
 *
 * <p>Every {@code echo*} returns its argument. What is special is said beside the rest; a Python
 * provider that is called by the Java peer implements the same interface.
 */
public interface EchoService {
    int echoInt(int value);

    long echoLong(long value);

    short echoShort(short value);

    byte echoByte(byte value);

    char echoChar(char value);

    float echoFloat(float value);

    double echoDouble(double value);

    boolean echoBoolean(boolean value);

    Integer echoInteger(Integer value);

    Long echoBoxedLong(Long value);

    Short echoBoxedShort(Short value);

    Byte echoBoxedByte(Byte value);

    Character echoBoxedChar(Character value);

    Float echoBoxedFloat(Float value);

    Double echoBoxedDouble(Double value);

    Boolean echoBoxedBoolean(Boolean value);

    String echoString(String value);

    byte[] echoBytes(byte[] value);

    int[] echoInts(int[] value);

    long[] echoLongs(long[] value);

    short[] echoShorts(short[] value);

    char[] echoChars(char[] value);

    float[] echoFloats(float[] value);

    double[] echoDoubles(double[] value);

    boolean[] echoBooleans(boolean[] value);

    int[][] echoIntMatrix(int[][] value);

    String[] echoStrings(String[] value);

    Object[] echoObjects(Object[] value);

    Item[] echoItemArray(Item[] value);

    Integer[] echoIntegers(Integer[] value);

    Long[] echoBoxedLongs(Long[] value);

    Date[] echoDates(Date[] value);

    Color[] echoColors(Color[] value);

    List<String> echoStringList(List<String> value);

    List<Integer> echoIntList(List<Integer> value);

    List<Long> echoLongList(List<Long> value);

    List<Item> echoItemList(List<Item> value);

    Set<String> echoStringSet(Set<String> value);

    Collection<Item> echoItemCollection(Collection<Item> value);

    Map<String, String> echoStringMap(Map<String, String> value);

    Map<String, Item> echoItemMap(Map<String, Item> value);

    Map<Integer, String> echoIntKeyMap(Map<Integer, String> value);

    Map<Long, Item> echoLongKeyMap(Map<Long, Item> value);

    Map<Color, Integer> echoEnumKeyMap(Map<Color, Integer> value);

    Map<String, Object> echoObjectMap(Map<String, Object> value);

    Map<String, List<Map<Integer, Item>>> echoNested(Map<String, List<Map<Integer, Item>>> value);

    Page<Item> echoPage(Page<Item> value);

    Object echoObject(Object value);

    Color echoColor(Color value);

    Item echoItem(Item value);

    Everything echoEverything(Everything value);

    Node echoNode(Node value);

    Animal echoAnimal(Animal value);

    Dog echoDog(Dog value);

    Shadow echoShadow(Shadow value);

    Point echoPoint(Point value);

    BigDecimal echoBigDecimal(BigDecimal value);

    BigInteger echoBigInteger(BigInteger value);

    Date echoDate(Date value);

    UUID echoUUID(UUID value);

    Locale echoLocale(Locale value);

    BitSet echoBitSet(BitSet value);

    Class<?> echoClass(Class<?> value);

    Calendar echoCalendar(Calendar value);

    Number echoNumber(Number value);

    LocalDate echoLocalDate(LocalDate value);

    LocalTime echoLocalTime(LocalTime value);

    LocalDateTime echoLocalDateTime(LocalDateTime value);

    Instant echoInstant(Instant value);

    Duration echoDuration(Duration value);

    Period echoPeriod(Period value);

    ZonedDateTime echoZonedDateTime(ZonedDateTime value);

    OffsetDateTime echoOffsetDateTime(OffsetDateTime value);

    OffsetTime echoOffsetTime(OffsetTime value);

    Year echoYear(Year value);

    YearMonth echoYearMonth(YearMonth value);

    MonthDay echoMonthDay(MonthDay value);

    ZoneId echoZoneId(ZoneId value);

    ZoneOffset echoZoneOffset(ZoneOffset value);

    DayOfWeek echoDayOfWeek(DayOfWeek value);

    java.sql.Timestamp echoSqlTimestamp(java.sql.Timestamp value);

    java.sql.Date echoSqlDate(java.sql.Date value);

    java.sql.Time echoSqlTime(java.sql.Time value);

    String over(int value);

    String over(String value);

    /** Two arguments and more: descriptors of several types in a row. */
    String join(String first, int second, long[] third, Item fourth);

    void nothing();

    /** Called one-way, it has no answer; {@link #lastOneway} tells what arrived last. */
    void oneway(String text);

    String lastOneway();

    /** Answers "slept MS" after that time. */
    String sleep(int ms);

    /** How often it was called with this key, this call included. */
    int count(String key);

    /** A string of that many letters 'x'. */
    String big(int length);

    /** The length of a string, in UTF-16 units. */
    int length(String text);

    void throwDeclared(int code) throws BizException;

    /** IllegalStateException with the message, caused by an IllegalArgumentException "cause". */
    void throwRuntime(String message);

    void throwUnlisted();

    /** The attachment that came with the request, as a string; null when there is none. */
    String attachment(String key);

    /** All attachments that came with the request, with values as strings. */
    Map<String, String> attachments();

    /** Sends an attachment back with the answer, and returns the value. */
    String attach(String key, String value);

    /** What Java sees of a value, in the notation of {@code Describe}. */
    String describe(Object value);

    /** A named value of {@code Cases}, in the position of Object. */
    Object produce(String name);

    /** The names that {@link #produce} knows. */
    List<String> cases();

    /** HOST:PORT that the call came to. */
    String address();
}
