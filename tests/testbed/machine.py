"""What a real node needs of the machine, and what of it is not there.

A node cannot run everywhere: a container often lacks what it takes to make containers. So each
need is tried before anything is started, and all that are missing are named at once.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.testbed import cgroups

CNI_PLUGINS = Path("/usr/lib/cni")
_PROBE = "kubbo-probe-"
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
}


def missing() -> list[str]:
    """What is missing, each in a few words; empty when a node can run here."""
    if os.geteuid() != 0:
        return ["root"]
    if os.environ.get("KUBBO_TEST_NODES") != str(Path("/proc/self/ns/pid").readlink()):
        return ["namespaces of its own: run it with `tests/in-namespace --nodes`"]
    found = [
        f"the program {program}: apt-get install {package}"
        for program, package in PACKAGES.items()
        if not shutil.which(program)
    ]
    found += [
        f"the network plugin {CNI_PLUGINS / plugin}: apt-get install containernetworking-plugins"
        for plugin in ("ptp", "host-local", "loopback")
        if not (CNI_PLUGINS / plugin).is_file()
    ]
    return found or [*_refused()]


def told(lacking: list[str]) -> str:
    """What is missing, for a person."""
    return "real Kubernetes nodes cannot run here; missing:\n  " + "\n  ".join(lacking)


def _refused() -> list[str]:
    """What the kernel does not do here, or not for us."""
    found: list[str] = []
    try:
        cgroups.remove_left(_PROBE)
        # Process numbers are the same in every run: each has a process namespace of its own.
        group = cgroups.ControlGroup(f"{_PROBE}{Path('/proc/self/ns/net').stat().st_ino}")
        try:
            found += [f"the controller {name} of control groups" for name in group.lacking()]
        finally:
            group.close()
    except OSError as error:
        found.append(f"control groups that may be written ({error})")
    for what, command in (
        (
            "nftables in the kernel",
            ["nft", "add table ip kubbo-probe; delete table ip kubbo-probe"],
        ),
        ("veth interfaces", ["ip", "link", "add", "kubbo-probe", "type", "veth"]),
    ):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            found.append(f"{what} ({run.stderr.strip()})")
    subprocess.run(["ip", "link", "del", "kubbo-probe"], capture_output=True, check=False)
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        found.append("/proc/sys, writable")
    if not os.access("/dev/kmsg", os.R_OK):
        found.append("/dev/kmsg, readable")  # a kubelet reads there who ran out of memory
    return found


@functools.cache
def snapshotter() -> str:
    """How containerd puts the layers of an image together: mounted, or else copied."""
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        parts = {name: Path(directory, name) for name in ("lower", "upper", "work", "all")}
        for part in parts.values():
            part.mkdir()
        layers = ",".join(f"{name}dir={parts[name]}" for name in ("lower", "upper", "work"))
        mount = ["mount", "-t", "overlay", "-o", layers, "overlay", parts["all"]]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return "native"
        subprocess.run(["umount", parts["all"]], check=True)
        return "overlayfs"


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(told(lacking))
