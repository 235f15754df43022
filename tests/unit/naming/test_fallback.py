"""The default chain: which sources a plain target has in a pod."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kubbo.model import Endpoint
from kubbo.naming.chain import Failover
from kubbo.naming.failover import FailoverResolver
from kubbo.naming.fallback import FallbackResolver, in_pod, sources_after
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Failed, Members, Pending, Resolution
from kubbo.naming.target import DnsTarget, KubernetesTarget, parse_target

if TYPE_CHECKING:
    from pathlib import Path

    from kubbo.naming.resolution import Publish

TARGET = KubernetesTarget("greeter")
RESOLV_CONF = """\
search shop.svc.cluster.local svc.cluster.local cluster.local corp.example
nameserver 10.96.0.10
options ndots:5
"""
SERVICE_LINKS = {
    "GREETER_SERVICE_HOST": "10.96.0.7",
    "GREETER_SERVICE_PORT": "8080",
    "GREETER_SERVICE_PORT_HTTP": "8080",
    "GREETER_SERVICE_PORT_DUBBO": "20880",
    "OLD_GREETER_SERVICE_HOST": "fd00::7",
    "OLD_GREETER_SERVICE_PORT": "20880",
}


def after(target: str, *, namespace: str = "", resolv_conf: str = RESOLV_CONF) -> str:
    parsed = parse_target(target)
    assert isinstance(parsed, KubernetesTarget)
    found = sources_after(
        parsed,
        protocol="dubbo",
        namespace=namespace,
        resolv_conf=resolv_conf,
        environ=SERVICE_LINKS,
    )
    return " | ".join(map(str, found))


@pytest.mark.parametrize(
    ("target", "sources"),
    [
        (
            "kubernetes:///greeter",
            "dns:///greeter.shop.svc.cluster.local.:dubbo | static:///10.96.0.7:20880",
        ),
        (
            "kubernetes:///greeter.shop:http",
            "dns:///greeter.shop.svc.cluster.local.:http | static:///10.96.0.7:8080",
        ),
        (
            "kubernetes:///greeter:20881",
            "dns:///greeter.shop.svc.cluster.local.:20881 | static:///10.96.0.7:20881",
        ),
        ("kubernetes:///greeter:tri", "dns:///greeter.shop.svc.cluster.local.:tri"),
        (
            "kubernetes:///old-greeter",
            "dns:///old-greeter.shop.svc.cluster.local.:dubbo | static:///[fd00::7]:20880",
        ),
        ("kubernetes:///greeter.web", "dns:///greeter.web.svc.cluster.local.:dubbo"),
        ("kubernetes:///headless", "dns:///headless.shop.svc.cluster.local.:dubbo"),
    ],
)
def test_what_a_plain_target_goes_on_to(target: str, sources: str):
    """DNS by the cluster's domain; the ClusterIP of a Service of the own namespace, where the
    environment has its address and this port."""
    assert after(target) == sources


def test_a_namespace_that_was_given_is_asked_for():
    """It is that of the watch, and the environment knows nothing of it."""
    assert (
        after("kubernetes:///greeter", namespace="web")
        == "dns:///greeter.web.svc.cluster.local.:dubbo"
    )


@pytest.mark.parametrize(
    "resolv_conf",
    [
        "",
        "nameserver 10.96.0.10\n",
        "search corp.example\n",
        "search svc.cluster.local cluster.local\n",
        "search shop.svc.cluster.local\n",
        "search shop.svc.a svc.b\n",
        "search shop.svc.cluster.local svc.cluster.local\nsearch corp.example\n",
        "\x00search",
    ],
)
def test_without_evidence_of_a_cluster_there_is_nothing_to_go_on_to(resolv_conf: str):
    """The name would be asked of anybody."""
    assert after("kubernetes:///greeter", resolv_conf=resolv_conf) == ""


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("None", "20880"),
        ("", "20880"),
        ("greeter.shop", "20880"),
        ("10.96.0.7", ""),
        ("10.96.0.7", "0"),
        ("10.96.0.7", "70000"),
        ("10.96.0.7", "9" * 5000),
        ("10.96.0.7", "tcp://10.96.0.7:20880"),
    ],
)
def test_an_environment_that_names_no_address_is_passed_over(host: str, port: str):
    """Anybody may set variables of such names."""
    found = sources_after(
        KubernetesTarget("greeter"),
        protocol="dubbo",
        namespace="",
        resolv_conf=RESOLV_CONF,
        environ={"GREETER_SERVICE_HOST": host, "GREETER_SERVICE_PORT_DUBBO": port},
    )
    assert found == [DnsTarget("greeter.shop.svc.cluster.local.", "dubbo")]


@pytest.mark.parametrize(
    ("environ", "pod"),
    [
        ({}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": ""}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBECONFIG": "/config"}, False),
    ],
)
def test_what_a_pod_is(environ: dict[str, str], pod: bool):
    """The kubelet's variables, and no kubeconfig that may be of another cluster."""
    assert in_pod(environ) is pod


class Says:
    """Says one thing for ever."""

    def __init__(self, said: Resolution) -> None:
        self.said = said
        self.asked = 0
        self.refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    async def watch(self, publish: Publish, /) -> None:
        self.asked += 1
        publish(self.said)
        await asyncio.Event().wait()


ONE = Members((Endpoint("10.0.0.1", 20880),))
VIP = Members((Endpoint("10.96.0.7", 20880),), definite=False)


async def watched(first: Says, dns: Says, resolv_conf: Path) -> Resolution:
    """What is published at last, when nothing moves any more; and a hint for who is used."""
    opened: list[DnsTarget] = []
    seen: list[Resolution] = []

    def open_one(target: DnsTarget) -> Says:
        opened.append(target)
        return dns

    resolver = FallbackResolver(
        KubernetesTarget("greeter"),
        first,
        open_one,
        protocol="dubbo",
        namespace="",
        resolv_conf=resolv_conf,
        environ={},
        options=Failover(),
    )
    known = asyncio.Event()

    def publish(said: Resolution) -> None:
        seen.append(said)
        if not isinstance(said, Pending):
            known.set()

    watch = asyncio.create_task(resolver.watch(publish))
    async with asyncio.timeout(20):
        await known.wait()
    resolver.refresh()
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    return seen[-1]


async def test_dns_answers_where_the_api_server_cannot(tmp_path: Path):
    """At a cold start at once; hints go to who is used."""
    path = tmp_path / "resolv.conf"
    path.write_text(RESOLV_CONF)
    dns = Says(VIP)
    said = await watched(Says(Failed(OSError("refused"))), dns, path)
    assert isinstance(said, Members)
    assert said.endpoints == VIP.endpoints
    assert "kubernetes:///greeter cannot answer" in said.steps[0].note
    assert dns.refreshed == 1


async def test_dns_is_not_asked_while_the_api_server_answers(tmp_path: Path):
    """A second source costs nothing before it is needed."""
    path = tmp_path / "resolv.conf"
    path.write_text(RESOLV_CONF)
    dns = Says(VIP)
    assert await watched(Says(ONE), dns, path) == ONE
    assert dns.asked == 0


async def test_outside_of_a_pod_the_target_stands_alone(tmp_path: Path):
    """What the API server's resolver says is passed on as it is."""
    first = Says(Failed(OSError("refused")))
    assert await watched(first, Says(VIP), tmp_path / "none") is first.said
    assert first.refreshed == 1


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.mark.parametrize(
    ("context", "chained"),
    [
        (NamingContext(environ=POD), True),
        (NamingContext(environ={}), False),
        (NamingContext(environ={**POD, "KUBECONFIG": "/config"}), False),
        (NamingContext(environ=POD, kubeconfig="/config"), False),
        (NamingContext(environ=POD, context="other"), False),
        (NamingContext(environ=POD, failover=Failover(default_chain=False)), False),
        (NamingContext(environ=POD, failover={str(TARGET): Failover(default_chain=False)}), False),
    ],
)
def test_a_plain_target_has_the_default_chain_in_a_pod(context: NamingContext, chained: bool):
    """With the pod's own credentials, and unless it is switched off, for all or for this one."""
    assert isinstance(open_resolver(TARGET, context), FallbackResolver) is chained


def test_members_that_are_known_are_kept_longer_than_in_a_chain_that_is_written_out():
    """Unless somebody said when to go on, for all targets or for this one."""
    chain = parse_target(f"{TARGET} | static:///10.0.0.1:1")
    special = Failover(grace=7.0)
    assert NamingContext(environ=POD).failover(TARGET).grace == 300.0
    assert NamingContext(environ=POD).failover(chain).grace == 30.0
    assert NamingContext(environ=POD, failover=special).failover(TARGET) is special
    one = NamingContext(environ=POD, failover={str(chain): special})
    assert one.failover(chain) is special
    assert one.failover(TARGET).grace == 300.0


def test_a_chain_that_is_written_out_is_all_there_is():
    """Who lists the sources gets these."""
    context = NamingContext(environ=POD)
    chain = open_resolver(parse_target(f"{TARGET} | static:///10.0.0.1:1"), context)
    assert "FallbackResolver" not in repr(chain)
    assert isinstance(chain, FailoverResolver)
