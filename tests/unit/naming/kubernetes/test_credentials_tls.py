"""TLS to the API server: which bundles are believed, and how one that cannot be is told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.credentials import TlsFiles, load_access

if TYPE_CHECKING:
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


EXTENSIONS = """
[req]
distinguished_name = dn
[dn]
[plain]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = none
authorityKeyIdentifier = none
[full]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
authorityKeyIdentifier = none
keyUsage = critical,keyCertSign
[leaf]
subjectAltName = DNS:api
subjectKeyIdentifier = none
authorityKeyIdentifier = none
"""


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `root`, `middle`, and the server's `leaf` of either; each .key and .crt.

    Nobody but `middle` has a key identifier.
    """
    folder = tmp_path_factory.mktemp("chain")
    (folder / "cnf").write_text(EXTENSIONS)
    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config cnf"
    sign = "openssl x509 -req -days 2 -CAcreateserial -extfile cnf"
    commands = [
        f"openssl req -x509 {new} -subj /CN=root -extensions plain -keyout root.key -out root.crt",
        f"openssl req {new} -subj /CN=middle -keyout middle.key -out middle.csr",
        f"{sign} -extensions full -in middle.csr -CA root.crt -CAkey root.key -out middle.crt",
        f"openssl req {new} -subj /CN=leaf -keyout leaf.key -out leaf.csr",
        f"{sign} -extensions leaf -in leaf.csr -CA root.crt -CAkey root.key -out of-root.crt",
        f"{sign} -extensions leaf -in leaf.csr -CA middle.crt -CAkey middle.key -out of-middle.crt",
    ]
    for command in commands:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def shake_hands(client: ssl.SSLContext, folder: Path, certificate: str) -> None:
    """A handshake in memory, with a server that has a certificate of the chain."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / certificate, folder / "leaf.key")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = [
        client.wrap_bio(to_client, to_server, server_hostname="api"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for side in tuple(left):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
                left.remove(side)
    assert not left


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


# ------------------------------------------------------------ as kubectl trusts
@pytest.fixture(params=["strict", "lax"])
def _python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default context of Python 3.13 and of those before, whichever runs the test."""
    original = ssl.create_default_context

    def create(**options: Any) -> ssl.SSLContext:
        context = original(**options)
        if request.param == "strict":
            context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        else:
            context.verify_flags &= ~(ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN)
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


@pytest.mark.usefixtures("_python")
async def test_authorities_without_key_identifiers_are_believed(chain: Path) -> None:
    """EKS and microk8s have such ones, and kubectl connects to them."""
    context = await TlsFiles(ca_file=chain / "root.crt").context()
    shake_hands(context, chain, "of-root.crt")


@pytest.mark.usefixtures("_python")
async def test_an_intermediate_authority_is_enough(chain: Path) -> None:
    """A bundle may hold it without its root; but nobody else is believed by it."""
    context = await TlsFiles(ca_file=chain / "middle.crt").context()
    shake_hands(context, chain, "of-middle.crt")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, chain, "of-root.crt")


# --------------------------------------------------------- client certificates
@pytest.fixture(params=[["-aes256"], ["-aes256", "-traditional"]], ids=["pkcs8", "traditional"])
def encrypted(request: pytest.FixtureRequest, authority: tuple[str, str]) -> str:
    """The authority's key with a passphrase."""
    return subprocess.run(
        ["openssl", "pkey", *request.param, "-passout", "pass:s3cret"],
        input=authority[1], check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


async def test_an_encrypted_key_is_told(
    encrypted: str, authority: tuple[str, str], tmp_path: Path
) -> None:
    """OpenSSL asks nobody for a passphrase; the error says how to do without one."""
    key = encrypted
    assert "ENCRYPTED" in key
    (tmp_path / "key").write_text(key)
    (tmp_path / "crt").write_text(authority[0])
    for tls in (
        TlsFiles(certificate_file=tmp_path / "crt", key_file=tmp_path / "key", source="the test"),
        TlsFiles(certificate_pem=authority[0], key_pem=key, source="the test"),
    ):
        with pytest.raises(ConfigError, match="client key of the test is encrypted"):
            await tls.context()
    with pytest.raises(ConfigError, match="client key of the test is encrypted"):
        await TlsFiles(source="the test").context((authority[0], key))


async def test_a_client_certificate_needs_no_disk(
    authority: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system can be in memory, none that can be written to is needed."""
    if not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    monkeypatch.setattr(tempfile, "tempdir", "/no-such-folder")
    await TlsFiles(certificate_pem=authority[0], key_pem=authority[1]).context()


def test_a_client_certificate_where_files_are_on_disk(
    authority: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere it is in a file for as long as it takes, and nothing stays."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asyncio.run(TlsFiles(certificate_pem=authority[0], key_pem=authority[1]).context())
    assert not list(tmp_path.iterdir())


async def test_requests_with_and_without_a_plugins_certificate_keep_their_contexts(
    authority: tuple[str, str],
) -> None:
    """Probes are sent without a name: they don't cost the others their connections."""
    tls = TlsFiles()
    plain, named = await tls.context(), await tls.context(authority)
    assert plain is not named
    assert await tls.context() is plain
    assert await tls.context(authority) is named
