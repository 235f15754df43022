"""Everything under exactly the Role that `kubbo rbac` prints, on the real API server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.greeter import PORT, GreeterProcess, GreetService, User
from tests.testbed.processes import eventually

import kubbo
from kubbo.naming import Failed, Members, open_resolver, parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.bed import ControlPlane
    from tests.cluster.namespace import Namespace

ACCOUNT = "consumer"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`kubbo` as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "kubbo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Consumer:
    """A service account that has what `kubbo rbac TARGET` printed, and nothing else."""

    def __init__(self, namespace: Namespace, target: str, account: str = ACCOUNT) -> None:
        self.namespace = namespace
        self.plane = namespace.control_plane
        self.account = account
        namespace.kubectl("create", "serviceaccount", account)
        self.manifest = self.allow(target)
        self.token = self.plane.token(namespace.name, account)
        self.kubeconfig = self.plane.write_kubeconfig(
            namespace.directory / f"{account[:20]}.kubeconfig",
            {"token": self.token},
            namespace=namespace.name,
        )
        eventually(lambda: self.status(self.slices()) == 200, "the Role is in force")

    def allow(self, target: str, *options: str) -> str:
        """Apply what is printed for it; returns that."""
        own = ("-n", self.namespace.name, "--service-account", self.account)
        printed = run("rbac", target, *own, *options)
        assert printed.returncode == 0, printed.stderr
        self.plane.kubectl("apply", "--warnings-as-errors", "-f", "-", input=printed.stdout)
        return printed.stdout

    def slices(self, namespace: str | None = None) -> str:
        name = self.namespace.name if namespace is None else namespace
        return f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"

    def may(self, verb: str, what: str) -> bool:
        """Whether the API server would let it, as it says itself."""
        resource, _, group = what.partition(".")
        asked = {"namespace": self.namespace.name, "verb": verb, "resource": resource}
        answer = self.plane.request(
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {**asked, "group": group}},
            },
            token=self.token,
        )
        assert answer.status == 201
        allowed: bool = answer.body["status"]["allowed"]
        return allowed

    def status(self, path: str, method: str = "GET", body: object = None) -> int:
        return self.plane.request(method, path, body, token=self.token).status


def test_only_roles_are_printed_and_kubectl_takes_them(namespace: Namespace) -> None:
    """A Role and a RoleBinding, which the real API server accepts as they are; no ClusterRole."""
    consumer = Consumer(namespace, "kubernetes:///greeter:dubbo")
    output = namespace.control_plane.kubectl(
        "apply", "--dry-run=server", "-o", "json", "-f", "-", input=consumer.manifest
    )
    listed: dict[str, Any] = json.loads(output)
    assert sorted(item["kind"] for item in listed["items"]) == ["Role", "RoleBinding"]
    assert {item["metadata"]["namespace"] for item in listed["items"]} == {namespace.name}


def test_everything_else_is_refused(namespace: Namespace, control_plane: ControlPlane) -> None:
    """Secrets, pods, other namespaces, the whole cluster and every write are forbidden to it."""
    consumer = Consumer(namespace, "kubernetes:///greeter:dubbo")
    own = f"/api/v1/namespaces/{namespace.name}"
    assert consumer.status(f"{own}/services") == 200
    for path in (
        f"{own}/secrets",
        f"{own}/configmaps",
        f"{own}/pods",
        f"{own}/serviceaccounts",
        "/api/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system/services",
        "/api/v1/namespaces/default/services",
        "/api/v1/services",
        "/api/v1/secrets",
        "/api/v1/nodes",
        consumer.slices("default"),
        "/apis/discovery.k8s.io/v1/endpointslices",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}/roles",
    ):
        assert consumer.status(path) == 403, path
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}
    assert consumer.status(f"{own}/services", "POST", service) == 403
    assert consumer.status(f"{own}/services/greeter", "DELETE") == 403
    assert consumer.status(f"{consumer.slices()}/x", "DELETE") == 403
    may = control_plane.kubectl("auth", "can-i", "--list", "-n", namespace.name, kubeconfig=None)
    assert "*" in may  # the administrator's list: the check below can fail
    for verb, what, allowed in (
        ("list", "endpointslices.discovery.k8s.io", True),
        ("watch", "endpointslices.discovery.k8s.io", True),
        ("get", "endpointslices.discovery.k8s.io", False),
        ("list", "services", True),
        ("get", "services", True),
        ("watch", "services", False),
    ):
        assert consumer.may(verb, what) is allowed, (verb, what)
    listed = control_plane.kubectl(
        "auth", "can-i", "--list", "-n", namespace.name, kubeconfig=consumer.kubeconfig
    )
    granted = {line.split()[0] for line in listed.splitlines()[1:] if not line.startswith(" ")}
    assert {one for one in granted if "self" not in one} == {
        "endpointslices.discovery.k8s.io",
        "services",
    }


def test_what_one_is_given_is_not_taken_from_another(
    namespace: Namespace, control_plane: ControlPlane
) -> None:
    """Two consumers of one namespace, one of which was given more before: both keep all."""
    target = f"kubernetes:///greeter.{namespace.name}:dubbo"
    first = Consumer(namespace, target)
    first.allow(target, "--diagnose")
    pods = f"/api/v1/namespaces/{namespace.name}/pods"
    eventually(lambda: first.status(pods) == 200, "it may list pods")
    second = Consumer(namespace, target, "a" * 253)
    first.allow(target)
    last = Consumer(namespace, target, "last")  # when it is in force, so is what was before
    for each in (first, second, last):
        assert each.status(each.slices()) == 200
    assert first.status(pods) == 200
    assert second.status(pods) == 403
    control_plane.kubectl("delete", "-f", "-", input=first.allow(target))
    eventually(lambda: first.status(first.slices()) == 403, "what it was given is gone")
    assert second.status(second.slices()) == 200
    assert first.status(pods) == 200


@pytest.mark.root
async def test_everything_works_under_that_role(
    namespace: Namespace, provider_address: Callable[[], str]
) -> None:
    """Calls, the mapping by annotation, the rule, the reason for an empty view and the commands
    need no more than what is printed.
    """
    host = provider_address()
    await asyncio.to_thread(namespace.service, "greet-service-1-0-0")
    consumer = await asyncio.to_thread(
        Consumer, namespace, f"kubernetes:///greet-service-1-0-0.{namespace.name}:dubbo"
    )
    with GreeterProcess(host):
        await asyncio.to_thread(namespace.pod, "one", host, app="greet-service-1-0-0")
        await asyncio.to_thread(namespace.wait_ready, "greet-service-1-0-0", {host})
        naming = kubbo.NamingContext(kubeconfig=consumer.kubeconfig, environ={})
        async with kubbo.Channel(naming=naming, timeout=30.0) as channel:
            target = f"kubernetes:///greet-service-1-0-0.{namespace.name}:dubbo"
            by_target = channel.refer(GreetService, target)
            assert "Ann" in await by_target.greet(User(1, "Ann"))
            by_rule = channel.refer(GreetService)
            assert "Ann" in await by_rule.greet(User(1, "Ann"))
            missing = channel.refer(GreetService, f"kubernetes:///missing.{namespace.name}:dubbo")
            with pytest.raises(kubbo.NoProvider, match="does not exist"):
                await missing.greet(User(1, "Ann"))
        arguments = (target, "--kubeconfig", consumer.kubeconfig, "-o", "json")
        shown = await asyncio.to_thread(run, "endpoints", *arguments)
        assert shown.returncode == 0, shown.stderr
        (view,) = [json.loads(line) for line in shown.stdout.splitlines()]
        assert [(each["host"], each["port"]) for each in view["endpoints"]] == [(host, PORT)]
        key = "com.example.GreetService:1.0.0"
        mapped = await asyncio.to_thread(run, "map", key, "--kubeconfig", consumer.kubeconfig)
        assert mapped.returncode == 0, mapped.stderr


async def test_without_the_role_the_error_has_it(namespace: Namespace) -> None:
    """Taken away, the failure prints the very Role and binding; applied, the view heals by
    itself."""
    namespace.service("greeter")
    namespace.pod("one", "10.244.9.1", app="greeter")
    target = f"kubernetes:///greeter.{namespace.name}:dubbo"
    consumer = await asyncio.to_thread(Consumer, namespace, target)
    manifest = consumer.manifest.partition("\n")[2]  # after the comment
    await asyncio.to_thread(
        namespace.control_plane.kubectl, "delete", "-f", "-", input=consumer.manifest
    )
    await asyncio.to_thread(
        eventually, lambda: consumer.status(consumer.slices()) == 403, "the Role is gone"
    )
    async with kubbo.NamingContext(kubeconfig=consumer.kubeconfig, environ={}) as context:
        healed = False

        def until(said: object) -> bool:
            nonlocal healed
            if isinstance(said, Failed) and not healed:
                assert manifest in f"{said.error}\n"
                healed = True
                told = str(said.error)[str(said.error).index("apiVersion:") :]
                namespace.control_plane.kubectl("apply", "-f", "-", input=told)
            return healed and isinstance(said, Members)

        await check_resolver(
            lambda: open_resolver(parse_target(target), context), until=until, within=40.0
        )
