"""The default chain: what a plain Kubernetes target goes on to when the API server cannot answer.

    the API server, with the snapshot on disk  |  the cluster's DNS  |  the Service's ClusterIP

In a pod the other two can be known without asking anybody. The kubelet writes the cluster's domain
and the own namespace into resolv.conf, as `search NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN`; and into
the environment the address of every Service of the own namespace that was there before the pod.
Where there is no such evidence, there is no such source: outside of a cluster the name would be
asked of anybody, and with another cluster's credentials it would be another Service.

DNS and the ClusterIP know Services, and not their pods' ports. A target that leaves the port out
goes on to the port named like its protocol; one that says a number, to that number.

Unlike somebody who writes a chain, nobody has said that the others are as good. The ClusterIP is
one address, behind which all balancing is the cluster's; and while an API server is away, to be
upgraded say, next to nothing moves, for the controllers are without it too. So members that are
known are kept for five minutes before the next source is asked.
"""

from __future__ import annotations

import asyncio
import ipaddress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.model import Endpoint
from kubbo.naming.chain import Failover
from kubbo.naming.resolution import hint_refresh
from kubbo.naming.static import StaticResolver
from kubbo.naming.target import DnsTarget, KubernetesTarget, StaticTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.naming.resolution import Publish, Resolver

__all__ = ["PATIENT", "FallbackResolver", "in_pod", "sources_after"]

PATIENT: Final = Failover(grace=300.0)
"""When the default chain goes on, where nobody said otherwise."""

_MOST_BYTES = 64 << 10  # of a resolv.conf


def in_pod(environ: Mapping[str, str]) -> bool:
    """Whether the kubelet's variables are there, and no kubeconfig that leads elsewhere."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST")) and not environ.get("KUBECONFIG")


def sources_after(
    target: KubernetesTarget,
    *,
    protocol: str,
    namespace: str,
    resolv_conf: str,
    environ: Mapping[str, str],
) -> list[DnsTarget | StaticTarget]:
    """What a target goes on to, in this order; `namespace` is the consumer's, if it was given one.

    `resolv_conf` is the text of that file, `environ` the environment of the pod.
    """
    found: list[DnsTarget | StaticTarget] = []
    own, domain = _searched(resolv_conf)
    wanted = target.namespace or namespace or own
    port = protocol if target.port is None else target.port
    if domain and wanted:
        found.append(DnsTarget(f"{target.service}.{wanted}.svc.{domain}.", port))
    if wanted == own and own:
        address = _cluster_ip(target.service, port, environ)
        if address is not None:
            found.append(StaticTarget((address,)))
    return found


def _searched(resolv_conf: str) -> tuple[str, str]:
    """The own namespace and the cluster's domain; empty where the kubelet did not write them.

    Read here and not by `dns.resolv_conf`, for that loads dnspython, which few consumers need.
    """
    domains: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if words and words[0] == "search":  # the last one counts
            domains = [word.rstrip(".") for word in words[1:]]
    for first, second in pairwise(domains):
        namespace, _, rest = first.partition(".")
        if rest == second and second.startswith("svc."):
            return namespace, second.removeprefix("svc.")
    return "", ""


def _cluster_ip(service: str, port: int | str, environ: Mapping[str, str]) -> Endpoint | None:
    """Where the environment says that a Service is."""
    prefix = f"{_variable(service)}_SERVICE"
    host = environ.get(f"{prefix}_HOST", "")
    number = str(port)
    if isinstance(port, str):
        named = environ.get(f"{prefix}_PORT_{_variable(port)}")
        has_names = any(name.startswith(f"{prefix}_PORT_") for name in environ)
        number = named or ("" if has_names else environ.get(f"{prefix}_PORT", ""))
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:  # a headless Service says None
        return None
    if not (number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65536):
        return None
    return Endpoint(host, int(number))


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


class _Later:
    """A resolver that is made when it is needed, since that loads a library."""

    def __init__(self, target: DnsTarget, make: Callable[[DnsTarget], Resolver]) -> None:
        self._target = target
        self._make = make
        self._made: Resolver | None = None

    def refresh(self) -> None:
        if self._made is not None:
            hint_refresh(self._made)

    async def watch(self, publish: Publish, /) -> None:
        if self._made is None:
            await asyncio.to_thread(import_module, "kubbo.naming.dns.resolver")
            self._made = self._make(self._target)
        await self._made.watch(publish)


class FallbackResolver:
    """A plain target's resolver, with what it goes on to behind it."""

    def __init__(
        self,
        target: KubernetesTarget,
        first: Resolver,
        open_one: Callable[[DnsTarget], Resolver],
        *,
        protocol: str,
        namespace: str,
        resolv_conf: str | Path,
        environ: Mapping[str, str],
        options: Failover,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`first` is the resolver of `target`, `open_one` makes that of a DNS target."""
        self._target = target
        self._first = first
        self._open = open_one
        self._protocol = protocol
        self._namespace = namespace
        self._resolv_conf = Path(resolv_conf)
        self._environ = environ
        self._options = options
        self._clock = clock
        self._used = first

    def __repr__(self) -> str:
        return f"FallbackResolver({self._first!r})"

    def refresh(self) -> None:
        """Pass a hint on."""
        hint_refresh(self._used)

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled."""
        following = await asyncio.to_thread(self._find)
        if following:
            from kubbo.naming.failover import FailoverResolver  # noqa: PLC0415 - in a pod only

            sources = [(str(self._target), self._first)]
            for one in following:
                resolver: Resolver = (
                    StaticResolver(one)
                    if isinstance(one, StaticTarget)
                    else _Later(one, self._open)
                )
                sources.append((str(one), resolver))
            self._used = FailoverResolver(sources, self._options, clock=self._clock)
        await self._used.watch(publish)

    def _find(self) -> list[DnsTarget | StaticTarget]:
        try:
            with self._resolv_conf.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST_BYTES)
        except OSError:
            text = ""
        return sources_after(
            self._target,
            protocol=self._protocol,
            namespace=self._namespace,
            resolv_conf=text,
            environ=self._environ,
        )
