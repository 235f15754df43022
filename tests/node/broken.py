"""Deployments that real nodes cannot run, or not well, each with what the doctor has to say first.

A case is made by `apply`, of objects alone: what becomes of them is the scheduler's, the kubelet's
and the runtime's affair, and nothing that they say is written here. The label of a case is its name
up to the dot. NODE_1 is well; on NODE_2 no network plugin works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.node.cluster import IMAGE

APP = "greeter"
NODE_1, NODE_2 = "node-1", "node-2"
REGISTRY = "127.0.0.1:5999"  # of test_doctor.py: it has no image, and lets nobody see the others


@dataclass(frozen=True)
class Case:
    """Objects to apply, and the evidence that has to be among that of the first cause."""

    objects: list[dict[str, Any]]
    evidence: str = ""
    subject: str = APP
    causes: list[str] = field(default_factory=list)


def python(code: str, **container: Any) -> dict[str, Any]:
    """A container that runs a line of Python."""
    return {"command": ["python", "-c", code], **container}


def provider(*arguments: str, **container: Any) -> dict[str, Any]:
    """A container that serves, as `kubbo manifests` has it."""
    command = ["kubbo", "serve", "shop.provider:Greeter", "--admin-port=20881", *arguments]
    return {
        "command": command,
        "ports": [
            {"name": "dubbo", "containerPort": 20880},
            {"name": "admin", "containerPort": 20881},
        ],
        **container,
    }


def http(path: str, port: int = 20881, **probe: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, **probe}


def deployment(
    container: dict[str, Any],
    *,
    node: str = NODE_1,
    replicas: int = 1,
    pod: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    labels = {"app": APP}
    body: dict[str, Any] = {
        "terminationGracePeriodSeconds": 0,
        "enableServiceLinks": False,
        "containers": [{"name": "provider", "image": IMAGE, **container}],
    }
    if node:
        body["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": body | (pod or {})},
            **(spec or {}),
        },
    }


def service(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": APP, **metadata},
        "spec": {
            "clusterIP": "None",
            "selector": {"app": APP},
            "ports": [{"name": "dubbo", "port": 20880}],
        },
    }


def named(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def variable(kind: str, name: str, key: str) -> dict[str, Any]:
    return {"env": [{"name": "VALUE", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}]}


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "data", **source}]}


MOUNTED = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
IDLE = python("import signal; signal.pause()")
READY = {"readinessProbe": http("/readyz"), "startupProbe": http("/startupz", failureThreshold=60)}
SLOW = python("import time; time.sleep(600)", startupProbe=http("/startupz", failureThreshold=3))

CASES: dict[str, Case] = {
    # --- no container is made
    "image-pull.not-found": Case([deployment({"image": f"{REGISTRY}/missing:1.4"})], "not found"),
    "image-pull.unauthorized": Case(
        [deployment({"image": f"{REGISTRY}/private:1.4"})], "401 Unauthorized"
    ),
    "image-pull.unreachable": Case(
        [deployment({"image": "registry.invalid/greeter:1.4"})], "registry.invalid"
    ),
    "image-pull.never": Case(
        [deployment({"image": "testbed.local/other:1", "imagePullPolicy": "Never"})],
        "ErrImageNeverPull",
    ),
    "image-pull.init-container": Case(
        [
            deployment(
                IDLE, pod={"initContainers": [{"name": "init", "image": f"{REGISTRY}/missing:1"}]}
            )
        ],
        "not found",
    ),
    "invalid-name.image": Case([deployment({"image": "testbed.local/Greeter:1"})], "InvalidImage"),
    "unschedulable.selector": Case(
        [deployment(IDLE, pod={"nodeSelector": {"disk": "fast"}})], "node affinity/selector"
    ),
    "unschedulable.memory": Case(
        [deployment(IDLE | {"resources": {"requests": {"memory": "900Ti"}}})], "memory"
    ),
    "quota-exceeded.pods": Case(
        [
            named("v1", "ResourceQuota", "small", spec={"hard": {"pods": "0"}}),
            deployment(IDLE),
        ],
        "exceeded quota: small",
    ),
    "volume-failed.no-claim": Case(
        [deployment(IDLE | MOUNTED, pod=volume(persistentVolumeClaim={"claimName": "data"}))],
        'persistentvolumeclaim "data" not found',
    ),
    "volume-failed.host-path": Case(
        [
            deployment(
                IDLE | MOUNTED,
                pod=volume(hostPath={"path": "/nowhere/data", "type": "Directory"}),
            )
        ],
        "hostPath type check failed",
    ),
    "missing-config.volume": Case(
        [deployment(IDLE | MOUNTED, pod=volume(configMap={"name": "settings"}))], "settings"
    ),
    "missing-config.volume-key": Case(
        [
            named("v1", "Secret", "db"),
            deployment(
                IDLE | MOUNTED,
                pod=volume(secret={"secretName": "db", "items": [{"key": "ca", "path": "ca"}]}),
            ),
        ],
        "references non-existent secret key",
    ),
    "missing-config.configmap": Case(
        [deployment(IDLE | {"envFrom": [{"configMapRef": {"name": "settings"}}]})],
        'configmap "settings" not found',
    ),
    "missing-config.secret-key": Case(
        [
            named("v1", "Secret", "db"),
            deployment(IDLE | variable("secret", "db", "password")),
        ],
        "couldn't find key password",
    ),
    "missing-config.account": Case(
        [deployment(IDLE, pod={"serviceAccountName": "nobody"})], '"nobody" not found'
    ),
    "sandbox-failed.network": Case([deployment(IDLE, node=NODE_2)], "no-such-plugin"),
    "sandbox-failed.runtime": Case(
        [
            named("node.k8s.io/v1", "RuntimeClass", "strange", handler="strange"),
            deployment(IDLE, pod={"runtimeClassName": "strange"}),
        ],
        "strange",
    ),
    # --- it is made, and does not start
    "start-failed.not-in-path": Case([deployment({"command": ["kuboo"]})], "kuboo"),
    "start-failed.no-such-file": Case([deployment({"command": ["/app/run"]})], "/app/run"),
    "start-failed.no-such-directory": Case(
        [deployment(IDLE | {"workingDir": "/proc/self/nowhere"})], "/proc/self/nowhere"
    ),
    "start-failed.not-executable": Case(
        [deployment({"command": ["/app/shop/provider.py"]})], "permission denied"
    ),
    "start-failed.root": Case(
        [
            deployment(
                IDLE | {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}},
            )
        ],
        "breaks non-root policy",
    ),
    "start-failed.post-start-hook": Case(
        [deployment(IDLE | {"lifecycle": {"postStart": {"exec": {"command": ["kuboo"]}}}})],
        "PostStartHook",
    ),
    # --- it starts, and does not stay
    "oom-killed.at-once": Case(
        [
            deployment(
                python("b'x' * (256 << 20)", resources={"limits": {"memory": "64Mi"}}),
            )
        ],
        "limits.memory: 64Mi",
    ),
    "crash-loop.exception": Case(
        [deployment(python("import os; os.environ['DATABASE_URL']"))], "KeyError: 'DATABASE_URL'"
    ),
    "crash-loop.no-such-module": Case(
        [deployment({"command": ["kubbo", "serve", "shop.provder:Greeter"]})], "shop.provder"
    ),
    "crash-loop.ends-well": Case([deployment(python("print('done')"))], "log: done"),
    "crash-loop.read-only": Case(
        [
            deployment(
                python("open('/state', 'w')", securityContext={"readOnlyRootFilesystem": True})
            )
        ],
        "Read-only file system",
    ),
    "crash-loop.init-container": Case(
        [
            deployment(
                IDLE,
                pod={
                    "initContainers": [
                        {"name": "init", "image": IMAGE, **python("raise SystemExit('no tables')")}
                    ]
                },
            )
        ],
        "no tables",
    ),
    "dns-failing.crash": Case(
        [deployment(python("import socket; socket.getaddrinfo('stock.nowhere.svc', 80)"))],
        "socket.gaierror",
    ),
    "startup-failing.wrong-port": Case(
        [deployment(provider(startupProbe=http("/startupz", 20999, failureThreshold=3)))],
        "startup probe",
    ),
    "startup-failing.hangs": Case([deployment(SLOW)], "startup probe"),
    "liveness-failing.wrong-path": Case(
        [
            deployment(
                provider(
                    **READY,
                    livenessProbe=http("/healthz", failureThreshold=2),
                )
            )
        ],
        "liveness probe",
    ),
    # --- it runs, and is not ready, or not what was meant
    "readiness-failing.wrong-path": Case(
        [service(), deployment(provider(readinessProbe=http("/ready")))], "403"
    ),
    "readiness-failing.needs-another": Case(
        [service(), deployment(provider("--ready-when=static:///10.254.0.1:9", **READY))], "503"
    ),
    "loopback-bound.probe": Case(
        [
            service(),
            deployment(
                provider(
                    "--host=127.0.0.1",
                    readinessProbe={"tcpSocket": {"port": 20880}, "periodSeconds": 1},
                )
            ),
        ],
        "127.0.0.1:20880",
    ),
    "loopback-bound.no-probe": Case(
        [service(), deployment(provider("--host=127.0.0.1"))], "refused"
    ),
    "wrong-protocol.http": Case(
        [
            service(),
            deployment(
                {
                    "command": ["python", "-m", "http.server", "20880"],
                    "ports": [{"containerPort": 20880}],
                    "workingDir": "/tmp",
                }
            ),
        ],
        "20880",
    ),
    "wrong-target-port.nobody": Case([service(), deployment(IDLE)], "refused"),
    "not-exported.version": Case(
        [
            service(
                labels={"kubbo.dev/provider": "true"},
                annotations={"kubbo.dev/services": "com.example.GreetService:1.0.1"},
            ),
            deployment(provider(**READY)),
        ],
        "20880",
    ),
    "no-permission.consumer": Case(
        [
            deployment(
                {"command": ["python", "-m", "shop.consumer"]}, pod={"shareProcessNamespace": True}
            )
        ],
        "EndpointSlices",
    ),
    # --- nothing is broken
    "healthy.provider": Case([service(), deployment(provider(**READY))]),
}
