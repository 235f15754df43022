"""Where the API server is and who we are there.

Looked for in this order: an explicit kubeconfig, the files of `KUBECONFIG`, the pod's service
account, `~/.kube/config`. What is found is an `Access`: the server's address, how to trust it,
and how to identify.

Secrets change while a process runs: projected tokens are replaced every hour by swapping a
symlink, certificates by their issuer, tokens of an exec plugin when they expire. So nothing
is read once and kept: each request asks for its `Authorization` and TLS context, and these
look at their files again (off the event loop; requests to the API server are rare). No
secret is part of a repr, a log line or an error.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard
from urllib.parse import urlsplit

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "SERVICE_ACCOUNT",
    "Access",
    "ExecPlugin",
    "FixedToken",
    "Identity",
    "NoToken",
    "TlsFiles",
    "TokenFile",
    "load_access",
]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, CA bundle and namespace."""

_FILE_BYTES = 1 << 20  # of a kubeconfig, token or certificate: API objects are no larger
_PLUGIN_BYTES = 1 << 20  # of what an exec plugin writes
_PLUGIN_TIMEOUT = 60.0  # a plugin may wait for a person's second factor
_PLUGIN_EARLY = 10.0  # ask again so long before its credential expires
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")

# What YAML and JSON give: checked key by key where it is read.
_Json: TypeAlias = Any


def _is_list(value: _Json) -> TypeGuard[list[_Json]]:
    return isinstance(value, list)


def _is_mapping(value: _Json) -> TypeGuard[dict[str, _Json]]:
    return isinstance(value, dict)


def _as_list(value: _Json) -> list[_Json] | None:
    """A list, empty for a missing value; None when it is something else."""
    if value is None:
        return []
    return value if _is_list(value) else None


def _as_mapping(value: _Json) -> dict[str, _Json] | None:
    """A mapping, empty for a missing value; None when it is something else."""
    if value is None:
        return {}
    return value if _is_mapping(value) else None


# -------------------------------------------------------------------- tokens
class Identity(Protocol):
    """Gives the bearer token of a request. `plugin_certificate` is that of an exec plugin."""

    async def token(self) -> str:
        """The token to send, empty for none. Raises ConfigError when there is no way to it."""
        ...

    def invalidate(self) -> None:
        """The server refused the last token: forget what is cached."""
        ...


class NoToken:
    """Identifies by certificate alone, or not at all."""

    async def token(self) -> str:
        """No token."""
        return ""

    def invalidate(self) -> None:
        """Nothing is cached."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that stands in a kubeconfig."""

    value: str = field(repr=False)

    async def token(self) -> str:
        """The token."""
        return self.value

    def invalidate(self) -> None:
        """It is all there is."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that is replaced while we run: read for every request, which is rare."""

    path: Path

    async def token(self) -> str:
        """What the file holds now."""
        return await asyncio.to_thread(self._read)

    def invalidate(self) -> None:
        """Nothing is cached."""

    def _read(self) -> str:
        text = _read_file(self.path, what="the token").strip()
        if not text:
            raise ConfigError(f"the token file {self.path} is empty; check what mounts it")
        return _check_token(text, source=str(self.path))


class ExecPlugin:
    """Runs a command that prints an ExecCredential, and caches it until it expires."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        info: Mapping[str, _Json],
        hint: str,
        source: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`info` is sent as KUBERNETES_EXEC_INFO; `clock` gives the wall time in seconds."""
        self._command = tuple(command)
        self._environ = dict(environ)
        self._info = dict(info)
        self._hint = hint
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._certificate: tuple[str, str] | None = None
        self._good_until = float("-inf")

    def __repr__(self) -> str:
        return f"ExecPlugin({self._command[0]!r})"

    async def token(self) -> str:
        """The token of the plugin, empty if it gives a certificate only."""
        await self._refresh()
        return self._token

    async def certificate(self) -> tuple[str, str] | None:
        """Client certificate and key in PEM, if the plugin gives one."""
        await self._refresh()
        return self._certificate

    def invalidate(self) -> None:
        """Run the plugin again before the next request."""
        self._good_until = float("-inf")

    async def _refresh(self) -> None:
        async with self._lock:
            if self._clock() < self._good_until:
                return
            self._take(await self._run())

    async def _run(self) -> bytes:
        name = self._command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={**self._environ, "KUBERNETES_EXEC_INFO": json.dumps(self._info)},
            )
        except OSError as error:
            hint = f"; {self._hint}" if self._hint else ""
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} cannot be run: "
                f"{error.strerror}; install it or put it on the PATH{hint}"
            ) from None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PLUGIN_TIMEOUT):
                output = await _read_at_most(process.stdout, _PLUGIN_BYTES)
                if output is None:
                    raise ConfigError(
                        f"the credential plugin {name!r} of {self._source} wrote more than "
                        f"{_PLUGIN_BYTES} bytes"
                    )
                status = await process.wait()
        except TimeoutError:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} did not answer within "
                f"{_PLUGIN_TIMEOUT:.0f} s; run it by hand to see what it waits for"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                # asyncio waits for the end of its output, too, and does not read it while too
                # much is there already; nor does it end while a child of the plugin holds it.
                process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
                await process.wait()
        if status:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} failed with exit code "
                f"{status}; run it by hand to see why (you may have to log in again)"
            )
        return output

    def _take(self, output: bytes) -> None:
        name = self._command[0]
        try:
            answer: _Json = json.loads(output)
            version, status = answer["apiVersion"], answer["status"]
            token = status.get("token") or ""
            certificate = status.get("clientCertificateData") or ""
            key = status.get("clientKeyData") or ""
            expires = status.get("expirationTimestamp") or ""
            fields = (version, token, certificate, key, expires)
            usable = all(isinstance(one, str) for one in fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            usable, version, token, certificate, key, expires = False, "", "", "", "", ""
        if not usable or not (token or (certificate and key)):
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} printed no ExecCredential with "
                "a token or a client certificate; run it by hand to see what it prints"
            )
        if version != self._info["apiVersion"]:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} answered as {version!r} but the "
                f"kubeconfig says {self._info['apiVersion']!r}; make them agree"
            )
        self._token = _check_token(token, source=f"plugin {name!r}") if token else ""
        self._certificate = (certificate, key) if certificate and key else None
        self._good_until = _timestamp(expires) - _PLUGIN_EARLY if expires else float("inf")


async def _read_at_most(stream: asyncio.StreamReader, most: int) -> bytes | None:
    """Everything up to the end of the stream, None when that is more than `most` bytes."""
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk
        if len(data) > most:
            return None
    return bytes(data)


def _timestamp(text: str) -> float:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return float("-inf")  # not understood: ask again for every request
    offset = "+00:00" if match[2] == "Z" else match[2]
    return datetime.fromisoformat(match[1] + offset).timestamp()


# ----------------------------------------------------------------------- TLS
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
    _signature: object = field(default=None, init=False, repr=False)
    _context: ssl.SSLContext | None = field(default=None, init=False, repr=False)

    async def context(self, plugin_certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
        """The TLS context for a new connection; the same one while nothing changed.

        Raises:
            ConfigError: a file cannot be read or holds no certificate.
        """
        return await asyncio.to_thread(self._build, plugin_certificate)

    def _build(self, plugin_certificate: tuple[str, str] | None) -> ssl.SSLContext:
        files = (self.ca_file, self.certificate_file, self.key_file)
        signature = (*(_file_signature(file) for file in files), plugin_certificate)
        if self._context is not None and signature == self._signature:
            return self._context
        context = self._trust()
        if plugin_certificate is not None:
            self._load_certificate(context, *plugin_certificate)
        elif self.certificate_file or self.certificate_pem:
            certificate = self.certificate_pem or _read_file(
                self.certificate_file, what="the client certificate"
            )
            key = self.key_pem or _read_file(self.key_file, what="the client key")
            self._load_certificate(context, certificate, key)
        self._signature, self._context = signature, context
        return context

    def _trust(self) -> ssl.SSLContext:
        bundle = self.ca_pem
        if self.ca_file is not None and not bundle:
            bundle = _read_file(self.ca_file, what="the CA bundle")
        try:
            # The cluster's CA alone is trusted; where there is none, the system's are.
            context = ssl.create_default_context(cadata=bundle or None)
        except (ssl.SSLError, ValueError):
            raise ConfigError(
                f"the CA bundle of {self.ca_file or self.source} holds no certificate in PEM; "
                "check certificate-authority"
            ) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _load_certificate(self, context: ssl.SSLContext, certificate: str, key: str) -> None:
        # OpenSSL's interface in Python only loads a certificate from a file: one that nobody
        # else can read, for as long as the call takes.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "client.pem")
            path.touch(mode=0o600)
            path.write_text(f"{certificate}\n{key}\n")
            try:
                context.load_cert_chain(path)
            except (ssl.SSLError, ValueError):
                raise ConfigError(
                    f"the client certificate of {self.source} and its key cannot be used "
                    "together; check that both are in PEM and belong to each other"
                ) from None


def _file_signature(path: Path | None) -> object:
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


# -------------------------------------------------------------------- access
@dataclass(frozen=True, slots=True)
class Access:
    """The API server and our identity there.

    `server` is a URL without a slash at its end. `namespace` is our own. `source` says where
    all this comes from, for messages. `impersonate` are the headers of `as` and `as-groups`.
    """

    server: str
    namespace: str
    source: str
    identity: Identity = field(repr=False)
    tls: TlsFiles | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    impersonate: tuple[tuple[str, str], ...] = ()


def load_access(
    *,
    kubeconfig: str | Path | None = None,
    context: str = "",
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
    clock: Callable[[], float] = time.time,
) -> Access:
    """Find the API server and our identity there. Reads files, so call it off the loop.

    `context` names a context of the kubeconfig; empty is its current one. `clock` gives the
    wall time, in seconds.

    Raises:
        ConfigError: nothing was found, or what was found cannot be used; the message names the
            file and the next step.
    """
    environ = os.environ if environ is None else environ
    own = _own_namespace(service_account)
    named = environ.get("KUBECONFIG", "")
    home = Path(environ.get("HOME") or "/nonexistent", ".kube", "config")
    if kubeconfig is not None:
        path = Path(kubeconfig).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no kubeconfig {path}; check --kubeconfig")
        files = [path]
    elif named:
        files = [Path(part) for part in named.split(os.pathsep) if part]
        files = [path for path in files if path.is_file()]
        if not files:
            raise ConfigError(
                f"KUBECONFIG names {named!r}, where no file is; correct it or unset it"
            )
    elif not context and (access := _in_cluster(environ, service_account, own)) is not None:
        return access
    elif home.is_file():
        files = [home]
    else:
        raise ConfigError(
            f"no way to an API server: --kubeconfig and KUBECONFIG are not set, there is no "
            f"{home}, and this is no pod with a service account (no {service_account / 'token'}); "
            "name a kubeconfig, or use a static:/// or dns:/// target"
        )
    return _from_kubeconfig(_merge(files), context, environ, own, clock)


def _own_namespace(service_account: Path) -> str:
    try:
        return (service_account / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _in_cluster(environ: Mapping[str, str], service_account: Path, own: str) -> Access | None:
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (service_account / "token").is_file():
        return None
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=own or "default",
        source=f"the service account in {service_account}",
        identity=TokenFile(service_account / "token"),
        tls=TlsFiles(ca_file=service_account / "ca.crt", source=str(service_account)),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named entry of a kubeconfig, with the file that it stands in."""

    value: Mapping[str, _Json]
    file: Path

    def text(self, name: str) -> str:
        """A text field, empty when it is missing."""
        value = self.value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ConfigError(f"{name} in {self.file} must be a text")
        return value

    def path(self, name: str) -> Path | None:
        """A file's path, relative to the kubeconfig."""
        text = self.text(name)
        return self.file.parent / Path(text).expanduser() if text else None

    def pem(self, name: str) -> str:
        """A field with base64 of PEM."""
        text = self.text(name)
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
        except ValueError:
            raise ConfigError(f"{name} in {self.file} is no base64 of a PEM text") from None


@dataclass(slots=True)
class _Kubeconfig:
    """One or several files, merged as kubectl does: the first that names a thing wins."""

    source: str
    current: str = ""
    contexts: dict[str, _Entry] = field(default_factory=dict[str, _Entry])
    clusters: dict[str, _Entry] = field(default_factory=dict[str, _Entry])
    users: dict[str, _Entry] = field(default_factory=dict[str, _Entry])


def _merge(files: Sequence[Path]) -> _Kubeconfig:
    merged = _Kubeconfig(":".join(str(file) for file in files))
    for file in files:
        document = _read_yaml(file)
        current = document.get("current-context")
        if not merged.current and isinstance(current, str):
            merged.current = current
        for plural, singular, into in (
            ("contexts", "context", merged.contexts),
            ("clusters", "cluster", merged.clusters),
            ("users", "user", merged.users),
        ):
            entries = _as_list(document.get(plural))
            if entries is None:
                raise ConfigError(f"{plural} in {file} must be a list")
            for one in entries:
                entry = _as_mapping(one) or {}
                name, value = entry.get("name"), _as_mapping(entry.get(singular))
                if not isinstance(name, str) or value is None:
                    raise ConfigError(
                        f"{plural} in {file} has an entry without name and {singular}"
                    )
                into.setdefault(name, _Entry(value, file))
    return merged


def _read_yaml(file: Path) -> Mapping[str, _Json]:
    import yaml  # noqa: PLC0415 - 20 ms that a pod with a service account never needs

    text = _read_file(file, what="the kubeconfig")
    try:
        document: _Json = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(f"the kubeconfig {file} is no YAML{where}") from None
    mapping = _as_mapping(document)
    if mapping is None:
        raise ConfigError(f"the kubeconfig {file} holds no mapping; is it another file?")
    return mapping


def _from_kubeconfig(
    config: _Kubeconfig,
    context_name: str,
    environ: Mapping[str, str],
    own: str,
    clock: Callable[[], float],
) -> Access:
    name = context_name or config.current
    known = ", ".join(sorted(config.contexts)) or "none"
    if not name:
        raise ConfigError(
            f"{config.source} has no current-context; choose one with --context (it has: {known})"
        )
    context = config.contexts.get(name)
    if context is None:
        raise ConfigError(f"{config.source} has no context {name!r}; it has: {known}")
    cluster = config.clusters.get(context.text("cluster"))
    if cluster is None:
        raise ConfigError(
            f"context {name!r} in {context.file} names the cluster {context.text('cluster')!r}, "
            f"which {config.source} does not have"
        )
    user_name = context.text("user")
    user = config.users.get(user_name, _Entry({}, context.file)) if user_name else None
    if user_name and user_name not in config.users:
        raise ConfigError(
            f"context {name!r} in {context.file} names the user {user_name!r}, "
            f"which {config.source} does not have"
        )
    user = user or _Entry({}, context.file)
    server = cluster.text("server").rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"the server of cluster {context.text('cluster')!r} in {cluster.file} is no URL; "
            "write https://HOST:PORT"
        )
    source = f"context {name!r} of {context.file}"
    identity = _identity(user, cluster, server=server, environ=environ, source=source, clock=clock)
    return Access(
        server=server,
        namespace=own or context.text("namespace") or "default",
        source=source,
        identity=identity,
        tls=_tls(cluster, user, source) if parts.scheme == "https" else None,
        proxy=_proxy(cluster),
        impersonate=_impersonate(user),
    )


def _identity(
    user: _Entry,
    cluster: _Entry,
    *,
    server: str,
    environ: Mapping[str, str],
    source: str,
    clock: Callable[[], float],
) -> Identity:
    if user.value.get("exec"):
        return _exec_plugin(
            user, cluster, server=server, environ=environ, source=source, clock=clock
        )
    if user.value.get("auth-provider"):
        raise ConfigError(
            f"the user of {source} has an auth-provider, which Kubernetes removed in 1.26; "
            "replace it by an exec plugin"
        )
    if user.value.get("username"):
        raise ConfigError(
            f"the user of {source} has a username and a password, which Kubernetes removed in "
            "1.19; replace them by a token or a client certificate"
        )
    token_file = user.path("tokenFile")
    if token_file is not None:  # it wins over `token`, as for kubectl
        return TokenFile(token_file)
    token = user.text("token")
    if token:
        return FixedToken(_check_token(token, source=str(user.file)))
    return NoToken()


def _exec_plugin(
    user: _Entry,
    cluster: _Entry,
    *,
    server: str,
    environ: Mapping[str, str],
    source: str,
    clock: Callable[[], float],
) -> ExecPlugin:
    value = _as_mapping(user.value["exec"])
    if value is None:
        raise ConfigError(f"exec in {user.file} must be a mapping")
    plugin = _Entry(value, user.file)
    command = plugin.text("command")
    arguments = _as_list(value.get("args"))
    version = plugin.text("apiVersion")
    variables = _as_list(value.get("env"))
    if not command or arguments is None or variables is None:
        raise ConfigError(f"the exec plugin of {source} needs a command, and lists of args and env")
    if version not in _PLUGIN_VERSIONS:
        raise ConfigError(
            f"the exec plugin of {source} has apiVersion {version!r}; "
            f"Kubbo speaks {' and '.join(_PLUGIN_VERSIONS)}"
        )
    if value.get("interactiveMode") == "Always":
        raise ConfigError(
            f"the exec plugin of {source} always asks a person (interactiveMode: Always), and "
            "there is none here; use another context"
        )
    try:
        extra = {str(one["name"]): str(one["value"]) for one in variables}
    except (TypeError, KeyError):
        raise ConfigError(f"env of the exec plugin of {source} must list name and value") from None
    if os.sep in command:  # a relative path is meant from the kubeconfig's folder
        command = str(user.file.parent / command)
    spec: dict[str, _Json] = {"interactive": False}
    if value.get("provideClusterInfo"):
        spec["cluster"] = {"server": server} | {
            name: cluster.value[name]
            for name in (
                "tls-server-name",
                "insecure-skip-tls-verify",
                "certificate-authority-data",
                "proxy-url",
            )
            if name in cluster.value
        }
    return ExecPlugin(
        [command, *(str(argument) for argument in arguments)],
        environ={**environ, **extra},
        info={"apiVersion": version, "kind": "ExecCredential", "spec": spec},
        hint=plugin.text("installHint"),
        source=source,
        clock=clock,
    )


def _tls(cluster: _Entry, user: _Entry, source: str) -> TlsFiles:
    tls = TlsFiles(
        ca_pem=cluster.pem("certificate-authority-data"),
        certificate_pem=user.pem("client-certificate-data"),
        key_pem=user.pem("client-key-data"),
        verify=cluster.value.get("insecure-skip-tls-verify") is not True,
        server_name=cluster.text("tls-server-name"),
        source=source,
    )
    # Embedded data wins over a path, as for kubectl.
    tls.ca_file = None if tls.ca_pem else cluster.path("certificate-authority")
    tls.certificate_file = None if tls.certificate_pem else user.path("client-certificate")
    tls.key_file = None if tls.key_pem else user.path("client-key")
    has_certificate = bool(tls.certificate_pem or tls.certificate_file)
    if has_certificate != bool(tls.key_pem or tls.key_file):
        raise ConfigError(f"the user of {source} has only one of client-certificate and client-key")
    return tls


def _proxy(cluster: _Entry) -> str | None:
    proxy = cluster.text("proxy-url")
    if not proxy:
        return None
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigError(
            f"the proxy-url in {cluster.file} is no HTTP proxy; "
            "only http:// and https:// proxies are supported"
        )
    return proxy


def _impersonate(user: _Entry) -> tuple[tuple[str, str], ...]:
    name = user.text("as")
    groups = _as_list(user.value.get("as-groups"))
    if not name:
        return ()
    if groups is None:
        raise ConfigError(f"as-groups in {user.file} must be a list")
    return (
        ("Impersonate-User", name),
        *(("Impersonate-Group", str(group)) for group in groups),
    )


def _check_token(token: str, *, source: str) -> str:
    """A token goes into a header: anything but visible ASCII would be refused, or worse."""
    if _HEADER_SAFE.fullmatch(token) is None:
        raise ConfigError(f"the token of {source} holds a character that no token has")
    return token


def _read_file(path: Path | None, *, what: str) -> str:
    if path is None:
        raise ConfigError(f"no file is given for {what}")
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{what} cannot be read from {path}: {error.strerror}; check that the file exists "
            "and may be read"
        ) from None
    if len(data) > _FILE_BYTES:
        raise ConfigError(f"{path} is larger than {_FILE_BYTES} bytes; {what} is not in it")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{what} in {path} is no UTF-8 text") from None
