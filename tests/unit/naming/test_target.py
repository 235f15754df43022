"""The target grammar: every form, its canonical text, and every mistake by what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from kubbo.errors import TargetError
from kubbo.model import Endpoint
from kubbo.naming.target import (
    DnsTarget,
    FailoverTarget,
    KubernetesTarget,
    StaticTarget,
    Target,
    check_namespace,
    parse_target,
)

GREETER = KubernetesTarget("greeter", "shop", "dubbo")

CANONICAL: list[tuple[str, Target]] = [
    ("kubernetes:///greeter.shop:dubbo", GREETER),
    ("kubernetes:///greeter.shop:20880", KubernetesTarget("greeter", "shop", 20880)),
    ("kubernetes:///greeter.shop", KubernetesTarget("greeter", "shop")),
    ("kubernetes:///greeter:dubbo", KubernetesTarget("greeter", "", "dubbo")),
    ("kubernetes:///greeter", KubernetesTarget("greeter")),
    ("kubernetes:///greeter.7shop", KubernetesTarget("greeter", "7shop")),
    ("dns:///greeter.shop.svc.cluster.local:dubbo",
     DnsTarget("greeter.shop.svc.cluster.local", "dubbo")),
    ("dns:///localhost:20880", DnsTarget("localhost", 20880)),
    ("static:///10.0.0.7:20880", StaticTarget((Endpoint("10.0.0.7", 20880),))),
    ("static:///10.0.0.7:20880,host.example:1",
     StaticTarget((Endpoint("10.0.0.7", 20880), Endpoint("host.example", 1)))),
    ("static:///[::1]:20880", StaticTarget((Endpoint("::1", 20880),))),
    ("dubbo://10.0.0.7:20880", StaticTarget((Endpoint("10.0.0.7", 20880),), "dubbo")),
    ("tri://[fd00::7]:50051", StaticTarget((Endpoint("fd00::7", 50051),), "tri")),
    ("kubernetes:///greeter.shop:dubbo | dns:///greeter.shop:dubbo | static:///10.0.0.7:1",
     FailoverTarget((
         GREETER, DnsTarget("greeter.shop", "dubbo"), StaticTarget((Endpoint("10.0.0.7", 1),)),
     ))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "target"), CANONICAL, ids=[text for text, _ in CANONICAL])
def test_canonical_text_reads_and_writes_the_same(text: str, target: Target) -> None:
    """Each form of the table reads as its value, and the value writes as that text."""
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("kubernetes:///greeter/shop/dubbo", "kubernetes:///greeter.shop:dubbo"),
        ("kubernetes:///greeter/shop/20880", "kubernetes:///greeter.shop:20880"),
        ("  kubernetes:///greeter  ", "kubernetes:///greeter"),
        ("static:///h:1|static:///h:2", "static:///h:1 | static:///h:2"),
        ("static:///[0:0:0:0:0:0:0:1]:1", "static:///[::1]:1"),
        ("static:///Host.Example.:01", "static:///host.example:1"),
        ("kubernetes:///greeter:020880", "kubernetes:///greeter:20880"),
    ],
)
def test_other_spellings_are_read_and_written_canonically(text: str, canonical: str) -> None:
    """The 2018 form, spaces, long IPv6 and leading zeros are understood and never written."""
    assert str(parse_target(text)) == canonical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the target is empty"),
        ("  ", "the target is empty"),
        ("greeter.shop:dubbo", "write kubernetes:///greeter.shop:dubbo for a Service"),
        ("10.0.0.7:20880", "write static:///10.0.0.7:20880"),
        ("localhost:20880", "write static:///localhost:20880"),
        ("10.0.0.7", "write static:///10.0.0.7:20880, with the port"),
        ("::1", "write static:///[::1]:20880, with the port"),
        ("[::1]", "write static:///[::1]:20880, with the port"),
        ("::1:20880", "write static:///[::1]:20880"),
        ("[::1]:20880", "write static:///[::1]:20880"),
        ("com.example.Ok", "that is a service key: `kubbo map com.example.Ok` shows"),
        ("eu/com.example.Ok:1.0", "`kubbo map eu/com.example.Ok:1.0` shows"),
        ("greeter.shop", "write kubernetes:///greeter.shop for a Service"),
        ("Kubernetes:///greeter", "scheme in capitals; write kubernetes://"),
        ("zookeeper://h:2181", "unknown scheme 'zookeeper'"),
        ("kubernetes://greeter.shop:dubbo", "write kubernetes:///greeter.shop:dubbo"),
        ("static://h:1", "write static:///h:1"),
        ("dns://8.8.8.8/h:1", "two slashes"),
        ("kubernetes:///", "names no Service"),
        ("kubernetes:///:dubbo", "names no Service"),
        ("kubernetes:///greeter.:dubbo", "'.' without a namespace"),
        ("kubernetes:///greeter.shop:", "ends in ':' without a port"),
        ("kubernetes:///greeter.shop.svc.cluster.local:1", "write kubernetes:///greeter.shop:1"),
        ("kubernetes:///Greeter.shop", "did you mean 'greeter'?"),
        ("kubernetes:///greet_er", "cannot be the name of a Service"),
        ("kubernetes:///7up", "must begin with a letter"),
        ("kubernetes:///greeter-", "must not end in '-'"),
        ("kubernetes:///-greeter", "must begin with a letter"),
        ("kubernetes:///" + "g" * 64, "at most 63"),
        ("kubernetes:///greeter.Shop", "cannot be the name of a namespace"),
        ("kubernetes:///greeter.shop:0", "port 0"),
        ("kubernetes:///greeter.shop:65536", "out of range"),
        ("kubernetes:///greeter.shop:" + "9" * 5000, "out of range"),
        ("kubernetes:///greeter.shop:-1", "is no port"),
        ("kubernetes:///greeter.shop:Dubbo", "lower-case"),
        ("kubernetes:///greeter.shop:\u0661", "is no port"),
        ("kubernetes:///greeter/shop", "neither"),
        ("kubernetes:///greeter//dubbo", "neither"),
        ("kubernetes:///a/b/c/d", "neither"),
        ("kubernetes:///gree ter", "has a space inside"),
        ("kubernetes:///greeter\n.shop", "has a space inside"),
        ("dns:///greeter.shop", "has no port"),
        ("dns:///10.0.0.7:1", "write static:///10.0.0.7:1"),
        ("dns:///[::1]:1", "write static:///[::1]:1"),
        ("dns:///::1:1", "write static:///[::1]:1"),
        ("dns:///10.0.0.7.:1", "write static:///10.0.0.7:1"),
        ("dns:///:1", "is no host name"),
        ("dns:///a..b:1", "is no host name"),
        ("static:///", "is no address"),
        ("static:///10.0.0.7", "is no address"),
        ("static:///10.0.0.7:1,", "is no address"),
        ("static:///10.0.0.7:dubbo", "no port number"),
        ("static:///::1:20880", "in brackets"),
        ("static:///[::1]", "'[::1]' in 'static:///[::1]' has no port; write [::1]:20880"),
        ("static:///h:1,[::1]", "'[::1]' in 'static:///h:1,[::1]' has no port"),
        ("static:///[::g]:1", "no IPv6 address"),
        ("static:///256.0.0.1:1", "no IPv4 address"),
        ("static:///h:1,H:1", "twice"),
        ("dubbo://h:1,h:2", "write static:///h:1,h:2"),
        ("dubbo://h:1/com.example.GreetService?version=1.0.0", "write dubbo://h:1 "),
        ("dubbo://:1", "is no address"),
        ("tri://h", "is no address"),
        ("static:///h:1 |", "nothing on one side"),
        ("| static:///h:1", "nothing on one side"),
        ("static:///h:1 || static:///h:2", "nothing on one side"),
        ("static:///h:1 | greeter", "has no scheme"),
    ],
)
def test_each_mistake_says_what_is_wrong(text: str, says: str) -> None:
    """A mistake is a TargetError with the wrong part and the way to write it."""
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert says in str(caught.value)


@given(st.one_of(st.text(), st.from_regex(r"(kubernetes|dns|static|dubbo|tri):///?[ -~]*")))
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    """No text leaves the parser with another error, and what is read reads again as itself."""
    try:
        target = parse_target(text)
    except TargetError:
        return
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("name", ["shop", "7shop", "a", "a-b", "n" * 63])
def test_a_namespace_is_a_label(name: str) -> None:
    """What the API server takes as a namespace is handed back."""
    assert check_namespace(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Shop",
        "Bad Name",
        "../../x",
        "a.b",
        "-a",
        "a-",
        "n" * 64,
        "shop\n",
        "sh\x1bop",
        "\u0661",
    ],
)
def test_other_names_are_no_namespace(name: str) -> None:
    """They would be a path, or the name of nothing; the error shows them with escapes."""
    with pytest.raises(TargetError) as caught:
        check_namespace(name)
    assert str(caught.value).startswith(f"{name!r} cannot be the name of a namespace")
