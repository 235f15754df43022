"""resolv.conf, as people, pods and DHCP clients write it: what is wrong in it costs only itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from kubbo.naming.dns.resolv_conf import ResolvConf, read_resolv_conf

if TYPE_CHECKING:
    from pathlib import Path


def read(directory: Path, content: str | bytes) -> ResolvConf:
    path = directory / "resolv.conf"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_resolv_conf(path)


def domains(read: ResolvConf) -> list[str]:
    return [name.to_text() for name in read.search]


def test_the_file_of_a_pod(tmp_path: Path) -> None:
    """What kubelet writes is read, all of it."""
    made = read(
        tmp_path,
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.96.0.10\noptions ndots:5 timeout:1 edns0\n",
    )
    assert made.nameservers == ("10.96.0.10",)
    assert domains(made) == ["shop.svc.cluster.local.", "svc.cluster.local.", "cluster.local."]
    assert (made.ndots, made.timeout) == (5, 1.0)


def test_what_is_left_out(tmp_path: Path) -> None:
    """An empty file has nobody to ask, and the C library's habits."""
    made = read(tmp_path, "; nothing\n# nameserver 10.0.0.1\n\nnameserver\noptions\n")
    assert made.nameservers == ()
    assert (made.ndots, made.timeout) == (1, 2.0)
    assert domains(made) == [f"{own}." for own in socket.gethostname().split(".", 1)[1:]]


@pytest.mark.parametrize(
    "wrong",
    [
        "nameserver foo",
        "nameserver 10.0.0.1:53",
        "nameserver https://dns.example/",
        "search corp..example",
        f"search {'a' * 64}.example",
        "search \\300",
        "domain .example",
        "options ndots:x timeout: ndots:-1 ndots",
        "nonsense",
        "nameserver \udce9",
    ],
)
def test_a_wrong_line_costs_only_itself(tmp_path: Path, wrong: str) -> None:
    """As in the C library: the other lines count, wherever the wrong one stands."""
    right = "nameserver 10.0.0.9\nsearch shop.example\noptions ndots:3\n"
    for content in (f"{wrong}\n{right}", f"nameserver 10.0.0.9\noptions ndots:3\n{wrong}\n"):
        made = read(tmp_path, content.encode("utf-8", "surrogateescape"))
        assert made.nameservers == ("10.0.0.9",)
        assert made.ndots == 3
    made = read(tmp_path, f"{wrong}\n{right}".encode("utf-8", "surrogateescape"))
    assert domains(made) == ["shop.example."]


def test_a_wrong_domain_leaves_the_others(tmp_path: Path) -> None:
    """Words are judged alone, as lines are; the last list wins."""
    made = read(tmp_path, "domain old.example\nsearch one.example corp..example two.example\n")
    assert domains(made) == ["one.example.", "two.example."]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("FE80::1%lo", "fe80::1%lo"),
        ("fe80:0:0::1%1", "fe80::1%1"),
        ("FD00:0:0::0A", "fd00::a"),
        ("::FFFF:10.0.0.1", "::ffff:10.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_are_kept_as_the_kernel_writes_them(
    tmp_path: Path, written: str, kept: str
) -> None:
    """An answer comes from an address in that form, and is held against the one asked."""
    assert read(tmp_path, f"nameserver {written}\n").nameservers == (kept,)


def test_limits(tmp_path: Path) -> None:
    """Three servers, 32 domains, 15 dots and 5 seconds: no file makes a lookup endless."""
    made = read(
        tmp_path,
        "".join(f"nameserver 10.0.0.{n}\n" for n in range(1, 9))
        + "search "
        + " ".join(f"d{n}.example" for n in range(99))
        + f"\noptions ndots:{'9' * 400} timeout:{'9' * 400}\n",
    )
    assert len(made.nameservers) == 3
    assert len(made.search) == 32
    assert (made.ndots, made.timeout) == (15, 5.0)
    assert read(tmp_path, "options timeout:0\n").timeout == 0.1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is the caller who knows what to say then."""
    with pytest.raises(FileNotFoundError):
        read_resolv_conf(tmp_path / "gone")
