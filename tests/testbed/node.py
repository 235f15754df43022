"""A real Kubernetes node: containerd and a kubelet that run real containers.

Several live side by side in the network namespace that ``tests/in-namespace --nodes`` makes. They
share its addresses and routes, and so one kube-proxy (`Proxy`) serves them all; each has its own
address on `lo`, container runtime, control group and range of pod addresses. Pods have an interface
each, at the other end of which is the namespace itself: it routes between all pods, hosts and
Services, and no bridge takes part, whose frames would pass by kube-proxy's rules.

What a node needs of its machine, and what of it is missing, is said by machine.py. All files but
the logs are in `DATA`, in memory; they and every process and mount go with the namespace.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.cluster.bed import DOMAIN, ControlPlane, CoreDNS, add_address
from tests.testbed.cgroups import ControlGroup
from tests.testbed.images import PAUSE
from tests.testbed.machine import CNI_PLUGINS, snapshotter
from tests.testbed.processes import Part, eventually, output_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

DATA = Path("/run/kubbo")
GROUP_PREFIX = "kubbo-node-"
DNS_ADDRESS = "10.96.0.10"  # of the Service kube-dns
POD_CIDR = "10.244.0.0/16"


class Node:
    """One node, Ready when the constructor returns. `index` is 1 to 9, and its zone's too."""

    def __init__(self, plane: ControlPlane, index: int, pause: Path) -> None:
        self.plane = plane
        self.name = f"node-{index}"
        self.address = f"10.254.1.{index}"
        self.zone = f"zone-{index}"
        self.pod_range = f"10.244.{index}.0/24"
        self.data = DATA / str(index)
        self.cni = self.data / "cni.d"
        self.cni.mkdir(parents=True)
        self._socket = self.data / "containerd.sock"
        self._index = index
        self.group = ControlGroup(f"{GROUP_PREFIX}{_namespace()}-{index}")
        try:
            add_address(self.address)
            self.mend_network()
            self._add_containerd()
            self.load(pause)
            self._add_kubelet()
            eventually(self.is_ready, f"{self.name} is Ready", within=60)
        except BaseException:
            self.close()
            raise

    def load(self, *archives: Path) -> None:
        """Import images."""
        for archive in archives:
            self._ctr("images", "import", "--snapshotter", snapshotter(), str(archive))

    def is_ready(self) -> bool:
        """Whether the cluster takes it for Ready."""
        answer = self.plane.request("GET", f"/api/v1/nodes/{self.name}")
        if answer.status != 200:
            return False
        conditions: list[dict[str, Any]] = answer.body["status"].get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    @contextlib.contextmanager
    def frozen(self) -> Generator[None]:
        """Stop every process of the node where it is, kubelet, runtime and containers, for a while.

        Connections to it stay, and are even accepted: only nobody answers.
        """
        self.group.stop()
        try:
            yield
        finally:
            self.group.go_on()

    def break_network(self) -> None:
        """Name a network plugin that does not exist: no pod gets a sandbox from now on."""
        self._configure_network("no-such-plugin")

    def mend_network(self) -> None:
        """Undo `break_network`."""
        self._configure_network("ptp")

    def close(self) -> None:
        """End all that runs on it, and remove its control group."""
        self.group.close()

    def _configure_network(self, plugin: str) -> None:
        ranges = [[{"subnet": self.pod_range}]]
        network = {
            "cniVersion": "0.4.0",
            "name": "testbed",
            "plugins": [
                {
                    "type": plugin,
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.data / "addresses"),
                        "ranges": ranges,
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
        # In place: containerd reads it again when it is written, and not when it is replaced.
        (self.cni / "10-testbed.conflist").write_text(json.dumps(network))

    def _add_containerd(self) -> None:
        configuration = self.data / "containerd.toml"
        configuration.write_text(
            _CONTAINERD.format(
                data=self.data,
                socket=self._socket,
                pause=PAUSE,
                plugins=CNI_PLUGINS,
                network=self.cni,
                snapshotter=snapshotter(),
                runc=shutil.which("runc"),
            )
        )
        self._add("containerd", ["containerd", "--config", configuration], self._runtime_answers)

    def _runtime_answers(self) -> bool:
        self._ctr("version")
        return True

    def _ctr(self, *arguments: str) -> str:
        return output_of(
            *("ctr", "--address", self._socket, "--namespace", "k8s.io", *arguments),
            name=f"ctr {' '.join(arguments)}",
        )

    def _add_kubelet(self) -> None:
        certificate = self.plane.authority.issue(
            f"kubelet-{self._index}",
            f"/O=system:nodes/CN=system:node:{self.name}",
            [f"DNS:{self.name}", f"IP:{self.address}"],
        )
        kubeconfig = self.plane.write_kubeconfig(
            self.plane.directory / f"{self.name}.kubeconfig",
            {"client-certificate": str(certificate.crt), "client-key": str(certificate.key)},
        )
        resolver = self.data / "resolv.conf"
        resolver.write_text("")  # pods ask the cluster's name server and nobody else
        health = 10_250 - self._index
        configuration = self.data / "kubelet.yaml"
        configuration.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kubelet.config.k8s.io/v1beta1",
                    "kind": "KubeletConfiguration",
                    "address": self.address,
                    "healthzBindAddress": self.address,
                    "healthzPort": health,
                    "containerRuntimeEndpoint": f"unix://{self._socket}",
                    "tlsCertFile": str(certificate.crt),
                    "tlsPrivateKeyFile": str(certificate.key),
                    "authentication": {
                        "anonymous": {"enabled": False},
                        "x509": {"clientCAFile": str(self.plane.ca)},
                    },
                    "clusterDNS": [DNS_ADDRESS],
                    "clusterDomain": DOMAIN,
                    "resolvConf": str(resolver),
                    "podLogsDir": str(self.data / "logs"),
                    "volumePluginDir": str(self.data / "volume-plugins"),
                    "cgroupDriver": "cgroupfs",
                    "cgroupRoot": f"/{self.group.name}",
                    "failCgroupV1": False,
                    "failSwapOn": False,
                    "makeIPTablesUtilChains": False,
                    # How full this machine is, is not what is tested.
                    "evictionHard": {
                        "memory.available": "50Mi",
                        "nodefs.available": "0%",
                        "imagefs.available": "0%",
                    },
                    "imageGCHighThresholdPercent": 100,
                    "imageGCLowThresholdPercent": 99,
                    "nodeStatusUpdateFrequency": "3s",
                    "nodeLeaseDurationSeconds": 12,
                    "syncFrequency": "5s",
                }
            )
        )
        self._add(
            "kubelet",
            [
                self.plane.programs / "kubelet",
                f"--config={configuration}",
                f"--kubeconfig={kubeconfig}",
                f"--hostname-override={self.name}",
                f"--node-ip={self.address}",
                f"--root-dir={self.data / 'kubelet'}",
                f"--node-labels=topology.kubernetes.io/zone={self.zone}",
            ],
            lambda: _healthy(self.address, health, "/healthz"),
        )

    def _add(
        self, program: str, command: Sequence[str | Path], ready: Callable[[], object]
    ) -> None:
        name = f"{program}-{self._index}"
        self.plane.processes.add(
            Part(name, [*self.group.joining(), *command], ready, self.plane.logs / f"{name}.log")
        )


class Proxy:
    """kube-proxy, which gives Services their addresses, for all nodes of the namespace."""

    def __init__(self, plane: ControlPlane, node: Node) -> None:
        kubeconfig = plane.client_kubeconfig("kube-proxy", "/CN=system:kube-proxy")
        configuration = node.data / "kube-proxy.yaml"
        configuration.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                    "kind": "KubeProxyConfiguration",
                    "mode": "nftables",
                    "hostnameOverride": node.name,
                    "clusterCIDR": POD_CIDR,
                    "bindAddress": node.address,
                    "healthzBindAddress": f"{node.address}:10256",
                    "metricsBindAddress": f"{node.address}:10249",
                    "nodePortAddresses": [f"{node.address}/32"],
                    "clientConnection": {"kubeconfig": str(kubeconfig)},
                    # Limits of the whole machine: left as they are.
                    "conntrack": {
                        "maxPerCore": 0,
                        "min": 0,
                        "tcpEstablishedTimeout": "0s",
                        "tcpCloseWaitTimeout": "0s",
                    },
                }
            )
        )
        plane.processes.add(
            Part(
                "kube-proxy",
                [plane.programs / "kube-proxy", f"--config={configuration}"],
                lambda: _healthy(node.address, 10256, "/livez"),
                plane.logs / "kube-proxy.log",
            )
        )


def publish(dns: CoreDNS) -> None:
    """Give the name server the address at which pods look for it.

    A Service without a selector, and a slice by hand: the server is no pod.
    """
    ports = [
        {"name": name, "port": dns.port, "protocol": protocol}
        for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    dns.control_plane.call(
        "POST",
        "/api/v1/namespaces/kube-system/services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns"},
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "ports": [{**port, "port": 53, "targetPort": dns.port} for port in ports],
            },
        },
    )
    dns.control_plane.call(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-host",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [dns.host], "conditions": {"ready": True}}],
        },
    )


def _namespace() -> str:
    """The number of the network namespace, which no other living one has."""
    return str(Path("/proc/self/ns/net").stat().st_ino)


def _healthy(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status == 200


_CONTAINERD = """
version = 2
root = "{data}/containerd"
state = "{data}/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE nobody may go below his own OOM score, and runc dies of trying.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{network}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
"""
