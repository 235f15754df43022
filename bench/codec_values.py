"""The three messages of the codec benchmark: a small object, a list of 1,000, a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubbo.java import Double, Long, pojo

DIRECTIONS = ("encode", "decode")


@pojo("com.example.bench.User")
@dataclass
class User:
    id: Long
    name: str
    age: int
    email: str
    active: bool


@pojo("com.example.bench.Address")
@dataclass
class Address:
    street: str
    city: str
    zip: int


@pojo("com.example.bench.Item")
@dataclass
class Item:
    sku: str
    quantity: int
    price: Double


@pojo("com.example.bench.Order")
@dataclass
class Order:
    id: Long
    customer: User
    shipping: Address
    billing: Address
    items: list[Item]
    tags: dict[str, str]
    note: str | None


def user(number: int) -> User:
    return User(2**33 + number, f"user {number}", 20 + number % 50, f"u{number}@example.com", True)


ADDRESS = Address("1 Main Street", "Springfield", 12_345)
ORDER = Order(
    4_711,
    user(1),
    ADDRESS,
    ADDRESS,  # shared: Hessian and pickle write it once
    [Item(f"sku-{number}", number, number * 1.25) for number in range(9)],
    {"channel": "web", "region": "eu"},
    None,
)
MESSAGES: dict[str, tuple[Any, Any]] = {
    "small": (user(1), User),
    "list of 1,000": ([user(number) for number in range(1_000)], list[User]),
    "graph": (ORDER, Order),
}
