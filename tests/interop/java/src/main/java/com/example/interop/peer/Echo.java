package com.example.interop.peer;

import com.example.interop.Animal;
import com.example.interop.BizException;
import com.example.interop.Color;
import com.example.interop.Dog;
import com.example.interop.EchoService;
import com.example.interop.Everything;
import com.example.interop.Item;
import com.example.interop.Node;
import com.example.interop.Page;
import com.example.interop.Point;
import com.example.interop.Shadow;
import com.example.interop.UnlistedException;

import org.apache.dubbo.rpc.RpcContext;

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
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

/** The provider's side of {@link EchoService}. */
final class Echo implements EchoService {
    private final Map<String, Integer> counts = new ConcurrentHashMap<>();
    private volatile String lastOneway;

    @Override
    public int echoInt(int value) {
        return value;
    }

    @Override
    public long echoLong(long value) {
        return value;
    }

    @Override
    public short echoShort(short value) {
        return value;
    }

    @Override
    public byte echoByte(byte value) {
        return value;
    }

    @Override
    public char echoChar(char value) {
        return value;
    }

    @Override
    public float echoFloat(float value) {
        return value;
    }

    @Override
    public double echoDouble(double value) {
        return value;
    }

    @Override
    public boolean echoBoolean(boolean value) {
        return value;
    }

    @Override
    public Integer echoInteger(Integer value) {
        return value;
    }

    @Override
    public Long echoBoxedLong(Long value) {
        return value;
    }

    @Override
    public Short echoBoxedShort(Short value) {
        return value;
    }

    @Override
    public Byte echoBoxedByte(Byte value) {
        return value;
    }

    @Override
    public Character echoBoxedChar(Character value) {
        return value;
    }

    @Override
    public Float echoBoxedFloat(Float value) {
        return value;
    }

    @Override
    public Double echoBoxedDouble(Double value) {
        return value;
    }

    @Override
    public Boolean echoBoxedBoolean(Boolean value) {
        return value;
    }

    @Override
    public String echoString(String value) {
        return value;
    }

    @Override
    public byte[] echoBytes(byte[] value) {
        return value;
    }

    @Override
    public int[] echoInts(int[] value) {
        return value;
    }

    @Override
    public long[] echoLongs(long[] value) {
        return value;
    }

    @Override
    public short[] echoShorts(short[] value) {
        return value;
    }

    @Override
    public char[] echoChars(char[] value) {
        return value;
    }

    @Override
    public float[] echoFloats(float[] value) {
        return value;
    }

    @Override
    public double[] echoDoubles(double[] value) {
        return value;
    }

    @Override
    public boolean[] echoBooleans(boolean[] value) {
        return value;
    }

    @Override
    public int[][] echoIntMatrix(int[][] value) {
        return value;
    }

    @Override
    public String[] echoStrings(String[] value) {
        return value;
    }

    @Override
    public Object[] echoObjects(Object[] value) {
        return value;
    }

    @Override
    public Item[] echoItemArray(Item[] value) {
        return value;
    }

    @Override
    public Integer[] echoIntegers(Integer[] value) {
        return value;
    }

    @Override
    public Long[] echoBoxedLongs(Long[] value) {
        return value;
    }

    @Override
    public Date[] echoDates(Date[] value) {
        return value;
    }

    @Override
    public Color[] echoColors(Color[] value) {
        return value;
    }

    @Override
    public List<String> echoStringList(List<String> value) {
        return value;
    }

    @Override
    public List<Integer> echoIntList(List<Integer> value) {
        return value;
    }

    @Override
    public List<Long> echoLongList(List<Long> value) {
        return value;
    }

    @Override
    public List<Item> echoItemList(List<Item> value) {
        return value;
    }

    @Override
    public Set<String> echoStringSet(Set<String> value) {
        return value;
    }

    @Override
    public Collection<Item> echoItemCollection(Collection<Item> value) {
        return value;
    }

    @Override
    public Map<String, String> echoStringMap(Map<String, String> value) {
        return value;
    }

    @Override
    public Map<String, Item> echoItemMap(Map<String, Item> value) {
        return value;
    }

    @Override
    public Map<Integer, String> echoIntKeyMap(Map<Integer, String> value) {
        return value;
    }

    @Override
    public Map<Long, Item> echoLongKeyMap(Map<Long, Item> value) {
        return value;
    }

    @Override
    public Map<Color, Integer> echoEnumKeyMap(Map<Color, Integer> value) {
        return value;
    }

    @Override
    public Map<String, Object> echoObjectMap(Map<String, Object> value) {
        return value;
    }

    @Override
    public Map<String, List<Map<Integer, Item>>> echoNested(
            Map<String, List<Map<Integer, Item>>> value) {
        return value;
    }

    @Override
    public Page<Item> echoPage(Page<Item> value) {
        return value;
    }

    @Override
    public Object echoObject(Object value) {
        return value;
    }

    @Override
    public Color echoColor(Color value) {
        return value;
    }

    @Override
    public Item echoItem(Item value) {
        return value;
    }

    @Override
    public Everything echoEverything(Everything value) {
        return value;
    }

    @Override
    public Node echoNode(Node value) {
        return value;
    }

    @Override
    public Animal echoAnimal(Animal value) {
        return value;
    }

    @Override
    public Dog echoDog(Dog value) {
        return value;
    }

    @Override
    public Shadow echoShadow(Shadow value) {
        return value;
    }

    @Override
    public Point echoPoint(Point value) {
        return value;
    }

    @Override
    public BigDecimal echoBigDecimal(BigDecimal value) {
        return value;
    }

    @Override
    public BigInteger echoBigInteger(BigInteger value) {
        return value;
    }

    @Override
    public Date echoDate(Date value) {
        return value;
    }

    @Override
    public UUID echoUUID(UUID value) {
        return value;
    }

    @Override
    public Locale echoLocale(Locale value) {
        return value;
    }

    @Override
    public BitSet echoBitSet(BitSet value) {
        return value;
    }

    @Override
    public Class<?> echoClass(Class<?> value) {
        return value;
    }

    @Override
    public Calendar echoCalendar(Calendar value) {
        return value;
    }

    @Override
    public Number echoNumber(Number value) {
        return value;
    }

    @Override
    public LocalDate echoLocalDate(LocalDate value) {
        return value;
    }

    @Override
    public LocalTime echoLocalTime(LocalTime value) {
        return value;
    }

    @Override
    public LocalDateTime echoLocalDateTime(LocalDateTime value) {
        return value;
    }

    @Override
    public Instant echoInstant(Instant value) {
        return value;
    }

    @Override
    public Duration echoDuration(Duration value) {
        return value;
    }

    @Override
    public Period echoPeriod(Period value) {
        return value;
    }

    @Override
    public ZonedDateTime echoZonedDateTime(ZonedDateTime value) {
        return value;
    }

    @Override
    public OffsetDateTime echoOffsetDateTime(OffsetDateTime value) {
        return value;
    }

    @Override
    public OffsetTime echoOffsetTime(OffsetTime value) {
        return value;
    }

    @Override
    public Year echoYear(Year value) {
        return value;
    }

    @Override
    public YearMonth echoYearMonth(YearMonth value) {
        return value;
    }

    @Override
    public MonthDay echoMonthDay(MonthDay value) {
        return value;
    }

    @Override
    public ZoneId echoZoneId(ZoneId value) {
        return value;
    }

    @Override
    public ZoneOffset echoZoneOffset(ZoneOffset value) {
        return value;
    }

    @Override
    public DayOfWeek echoDayOfWeek(DayOfWeek value) {
        return value;
    }

    @Override
    public java.sql.Timestamp echoSqlTimestamp(java.sql.Timestamp value) {
        return value;
    }

    @Override
    public java.sql.Date echoSqlDate(java.sql.Date value) {
        return value;
    }

    @Override
    public java.sql.Time echoSqlTime(java.sql.Time value) {
        return value;
    }

    @Override
    public String over(int value) {
        return "int " + value;
    }

    @Override
    public String over(String value) {
        return "String " + value;
    }

    @Override
    public String join(String first, int second, long[] third, Item fourth) {
        return first + "," + second + "," + java.util.Arrays.toString(third) + "," + fourth.name;
    }

    @Override
    public void nothing() {}

    @Override
    public void oneway(String text) {
        lastOneway = text;
    }

    @Override
    public String lastOneway() {
        return lastOneway;
    }

    @Override
    public String sleep(int ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            throw new IllegalStateException("interrupted", error);
        }
        return "slept " + ms;
    }

    @Override
    public int count(String key) {
        return counts.merge(key, 1, Integer::sum);
    }

    @Override
    public String big(int length) {
        return "x".repeat(length);
    }

    @Override
    public int length(String text) {
        return text.length();
    }

    @Override
    public void throwDeclared(int code) throws BizException {
        throw new BizException(code, "declared " + code);
    }

    @Override
    public void throwRuntime(String message) {
        throw new IllegalStateException(message, new IllegalArgumentException("cause"));
    }

    @Override
    public void throwUnlisted() {
        throw new UnlistedException("declared nowhere");
    }

    @Override
    public String attachment(String key) {
        Object value = RpcContext.getServerAttachment().getObjectAttachment(key);
        return value == null ? null : value.toString();
    }

    @Override
    public Map<String, String> attachments() {
        Map<String, String> all = new TreeMap<>();
        RpcContext.getServerAttachment()
                .getObjectAttachments()
                .forEach((key, value) -> all.put(key, String.valueOf(value)));
        return all;
    }

    @Override
    public String attach(String key, String value) {
        RpcContext.getServerResponseContext().setObjectAttachment(key, value);
        return value;
    }

    @Override
    public String describe(Object value) {
        return Json.write(Describe.value(value));
    }

    @Override
    public Object produce(String name) {
        return Cases.named(name).value();
    }

    @Override
    public List<String> cases() {
        return Cases.names();
    }

    @Override
    public String address() {
        return RpcContext.getServiceContext().getLocalAddressString();
    }
}
