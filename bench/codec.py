"""Encoding and decoding in one process: microseconds a message, both codecs and their peers.

Three messages: one small object, a list of 1,000 of them, and a nested graph of objects in which
one is shared. `pure` and `native` are Kubbo's codecs, dataclasses both ways, with default limits.
The peers get what they take: msgpack and orjson the same data as dicts, pickle the dataclasses,
protobuf a message (`protobuf`: message and bytes only; `protobuf+python`: made of and read into
dataclasses too). python-hessian reads the same bytes; it writes Hessian 1, so it is not asked to.
The peers take turns within each round, results are dropped, and the medians are compared.
"""

from __future__ import annotations

import gc
import json
import pickle
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubbo.java import Double, Long, pojo
from kubbo.wire import codec_name, native
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer
from kubbo.wire.hessian2.reader import Reader as PureReader
from kubbo.wire.hessian2.writer import Writer as PureWriter

RESULTS = Path(__file__).parent / "results" / "codec.json"
PEERS = (
    "pure",
    "native",
    "msgpack",
    "orjson",
    "pickle",
    "protobuf",
    "protobuf+python",
    "python-hessian",
)
DIRECTIONS = ("encode", "decode")
Task = Callable[[], object]


@pojo("com.example.User")
@dataclass
class User:
    id: Long
    name: str
    age: int
    email: str
    active: bool


@pojo("com.example.Address")
@dataclass
class Address:
    street: str
    city: str
    zip: int


@pojo("com.example.Item")
@dataclass
class Item:
    sku: str
    quantity: int
    price: Double


@pojo("com.example.Order")
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
REGISTRY = TypeRegistry([User, Order])


# ------------------------------------------------------------------ what each peer does


def kubbo_tasks(reader: Any, writer: Any, value: Any, hint: Any) -> tuple[Task, Task]:
    java_type = REGISTRY.type_of(hint)

    def encode() -> bytes:
        message = writer(REGISTRY)
        message.write(value, java_type)
        return message.getvalue()

    data = encode()

    def decode() -> object:
        return reader(data, REGISTRY).read(java_type)

    assert decode() == value
    return encode, decode


def plain(value: Any) -> Any:
    return [asdict(one) for one in value] if isinstance(value, list) else asdict(value)


def dict_tasks(dumps: Callable[[Any], bytes], loads: Any, value: Any) -> tuple[Task, Task]:
    data = dumps(value)
    return lambda: dumps(value), lambda: loads(data)


def protobuf_classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    int64, int32, string, double, boolean, message = 3, 5, 9, 1, 8, 11
    file = descriptor_pb2.FileDescriptorProto(name="codec.proto", package="codec", syntax="proto3")

    def add(name: str, /, **fields: Any) -> None:
        made = file.message_type.add(name=name)
        for number, (field, (kind, label, type_name)) in enumerate(fields.items(), 1):
            given = {"type_name": type_name} if type_name else {}
            made.field.add(name=field, number=number, type=kind, label=label, **given)

    def one(kind: int, type_name: str = "") -> tuple[int, int, str]:
        return kind, 1, type_name

    add(
        "User",
        id=one(int64), name=one(string), age=one(int32), email=one(string), active=one(boolean),
    )  # fmt: skip
    add("Address", street=one(string), city=one(string), zip=one(int32))
    add("Item", sku=one(string), quantity=one(int32), price=one(double))
    add("Users", users=(message, 3, ".codec.User"))
    add(
        "Order",
        id=one(int64),
        customer=one(message, ".codec.User"),
        shipping=one(message, ".codec.Address"),
        billing=one(message, ".codec.Address"),
        items=(message, 3, ".codec.Item"),
        tags=(message, 3, ".codec.Order.TagsEntry"),
        note=one(string),
    )
    entry = next(one for one in file.message_type if one.name == "Order").nested_type.add(
        name="TagsEntry"
    )
    entry.field.add(name="key", number=1, type=string, label=1)
    entry.field.add(name="value", number=2, type=string, label=1)
    entry.options.map_entry = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessages([file], pool=pool)
    return {name.rpartition(".")[2]: cls for name, cls in found.items()}


def protobuf_tasks(value: Any) -> dict[str, tuple[Task, Task]]:
    classes = protobuf_classes()

    def to_user(one: User) -> Any:
        return classes["User"](
            id=one.id, name=one.name, age=one.age, email=one.email, active=one.active
        )

    def from_user(one: Any) -> User:
        return User(one.id, one.name, one.age, one.email, one.active)

    def to_address(one: Address) -> Any:
        return classes["Address"](street=one.street, city=one.city, zip=one.zip)

    def from_address(one: Any) -> Address:
        return Address(one.street, one.city, one.zip)

    def to_message() -> Any:
        if isinstance(value, User):
            return to_user(value)
        if isinstance(value, list):
            return classes["Users"](users=map(to_user, value))
        items = [
            classes["Item"](sku=one.sku, quantity=one.quantity, price=one.price)
            for one in value.items
        ]
        return classes["Order"](
            id=value.id,
            customer=to_user(value.customer),
            shipping=to_address(value.shipping),
            billing=to_address(value.billing),
            items=items,
            tags=value.tags,
        )

    def from_message(one: Any) -> Any:
        if isinstance(value, User):
            return from_user(one)
        if isinstance(value, list):
            return [from_user(each) for each in one.users]
        return Order(
            one.id,
            from_user(one.customer),
            from_address(one.shipping),
            from_address(one.billing),
            [Item(each.sku, each.quantity, each.price) for each in one.items],
            dict(one.tags),
            one.note or None,
        )

    message = to_message()
    data = message.SerializeToString()
    parse = type(message).FromString
    assert from_message(parse(data)) == value
    return {
        "protobuf": (message.SerializeToString, lambda: parse(data)),
        "protobuf+python": (
            lambda: to_message().SerializeToString(),
            lambda: from_message(parse(data)),
        ),
    }


def python_hessian(value: Any, hint: Any) -> Task:
    from pyhessian.parser import Parser

    writer = PureWriter(REGISTRY)
    writer.write(value, REGISTRY.type_of(hint))
    reply = b"H\x02\x00R" + writer.getvalue()

    def decode() -> object:
        return Parser().parse_string(reply)

    found: Any = decode()
    first, same = (found.value[0], value[0]) if isinstance(value, list) else (found.value, value)
    assert first.id == same.id
    return decode


def tasks(value: Any, hint: Any) -> dict[tuple[str, str], Task]:
    import msgpack
    import orjson

    pairs = {
        "pure": kubbo_tasks(PureReader, PureWriter, value, hint),
        "msgpack": dict_tasks(msgpack.packb, msgpack.unpackb, plain(value)),
        "orjson": dict_tasks(orjson.dumps, orjson.loads, plain(value)),
        "pickle": dict_tasks(pickle.dumps, pickle.loads, value),
        **protobuf_tasks(value),
    }
    if native is not None:
        pairs["native"] = kubbo_tasks(Reader, Writer, value, hint)
    found = {
        (peer, direction): task
        for peer, pair in pairs.items()
        for direction, task in zip(DIRECTIONS, pair, strict=True)
    }
    found["python-hessian", "decode"] = python_hessian(value, hint)
    return found


# ------------------------------------------------------------------ measuring


def seconds_a_call(task: Task, calls: int) -> float:
    clock = time.perf_counter
    begun = clock()
    for _ in range(calls):
        task()
    return (clock() - begun) / calls


def measure(rounds: int, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Microseconds by message, peer and direction."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for message, (value, hint) in MESSAGES.items():
        todo = tasks(value, hint)
        calls = {}
        for key, task in todo.items():
            task()
            calls[key] = max(1, int(seconds / max(seconds_a_call(task, 3), 1e-7)))
        runs: dict[tuple[str, str], list[float]] = {key: [] for key in todo}
        for number in range(rounds):
            print(f"{message}: round {number + 1} of {rounds}", file=sys.stderr)
            for key, task in todo.items():
                gc.collect()
                runs[key].append(seconds_a_call(task, calls[key]))
        found[message] = {peer: {} for peer in PEERS}
        for (peer, direction), each in runs.items():
            found[message][peer][direction] = statistics.median(each) * 1e6
    return found


def run(*, quick: bool = False) -> None:
    found = measure(*((1, 0.01) if quick else (7, 0.2)))
    if native is None:
        print("the compiled codec is not here (make native, or KUBBO_PURE is set)")
    for direction in DIRECTIONS:
        print(f"\n{direction}, us a message (and times native's)")
        print(f"  {'':16}" + "".join(f"{message:>24}" for message in MESSAGES))
        for peer in PEERS:
            line = f"  {peer:16}"
            for message in MESSAGES:
                spent = found[message][peer].get(direction)
                base = found[message]["native"].get(direction)
                shown = "-" if spent is None else f"{spent:,.2f}"
                shown += f" ({spent / base:.2f})" if spent and base else ""
                line += f"{shown:>24}"
            print(line)
    if not quick:
        about = {
            "codec": codec_name(),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**about, "us": found}, indent=1) + "\n")
        print(f"\nwritten to bench/results/{RESULTS.name}")
