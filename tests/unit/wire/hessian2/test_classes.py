"""Dataclasses, enums and generics as Java objects, registered and not."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from datetime import date  # noqa: TC003 - a hint that is resolved
from decimal import Decimal  # noqa: TC003 - a hint that is resolved
from enum import Enum, IntEnum
from typing import Any, Generic, TypeVar

import pytest

from kubbo.errors import DecodeError, EncodeError, UsageError
from kubbo.java import Array, JavaDatetime, JavaList, JavaMap, Long, LongValue, Record, pojo, render
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer, decode, encode

T = TypeVar("T")


@pojo("com.example.Color", rename={"BLUE": "Blue"})
class Color(Enum):
    RED = 1
    BLUE = 2


@pojo("com.example.Level")
class Level(IntEnum):
    LOW = 1


@pojo("com.example.Address")
@dataclass(frozen=True, slots=True)
class Address:
    street: str
    zip_code: str = ""


@pojo("com.example.User", rename={"mail": "emailAddress"})
@dataclass
class User:
    id: Long
    full_name: str
    mail: str | None = None
    address: Address | None = None
    colors: set[Color] = field(default_factory=set)
    friends: list[User] = field(default_factory=list)
    scores: Array[float] = field(default_factory=list)
    totals: dict[str, Long] = field(default_factory=dict)


@pojo("com.example.Admin")
@dataclass
class Admin(User):
    rights: list[str] = field(default_factory=list)


@pojo("com.example.Page")
@dataclass
class Page(Generic[T]):
    items: list[T]
    first: T | None = None


@pojo("com.example.LongPage")
@dataclass
class LongPage(Page[Long]):
    note: str = ""


@pojo("com.example.Nothing")
@dataclass
class Nothing:
    pass


# The class Child extends Base of the golden bytes, written by hessian-lite 4.0.4.
@pojo("Probe$Base")
@dataclass
class Base:
    base_id: Long = 1
    base_list: list[str] | None = None
    base_name: str = "b"
    bd: date | None = None


@pojo("Probe$Color")
class ProbeColor(Enum):
    RED = 1


@pojo("Probe$Child")
@dataclass
class Child(Base):
    any: Any = None
    z: int = 1
    a: str = "x"
    m: dict[str, str] | None = None
    boxed: int | None = 5
    c: ProbeColor | None = None
    bdv: Decimal | None = None
    flag: bool = True
    arr: Array[int] | None = None


CHILD = (
    "430b50726f6265244368696c649d02626408626173654c69737403617272036264760163016d03616e79"
    "08626173654e616d650662617365496404666c616705626f7865640161017a604e4e4e4e4e4e4e0162e1"
    "5495017891"
)


def test_the_fields_of_a_dataclass_are_written_in_the_order_of_hessian_lite() -> None:
    """Own fields, then the ancestor's; primitives and java.lang first; all reversed."""
    assert encode(Child()).hex() == CHILD


def test_an_object_of_a_registered_class_is_built_from_the_wire() -> None:
    """From Java's bytes, with an ancestor's fields, without its `__init__`."""
    found = decode(bytes.fromhex(CHILD), TypeRegistry([Child]))
    assert found == Child()
    assert type(found) is Child


def _user() -> User:
    ann = User(1, "Ann", "a@example.com", Address("Main 1", "123"), {Color.RED}, scores=[1.5])
    bob = User(2**40, "Bob", totals={"x": 3})
    ann.friends.append(bob)
    bob.friends.append(ann)
    return ann


def test_a_graph_of_dataclasses_comes_back_with_its_identities() -> None:
    """Two users who are each other's friends, a frozen slotted part, an enum, containers."""
    registry = TypeRegistry([User])
    found = decode(encode(_user(), registry), registry)
    [bob] = found.friends
    assert bob.friends[0] is found
    assert (found.id, found.full_name, found.mail) == (1, "Ann", "a@example.com")
    assert found.address == Address("Main 1", "123")
    assert found.colors == {Color.RED}
    assert found.scores == [1.5]
    assert (bob.id, bob.totals) == (2**40, {"x": 3})
    assert type(bob.totals["x"]) is int


def test_a_class_that_nobody_registered_is_an_inert_record_with_the_same_bytes() -> None:
    """Its class name and fields in wire order; self-reference included."""
    data = encode(_user())
    found = decode(data)
    assert isinstance(found, Record)
    assert found.class_name == "com.example.User"
    assert found["fullName"] == "Ann"
    assert found["emailAddress"] == "a@example.com"
    assert found["id"] == 1
    assert type(found["id"]) is LongValue
    assert found["friends"][0]["friends"][0] is found
    assert encode(found) == data


def test_writing_a_class_does_not_register_it() -> None:
    """What may be built is what was named, not what passed through."""
    registry = TypeRegistry()
    data = encode(Nothing(), registry)
    assert decode(data, registry) == Record("com.example.Nothing")


@pojo("com.example.Empty")
@dataclass(slots=True)
class Empty:
    pass


class _Slots:
    __slots__ = ("a",)


@pojo("com.example.Half")
@dataclass
class Half(_Slots):
    a: int
    note: str = ""


def test_classes_with_slots_are_read_and_written() -> None:
    """Without any field, without a dict, and with a dict beside an ancestor's slots."""
    registry = TypeRegistry([Empty, Address])
    registry.type_of(Half)
    for value in (Empty(), Address("Main 1", "5"), Half(1, "x")):
        assert decode(encode(value), registry) == value
    assert decode(encode(Empty()), registry).__slots__ == ()


def _sent(name: str, /, **fields: Any) -> bytes:
    return encode(Record(name, fields))


def test_missing_fields_get_their_default_or_javas_zero() -> None:
    """A peer of an older version; unknown fields of a newer one are dropped."""
    registry = TypeRegistry([User])
    found = decode(_sent("com.example.User", unknown=[1, {"a": 2}], fullName="Ann"), registry)
    assert found == User(0, "Ann")
    found = decode(_sent("com.example.User"), registry)
    assert found.full_name is None
    assert found.colors == set()
    other = decode(_sent("com.example.User"), registry)
    assert found.friends is not other.friends


def test_null_in_a_primitive_field_is_zero_as_in_java() -> None:
    """And null in a reference field is None."""
    found = decode(_sent("com.example.User", id=None, friends=None), TypeRegistry([User]))
    assert found.id == 0
    assert found.friends is None


def test_a_field_that_does_not_fit_names_its_path() -> None:
    """From the outermost step to the field."""
    registry = TypeRegistry([User])
    inner = Record("com.example.User", {"id": "x"})
    outer = Record("com.example.User", {"friends": [Record("com.example.User"), inner]})
    with pytest.raises(DecodeError) as caught:
        decode(encode({"k": outer}), registry)
    assert caught.value.path == "[k].friends[1].id".replace("[k]", "['k']")
    assert "expected long" in str(caught.value)


def test_an_error_while_writing_names_its_path() -> None:
    """The attribute's Python name, and the hint that would fit."""
    user = User(1, "Ann")
    user.friends.append(User(2**70, "Bob"))
    with pytest.raises(EncodeError, match="BigInteger") as caught:
        Writer(TypeRegistry()).write([user], path="orders")
    assert caught.value.path == "orders[0].friends[0].id"


def test_an_incomplete_object_is_an_encode_error() -> None:
    """An attribute that was never set is the caller's mistake, said in one sentence."""
    broken = User.__new__(User)
    with pytest.raises(EncodeError, match="incomplete"):
        encode(broken)


def test_an_order_of_fields_that_the_peer_chose_is_read() -> None:
    """Fields are found by name; more orders than are kept are read as well."""
    registry = TypeRegistry([User])
    for number in range(40):
        fields = {f"extra{number}": 1, "fullName": "Ann", f"more{number}": [], "id": number}
        found = decode(encode(Record("com.example.User", fields)), registry)
        assert (found.full_name, found.id) == ("Ann", number)


def test_a_subclass_is_read_and_written_as_itself_in_a_place_of_its_base() -> None:
    """Subclasses that are defined by then are reached from their base."""
    registry = TypeRegistry([User])
    kind = registry.type_of(list[User])
    users = [User(1, "Ann"), Admin(2, "Bob", rights=["all"])]
    found = decode(encode(users, registry, kind), registry, kind)
    assert found == users
    assert type(found[1]) is Admin


def test_another_class_in_the_place_of_a_registered_one_is_an_error() -> None:
    """Naming the class that came."""
    registry = TypeRegistry([User])
    kind = registry.type_of(list[User])
    with pytest.raises(DecodeError, match=r"expected com\.example\.User, got x\.Y") as caught:
        decode(encode([Record("x.Y", {"a": 1})]), registry, kind)
    assert caught.value.path == "[0]"


def test_a_map_is_taken_for_an_object_as_java_does() -> None:
    """Untyped callers send maps; cycles through them stay cycles."""
    registry = TypeRegistry([User])
    sent: dict[str, Any] = {"id": 5, "fullName": "Ann"}
    sent["friends"] = [sent]
    found = decode(encode(sent), registry, registry.type_of(User))
    assert type(found) is User
    assert (found.id, found.full_name) == (5, "Ann")
    assert found.friends[0] is found


def test_enums_are_constants_by_name() -> None:
    """One object each time: written once, then referred to."""
    registry = TypeRegistry([Color, Level])
    data = encode([Color.RED, Color.BLUE, Color.RED, Level.LOW], registry)
    assert data.hex().endswith(
        "5191" + "43" + "11" + b"com.example.Level".hex() + "91046e616d6561034c4f57"
    )
    assert b"\x04Blue" in data
    assert decode(data, registry) == [Color.RED, Color.BLUE, Color.RED, Level.LOW]
    assert decode(data)[1] == Record("com.example.Color", {"name": "Blue"})


def test_an_unknown_constant_is_an_error() -> None:
    """By name, with the enum's class."""
    with pytest.raises(DecodeError, match=r"com\.example\.Color has no constant 'GREEN'"):
        decode(_sent("com.example.Color", name="GREEN"), TypeRegistry([Color]))


def test_generic_classes_follow_their_arguments() -> None:
    """`Page[Long]` writes longs and reads plain ints; the bare class knows nothing of T."""
    registry = TypeRegistry()
    longs = registry.type_of(Page[Long])
    users = registry.type_of(Page[User])
    assert longs.descriptor == "Lcom/example/Page;"
    data = encode(Page([1, 2], 3), registry, longs)
    assert data.hex().endswith("e3" + "7ae1e2") or data.hex().endswith("7ae1e2" + "e3")
    found = decode(data, registry, longs)
    assert found == Page([1, 2], 3)
    assert [type(one) for one in [*found.items, found.first]] == [int] * 3
    page = Page([User(1, "Ann")])
    assert decode(encode(page, registry, users), registry, users) == page


def test_a_subclass_of_a_generic_class_binds_its_variable() -> None:
    """`class LongPage(Page[Long])` has a list of longs."""
    registry = TypeRegistry([LongPage])
    data = encode(LongPage([1], 2, "x"), registry)
    assert b"\x79\xe1" in data
    found = decode(data, registry)
    assert found == LongPage([1], 2, "x")
    assert type(found.items[0]) is int


def test_two_classes_of_one_java_name_are_refused() -> None:
    """Within one registry; two registries may differ."""

    @pojo("com.example.User")
    @dataclass
    class Other:
        x: int = 0

    with pytest.raises(UsageError, match=r"both stand for com\.example\.User"):
        TypeRegistry([User, Other])
    assert decode(_sent("com.example.User", x=1), TypeRegistry([Other])) == Other(1)


def test_two_fields_of_one_java_name_are_refused() -> None:
    """A rename that collides is found when the class is registered."""

    @pojo("com.example.Twice", rename={"b": "a"})
    @dataclass
    class Twice:
        a: int = 0
        b: int = 0

    with pytest.raises(UsageError, match="same Java name"):
        TypeRegistry([Twice])


def test_unmarked_classes_are_refused_with_the_way_out() -> None:
    """When registered, and when written."""

    @dataclass
    class Plain:
        x: int = 0

    class Shade(Enum):
        DARK = 1

    with pytest.raises(UsageError, match=r"@kubbo\.pojo"):
        TypeRegistry([Plain])
    for value in (Plain(), Shade.DARK, ValueError("x")):
        with pytest.raises(EncodeError, match=r"@kubbo\.pojo") as caught:
            encode([value])
        assert caught.value.path == "[0]"
    with pytest.raises(UsageError, match="no Java class name"):
        pojo("com..example")


def test_camel_case_is_javas_name_of_a_field() -> None:
    """Underscores join words; outer ones are Python's own."""
    java_class = pojo("a.B")
    made = java_class(type("B", (), {}))
    name = made.__dict__["__kubbo_java__"].field_name
    assert [name(one) for one in ("full_name", "x", "class_", "_a_b", "url2", "aB")] == [
        "fullName",
        "x",
        "class",
        "aB",
        "url2",
        "aB",
    ]


def test_a_name_that_was_parsed_before_its_class_was_registered_finds_the_class() -> None:
    """The order of the two does not matter."""
    registry = TypeRegistry()
    assert registry.parse("com.example.User[]").name == "com.example.User[]"
    registry.type_of(User)
    data = encode([User(1, "Ann")], registry, registry.parse("com.example.User[]"))
    assert decode(data, registry) == [User(1, "Ann")]


def test_one_message_shares_its_tables_over_all_its_values() -> None:
    """Class definitions, types and references run through a writer and a reader."""
    registry = TypeRegistry([User])
    user = User(1, "Ann")
    writer = Writer(registry)
    writer.write(user)
    first = len(writer.getvalue())
    writer.write(user)
    writer.write(User(2, "Bob"))
    data = writer.getvalue()
    assert data[first : first + 2].hex() == "5190"
    assert data.count(b"com.example.User") == 1
    reader = Reader(data, registry)
    one, two, three = reader.read(), reader.read(), reader.read()
    assert one is two
    assert three == User(2, "Bob")
    assert reader.at_end


def test_raw_bytes_are_written_as_they_are() -> None:
    """For values that were encoded before."""
    writer = Writer(TypeRegistry())
    writer.write(1)
    writer.write_raw(encode("a"))
    assert writer.getvalue().hex() == "910161"


def test_a_record_is_read_changed_compared_and_shown_in_bounded_size() -> None:
    """It is a plain thing, whatever a peer put into it."""
    record = Record("a.B", {"x": "y" * 10_000})
    assert len(repr(record)) < 2_000
    record.fields["x"] = 1
    assert record == Record("a.B", {"x": 1})
    assert record != Record("a.C", {"x": 1})
    assert record != {"x": 1}
    assert repr(record) == "a.B(x=1)"
    assert Record("a.B") == Record("a.B", {})


def test_what_is_shown_is_bounded_whatever_the_shape() -> None:
    """Twenty-two levels of one shared list would be 25 MB as `repr`."""
    value: list[Any] = []
    for _ in range(40):
        value = [value, value]
    assert len(render(value)) < 5_000
    assert len(render({str(n): 2**4000 for n in range(1000)})) < 5_000
    assert len(render([JavaMap.of({"k" * 10_000: b"x" * 10_000}, "a.M")] * 100)) < 5_000


def test_typed_values_survive_copy_and_pickle() -> None:
    """They keep what they remember of Java."""
    stamp = JavaDatetime.of(JavaDatetime(2024, 1, 1), "java.time.ZonedDateTime", zone="Z")
    for value in (JavaList.of([1], "a.L"), JavaMap.of({"k": 1}, "a.M"), stamp):
        for again in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert again == value
            assert type(again) is type(value)
            assert again.java_type == value.java_type
