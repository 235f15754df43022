"""What a pod is given to trust and to identify itself by, and how that is replaced.

The kubelet keeps the files of a projected volume in a directory of their own and swaps a symlink
to it, so that whoever reads sees the old files or the new ones, never a half. `ProjectedVolume`
does the same with real files, which the product's own code reads.

There is no TLS in the simulated network: its bytes are random, and its cost would be most of that
of a run. What a client decides in a handshake is whether it believes the server's certificate, and
that is simulated: `ServingCertificate` says who issued it and whether it is in date, and the
connector holds that against the authorities in the very context that the product made from its
files.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AUTHORITIES", "ProjectedVolume", "ServingCertificate"]


def _pem(der: str) -> str:
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(der))


AUTHORITIES: Final = tuple(
    _pem(der)
    for der in (
        (
            "MIIBQzCB9qADAgECAgEBMAUGAytlcDAgMR4wHAYDVQQDDBVzaW11bGF0ZWQgYXV0aG9yaXR5IDEwIBcN"
            "MjYxMTIzMDM0MjA4WhgPMjEyNjEwMzAwMzQyMDhaMCAxHjAcBgNVBAMMFXNpbXVsYXRlZCBhdXRob3Jp"
            "dHkgMTAqMAUGAytlcAMhAOiACmcgPJnB9TKuk33m6lC9pyLm+dKDd319WFyhSjhwo1MwUTAdBgNVHQ4E"
            "FgQUaIszVjv7glye+YfSM9O1E4IIeo8wHwYDVR0jBBgwFoAUaIszVjv7glye+YfSM9O1E4IIeo8wDwYD"
            "VR0TAQH/BAUwAwEB/zAFBgMrZXADQQC7y3pRQo3iiurSQlN4HB5f2ViPZYnrKN24RT0BLYGlgdDCmwl2"
            "C0XHELGFODUFlOdKWSSfR4OBAIZXNT3Um00I"
        ),
        (
            "MIIBQzCB9qADAgECAgECMAUGAytlcDAgMR4wHAYDVQQDDBVzaW11bGF0ZWQgYXV0aG9yaXR5IDIwIBcN"
            "MjYxMTIzMDM0MjA4WhgPMjEyNjEwMzAwMzQyMDhaMCAxHjAcBgNVBAMMFXNpbXVsYXRlZCBhdXRob3Jp"
            "dHkgMjAqMAUGAytlcAMhAKbpnqyZ8fCp4/+kkfE9RIYcTXe/AK1wY6vN8cDwczrwo1MwUTAdBgNVHQ4E"
            "FgQU5zhbcb/xTarJ6eVvZXYrXGCx58IwHwYDVR0jBBgwFoAU5zhbcb/xTarJ6eVvZXYrXGCx58IwDwYD"
            "VR0TAQH/BAUwAwEB/zAFBgMrZXADQQA2uFHOmjghPjo/4UMy4x7O1b+CpezelIMm0sWr8aETJHJXhlLc"
            "68gswbN5BhOH8vROIR6ZNcZjmmBYF/2Y4q4K"
        ),
        (
            "MIIBQzCB9qADAgECAgEDMAUGAytlcDAgMR4wHAYDVQQDDBVzaW11bGF0ZWQgYXV0aG9yaXR5IDMwIBcN"
            "MjYxMTIzMDM0MjA5WhgPMjEyNjEwMzAwMzQyMDlaMCAxHjAcBgNVBAMMFXNpbXVsYXRlZCBhdXRob3Jp"
            "dHkgMzAqMAUGAytlcAMhAJTWiML7YC0BYaKoNlD8LUnBqP9OAf12bUOl0oRsseAlo1MwUTAdBgNVHQ4E"
            "FgQUIEQ3BqdhkhGcU6Sd85DyyI36jmswHwYDVR0jBBgwFoAUIEQ3BqdhkhGcU6Sd85DyyI36jmswDwYD"
            "VR0TAQH/BAUwAwEB/zAFBgMrZXADQQBOcCZN6UE3OP5aajxblwz6iTPUvLVUqs3CqUvDNQ8qja2uPiX2"
            "ThFdzF4PgZXq068mjeRdKsgD1/dduujEWucD"
        ),
    )
)
"""Certificates of authorities, in PEM; nobody has their keys any more."""


@dataclass(slots=True)
class ServingCertificate:
    """The certificate of a server. `issuer` is a PEM of `AUTHORITIES`."""

    issuer: str
    expired: bool = False

    def check(self, context: ssl.SSLContext) -> None:
        """Believe it, or not, as a client with this context does.

        Raises:
            ssl.SSLCertVerificationError: it is not believed.
        """
        if context.verify_mode == ssl.CERT_NONE:
            return
        if ssl.PEM_cert_to_DER_cert(self.issuer) not in context.get_ca_certs(binary_form=True):
            raise ssl.SSLCertVerificationError(1, "unable to get local issuer certificate")
        if self.expired:
            raise ssl.SSLCertVerificationError(1, "certificate has expired")


class ProjectedVolume:
    """A directory whose files change all at once."""

    def __init__(self, directory: Path) -> None:
        """`directory` exists and is empty."""
        self._directory = directory
        self._versions = 0

    def write(self, files: Mapping[str, str]) -> None:
        """Replace all files; those that are left out are gone."""
        self._versions += 1
        data = Path("..data")
        fresh = Path(f"..version-{self._versions}")
        (self._directory / fresh).mkdir()
        for name, text in files.items():
            (self._directory / fresh / name).write_text(text)
            link = self._directory / name
            if not link.is_symlink():
                link.symlink_to(data / name)
        old = self._directory / data
        before = old.resolve() if old.is_symlink() else None
        swapped = self._directory / "..data_tmp"
        swapped.symlink_to(fresh)
        swapped.replace(old)
        if before is not None:
            for file in before.iterdir():
                file.unlink()
            before.rmdir()
