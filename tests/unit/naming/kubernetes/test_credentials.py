"""Credentials: where they are looked for, how they change, and that nothing secret shows."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.credentials import Access, ExecPlugin, TlsFiles, load_access
from kubbo.naming.kubernetes.identity import Credential
from kubbo.naming.kubernetes.kubeconfig import merge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "s3cr3t-t0k3n"


def config(**user: Any) -> dict[str, Any]:
    """A kubeconfig with one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "contexts": [
            {"name": "dev", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "bare", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/"}}],
        "users": [{"name": "u", "user": user or {"token": SECRET}}],
    }


def write(path: Path, document: object) -> Path:
    """JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A service account's folder that does not exist."""
    return tmp_path / "no-pod"


async def token(access: Access) -> str:
    """The token that the next request would send."""
    return (await access.identity.credential()).token


def load(path: Path, nowhere: Path, **options: Any) -> Access:
    return load_access(kubeconfig=path, environ={}, service_account=nowhere, **options)


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """A service account as kubelet mounts it: links to links, swapped as a whole."""
    account = tmp_path / "serviceaccount"
    first = account / "..1"
    first.mkdir(parents=True)
    (first / "token").write_text("first\n")
    (first / "namespace").write_text("team-a")
    (first / "ca.crt").write_text("none yet")
    (account / "..data").symlink_to("..1")
    for name in ("token", "namespace", "ca.crt"):
        (account / name).symlink_to(f"..data/{name}")
    return account


POD_ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


# ---------------------------------------------------------------- where from
async def test_a_pod_uses_its_service_account(pod: Path) -> None:
    """Server from the environment, own namespace and token from the mounted files."""
    access = load_access(environ=POD_ENVIRON, service_account=pod)
    assert (access.server, access.namespace) == ("https://10.96.0.1:443", "team-a")
    assert await token(access) == "first"
    assert access.tls is not None


def test_a_pod_of_ipv6(pod: Path) -> None:
    """The server's address is put in brackets."""
    access = load_access(
        environ=POD_ENVIRON | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account=pod
    )
    assert access.server == "https://[fd00::1]:443"


async def test_a_rotated_token_is_used_by_the_next_request(pod: Path) -> None:
    """Kubelet swaps a link; the very next token is the new one."""
    access = load_access(environ=POD_ENVIRON, service_account=pod)
    assert await token(access) == "first"
    (pod / "..2").mkdir()
    (pod / "..2" / "token").write_text("second")
    (pod / "..tmp").symlink_to("..2")
    (pod / "..tmp").rename(pod / "..data")
    assert await token(access) == "second"


def test_order_of_the_sources(tmp_path: Path, pod: Path) -> None:
    """Explicit, then KUBECONFIG, then the pod, then the home folder."""
    explicit = write(tmp_path / "a", config())
    variable = write(tmp_path / "b", config())
    home = write(tmp_path / "home" / ".kube" / "config", config())
    environ = POD_ENVIRON | {"KUBECONFIG": str(variable), "HOME": str(tmp_path / "home")}
    nowhere = tmp_path / "nowhere"
    assert (
        str(explicit)
        in load_access(kubeconfig=explicit, environ=environ, service_account=pod).source
    )
    assert str(variable) in load_access(environ=environ, service_account=pod).source
    del environ["KUBECONFIG"]
    assert str(pod) in load_access(environ=environ, service_account=pod).source
    assert str(home) in load_access(environ=environ, service_account=nowhere).source


def test_own_namespace(tmp_path: Path, pod: Path, nowhere: Path) -> None:
    """The pod's own, else the context's, else default."""
    path = write(tmp_path / "config", config())
    assert load(path, pod).namespace == "team-a"
    assert load(path, nowhere).namespace == "shop"
    assert load(path, nowhere, context="bare").namespace == "default"


async def test_several_kubeconfigs_are_merged_and_the_first_wins(
    tmp_path: Path, nowhere: Path
) -> None:
    """As kubectl: names of the first file win, files that are missing are passed over."""
    one = write(
        tmp_path / "one" / "config",
        {"contexts": [{"name": "dev", "context": {"cluster": "c2", "user": "u"}}]},
    )
    two = config()
    two["clusters"].append({"name": "c2", "cluster": {"server": "http://other:1"}})
    second = write(tmp_path / "two" / "config", two)
    environ = {"KUBECONFIG": os.pathsep.join([str(one), str(tmp_path / "gone"), str(second)])}
    access = load_access(environ=environ, service_account=nowhere)
    assert access.server == "http://other:1"
    assert access.tls is None
    assert await token(access) == SECRET


async def test_paths_are_relative_to_their_kubeconfig(tmp_path: Path, nowhere: Path) -> None:
    """A tokenFile beside the kubeconfig is found, and wins over a token."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "tok").write_text("from-file\n")
    path = write(tmp_path / "deep" / "config", config(tokenFile="tok", token=SECRET))
    assert await token(load(path, nowhere)) == "from-file"


def test_proxy_and_impersonation(tmp_path: Path, nowhere: Path) -> None:
    """`proxy-url` and `as` are obeyed."""
    document = config(token=SECRET) | {}
    document["users"][0]["user"] |= {"as": "jane", "as-groups": ["a", "b"]}
    document["clusters"][0]["cluster"]["proxy-url"] = "http://proxy:3128"
    access = load(write(tmp_path / "c", document), nowhere)
    assert access.proxy == "http://proxy:3128"
    assert access.impersonate == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
    )


def test_all_of_an_impersonation_is_sent(tmp_path: Path, nowhere: Path) -> None:
    """Extras can take rights away: none is dropped, and any key fits into a header's name."""
    user = {
        "as": "jané",
        "as-uid": "u-1",
        "as-groups": ["g"],
        "as-user-extra": {"scopes": ["view", "a b"], "example.org/50%": ["x"]},
    }
    access = load(write(tmp_path / "c", config(**user)), nowhere)
    assert access.impersonate == (
        ("Impersonate-User", "jané"),
        ("Impersonate-Uid", "u-1"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Extra-scopes", "view"),
        ("Impersonate-Extra-scopes", "a b"),
        ("Impersonate-Extra-example.org%2F50%25", "x"),
    )


async def test_a_password_beside_a_certificate_does_no_harm(tmp_path: Path, nowhere: Path) -> None:
    """The certificate is who we are; servers look at no password any more."""
    user = {
        "username": "admin",
        "password": SECRET,
        "client-certificate": "crt",
        "client-key": "key",
    }
    access = load(write(tmp_path / "c", config(**user)), nowhere)
    assert access.tls is not None
    assert access.tls.certificate_file == tmp_path / "crt"
    assert await token(access) == ""


# ------------------------------------------------------------------ mistakes
def changed(path: str, value: object) -> dict[str, Any]:
    """The kubeconfig with one thing replaced, at a dotted path."""
    document: Any = config()
    *way, last = path.split(".")
    at = document
    for key in way:
        at = at[int(key) if key.isdecimal() else key]
    at[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (changed("current-context", ""), "has no current-context; choose one with --context"),
        (changed("current-context", "prod"), "has no context 'prod'; it has: bare, dev"),
        (changed("contexts.0.context", {"cluster": "x"}), "names the cluster 'x'"),
        (changed("contexts.0.context", {"cluster": "c", "user": "x"}), "names the user 'x'"),
        (changed("clusters.0.cluster", {}), "is no URL"),
        (changed("clusters.0.cluster", {"server": "ftp://x"}), "is no URL"),
        (changed("clusters.0.cluster", {"server": 7}), "server in"),
        (changed("clusters", {}), "clusters in"),
        (changed("clusters", ["x"]), "without name and cluster"),
        (config(username="u", password=SECRET), "removed in 1.19"),
        (config(**{"auth-provider": {"name": "gcp"}}), "replace it by an exec plugin"),
        (config(token=SECRET + "\r\nX-Evil: 1"), "a character that no token has"),
        (config(**{"client-certificate": "x"}), "only one of"),
        (config(**{"client-certificate-data": "%%%\xff"}), "no base64"),
        (config(exec={"command": "x", "apiVersion": "client.authentication.k8s.io/v1alpha1"}),
         "v1alpha1"),
        (config(exec={"apiVersion": "client.authentication.k8s.io/v1"}), "needs a command"),
        (config(exec={"command": "x", "apiVersion": "client.authentication.k8s.io/v1",
                      "interactiveMode": "Always"}), "always asks a person"),
        (changed("clusters.0.cluster",
                 {"server": "https://x", "proxy-url": f"socks5://u:{SECRET}@p"}), "no HTTP proxy"),
        (changed("clusters.0.cluster", {"server": "https://[::1:6443"}), "is no URL"),
        (changed("clusters.0.cluster", {"server": "https://h:99999"}), "is no URL"),
        (changed("clusters.0.cluster", {"server": "https://h\n:1"}), "is no URL"),
        (changed("clusters.0.cluster", {"server": f"https://h?token={SECRET}"}), "is no URL"),
        (changed("clusters.0.cluster", {"server": f"https://bob:{SECRET}@h:1"}), "has an @"),
        (changed("clusters.0.cluster", {"server": f"https://bob:1/{SECRET}@h:1"}), "has an @"),
        *((changed("clusters.0.cluster", {"server": "https://x", "proxy-url": f"http://{proxy}"}),
           "is no URL; write http://HOST:PORT")
          for proxy in (f"b:{SECRET}@h:99999", f"b:{SECRET}@", f"b:/{SECRET}@h:1",
                        f"b:1/{SECRET}@h:1", f"b:#{SECRET}@h:1", f"b:1#{SECRET}@h:1",
                        f"b: {SECRET}@h:1", f"b:{SECRET}\r\n@h:1", "[::1:3128")),
        (changed("clusters.0.cluster", {"server": "https://x",
                                        "certificate-authority": "~no-such-user/ca.crt"}),
         "write the whole path"),
        (config(tokenFile="tok\0en"), "a character that cannot be sent"),
        (changed("contexts.0.context", {"cluster": "c", "namespace": "\ud800"}),
         "a character that cannot be sent"),
        (config(**{"as": "a\r\nX-Evil: y"}), "as in"),
        (config(**{"as": "a", "as-groups": ["b\nc"]}), "a line break"),
        (config(**{"as": "a", "as-groups": [7]}), "a list of texts"),
        (config(**{"as": "a", "as-groups": "b"}), "a list of texts"),
        (config(**{"as": "a", "as-user-extra": {"k": "v"}}), "a list of texts"),
        (config(**{"as": "a", "as-user-extra": ["k"]}), "a mapping of lists"),
        (config(**{"as-groups": ["b"]}), "but no as"),
        (config(**{"as-user-extra": {"scopes": ["view"]}}), "but no as"),
        ([], "holds no mapping"),
        ("text", "holds no mapping"),
        (None, "no current-context"),
    ],
)  # fmt: skip
def test_each_mistake_names_the_file_and_the_next_step(
    document: object, says: str, tmp_path: Path, nowhere: Path
) -> None:
    """A kubeconfig that cannot be used says what in which file, and nothing secret."""
    path = write(tmp_path / "config", document)
    with pytest.raises(ConfigError) as caught:
        load(path, nowhere)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"a: [",
        b"\xff\xfe",
        b"a: &a [*a]\n\t",
        b"a: !!timestamp 2026-13-45",
        b"a: !!int x",
        b"a: " + b"9" * 5000,
        b"x" * ((1 << 20) + 1),
    ],
)
def test_a_file_that_is_no_kubeconfig(content: bytes, tmp_path: Path, nowhere: Path) -> None:
    """Broken YAML, no UTF-8 and a file of a megabyte are refused by name."""
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="config"):
        load(path, nowhere)


def test_dates_are_texts(tmp_path: Path, nowhere: Path) -> None:
    """A date without quotes, possible or not, does no harm; tools write when they made an entry."""
    path = tmp_path / "config"
    text = json.dumps(config())
    path.write_text(text.replace('"current-context"', '"a": 2026-13-45, "current-context"'))
    assert load(path, nowhere).server == "https://api.example:6443"
    path.write_text(text.replace('"shop"', "2026-11-23"))
    assert load(path, nowhere).namespace == "2026-11-23"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A home folder that we may not look into, with a kubeconfig; as nobody if we are root."""
    import yaml  # noqa: F401 - read now: where it is may be closed, too

    home = tmp_path / "closed"
    write(home / ".kube" / "config", config())
    home.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield home
    finally:
        os.seteuid(user)
        home.chmod(0o700)


def test_what_may_not_be_looked_at(closed: Path, nowhere: Path) -> None:
    """A folder that is closed to us is told, by what names it."""
    path = closed / ".kube" / "config"
    with pytest.raises(ConfigError, match="Permission denied"):
        load(path, nowhere)
    with pytest.raises(ConfigError, match="Permission denied"):
        load_access(environ={"KUBECONFIG": str(path)}, service_account=nowhere)
    with pytest.raises(ConfigError, match=r"no .*config that can be read"):
        load_access(environ={"HOME": str(closed)}, service_account=nowhere)
    with pytest.raises(ConfigError, match=r"no .*config that can be read"):
        load_access(environ={"HOME": str(closed)}, service_account=closed)


def test_a_path_of_somebody_who_is_not_known(nowhere: Path) -> None:
    """`~name` of no such user is a mistake like any other."""
    with pytest.raises(ConfigError, match="write the whole path"):
        load_access(kubeconfig="~no-such-user/k", environ={}, service_account=nowhere)


def test_a_kubeconfig_from_a_pipe(tmp_path: Path, nowhere: Path) -> None:
    """`--kubeconfig <(...)` of a shell is /dev/fd/N: no file, but it can be read."""
    for give in (
        lambda path: load_access(kubeconfig=path, environ={}, service_account=nowhere),
        lambda path: load_access(environ={"KUBECONFIG": path}, service_account=nowhere),
    ):
        reading, writing = os.pipe()
        try:
            os.write(writing, json.dumps(config()).encode())
            os.close(writing)
            assert give(f"/dev/fd/{reading}").namespace == "shop"
        finally:
            os.close(reading)


async def test_what_a_relative_kubeconfig_names_outlives_the_working_directory(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths in it and its plugin are those beside it, wherever the process goes afterwards."""
    folder = tmp_path / "deep"
    call = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}
    write(folder / "token-file", config(tokenFile="tok"))
    write(folder / "exec", config(exec=call))
    (folder / "tok").write_text("from-file")
    script = folder / "plugin"
    script.write_text(
        '#!/bin/sh\necho \'{"apiVersion": "client.authentication.k8s.io/v1",'
        ' "status": {"token": "from-plugin"}}\'\n'
    )
    script.chmod(0o755)
    monkeypatch.chdir(folder)
    found = [
        load_access(kubeconfig="token-file", environ={}, service_account=nowhere),
        load_access(environ={"KUBECONFIG": "token-file"}, service_account=nowhere),
        load_access(kubeconfig="exec", environ={}, service_account=nowhere),
        load_access(environ={"KUBECONFIG": "exec"}, service_account=nowhere),
    ]
    monkeypatch.chdir("/")
    tokens = [await token(access) for access in found]
    assert tokens == ["from-file", "from-file", "from-plugin", "from-plugin"]


def test_a_working_directory_that_is_gone(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is from nowhere then."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(ConfigError, match="a working directory that was removed"):
        load_access(kubeconfig="k", environ={}, service_account=nowhere)


def test_nothing_at_all(tmp_path: Path, nowhere: Path) -> None:
    """Without any source the error lists where it looked."""
    with pytest.raises(ConfigError, match="KUBECONFIG are not set"):
        load_access(environ={"HOME": str(tmp_path)}, service_account=nowhere)
    with pytest.raises(ConfigError, match="check --kubeconfig"):
        load(tmp_path / "gone", nowhere)
    with pytest.raises(ConfigError, match="KUBECONFIG names"):
        load_access(environ={"KUBECONFIG": str(tmp_path / "gone")}, service_account=nowhere)


@pytest.mark.parametrize("content", [None, "", "two words", "x" * ((1 << 20) + 1)])
async def test_a_token_file_that_cannot_be_used(
    content: str | None, tmp_path: Path, nowhere: Path
) -> None:
    """Missing, empty, garbled or huge: the error names the file when the token is asked for."""
    path = write(tmp_path / "config", config(tokenFile="tok"))
    if content is not None:
        (tmp_path / "tok").write_text(content)
    access = load(path, nowhere)
    with pytest.raises(ConfigError, match="tok"):
        await token(access)


def test_nothing_secret_is_shown(tmp_path: Path, nowhere: Path) -> None:
    """No repr holds a token, a key or a proxy's password."""
    document = config(token=SECRET)
    document["clusters"][0]["cluster"] |= {"proxy-url": f"http://u:{SECRET}@proxy:1"}
    document["users"][0]["user"] |= {
        "client-certificate-data": base64.b64encode(b"PEM").decode(),
        "client-key-data": base64.b64encode(SECRET.encode()).decode(),
    }
    access = load(write(tmp_path / "c", document), nowhere)
    for value in (access, access.identity, access.tls, merge([tmp_path / "c"])):
        assert SECRET not in repr(value)


# -------------------------------------------------------------- exec plugins
def plugin(tmp_path: Path, program: str, **extra: Any) -> Path:
    """A kubeconfig whose plugin is a Python program."""
    version = "client.authentication.k8s.io/v1"
    call = {"apiVersion": version, "command": sys.executable, "args": ["-c", program]}
    return write(tmp_path / "config", config(exec=call | extra))


PRINT = """
import json, os, pathlib
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
count = pathlib.Path(os.environ["COUNT"])
number = len(count.read_text()) + 1 if count.exists() else 1
count.write_text("x" * number)
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": {
    "token": f"token-{number}", "expirationTimestamp": "2030-01-01T00:00:00Z"}}))
"""
EXPIRES = 1893456000.0  # 2030-01-01T00:00:00Z


async def test_an_exec_plugin_is_asked_again_when_its_token_expires(
    tmp_path: Path, nowhere: Path
) -> None:
    """A token is kept until 10 s before its end, or until the server refuses it."""
    now = EXPIRES - 100.0
    count = {"name": "COUNT", "value": str(tmp_path / "count")}
    access = load(plugin(tmp_path, PRINT, env=[count]), nowhere, clock=lambda: now)
    assert await token(access) == "token-1"
    assert await token(access) == "token-1"
    now = EXPIRES - 9.0
    assert await token(access) == "token-2"
    now = EXPIRES - 100.0
    assert await token(access) == "token-2"
    access.identity.invalidate()
    assert await token(access) == "token-3"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("print('hello')", "printed no ExecCredential"),
        ("print('[]')", "printed no ExecCredential"),
        ('print(\'{"apiVersion": "x", "status": {"token": 5}}\')', "printed no Exec"),
        ('print(\'{"apiVersion": "x", "status": {"token": "t"}}\')', "answered as 'x'"),
        ("print('[' * 100000)", "printed no ExecCredential"),
        ("print('x' * 2**21)", "wrote more than"),
    ],
)
async def test_a_plugin_that_fails_is_named_with_what_to_do(
    program: str, says: str, tmp_path: Path, nowhere: Path
) -> None:
    """Whatever a plugin does, the error says which one and what to try."""
    access = load(plugin(tmp_path, program), nowhere)
    with pytest.raises(ConfigError, match="plugin") as caught:
        await token(access)
    assert says in str(caught.value)


async def test_a_plugin_whose_child_stays_is_not_waited_for(tmp_path: Path, nowhere: Path) -> None:
    """The child holds the output open; the plugin was ended because it wrote too much."""
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)'])\n"
        "print('x' * 2**21)"
    )
    with pytest.raises(ConfigError, match="wrote more than"):
        await token(load(plugin(tmp_path, program), nowhere))


async def test_a_plugin_that_is_not_installed_gives_its_hint(tmp_path: Path, nowhere: Path) -> None:
    """The kubeconfig's own installHint is passed on."""
    path = plugin(tmp_path, "", command="./no-such-plugin", installHint="run setup-cloud")
    with pytest.raises(ConfigError, match="run setup-cloud"):
        await token(load(path, nowhere))


async def test_a_plugin_may_give_a_certificate(tmp_path: Path, nowhere: Path) -> None:
    """A client certificate comes from the plugin too, and no secret shows in its repr."""
    program = """
import json
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "status": {
    "clientCertificateData": "CERT", "clientKeyData": "s3cr3t-t0k3n"}}))
"""
    identity = load(plugin(tmp_path, program), nowhere).identity
    assert isinstance(identity, ExecPlugin)
    credential = await identity.credential()
    assert credential == Credential("", ("CERT", SECRET))
    assert SECRET not in repr(identity) + repr(credential)


# ----------------------------------------------------------------------- TLS
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


async def test_a_tls_context_is_kept_until_a_file_changes(
    authority: tuple[str, str], tmp_path: Path
) -> None:
    """The CA bundle is read again when it was replaced, and only then."""
    bundle = tmp_path / "ca.crt"
    bundle.write_text(authority[0])
    tls = TlsFiles(ca_file=bundle)
    context = await tls.context()
    assert await tls.context() is context
    assert [one["subject"] for one in context.get_ca_certs()] == [((("commonName", "test"),),)]
    replacement = tmp_path / "new"
    replacement.write_text(authority[0] + "\n")
    replacement.replace(bundle)
    assert await tls.context() is not context


async def test_client_certificates_from_files_and_embedded(
    authority: tuple[str, str], tmp_path: Path, nowhere: Path
) -> None:
    """Both forms of a kubeconfig give a context, and the key leaves no file behind."""
    certificate, key = authority
    (tmp_path / "crt").write_text(certificate)
    (tmp_path / "key").write_text(key)
    encoded = [base64.b64encode(text.encode()).decode() for text in authority]
    for user in (
        {"client-certificate": "crt", "client-key": "key"},
        {"client-certificate-data": encoded[0], "client-key-data": encoded[1]},
    ):
        access = load(write(tmp_path / "config", config(**user)), nowhere)
        assert access.tls is not None
        await access.tls.context()


async def test_bad_certificates_are_told(authority: tuple[str, str], tmp_path: Path) -> None:
    """No PEM, or a key of another certificate: the error says which, without the key."""
    bundle = tmp_path / "ca.crt"
    bundle.write_text("nonsense")
    with pytest.raises(ConfigError, match="CA bundle"):
        await TlsFiles(ca_file=bundle).context()
    with pytest.raises(ConfigError, match=r"gone\.crt"):
        await TlsFiles(ca_file=tmp_path / "gone.crt").context()
    with pytest.raises(ConfigError, match="client certificate") as caught:
        await TlsFiles(certificate_pem=authority[0], key_pem="no key", source="x").context()
    assert "no key" not in str(caught.value)


async def test_an_unverified_server_is_only_accepted_when_told_so(tmp_path: Path) -> None:
    """`insecure-skip-tls-verify` switches verification off; nothing else does."""
    assert (await TlsFiles().context()).check_hostname
    assert not (await TlsFiles(verify=False).context()).check_hostname
