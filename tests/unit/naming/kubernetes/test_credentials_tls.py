"""TLS to the API server: which bundles are believed, and how one that cannot be is told."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.credentials import TlsFiles, load_access

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A self-signed certificate and its key, in PEM."""
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=test", "-keyout", "key", "-out", "crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "crt").read_text(), (folder / "key").read_text()


def trusted(context: ssl.SSLContext) -> list[str]:
    """The common names of whom a context trusts."""
    return [one["subject"][0][0][1] for one in context.get_ca_certs()]


COMMENTS = [
    "# Főtanúsítvány\n".encode(),
    "# Autorité de certification\n".encode("latin-1"),
    b"\xef\xbb\xbf",
    b"\xef\xbb\xbf# \xff\x00\n",
]


@pytest.mark.parametrize("comment", COMMENTS)
async def test_comments_of_any_script_stand_in_a_bundle(
    comment: bytes, authority: tuple[str, str], tmp_path: Path
) -> None:
    """What stands around the blocks of a CA bundle does not count, at start and at rotation."""
    bundle = tmp_path / "ca.crt"
    tls = TlsFiles(ca_file=bundle)
    for content in (authority[0].encode(), comment + authority[0].encode() + comment):
        bundle.write_bytes(content)
        assert trusted(await tls.context()) == ["test"]


@pytest.mark.parametrize("comment", COMMENTS)
async def test_comments_of_any_script_stand_in_a_kubeconfig(
    comment: bytes, authority: tuple[str, str], tmp_path: Path
) -> None:
    """Likewise where the kubeconfig embeds the bundle, the client's certificate and its key."""
    crt, key = (base64.b64encode(comment + text.encode() + comment).decode() for text in authority)
    path = tmp_path / "config"
    cluster = {"server": "https://api:6443", "certificate-authority-data": crt}
    user = {"client-certificate-data": crt, "client-key-data": key}
    path.write_text(
        json.dumps(
            {
                "current-context": "dev",
                "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    access = load_access(kubeconfig=path, environ={}, service_account=tmp_path / "no-pod")
    assert access.tls is not None
    assert trusted(await access.tls.context()) == ["test"]


async def test_a_damaged_bundle_is_told(authority: tuple[str, str], tmp_path: Path) -> None:
    """A block with a letter that no base64 has, or without its end, makes the bundle unusable."""
    bundle = tmp_path / "ca.crt"
    whole = authority[0].encode()
    for damaged in (whole + whole.replace(b"A", b"\xc3", 1), whole + whole[:-30]):
        bundle.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"ca\.crt holds no certificate"):
            await TlsFiles(ca_file=bundle).context()


@pytest.mark.parametrize("content", [b"", b"\n \n", b"# none\n", b"\xef\xbb\xbf"])
async def test_an_empty_bundle_trusts_nobody(content: bytes, tmp_path: Path) -> None:
    """A bundle that was configured and holds nothing is refused: the system's does not step in."""
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ca\.crt holds no certificate"):
        await TlsFiles(ca_file=bundle).context()
    with pytest.raises(ConfigError, match="no certificate"):
        await TlsFiles(ca_pem="\n", source="x").context()
