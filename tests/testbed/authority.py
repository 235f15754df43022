"""The cluster's certificates, made by the openssl command."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.testbed.processes import BedError, output_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of a certificate and of its key, PEM."""

    crt: Path
    key: Path


class Authority:
    """The cluster's certificate authority, and the key that signs ServiceAccount tokens."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self.directory = directory
        self.root = self._request("ca", "/CN=testbed-ca", ["keyUsage=critical,keyCertSign"])
        self.token_key = directory / "tokens.key"
        self.token_public_key = directory / "tokens.pub"
        openssl("genrsa", "-out", self.token_key, "2048")
        openssl("rsa", "-in", self.token_key, "-pubout", "-out", self.token_public_key)

    def issue(self, name: str, subject: str, addresses: Sequence[str] = ()) -> Certificate:
        """A client certificate; with `addresses` (``IP:...``, ``DNS:...``) a server's too."""
        usage = "extendedKeyUsage=clientAuth" + (",serverAuth" if addresses else "")
        extensions = ["basicConstraints=critical,CA:FALSE", usage]
        if addresses:
            extensions.append("subjectAltName=" + ",".join(addresses))
        return self._request(
            name, subject, extensions, "-CA", self.root.crt, "-CAkey", self.root.key
        )

    def _request(
        self, name: str, subject: str, extensions: Sequence[str], *signer: str | Path
    ) -> Certificate:
        made = Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-noenc", "-days", "3650", "-subj", subject, "-out", made.crt, "-keyout", made.key),
            *(argument for extension in extensions for argument in ("-addext", extension)),
            *signer,
        )
        return made


def openssl(*arguments: str | Path) -> None:
    if not shutil.which("openssl"):
        raise BedError("openssl is missing: apt-get install openssl")
    output_of("openssl", *arguments, name=f"openssl {arguments[0]}")
