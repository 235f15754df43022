"""Encoding and decoding: microseconds of CPU time a message, both codecs and their peers.

Three messages: one small object, a list of 1,000 of them, and a nested graph of objects in which
one is shared. `pure` and `native` are Kubbo's codecs, dataclasses both ways, with default limits.
The peers get what they take: msgpack and orjson the same data as dicts, pickle the dataclasses,
protobuf a message (`protobuf`: message and bytes only; `protobuf+python`: made of and read into
dataclasses too). Other Hessian2 codecs read and write the same bytes in processes of their own
(codec_peers.py), and what they cannot do is listed with the reason. All take turns within each
round, results are dropped, and the best rounds are compared. CPU time is that of the process,
garbage collection and compilers included: a busy machine changes it little.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import codec_peers
from bench.codec_peers import LeftOut, Peer
from bench.codec_values import DIRECTIONS, MESSAGES, Address, Item, Order, User
from bench.rpc import about
from kubbo.wire import native
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
    *codec_peers.NAMES,
)
Task = Callable[[], object]
Sample = Callable[[], float]

REGISTRY = TypeRegistry([User, Order])


# ------------------------------------------------------------------ what each peer does


def kubbo_tasks(
    reader: type[Reader | PureReader], writer: type[Writer | PureWriter], value: Any, hint: Any
) -> tuple[Task, Task]:
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
    return {
        (peer, direction): task
        for peer, pair in pairs.items()
        for direction, task in zip(DIRECTIONS, pair, strict=True)
    }


# ------------------------------------------------------------------ measuring


def seconds_a_call(task: Task, calls: int) -> float:
    clock = time.process_time
    begun = clock()
    for _ in range(calls):
        task()
    return (clock() - begun) / calls


Found = dict[str, dict[str, dict[str, float]]]
"""By message, peer and direction."""
Reasons = dict[str, dict[str, dict[str, str]]]


def load(peer: Peer, message: str) -> dict[str, str]:
    """The directions that a peer cannot do, each with the reason."""
    value, hint = MESSAGES[message]
    java_type = REGISTRY.type_of(hint)
    writer = PureWriter(REGISTRY)
    writer.write(value, java_type)
    class_name = (
        "java.util.List" if isinstance(value, list) else f"com.example.bench.{hint.__name__}"
    )

    def same(data: bytes) -> bool:
        reader = PureReader(data, REGISTRY)
        return bool(reader.read(java_type) == value) and reader.at_end

    return peer.load(message, writer.getvalue(), class_name, same)


def own_samples(message: str, seconds: float) -> dict[tuple[str, str], Sample]:
    """For each peer of this process and direction: seconds a call, measured when called."""
    found: dict[tuple[str, str], Sample] = {}
    for key, task in tasks(*MESSAGES[message]).items():
        task()
        calls = max(1, int(seconds / max(seconds_a_call(task, 3), 1e-7)))
        found[key] = functools.partial(seconds_a_call, task, calls)
    return found


def measure(rounds: int, seconds: float) -> tuple[Found, Reasons, dict[str, str]]:
    """Microseconds; what was left out and why; and the versions of the peers."""
    found: Found = {message: {peer: {} for peer in PEERS} for message in MESSAGES}
    left_out: Reasons = {message: {} for message in MESSAGES}
    titles: dict[str, str] = {}
    with ExitStack() as stack:
        peers: list[Peer] = []
        for name in codec_peers.NAMES:
            try:
                peer = Peer(name)
            except LeftOut as error:
                for message in MESSAGES:
                    left_out[message][name] = dict.fromkeys(DIRECTIONS, str(error))
                continue
            stack.callback(peer.close)
            peers.append(peer)
            titles[name] = peer.title
        for message in MESSAGES:
            samples = own_samples(message, seconds)
            for peer in peers:
                reasons = load(peer, message)
                if reasons:
                    left_out[message][peer.name] = reasons
                for direction in DIRECTIONS:
                    if direction not in reasons:
                        print(f"{message}: warming up {peer.name}", file=sys.stderr)
                        peer.warm_up(direction, message, quick=rounds == 1)
                        samples[peer.name, direction] = functools.partial(
                            peer.seconds_a_call, direction, message, seconds
                        )
            runs: dict[tuple[str, str], list[float]] = {key: [] for key in samples}
            for number in range(rounds):
                print(f"{message}: round {number + 1} of {rounds}", file=sys.stderr)
                for key, sample in samples.items():
                    gc.collect()
                    runs[key].append(sample())
            for (name, direction), each in runs.items():
                found[message][name][direction] = min(each) * 1e6
    return found, left_out, titles


def run(*, quick: bool = False) -> None:
    load_before = os.getloadavg()[0]
    found, left_out, titles = measure(*((1, 0.01) if quick else (7, 0.08)))
    if native is None:
        print("the compiled codec is not here (make native, or KUBBO_PURE is set)")
    for direction in DIRECTIONS:
        base_name = "pure" if native is None else "native"
        print(f"\n{direction}, us a message (and times {base_name}'s)")
        print(f"  {'':17}" + "".join(f"{message:>24}" for message in MESSAGES))
        for peer in PEERS:
            line = f"  {peer:17}"
            for message in MESSAGES:
                spent = found[message][peer].get(direction)
                base = found[message][base_name][direction]
                shown = "-" if spent is None else f"{spent:,.2f} ({spent / base:.2f})"
                line += f"{shown:>24}"
            print(line)
    if any(left_out.values()):
        print("\nleft out")
        for message, by_peer in left_out.items():
            for peer, reasons in by_peer.items():
                for direction, reason in reasons.items():
                    print(f"  {peer}, {message}, {direction}: {reason}")
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        written = {**about(load_before), "peers": titles, "us": found, "left_out": left_out}
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")
        print(f"\nwritten to bench/results/{RESULTS.name}")
