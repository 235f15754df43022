"""What runs nodes leaves the machine as it was, where no namespace sees to that."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.node.cluster import Cluster

pytestmark = [
    pytest.mark.root(reason="runs real Kubernetes nodes, which needs root and namespaces"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize(
    "setting", ["kernel/panic_on_warn", "vm/swappiness", "fs/inotify/max_user_watches"]
)
def test_no_setting_of_the_machine_can_be_written(cluster: Cluster, setting: str) -> None:
    """Not even to the value that it has. So kubelets that are Ready, and end at once when they
    cannot set what they want, had nothing to set."""
    assert all(node.is_ready() for node in cluster.nodes)
    file = Path("/proc/sys", setting)
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        file.write_text(file.read_text())


@pytest.mark.parametrize("directory", ["/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"])
def test_what_is_written_at_fixed_places_is_not_on_its_disk(
    cluster: Cluster, directory: str
) -> None:
    """Kubelets and network plugins write there, and a starting kubelet deletes others' sockets."""
    assert Path("/var/lib/kubelet/device-plugins/kubelet.sock").is_socket(), cluster.nodes
    assert Path(directory).stat().st_dev not in {Path(each).stat().st_dev for each in ("/", "/var")}
