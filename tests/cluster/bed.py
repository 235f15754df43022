"""A real Kubernetes control plane on loopback, for tests to hold and to break.

`ControlPlane` runs etcd, kube-apiserver and kube-controller-manager as child processes. Their
data, certificates and logs lie in one directory, their ports are free ones of 127.0.0.1, and no
part needs root. `CoreDNS` joins them when a test wants names. What tests make in the cluster is
in namespace.py.

All calls here block, up to the seconds of a restart. In an asyncio test that serves or calls at
the same time, wrap them: ``await asyncio.to_thread(control_plane.start, "kube-apiserver")``.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from tests.testbed.authority import Authority, Certificate
from tests.testbed.processes import BedError, Part, Processes, free_port, output_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

PartName = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "coredns"]

BUILD = Path(__file__).parent.parent / "testbed" / "build.sh"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # the first of SERVICE_CIDR: the Service `kubernetes`
# The address that the Service `kubernetes` leads to. Nobody listens there; it must be given
# because slices refuse loopback addresses, and in a namespace of its own a machine has no other.
ADVERTISED_ADDRESS = "10.254.0.1"
NODE_GRACE = 12  # seconds of silence after which a real node is given up
DOMAIN = "cluster.local"


def programs() -> Path:
    """The directory of the built programs."""
    where = subprocess.run([BUILD, "--where"], check=True, stdout=subprocess.PIPE, text=True)
    directory = Path(where.stdout.strip())
    if not directory.is_dir():
        raise BedError("the test bed is not built: run `make testbed`")
    return directory


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said: the HTTP status and the JSON value, or the text."""

    status: int
    body: Any


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager, up when the constructor returns.

    `kubeconfig` is the administrator's, with a client certificate inside. `url`, `ca` and
    `kubeconfig` stay the same through every kill and start.

    `real_nodes`: kubelets will join (tests/testbed/node.py). Then the API server listens at
    `ADVERTISED_ADDRESS` too, which is put on `lo`, kube-scheduler runs, and nodes that are silent
    for `NODE_GRACE` are given up. Only in a network namespace of its own.
    """

    def __init__(self, directory: Path, *, real_nodes: bool = False) -> None:
        self.directory = directory
        self.real_nodes = real_nodes
        self.logs = directory / "logs"
        self.logs.mkdir()
        self.programs = programs()
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.etcd_url = f"http://127.0.0.1:{free_port()}"
        self.processes = Processes()

        started = time.monotonic()
        self.authority = Authority(directory / "pki")
        self.ca = self.authority.root.crt
        self.kubeconfig = self.client_kubeconfig("admin", "/O=system:masters/CN=admin")
        admin = Certificate(self.ca.with_name("admin.crt"), self.ca.with_name("admin.key"))
        self._tls = ssl.create_default_context(cafile=str(self.ca))
        self._admin_tls = ssl.create_default_context(cafile=str(self.ca))
        self._admin_tls.load_cert_chain(admin.crt, admin.key)
        self.certificates_time = time.monotonic() - started

        try:
            if real_nodes:
                add_address(ADVERTISED_ADDRESS)
            self._add_etcd()
            self._add_api_server()
            self._add_controller_manager()
            if real_nodes:
                self._add_scheduler()
        except BaseException:
            self.close()
            raise

    # Outages

    def start(self, part: PartName, *flags: str) -> None:
        """Start a part that was killed or stopped, with its old data; returns when it is ready.

        With the API server its own clients start anew (the controllers, CoreDNS): they back off
        for up to a minute after some outages, and a test would only wait for that.
        """
        self.processes.start(part, *flags)
        if part == "kube-apiserver":
            self.restart_clients()

    def restart_clients(self) -> None:
        """Start the API server's own clients anew, for who started it by `processes` alone."""
        for client in ("kube-controller-manager", "kube-scheduler", "coredns"):
            self.processes.restart_running(client)

    def kill(self, part: PartName) -> None:
        """End a part as a crash does (SIGKILL)."""
        self.processes.end(part, signal.SIGKILL)

    def stop(self, part: PartName) -> None:
        """End a part as a rollout does (SIGTERM). The API server ends its watches before."""
        self.processes.end(part, signal.SIGTERM)

    @contextlib.contextmanager
    def restarted(self, part: PartName, *flags: str) -> Generator[None]:
        """Run a part with other flags for a while, e.g. ``--min-request-timeout=5``."""
        self.kill(part)
        self.start(part, *flags)
        try:
            yield
        finally:
            self.kill(part)
            self.start(part)

    def compact(self) -> None:
        """Drop all history from etcd: older resourceVersions are then Expired (410).

        The API server's watch cache still answers from memory what it holds; to see 410 at once,
        restart it with ``--watch-cache-sizes=endpointslices.discovery.k8s.io#0`` before.
        """
        revision = self._etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    # Requests

    def kubectl(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002 - named as in subprocess.run
        kubeconfig: Path | None = None,
    ) -> str:
        """What kubectl prints, as the administrator or with another `kubeconfig`.

        Raises:
            BedError: kubectl failed; the text is its stderr.
        """
        return output_of(
            self.programs / "kubectl",
            *("--kubeconfig", kubeconfig or self.kubeconfig),
            *("--cache-dir", self.directory / "kubectl-cache"),
            *arguments,
            name=f"kubectl {' '.join(map(str, arguments))}",
            text=input,
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One HTTP request, by the administrator or by the bearer of `token`.

        A watch is read to its end; its body is the list of its events.
        """
        context = self._admin_tls if token is None else self._tls
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=30, context=context
        )
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            text = response.read().decode()
        is_json = response.headers.get_content_type() == "application/json"
        if is_json and "watch=1" in path and response.status == 200:
            return Answer(200, [json.loads(line) for line in text.splitlines()])
        return Answer(response.status, json.loads(text) if is_json else text)

    def call(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Any:
        """`request` by the administrator, for the JSON value alone.

        Raises:
            BedError: The API server refused; the text is its message.
        """
        answer = self.request(method, path, body, content_type=content_type)
        if answer.status >= 300:
            raise BedError(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    def ensure(self, collection: str, value: Mapping[str, Any]) -> None:
        """Create an object unless one of this name exists."""
        answer = self.request("POST", collection, value)
        if answer.status >= 300 and answer.status != 409:
            raise BedError(f"POST {collection}: {answer.status} {answer.body}")

    # Credentials

    def token(
        self, namespace: str, account: str, *, audience: str = "", lifetime: int = 3600
    ) -> str:
        """A fresh token of a ServiceAccount; `lifetime` in seconds, 600 at least."""
        spec: dict[str, Any] = {"expirationSeconds": lifetime}
        if audience:
            spec["audiences"] = [audience]
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.call("POST", path, body)["status"]["token"])

    def client_kubeconfig(self, name: str, subject: str) -> Path:
        """A kubeconfig file with a new client certificate; CN is the user, O are its groups."""
        certificate = self.authority.issue(name, subject)
        return self.write_kubeconfig(
            self.directory / f"{name}.kubeconfig",
            {
                "client-certificate-data": _base64(certificate.crt),
                "client-key-data": _base64(certificate.key),
            },
        )

    def write_kubeconfig(
        self, path: Path, user: Mapping[str, Any], *, namespace: str = "default", url: str = ""
    ) -> Path:
        """A kubeconfig file for this API server; `user` is the ``user`` object in it.

        With another `url`, it is reached there: through a `Gate`.
        """
        cluster = {"server": url or self.url, "certificate-authority-data": _base64(self.ca)}
        context = {"cluster": "testbed", "user": "testbed", "namespace": namespace}
        path.touch(mode=0o600)
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "testbed", "cluster": cluster}],
                    "users": [{"name": "testbed", "user": dict(user)}],
                    "contexts": [{"name": "testbed", "context": context}],
                    "current-context": "testbed",
                }
            )
        )
        return path

    def close(self) -> None:
        """End all parts and throw the data away; the logs stay."""
        self.processes.close()
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    # Parts

    def _add_etcd(self) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        self.processes.add(
            Part(
                "etcd",
                [
                    self.programs / "etcd",
                    "--name=testbed",
                    f"--data-dir={self.directory / 'etcd'}",
                    "--unsafe-no-fsync",  # nothing here survives the run
                    "--log-level=warn",
                    f"--listen-client-urls={self.etcd_url}",
                    f"--advertise-client-urls={self.etcd_url}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=testbed={peer}",
                ],
                lambda: self._etcd("/health", None)["health"] == "true",
                self.logs / "etcd.log",
            )
        )

    def _add_api_server(self) -> None:
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        certificate = self.authority.issue(
            "kube-apiserver",
            "/CN=kube-apiserver",
            [
                *(f"DNS:{name}" for name in (*names, f"kubernetes.default.svc.{DOMAIN}")),
                *(f"IP:{ip}" for ip in ("127.0.0.1", SERVICE_ADDRESS, ADVERTISED_ADDRESS)),
            ],
        )
        kubelets: list[str] = []
        if self.real_nodes:  # for logs and exec
            client = self.authority.issue("kubelet-client", "/O=system:masters/CN=kube-apiserver")
            kubelets = [
                f"--kubelet-certificate-authority={self.ca}",
                f"--kubelet-client-certificate={client.crt}",
                f"--kubelet-client-key={client.key}",
                "--kubelet-preferred-address-types=InternalIP",  # names would be asked for in DNS
            ]
        self.processes.add(
            Part(
                "kube-apiserver",
                [
                    self.programs / "kube-apiserver",
                    f"--etcd-servers={self.etcd_url}",
                    f"--bind-address={'0.0.0.0' if self.real_nodes else '127.0.0.1'}",
                    f"--secure-port={self.port}",
                    f"--advertise-address={ADVERTISED_ADDRESS}",
                    f"--tls-cert-file={certificate.crt}",
                    f"--tls-private-key-file={certificate.key}",
                    f"--client-ca-file={self.ca}",
                    "--authorization-mode=Node,RBAC",
                    "--allow-privileged",
                    f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
                    f"--service-account-key-file={self.authority.token_public_key}",
                    f"--service-account-signing-key-file={self.authority.token_key}",
                    f"--service-cluster-ip-range={SERVICE_CIDR}",
                    # At SIGTERM; by default it waits a minute for watches to end by themselves.
                    "--shutdown-watch-termination-grace-period=2s",
                    *kubelets,
                ],
                lambda: self.request("GET", "/readyz").status == 200,
                self.logs / "kube-apiserver.log",
            )
        )

    def _add_controller_manager(self) -> None:
        kubeconfig = self.client_kubeconfig(
            "kube-controller-manager", "/CN=system:kube-controller-manager"
        )
        if self.real_nodes:
            nodes = [
                "--node-monitor-period=1s",
                f"--node-monitor-grace-period={NODE_GRACE}s",
            ]
        else:  # no kubelet reports for a paper Node: nobody shall call it dead
            nodes = ["--controllers=*,-node-lifecycle-controller,-taint-eviction-controller"]
        self.processes.add(
            Part(
                "kube-controller-manager",
                [
                    self.programs / "kube-controller-manager",
                    f"--kubeconfig={kubeconfig}",
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={free_port()}",
                    "--use-service-account-credentials",
                    # Made when it is missing, by default in /usr/libexec.
                    f"--flex-volume-plugin-dir={self.directory / 'volume-plugins'}",
                    f"--service-account-private-key-file={self.authority.token_key}",
                    f"--root-ca-file={self.ca}",
                    *nodes,
                    # At its default of 20 requests a second it takes 5 s to come up.
                    "--kube-api-qps=200",
                    "--kube-api-burst=400",
                ],
                self._has_default_account,
                self.logs / "kube-controller-manager.log",
            )
        )

    def _add_scheduler(self) -> None:
        kubeconfig = self.client_kubeconfig("kube-scheduler", "/CN=system:kube-scheduler")
        port = free_port()
        self.processes.add(
            Part(
                "kube-scheduler",
                [
                    self.programs / "kube-scheduler",
                    f"--kubeconfig={kubeconfig}",
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={port}",
                ],
                lambda: _listens(port),
                self.logs / "kube-scheduler.log",
            )
        )

    def _has_default_account(self) -> bool:
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        return self.request("GET", path).status == 200

    def _etcd(self, path: str, body: object) -> Any:
        """One request to the JSON gateway of etcd; bytes in it are base64."""
        connection = http.client.HTTPConnection(self.etcd_url.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        if response.status != 200:
            raise BedError(f"etcd {path}: {response.status} {text}")
        return json.loads(text)


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


_COREDNS_ACCESS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "testbed:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "testbed:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "testbed:coredns"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "testbed:coredns"}]
"""


class CoreDNS:
    """The cluster's name server, on `host` and `port` (UDP and TCP).

    Its answers have a TTL of one second: a test need not wait out the usual five.
    """

    def __init__(self, control_plane: ControlPlane, host: str = "127.0.0.1") -> None:
        self.control_plane = control_plane
        self.host = host
        self.port = free_port()
        ready_port = free_port()
        control_plane.kubectl("apply", "-f", "-", input=_COREDNS_ACCESS)
        kubeconfig = control_plane.client_kubeconfig("coredns", "/CN=testbed:coredns")
        corefile = control_plane.directory / "Corefile"
        corefile.write_text(
            f".:{self.port} {{\n"
            f"    bind {self.host}\n"
            f"    ready {self.host}:{ready_port}\n"
            "    errors\n"
            f"    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{\n"
            f"        kubeconfig {kubeconfig}\n"
            "        pods insecure\n"
            "        ttl 1\n"
            "    }\n"
            "    loadbalance\n"
            "}\n"
        )

        def ready() -> bool:
            connection = http.client.HTTPConnection(self.host, ready_port, timeout=2)
            with contextlib.closing(connection):
                connection.request("GET", "/ready")
                return connection.getresponse().status == 200

        control_plane.processes.add(
            Part(
                "coredns",
                [control_plane.programs / "coredns", "-conf", corefile],
                ready,
                control_plane.logs / "coredns.log",
            )
        )


class AddressBlock:
    """Hands out addresses of 10.244.0.0/16 that can really be dialled: they are put on `lo`.

    Each is new in the run, so that no test meets a connection of another.
    """

    def __init__(self) -> None:
        self._next = 0

    def add(self) -> str:
        """Put the next address on `lo`."""
        self._next += 1
        address = f"10.244.{self._next >> 8}.{self._next & 255}"
        add_address(address)
        return address

    def remove(self, address: str) -> None:
        """Take an address from `lo`; connections to it hang from then on."""
        remove_address(address)


def add_address(address: str) -> None:
    """Put an address on `lo`."""
    _change_address("add", address)


def remove_address(address: str) -> None:
    """Take an address from `lo`."""
    _change_address("del", address)


def _change_address(verb: str, address: str) -> None:
    output_of(
        *("ip", "addr", verb, f"{address}/32", "dev", "lo"),
        name=f"ip addr {verb} {address}",
        environment={"LC_ALL": "C"},
    )
