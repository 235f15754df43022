"""Random EndpointSlices of one Service, and an oracle that says what may be called.

The oracle is written from the API reference of discovery.k8s.io/v1 and docs/naming.md, as
predicates over the plain JSON: an entry counts unless another one takes precedence. It has no
order of steps, keeps nothing, and shares neither code nor types with the join that it judges.

Sets come in chains, each state one change of a slice away from the last, as a watch brings them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

Slice: TypeAlias = dict[str, Any]
Entry: TypeAlias = dict[str, Any]

SPEAKING = ("dubbo", "tri", "grpc", "kubernetes.io/h2c")


@dataclass(frozen=True, slots=True)
class Question:
    """What a consumer asks for."""

    port: str | int | None
    protocol: Literal["dubbo", "tri"]
    family: Literal["IPv4", "IPv6"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses that may be called, with their hints; the others that are known."""

    called: frozenset[tuple[str, int, str, str]]
    apart: frozenset[tuple[str, int]]


# ------------------------------------------------------------------- the oracle
@dataclass(frozen=True, slots=True)
class Row:
    """One entry of one slice."""

    where: Slice
    entry: Entry
    host: str
    port: int  # 0: it has not the port that was asked for

    def condition(self, name: str) -> bool | None:
        value: bool | None = (self.entry.get("conditions") or {}).get(name)
        return value

    @property
    def ready(self) -> bool:
        return self.condition("ready") in {True, None}

    @property
    def terminating(self) -> bool:
        return self.condition("terminating") is True

    @property
    def serving(self) -> bool:
        told = self.condition("serving")
        return self.ready if told is None else told

    @property
    def pod(self) -> str | None:
        reference: dict[str, str] = self.entry.get("targetRef") or {}
        return reference.get("uid")

    @property
    def family(self) -> str:
        return str(self.where["addressType"])

    @property
    def age(self) -> tuple[int, str]:
        return self.where["metadata"]["generation"], self.where["metadata"]["name"]

    def hints(self, kind: str) -> str:
        given: list[dict[str, str]] = (self.entry.get("hints") or {}).get(kind) or []
        return ",".join(sorted(one["name"] for one in given))


def outdone(row: Row, other: Row) -> bool:
    """Whether another entry, of the same family, makes this one void.

    For a pod that is listed twice: the one that has the port, then the newer generation, then the
    one that is ready. Where no pod is named, a port is all that tells two providers of a host
    apart: of one port the newer entry counts, and one that has the port where this has not.
    """
    if row.family != other.family:
        return False
    if row.pod or other.pod:
        return row.pod == other.pod and (
            bool(other.port) > bool(row.port)
            or (bool(other.port) == bool(row.port) and newer(other, row))
        )
    if row.host != other.host:
        return False
    return newer(other, row) if row.port == other.port else not row.port


def newer(one: Row, other: Row) -> bool:
    """The newer generation; of one age, the one that is ready."""
    return (one.age[0], one.ready, one.age[1]) > (other.age[0], other.ready, other.age[1])


def livelier(one: Row, other: Row) -> bool:
    """Of two pods with one address: the one that doesn't terminate, is ready, serves, is newer."""
    ranks = [(not each.terminating, each.ready, each.serving, each.age) for each in (one, other)]
    return ranks[0] > ranks[1]


def replaced(row: Row, other: Row, family: str) -> bool:
    """Whether another address of a pod is called in place of this one.

    One that has the port in place of one that has not; of two alike, that of the chosen family.
    """
    if row.pod is None or row.pod != other.pod:
        return False
    if bool(row.port) != bool(other.port):
        return bool(other.port)
    return other.family == family != row.family


def oracle(slices: list[Slice], question: Question) -> Answer:
    """What the documentation says of these slices."""
    of_addresses = [one for one in slices if one["addressType"] in {"IPv4", "IPv6"}]
    asked = port_asked_for(of_addresses, question)
    every = [
        Row(one, entry, host, number_of(one, asked))
        for one in of_addresses
        for entry in one.get("endpoints") or []
        for host in address(entry["addresses"][0], one["addressType"])
    ]
    current = [row for row in every if not any(outdone(row, o) for o in every)]
    owners = [
        row
        for row in current
        if not any((o.host, o.port) == (row.host, row.port) and livelier(o, row) for o in current)
    ]
    backends = [row for row in owners if not any(replaced(row, o, question.family) for o in owners)]
    at_port = [row for row in backends if row.port]
    called = [row for row in at_port if row.ready]
    if not called:
        called = [row for row in at_port if row.terminating and row.serving]
    hinted = {kind: all(r.hints(kind) for r in called) for kind in ("forZones", "forNodes")}
    addresses = {(row.host, row.port) for row in called}
    return Answer(
        frozenset(
            (row.host, row.port, *(row.hints(kind) if hinted[kind] else "" for kind in hinted))
            for row in called
        ),
        frozenset((row.host, row.port) for row in backends) - addresses,
    )


def address(text: str, family: str) -> list[str]:
    """An address of a family as everybody writes it; nothing if it is none, or stands for all."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return []
    fits = f"IPv{found.version}" == family and int(found) != 0
    return [str(found)] if fits else []


def tcp_ports(one: Slice) -> list[dict[str, Any]]:
    return [port for port in one.get("ports") or [] if port.get("protocol") in {None, "TCP"}]


def port_asked_for(slices: list[Slice], question: Question) -> str | int | None:
    """A name or a number; None when what was asked for is not clear or not there.

    The port of the protocol's name may be anywhere. One that is found by appProtocol, or because
    it is the only one, is sought where there are endpoints, elsewhere if there is none.
    """
    if question.port is not None:
        return question.port
    living = [one for one in slices if one.get("endpoints")]
    there, alive = (
        [port for one in some for port in tcp_ports(one) if port.get("port")]
        for some in (slices, living)
    )
    if any(port.get("name") == question.protocol for port in there):
        return question.protocol
    fitting = [
        [port for port in some if port.get("appProtocol") in SPEAKING] for some in (alive, there)
    ]
    choice = next(filter(None, [*fitting, alive, there]), [])
    names = {port.get("name") or "" for port in choice}
    return names.pop() if len(names) == 1 else None


def number_of(one: Slice, asked: str | int | None) -> int:
    """The number to dial in a slice, 0 for none."""
    if isinstance(asked, int):
        offered = not one.get("ports") or any(
            port.get("port") in {None, asked} for port in tcp_ports(one)
        )
        return asked if offered else 0
    numbers = [
        port["port"]
        for port in tcp_ports(one)
        if asked is not None and (port.get("name") or "") == asked and port.get("port")
    ]
    return numbers[0] if numbers else 0


# ------------------------------------------------------------------ the slices
def port(name: str, number: int | None, **fields: str) -> dict[str, Any]:
    return {"name": name, "port": number, "protocol": "TCP"} | fields


PORTS: list[Any] = [
    *([port("dubbo", 20880)],) * 10,
    *([port("dubbo", 20990), port("http", 80)],) * 4,
    [port("http", 80), port("dubbo", 20880), port("metrics", 9090)],
    [port("http", 80)],
    [port("http", 20880, protocol="UDP")],
    [port("rpc", 20880, appProtocol="dubbo"), port("http", 80, appProtocol="http")],
    [port("a", 20880, appProtocol="grpc"), port("b", 20990, appProtocol="kubernetes.io/h2c")],
    [port("tri", 50051)],
    [port("", 20880)],
    [{"port": 20880}],
    [port("dubbo", None)],
    [],
    None,
]
QUESTIONS = [
    Question(asked, protocol, family)
    for asked in (*["dubbo"] * 5, "http", "", 20880, 20880, 20990, None, None, None)
    for protocol in ("dubbo", "tri")
    for family in ("IPv4", "IPv6")
]
CONDITIONS: list[Any] = [
    *({"ready": True, "serving": True, "terminating": False},) * 6,
    *({"ready": False, "serving": False, "terminating": False},) * 2,
    *({"ready": False, "serving": True, "terminating": True},) * 4,
    {"ready": False, "serving": False, "terminating": True},
    {"ready": True, "serving": False, "terminating": True},
    {"ready": False, "serving": True, "terminating": False},
    {"ready": False, "terminating": True},
    {"ready": None, "serving": None, "terminating": None},
    {"serving": False},
    {"terminating": True},
    {},
    None,
]
ENDING = CONDITIONS[6:]  # of a Service whose pods are going
HINTS: list[Any] = [
    {"forZones": [{"name": "z1"}]},
    {"forZones": [{"name": "z2"}, {"name": "z1"}], "forNodes": [{"name": "n1"}]},
    {"forNodes": [{"name": "n2"}]},
    {"forZones": None},
]
FAMILIES = ("IPv4",) * 6 + ("IPv6",) * 4 + ("FQDN",)
HOSTS = {
    "IPv4": tuple(f"10.0.0.{n}" for n in range(1, 7)) * 4 + ("0.0.0.0", "no address", "fd00::1"),
    "IPv6": (
        *tuple(f"fd00::{n}" for n in range(1, 7)) * 3,
        *(f"FD00:0:0::{n}" for n in range(1, 7)),
        *("::", "no address", "10.0.0.1"),
    ),
    "FQDN": ("one.example.com", "10.0.0.1"),
}
PODS = ("u1", "u2", "u3", "u4", "u5", "u6")


@dataclass(frozen=True, slots=True)
class Mood:
    """What the slices of one chain have in common."""

    conditions: list[Any]
    hinted: float  # share of entries that have hints
    podless: float  # share of entries that name no pod


def random_entry(rng: random.Random, family: str, mood: Mood) -> Entry:
    entry: Entry = {
        "addresses": [rng.choice(HOSTS[family])],
        "conditions": rng.choice(mood.conditions),
    }
    if rng.random() >= mood.podless:
        uid = rng.choice(PODS)
        entry["targetRef"] = {"kind": "Pod", "name": f"pod-{uid}", "uid": uid}
    if rng.random() < mood.hinted:
        entry["hints"] = rng.choice(HINTS)
    if rng.random() < 0.05:
        entry["addresses"].append("10.9.9.9")
    return entry


def random_slice(rng: random.Random, name: str, mood: Mood) -> Slice:
    """One slice. It lists a pod, or an address without one, once; or twice in the same words.

    One address may be that of two pods, but then one of them is better off: which of two equals
    owns it nobody can say.
    """
    family = rng.choice(FAMILIES)
    entries: dict[str, Entry] = {}
    claims: set[tuple[object, ...]] = set()
    for _ in range(rng.choice((0, 1, 2, 2, 3, 4))):
        entry = random_entry(rng, family, mood)
        reference: dict[str, str] = entry.get("targetRef") or {}
        row = Row({}, entry, "".join(address(entry["addresses"][0], family)), 0)
        claim = (row.host, row.ready, row.serving, row.terminating)
        if claim not in claims:
            claims.add(claim)
            entries.setdefault(reference.get("uid", row.host), entry)
    listed = [*entries.values()]
    if listed and rng.random() < 0.03:
        listed.append(rng.choice(listed))
    return {
        "metadata": {"name": name, "generation": rng.randrange(1, 9)},
        "addressType": family,
        "endpoints": listed or rng.choice(([], None)),
        "ports": rng.choice(PORTS),
    }


def chains(rng: random.Random, count: int, *, length: int = 8) -> Iterator[tuple[Question, Any]]:
    """`count` sets of slices with what is asked of them, in chains; each chain's set is one list.

    A slice that did not change is the same object in the next set.
    """
    for start in range(0, count, length):
        question = rng.choice(QUESTIONS)
        mood = Mood(
            rng.choice((CONDITIONS, CONDITIONS, ENDING)),
            rng.choice((0.0, 0.0, 0.5, 1.0)),
            rng.choice((0.0, 0.1, 0.2, 1.0)),
        )
        names = iter("abcdefghijklmnop")
        state = {
            name: random_slice(rng, name, mood)
            for name, _ in zip(names, range(rng.randrange(1, 5)), strict=False)
        }
        states: list[list[Slice]] = []
        for _ in range(min(length, count - start)):
            states.append([*state.values()])
            rng.shuffle(states[-1])
            chance = rng.random()
            if state and chance < 0.15:
                del state[rng.choice([*state])]
            else:
                grows = len(state) < 6 and (not state or chance < 0.4)
                name = next(names) if grows else rng.choice([*state])
                state = {**state, name: random_slice(rng, name, mood)}
        yield question, states
