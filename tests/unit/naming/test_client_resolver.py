"""The Kubernetes resolver over real HTTP, against the API server in the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import pytest
from tests.unit.naming.publications import (
    SHOP,
    Publications,
    service,
    slice_object,
    slices,
    watching,
)

from kubbo.errors import ConfigError
from kubbo.model import ServiceKey
from kubbo.naming import (
    Absent,
    Failed,
    MappedResolver,
    Members,
    NamingContext,
    Pending,
    open_resolver,
    parse_target,
)
from kubbo.naming.kubernetes.resolver import KubernetesResolver, SourceError
from kubbo.naming.kubernetes.roles import Subject, finding
from kubbo.naming.lasting import LastingResolver
from kubbo.naming.mapped import map_in_context
from kubbo.sim.apiserver import Answer, ApiServer, Cut, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kubbo.naming.resolution import Resolver


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}})
        yield server


@pytest.fixture
async def context(server: ApiServer, tmp_path: Path) -> AsyncIterator[NamingContext]:
    path = server.kubeconfig(tmp_path / "config", namespace=SHOP, token="consumer")
    async with NamingContext(kubeconfig=path, environ={}) as context:
        yield context


def opened(context: NamingContext, target: str = "kubernetes:///greeter:dubbo") -> Resolver:
    return open_resolver(parse_target(target), context)


# -------------------------------------------------------------------- views
async def test_members_follow_the_slices(server: ApiServer, context: NamingContext) -> None:
    """All slices of the Service are joined; each change is published; others' are not ours."""
    service(server)
    slices(server, "10.0.0.1", unready=("10.0.0.9",))
    async with watching(opened(context)) as published:
        first = await published.members("10.0.0.1")
        assert published.every[0] == Pending()
        assert [one.host for one in first.excluded] == ["10.0.0.9"]
        assert first.stale_since is None
        assert [step.name for step in first.steps] == [
            "naming", "service", "slices", "conditions", "port",
        ]  # fmt: skip
        slices(server, "10.0.0.2", "10.0.0.3", name="two")
        await published.members("10.0.0.1", "10.0.0.2", "10.0.0.3")
        server.store.delete("endpointslices", "greeter-one", namespace=SHOP)
        await published.members("10.0.0.2", "10.0.0.3")


async def test_targets_share_one_client(server: ApiServer, context: NamingContext) -> None:
    """However many targets, there is one connection pool, and its owner closes it."""
    service(server)
    slices(server, "10.0.0.1")
    async with (
        watching(opened(context)) as one,
        watching(opened(context, "kubernetes:///greeter.shop")) as two,
    ):
        await one.members("10.0.0.1")
        await two.members("10.0.0.1")
        assert await context.cluster() is await context.cluster()
    await context.aclose()
    with pytest.raises(ConfigError, match="closed"):
        await context.cluster()


# ------------------------------------------------------- four different causes
async def test_a_service_that_does_not_exist(context: NamingContext) -> None:
    """Cause one: no Service, told with the namespace and the way to look."""
    async with watching(opened(context, "kubernetes:///nope:dubbo")) as published:
        absent = await published.absent()
    assert "Service 'nope' in namespace 'shop' does not exist" in absent.reason
    assert [str(step) for step in absent.steps] == [
        "naming (kubernetes:///nope:dubbo)",
        "service 0",
        "slices 0",
    ]


async def test_no_ready_pod(server: ApiServer, context: NamingContext) -> None:
    """Cause two: pods there are, and how many are not ready; none at all is told apart."""
    service(server)
    slices(server, unready=("10.0.0.1", "10.0.0.2"))
    async with watching(opened(context)) as published:
        absent = await published.absent()
        assert "exists and has no ready pod: 2 not ready" in absent.reason
        assert "-l app=greeter" in absent.reason
        assert len(absent.excluded) == 2
        server.store.delete("endpointslices", "greeter-one", namespace=SHOP)
        absent = await published.absent()
        assert "no pod matches its selector" in absent.reason
        slices(server, "10.0.0.1")
        await published.members("10.0.0.1")


def pod(server: ApiServer, name: str, reason: str) -> None:
    server.store.create({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SHOP, "labels": {"app": "greeter"}},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    })  # fmt: skip
    known = server.store.get("pods", name, SHOP)
    waiting = {"name": "main", "ready": False, "state": {"waiting": {"reason": reason}}}
    known["status"] = {"phase": "Pending", "containerStatuses": [waiting]}
    server.store.update(known, status=True)


async def test_pods_tell_why_they_are_not_ready(server: ApiServer, context: NamingContext) -> None:
    """Where pods may be listed, the message and the funnel have their own reasons, those of pods
    without an address too; a Service that works never asks for them. That nobody is there is
    told at once, before anybody was asked."""
    service(server)
    for number, reason in enumerate(["ImagePullBackOff", "ImagePullBackOff", "CrashLoopBackOff"]):
        pod(server, f"greeter-{number}", reason)
    slices(server, "10.0.0.1", unready=("10.0.0.2",))
    async with watching(opened(context)) as published:
        await published.members("10.0.0.1")
        assert not server.requests["list", "pods"]
        server.store.delete("endpointslices", "greeter-one", namespace=SHOP)
        believed = await published.absent()
        assert "was not asked yet" in believed.reason
        absent = await published.until(
            lambda one: isinstance(one, Absent) and "was not asked yet" not in one.reason
        )
        assert isinstance(absent, Absent)
        assert "0 of 3 pods ready: ImagePullBackOff (2), CrashLoopBackOff (1)" in absent.reason
        assert "kubectl describe pod -n shop greeter-0" in absent.reason
        assert absent.steps[-1].name == "pods"
        slices(server, unready=("10.0.0.2",))
        absent = await published.until(lambda one: isinstance(one, Absent) and one != absent)
        assert isinstance(absent, Absent)
        assert "0 of 3 pods ready" in absent.reason
        assert server.requests["list", "pods"] == 1  # two minutes have not passed


async def test_pods_that_may_not_be_read_are_asked_for_once(
    server: ApiServer, context: NamingContext
) -> None:
    """With the plain Role the message says how many, and how to be told why."""
    rules = [Rule("*", "endpointslices", SHOP), Rule("*", "services", SHOP)]
    server.access.grant("consumer", "me", *rules)
    service(server)
    slices(server, unready=("10.0.0.2",))
    async with watching(opened(context)) as published:
        reason = (await published.absent()).reason
        assert "1 not ready; see why with" in reason
        assert "`kubbo rbac --diagnose`" in reason
        slices(server, unready=("10.0.0.3",), name="two")
        await published.until(lambda one: isinstance(one, Absent) and "2 not" in one.reason)
    assert server.requests["list", "pods"] == 1


async def test_no_such_port(server: ApiServer, context: NamingContext) -> None:
    """Cause three: the ports found are listed, and a Service's own number is explained."""
    service(server)
    slices(server, "10.0.0.1")
    async with watching(opened(context, "kubernetes:///greeter:http")) as published:
        reason = (await published.absent()).reason
        assert "no such port: 'http' is not among the ports found (dubbo (20880))" in reason
    async with watching(opened(context, "kubernetes:///greeter:80")) as published:
        reason = (await published.absent()).reason
        assert "80 is the port of the Service itself" in reason


async def test_a_port_that_only_pods_have_that_are_not_ready(
    server: ApiServer, context: NamingContext
) -> None:
    """A new revision has the port and crashes: its pods are asked why, and named."""
    service(server)
    pod(server, "greeter-new", "CrashLoopBackOff")
    old = slice_object("10.0.0.1", name="old")
    old["ports"][0]["name"] = "http"
    server.store.create(old)
    slices(server, unready=("10.0.0.2",))
    async with watching(opened(context)) as published:
        absent = await published.absent()
    assert "1 ready pod lacks it, and 1 that has it is not ready" in absent.reason
    assert "0 of 1 pod ready: CrashLoopBackOff (1); see more with" in absent.reason
    assert str(absent.steps[-1]) == "pods 0 (0 of 1 pod ready: CrashLoopBackOff (1))"


async def test_a_wrong_port_is_told_before_there_is_a_pod(
    server: ApiServer, context: NamingContext
) -> None:
    """The Service's own ports already show that a name is wrong."""
    service(server)
    async with watching(opened(context, "kubernetes:///greeter:http")) as published:
        assert "has no such port: 'http'" in (await published.absent()).reason
    async with watching(opened(context, "kubernetes:///greeter:dubbo")) as published:
        assert "has no ready pod" in (await published.absent()).reason


async def test_forbidden(server: ApiServer, context: NamingContext) -> None:
    """Cause four: the Role and the RoleBinding that would allow it are printed."""
    server.access.grant("consumer", "system:serviceaccount:shop:default")
    async with watching(opened(context)) as published:
        error = str((await published.failed()).error)
    assert "not allowed to list and watch EndpointSlices in namespace 'shop'" in error
    assert "kind: Role\n" in error
    assert error.endswith(str(finding(SHOP, Subject("default", SHOP))))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "does not accept the credentials"),
        (404, "knows no EndpointSlices"),
        (429, "asks to wait"),
    ],
)
async def test_a_server_that_does_answer(
    server: ApiServer, context: NamingContext, status: int, told: str
) -> None:
    """It is not said to be silent: the error has what it answered and what to do about it."""
    server.faults.add(Answer(status), times=None)
    async with watching(opened(context)) as published:
        error = (await published.failed()).error
    assert str(error).startswith(f"the API server {told} (asked with ")
    assert f"answered {status}" in str(error)
    assert "gives no answer" not in str(error)
    assert isinstance(error, SourceError)
    assert error.status == status


async def test_reading_services_is_not_needed(server: ApiServer, context: NamingContext) -> None:
    """With a Role for EndpointSlices alone, members are found and absence is still told."""
    server.access.grant("consumer", "me", Rule("*", "endpointslices", SHOP))
    slices(server, "10.0.0.1")
    async with watching(opened(context)) as published:
        await published.members("10.0.0.1")
        server.store.delete("endpointslices", "greeter-one", namespace=SHOP)
        await published.until(
            lambda one: (
                isinstance(one, Absent) and "whether it exists could not be asked" in one.reason
            )
        )


# ------------------------------------------------------------------- trouble
async def test_members_stay_and_are_marked_stale_while_the_server_is_away(
    server: ApiServer, context: NamingContext
) -> None:
    """Losing the API server loses nobody; they are stale since the last sign of life, and the mark
    goes when the watch is back."""
    service(server)
    slices(server, "10.0.0.1")
    before = asyncio.get_running_loop().time()
    async with watching(opened(context)) as published:
        await published.members("10.0.0.1")
        heard = asyncio.get_running_loop().time()
        await server.stop(abrupt=True)
        stale = await published.members("10.0.0.1")
        assert stale.stale_since is not None
        assert before <= stale.stale_since <= heard
        slices(server, "10.0.0.2", name="two")
        await server.start()
        await published.until(
            lambda one: (
                isinstance(one, Members) and one.stale_since is None and len(one.endpoints) == 2
            )
        )


async def test_an_expired_watch_is_healed_by_a_list(
    server: ApiServer, context: NamingContext
) -> None:
    """A deletion that happened while nobody watched is found."""
    service(server)
    slices(server, "10.0.0.1")
    slices(server, "10.0.0.2", name="two")
    lasting = opened(context)
    assert isinstance(lasting, LastingResolver)
    resolver = lasting.inside
    assert isinstance(resolver, KubernetesResolver)
    async with watching(lasting) as published:
        await published.members("10.0.0.1", "10.0.0.2")
        await server.stop(abrupt=True)
        server.store.delete("endpointslices", "greeter-two", namespace=SHOP)
        await server.start()
        await published.members("10.0.0.1")
    assert resolver.reflector.counters.expired >= 1


async def test_half_a_line_at_the_end_is_dropped(server: ApiServer, context: NamingContext) -> None:
    """A stream cut inside an event loses that event to the resumed watch, never to garbage."""
    service(server)
    slices(server, "10.0.0.1")
    server.faults.add(Cut(200), verb="watch", resource="endpointslices")
    lasting = opened(context)
    assert isinstance(lasting, LastingResolver)
    resolver = lasting.inside
    assert isinstance(resolver, KubernetesResolver)
    async with watching(lasting) as published:
        await published.members("10.0.0.1")
        slices(server, "10.0.0.2", name="two")
        await published.members("10.0.0.1", "10.0.0.2")
    assert server.faults.fired["Cut"] == 1
    assert resolver.reflector.counters.undecodable == 0


async def test_a_server_that_never_answered_is_a_failure_that_heals(
    server: ApiServer, context: NamingContext
) -> None:
    """Nothing known and nobody to ask: Failed, and Members as soon as the server is there."""
    service(server)
    slices(server, "10.0.0.1")
    server.faults.add(Answer(503), verb="watch", resource="endpointslices")
    async with watching(opened(context)) as published:
        failed = await published.failed()
        assert "answered 503" in str(failed.error)
        await published.members("10.0.0.1")


async def test_no_credentials_is_the_last_word(tmp_path: Path) -> None:
    """Without a kubeconfig the resolver says so once and returns."""
    async with NamingContext(kubeconfig=tmp_path / "gone", environ={}) as context:
        published = Publications()
        await opened(context).watch(published)
    assert isinstance(published.every[-1], Failed)
    assert "check --kubeconfig" in str(published.every[-1].error)


async def test_static_targets_are_said_once() -> None:
    """A static target is members at once, and its watch returns."""
    published = Publications()
    await open_resolver(
        parse_target("static:///10.0.0.1:1,10.0.0.2:2"), NamingContext(environ={})
    ).watch(published)
    (members,) = published.every
    assert isinstance(members, Members)
    assert [str(one) for one in members.endpoints] == ["10.0.0.1:1", "10.0.0.2:2"]


# ------------------------------------------------------------------- mapping
KEY = ServiceKey.parse("com.example.GreetService:1.0.0")


async def test_a_key_is_mapped_by_the_annotation(server: ApiServer, context: NamingContext) -> None:
    """A labelled Service that lists the key wins over the rule, with its port."""
    service(
        server,
        labels={"kubbo.dev/provider": "true"},
        annotations={"kubbo.dev/services": f"com.example.Other, {KEY}@dubbo"},
    )
    slices(server, "10.0.0.1")
    mapping = await map_in_context(KEY, context)
    assert str(mapping.target) == "kubernetes:///greeter.shop:dubbo"
    async with watching(MappedResolver(KEY, context)) as published:
        members = await published.members("10.0.0.1")
    assert str(members.steps[0]) == (
        f"naming ({KEY} -> kubernetes:///greeter.shop:dubbo (attribute))"
    )


async def test_a_key_that_leads_nowhere_tells_every_step(context: NamingContext) -> None:
    """Nothing found is an absence with the whole record."""
    async with watching(MappedResolver(KEY, context)) as published:
        reason = (await published.absent()).reason
    assert "create the Service 'greet-service-1-0-0'" in reason
    assert "KUBBO_TARGETS" in reason


async def test_without_permission_for_services_the_rule_is_taken(
    server: ApiServer, context: NamingContext
) -> None:
    """A token that may only read slices follows the rule, and the record says why."""
    server.access.grant("consumer", "me", Rule("*", "endpointslices", SHOP))
    mapping = await map_in_context(KEY, context)
    assert str(mapping.target) == "kubernetes:///greet-service-1-0-0"
    assert "403" in str(mapping.steps[-1])


# ---------------------------------------------------------------- kinds of slices
async def test_the_family_of_a_pod_with_two_addresses_is_chosen(
    server: ApiServer, tmp_path: Path
) -> None:
    """A dual-stack pod is one backend, called at the family that the consumer wants."""
    for name, address, kind in (("four", "10.0.0.1", "IPv4"), ("six", "fd00::1", "IPv6")):
        made = slice_object(address, name=name)
        made["addressType"] = kind
        made["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": "greeter-1", "uid": "1"}
        server.store.create(made)
    path = server.kubeconfig(tmp_path / "config", namespace=SHOP, token="consumer")
    families: tuple[Literal["IPv4", "IPv6"] | None, ...] = (None, "IPv4", "IPv6")
    for family in families:
        async with (
            NamingContext(kubeconfig=path, environ={}, family=family) as naming,
            watching(opened(naming)) as published,
        ):
            await published.members("fd00::1" if family == "IPv6" else "10.0.0.1")


async def test_host_names_are_ignored_with_one_warning(
    server: ApiServer, context: NamingContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Slices of FQDN are no members: the log says so, once, and what to use instead."""
    made = slice_object("db.example.com", name="names")
    made["addressType"] = "FQDN"
    server.store.create(made)
    slices(server, "10.0.0.1")
    async with watching(opened(context)) as published:
        members = await published.members("10.0.0.1")
        slices(server, "10.0.0.2", name="two")
        await published.members("10.0.0.1", "10.0.0.2")
    assert "slices 2 (1 names ignored)" in [str(step) for step in members.steps]
    [record] = [one for one in caplog.records if one.name == "kubbo.naming"]
    assert "dns:///" in record.getMessage()


async def test_slices_without_ports_are_called_by_number(
    server: ApiServer, context: NamingContext
) -> None:
    """A headless Service may have no ports: a number is dialled as it is, a name is not there."""
    made = slice_object("10.0.0.1")
    made["ports"] = None
    server.store.create(made)
    service(server)
    async with watching(opened(context, "kubernetes:///greeter:20880")) as published:
        members = await published.members("10.0.0.1")
        assert members.endpoints[0].port == 20880
    async with watching(opened(context, "kubernetes:///greeter:dubbo")) as published:
        assert "no such port" in (await published.absent()).reason
