"""Hints of a service's methods, through the messages of a call and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NotRequired, Protocol, TypedDict, TypeVar

from pydantic import BaseModel, Field

import kubbo
from kubbo.java import Long, pojo
from kubbo.model import Deadline, Invocation, Signature
from kubbo.rpc.service import read_interface
from kubbo.wire.dubbo2 import Dubbo2Codec

if TYPE_CHECKING:
    from kubbo.wire.hessian2 import TypeRegistry

T = TypeVar("T")


@pojo("com.example.Item", rename={"kind": "itemKind"})
@dataclass
class Item:
    item_id: Long
    kind: str = ""


@pojo("com.example.BigItem")
@dataclass
class BigItem(Item):
    weight: Long = 0


@pojo("com.example.Page")
@dataclass
class Page(Generic[T]):
    items: list[T] = field(default_factory=list)
    first: T | None = None


@pojo("com.example.Query")
class Query(TypedDict):
    max_price: Long
    text: NotRequired[str]


class Options(TypedDict, total=False):
    limit: Long


@pojo("com.example.Customer")
class Customer(BaseModel):
    customer_id: Long
    name: str = Field(alias="fullName", max_length=10)


@kubbo.service("com.example.Shop", version="1.0.0")
class Shop(Protocol):
    @kubbo.method(name="find")
    async def find_by_id(self, item_id: Long) -> Item: ...
    @kubbo.method(name="find")
    async def find_by_query(self, query: Query, options: Options) -> Page[Item]: ...
    @kubbo.method(name="find")
    async def find_numbers(self, page: Page[Long]) -> Page[Long]: ...
    async def register(self, customer: Customer) -> Customer: ...


INTERFACE = read_interface(Shop)


class _Served:
    def find(
        self, interface: str, version: str, method: str, types: str
    ) -> tuple[Signature, TypeRegistry]:
        assert (interface, version) == ("com.example.Shop", "1.0.0")
        [found] = [
            each.signature
            for each in INTERFACE.methods.values()
            if (each.signature.name, each.signature.types) == (method, types)
        ]
        return found, INTERFACE.registry


def _call(method: str, *arguments: Any, answer: Any) -> tuple[list[Any], Any]:
    """What the provider is given, and what its answer is to the consumer."""
    codec = Dubbo2Codec(INTERFACE.registry)
    signature = INTERFACE.methods[method].signature
    invocation = Invocation(INTERFACE.key, signature, arguments, Deadline(10.0))
    received = codec.decode_request(codec.encode_request(invocation, 1.0), _Served())
    assert received.signature is signature
    payload = codec.encode_result(received, answer, {})
    return list(received.arguments), codec.decode_response(payload, invocation).value


def test_overloads_are_told_apart_by_their_hints() -> None:
    """Three methods of one Java name; a subclass arrives as itself, renamed fields included."""
    given, answered = _call("find_by_id", 2**40, answer=BigItem(1, "book", weight=2**40))
    assert given == [2**40]
    assert answered == BigItem(1, "book", weight=2**40)


def test_typed_dicts_and_generic_classes_are_arguments_and_results() -> None:
    """An object, a map and a page of dataclasses."""
    query: Query = {"max_price": 5, "text": "b"}
    page = Page([Item(1, "a"), BigItem(2)], Item(3))
    given, answered = _call("find_by_query", query, {"limit": 3}, answer=page)
    assert given == [query, {"limit": 3}]
    assert [type(one) for one in given] == [dict, dict]
    assert answered == page
    given, answered = _call("find_numbers", Page([1, 2], 3), answer=Page([4]))
    assert (given, answered) == ([Page([1, 2], 3)], Page([4]))
    assert {type(one) for one in (*given[0].items, given[0].first)} == {int}


def test_models_are_arguments_and_results() -> None:
    """Both ends have validated ones."""
    ann = Customer(customer_id=1, fullName="Ann")
    given, answered = _call("register", ann, answer=ann)
    assert given == [ann]
    assert answered == ann
    assert given[0] is not ann
