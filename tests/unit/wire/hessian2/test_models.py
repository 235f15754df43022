"""Pydantic models as Java objects."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar

import pytest
from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError, field_validator

from kubbo.errors import DecodeError, EncodeError, UsageError
from kubbo.java import Array, Key, Long, Record, pojo
from kubbo.wire.hessian2 import TypeRegistry, decode, encode
from kubbo.wire.hessian2.jsonform import from_json, to_json
from kubbo.wire.hessian2.mapform import from_map_form, to_map_form

T = TypeVar("T")


@pojo("com.example.Color")
class Color(Enum):
    RED = 1


@pojo("com.example.Base")
class Base(BaseModel):
    base_id: Long = 0


@pojo("com.example.User", rename={"nick": "nickName2"})
class User(Base):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=5)
    nick: str = ""
    mail: str | None = Field(default=None, alias="emailAddress")
    color: Color | None = None
    total: Decimal = Decimal(0)
    ages: list[Long] = []
    scores: Array[float] = []
    friend: User | None = None

    @field_validator("nick")
    @classmethod
    def _fine(cls, value: str) -> str:
        if value == "bug":
            raise RuntimeError("a bug in a validator")
        return value.lower()


class Page(BaseModel, Generic[T]):
    items: list[T] = []


@pojo("com.example.LongPage")
class LongPage(Page[Long]):
    note: str = ""


def _user() -> User:
    return User(
        base_id=7,
        name="Ann",
        emailAddress="a@example.com",
        color=Color.RED,
        total=Decimal("1.50"),
        ages=[1, 2**40],
        scores=[0.5],
        friend=User(name="Bob", nick="b"),
    )


def test_a_model_is_an_object_by_its_aliases_and_camel_case() -> None:
    """Own fields, then the ancestor's, each of its Java type."""
    data = encode(_user())
    found = decode(data)
    assert isinstance(found, Record)
    assert list(found.fields) == [
        "friend", "scores", "ages", "total", "color", "baseId", "emailAddress", "nickName2", "name",
    ]  # fmt: skip
    assert found["baseId"] == 7
    assert encode(found) == data


def test_a_model_comes_back_validated() -> None:
    """Validators run on what a peer sent; nested models and enums are themselves."""
    registry = TypeRegistry([User])
    found = decode(encode(_user(), registry), registry)
    assert found == _user()
    assert found.model_fields_set >= {"name", "mail"}
    sent = Record("com.example.User", {"name": "Ann", "nickName2": "LOUD", "unknown": 1})
    assert decode(encode(sent), registry) == User(name="Ann", nick="loud")
    kind = registry.type_of(User)
    assert decode(encode({"name": "Ann", "baseId": 3}), registry, kind) == User(
        name="Ann", base_id=3
    )


def test_a_subclass_of_a_generic_model_binds_its_variable() -> None:
    """`class LongPage(Page[Long])` has a list of longs."""
    registry = TypeRegistry([LongPage])
    data = encode(LongPage(items=[1], note="x"), registry)
    assert b"\x79\xe1" in data
    assert decode(data, registry) == LongPage(items=[1], note="x")


@pytest.mark.parametrize(
    ("fields", "path", "text", "cause"),
    [
        ({"name": "much too long"}, "[0].name", "at most 5 characters", ValidationError),
        ({}, "[0].name", "Field required", ValidationError),
        ({"name": None}, "[0].name", "valid string", ValidationError),
        ({"name": "x", "emailAddress": 5}, "[0].mail", "expected java.lang.String", None),
        ({"name": "x", "nickName2": "bug"}, "[0]", "RuntimeError", RuntimeError),
        (
            {"name": "x", "friend": Record("com.example.User", {"name": "much too long"})},
            "[0].friend.name",
            "at most 5",
            ValidationError,
        ),
    ],
)
def test_what_a_model_refuses_is_a_decode_error_that_names_the_field(
    fields: dict[str, Any], path: str, text: str, cause: type[Exception] | None
) -> None:
    """By Python's name, whatever the alias; what the validator raised is the cause."""
    registry = TypeRegistry([User])
    with pytest.raises(DecodeError, match=text) as caught:
        decode(encode([Record("com.example.User", fields)]), registry)
    assert caught.value.path == path
    found = caught.value.__cause__
    assert (found is None) if cause is None else (type(found) is cause)


def test_a_model_within_itself_is_refused() -> None:
    """It cannot be validated before it is there; where nothing is declared it is a record."""
    registry = TypeRegistry([User])
    record = Record("com.example.User", {"name": "x"})
    record.fields["friend"] = record
    with pytest.raises(DecodeError, match="within itself"):
        decode(encode(record), registry)
    source: dict[str, Any] = {"name": "x"}
    source["friend"] = source
    with pytest.raises(DecodeError, match="within itself"):
        decode(encode(source), registry, registry.type_of(User))


def test_a_shared_model_stays_one() -> None:
    """By reference, and through a map."""
    registry = TypeRegistry([User])
    user = User(name="x")
    found = decode(encode([user, user]), registry)
    assert found[0] is found[1]
    shared = {"name": "x"}
    kind = registry.type_of(list[User])
    found = decode(encode([shared, shared]), registry, kind)
    assert found[0] is found[1]


def test_a_frozen_model_as_a_key_is_measured_as_a_dataclass_is() -> None:
    """Hashing visits shared parts again and again: 2**30 visits here."""

    @pojo("com.example.Pair")
    class Pair(BaseModel):
        model_config = ConfigDict(frozen=True)
        left: Any = None
        right: Any = None

    pair = Pair(left=1, right=1)
    assert decode(encode({pair: 1}), TypeRegistry([Pair])) == {pair: 1}
    for _ in range(30):
        pair = Pair(left=pair, right=pair)
    with pytest.raises(DecodeError, match="more than 64 parts"):
        decode(encode({Key(pair): 1}), TypeRegistry([Pair]))


def test_models_are_bounded_by_what_they_cost() -> None:
    """Ten thousand models in ten thousand bytes are refused."""

    @pojo("com.example.Empty")
    class Empty(BaseModel):
        x: int = 0

    data = b"\x57C\x11com.example.Empty\x90" + b"\x60" * 10_000 + b"Z"
    with pytest.raises(DecodeError, match="what is declared makes more"):
        decode(data, TypeRegistry([Empty]))


def test_json_and_the_map_form_know_models() -> None:
    """As command lines and generic callers write them, validated both times."""
    registry = TypeRegistry([User])
    kind = registry.type_of(User)
    shown = to_map_form(_user(), kind, registry)
    assert shown["class"] == "com.example.User"
    assert shown["emailAddress"] == "a@example.com"
    assert from_map_form(shown, kind, registry) == _user()
    assert from_json(to_json(_user()), kind, registry) == _user()
    with pytest.raises(DecodeError, match="at most 5"):
        from_map_form({"name": "much too long"}, kind, registry)
    with pytest.raises(EncodeError, match="at most 5"):
        from_json({"name": "much too long"}, kind, registry)


def test_a_model_that_cannot_be_prepared_is_the_users_mistake() -> None:
    """No mark, a path as alias, a hint that is not known."""

    class Unmarked(BaseModel):
        x: int

    @pojo("com.example.Path")
    class Path(BaseModel):
        x: int = Field(validation_alias=AliasPath("a", 0))

    @pojo("com.example.Unknown")
    class Unknown(BaseModel):
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821 - that is the case

    for cls, text in ((Unmarked, "no Java name"), (Path, "is a path"), (Unknown, "Nowhere")):
        with pytest.raises(UsageError, match=text):
            TypeRegistry().type_of(cls)


def test_pydantic_is_not_imported_by_kubbo() -> None:
    """Only who has models pays for it."""
    code = "import sys, kubbo.rpc.channel, kubbo.wire.hessian2; print('pydantic' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
