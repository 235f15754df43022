"""Asking a cluster for the evidence.

Everything is asked for at once and nothing is waited for longer than a few seconds. What may not
be read is noted with the server's reason, and the rest is read all the same: the rules know what
they do not know. Nothing is written; the access reviews are questions. Of Secrets and ConfigMaps
only those that a pod names are asked for, one by one, as metadata: their data never leaves the
API server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from kubbo.doctor.bundle import (
    MOST_ITEMS,
    VERSION,
    Access,
    Bundle,
    Log,
    Named,
    Subject,
    Unread,
    cleaned,
)
from kubbo.doctor.facts import Facts, containers, is_ready
from kubbo.doctor.handshakes import exported, look_up, shake
from kubbo.doctor.objects import (
    Claim,
    Event,
    Node,
    Pod,
    Policy,
    Quota,
    Service,
    Slice,
    Workload,
)
from kubbo.errors import ConfigError, KubboError
from kubbo.naming.kubernetes.client import ApiError
from kubbo.naming.mapping import parse_provided

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.target import DnsTarget, StaticTarget

__all__ = ["collect", "collect_addresses"]

T = TypeVar("T")

_WITHIN: Final = 10.0  # seconds for one request
_LOG_PODS: Final = 20
_LOG_READY: Final = 3  # pods that are ready: what one cannot do, the others cannot
_LOG_LINES: Final = 20
_LOG_BYTES: Final = 16_384
_NO_LOG: Final = b"unable to retrieve container logs for "
"""What a kubelet answers, as if it were the log, when it has just put the next container in the
place of the one that is asked about; a moment later it knows that one."""
_LOG_AGAIN: Final = 1.0  # seconds
_LINE_CHARS: Final = 300
_NAMES: Final = 50  # ConfigMaps and Secrets that are looked for
_ENDPOINTS: Final = 3  # that are dialled
_METADATA: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A collection: its name in a bundle's notes, its place in the API, and what is kept."""

    name: str
    prefix: str
    type: type[Any]
    namespaced: bool = True


_KINDS: Final = (
    _Kind("pods", "/api/v1", Pod),
    _Kind("deployments", "/apis/apps/v1", Workload),
    _Kind("replicasets", "/apis/apps/v1", Workload),
    _Kind("services", "/api/v1", Service),
    _Kind("endpointslices", "/apis/discovery.k8s.io/v1", Slice),
    _Kind("resourcequotas", "/api/v1", Quota),
    _Kind("networkpolicies", "/apis/networking.k8s.io/v1", Policy),
    _Kind("persistentvolumeclaims", "/api/v1", Claim),
    _Kind("nodes", "/api/v1", Node, namespaced=False),
)
_EVENTS: Final = _Kind("events", "/api/v1", Event)
_REVIEWED: Final = (
    ("discovery.k8s.io", "endpointslices"),
    ("", "services"),
)


class _Items(msgspec.Struct, frozen=True):
    """A list, its items undecoded."""

    items: list[msgspec.Raw] | None = None


class _Answer(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    """The answer to a SelfSubjectAccessReview."""

    status: _Answer = _Answer()


class _Reader:
    """Reads from one API server, and notes what it may not."""

    def __init__(self, client: ClusterClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self.unread: list[Unread] = []

    async def attempt(self, what: str, asking: Awaitable[T], otherwise: T) -> T:
        """What is asked for, or `otherwise` with a note."""
        try:
            return await asking
        except ApiError as error:
            self.unread.append(Unread(what, error.failure.status, str(error)))
        except (ConfigError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.unread.append(Unread(what, 0, str(error)))
        return otherwise

    async def objects(self, kind: _Kind) -> list[Any]:
        """All objects of a kind that are kept."""
        return await self.attempt(kind.name, self._list(kind), [])

    async def _list(self, kind: _Kind) -> list[Any]:
        where = f"/namespaces/{quote(self._namespace, safe='')}" if kind.namespaced else ""
        body = await self._client.fetch(
            f"{kind.prefix}{where}/{kind.name}", {"limit": str(MOST_ITEMS)}, within=_WITHIN
        )
        items = msgspec.json.decode(body, type=_Items).items or ()
        return [msgspec.json.decode(item, type=kind.type) for item in items]

    async def named(self, kind: str, name: str) -> Named:
        """Whether a ConfigMap or Secret exists."""
        plural = f"{kind.lower()}s"
        path = f"/api/v1/namespaces/{quote(self._namespace, safe='')}/{plural}/"
        try:
            await self._client.fetch(path + quote(name, safe=""), accept=_METADATA)
        except ApiError as error:
            return Named(kind, name, found=None if error.failure.status != 404 else False)
        except ConfigError:
            return Named(kind, name, None)
        return Named(kind, name, found=True)

    async def allowed(self, verb: str, group: str, resource: str) -> Access | None:
        """Whether whoever asks may do this; None where that is not told."""
        question = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource,
                    "namespace": self._namespace,
                }
            },
        }
        body = await self.attempt(
            f"whether {verb} of {resource} is allowed",
            self._client.fetch(
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                question=msgspec.json.encode(question),
            ),
            b"",
        )
        if not body:
            return None
        review = msgspec.json.decode(body, type=_Review)
        return Access(verb, group, resource, self._namespace, review.status.allowed)

    async def log(self, pod: str, container: str, *, previous: bool) -> Log | None:
        """The last lines of a container, None where there are none."""
        path = (
            f"/api/v1/namespaces/{quote(self._namespace, safe='')}/pods/{quote(pod, safe='')}/log"
        )
        parameters = {
            "container": container,
            "tailLines": str(_LOG_LINES),
            "limitBytes": str(_LOG_BYTES),
        }
        if previous:
            parameters["previous"] = "true"
        which = "previous log" if previous else "log"

        async def ask() -> bytes:
            return await self.attempt(
                f"{which} of {pod}/{container}",
                self._client.fetch(path, parameters, accept="*/*"),
                b"",
            )

        body = await ask()
        if body.startswith(_NO_LOG):
            await asyncio.sleep(_LOG_AGAIN)
            body = await ask()
            if body.startswith(_NO_LOG):
                return None
        lines = body.decode("utf-8", "replace").splitlines()
        shown = [line[:_LINE_CHARS] for line in lines[-_LOG_LINES:] if line.strip()]
        return Log(pod, container, previous, shown) if shown else None


async def collect(
    client: ClusterClient,
    subject: Subject,
    *,
    dial: bool = True,
    resolve: bool = False,
    now: Callable[[], datetime] | None = None,
) -> Bundle:
    """All evidence about a subject of a cluster; `resolve`: look its DNS name up too. Cancel safe.

    `dial`: connect to endpoints, which works where pods' addresses are routed.
    """
    reader = _Reader(client, subject.namespace)
    lists = await asyncio.gather(*(reader.objects(kind) for kind in _KINDS))
    # After the states that they explain: a kubelet sends the event first, or nearly so.
    events = await reader.objects(_EVENTS)
    read = dict(zip((kind.name for kind in _KINDS), lists, strict=True))
    reviews = await asyncio.gather(
        *(
            reader.allowed(verb, group, resource)
            for group, resource in _REVIEWED
            for verb in ("list", "watch")
        )
    )
    seen = Bundle(
        version=VERSION,
        taken=(now or _utc)().isoformat(timespec="seconds"),
        subject=subject,
        pods=read["pods"],
        events=events,
        deployments=read["deployments"],
        replica_sets=read["replicasets"],
        services=read["services"],
        slices=read["endpointslices"],
        quotas=read["resourcequotas"],
        policies=read["networkpolicies"],
        claims=read["persistentvolumeclaims"],
        nodes=_used(read["nodes"], read["pods"]),
        access=[one for one in reviews if one is not None],
        unread=reader.unread,
    )
    facts = Facts(seen)
    named = asyncio.gather(*(reader.named(*each) for each in _names(facts)))
    logs = asyncio.gather(
        *(reader.log(pod, name, previous=previous) for pod, name, previous in _logs(facts))
    )
    addresses = _dialled(facts) if dial else []
    shakes = asyncio.gather(*(shake(address) for address in addresses))
    names = _names_in_dns(subject) if resolve else []
    lookups = asyncio.gather(*(look_up(name) for name in names))
    handshakes = await shakes
    if handshakes and handshakes[0].outcome == "dubbo":
        handshakes[0] = await exported(handshakes[0], _keys(facts))
    return cleaned(
        msgspec.structs.replace(
            seen,
            named=await named,
            logs=[one for one in await logs if one is not None],
            handshakes=handshakes,
            lookups=await lookups,
        )
    )


async def collect_addresses(
    target: StaticTarget | DnsTarget,
    *,
    now: Callable[[], datetime] | None = None,
) -> Bundle:
    """The evidence about a target that is not asked for in a cluster. Cancel safe."""
    from kubbo.naming.target import StaticTarget  # noqa: PLC0415 - a name that is checked

    if isinstance(target, StaticTarget):
        lookups = []
        addresses = [str(one) for one in target.endpoints[:_ENDPOINTS]]
    else:
        lookups = [await look_up(target.host)]
        addresses = [
            f"{f'[{host}]' if ':' in host else host}:{target.port}"
            for host in lookups[0].addresses[:_ENDPOINTS]
            if isinstance(target.port, int)
        ]
    return cleaned(
        Bundle(
            version=VERSION,
            taken=(now or _utc)().isoformat(timespec="seconds"),
            subject=Subject("address", str(target)),
            lookups=lookups,
            handshakes=list(await asyncio.gather(*(shake(one) for one in addresses))),
        )
    )


def _utc() -> datetime:
    return datetime.now(UTC)


def _used(nodes: list[Node], pods: list[Pod]) -> list[Node]:
    """The nodes that the pods are on."""
    names = {pod.spec.node_name for pod in pods}
    return [node for node in nodes if node.metadata.name in names]


def _names(facts: Facts) -> list[tuple[str, str]]:
    """ConfigMaps and Secrets that pods must have."""
    found: dict[tuple[str, str], None] = {}
    for pod in facts.pods:
        for volume in pod.spec.volumes or ():
            if volume.config_map is not None and not volume.config_map.optional:
                found["ConfigMap", volume.config_map.name] = None
            if volume.secret is not None and not volume.secret.optional:
                found["Secret", volume.secret.secret_name] = None
    return [each for each in found if each[1]][:_NAMES]


def _logs(facts: Facts) -> Iterable[tuple[str, str, bool]]:
    """Containers whose log may say why their pod is not well, or what a well one lacks."""
    well = [pod for pod in facts.pods if is_ready(pod)][:_LOG_READY]
    for pod in [pod for pod in facts.pods if not is_ready(pod)][:_LOG_PODS] + well:
        for _, status in containers(pod):
            state = status.state
            if status.restart_count:
                yield pod.metadata.name, status.name, True
            if state is not None and (state.running or state.terminated):
                yield pod.metadata.name, status.name, False


def _dialled(facts: Facts) -> list[str]:
    """Addresses of ready endpoints, at the port that speaks Dubbo."""
    found: dict[str, None] = {}
    for service in facts.services:
        for one in facts.slices(service):
            ports = [port for port in one.ports or () if port.protocol in (None, "TCP")]
            asked = facts.subject.port
            chosen = [port for port in ports if asked in (port.name, port.port)] or [
                port for port in ports if port.name == "dubbo" or port.app_protocol == "dubbo"
            ]
            if not chosen and asked is None and facts.subject.kind == "service" and len(ports) == 1:
                chosen = ports
            for endpoint in one.endpoints or ():
                conditions = endpoint.conditions
                if conditions is not None and conditions.ready is False:
                    continue
                for host in (endpoint.addresses or ())[:1]:
                    for port in chosen[:1]:
                        found[f"{f'[{host}]' if ':' in host else host}:{port.port}"] = None
    return list(found)[:_ENDPOINTS]


def _names_in_dns(subject: Subject) -> list[str]:
    if subject.kind != "service":
        return []
    return [f"{subject.name}.{subject.namespace}.svc"]


def _keys(facts: Facts) -> list[str]:
    """Service keys that the Services say they provide."""
    found: list[str] = []
    for service in facts.services:
        annotations = service.metadata.annotations
        if annotations is not None and annotations.services is not None:
            try:
                found += parse_provided(annotations.services)
            except KubboError:
                continue
    return found
