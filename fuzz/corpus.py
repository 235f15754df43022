"""Seeds: good inputs, to be damaged. Made on demand, from the vectors and by our own writers.

For targets that need a choice besides the message (a hint, a role), the first byte of an
input makes it.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

from fuzz import nasty
from kubbo.errors import EncodeError
from kubbo.model import Deadline, Invocation, ServiceKey, Signature
from kubbo.wire.dubbo2.body import Dubbo2Codec
from kubbo.wire.hessian2 import TypeRegistry, Writer, decode, encode
from kubbo.wire.hessian2.jsonform import to_json
from kubbo.wire.hessian2.types import JavaType

__all__ = ["SERVICE", "bodies", "frames", "hessian", "json_texts", "kubernetes", "targets", "typed"]

VECTORS = Path(__file__).parent.parent / "tests" / "vectors" / "hessian2"
MOST = 2_000
"""Bytes of a seed: what makes a message long is the strategies' business."""

SERVICE = ServiceKey("com.example.Nasty", version="1.0.0")


@cache
def vectors() -> tuple[bytes, ...]:
    """What hessian-lite wrote."""
    found = [
        bytes.fromhex(json.loads(line)["hex"])
        for path in sorted(VECTORS.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return tuple(data for data in found if len(data) <= MOST)


@cache
def hessian() -> tuple[bytes, ...]:
    """Messages of any value."""
    registry = nasty.registry()
    return vectors() + tuple(encode(value, registry) for value in nasty.samples())


@cache
def typed() -> tuple[bytes, ...]:
    """The number of a hint, and a value of it."""
    registry = nasty.registry()
    kinds = nasty.kinds(registry)
    made: list[bytes] = []
    for number, kind in enumerate(kinds):
        for value in nasty.samples() + small_values():
            writer = Writer(registry)
            try:
                writer.write(value, kind)
            except EncodeError:
                continue
            if len(writer.getvalue()) <= MOST:
                made.append(bytes([number]) + writer.getvalue())
        made.append(bytes([number]) + b"\x4e")
    made += [b"\x01" + data for data in vectors()]
    return tuple(made)


def small_values() -> list[Any]:
    """One or two of each kind, and the fields of the largest class one by one."""
    full = nasty.samples()[0]
    return [getattr(full, name) for name in full.__dataclass_fields__ if name != "next"]


def signatures() -> tuple[Signature, ...]:
    """A method for each hint, which takes it and returns it; with others beside it."""
    registry = nasty.registry()
    kinds = nasty.kinds(registry)
    text = registry.type_of(str)
    return tuple(
        Signature(f"m{number}", (kind, text) if number % 3 else (kind,), kind)
        for number, kind in enumerate(kinds)
    )


@cache
def bodies() -> tuple[bytes, ...]:
    """Bodies: `00` and a request, or the number of a method plus one and a response to it."""
    registry = nasty.registry()
    codec = Dubbo2Codec(registry)
    made: list[bytes] = []
    for number, signature in enumerate(signatures()):
        assert isinstance(signature.returns, JavaType)
        for value in (None, *nasty.samples()[:3], *small_values()):
            arguments = (value, "x") if len(signature.parameters) == 2 else (value,)
            call = Invocation(
                SERVICE, signature, arguments, Deadline(0), attachments={"k": "v", "n": 1}
            )
            try:
                request = codec.encode_request(call, 1.0)
            except EncodeError:
                continue
            if len(request) <= MOST:
                made.append(b"\x00" + request)
                head = bytes([number + 1])
                made += [
                    head + b"\x91" + encode(value, registry, signature.returns),
                    head + b"\x92",
                ]
                made.append(head + b"\x95" + b"H\x05dubbo\x052.0.2Z")
        thrown = encode(nasty.BizException("no"), registry)
        made.append(bytes([number + 1]) + b"\x93" + thrown + b"H\x01k\x01vZ")
    for data in vectors():
        if b"detailMessage" in data:
            made.append(b"\x01\x90" + data)
    return tuple(one for one in made if len(one) <= MOST)


def frame(flags: int, status: int, number: int, body: bytes) -> bytes:
    """A frame of dubbo2."""
    return b"\xda\xbb" + struct.pack(">BBQI", flags, status, number, len(body)) + body


@cache
def frames() -> tuple[bytes, ...]:
    """The choice of role and chunks (one byte), and what the peer sends."""
    streams = [
        frame(0xC2, 0, 1, b"\x052.0.2"),
        frame(0xC2, 0, 2**64 - 1, b"x" * 40) + frame(0xC2, 0, 7, b""),
        frame(0x82, 0, 3, b"one way"),
        frame(0x02, 20, 0, b"\x94N"),
        frame(0x02, 20, 0, b"\x92")
        + frame(0x02, 20, 1, b"\x91\x01a")
        + frame(0x02, 20, 2, b"\x92"),
        frame(0x02, 40, 0, b"\x04fail") + frame(0x02, 70, 1, encode("x" * 2_000)),
        frame(0x02, 31, 2, encode("\U0001f600 \ud83d")) + frame(0x17, 20, 3, b"{}"),
        frame(0xE2, 0, 9, b"N") * 3,
        frame(0x22, 20, 9, b"N"),
        frame(0xA2, 0, 9, b"\x01R") * 2,
        frame(0xD7, 0, 4, b"{}") + frame(0xC2, 0, 5, b"y"),
        frame(0xC2, 0, 1, b"a") + frame(0xE2, 0, 2, b"N") + frame(0x82, 0, 3, b"b"),
        b"\xda\xbb\xc2\x00" + b"\x00" * 8 + b"\x00\x80\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"ls\r\n",
    ]
    return tuple(bytes([choice]) + stream for stream in streams for choice in (0, 1, 0x82, 0x83))


@cache
def json_texts() -> tuple[bytes, ...]:
    """The number of a hint, and a value as JSON."""
    registry = nasty.registry()
    made: list[bytes] = []
    plain = [decode(data, TypeRegistry()) for data in vectors() if len(data) < 500]
    made += [b"\x01" + json.dumps(to_json(value)).encode() for value in plain]
    for number, hint in enumerate(nasty.HINTS):
        for value in nasty.samples()[2:] + small_values():
            try:
                encode(value, registry, registry.type_of(hint))
            except EncodeError:
                continue
            made.append(bytes([number]) + json.dumps(to_json(value)).encode())
    for number in range(len(nasty.HINTS)):
        made += [bytes([number]) + text for text in (b"1.5", b'"PT1H2M"', b'["a", 1]', b"{}")]
    return tuple(one for one in made if len(one) <= MOST)


@cache
def targets() -> tuple[bytes, ...]:
    """Targets, and what people write instead."""
    texts = (
        "kubernetes:///greeter.shop:dubbo",
        "kubernetes:///greeter:20880",
        "kubernetes:///greeter",
        "kubernetes:///greeter/shop/dubbo",
        "dns:///greeter.shop.svc.cluster.local:20880",
        "dns:///greeter:dubbo",
        "static:///10.0.0.1:20880,10.0.0.2:20880,[::1]:20880,host.example:1",
        "dubbo://10.0.0.1:20880",
        "tri://[fe80::1]:50051",
        "kubernetes:///a.b:c | dns:///d:1 | static:///10.0.0.1:2",
        "greeter:20880",
        "[::1]:20880",
        "dubbo://127.0.0.1:20880/com.example.GreetService?version=1.0.0",
        "KUBERNETES:///greeter.shop",
        "eu/com.example.GreetService:1.0.0",
    )
    return tuple(text.encode() for text in texts)


@cache
def kubernetes() -> tuple[bytes, ...]:
    """The choice of target and chunks (one byte), and lines of a watch or a page of a list."""
    slice_object: dict[str, Any] = {
        "metadata": {
            "name": "greeter-abc",
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "105",
            "generation": 3,
            "labels": {"kubernetes.io/service-name": "greeter"},
            "annotations": {"a": "b"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.0.0.7"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": "p1", "uid": "u1"},
                "nodeName": "n1",
                "zone": "z1",
                "hints": {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]},
            },
            {"addresses": ["10.0.0.8"], "conditions": {"ready": None}},
        ],
        "ports": [
            {"name": "dubbo", "port": 20880, "protocol": "TCP", "appProtocol": "dubbo"},
            {"name": None, "port": None},
        ],
    }
    service_object: dict[str, Any] = {
        "metadata": {"name": "greeter", "resourceVersion": "7", "annotations": {"x": "y"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": {"app": "greeter"},
            "ports": [{"name": "dubbo", "port": 80, "targetPort": "dubbo"}],
        },
    }
    status = {
        "kind": "Status",
        "code": 410,
        "reason": "Expired",
        "message": "too old resource version: 1 (2)",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1},
    }
    bookmark = {"metadata": {"resourceVersion": "110"}}
    lines = [
        {"type": "ADDED", "object": slice_object},
        {"type": "MODIFIED", "object": slice_object | {"addressType": "IPv6", "endpoints": None}},
        {"type": "DELETED", "object": slice_object | {"ports": None}},
        {"type": "BOOKMARK", "object": bookmark},
        {"type": "ERROR", "object": status},
        {"type": "ADDED", "object": service_object},
    ]
    encoded = [json.dumps(line).encode() + b"\n" for line in lines]
    pages = [
        {"metadata": {"resourceVersion": "100", "continue": "abc"}, "items": [slice_object] * 2},
        {"metadata": {"resourceVersion": "100"}, "items": [service_object]},
        {"metadata": {"resourceVersion": "100"}, "items": None},
    ]
    made = [*encoded, b"".join(encoded), *(json.dumps(page).encode() for page in pages)]
    return tuple(bytes([choice]) + data for data in made for choice in range(4))
