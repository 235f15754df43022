"""TLS to the API server: whom we trust, and our certificate.

CA bundles and certificates are replaced while a process runs, by their issuer or with the volume
they are in. Each request asks for a context, which is made again when a file changed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.files import file_signature, pem_text, read_pem

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["TlsFiles"]


@dataclass(slots=True)
class TlsFiles:
    """What a TLS context is made of: paths, or PEM texts where a kubeconfig embeds them.

    Everything is read again when a file changed; a context is kept as long as none did.
    """

    ca_file: Path | None = None
    ca_pem: str = field(default="", repr=False)
    certificate_file: Path | None = None
    certificate_pem: str = field(default="", repr=False)
    key_file: Path | None = field(default=None)
    key_pem: str = field(default="", repr=False)
    verify: bool = True
    server_name: str = ""
    source: str = ""
    # The last context with a plugin's certificate and the last without, each with what it is of.
    _kept: dict[bool, tuple[object, ssl.SSLContext]] = field(
        default_factory=dict[bool, tuple[object, ssl.SSLContext]], init=False, repr=False
    )

    async def context(self, plugin_certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
        """The TLS context for a new connection; the same one while nothing changed.

        Raises:
            ConfigError: a file cannot be read or holds no certificate.
        """
        return await asyncio.to_thread(self._build, plugin_certificate)

    def _build(self, plugin_certificate: tuple[str, str] | None) -> ssl.SSLContext:
        files = (self.ca_file, self.certificate_file, self.key_file)
        signature = (*(file_signature(file) for file in files), plugin_certificate)
        kept = self._kept.get(plugin_certificate is None)
        if kept is not None and kept[0] == signature:
            return kept[1]
        context = self._trust()
        if plugin_certificate is not None:
            self._load_certificate(context, *(pem_text(one.encode()) for one in plugin_certificate))
        elif self.certificate_file or self.certificate_pem:
            certificate = self.certificate_pem or read_pem(
                self.certificate_file, what="the client certificate"
            )
            key = self.key_pem or read_pem(self.key_file, what="the client key")
            self._load_certificate(context, certificate, key)
        self._kept[plugin_certificate is None] = (signature, context)
        return context

    def _trust(self) -> ssl.SSLContext:
        # The cluster's CA alone is trusted; where none is configured, the system's are. A bundle
        # that is empty was configured all the same: it trusts nobody, which Python would take
        # for "no bundle".
        bundle: str | None = None
        if self.ca_pem:
            bundle = self.ca_pem
        elif self.ca_file is not None:
            bundle = read_pem(self.ca_file, what="the CA bundle")
        unusable = ConfigError(
            f"the CA bundle of {self.ca_file or self.source} holds no certificate in PEM; "
            "check certificate-authority"
        )
        if bundle is not None and not bundle.strip():
            raise unusable
        try:
            context = ssl.create_default_context(cadata=bundle)
        except (ssl.SSLError, ValueError):
            raise unusable from None
        # As kubectl does: CAs without key identifiers are used all over (EKS, microk8s), which
        # Python takes for invalid since 3.13, and a bundle may hold an intermediate CA alone, which
        # Python accepts since 3.13.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _load_certificate(self, context: ssl.SSLContext, certificate: str, key: str) -> None:
        with _unseen_file(f"{certificate}\n{key}\n") as path:
            try:
                context.load_cert_chain(path, password=_no_passphrase)
            except _EncryptedError:
                raise ConfigError(
                    f"the client key of {self.source} is encrypted, and there is nobody to ask for "
                    "its passphrase; write it without one: openssl pkey -in KEY -out NEW_KEY"
                ) from None
            except (ssl.SSLError, ValueError):
                raise ConfigError(
                    f"the client certificate of {self.source} and its key cannot be used "
                    "together; check that both are in PEM and belong to each other"
                ) from None


class _EncryptedError(Exception):
    """OpenSSL asks for a passphrase."""


def _no_passphrase() -> str:
    # Without this, OpenSSL asks at the terminal, and waits there.
    raise _EncryptedError


@contextmanager
def _unseen_file(text: str) -> Generator[Path]:
    """The path of a file that nobody else can read, as long as the block takes.

    OpenSSL's interface in Python only loads a certificate from a file. In memory where that can
    be: a key should be on no disk, and many containers have none that can be written to.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("certificate"), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "client.pem")
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")
        yield path
