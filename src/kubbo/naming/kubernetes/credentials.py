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

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, urlsplit

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.files import is_there
from kubbo.naming.kubernetes.identity import (
    FixedToken,
    Identity,
    NoToken,
    TokenFile,
    check_token,
)
from kubbo.naming.kubernetes.kubeconfig import (
    Entry,
    Json,
    Kubeconfig,
    as_list,
    as_mapping,
    check_text,
    merge,
)
from kubbo.naming.kubernetes.plugin import PLUGIN_VERSIONS, ExecPlugin
from kubbo.naming.kubernetes.tls import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

_PLUGIN_EXTENSION: Final = "client.authentication.k8s.io/exec"
_HEADER_NAME: Final = "!#$&'*+-.^_`|~"  # besides letters and digits; % stands for the others


@dataclass(frozen=True, slots=True)
class Access:
    """The API server and our identity there.

    `server` is a URL without a slash at its end. `namespace` is our own. `source` says where
    all this comes from, for messages. `proxy` is a URL that may hold a password. `impersonate`
    are the headers of `as` and its like.
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
    home = Path("/", environ.get("HOME") or "nonexistent", ".kube", "config")
    if kubeconfig is not None:
        path = _absolute(Path(kubeconfig), named="--kubeconfig")
        if not is_there(path):
            raise ConfigError(f"there is no kubeconfig {path}; check --kubeconfig")
        files = [path]
    elif named:
        files = [
            _absolute(Path(part), named="KUBECONFIG") for part in named.split(os.pathsep) if part
        ]
        files = [path for path in files if is_there(path)]
        if not files:
            raise ConfigError(
                f"KUBECONFIG names {named!r}, where no file is; correct it or unset it"
            )
    elif not context and (access := _in_cluster(environ, service_account, own)) is not None:
        return access
    elif is_there(home) and os.access(home, os.R_OK, effective_ids=True):
        files = [home]
    else:
        raise ConfigError(
            f"no way to an API server: --kubeconfig and KUBECONFIG are not set, there is no "
            f"{home} that can be read, and this is no pod with a service account (no "
            f"{service_account / 'token'}); name a kubeconfig, or use a static:/// or dns:/// "
            "target"
        )
    return _from_kubeconfig(merge(files), context, environ, own, clock)


def _absolute(path: Path, *, named: str) -> Path:
    """What does not depend on the working directory, which may change before a file is read."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        reason = "the home folder of somebody who is not known here"
    except OSError:
        reason = "a working directory that was removed"
    raise ConfigError(f"{named} names {str(path)!r}, in {reason}; write the whole path")


def _own_namespace(service_account: Path) -> str:
    try:
        return (service_account / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _in_cluster(environ: Mapping[str, str], service_account: Path, own: str) -> Access | None:
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not is_there(service_account / "token"):
        return None
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=own or "default",
        source=f"the service account in {service_account}",
        identity=TokenFile(service_account / "token"),
        tls=TlsFiles(ca_file=service_account / "ca.crt", source=str(service_account)),
    )


def _from_kubeconfig(
    config: Kubeconfig,
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
    user = config.users.get(user_name, Entry({}, context.file)) if user_name else None
    if user_name and user_name not in config.users:
        raise ConfigError(
            f"context {name!r} in {context.file} names the user {user_name!r}, "
            f"which {config.source} does not have"
        )
    user = user or Entry({}, context.file)
    server = _server(cluster, context.text("cluster"))
    source = f"context {name!r} of {context.file}"
    identity = _identity(user, cluster, server=server, environ=environ, source=source, clock=clock)
    return Access(
        server=server,
        namespace=own or context.text("namespace") or "default",
        source=source,
        identity=identity,
        tls=_tls(cluster, user, source) if server.startswith("https") else None,
        proxy=_proxy(cluster),
        impersonate=_impersonate(user),
    )


def _server(cluster: Entry, name: str) -> str:
    """The URL of the API server. It is shown in messages, so it must not hold a password."""
    server = cluster.text("server").rstrip("/")
    if "@" in server:
        raise ConfigError(
            f"the server of cluster {name!r} in {cluster.file} has an @, as if a user's name or "
            "password stood in it; write https://HOST:PORT, and who you are below users"
        )
    parts = _split_url(server)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise ConfigError(
            f"the server of cluster {name!r} in {cluster.file} is no URL; write https://HOST:PORT"
        )
    return server


def _split_url(url: str) -> SplitResult | None:
    """The parts of the URL of a host, None if it is none."""
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname) and parts.port != 0  # a port beyond 65535 raises
    except ValueError:
        return None
    # urlsplit drops some of what a URL cannot have.
    plain = url.isprintable() and " " not in url
    return parts if known and plain and not (parts.query or parts.fragment) else None


def _identity(
    user: Entry,
    cluster: Entry,
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
    # Beside a certificate kubectl sends them, and the server looks at the certificate.
    certified = user.value.get("client-certificate") or user.value.get("client-certificate-data")
    if user.value.get("username") and not certified:
        raise ConfigError(
            f"the user of {source} has a username and a password, which Kubernetes removed in "
            "1.19; replace them by a token or a client certificate"
        )
    token_file = user.path("tokenFile")
    if token_file is not None:  # it wins over `token`, as for kubectl
        return TokenFile(token_file)
    token = user.text("token")
    if token:
        return FixedToken(check_token(token, source=str(user.file)))
    return NoToken()


def _exec_plugin(
    user: Entry,
    cluster: Entry,
    *,
    server: str,
    environ: Mapping[str, str],
    source: str,
    clock: Callable[[], float],
) -> ExecPlugin:
    value = as_mapping(user.value["exec"])
    if value is None:
        raise ConfigError(f"exec in {user.file} must be a mapping")
    plugin = Entry(value, user.file)
    command = plugin.text("command")
    arguments = as_list(value.get("args"))
    version = plugin.text("apiVersion")
    variables = as_list(value.get("env"))
    if not command or arguments is None or variables is None:
        raise ConfigError(f"the exec plugin of {source} needs a command, and lists of args and env")
    if version not in PLUGIN_VERSIONS:
        raise ConfigError(
            f"the exec plugin of {source} has apiVersion {version!r}; "
            f"Kubbo speaks {' and '.join(PLUGIN_VERSIONS)}"
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
    call = [command, *(str(argument) for argument in arguments)]
    for text in (*call, *extra, *extra.values()):
        check_text(text, name=f"the command, args or env of the exec plugin of {source}")
    if os.sep in command:  # a relative path is meant from the kubeconfig's folder
        call[0] = str(user.file.parent / command)
    ca_file = None
    spec: dict[str, Json] = {"interactive": False}
    if value.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster, server)
        if not cluster.text("certificate-authority-data"):
            ca_file = cluster.path("certificate-authority")
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    try:
        json.dumps(info)
    except (TypeError, ValueError, RecursionError):
        raise ConfigError(
            f"what the exec plugin of {source} is to know of its cluster is no JSON; look at the "
            f"extension {_PLUGIN_EXTENSION}"
        ) from None
    return ExecPlugin(
        call,
        environ={**environ, **extra},
        info=info,
        hint=plugin.text("installHint"),
        source=source,
        ca_file=ca_file,
        clock=clock,
    )


def _cluster_info(cluster: Entry, server: str) -> dict[str, Json]:
    """What a plugin with `provideClusterInfo` is told, but for a CA bundle that is a file."""
    known: dict[str, Json] = {"server": server}
    for name in (
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority-data",
        "proxy-url",
        "disable-compression",
    ):
        if name in cluster.value:
            known[name] = cluster.value[name]
    for one in as_list(cluster.value.get("extensions")) or ():
        extension = as_mapping(one) or {}
        if extension.get("name") == _PLUGIN_EXTENSION:
            known["config"] = extension.get("extension")
    return known


def _tls(cluster: Entry, user: Entry, source: str) -> TlsFiles:
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


def _proxy(cluster: Entry) -> str | None:
    proxy = cluster.text("proxy-url")
    if not proxy:
        return None
    scheme = proxy.partition("://")[0].lower()
    if scheme not in {"http", "https"}:
        raise ConfigError(
            f"the proxy-url in {cluster.file} is no HTTP proxy; "
            "only http:// and https:// proxies are supported"
        )
    parts = _split_url(proxy)
    if parts is None or parts.path.strip("/"):
        raise ConfigError(  # without the URL, which may hold a password
            f"the proxy-url in {cluster.file} is no URL; write http://HOST:PORT or "
            "http://USER:PASSWORD@HOST:PORT, and what is neither letter nor digit in the password "
            "as %XX"
        )
    return proxy


def _impersonate(user: Entry) -> tuple[tuple[str, str], ...]:
    """The headers that ask the server to take us for somebody else.

    All or none: each of them may take rights away, so none is dropped.
    """
    name, uid = user.text("as"), user.text("as-uid")
    extra = as_mapping(user.value.get("as-user-extra"))
    if extra is None:
        raise ConfigError(f"as-user-extra in {user.file} must be a mapping of lists")
    said = [
        ("Impersonate-User", "as", [name] if name else []),
        ("Impersonate-Uid", "as-uid", [uid] if uid else []),
        ("Impersonate-Group", "as-groups", user.value.get("as-groups")),
    ]
    for key, values in extra.items():
        check_text(str(key), name=f"as-user-extra in {user.file}")
        header = f"Impersonate-Extra-{quote(str(key), safe=_HEADER_NAME)}"
        said.append((header, "as-user-extra", values))
    headers = [
        (header, value)
        for header, where, values in said
        for value in _header_values(user, values, where)
    ]
    if headers and not name:
        raise ConfigError(
            f"the user in {user.file} has as-uid, as-groups or as-user-extra, but no as; "
            "say whom to impersonate"
        )
    return tuple(headers)


def _header_values(user: Entry, values: Json, name: str) -> list[str]:
    texts = as_list(values)
    if texts is None or not all(isinstance(one, str) for one in texts):
        raise ConfigError(f"{name} in {user.file} must be a list of texts")
    for text in texts:
        check_text(text, name=f"{name} in {user.file}")
        if any(one < " " or one == "\x7f" for one in text):
            raise ConfigError(
                f"{name} in {user.file} holds a line break or another control character; remove it"
            )
    return texts
