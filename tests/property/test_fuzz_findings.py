"""What fuzzing found, each as the input that showed it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest
from fuzz.oracle import peak_heap

from kubbo.errors import DecodeError, EncodeError
from kubbo.java import pojo
from kubbo.model import Deadline, Invocation, ServiceKey, Signature
from kubbo.wire.dubbo2 import Dubbo2Session, Role
from kubbo.wire.dubbo2.body import Dubbo2Codec
from kubbo.wire.hessian2 import TypeRegistry, decode, encode
from kubbo.wire.session import Closed

SHARED = b"\x57\x7a\x90\x91" + b"".join(
    b"\x7a" + (b"\x51" + bytes([0x90 + number])) * 2 for number in range(1, 40)
)
"""A list of 40 lists, each of which holds the one before it twice; `5a` ends it. Written
out it has 2**40 items."""


def test_a_response_whose_kind_is_a_shared_list_is_told_in_a_few_words() -> None:
    """200 bytes made an error text of gigabytes: the kind of a response was shown by `str`."""
    call = Invocation(ServiceKey("a.B"), Signature("m"), (), Deadline(0))
    with pytest.raises(DecodeError, match="unknown kind") as caught:
        Dubbo2Codec().decode_response(SHARED + b"Z", call)
    assert len(str(caught.value)) < 5_000


def test_an_enum_constant_that_is_a_shared_list_is_told_in_a_few_words() -> None:
    """The same with the name of an enum's constant."""
    from fuzz.nasty import Color

    registry = TypeRegistry([Color])
    data = b"C\x11com.example.Color\x91\x04name\x60" + SHARED + b"Z"
    with pytest.raises(DecodeError, match="no constant") as caught:
        decode(data, registry)
    assert len(str(caught.value)) < 5_000


def test_the_path_of_an_error_is_short_however_long_the_names_of_fields_are() -> None:
    """A field name of 60,000 characters is cut, and so is a path of 64 steps."""
    name = b"\x53\xea\x60" + b"n" * 60_000
    with pytest.raises(DecodeError) as caught:
        decode(b"C\x01A\x91" + name + b"\x60\x40", TypeRegistry())
    assert caught.value.path.startswith("nnn")
    assert len(str(caught.value)) < 2_000
    long = b"\x30\xb4" + b"n" * 180
    with pytest.raises(DecodeError) as caught:
        decode(b"C\x01A\x91" + long + b"\x60" * 60 + b"\x40", TypeRegistry())
    assert len(str(caught.value)) < 2_000


def test_a_nested_message_that_fails_takes_little_memory() -> None:
    """89 KB for 126 bytes: the error held the frames of 64 levels, and each step's text a cycle."""
    data = b"H\x90" * 63
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert caught.value.__context__ is None

    def refuse() -> None:
        with suppress(DecodeError):
            decode(data)

    assert peak_heap(refuse) < 64 * 1024


def test_a_message_that_ends_within_nested_dates_takes_little_memory() -> None:
    """87 KB for 142 bytes: the IndexError of its end held the frames of 64 levels."""
    name = b"com.alibaba.com.caucho.hessian.io.java8.LocalDateHandle"
    data = b"C\x30\x37" + name + b"\x93\x03day\x05month\x04year" + b"\x60" * 64

    def refuse() -> None:
        with suppress(DecodeError):
            decode(data)

    refuse()
    assert peak_heap(refuse) < 32 * 1024


@pytest.mark.parametrize(
    ("definition", "each"),
    [
        (b"C\x01A\x91\x01a", b"\x60\x90"),
        (b"C\x30\x32com.alibaba.com.caucho.hessian.io.java8.YearHandle\x90", b"\x60"),
        (b"C\x30\x32com.alibaba.com.caucho.hessian.io.java8.YearHandle\x91\x01a", b"\x60\x90"),
    ],
    ids=["one field", "a year without fields", "a year of another field"],
)
def test_small_objects_take_a_hundred_times_their_bytes_at_most(
    definition: bytes, each: bytes
) -> None:
    """They took 124 and 129 times as much: each had a dict of its own."""
    data = b"\x57" + definition + each * 20_000 + b"Z"
    registry = TypeRegistry()
    decode(data, registry)
    assert peak_heap(lambda: decode(data, registry)) <= 100 * len(data) + 64 * 1024


@pytest.mark.parametrize(
    "octets",
    ["72075b646f75626c655f000005dc0161", "71055b6c6f6e674e", "72055b6c6f6e67e15c"],
    ids=["text in a double[]", "null in a long[]", "a double in a long[]"],
)
def test_an_array_of_numbers_that_holds_something_else_is_written_as_it_was(octets: str) -> None:
    """Nobody keeps a peer from it; it was read, and could not be written."""
    data = bytes.fromhex(octets)
    assert encode(decode(data)) == data


def test_a_foreign_protocol_is_told_at_its_second_byte_however_it_arrives() -> None:
    """`da` alone could be dubbo2, `da` and then `41` is not: 14 bytes more were waited for."""
    session = Dubbo2Session(Role.PROVIDER, now=0.0)
    assert session.receive_data(b"\xda", 0.0) == []
    (event,) = session.receive_data(b"\x41", 0.0)
    assert isinstance(event, Closed)


@pojo("com.example.Uneven")
@dataclass(eq=False)
class Uneven:
    """Compared by what is not there yet while the object is being read."""

    id: int
    name: str

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uneven) and self.name == other.name


def test_keys_whose_comparison_fails_are_a_decode_error() -> None:
    """A class of the user's compares two half-made objects: an AttributeError came out."""
    define = b"C\x12com.example.Uneven\x93\x02id\x04name\x05other"
    inner = b"\x60\x91" + b"\x01a" + b"N"
    data = define + b"\x60\x91" + b"H" + inner + b"\x90" + b"\x51\x90\x91Z" + b"N"
    with pytest.raises(DecodeError, match="cannot be a key"):
        decode(data, TypeRegistry([Uneven]))


def test_a_class_is_defined_once_whether_its_values_are_records_or_not() -> None:
    """An instant of whole microseconds and one of nanoseconds are of one class."""
    handle = (
        b"C\x30\x35com.alibaba.com.caucho.hessian.io.java8.InstantHandle\x92\x05nanos\x07seconds"
    )
    data = b"\x7b" + handle + b"\x60\x90\xe5" + b"\x60\x96\xe5" + b"\x60\x90\xe6"
    assert encode(decode(data)) == data


def test_a_field_of_json_that_a_class_does_not_have_is_told_in_a_few_words() -> None:
    """A key of 16,000 characters made an error of 16,000 characters."""
    from kubbo.wire.hessian2.jsonform import from_json

    registry = TypeRegistry([Uneven])
    kind = registry.type_of(Uneven)
    with pytest.raises(EncodeError, match="has no field 'nnn") as caught:
        from_json({"class": "com.example.Uneven", "n" * 16_000: 1}, kind, registry)
    assert len(str(caught.value)) < 1_000


def test_a_server_may_ask_for_any_wait() -> None:
    """A `retryAfterSeconds` of 400 digits is too large for a float; it was an OverflowError."""
    from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, decode_event
    from kubbo.naming.kubernetes.reflector import Failure

    status = b'{"kind":"Status","code":429,"details":{"retryAfterSeconds":' + b"9" * 400 + b"}}"
    event = decode_event(
        ENDPOINT_SLICES, b'{"type":"ERROR","object":' + status + b"}", "the server"
    )
    assert isinstance(event, Failure)
    assert event.retry_after == 24 * 3600
