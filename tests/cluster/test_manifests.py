"""What `kubbo manifests` prints, on the real API server and its controllers.

There is no kubelet: the pods that the Deployment's controllers make are bound to a paper Node and
given a status by hand (`adopt` below), and the process that a pod would run is started
here with the pod's own command.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import yaml
from tests.cluster.namespace import Namespace, PaperPod, Rule
from tests.interop.peer import JavaCaller, JavaException
from tests.interop.process import PeerMissing, end_of
from tests.pages import Reader, commands, shows
from tests.testbed.processes import BedError, eventually

import kubbo
from kubbo.rpc.metadata import METADATA_SERVICE, MetadataInfo, ServiceInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.cluster.bed import ControlPlane

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
GREETER = "greeter.provider:Greeter"
IMAGE = "testbed.local/greeter:1"
KEY = "com.example.GreetService:1.0.0"


def printed(*arguments: str, what: str = GREETER, image: str = IMAGE) -> str:
    """`kubbo manifests`, from the directory of the examples."""
    done = subprocess.run(
        [sys.executable, "-m", "kubbo", "manifests", what, "--image", image, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=EXAMPLES,
    )
    assert done.returncode == 0, end_of(done.stderr)
    return done.stdout


def apply(plane: ControlPlane, manifests: str, *options: str) -> str:
    """`kubectl apply -f -`, for which a warning is a failure."""
    return plane.kubectl("apply", "--warnings-as-errors", *options, "-f", "-", input=manifests)


def generations(plane: ControlPlane, manifests: str) -> list[tuple[str, str, int | None]]:
    """Kind, name and generation of the applied objects: it counts changes of what is wanted."""
    listed = json.loads(plane.kubectl("get", "-o", "json", "-f", "-", input=manifests))
    return [
        (each["kind"], each["metadata"]["name"], each["metadata"].get("generation"))
        for each in listed["items"]
    ]


def pods(namespace: Namespace, name: str) -> list[dict[str, Any]]:
    """The pods of a provider."""
    selector = urlencode({"labelSelector": f"app.kubernetes.io/name={name}"})
    path = f"/api/v1/namespaces/{namespace.name}/pods?{selector}"
    found: list[dict[str, Any]] = namespace.control_plane.call("GET", path)["items"]
    return found


def await_pods(namespace: Namespace, name: str, count: int) -> list[dict[str, Any]]:
    """The pods of an application, when there are so many."""
    eventually(lambda: len(pods(namespace, name)) == count, f"{count} pods of {name} exist")
    return pods(namespace, name)


def adopt(namespace: Namespace, name: str, addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Wait for as many pods as addresses, and do for them what a scheduler and a kubelet would."""
    plane = namespace.control_plane
    plane.ensure(
        "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "paper"}}
    )
    found = await_pods(namespace, name, len(addresses))
    for pod, address in zip(found, addresses, strict=True):
        its_name = pod["metadata"]["name"]
        plane.call(
            "POST",
            f"/api/v1/namespaces/{namespace.name}/pods/{its_name}/binding",
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": its_name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "paper"},
            },
        )
        PaperPod(namespace, its_name, address).set_ready(True)
    return found


def slice_ports(namespace: Namespace, service: str) -> set[tuple[str, str, int]]:
    """Name, protocol of the application and number of the ports in a Service's slices."""
    return {
        (port["name"], port["appProtocol"], port["port"])
        for each in namespace.slices(service)
        for port in each["ports"] or ()
    }


# --- the API server


def test_the_api_server_takes_it_as_it_is(namespace: Namespace) -> None:
    """Dry run, apply, and apply again, as JSON, which changes nothing; no warning, not even of a
    namespace whose pods have to be "restricted"; the controllers make the pods.
    """
    plane = namespace.control_plane
    for mode in ("enforce", "warn"):
        label = f"pod-security.kubernetes.io/{mode}=restricted"
        plane.kubectl("label", "namespace", namespace.name, label)
    arguments = ("-n", namespace.name, "--name", "greeter", "--consumes", "kubernetes:///stock")
    text = printed(*arguments)
    rehearsed = apply(plane, text, "--dry-run=server", "-o", "name").split()
    assert sorted(rehearsed) == [
        "deployment.apps/greeter",
        "networkpolicy.networking.k8s.io/greeter",
        "poddisruptionbudget.policy/greeter",
        f"role.rbac.authorization.k8s.io/kubbo-application:{namespace.name}:greeter",
        f"rolebinding.rbac.authorization.k8s.io/kubbo-application:{namespace.name}:greeter",
        "service/greeter",
        "service/greeter-vip",
        "serviceaccount/greeter",
    ]
    assert {line.split()[-1] for line in apply(plane, text).splitlines()} == {"created"}
    before = generations(plane, text)
    apply(plane, printed(*arguments, "-o", "json"))
    assert generations(plane, text) == before
    eventually(lambda: len(pods(namespace, "greeter")) == 2, "the Deployment has its pods")


def test_what_the_api_server_would_not_take_is_seen(namespace: Namespace) -> None:
    """The check above can fail: a capital, a field that does not exist, a root user."""
    plane = namespace.control_plane
    label = "pod-security.kubernetes.io/warn=restricted"
    plane.kubectl("label", "namespace", namespace.name, label)
    text = printed("-n", namespace.name, "--name", "greeter")
    for right, wrong in (
        ("name: greeter", "name: Greeter"),
        ("maxUnavailable", "mostUnavailable"),
        ("runAsNonRoot: true", "runAsNonRoot: false"),
    ):
        assert right in text
        with pytest.raises(BedError):
            apply(plane, text.replace(right, wrong), "--dry-run=server")


def test_names_at_the_edge_of_what_is_allowed(control_plane: ControlPlane) -> None:
    """A namespace that YAML could take for a number; names of full length for all."""
    own = "1e3"
    control_plane.kubectl("create", "namespace", own)
    try:
        text = printed(
            *("-n", own, "--name", "a" * 63, "--consumes", "kubernetes:///stock"),
            *("--image", "registry.example:5000/a/b__c--d/greeter:RC.1_x@sha256:" + "0" * 64),
        )
        assert {each["metadata"]["namespace"] for each in yaml.safe_load_all(text)} == {own}
        account = f"/api/v1/namespaces/{own}/serviceaccounts/default"
        eventually(lambda: control_plane.request("GET", account).status == 200, "the namespace is")
        apply(control_plane, text)
        path = f"/api/v1/namespaces/{own}/pods"
        eventually(lambda: len(control_plane.call("GET", path)["items"]) == 2, "there are pods")
    finally:
        control_plane.kubectl("delete", "namespace", own, "--wait=false")


# --- the controllers


def test_the_controllers_make_of_it_what_was_meant(namespace: Namespace) -> None:
    """Both Services have the pods' port in their slices, one pod may be evicted and no second,
    and a new revision waits with the old pods until its own are ready.
    """
    plane = namespace.control_plane
    arguments = ("-n", namespace.name, "--name", "greeter", "--port", "20990")
    apply(plane, printed(*arguments))
    first = adopt(namespace, "greeter", ["10.244.9.1", "10.244.9.2"])
    for service in ("greeter", "greeter-vip"):
        namespace.wait_ready(service, {"10.244.9.1", "10.244.9.2"})
        assert slice_ports(namespace, service) == {("dubbo", "dubbo", 20990)}
    budget = f"/apis/policy/v1/namespaces/{namespace.name}/poddisruptionbudgets/greeter"
    eventually(
        lambda: plane.call("GET", budget)["status"].get("disruptionsAllowed") == 1,
        "the budget has counted the pods",
    )

    apply(plane, printed(*arguments, image=IMAGE + "-next"))
    eventually(lambda: len(pods(namespace, "greeter")) == 3, "one new pod is there")
    names = {each["metadata"]["name"] for each in first}
    (new,) = (each for each in pods(namespace, "greeter") if each["metadata"]["name"] not in names)
    assert new["spec"]["containers"][0]["image"] == IMAGE + "-next"
    for each in pods(namespace, "greeter"):
        assert "deletionTimestamp" not in each["metadata"]
    rolling = plane.kubectl("get", "deployment", "greeter", "-n", namespace.name, "-o", "json")
    assert json.loads(rolling)["status"]["readyReplicas"] == 2

    path = f"/api/v1/namespaces/{namespace.name}/pods"
    statuses = [
        plane.request(
            "POST",
            f"{path}/{each['metadata']['name']}/eviction",
            {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": each["metadata"]},
        ).status
        for each in first
    ]
    assert statuses == [201, 429]


# --- a provider, as its pod would run it


PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def probe(container: dict[str, Any], kind: str, address: str) -> int:
    """What a kubelet is answered to a probe over HTTP."""
    asked = container[kind]["httpGet"]
    (port,) = (
        each["containerPort"] for each in container["ports"] if each["name"] == asked["port"]
    )
    connection = http.client.HTTPConnection(address, port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", asked["path"])
        return connection.getresponse().status


@contextlib.contextmanager
def running(pod: dict[str, Any], address: str, folder: Path = EXAMPLES) -> Iterator[None]:
    """The process of a pod, by the command in its spec; it listens on the pod's address only, and
    its probes succeed.
    """
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["kubbo"]
    with subprocess.Popen(
        [sys.executable, "-m", "kubbo", *container["args"], "--host", address],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={each["name"]: each["value"] for each in container.get("env", [])},
    ) as process:
        try:
            assert process.stdout is not None
            assert KEY in process.stdout.readline()
            assert [probe(container, kind, address) for kind in PROBES] == [200, 200, 200]
            yield
        finally:
            process.kill()


def kubeconfig_of(namespace: Namespace, account: str) -> Path:
    """The credentials of a service account, as a file."""
    plane = namespace.control_plane
    token = plane.token(namespace.name, account)
    path = namespace.directory / f"{account}.kubeconfig"
    return plane.write_kubeconfig(path, {"token": token}, namespace=namespace.name)


@pytest.mark.root
async def test_a_consumer_finds_it_by_its_key(
    namespace: Namespace, provider_address: Callable[[], str]
) -> None:
    """The service key leads to the Service by its annotation, the Role that is printed for who
    consumes is enough to get there, and who consumes nothing may list nothing. The annotation of
    the pod is what the pod's MetadataService tells.
    """
    plane = namespace.control_plane
    address = provider_address()
    provider = printed("-n", namespace.name, "--name", "hello", "--replicas", "1")
    consumer = printed(
        *("-n", namespace.name, "--name", "checkout", "--consumer"),
        *("--consumes", f"kubernetes:///hello.{namespace.name}"),
        what="greeter.consumer",
    )
    await asyncio.to_thread(apply, plane, provider)
    await asyncio.to_thread(apply, plane, consumer)
    (pod,) = await asyncio.to_thread(adopt, namespace, "hello", [address])
    with running(pod, address):
        credentials = await asyncio.to_thread(kubeconfig_of, namespace, "checkout")
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
        its_token = yaml.safe_load(credentials.read_text())["users"][0]["user"]["token"]
        await asyncio.to_thread(
            eventually,
            lambda: plane.request("GET", slices, token=its_token).status == 200,
            "the Role is in force",
        )
        nobody = await asyncio.to_thread(plane.token, namespace.name, "hello")
        assert plane.request("GET", slices, token=nobody).status == 403

        naming = kubbo.NamingContext(kubeconfig=credentials, environ={})
        types = [MetadataInfo, ServiceInfo]
        async with kubbo.Channel(naming=naming, timeout=30.0) as channel:
            greeter = channel.generic(KEY)  # by the annotation: no rule leads to "hello"
            user = {"id": 1, "name": "Ann"}
            greeted = await greeter.call("greet", types=["com.example.User"], args=[user])
            assert greeted == "Hello Ann"
            own = channel.generic(
                f"hello/{METADATA_SERVICE}:1.0.0",
                f"kubernetes:///hello.{namespace.name}",
                types=types,
            )
            registered = json.loads(pod["metadata"]["annotations"]["io.dubbo/metadata"])
            revision = registered["dubbo.metadata.revision"]
            info = await own.call("getMetadataInfo", types=["java.lang.String"], args=[revision])
            assert info.revision == revision
            assert info.app == "hello"
            assert list(info.services) == [f"{KEY}:dubbo"]


# --- Java's Kubernetes registry

REGISTRY = ROOT / "tests" / "interop" / "java" / "kubernetes" / "fetch.sh"


class KubernetesCaller(JavaCaller):
    """A Dubbo Java consumer with the Kubernetes registry of Dubbo on its class path."""

    def command(self, files: Path) -> list[str]:
        """See `JavaCaller`."""
        jars = subprocess.run([REGISTRY], capture_output=True, text=True, check=False)
        if jars.returncode:
            raise PeerMissing(end_of(jars.stderr))
        made = super().command(files)
        at = made.index("-cp") + 1
        made[at] += f":{jars.stdout.strip()}/*"
        return made


@pytest.mark.root
async def test_java_finds_it_by_its_kubernetes_registry(
    namespace: Namespace, provider_address: Callable[[], str]
) -> None:
    """A Java consumer that was told the Service's name reads the annotation of its pods, asks one
    of them what its revision stands for, and calls them; the pods' own account may do nothing.
    """
    plane = namespace.control_plane
    addresses = [provider_address(), provider_address()]
    await asyncio.to_thread(apply, plane, printed("-n", namespace.name, "--name", "hello"))
    found = await asyncio.to_thread(adopt, namespace, "hello", addresses)
    reads = Rule(("pods", "services", "endpoints"))
    consumer = await asyncio.to_thread(namespace.identity, "java", reads)
    registry = (
        f"kubernetes://127.0.0.1:{plane.port}?namespace={namespace.name}&trustCerts=true"
        f"&oauthToken={consumer.token}"
        "&registry-type=service&register-mode=instance&file.cache=false"
    )
    line = {
        "registry": registry,
        "providedBy": "hello",
        "url": "",
        "interface": "com.example.GreetService",
        "group": "",
        "version": "1.0.0",
        "timeout": 20_000,
        "method": "greet",
        "args": [{"id": 1, "name": "Ann"}],
    }
    with contextlib.ExitStack() as stack:
        for pod, address in zip(found, addresses, strict=True):
            stack.enter_context(running(pod, address))
        async with KubernetesCaller() as java:
            answer = await java.ask(line)
            assert answer["value"] == "Hello Ann"
            # The annotation is what it takes: the same pods without it are none to Java.
            for pod in found:
                name = pod["metadata"]["name"]
                await asyncio.to_thread(
                    namespace.kubectl, "annotate", "pod", name, "io.dubbo/metadata-"
                )
            other = {**line, "providedBy": "hello-vip", "timeout": 20_001}
            with pytest.raises(JavaException, match="No provider available"):
                await java.ask(other)


# --- docs/deployment.md


@pytest.mark.root
def test_the_page_leads_from_an_empty_folder_to_an_answer(
    control_plane: ControlPlane, tmp_path: Path, provider_address: Callable[[], str]
) -> None:
    """Every command of docs/deployment.md, in its order, prints what the page prints. What a node
    would do after `kubectl apply` is done here: two pods run, and are ready; the consumer's
    program runs with the credentials of its pods.
    """
    namespace = Namespace(control_plane, "shop", tmp_path)
    addresses = [provider_address(), provider_address()]
    tools = {"kubectl": control_plane.programs / "kubectl"}
    with contextlib.ExitStack() as stack:
        stack.callback(control_plane.request, "DELETE", "/api/v1/namespaces/shop")
        reader = stack.enter_context(Reader(tmp_path, control_plane.kubeconfig, tools))
        reader.write(PAGE, "greeter.py", "consumer.py")
        for command, output in commands(PAGE):
            if command.startswith("kubbo serve "):
                reader.serve(command, output)
                continue
            done = reader.run(command, within=60)
            assert shows(output, done.stdout), f"{command}\n{done.stdout}"
            reader.interrupt()  # what the page calls next is in the cluster
            if command == "kubectl apply -f greeter.yaml":
                for pod, address in zip(
                    adopt(namespace, "greeter", addresses), addresses, strict=True
                ):
                    stack.enter_context(running(pod, address, reader.folder))
        (consumer, _) = await_pods(namespace, "consumer", 2)
        (container,) = consumer["spec"]["containers"]
        assert consumer["spec"]["serviceAccountName"] == "consumer"
        credentials = {"KUBECONFIG": str(kubeconfig_of(namespace, "consumer"))}
        settings = {each["name"]: each["value"] for each in container["env"]}
        reader.start(
            [*container["command"], *container["args"]], "Hello Ann\n", credentials | settings
        )
    assert len([*commands(PAGE)]) == 15, "a command was added to the page, or was lost from it"
