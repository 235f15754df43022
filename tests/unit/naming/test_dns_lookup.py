"""One lookup, against a name server that lies, loses and shuffles: real sockets on loopback."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.unit.naming.nameserver import NXDOMAIN, SERVFAIL, SILENCE, NameServer, Reply

from kubbo.errors import ConfigError
from kubbo.model import Endpoint
from kubbo.naming.dns.lookup import Lookup
from kubbo.naming.dns.view import MAX_ENDPOINTS, Found, Nothing, Unanswered
from kubbo.naming.target import DnsTarget, parse_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kubbo.naming.dns.view import Answer

POD = "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n"
GREETER = "greeter.shop.svc.cluster.local."
SRV = f"_dubbo._tcp.{GREETER}"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as made:
        yield made


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    """resolv.conf as a pod of the namespace shop has it, with a short timeout."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\n" + POD)
    return path


@pytest.fixture
def mistyped(tmp_path: Path) -> Path:
    """resolv.conf with mistakes, no name server, and one good search domain."""
    path = tmp_path / "mistyped.conf"
    path.write_text("nameserver foo\nsearch corp..example shop.example\n")
    return path


def lookup(
    target: str,
    server: NameServer,
    resolv_conf: Path,
    *,
    family: Literal["IPv4", "IPv6"] | None = None,
    longest: float = 30.0,
) -> Lookup:
    parsed = parse_target(target)
    assert isinstance(parsed, DnsTarget)
    return Lookup(
        parsed,
        nameservers=[server.address],
        resolv_conf=resolv_conf,
        family=family,
        longest=longest,
    )


async def look(target: str, server: NameServer, resolv_conf: Path) -> Answer:
    answer = await lookup(target, server, resolv_conf)()
    assert answer.asked == len(server.asked)
    return answer


def hosts(answer: Answer) -> list[str]:
    assert isinstance(answer, Found), answer
    return [str(endpoint) for endpoint in answer.endpoints]


async def test_a_named_port_asks_for_srv(server: NameServer, resolv_conf: Path) -> None:
    """Ports and addresses come from SRV records and what lies beside them, in one question."""
    server.replies[f"{SRV} SRV"] = Reply(
        (f"{SRV} 5 IN SRV 0 50 20880 a.{GREETER}", f"{SRV} 5 IN SRV 0 50 20881 b.{GREETER}"),
        (f"a.{GREETER} 3 IN A 10.0.0.1", f"b.{GREETER} 4 IN A 10.0.0.2"),
    )
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Found)
    assert set(answer.endpoints) == {Endpoint("10.0.0.1", 20880), Endpoint("10.0.0.2", 20881)}
    assert answer.ttl == 3
    assert server.asked == [f"{SRV} SRV"]


async def test_a_number_asks_for_addresses(server: NameServer, resolv_conf: Path) -> None:
    """A numbered port takes the A records, and does not ask for AAAA where there are some."""
    server.replies[f"{GREETER} A"] = Reply(
        (f"{GREETER} 30 IN A 10.0.0.1", f"{GREETER} 30 IN A 10.0.0.2")
    )
    answer = await look(f"dns:///{GREETER}:20880", server, resolv_conf)
    assert sorted(hosts(answer)) == ["10.0.0.1:20880", "10.0.0.2:20880"]
    assert server.asked == [f"{GREETER} A"]


async def test_ipv6_only(server: NameServer, resolv_conf: Path) -> None:
    """A name without A records is asked for AAAA."""
    server.replies[f"{GREETER} A"] = Reply()
    server.replies[f"{GREETER} AAAA"] = Reply((f"{GREETER} 5 IN AAAA fd00::1",))
    answer = await look(f"dns:///{GREETER}:20880", server, resolv_conf)
    assert hosts(answer) == ["[fd00::1]:20880"]


async def test_the_search_domains_of_a_pod(server: NameServer, resolv_conf: Path) -> None:
    """`greeter.shop` is found as in any program of a pod, in the order of resolv.conf."""
    server.replies[f"{SRV} SRV"] = Reply(
        (f"{SRV} 5 IN SRV 0 50 20880 a.{GREETER}",), (f"a.{GREETER} 5 IN A 10.0.0.1",)
    )
    answer = await look("dns:///greeter.shop:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.1:20880"]
    assert server.asked == [
        "_dubbo._tcp.greeter.shop.shop.svc.cluster.local. SRV",
        f"{SRV} SRV",
    ]


async def test_ndots(server: NameServer, resolv_conf: Path) -> None:
    """A name with as many dots as ndots is asked for as it is first."""
    await look("dns:///a.b.c.d.e.f:1", server, resolv_conf)
    assert [one.split()[0] for one in server.asked] == [
        "a.b.c.d.e.f.",
        "a.b.c.d.e.f.shop.svc.cluster.local.",
        "a.b.c.d.e.f.svc.cluster.local.",
        "a.b.c.d.e.f.cluster.local.",
    ]


async def test_the_search_stops_at_a_name_that_exists(
    server: NameServer, resolv_conf: Path
) -> None:
    """A Service without ready pods is not looked for on the Internet."""
    server.replies[f"{GREETER} A"] = server.replies[f"{GREETER} AAAA"] = Reply()
    server.replies["greeter.shop. A"] = Reply(("greeter.shop. 5 IN A 192.0.2.1",))
    answer = await look("dns:///greeter.shop:20880", server, resolv_conf)
    assert isinstance(answer, Nothing)
    assert f"{GREETER} exists and has no addresses" in answer.reason
    assert "greeter.shop. A" not in server.asked


async def test_the_search_stops_at_a_name_that_nobody_can_answer_for(
    server: NameServer, resolv_conf: Path
) -> None:
    """SERVFAIL for the cluster's name does not lead to another name."""
    server.replies[f"{GREETER} A"] = SERVFAIL
    server.replies["greeter.shop. A"] = Reply(("greeter.shop. 5 IN A 192.0.2.1",))
    answer = await look("dns:///greeter.shop:20880", server, resolv_conf)
    assert isinstance(answer, Unanswered)
    assert "SERVFAIL" in answer.reason
    assert server.address in answer.reason
    assert "there is no greeter.shop.shop.svc.cluster.local." in answer.reason


async def test_no_such_name_says_what_was_tried(server: NameServer, resolv_conf: Path) -> None:
    """NXDOMAIN everywhere is an answer; its text has the names and whom it asked."""
    answer = await look("dns:///greeter.shop:dubbo", server, resolv_conf)
    assert isinstance(answer, Nothing)
    assert SRV in answer.reason
    assert "_dubbo._tcp.greeter.shop." in answer.reason
    assert server.address in answer.reason


async def test_the_negative_ttl_is_that_of_the_zone(server: NameServer, resolv_conf: Path) -> None:
    """How soon to ask again for what is not there is in the SOA record."""
    server.replies[f"{GREETER} A"] = Reply(
        code=NXDOMAIN.code,
        authority=("cluster.local. 7 IN SOA ns.cluster.local. root.cluster.local. 1 1 1 1 9",),
    )
    answer = await look(f"dns:///{GREETER}:1", server, resolv_conf)
    assert isinstance(answer, Nothing)
    assert answer.ttl == 7


async def test_silence_is_no_answer(server: NameServer, resolv_conf: Path) -> None:
    """A server that says nothing is asked twice, then it is told so."""
    server.replies[f"{GREETER} A"] = SILENCE
    answer = await look(f"dns:///{GREETER}:1", server, resolv_conf)
    assert isinstance(answer, Unanswered)
    assert "no answer in 1 s" in answer.reason
    assert len(server.asked) == 2


async def test_a_lookup_ends_whatever_its_questions_take(
    server: NameServer, resolv_conf: Path
) -> None:
    """Slow servers and many questions do not add up for ever."""
    server.replies[f"{GREETER} A"] = SILENCE
    made = Lookup(
        DnsTarget(GREETER, 1),
        nameservers=[server.address],
        resolv_conf=resolv_conf,
        longest=0.1,
    )
    answer = await made()
    assert isinstance(answer, Unanswered)
    assert "in 0.1 s, after 1 questions" in answer.reason


async def test_a_port_where_nobody_listens_is_told_at_once(resolv_conf: Path) -> None:
    """A refused datagram is no reason to wait for the timeout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    answer = await Lookup(
        DnsTarget(GREETER, 1), nameservers=[f"127.0.0.1:{port}"], resolv_conf=resolv_conf
    )()
    assert isinstance(answer, Unanswered)
    assert os.strerror(111) in answer.reason
    assert answer.asked == 1


async def test_the_second_name_server_is_asked(server: NameServer, resolv_conf: Path) -> None:
    """A server that cannot say is no reason not to ask the next."""
    async with NameServer() as other:
        other.replies[f"{GREETER} A"] = Reply((f"{GREETER} 5 IN A 10.0.0.1",))
        server.replies[f"{GREETER} A"] = SERVFAIL
        answer = await Lookup(
            DnsTarget(GREETER, 1),
            nameservers=[server.address, other.address],
            resolv_conf=resolv_conf,
        )()
    assert hosts(answer) == ["10.0.0.1:1"]
    assert answer.asked == 2


async def test_what_is_too_long_for_a_datagram_comes_by_tcp(
    server: NameServer, resolv_conf: Path
) -> None:
    """A truncated answer is asked for again by TCP, whole, and cut to the limit."""
    every = tuple(f"{GREETER} 5 IN A 10.1.{n >> 8}.{n & 255}" for n in range(1, MAX_ENDPOINTS + 9))
    server.replies[f"{GREETER} A"] = Reply(every, truncated=True)
    answer = await look(f"dns:///{GREETER}:1", server, resolv_conf)
    assert isinstance(answer, Found)
    assert server.by_tcp == 1
    assert MAX_ENDPOINTS < len(answer.endpoints) <= MAX_ENDPOINTS + 1  # the view cuts and says so


async def test_a_cname_is_followed(server: NameServer, resolv_conf: Path) -> None:
    """An ExternalName Service is a CNAME; the shortest TTL of the chain counts."""
    server.replies[f"{GREETER} A"] = Reply(
        (f"{GREETER} 2 IN CNAME db.example.", "db.example. 60 IN A 192.0.2.9")
    )
    answer = await look(f"dns:///{GREETER}:1", server, resolv_conf)
    assert hosts(answer) == ["192.0.2.9:1"]
    assert answer.ttl == 2


async def test_addresses_that_did_not_come_along_are_asked_for(
    server: NameServer, resolv_conf: Path
) -> None:
    """SRV targets without an address beside them cost a question each."""
    server.replies[f"{SRV} SRV"] = Reply((f"{SRV} 5 IN SRV 0 50 20880 a.example.",))
    server.replies["a.example. A"] = Reply(("a.example. 5 IN A 10.0.0.1",))
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.1:20880"]


def targets(server: NameServer, *names: str, priority: int = 0) -> None:
    """SRV records of these targets, with nothing beside them."""
    before = server.replies.get(f"{SRV} SRV", Reply()).answer
    server.replies[f"{SRV} SRV"] = Reply(
        (*before, *(f"{SRV} 5 IN SRV {priority} 50 1 {name}.example." for name in names))
    )


def address(server: NameServer, name: str, host: str) -> None:
    kind = "AAAA" if ":" in host else "A"
    server.replies[f"{name}.example. {kind}"] = Reply((f"{name}.example. 5 IN {kind} {host}",))


async def test_a_target_that_can_not_be_asked_for_makes_a_part(
    server: NameServer, resolv_conf: Path
) -> None:
    """Those that can be are there, and it is said that they are not all."""
    targets(server, "a", "b", "c")
    address(server, "a", "10.0.0.1")
    address(server, "c", "10.0.0.3")
    server.replies["b.example. A"] = SERVFAIL
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.1:1", "10.0.0.3:1"]
    assert isinstance(answer, Found)
    assert not answer.whole
    assert "b.example. (127.0.0.1" in answer.note
    assert "SERVFAIL" in answer.note


async def test_a_target_that_is_silent_makes_a_part(server: NameServer, resolv_conf: Path) -> None:
    """It does not use up the time of the others, and those before it are there."""
    targets(server, "a", "b")
    address(server, "a", "10.0.0.1")
    server.replies["b.example. A"] = SILENCE
    made = lookup(f"dns:///{GREETER}:dubbo", server, resolv_conf, longest=3.0)
    answer = await made()
    assert hosts(answer) == ["10.0.0.1:1"]
    assert isinstance(answer, Found)
    assert not answer.whole
    assert answer.asked == made.asked == len(server.asked)


async def test_no_target_that_can_be_asked_for(server: NameServer, resolv_conf: Path) -> None:
    """That is no answer, whoever is of a later priority and has no address."""
    targets(server, "a")
    targets(server, "b", priority=1)
    server.replies["a.example. A"] = SERVFAIL
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Unanswered)
    assert "SERVFAIL" in answer.reason


async def test_a_target_that_does_not_exist_is_nobody(
    server: NameServer, resolv_conf: Path
) -> None:
    """NXDOMAIN is an answer: the rest is whole without it."""
    targets(server, "a", "b")
    address(server, "a", "10.0.0.1")
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Found)
    assert answer.whole
    assert answer.note == ""


async def test_the_next_priority_when_the_first_has_no_address(
    server: NameServer, resolv_conf: Path
) -> None:
    """And so on; those after the first that has one are not asked for."""
    targets(server, "a", priority=0)
    targets(server, "b", priority=1)
    targets(server, "c", priority=2)
    targets(server, "d", priority=3)
    address(server, "c", "10.0.0.3")
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.3:1"]
    assert "d.example. A" not in server.asked


async def test_records_without_an_address(server: NameServer, resolv_conf: Path) -> None:
    """They are told from a name without records."""
    targets(server, "a")
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Nothing)
    assert "has no SRV records with an address" in answer.reason


async def test_a_hundred_targets_without_addresses_beside_them(
    server: NameServer, resolv_conf: Path
) -> None:
    """So many questions are not asked, and it is said that the rest was cut."""
    names = [f"t{number}" for number in range(100)]
    targets(server, *names)
    for number, name in enumerate(names):
        address(server, name, f"10.0.0.{number + 1}")
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Found)
    assert (len(answer.endpoints), answer.asked) == (32, 33)
    assert answer.note.startswith("cut: 68 targets")


@pytest.mark.parametrize(("family", "host"), [(None, "10.0.0.1"), ("IPv6", "fd00::1")])
async def test_the_family_of_a_name_with_both(
    server: NameServer, resolv_conf: Path, family: Literal["IPv6"] | None, host: str
) -> None:
    """One question, for the preferred family, where there are such addresses; so for a number,
    for SRV targets that have to be asked for, and for those whose addresses came along."""
    for name in (GREETER, "a.example."):
        server.replies[f"{name} A"] = Reply((f"{name} 5 IN A 10.0.0.1",))
        server.replies[f"{name} AAAA"] = Reply((f"{name} 5 IN AAAA fd00::1",))
    targets(server, "a")
    endpoint = Endpoint(host, 1)
    number = await lookup(f"dns:///{GREETER}:1", server, resolv_conf, family=family)()
    assert isinstance(number, Found)
    assert number.endpoints == (endpoint,)
    assert number.asked == 1
    named = lookup(f"dns:///{GREETER}:dubbo", server, resolv_conf, family=family)
    asked = await named()
    assert isinstance(asked, Found)
    assert asked.endpoints == (endpoint,)
    both = ("a.example. 5 IN A 10.0.0.1", "a.example. 5 IN AAAA fd00::1")
    server.replies[f"{SRV} SRV"] = Reply((f"{SRV} 5 IN SRV 0 50 1 a.example.",), both)
    beside = await named()
    assert isinstance(beside, Found)
    assert beside.endpoints == (endpoint,)
    assert beside.asked == 1


@pytest.mark.parametrize(("family", "host"), [("IPv4", "fd00::1"), ("IPv6", "10.0.0.1")])
async def test_the_other_family_where_there_is_no_choice(
    server: NameServer, resolv_conf: Path, family: Literal["IPv4", "IPv6"], host: str
) -> None:
    """A preference is no filter."""
    for kind in ("A", "AAAA"):
        server.replies[f"a.example. {kind}"] = Reply()
    address(server, "a", host)
    targets(server, "a")
    for target in ("dns:///a.example.:1", f"dns:///{GREETER}:dubbo"):
        answer = await lookup(target, server, resolv_conf, family=family)()
        assert isinstance(answer, Found)
        assert answer.endpoints == (Endpoint(host, 1),)


async def test_pods_with_a_name_for_each_address(server: NameServer, resolv_conf: Path) -> None:
    """CoreDNS names the addresses of dual-stack pods one by one: one family of them is used, or
    each pod would be two providers. What is left out is told."""
    server.replies[f"{SRV} SRV"] = Reply(
        tuple(f"{SRV} 5 IN SRV 0 50 1 {name}.example." for name in ("v4-a", "v6-a", "v4-b")),
        (
            "v4-a.example. 5 IN A 10.0.0.1",
            "v6-a.example. 5 IN AAAA fd00::1",
            "v4-b.example. 5 IN A 10.0.0.2",
        ),
    )
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.1:1", "10.0.0.2:1"]
    assert isinstance(answer, Found)
    assert answer.note == "1 addresses are left out, which are not IPv4"
    six = await lookup(f"dns:///{GREETER}:dubbo", server, resolv_conf, family="IPv6")()
    assert hosts(six) == ["[fd00::1]:1"]


async def test_priorities_and_weights(server: NameServer, resolv_conf: Path) -> None:
    """The first priority alone is used; different weights count, and 0 is "hardly ever"."""
    server.replies[f"{SRV} SRV"] = Reply(
        (
            f"{SRV} 5 IN SRV 1 10 1 a.example.",
            f"{SRV} 5 IN SRV 1 0 1 b.example.",
            f"{SRV} 5 IN SRV 2 10 1 c.example.",
        ),
        tuple(f"{name}.example. 5 IN A 10.0.0.{n}" for n, name in enumerate("abc", 1)),
    )
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Found)
    assert {one.host: one.weight for one in answer.endpoints} == {"10.0.0.1": 10, "10.0.0.2": 1}


async def test_what_can_not_be_dialled_is_left_out(server: NameServer, resolv_conf: Path) -> None:
    """Port 0, the root as a target, 0.0.0.0, multicast and broadcast never reach a dialer."""
    server.replies[f"{SRV} SRV"] = Reply(
        (
            f"{SRV} 5 IN SRV 0 50 0 a.example.",
            f"{SRV} 5 IN SRV 0 50 1 .",
            *(f"{SRV} 5 IN SRV 0 50 1 {name}.example." for name in "bcde"),
        ),
        (
            "a.example. 5 IN A 10.0.0.1",
            "b.example. 5 IN A 0.0.0.0",
            "c.example. 5 IN A 224.0.0.1",
            "d.example. 5 IN A 255.255.255.255",
            "e.example. 5 IN A 10.0.0.5",
        ),
    )
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert hosts(answer) == ["10.0.0.5:1"]


async def test_the_limit_holds_for_addresses_of_many_records(
    server: NameServer, resolv_conf: Path
) -> None:
    """Records that share many addresses do not multiply beyond the limit."""
    server.replies[f"{SRV} SRV"] = Reply(
        tuple(f"{SRV} 5 IN SRV 0 50 {port} a.example." for port in range(1, 500)),
        tuple(f"a.example. 5 IN A 10.1.{n >> 8}.{n & 255}" for n in range(1, 1000)),
        truncated=True,
    )
    answer = await look(f"dns:///{GREETER}:dubbo", server, resolv_conf)
    assert isinstance(answer, Found)
    assert MAX_ENDPOINTS < len(answer.endpoints) < 2 * MAX_ENDPOINTS


def _other_id(wire: bytes) -> bytes:
    return bytes((wire[0] ^ 1,)) + wire[1:]


@pytest.mark.parametrize(
    "forged",
    [
        _other_id,
        lambda wire: wire[:2] + bytes((wire[2] & 0x7F,)) + wire[3:],  # a question, no answer
        lambda wire: wire[:12] + b"\x01x\x00\x00\x01\x00\x01",  # of another question, cut off
        lambda _: b"",
        lambda _: b"\x00" * 12,
        lambda wire: wire[:-1],
        lambda wire: wire[:12] + b"\xc0\x0c" * 40,  # a name that points at itself
    ],
)
async def test_forged_datagrams_are_ignored(
    server: NameServer, resolv_conf: Path, forged: object
) -> None:
    """What is no answer to the question is passed over; the answer behind it counts."""
    assert callable(forged)
    server.replies[f"{GREETER} A"] = Reply(
        (f"{GREETER} 5 IN A 10.0.0.1",), raw=lambda wire: [forged(wire), wire]
    )
    assert hosts(await look(f"dns:///{GREETER}:1", server, resolv_conf)) == ["10.0.0.1:1"]


async def test_an_answer_that_contradicts_itself_is_none(
    server: NameServer, resolv_conf: Path
) -> None:
    """NXDOMAIN with an address, and a CNAME in a circle, are no answers and no crashes."""
    server.replies[f"{GREETER} A"] = Reply((f"{GREETER} 5 IN A 10.0.0.1",), code=NXDOMAIN.code)
    assert isinstance(await look(f"dns:///{GREETER}:1", server, resolv_conf), Unanswered)
    server.asked.clear()
    server.replies[f"{GREETER} A"] = Reply(
        (f"{GREETER} 5 IN CNAME b.example.", f"b.example. 5 IN CNAME {GREETER}")
    )
    assert isinstance(await look(f"dns:///{GREETER}:1", server, resolv_conf), Unanswered)


async def test_no_resolv_conf(tmp_path: Path) -> None:
    """Without any name server the answer says which file has none."""
    gone = tmp_path / "gone"
    answer = await Lookup(DnsTarget(GREETER, 1), resolv_conf=gone)()
    assert isinstance(answer, Unanswered)
    assert str(gone) in answer.reason


async def test_a_name_that_gets_too_long_is_passed_over(
    server: NameServer, resolv_conf: Path
) -> None:
    """A search domain that does not fit behind the name is left out."""
    host = ".".join(["a" * 60] * 4)
    answer = await look(f"dns:///{host}:dubbo", server, resolv_conf)
    assert isinstance(answer, Nothing)


@pytest.mark.parametrize("text", ["", "dns.example", "10.0.0.1:0", "10.0.0.1:x", "[::1]:99999"])
def test_a_name_server_is_an_address(text: str) -> None:
    """The mistake is told when the target is opened, in words."""
    with pytest.raises(ConfigError, match="no name server"):
        Lookup(DnsTarget("a", 1), nameservers=[text])


@pytest.mark.parametrize("text", ["10.96.0.10", "::1", "[::1]", "[::1]:53", "127.0.0.1:1053"])
def test_the_forms_of_a_name_server(text: str) -> None:
    """With a port and without, of both families."""
    Lookup(DnsTarget("a", 1), nameservers=[text])


async def test_a_mistyped_line_does_not_cost_all_names(server: NameServer, mistyped: Path) -> None:
    """The name servers are asked, under the search domains that are names."""
    server.replies["greeter.shop.example. A"] = Reply(("greeter.shop.example. 5 IN A 10.0.0.1",))
    assert hosts(await look("dns:///greeter:1", server, mistyped)) == ["10.0.0.1:1"]


async def test_a_file_without_a_name_server(mistyped: Path) -> None:
    """What is wrong with the file is part of the failure."""
    answer = await Lookup(DnsTarget(GREETER, 1), resolv_conf=mistyped)()
    assert isinstance(answer, Unanswered)
    assert "no name server is known" in answer.reason
    assert str(mistyped) in answer.reason


async def test_what_an_answer_depends_on(tmp_path: Path) -> None:
    """The search domains, the name servers and the family: two clusters differ in one of them."""

    async def identity(domain: str, server: str, **options: Any) -> str:
        path = tmp_path / "resolv.conf"
        path.write_text(f"nameserver {server}\nsearch {domain}\n")
        return await Lookup(DnsTarget("greeter", 1), resolv_conf=path, **options).identity()

    one = await identity("shop.svc.cluster.local", "10.96.0.10")
    assert one == await identity("shop.svc.cluster.local", "10.96.0.10", family="IPv4")
    others = [
        await identity("bank.svc.cluster.local", "10.96.0.10"),
        await identity("shop.svc.cluster.local", "172.20.0.10"),
        await identity("shop.svc.cluster.local", "10.96.0.10", nameservers=["127.0.0.1:53"]),
        await identity("shop.svc.cluster.local", "10.96.0.10", family="IPv6"),
    ]
    assert len({one, *others}) == 5
    gone = Lookup(DnsTarget("greeter", 1), resolv_conf=tmp_path / "gone")
    assert await gone.identity() == "IPv4"
