"""What deploys a provider: every field that somebody leans on, and that the objects agree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Protocol

import pytest
import yaml
from hypothesis import given, strategies as st

import kubbo
from kubbo.errors import UsageError
from kubbo.manifests import Application, Serving, as_json, as_yaml, objects, registration
from kubbo.model import ServiceKey
from kubbo.naming.kubernetes.roles import Subject, finding
from kubbo.naming.mapping import parse_provided
from kubbo.naming.target import KubernetesTarget
from kubbo.rpc.metadata import METADATA_SERVICE, MetadataInfo, ServiceInfo
from kubbo.rpc.service import read_interface

GREET = ServiceKey("com.example.GreetService", "", "1.0.0")
STOCK = ServiceKey("com.example.Stock$Service", "eu", "2")

SERVING = Serving(
    services=(GREET, STOCK),
    registration='{"dubbo.metadata.revision":"r"}',
    port=20880,
)
PROVIDER = Application(
    what="greeter:Greeter",
    image="registry.example/greeter:1.0",
    name="greeter",
    namespace="shop",
    serving=SERVING,
)
CONSUMER = replace(PROVIDER, what="shop.checkout", name="checkout", serving=None)


def changed(**changes):
    """The provider with other values, those of what it serves among them."""
    own = {key: value for key, value in changes.items() if hasattr(PROVIDER, key)}
    served = {key: value for key, value in changes.items() if key not in own}
    return replace(PROVIDER, **own, serving=replace(SERVING, **served))


def made(application=None, **changes):
    """The objects by kind; the two Services by name."""
    listed = objects(application or changed(**changes))
    return {each["kind"]: each for each in listed if each["kind"] != "Service"} | {
        each["metadata"]["name"]: each for each in listed if each["kind"] == "Service"
    }


def container(**changes):
    """The one container of the Deployment."""
    (only,) = made(**changes)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def pod(**changes):
    """The pods' spec."""
    return made(**changes)["Deployment"]["spec"]["template"]["spec"]


# --- one provider, as a whole


def test_all_kinds_each_after_what_it_needs():
    """The Deployment comes last: its pods find the account, the Role and the policy there."""
    plain = [each["kind"] for each in objects(PROVIDER)]
    assert plain == [
        "ServiceAccount",
        "Service",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Deployment",
    ]
    consuming = replace(PROVIDER, consumes=(KubernetesTarget("stock"),), service_account="bot")
    assert [each["kind"] for each in objects(consuming)] == [
        *("Role", "RoleBinding", "Service", "Service"),
        *("NetworkPolicy", "PodDisruptionBudget", "Deployment"),
    ]


def test_everything_names_its_namespace_and_its_application():
    """`kubectl apply` needs no -n, and one label selects all of it."""
    for each in objects(replace(PROVIDER, consumes=(KubernetesTarget("a"),))):
        assert each["metadata"]["namespace"] == "shop"
        assert each["metadata"]["labels"]["app.kubernetes.io/name"] == "greeter"


def test_every_selector_is_that_of_the_pods():
    """Deployment, Services, policy, budget and spread speak of the same pods."""
    found = made()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    spread = pod()["topologySpreadConstraints"]
    selectors = [
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["greeter"]["spec"]["selector"],
        found["greeter-vip"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in spread),
    ]
    assert all(each == labels == {"app.kubernetes.io/name": "greeter"} for each in selectors)


# --- the pod


def test_the_pod_runs_as_nobody_and_writes_nowhere():
    """What "restricted" of the Pod Security Standards asks, and a read-only root on top."""
    spec, one = pod(), container()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert one["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert [each["name"] for each in spec["volumes"]] == ["tmp"]


@pytest.mark.parametrize(("grace", "seconds"), [(20.0, 30), (40.0, 50), (0.0, 10), (0.5, 11)])
def test_the_grace_period_is_longer_than_the_drain(grace, seconds):
    """SIGKILL comes after all that the server is told to wait for."""
    assert pod(grace=grace)["terminationGracePeriodSeconds"] == seconds
    arguments = container(grace=grace)["args"]
    assert f"--grace={grace:g}" in arguments
    assert "--propagation=5" in arguments


def test_the_container_serves_what_was_read_on_the_port_that_is_published():
    """Command, port, probes and resources."""
    one = container(port=20990, cpu="2", memory="1Gi")
    assert one["command"] == ["kubbo"]
    assert one["args"][:4] == ["serve", "greeter:Greeter", "--port=20990", "--application=greeter"]
    assert one["ports"] == [{"name": "dubbo", "containerPort": 20990}]
    assert one["env"] == [{"name": "KUBBO_DECLARED_PORTS", "value": "dubbo=20990"}]
    assert one["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"memory": "1Gi"},
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert one[probe]["tcpSocket"] == {"port": "dubbo"}


def test_with_an_admin_port_probes_ask_over_http():
    """Each its own path; the port is the container's alone, no Service and no policy has it."""
    found = made(admin_port=20881)
    one = container(admin_port=20881)
    assert "--admin-port=20881" in one["args"]
    assert {"name": "admin", "containerPort": 20881} in one["ports"]
    assert one["env"][0]["value"] == "dubbo=20880,admin=20881"
    paths = {name: one[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert paths == {
        "startup": {"path": "/startupz", "port": "admin"},
        "readiness": {"path": "/readyz", "port": "admin"},
        "liveness": {"path": "/livez", "port": "admin"},
    }
    for name in ("greeter", "greeter-vip", "NetworkPolicy"):
        assert "20881" not in str(found[name])
        assert "admin" not in str(found[name])


def test_a_kubelet_puts_no_variable_into_the_arguments():
    """`$(HOME)` in the name of a module means itself."""
    assert container(what="a$(HOME):B")["args"][1] == "a$$(HOME):B"


def test_a_rollout_and_an_eviction_take_one_pod_at_most():
    """No pod ends before its successor is ready; evictions are possible with one replica too."""
    found = made(replicas=1)
    assert found["Deployment"]["spec"]["replicas"] == 1
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_pods_are_spread_where_that_can_be_had():
    """Over nodes and zones, counted for each revision; one node is enough to run all of them."""
    spread = pod()["topologySpreadConstraints"]
    keys = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert [each["topologyKey"] for each in spread] == keys
    assert {each["whenUnsatisfiable"] for each in spread} == {"ScheduleAnyway"}
    assert all(each["matchLabelKeys"] == ["pod-template-hash"] for each in spread)


# --- how it is found


def test_only_the_headless_service_claims_the_keys():
    """Two Services that claim one key are an error of the naming."""
    found = made()
    headless, vip = found["greeter"], found["greeter-vip"]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["metadata"]["labels"]["kubbo.dev/provider"] == "true"
    claimed = parse_provided(headless["metadata"]["annotations"]["kubbo.dev/services"])
    assert claimed == {str(GREET): None, str(STOCK): None}
    assert vip["spec"]["type"] == "ClusterIP"
    assert "clusterIP" not in vip["spec"]
    assert "kubbo.dev" not in str(vip)
    for service in (headless, vip):
        assert service["spec"]["ports"] == [
            {
                "name": "dubbo",
                "appProtocol": "dubbo",
                "protocol": "TCP",
                "port": 20880,
                "targetPort": "dubbo",
            }
        ]


def test_pods_of_the_cluster_may_connect_to_the_port_only():
    """From every namespace; egress is left alone."""
    policy = made(port=20990)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [
        {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 20990}]}
    ]


# --- what it may


def test_who_consumes_nothing_has_no_token_and_no_role():
    """Neither in the pod nor by its account."""
    found = made()
    assert pod()["automountServiceAccountToken"] is False
    assert found["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"] == "greeter"


def test_a_role_in_each_namespace_that_is_consumed_from():
    """A target without a namespace is in the provider's; each namespace once."""
    consumed = ("stock.store", "own", "basket.store", "other.shop")
    targets = tuple(KubernetesTarget(*each.split(".")) for each in consumed)
    listed = objects(replace(PROVIDER, consumes=targets, service_account="build.bot"))
    roles = [each for each in listed if each["kind"] == "Role"]
    bindings = [each for each in listed if each["kind"] == "RoleBinding"]
    assert [each["metadata"]["namespace"] for each in roles] == ["store", "shop"]
    assert [each["metadata"]["namespace"] for each in bindings] == ["store", "shop"]
    for role, binding in zip(roles, bindings, strict=True):
        assert role["metadata"]["name"] == binding["roleRef"]["name"]
        assert [rule["verbs"] for rule in role["rules"]] == [["list", "watch"], ["get", "list"]]
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "build.bot", "namespace": "shop"}
        ]
    assert pod(consumes=targets)["automountServiceAccountToken"] is True


def test_bindings_of_two_applications_do_not_replace_each_other():
    """In the namespace that both consume from, each has its own, wherever it runs itself, whatever
    dashes are in the names, and whether or not they share an account."""
    target = (KubernetesTarget("stock", "store"),)
    applications = (
        {},
        {"name": "other"},
        {"namespace": "web"},
        {"name": "x" * 63},
        {"namespace": "team-web", "name": "checkout"},
        {"namespace": "team", "name": "web-checkout"},
        {"name": "one", "service_account": "bot"},
        {"name": "two", "service_account": "bot"},
    )
    names = {
        each["metadata"]["name"]
        for changes in applications
        for each in objects(replace(PROVIDER, consumes=target, **changes))
        if each["kind"] == "RoleBinding"
    }
    assert len(names) == len(applications)


def test_a_binding_is_not_the_one_that_kubbo_rbac_prints():
    """The application can be deleted, and what its account was given by hand stays."""
    listed = objects(replace(PROVIDER, consumes=(KubernetesTarget("stock", "store"),)))
    (role,) = (each for each in listed if each["kind"] == "Role")
    granted = finding("store", Subject("greeter", "shop"))
    assert role["metadata"]["name"] == "kubbo-application:shop:greeter" != granted.name
    assert role["rules"] == yaml.safe_load(granted.role)["rules"]


def test_a_consumer_is_a_program_that_nobody_connects_to():
    """It has a Role and a token, and what holds for every pod; no Service, no probe, no port."""
    consumer = replace(CONSUMER, consumes=(KubernetesTarget("greeter"),), grace=3.0)
    kinds = [each["kind"] for each in objects(consumer)]
    assert kinds == [
        *("ServiceAccount", "Role", "RoleBinding"),
        *("PodDisruptionBudget", "Deployment"),
    ]
    template = made(consumer)["Deployment"]["spec"]["template"]
    assert "annotations" not in template["metadata"]
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is True
    assert spec["shareProcessNamespace"] is True, "SIGTERM has to end it"
    assert spec["terminationGracePeriodSeconds"] == 8
    (one,) = spec["containers"]
    assert (one["command"], one["args"]) == (["python"], ["-m", "shop.checkout"])
    assert not [key for key in one if key.endswith("Probe") or key == "ports"]
    for key in ("securityContext", "resources", "volumeMounts"):
        assert one[key] == container()[key]
    for key in ("securityContext", "volumes"):
        assert spec[key] == pod()[key]
    assert "shareProcessNamespace" not in pod()


# --- what is refused


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Greeter"},
        {"name": "a" * 64},
        {"name": "1st"},
        {"name": "a.b"},
        {"namespace": "Shop"},
        {"namespace": ""},
        {"service_account": "Bot"},
        {"image": "Greeter:1"},
        {"image": ""},
        {"cpu": "a lot"},
        {"cpu": "-1"},
        {"memory": "256MB"},
        {"memory": "1\n"},
        {"admin_port": 20880},
        {"admin_port": 80},
        {"grace": float("nan")},
        {"propagation": -1.0},
        {"services": (ServiceKey("com.example.A", "", "1,com.example.B"),)},
        {"services": (ServiceKey("com.example.A", "a@b"),)},
    ],
)
def test_what_the_api_server_or_a_kubelet_would_refuse(changes):
    """It is refused when the provider is made: nothing can be printed of it."""
    with pytest.raises(UsageError):
        changed(**changes)


# --- as text

HOSTILE = ["1e3", "on", "y", "null", "0x10", "~", "", " a ", "a: b", "# a", "- a", "'\"", "a\nb"]


@pytest.mark.parametrize(
    "value", [*HOSTILE, "\x1b[2J", "問候", "\u2028", "😀", "{a}", "*a", "%", "1_0"]
)
def test_every_string_comes_back_as_it_was(value):
    """From YAML, in ASCII and in quotes where a reader could see something else in it."""
    text = as_yaml([{"metadata": {"name": value, value: [value]}}])
    assert text.isascii()
    assert yaml.safe_load(text) == {"metadata": {"name": value, value: [value]}}
    if value in {"1e3", "on", "y", "null", "0x10", "1_0"}:  # where readers disagree
        assert f'name: "{value}"' in text


@given(st.text(max_size=50))
def test_any_string_comes_back(value):
    """As it was, but for half of a surrogate pair, which is no text."""
    assert yaml.safe_load(as_yaml([{"a": value}])) == {"a": value}


def test_both_forms_say_the_same():
    """YAML documents, and a List in JSON."""
    listed = objects(replace(PROVIDER, consumes=(KubernetesTarget("stock"),)))
    assert list(yaml.safe_load_all(as_yaml(listed))) == listed
    assert json.loads(as_json(listed)) == {"apiVersion": "v1", "kind": "List", "items": listed}
    assert "&id" not in as_yaml(listed), "kubectl takes aliases, people do not read them"


# --- for Java's registry


@kubbo.service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    async def greet(self, name: str) -> str: ...


@kubbo.service("com.example.GreetService", group="eu", version="2.0.0")
class European(Protocol):
    async def greet(self, name: str) -> str: ...


class Greeter(GreetService):
    async def greet(self, name: str) -> str:
        return name


class EuropeanGreeter(European):
    async def greet(self, name: str) -> str:
        return name


async def told(application: str) -> tuple[int, MetadataInfo]:
    """The port of a server, and what its MetadataService says."""
    async with (
        kubbo.Server(0, host="127.0.0.1", propagation=0, application=application) as server,
        kubbo.Channel(timeout=10.0) as channel,
    ):
        server.export(Greeter())
        server.export(EuropeanGreeter())
        await server.start()
        own = channel.generic(
            f"{application}/{METADATA_SERVICE}:1.0.0",
            f"static:///127.0.0.1:{server.port}",
            types=[MetadataInfo, ServiceInfo],
        )
        info: MetadataInfo = await own.call(
            "getMetadataInfo", types=["java.lang.String"], args=["any"]
        )
        return server.port, info


async def test_the_annotation_is_what_the_metadata_service_tells():
    """Revision, port and version are those of a server that serves the same as it is printed."""
    port, info = await told("shop")
    interfaces = [read_interface(European), read_interface(Greeter)]
    text = await registration(interfaces, application="shop", port=port)
    instance = json.loads(text)
    assert instance["dubbo.metadata.revision"] == info.revision
    (endpoint,) = json.loads(instance["dubbo.endpoints"])
    assert {(each.port, each.protocol) for each in info.services.values()} == {
        (endpoint["port"], endpoint["protocol"])
    }
    asked = json.loads(instance["dubbo.metadata-service.url-params"])
    assert (asked["port"], asked["protocol"]) == (str(port), "dubbo")
    assert asked["version"] == instance["meta-v"] == "1.0.0"
    assert all(isinstance(value, str) for value in instance.values()), "Java reads a Map of String"


async def test_the_revision_changes_with_what_is_served():
    """Not with the order of the exports, but with interfaces, port and application."""
    first, second = read_interface(Greeter), read_interface(European)

    async def revision(interfaces, application="shop", port=20880):
        text = await registration(interfaces, application=application, port=port)
        return json.loads(text)["dubbo.metadata.revision"]

    assert await revision([first, second]) == await revision([second, first])
    assert (
        len(
            {
                await revision([first, second]),
                await revision([first]),
                await revision([first], port=20990),
                await revision([first], application="other"),
            }
        )
        == 4
    )


def test_every_pod_has_the_annotation_from_its_first_moment():
    """It stands in the template; the Deployment itself has no use for it."""
    template = made()["Deployment"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {"io.dubbo/metadata": SERVING.registration}
