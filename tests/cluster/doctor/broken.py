"""Deployments that are broken on purpose, each with the id that the doctor has to name first.

The label is given here, by what was done, and never by what the doctor says.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.cluster.doctor.place import APP, IMAGE, ago, set_node
from tests.testbed.processes import eventually

from kubbo.doctor.bundle import Lookup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.cluster.doctor.place import Place

    Scenario = Callable[[Place], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {}
"""By label and name: `image-pull.not-found`."""

TCP = {"tcpSocket": {"port": 20880}}
BACK_OFF = "back-off 2m40s restarting failed container=provider pod=POD_default"


def scenario(label: str, name: str) -> Callable[[Scenario], Scenario]:
    def take(made: Scenario) -> Scenario:
        SCENARIOS[f"{label}.{name}"] = made
        return made

    return take


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", *, seconds: float = 30, **more: Any) -> dict[str, Any]:
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": ago(seconds + 5),
        "finishedAt": ago(seconds),
    } | more


CRASHING = waiting("CrashLoopBackOff", BACK_OFF)


def states(label: str, cases: dict[str, dict[str, Any]]) -> None:
    """Scenarios that differ in what a kubelet says of one container."""
    for name, case in cases.items():

        async def make(place: Place, case: dict[str, Any] = case) -> None:
            for made in case.get("made", ()):
                await asyncio.to_thread(place.apply, *made)
            await asyncio.to_thread(
                lambda: place.deployment(pod=case.get("pod"), **case.get("container", {}))
            )
            if case.get("service"):
                await asyncio.to_thread(place.service)
            if "state" in case:
                await asyncio.to_thread(
                    place.status,
                    case["state"],
                    last=case.get("last"),
                    restarts=case.get("restarts", 0),
                    phase=case.get("phase", "Running"),
                    init=case.get("init", False),
                )
            else:
                await asyncio.to_thread(place.settled)
            for event in case.get("events", ()):
                count = event[2] if len(event) > 2 else 5
                await asyncio.to_thread(place.event, event[0], event[1], count=count)
            if case.get("log"):
                await asyncio.to_thread(
                    place.log, *case["log"], previous=bool(case.get("restarts"))
                )

        SCENARIOS[f"{label}.{name}"] = make


def pull(message: str, reason: str = "ImagePullBackOff") -> dict[str, Any]:
    return {
        "state": waiting(reason, f'Back-off pulling image "{IMAGE}": {message}'),
        "phase": "Pending",
        "events": [("Failed", f'Failed to pull image "{IMAGE}": {message}', 4)],
        "service": True,
    }


RPC = "rpc error: code = "
states(
    "image-pull",
    {
        "not-found": pull(
            f'ErrImagePull: {RPC}NotFound desc = failed to pull and unpack image "{IMAGE}": failed '
            f'to resolve reference "{IMAGE}": {IMAGE}: not found'
        ),
        "unauthorized": pull(
            f'ErrImagePull: failed to pull and unpack image "{IMAGE}": failed to resolve reference '
            f'"{IMAGE}": failed to authorize: failed to fetch anonymous token: unexpected status '
            "from GET request: 401 Unauthorized"
        ),
        "no-such-host": pull(
            f'ErrImagePull: {RPC}Unknown desc = failed to do request: Head "https://registry.'
            'example/v2/greeter/manifests/1.4": dial tcp: lookup registry.example: no such host'
        ),
        "never": {
            "state": waiting(
                "ErrImageNeverPull",
                f'Container image "{IMAGE}" is not present with pull policy of Never',
            ),
            "phase": "Pending",
            "container": {"imagePullPolicy": "Never"},
        },
        "first-try": pull(f"{RPC}DeadlineExceeded desc = i/o timeout", reason="ErrImagePull"),
        "of-init-container": pull("not found") | {"init": True},
    },
)
states(
    "invalid-name",
    {
        "image-in-capitals": {
            "state": waiting(
                "InvalidImageName",
                'Failed to apply default image tag "registry.example/Greeter:1.4": couldn\'t parse '
                'image name "registry.example/Greeter:1.4": invalid reference format: repository '
                "name (Greeter) must be lowercase",
            ),
            "phase": "Pending",
            "container": {"image": "registry.example/Greeter:1.4"},
            "events": [("FailedSync", "Error syncing pod, skipping", 9)],
        },
        "image-with-a-space": {
            "state": waiting(
                "InvalidImageName",
                'Failed to apply default image tag "greeter :1": couldn\'t parse image name: '
                "invalid reference format",
            ),
            "phase": "Pending",
            "container": {"image": "greeter :1"},
        },
    },
)
states(
    "start-failed",
    {
        "no-such-file": {
            "state": CRASHING,
            "restarts": 4,
            "last": ended(
                128,
                "StartError",
                message="failed to create containerd task: failed to create shim task: OCI runtime "
                "create failed: runc create failed: unable to start container process: exec: "
                '"/app/run": stat /app/run: no such file or directory: unknown',
            ),
            "container": {"command": ["/app/run"]},
        },
        "not-in-path": {
            "state": waiting(
                "RunContainerError",
                'failed to create containerd task: exec: "kuboo": executable file not found in '
                "$PATH: unknown",
            ),
            "container": {"command": ["kuboo"]},
        },
        "shell-127": {
            "state": CRASHING,
            "restarts": 3,
            "last": ended(127),
            "log": ["/bin/sh: 1: kuboo: not found"],
        },
        "not-executable-126": {
            "state": CRASHING,
            "restarts": 3,
            "last": ended(126),
            "log": ["/bin/sh: 1: /app/run: Permission denied"],
        },
        "must-not-be-root": {
            "state": waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root (pod: "
                '"greeter_default(1)", container: provider)',
            ),
            "container": {"securityContext": {"runAsNonRoot": True}},
        },
        "post-start-hook": {
            "state": waiting("PostStartHookError", "Exec lifecycle hook ([/x]) failed - error: 127")
        },
        "cannot-be-created": {
            "state": waiting(
                "CreateContainerError",
                'failed to create containerd container: mount "/x": path does not exist',
            )
        },
    },
)
states(
    "crash-loop",
    {
        "exit-1": {
            "state": CRASHING,
            "restarts": 5,
            "last": ended(1),
            "service": True,
            "log": ["Traceback (most recent call last):", "KeyError: 'DATABASE_URL'"],
        },
        "exit-0": {"state": CRASHING, "restarts": 5, "last": ended(0, "Completed")},
        "between-two-restarts": {
            "state": {"terminated": ended(2, seconds=3)},
            "restarts": 3,
            "last": ended(2, seconds=60),
        },
        "segfault": {"state": CRASHING, "restarts": 8, "last": ended(139)},
        "init-container": {"state": CRASHING, "restarts": 3, "last": ended(1), "init": True},
        "runs-for-seconds": {
            "state": {"running": {"startedAt": ago(4)}},
            "restarts": 6,
            "last": ended(1, seconds=9),
            "log": ["ValueError: port 70000 is out of range"],
        },
    },
)
states(
    "oom-killed",
    {
        "loop": {
            "state": CRASHING,
            "restarts": 4,
            "last": ended(137, "OOMKilled"),
            "container": {"resources": {"limits": {"memory": "64Mi"}}},
        },
        "just-now": {"state": {"terminated": ended(137, "OOMKilled")}, "service": True},
        "starts-again": {
            "state": {"running": {"startedAt": ago(3)}},
            "restarts": 2,
            "last": ended(137, "OOMKilled", seconds=4),
        },
    },
)


def config_error(message: str, **container: Any) -> dict[str, Any]:
    return {
        "state": waiting("CreateContainerConfigError", message),
        "phase": "Pending",
        "container": container,
        "events": [("Failed", f"Error: {message}")],
    }


CREATING = {"state": waiting("ContainerCreating", ""), "phase": "Pending"}
SETTINGS = {"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]}
PASSWORD = {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
states(
    "missing-config",
    {
        "configmap": config_error(
            'configmap "settings" not found', envFrom=[{"configMapRef": {"name": "settings"}}]
        ),
        "secret": config_error('secret "db" not found', env=[PASSWORD]),
        "secret-key": config_error("couldn't find key password in Secret shop/db", env=[PASSWORD])
        | {"made": [("v1", "Secret", {"name": "db"})]},
        "configmap-key": config_error(
            "couldn't find key greeting in ConfigMap shop/settings",
            env=[
                {
                    "name": "GREETING",
                    "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "greeting"}},
                }
            ],
        )
        | {"made": [("v1", "ConfigMap", {"name": "settings"})]},
        "volume": CREATING
        | {
            "pod": SETTINGS,
            "events": [
                (
                    "FailedMount",
                    (
                        'MountVolume.SetUp failed for volume "settings" : configmap "settings" not '
                        "found"
                    ),
                )
            ],
        },
        "volume-without-event": CREATING | {"pod": SETTINGS},
        "volume-key": CREATING
        | {
            "pod": SETTINGS,
            "made": [("v1", "ConfigMap", {"name": "settings"})],
            "events": [
                (
                    "FailedMount",
                    (
                        'MountVolume.SetUp failed for volume "settings" : references non-existent '
                        "config key: app.yaml"
                    ),
                )
            ],
        },
    },
)
SANDBOX = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to "
states(
    "sandbox-failed",
    {
        "cni": CREATING
        | {
            "service": True,
            "events": [
                (
                    "FailedCreatePodSandBox",
                    (
                        f'{SANDBOX}setup network for sandbox "1": plugin type="bridge" failed: '
                        "no IP addresses available in range set"
                    ),
                )
            ],
        },
        "runc": CREATING
        | {
            "events": [
                (
                    "FailedCreatePodSandBox",
                    (
                        f"{SANDBOX}create containerd task: runc create failed: can't get final "
                        "child's PID from pipe: EOF: unknown"
                    ),
                )
            ]
        },
        "failed-sync": CREATING
        | {
            "events": [
                (
                    "FailedSync",
                    (
                        "error determining status: rpc error: code = Unavailable desc = connection "
                        'error: desc = "transport: error while dialing: dial unix '
                        '/run/containerd/containerd.sock: connect: no such file or directory"'
                    ),
                )
            ]
        },
        "cgroup": CREATING
        | {
            "events": [("FailedSync", "error killing pod: failed to remove cgroup: device busy", 7)]
        },
    },
)
states(
    "volume-failed",
    {
        "mount": CREATING
        | {
            "events": [
                (
                    "FailedMount",
                    (
                        'MountVolume.SetUp failed for volume "data" : mount failed: exit status 32 '
                        "mount.nfs: Connection timed out"
                    ),
                )
            ]
        },
        "attach": CREATING
        | {
            "events": [
                (
                    "FailedAttachVolume",
                    (
                        'Multi-Attach error for volume "pvc-1" Volume is already exclusively at'
                        "tached to one node and can't be attached to another"
                    ),
                )
            ]
        },
    },
)
HTTP = {"httpGet": {"path": "/readyz", "port": 8081}}
RUNS = {"running": {"startedAt": ago(170)}}
states(
    "readiness-failing",
    {
        "refused": {
            "state": RUNS,
            "service": True,
            "container": {"readinessProbe": HTTP},
            "events": [
                (
                    "Unhealthy",
                    (
                        'Readiness probe failed: Get "http://10.243.0.1:8081/readyz": dial tcp '
                        "10.243.0.1:8081: connect: connection refused"
                    ),
                    16,
                )
            ],
        },
        "503": {
            "state": RUNS,
            "container": {"readinessProbe": HTTP},
            "events": [
                ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 16)
            ],
        },
        "exec": {
            "state": RUNS,
            "container": {"readinessProbe": {"exec": {"command": ["kubbo", "health"]}}},
            "events": [("Unhealthy", "Readiness probe failed: kubbo: no answer", 16)],
        },
        "events-gone": {"state": RUNS, "container": {"readinessProbe": TCP}},
        "http-on-dubbo-port": {
            "state": RUNS,
            "container": {"readinessProbe": {"httpGet": {"path": "/", "port": 20880}}},
            "events": [
                (
                    "Unhealthy",
                    (
                        'Readiness probe failed: Get "http://10.243.0.1:20880/": net/http: HTTP/1 '
                        "transport connection broken: malformed HTTP response"
                    ),
                    16,
                )
            ],
        },
    },
)
states(
    "startup-failing",
    {
        "kills": {
            "state": CRASHING,
            "restarts": 3,
            "last": ended(137),
            "container": {"startupProbe": TCP},
            "events": [
                ("Unhealthy", "Startup probe failed: dial tcp: i/o timeout", 9),
                ("Killing", "Container provider failed startup probe, will be restarted", 3),
            ],
        },
        "in-between": {
            "state": {"running": {"startedAt": ago(12)}},
            "restarts": 2,
            "last": ended(143, seconds=13),
            "container": {"startupProbe": HTTP},
            "events": [
                ("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 404", 8),
                ("Killing", "Container provider failed startup probe, will be restarted", 2),
            ],
        },
    },
)
states(
    "liveness-failing",
    {
        "timeout": {
            "state": CRASHING,
            "restarts": 4,
            "last": ended(137),
            "container": {"livenessProbe": HTTP},
            "events": [
                (
                    "Unhealthy",
                    (
                        "Liveness probe failed: context deadline exceeded (Client.Timeout exceeded "
                        "while awaiting headers)"
                    ),
                    12,
                ),
                ("Killing", "Container provider failed liveness probe, will be restarted", 4),
            ],
        },
        "wrong-port": {
            "state": {"running": {"startedAt": ago(9)}},
            "restarts": 3,
            "last": ended(143, seconds=10),
            "container": {"livenessProbe": HTTP},
            "events": [
                (
                    "Unhealthy",
                    (
                        'Liveness probe failed: Get "http://10.243.0.1:8081/livez": dial tcp '
                        "10.243.0.1:8081: connect: connection refused"
                    ),
                    9,
                ),
                ("Killing", "Container provider failed liveness probe, will be restarted", 3),
            ],
        },
    },
)
states(
    "loopback-bound",
    {
        "readiness": {
            "state": RUNS,
            "service": True,
            "container": {"readinessProbe": TCP},
            "events": [
                (
                    "Unhealthy",
                    (
                        "Readiness probe failed: dial tcp 10.243.0.1:20880: connect: connection "
                        "refused"
                    ),
                    16,
                )
            ],
            "log": ["INFO greeter 1.4", "INFO serving dubbo on 127.0.0.1:20880"],
        },
        "liveness": {
            "state": CRASHING,
            "restarts": 3,
            "last": ended(143),
            "container": {"livenessProbe": TCP},
            "events": [
                (
                    "Unhealthy",
                    "Liveness probe failed: dial tcp 10.243.0.1:20880: connect: connection refused",
                    9,
                ),
                ("Killing", "Container provider failed liveness probe, will be restarted", 3),
            ],
            "log": ["listening on localhost:20880"],
        },
    },
)
states(
    "dns-failing",
    {
        "python": {
            "state": CRASHING,
            "restarts": 4,
            "last": ended(1),
            "log": [
                "Traceback (most recent call last):",
                "socket.gaierror: [Errno -2] Name or service not known",
            ],
        },
        "java": {
            "state": CRASHING,
            "restarts": 4,
            "last": ended(1),
            "log": ["Caused by: java.net.UnknownHostException: zookeeper", "\t... 12 more"],
        },
    },
)


# ------------------------------------------------- said by the real control plane
async def working(place: Place, replicas: int = 2, **more: Any) -> None:
    """A Deployment whose pods are ready, behind its Service."""

    def make() -> None:
        place.deployment(replicas=replicas, **more)
        place.service()
        place.ready()
        place.available(replicas)
        place.published(replicas)

    await asyncio.to_thread(make)


@scenario("no-such-service", "not-created")
async def _(place: Place) -> None:
    await asyncio.to_thread(place.deployment)
    await asyncio.to_thread(place.ready)
    place.target()


@scenario("no-such-service", "misspelt")
async def _(place: Place) -> None:
    await working(place)
    place.target("greter")


@scenario("external-name", "plain")
async def _(place: Place) -> None:
    await asyncio.to_thread(
        place.service, type="ExternalName", externalName="greeter.example", selector=None
    )
    place.target()


async def selecting(place: Place, labels: dict[str, str]) -> None:
    await asyncio.to_thread(place.deployment)
    await asyncio.to_thread(place.ready)
    await asyncio.to_thread(place.service, selector=labels)
    place.target()


@scenario("selector-matches-nothing", "other-value")
async def _(place: Place) -> None:
    await selecting(place, {"app": "greter"})


@scenario("selector-matches-nothing", "other-key")
async def _(place: Place) -> None:
    await selecting(place, {"app.kubernetes.io/name": APP})


@scenario("selector-matches-nothing", "one-too-many")
async def _(place: Place) -> None:
    await selecting(place, {"app": APP, "version": "2"})


@scenario("selector-matches-nothing", "nobody-there")
async def _(place: Place) -> None:
    await asyncio.to_thread(place.service)
    place.target()


@scenario("scaled-to-zero", "deployment")
async def _(place: Place) -> None:
    await asyncio.to_thread(lambda: place.deployment(replicas=0))


@scenario("scaled-to-zero", "target")
async def _(place: Place) -> None:
    await asyncio.to_thread(lambda: place.deployment(replicas=0))
    await asyncio.to_thread(place.service)
    place.target()


def asked(name: str, port: int | str | None, **service: Any) -> None:
    @scenario("wrong-port-name", name)
    async def _(place: Place) -> None:
        def make() -> None:
            place.deployment()
            place.service(**service)
            place.ready()
            place.published(2)

        await asyncio.to_thread(make)
        place.target(port=port)


asked("other-name", "tri")
asked("the-services-own-number", 80, ports=[{"name": "dubbo", "port": 80, "targetPort": 20880}])
asked(
    "unclear",
    None,
    ports=[{"name": "main", "port": 20880}, {"name": "second", "port": 20881}],
)


def leading(name: str, target_port: int | str) -> None:
    @scenario("wrong-target-port", name)
    async def _(place: Place) -> None:
        def make() -> None:
            place.deployment()
            place.service(ports=[{"name": "dubbo", "port": 20880, "targetPort": target_port}])
            place.ready()

        await asyncio.to_thread(make)
        place.target()


leading("number", 20881)
leading("name", "rpc")


@scenario("quota-exceeded", "pods")
async def _(place: Place) -> None:
    await refused(place, {"pods": "1"})


@scenario("quota-exceeded", "memory")
async def _(place: Place) -> None:
    asks = {"requests": {"memory": "2Gi"}, "limits": {"memory": "2Gi"}}
    await refused(place, {"requests.memory": "1Gi"}, resources=asks)


@scenario("quota-exceeded", "must-be-named")
async def _(place: Place) -> None:
    await refused(place, {"limits.cpu": "4"})


async def refused(place: Place, hard: dict[str, str], **container: Any) -> None:
    """A quota, known to the admission, and a Deployment that has no room in it."""

    def make() -> None:
        place.apply("v1", "ResourceQuota", {"name": "small"}, spec={"hard": hard})
        path = f"/api/v1/namespaces/{place.namespace.name}/resourcequotas/small"
        eventually(lambda: place.plane.call("GET", path)["status"].get("hard"), "the quota counts")
        place.deployment(pods=False, **container)
        failing(place)

    await asyncio.to_thread(make)


def failing(place: Place, name: str = APP) -> None:
    """Wait until the Deployment says that its pods cannot be made."""
    path = f"/apis/apps/v1/namespaces/{place.namespace.name}/deployments/{name}"
    eventually(
        lambda: any(
            one["type"] == "ReplicaFailure" or "Error" in one.get("reason", "")
            for one in place.plane.call("GET", path)["status"].get("conditions", [])
        ),
        "the Deployment says that it fails",
    )


@scenario("quota-exceeded", "limit-range")
async def _(place: Place) -> None:
    def make() -> None:
        limit = {"type": "Container", "max": {"memory": "64Mi"}}
        place.apply("v1", "LimitRange", {"name": "small"}, spec={"limits": [limit]})
        place.deployment(pods=False, resources={"limits": {"memory": "1Gi"}})
        failing(place)

    await asyncio.to_thread(make)


@scenario("missing-config", "service-account")
async def _(place: Place) -> None:
    await asyncio.to_thread(
        lambda: place.deployment(pods=False, pod={"serviceAccountName": "nobody"})
    )
    await asyncio.to_thread(failing, place)


@scenario("create-refused", "pod-security")
async def _(place: Place) -> None:
    def make() -> None:
        place.plane.call(
            "PATCH",
            f"/api/v1/namespaces/{place.namespace.name}",
            {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
            "application/merge-patch+json",
        )
        place.deployment(pods=False)
        failing(place)

    await asyncio.to_thread(make)


def unplaced(label: str, name: str, **parts: Any) -> None:
    @scenario(label, name)
    async def _(place: Place) -> None:
        def make() -> None:
            place.deployment(**parts)
            eventually(
                lambda: all(
                    any(
                        each["type"] == "PodScheduled" and each["status"] == "False"
                        for each in one["status"].get("conditions", [])
                    )
                    for one in place.pods()
                ),
                "the scheduler has given up",
            )
            for pod in place.pods():  # since a while: the doctor gives the scheduler 15 s
                conditions = pod["status"]["conditions"]
                for one in conditions:
                    one["lastTransitionTime"] = ago(60)
                name = pod["metadata"]["name"]
                path = f"/api/v1/namespaces/{place.namespace.name}/pods/{name}/status"
                body = {"status": {"conditions": conditions}}
                place.plane.call("PATCH", path, body, "application/merge-patch+json")

        await asyncio.to_thread(make)


unplaced("unschedulable", "too-much-memory", resources={"requests": {"memory": "64Gi"}})
unplaced("unschedulable", "too-much-cpu", resources={"requests": {"cpu": "64"}})
unplaced("unschedulable", "node-selector", pod={"nodeSelector": {"disk": "ssd"}})
unplaced(
    "unschedulable",
    "one-a-node",
    replicas=1,
    pod={
        "affinity": {
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "labelSelector": {"matchLabels": {"app": "cache"}},
                        "topologyKey": "kubernetes.io/hostname",
                    }
                ]
            }
        }
    },
)
unplaced(
    "volume-failed",
    "no-claim",
    pod={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]},
)


@scenario("node-lost", "not-ready")
async def _(place: Place) -> None:
    await lose_node(place, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")


@scenario("node-lost", "runtime-down")
async def _(place: Place) -> None:
    await lose_node(
        place,
        "False",
        "KubeletNotReady",
        "container runtime network not ready: cni not initialized",
    )


async def lose_node(place: Place, *condition: str) -> None:
    """The pods' node goes, and its controller marks the pods as not ready."""

    def make() -> None:
        place.plane.ensure(
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "node-9"},
                "spec": {"unschedulable": True},  # for the scenarios that come after
            },
        )
        set_node(place.plane, "node-9", *condition)
        place.deployment(pod={"nodeName": "node-9", "tolerations": [{"operator": "Exists"}]})
        place.status(RUNS)
        place.event("NodeNotReady", "Node is not ready", source="node-controller", count=1)

    await asyncio.to_thread(make)


@scenario("rollout-stuck", "deadline")
async def _(place: Place) -> None:
    def make() -> None:
        place.deployment(spec={"progressDeadlineSeconds": 1, "minReadySeconds": 0})
        path = f"/apis/apps/v1/namespaces/{place.namespace.name}/deployments/{APP}"
        eventually(
            lambda: any(
                one.get("reason") == "ProgressDeadlineExceeded"
                for one in place.plane.call("GET", path)["status"].get("conditions", [])
            ),
            "the deadline has passed",
        )

    await asyncio.to_thread(make)


@scenario("rollout-stuck", "paused")
async def _(place: Place) -> None:
    await working(place)

    def make() -> None:
        place.namespace.kubectl("rollout", "pause", f"deployment/{APP}")
        place.namespace.kubectl("set", "image", f"deployment/{APP}", f"provider={IMAGE}5")
        path = f"/apis/apps/v1/namespaces/{place.namespace.name}/deployments/{APP}"

        def seen() -> bool:
            one = place.plane.call("GET", path)
            return bool(
                one["status"].get("observedGeneration") == one["metadata"]["generation"]
                and not one["status"].get("updatedReplicas")
            )

        eventually(seen, "the controller has seen the pause")

    await asyncio.to_thread(make)


def mapped(name: str, *services: dict[str, Any]) -> None:
    @scenario("name-mapping", name)
    async def _(place: Place) -> None:
        await working(place)
        for service in services:
            metadata = {"labels": service.get("labels", {})} | {
                "annotations": {"kubbo.dev/services": service["keys"]}
            }
            await asyncio.to_thread(
                lambda s=service, m=metadata: place.service(s["name"], metadata=m)
            )
        await asyncio.to_thread(place.published, 2, services[0]["name"])
        place.target(services[0]["name"])


@scenario("name-mapping", "rule-and-annotation-disagree")
async def _(place: Place) -> None:
    await working(place)
    metadata = {"labels": PROVIDER, "annotations": {"kubbo.dev/services": KEY}}

    def make() -> None:
        place.service(metadata=metadata)
        place.deployment("other")
        place.status(RUNS, ready=True, labels={"app": "other"})
        place.service("greet-service-1-0-0", selector={"app": "other"})

    await asyncio.to_thread(make)
    place.target()


@scenario("selector-matches-nothing", "asked-by-deployment")
async def _(place: Place) -> None:
    await selecting(place, {"app": "greter"})
    await asyncio.to_thread(place.available, 2)
    place.subject = ("deployment", APP, None)


@scenario("no-permission", "told-by-a-consumer")
async def _(place: Place) -> None:
    await working(place)
    line = "not allowed to list and watch EndpointSlices in namespace 'store' (asked with a token)"
    await asyncio.to_thread(place.log, "INFO checkout 2.0", line)


PROVIDER = {"kubbo.dev/provider": "true"}
KEY = "com.example.GreetService:1.0.0"
mapped(
    "two-claimants",
    {"name": APP, "keys": KEY, "labels": PROVIDER},
    {"name": "greeter-old", "keys": KEY, "labels": PROVIDER},
)
mapped("no-label", {"name": APP, "keys": KEY})
mapped("no-key", {"name": APP, "keys": "com.example.GreetService:1.0.0:2", "labels": PROVIDER})


def permitted(name: str, *verbs: str) -> None:
    @scenario("no-permission", name)
    async def _(place: Place) -> None:
        from tests.cluster.namespace import READ_SERVICES, Rule

        await working(place)
        rules = [READ_SERVICES]
        if verbs:
            rules.append(Rule(("endpointslices",), "discovery.k8s.io", verbs))
        account = await asyncio.to_thread(place.namespace.identity, "consumer", *rules)
        place.token = account.token
        place.target()


permitted("nothing")
permitted("no-watch", "get", "list")
permitted("no-list", "get", "watch")


@scenario("token-rejected", "nobody-knows-it")
async def _(place: Place) -> None:
    await working(place)
    place.token = "not-a-token"
    place.target()


@scenario("token-rejected", "account-gone")
async def _(place: Place) -> None:
    def make() -> None:
        account = place.namespace.identity("consumer")
        place.namespace.kubectl("delete", "serviceaccount", "consumer")
        eventually(
            lambda: place.plane.request("GET", "/api", token=account.token).status == 401,
            "the token is worth nothing",
        )
        place.token = account.token

    await asyncio.to_thread(make)
    place.target()


def policed(name: str, ingress: list[dict[str, Any]]) -> None:
    @scenario("network-policy", name)
    async def _(place: Place) -> None:
        await working(place)
        spec = {
            "podSelector": {"matchLabels": {"app": APP}},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        }
        await asyncio.to_thread(
            lambda: place.apply(
                "networking.k8s.io/v1", "NetworkPolicy", {"name": "shut"}, spec=spec
            )
        )
        place.target()


policed("nobody", [])
policed("other-port", [{"ports": [{"port": 8080}]}])


@scenario("dns-failing", "lookup")
async def _(place: Place) -> None:
    await working(place)
    name = f"{APP}.{place.namespace.name}.svc"
    place.lookups.append(Lookup(name, error="[Errno -3] Temporary failure in name resolution"))
    place.target()
