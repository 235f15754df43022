"""`kubbo image`: what is in an image, that it is the same each time, and what is refused."""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.image.conftest import ENVIRONMENT, GREETINGS, kubbo_image, make, write_project

from kubbo.cli.app import kubbo
from kubbo.cli.image import command_of
from kubbo.errors import UsageError
from kubbo.image.interpreter import find_interpreter
from kubbo.manifests.workload import USER

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
SITE = f"opt/venv/lib/{VERSION}/site-packages"


def test_what_it_says_of_itself(image):
    """The archive holds what the specification asks for (`read_image` checks that), and runs the
    provider, as the user of the manifests.
    """
    ran = image.read.config["config"]
    assert ran["Entrypoint"] == ["kubbo", "serve", "greeter:Greeter", "--port=20880"]
    assert ran["ExposedPorts"] == {"20880/tcp": {}}
    assert ran["User"] == f"{USER}:{USER}"
    assert ran["WorkingDir"] == "/app"
    assert image.read.config["os"] == "linux"
    assert image.read.index["manifests"][0]["annotations"] == {
        "io.containerd.image.name": "registry.example/greeter:1.0",
        "org.opencontainers.image.ref.name": "1.0",
    }
    labels = {
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.title": "greeter",
        "org.opencontainers.image.version": "1.0",
    }
    assert ran["Labels"] == image.read.manifest["annotations"] == labels
    assert f"app:x:{USER}:{USER}:".encode() in image.read.file("etc/passwd")


def test_the_answer_is_what_was_written(image):
    """Digest, sizes and versions on stdout, and the progress on stderr."""
    told = image.told
    assert told["digest"] == image.read.index["manifests"][0]["digest"]
    assert told["size"] == image.path.stat().st_size
    assert [each["content"] for each in told["layers"]] == [
        "interpreter",
        "distributions",
        "application",
    ]
    assert [each["digest"] for each in told["layers"]] == [
        each["digest"] for each in image.read.manifest["layers"]
    ]
    assert told["modules"] == ["greeter", "greetings"]
    # What the standard library of this machine lacks may be noted, and nothing else.
    assert [note for note in told["notes"] if not note.endswith("which is not found")] == []
    for name in ("interpreter: ", "distributions: ", "application: "):
        assert name in image.progress


def test_only_what_is_needed_is_in_it(image):
    """The module with what it imports, Kubbo with what it requires, and no tools, no secrets."""
    application = {name for name in image.read.names if name.startswith("app/")}
    tag = sys.implementation.cache_tag
    assert application == {
        "app/__pycache__",
        f"app/__pycache__/greeter.{tag}.pyc",
        f"app/__pycache__/greetings.{tag}.pyc",
        "app/greeter.py",
        "app/greetings.py",
    }
    site = {
        name.removeprefix(f"{SITE}/").partition("/")[0]
        for name in image.read.names
        if name.startswith(f"{SITE}/")
    }
    assert {"kubbo", "click", "aiohttp", "msgspec", "yaml", "dns", "yarl"} <= site
    assert not {"pytest", "_pytest", "mypy", "pip", "setuptools", "ruff"} & site
    assert {"kubbo", "click", "aiohttp", "pyyaml", "attrs"} <= {*image.told["distributions"]}
    assert "pluggy" in image.told["distributions"]  # asked for by --with
    assert "pytest" not in image.told["distributions"]
    assert not [name for name in image.read.names if name.startswith(("root", "home", "bin/"))]


def test_nothing_tells_of_the_machine_that_made_it(image):
    """No owner, no time but the source's, no path of the build."""
    for layer in image.read.layers:
        for member in layer.values():
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
            assert member.mtime == 1_700_000_000
            assert member.mode in ({0o777} if member.issym() else {0o755, 0o644, 0o1777})
            if member.mode == 0o1777:
                assert member.name == "tmp"
        assert [*layer] == sorted(layer, key=lambda name: name.split("/"))
    here = os.fsencode(Path(__file__).parents[3])
    for name, data in image.read.data[2].items():
        assert here not in data, name
        assert os.fsencode(image.path.parent) not in data, name
    ours = {
        name for name in image.read.data[1] if name.startswith((f"{SITE}/kubbo/", f"{SITE}/kubbo-"))
    }
    assert f"{SITE}/kubbo/cli/image.py" in ours
    for name in ours:
        assert here not in image.read.data[1][name], name


def test_modules_are_compiled(image):
    """A start compiles nothing: each .pyc is taken without a look at its source, and is the code
    of that source, under its name in the image.
    """
    name = f"app/__pycache__/greetings.{sys.implementation.cache_tag}.pyc"
    data = image.read.file(name)
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == (1).to_bytes(4, "little")  # by hash, unchecked
    assert data[8:16] == importlib.util.source_hash(image.read.file("app/greetings.py"))
    code = marshal.loads(data[16:])
    assert code.co_filename == "/app/greetings.py"
    module = types.ModuleType("greetings")
    exec(code, vars(module))
    assert module.hello("Ann") == "Hello Ann"
    sources = [name for name in image.read.data[1] if name.endswith(".py")]
    compiled = [name for name in image.read.data[1] if name.endswith(".pyc")]
    assert len(compiled) == len(sources)


def test_the_same_input_gives_the_same_bytes(image, source, tmp_path):
    """In another directory, with other times, another shell and another hash seed."""
    folder = write_project(tmp_path / "elsewhere")
    for each in folder.iterdir():
        os.utime(each, (1, 1))
        each.chmod(0o600)
    again = make(
        folder, source, PYTHONHASHSEED="7", LANG="C", HOME="/nowhere", USER="ann", **ENVIRONMENT
    )
    assert again.told["digest"] == image.told["digest"]
    assert again.path.read_bytes() == image.path.read_bytes()


def test_a_change_of_the_application_changes_its_layer_alone(image, source, tmp_path):
    """Whoever has the image before fetches the last layer, also when something is added to it."""
    greetings = GREETINGS.replace("Hello", "Good day")
    folder = write_project(tmp_path / "project", greetings=greetings)
    data = folder / "data"
    (data / "__pycache__").mkdir(parents=True)
    (data / "prices.csv").write_text("a,1\n", encoding="utf-8")
    (data / "__pycache__" / "x.pyc").write_bytes(b"x")
    (folder / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "run.sh").chmod(0o700)
    changed = make(
        folder,
        source,
        *("--add", "data", "--add", "run.sh:/srv/bin/", "--add", f"{data}/prices.csv:list.csv"),
        *("--port", "20990", "--label", "com.example.team=shop"),
        **ENVIRONMENT,
    )
    before, after = ([each["digest"] for each in made.told["layers"]] for made in (image, changed))
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert changed.told["digest"] != image.told["digest"]
    assert changed.read.file("app/data/prices.csv") == b"a,1\n"
    assert changed.read.file("app/list.csv") == b"a,1\n"
    assert changed.read.layers[2]["srv/bin/run.sh"].mode == 0o755
    assert not [name for name in changed.read.names if name.startswith("app/data/__pycache__")]
    assert changed.read.config["config"]["Entrypoint"][-1] == "--port=20990"
    assert changed.read.config["config"]["Labels"]["com.example.team"] == "shop"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-t", "registry.example/Greeter:1.0"], "did you mean 'registry.example/greeter:1.0'?"),
        (["-t", "registry.example:5000/greet"], "did you mean 'registry.example:5000/greet:1'?"),
        (["-t", f"greeter:1@sha256:{'0' * 64}"], "did you mean 'greeter:1'?"),
        (["--add", "nothing"], "there is no 'nothing' to add"),
        (["--add", "greeter.py:../x"], "'../x' is no place in an image"),
        (["--add", ".:/"], "'/' is no place in an image"),
        (["--add", "greeter.py:/app"], "it is a directory there"),
        (["--add", "greeter.py:greetings.py/x"], "is a file there"),
        (["--add", "/dev/zero"], "neither a file nor a directory"),
        (["--with", "no-such-thing"], "no distribution 'no-such-thing'"),
        (["--label", "team"], "is no KEY=VALUE"),
        (["--command", "'"], "cannot be read"),
        (["--command", " "], "is empty"),
        (["--consumer"], "leave out one of it"),
        (["-o", "no/such/x.tar"], "cannot write into"),
        (["-o", "/dev/null"], "/dev/null is no file that could be replaced"),
        (["-o", "."], "is no file that could be replaced"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(arguments, told, tmp_path, monkeypatch):
    """Before anything is written, with 2, and with what would do where that is known."""
    monkeypatch.chdir(write_project(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*tmp_path.iterdir()}
    given = ["greetings", "-t", "greeter:1", "-o", "greeter.tar", "--command", "x", *arguments]
    done = CliRunner().invoke(kubbo, ["image", *given], catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("epoch", ["-1", "x", "1" * 13, "999999999999"])
def test_a_time_that_is_none_is_refused(epoch, tmp_path, monkeypatch):
    """As the specification of SOURCE_DATE_EPOCH wants it."""
    monkeypatch.chdir(write_project(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    given = ["greetings", "-t", "greeter:1", "-o", "greeter.tar", "--command", "x"]
    done = CliRunner().invoke(kubbo, ["image", *given], catch_exceptions=False)
    assert done.exit_code == 2
    assert "is no number of seconds since 1970" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("platform", "darwin"), ("prefix", "")])
def test_a_platform_without_elf_is_told(name, value, monkeypatch):
    """And what to do there; an interpreter that is none of CPython's is told as well."""
    if name == "platform":
        monkeypatch.setattr(sys, name, value)
        told = "one for darwin; run it on Linux, or build the image by a Dockerfile"
    else:
        monkeypatch.setattr(sys, "implementation", types.SimpleNamespace(name="pypy"))
        told = "CPython only, and this is pypy"
    with pytest.raises(UsageError, match=told):
        find_interpreter()


@pytest.mark.parametrize(
    ("what", "options", "runs"),
    [
        ("greeter:Greeter", {}, ("kubbo serve greeter:Greeter --port=20880", (20880,))),
        ("greeter:Greeter", {"port": 2000}, ("kubbo serve greeter:Greeter --port=2000", (2000,))),
        ("greeter", {"consumer": True}, ("python -m greeter", ())),
        ("greeter", {"command": "python -c 'import greeter'"}, ("python -c import greeter", ())),
        ("greeter", {"command": "gunicorn app", "port": 8000}, ("gunicorn app", (8000,))),
    ],
)
def test_what_an_image_runs(what, options, runs, tmp_path, monkeypatch):
    """As `kubbo manifests` would say it; a port is that of the command, where one is given."""
    monkeypatch.chdir(write_project(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = {"command": "", "port": None, "consumer": False, **options}
    for name in ("greeter", "greetings"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        module, command, ports = command_of(what, **given)
    finally:
        for name in ("greeter", "greetings"):
            sys.modules.pop(name, None)
    assert (module, " ".join(command), ports) == ("greeter", *runs)


def test_what_cannot_be_served_is_refused(tmp_path):
    """Here, and not by a pod that does not start."""
    folder = write_project(tmp_path)
    for what, told in (("greeter:Nobody", "could serve Greeter"), ("nowhere:X", "no module")):
        done = kubbo_image(folder, "-t", "greeter:1", "-o", "greeter.tar", what=what)
        assert done.returncode == 2
        assert told in done.stderr
    assert not (folder / "greeter.tar").exists()


def full_pipe():
    """A pipe that takes no more: who writes into it waits until somebody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    return reading, writing


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    """Neither half an archive nor a temporary file, and what was there before stays."""
    folder = write_project(tmp_path / "project")
    target = folder / "out" / "greeter.tar"
    target.parent.mkdir()
    target.write_bytes(b"the one before")
    reading, writing = full_pipe()  # so that it cannot come further than its first progress
    process = subprocess.Popen(
        [sys.executable, "-m", "kubbo", "image", "greeter:Greeter", "-t", "g:1", "-o", target],
        cwd=folder,
        stderr=writing,
        start_new_session=True,
        # Who runs tests in the background may have it ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    )
    os.close(writing)
    with process:
        while not any(part.stat().st_size for part in target.parent.glob(".*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
    os.close(reading)
    assert process.returncode == 130
    assert [*target.parent.iterdir()] == [target]
    assert target.read_bytes() == b"the one before"


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    """It is told, with the file that could not be written."""
    folder = write_project(tmp_path / "project")
    limited = (
        f"ulimit -f 1000; exec {sys.executable} -m kubbo image greeter:Greeter -t g:1 -o g.tar"
    )
    before = {*folder.iterdir()}
    done = subprocess.run(
        ["/bin/sh", "-c", limited],
        cwd=folder,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 2
    assert done.stderr == f"kubbo: cannot write {folder / 'g.tar'}: File too large\n"
    assert {*folder.iterdir()} == before
