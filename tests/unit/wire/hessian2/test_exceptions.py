"""Java's throwables as Python exceptions, and the other way round."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from typing import Any

import pytest

from kubbo.errors import RemoteException
from kubbo.java import JavaList, Long, Record, pojo
from kubbo.wire.hessian2 import TypeRegistry, decode, encode
from kubbo.wire.hessian2.exceptions import from_exception, to_exception

# `new BizException("boom")` with one frame, written by hessian-lite 4.0.4.
JAVA = (
    "431250726f62652442697a457863657074696f6e951473757070726573736564457863657074696f6e730a737461"
    "636b54726163650563617573650d64657461696c4d65737361676504636f646560701f6a6176612e7574696c2e43"
    "6f6c6c656374696f6e7324456d7074794c697374711c5b6a6176612e6c616e672e537461636b5472616365456c65"
    "6d656e74431b6a6176612e6c616e672e537461636b5472616365456c656d656e749806666f726d61740a6c696e65"
    "4e756d6265720866696c654e616d650a6d6574686f644e616d650e6465636c6172696e67436c6173730d6d6f6475"
    "6c6556657273696f6e0a6d6f64756c654e616d650f636c6173734c6f616465724e616d656190930163016201614e"
    "4e4e519004626f6f6d97"
)


@pojo("Probe$BizException")
class BizException(Exception):  # noqa: N818 - as Java calls it
    code: int = 0
    total: Long = 5

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NarrowException(BizException):
    pass


@pojo("com.example.DataException", rename={"text": "detailMessage"})
@dataclass
class DataException(Exception):  # noqa: N818 - as Java calls it
    text: str
    tags: list[str]


def test_a_registered_exception_arrives_as_its_class() -> None:
    """Message, own fields, defaults for missing ones, the remote stack as a note."""
    found = to_exception(decode(bytes.fromhex(JAVA), TypeRegistry([BizException])))
    assert type(found) is BizException
    assert str(found) == "boom"
    assert (found.code, found.total) == (7, 5)
    assert found.__cause__ is None
    assert found.__notes__ == ["remote stack:\n  at a.b(c:3)"]


def test_an_unregistered_exception_arrives_as_remote_exception() -> None:
    """With class, message, stack and the other fields; its cause is itself, so none."""
    found = to_exception(decode(bytes.fromhex(JAVA)))
    assert isinstance(found, RemoteException)
    assert found.class_name == "Probe$BizException"
    assert found.message == "boom"
    assert found.stack == ("a.b(c:3)",)
    assert found.fields == {"code": 7}
    assert found.cause is None


def test_causes_become_a_chain() -> None:
    """Records, registered ones, and mixtures of both."""
    inner = Record("a.Inner", {"detailMessage": "deep"})
    outer = Record("a.Outer", {"detailMessage": "high", "cause": inner})
    found = to_exception(decode(encode(outer)))
    assert isinstance(found, RemoteException)
    assert found.cause is not None
    assert (found.cause.class_name, found.cause.message) == ("a.Inner", "deep")
    assert found.__cause__ is found.cause

    biz = Record("Probe$BizException", {"detailMessage": "boom", "cause": outer})
    found = to_exception(decode(encode(biz), TypeRegistry([BizException])))
    assert type(found) is BizException
    assert isinstance(found.__cause__, RemoteException)
    assert found.__cause__.class_name == "a.Outer"

    mixed = Record("a.Outer", {"cause": Record("Probe$BizException", {"detailMessage": "boom"})})
    found = to_exception(decode(encode(mixed), TypeRegistry([BizException])))
    assert isinstance(found, RemoteException)
    assert found.cause is not None
    assert type(found.cause.__cause__) is BizException


def test_a_chain_of_causes_that_never_ends_is_cut() -> None:
    """Two exceptions that are each other's cause; and a hundred of them."""
    one = Record("a.One", {"detailMessage": "1"})
    one.fields["cause"] = Record("a.Two", {"detailMessage": "2", "cause": one})
    step: RemoteException | None = to_exception(one)  # type: ignore[assignment]
    names = []
    while step is not None:
        names.append(step.class_name)
        step = step.cause
    assert names == ["a.One", "a.Two"]

    long = Record("a.End")
    for number in range(100):
        long = Record(f"a.C{number}", {"cause": long})
    step = to_exception(long)  # type: ignore[assignment]
    count = 0
    while step is not None:
        count += 1
        step = step.cause
    assert count == 32


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, "not a throwable"),
        (None, "not a throwable"),
        ("it broke", "it broke"),
        (Record("a.B", {"detailMessage": [1], "stackTrace": "x", "cause": 5}), "a.B: [1]"),
        (Record("a.B", {"stackTrace": [1, Record("x", {"lineNumber": "n"})]}), "a.B: "),
    ],
)
def test_anything_may_stand_in_the_place_of_an_exception(value: Any, text: str) -> None:
    """A peer may send what it likes there; it is told, never raised as another error."""
    found = to_exception(value)
    assert isinstance(found, RemoteException)
    assert text in str(found)


def test_a_stack_is_bounded() -> None:
    """A thousand frames of long names are two hundred short lines."""
    frame = Record(
        "java.lang.StackTraceElement",
        {"declaringClass": "c" * 9999, "methodName": "m" * 9999, "fileName": "f", "lineNumber": 1},
    )
    stack = JavaList.of([frame] * 1000, "[java.lang.StackTraceElement")
    found = to_exception(Record("a.B", {"stackTrace": stack}))
    assert isinstance(found, RemoteException)
    assert len(found.stack) == 201
    assert max(map(len, found.stack)) <= 300


def test_thousands_of_exceptions_that_share_a_stack_cost_little() -> None:
    """A stack is made text for the one that is raised, not for each that is read."""
    frames = JavaList.of([Record("f", {"declaringClass": "c" * 200})] * 200, "[f")
    shared = Record("a.Cause", {"stackTrace": frames})
    fields = {"cause": shared, "stackTrace": frames}
    data = encode([Record("Probe$BizException", dict(fields)) for _ in range(3_000)])
    registry = TypeRegistry([BizException])
    tracemalloc.start()
    try:
        found = decode(data, registry)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    raised = to_exception(found[0])
    assert len(raised.__notes__[0].splitlines()) == 201
    assert isinstance(raised.__cause__, RemoteException)
    assert to_exception(raised) is raised
    assert len(raised.__notes__) == 1


def test_a_frame_is_shown_as_java_prints_it() -> None:
    """With file and line, native, or of an unknown source."""
    base = {"declaringClass": "a.B", "methodName": "run"}
    frames = [
        Record("f", base | {"fileName": "B.java", "lineNumber": 7}),
        Record("f", base | {"fileName": "B.java", "lineNumber": -2}),
        Record("f", base | {"fileName": None, "lineNumber": -1}),
        Record("f", base | {"fileName": "B.java", "lineNumber": -1}),
    ]
    found = to_exception(Record("a.E", {"stackTrace": frames}))
    assert isinstance(found, RemoteException)
    assert found.stack == (
        "a.B.run(B.java:7)",
        "a.B.run(Native Method)",
        "a.B.run(Unknown Source)",
        "a.B.run(B.java)",
    )


def _sent(error: BaseException) -> Record:
    found = decode(encode(from_exception(error)))
    assert isinstance(found, Record)
    return found


def test_a_marked_exception_is_sent_as_its_class() -> None:
    """Message and own fields, a Long as a long, without any stack or cause."""
    error = BizException("boom", 7)
    error.__cause__ = ValueError("inner")
    sent = _sent(error)
    assert sent.class_name == "Probe$BizException"
    assert sent.fields == {"detailMessage": "boom", "total": 5, "code": 7}
    again = decode(encode(from_exception(BizException("x", 1))), TypeRegistry([BizException]))
    assert (str(again), again.code) == ("x", 1)


def test_an_exception_that_is_a_dataclass_is_sent_with_its_fields() -> None:
    """A field may itself be Java's message."""
    sent = _sent(DataException("broken", ["a"]))
    assert sent.fields == {"detailMessage": "broken", "tags": ["a"]}
    again = decode(encode(sent), TypeRegistry([DataException]))
    assert isinstance(again, DataException)
    assert (again.text, again.tags, str(again)) == ("broken", ["a"], "broken")


def test_an_unmarked_subclass_is_sent_as_its_marked_ancestor() -> None:
    """Java knows only the ancestor."""
    sent = _sent(NarrowException("boom", 9))
    assert sent.class_name == "Probe$BizException"
    assert sent["code"] == 9


@pytest.mark.parametrize(
    ("error", "class_name", "message"),
    [
        (ValueError("x"), "java.lang.IllegalArgumentException", "ValueError: x"),
        (TypeError("x"), "java.lang.IllegalArgumentException", "TypeError: x"),
        (NotImplementedError(), "java.lang.RuntimeException", "NotImplementedError"),
        (KeyError("k"), "java.lang.RuntimeException", "KeyError: 'k'"),
        (RemoteException("a.B", "m"), "java.lang.RuntimeException", "a.B: m"),
        (SystemExit(3), "java.lang.RuntimeException", "SystemExit: 3"),
    ],
)
def test_other_exceptions_are_sent_as_what_java_accepts(
    error: BaseException, class_name: str, message: str
) -> None:
    """Classes that Dubbo's own list allows, with Python's name in the message."""
    assert _sent(error) == Record(class_name, {"detailMessage": message})


class _Mute(Exception):  # noqa: N818 - its text is the point
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [
        _Mute(1, 2),
        BizException("boom", "no number"),  # type: ignore[arg-type]
        BizException("boom", 2**40),
        ValueError("x" * 10_000_000),
        ValueError("\ud800"),
        BizException("x" * 10_000_000, 1),
    ],
    ids=["no text", "wrong field", "field too large", "long text", "surrogate", "long message"],
)
def test_an_exception_of_a_handler_never_fails_to_encode(error: BaseException) -> None:
    """Whatever its class does, a caller hears of it, in bounded size."""
    assert len(encode(from_exception(error))) < 100_000
    assert isinstance(to_exception(_sent(error)), RemoteException)
