"""Why there is no provider, in one paragraph: what was found, where, and what to do next.

Four causes look alike from a consumer (an empty list) and have four different remedies: the
Service does not exist, it has no ready pod, it has no such port, or we may not look. Pure
text, so that each can be tested as what a person reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kubbo.naming.kubernetes.roles import finding, refused, watching_config_map
from kubbo.naming.kubernetes.slices import Verdict

if TYPE_CHECKING:
    from kubbo.naming.kubernetes.objects import Service
    from kubbo.naming.kubernetes.pods import PodsSeen
    from kubbo.naming.kubernetes.roles import Grant
    from kubbo.naming.kubernetes.slices import Joined
    from kubbo.naming.target import Port

__all__ = ["absent", "forbidden", "forbidden_config_map", "unavailable"]

_PORT = re.compile("[a-z0-9-]+")  # not `(unnamed)`, nor `dns/UDP`
_NOBODY = 'User "system:anonymous" '


def absent(
    joined: Joined,
    *,
    service: str,
    namespace: str,
    port: Port,
    found: Service | None,
    asked: bool | None,
    source: str,
    pods: PodsSeen | None = None,
) -> str:
    """Why a healthy API server leaves us without a provider.

    `found` is the Service when it could be read; `asked` and no `found`: there is none. `asked` is
    None as long as nobody has asked, and False where no answer came.
    `source` says which cluster was asked. `pods` are those of the Service, if they were asked for.
    """
    where = f"Service {service!r} in namespace {namespace!r}"
    if asked and found is None:
        return (
            f"{where} does not exist (asked with {source}); check the names with "
            f"`kubectl get services -n {namespace}`, and that this is the right cluster"
        )
    if joined.verdict is Verdict.NO_PORT:
        if joined.port_problem:
            return _no_port(joined.ports, joined.port_problem, where, port, found)
        look = (
            (f"{pods}; " if pods is not None and pods.total else "") + _look(namespace, found, pods)
            if pods_would_tell(joined)
            else "compare the ports of the pods with the targetPort of the Service"
        )
        return f"{where} exists, and {_port_unready(joined, port)}; {look}"
    if found is not None and found.spec.type == "ExternalName":
        return (
            f"{where} is an ExternalName for {found.spec.external_name!r} and has no endpoints; "
            f"use dns:///{found.spec.external_name}:PORT instead"
        )
    if found is not None and not joined.ports and _lacks(found, port):
        # There is no pod yet, but none will ever have this port.
        ports = tuple(
            f"{one.name or '(unnamed)'} ({one.target_port or one.port})"
            for one in found.spec.ports or ()
        )
        return _no_port(ports, "", where, port, found)
    if joined.verdict is Verdict.NOT_READY or (pods is not None and pods.total):
        leaving = f" and {joined.terminating} terminating" if joined.terminating else ""
        counted = f"{joined.not_ready} not ready{leaving}"
        return f"{where} exists and has no ready pod: {_pods(counted, namespace, found, pods)}"
    if found is None:  # not allowed to read it, or it could not be asked, or not yet
        unknown = "was not asked yet" if asked is None else "could not be asked"
        return (
            f"{where} has no ready pod: no endpoint is published for it (whether it exists "
            f"{unknown}); check with `kubectl get service,endpointslices -n {namespace}`"
        )
    if not found.spec.selector and joined.verdict is Verdict.NO_SLICES:
        return (
            f"{where} exists and has no ready pod: it has no selector, and nobody wrote an "
            "EndpointSlice for it; give it a selector"
        )
    unseen = "" if pods is not None and pods.asked else " (or none that has an address yet)"
    return (
        f"{where} exists and has no ready pod: 0 not ready, no pod matches its selector at all"
        f"{unseen}; compare the labels with `kubectl get pods -n {namespace} --show-labels` to the "
        f"selector{_selector(found, flag=' ')}, and check that pods are running"
    )


def pods_would_tell(joined: Joined) -> bool:
    """Whether the reasons of pods that are not ready would explain that there is nobody."""
    if joined.verdict is not Verdict.NO_PORT:
        return True
    return not joined.port_problem and any(one.port for one in joined.excluded)


def _port_unready(joined: Joined, port: Port) -> str:
    """The port was found, but on no pod that is ready: those are older, say, and lack it."""
    having = [one for one in joined.excluded if one.port]
    numbers = ", ".join(str(number) for number in sorted({one.port for one in having}))
    which = f"port {port!r}" if port is not None else f"port to call ({numbers or 'none'})"
    if joined.ready:
        lacking = f"{joined.ready} ready {'pod lacks' if joined.ready == 1 else 'pods lack'} it"
    else:
        lacking = "those that terminate and still serve lack it"
    unready = f"{len(having) or 'none'} that {'have' if len(having) > 1 else 'has'} it"
    unready += f" {'are' if len(having) > 1 else 'is'} not ready" if having else " is there"
    return (
        f"no ready pod has the {which}: {lacking}, and {unready} "
        f"(ports found: {', '.join(joined.ports) or 'none'})"
    )


def _pods(counted: str, namespace: str, found: Service | None, pods: PodsSeen | None) -> str:
    """Why the pods are not ready, in their own words where those may be read."""
    look = _look(namespace, found, pods)
    if pods is None or not pods.total:
        return f"{counted}; {look}"
    return f"{pods}, which no EndpointSlice shows yet; {look}" if pods.ready else f"{pods}; {look}"


def _look(namespace: str, found: Service | None, pods: PodsSeen | None) -> str:
    """How to see more of the pods, or that which could not be read."""
    if pods is not None and pods.total:
        first = f" {pods.first}" if pods.first else ""
        return f"see more with `kubectl describe pod -n {namespace}{first}`"
    look = (
        f"see why with `kubectl get pods -n {namespace}{_selector(found)}` and "
        "`kubectl describe pod`"
    )
    if pods is not None and not pods.asked:
        look += (
            "; a Role that lets this message say it, by reading pods, is printed by "
            "`kubbo rbac --diagnose`"
        )
    return look


def _lacks(found: Service, port: Port) -> bool:
    """Whether a Service certainly has no such port, whatever its pods."""
    ports = found.spec.ports or ()
    if port is None or not ports:
        return False
    if isinstance(port, str):
        return all(one.name != port for one in ports)
    targets = {one.target_port or one.port for one in ports}
    return port not in targets and all(isinstance(target, int) for target in targets)


def _no_port(
    ports: tuple[str, ...], problem: str, where: str, port: Port, found: Service | None
) -> str:
    listed = ", ".join(ports) or "none"
    if port is None:
        names = (one.partition(" ")[0] for one in ports)
        return (
            f"{where} exists, but which of its ports to use is unclear "
            f"({problem}); ports found: {listed}; name one in the target, like "
            f"kubernetes:///SERVICE.NAMESPACE:{next(filter(_PORT.fullmatch, names), 'PORT')}"
        )
    hint = ""
    for one in (found.spec.ports if found is not None else None) or ():
        if isinstance(port, int) and one.port == port:
            hint = (
                f"; {port} is the port of the Service itself, targets name the pods' port: "
                f"write {one.name or one.target_port}"
            )
        elif isinstance(port, str) and one.target_port == port != one.name:
            hint = f"; {port!r} is the container's name for the port, the Service's is {one.name!r}"
    return (
        f"{where} exists and has no such port: {port!r} is not among the ports found "
        f"({listed}){hint or '; correct the port in the target or in the Service'}"
    )


def _selector(found: Service | None, *, flag: str = " -l ") -> str:
    if found is None or not found.spec.selector:
        return ""
    return flag + ",".join(f"{key}={value}" for key, value in sorted(found.spec.selector.items()))


def forbidden(message: str, *, namespace: str, source: str) -> str:
    """The token may not list EndpointSlices. `message` says who the server takes us for."""
    return (
        f"not allowed to list and watch EndpointSlices in namespace {namespace!r} (asked with "
        f"{source}): {message}. "
        + _apply(finding(namespace, refused(message, "endpointslices")), message)
    )


def forbidden_config_map(message: str, *, name: str, namespace: str) -> str:
    """The token may not list one ConfigMap."""
    return (
        f"not allowed to watch the ConfigMap {name!r} in namespace {namespace!r}: {message}. Mount "
        "it, which needs no permission; or a"
        + _apply(watching_config_map(namespace, name, refused(message, "configmaps")), message)[1:]
    )


def _apply(grant: Grant, message: str) -> str:
    if grant.subject is not None:
        given = f"Apply this Role, and this RoleBinding for the {grant.subject}"
    elif _NOBODY in message:
        given = (
            "Check the credentials first, the server takes us for nobody. The consumer needs this "
            "Role, and a RoleBinding for its service account"
        )
    else:
        given = "Apply this Role, and a RoleBinding for the consumer's service account"
    return f"{given}:\n{grant}"


def unavailable(message: str, *, status: int, source: str) -> str:
    """The API server does not give the slices, and never has.

    `status` is that of its answer, 0 if there was none; 403 is for `forbidden`. `message` has it.
    """
    match status:
        case 0:
            what = "gives no answer"
            advice = "Check the address, the network and the credentials with `kubectl version`"
        case 401:
            what = "does not accept the credentials"
            advice = (
                "Get a new token: `kubectl config view --minify` shows where the present one comes "
                "from; in a pod, check that its service account exists and its token is mounted"
            )
        case 404:
            what = "knows no EndpointSlices"
            advice = (
                "Check that this is the address of an API server, without a path too much, and "
                "has discovery.k8s.io/v1 (Kubernetes 1.21): `kubectl api-versions`"
            )
        case 429:
            what = "asks to wait"
            advice = (
                "Nothing is to be done if this passes; else see what floods it with `kubectl get "
                "--raw /debug/api_priority_and_fairness/dump_priority_levels`"
            )
        case _ if status >= 500:
            what = "is in trouble itself"
            advice = "See what is not ready with `kubectl get --raw '/readyz?verbose'`"
        case _:
            what = "refuses"
            advice = "Check the address and what is in between, such as a proxy"
    return f"the API server {what} (asked with {source}): {message}; retrying. {advice}"
