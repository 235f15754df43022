"""Which modules and which distributions an image has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kubbo.errors import UsageError
from kubbo.image.application import Application, parse_added
from kubbo.image.build import full_name
from kubbo.image.distributions import Distributions
from kubbo.image.interpreter import find_interpreter
from kubbo.image.tree import File


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty directory in front of the path, as an environment's."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def install(site, name, version="1.0", *, requires=(), files=None, record=True, **more):
    """Install a distribution by hand; it has one module, `<name>_module.py`, unless told."""
    files = {f"{name}_module.py": ""} if files is None else files
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    inside = {"METADATA": metadata, "INSTALLER": "pip\n", "RECORD": "", **more}
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
    listed = [*files, *(f"{info.name}/{each}" for each in inside)]
    if record:
        inside["RECORD"] = "".join(f"{each},,\n" for each in listed)
    else:
        del inside["RECORD"]
    for each, text in inside.items():
        (info / each).write_text(text, encoding="utf-8")


def taken(*names):
    """What requiring these takes, and what is noted."""
    found = Distributions.here()
    for each in names:
        found.require(each)
    return {*found.taken}, found.notes


def paths(tree):
    """The files of a tree."""
    return {path for path, entry in tree if isinstance(entry, File)}


def test_what_is_required_is_taken_to_the_last(site):
    """Circles end; names are compared as pip does it."""
    install(site, "one", requires=["Two_Parts >= 1, < 2"])
    install(site, "two-parts", requires=["three (>=1)", "one"])
    install(site, "three")
    install(site, "four")
    assert taken("ONE") == ({"one", "two-parts", "three"}, [])


def test_extras_are_taken_where_they_are_asked_for(site):
    """An extra that somebody installed for something else stays away."""
    install(site, "one", requires=["two; extra == 'fast'", 'three ; extra=="slow" and x > "1"'])
    install(site, "two", requires=["four[more,MANY]"])
    install(site, "three")
    install(site, "four", requires=["five; extra == 'many'"])
    install(site, "five")
    assert taken("one") == ({"one"}, [])
    assert taken("one[slow]") == ({"one", "three"}, [])
    assert taken("one", "one[fast]") == ({"one", "two", "four", "five"}, [])


def test_what_is_not_installed_is_noted_unless_a_marker_may_say_so(site):
    """On this platform it may rightly be missing; pip decided."""
    install(site, "one", requires=["gone>=1", "windows-only; sys_platform == 'win32'", "!!"])
    assert taken("one") == (
        {"one"},
        ["one requires gone, which is not installed", "one requires '!!', which cannot be read"],
    )
    with pytest.raises(UsageError, match="no distribution 'gone'"):
        taken("gone")


def test_the_files_of_a_distribution(site):
    """As its RECORD has them, without bytecode and without what tells of the installation; its
    scripts are made anew, for the image's Python.
    """
    install(
        site,
        "one",
        files={
            "one/__init__.py": "",
            "one/data.txt": "x",
            "one/__pycache__/__init__.cpython-311.pyc": "x",
            "one.libs/lib.so": "x",
            "../bin/one": "#!/home/ann/.venv/bin/python",
        },
        **{"entry_points.txt": "[console_scripts]\none = one.cli:main.run\nbad/name = one:x\n"},
    )
    found = Distributions.here()
    found.require("one")
    interpreter = find_interpreter()
    tree = found.tree(interpreter)
    assert paths(tree) == {
        f"{interpreter.site}/one/__init__.py",
        f"{interpreter.site}/one/data.txt",
        f"{interpreter.site}/one.libs/lib.so",
        f"{interpreter.site}/one-1.0.dist-info/METADATA",
        f"{interpreter.site}/one-1.0.dist-info/entry_points.txt",
        "/opt/venv/bin/one",
    }
    script = dict(tree)["/opt/venv/bin/one"]
    assert script.executable
    assert script.data.decode().splitlines() == [
        "#!/opt/venv/bin/python",
        "import sys",
        "",
        "from one.cli import main",
        "",
        "sys.exit(main.run())",
    ]


def test_an_editable_distribution_is_copied_from_where_it_is(site, tmp_path, monkeypatch):
    """Its installation has only a file that leads there."""
    source = tmp_path / "project" / "src"
    (source / "one" / "__pycache__").mkdir(parents=True)
    (source / "one" / "__init__.py").touch()
    (source / "one" / ".hidden").touch()
    (source / "one" / "__pycache__" / "x.pyc").touch()
    monkeypatch.syspath_prepend(source)
    url = (tmp_path / "project").as_uri()
    install(
        site,
        "one",
        files={"__editable__.one.pth": f"{source}\n"},
        **{"direct_url.json": json.dumps({"url": url, "dir_info": {"editable": True}})},
    )
    found = Distributions.here()
    found.require("one")
    interpreter = find_interpreter()
    assert paths(found.tree(interpreter)) == {
        f"{interpreter.site}/one/__init__.py",
        f"{interpreter.site}/one-1.0.dist-info/METADATA",
    }
    assert found.notes == []


def test_a_distribution_without_a_list_of_files(site):
    """As Linux distributions install it: its top-level modules are told; or nothing is, which
    is noted.
    """
    install(site, "one", record=False, **{"top_level.txt": "one_module\n"})
    install(site, "two", record=False)
    found = Distributions.here()
    found.require("one")
    found.require("two")
    interpreter = find_interpreter()
    assert f"{interpreter.site}/one_module.py" in paths(found.tree(interpreter))
    assert found.notes == ["two does not tell which modules it has; install it as a wheel"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"url": 1}', '{"dir_info": {"editable": true}}'])
def test_a_broken_direct_url_is_as_none(site, text):
    """Whoever wrote it: the RECORD tells the files."""
    install(site, "one", **{"direct_url.json": text})
    found = Distributions.here()
    found.require("one")
    interpreter = find_interpreter()
    assert f"{interpreter.site}/one_module.py" in paths(found.tree(interpreter))


def application(module):
    """What taking a module takes."""
    distributions = Distributions.here()
    found = Application()
    found.take(module, distributions)
    return found, distributions


def test_what_a_module_imports_comes_along(site, tmp_path, monkeypatch):
    """Modules around it are copied, a package whole; of others their distributions are required.
    Also inside of a function; not what only type checkers or tests import.
    """
    install(site, "one", requires=["two"])
    install(site, "two")
    install(site, "testing")
    here = tmp_path / "here"
    (here / "package" / "tests").mkdir(parents=True)
    (here / "package" / "__init__.py").write_text("from . import inner\n", encoding="utf-8")
    (here / "package" / "inner.py").write_text("from one_module import x\n", encoding="utf-8")
    (here / "package" / "schema.json").touch()
    (here / "package" / "template.py").write_text("{{ name }}: import gone\n", encoding="utf-8")
    for name in ("tests/test_inner.py", "conftest.py", "test_more.py"):
        (here / "package" / name).write_text("import testing_module\n", encoding="utf-8")
    (here / "main.py").write_text(
        "import json, kubbo\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import unused\nelse:\n    import helper\n"
        "try:\n    import fast\nexcept ImportError:\n    fast = None\n"
        "def late():\n    import package.inner\n    import absent.part\n",
        encoding="utf-8",
    )
    (here / "helper.py").write_text("import main\n", encoding="utf-8")
    (here / "unused.py").touch()
    monkeypatch.syspath_prepend(here)
    found, distributions = application("main")
    assert found.modules == {
        "main": [here / "main.py"],
        "helper": [here / "helper.py"],
        "package": [here / "package"],
    }
    assert {*distributions.taken} == {"one", "two"}
    assert distributions.notes == [f"{here / 'main.py'} imports absent, which is not here"]
    tag = "app/package"
    assert {path for path in paths(found.tree([], find_interpreter())) if tag in path} == {
        f"/app/package/{name}"
        for name in (
            *("__init__.py", "inner.py", "schema.json", "template.py", "conftest.py"),
            *("test_more.py", "tests/test_inner.py"),
        )
    }


def test_an_installed_application_is_a_distribution(site):
    """Nothing of it is copied twice."""
    install(site, "shop", requires=["one"])
    install(site, "one")
    found, distributions = application("shop_module")
    assert found.modules == {}
    assert {*distributions.taken} == {"shop", "one"}


def test_a_package_in_several_places(tmp_path, monkeypatch):
    """One without an __init__.py is all of its directories."""
    for name in ("a", "b"):
        (tmp_path / name / "shop").mkdir(parents=True)
        (tmp_path / name / "shop" / f"{name}.py").touch()
        monkeypatch.syspath_prepend(tmp_path / name)
    found, _ = application("shop")
    assert paths(found.tree([], find_interpreter())) == {"/app/shop/a.py", "/app/shop/b.py"}


def test_no_such_module():
    """It was checked by the command; a race would be told as well."""
    with pytest.raises(UsageError, match="no module 'no_such_module_here'"):
        application("no_such_module_here")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("{}/data", "/app/data"),
        ("{}/data/", "/app/data"),
        ("{}/data:other", "/app/other"),
        ("{}/data:/srv/x/../y/", "/srv/y"),
        ("{}/data/a.csv:/srv/", "/srv/a.csv"),
        ("{}/data/a.csv:sub/", "/app/sub/a.csv"),
        ("{}/data://srv", "/srv"),
        ("{}/with:colon", "/app/with:colon"),
        ("{}/with:colon:b", "/app/b"),
    ],
)
def test_where_something_is_added(text, target, tmp_path):
    """In the application's directory, unless told; a path with a colon is a path."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    (tmp_path / "with:colon").touch()
    assert parse_added(text.format(tmp_path)).target == target


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("greeter:1", "docker.io/library/greeter:1"),
        ("shop/greeter:1", "docker.io/shop/greeter:1"),
        ("localhost/greeter:1", "localhost/greeter:1"),
        ("localhost:5000/greeter:1", "localhost:5000/greeter:1"),
        ("registry.example/shop/greeter:1", "registry.example/shop/greeter:1"),
    ],
)
def test_a_name_is_completed_as_a_kubelet_completes_it(reference, full):
    """Or the kubelet would look for another name than the archive has."""
    assert full_name(reference) == full


def test_the_interpreter_is_the_one_that_runs():
    """Found through /proc and sysconfig, whatever a virtual environment calls it."""
    found = find_interpreter()
    assert found.program.samefile("/proc/self/exe")
    assert (found.standard / "os.py").samefile(Path(json.__file__).parents[1] / "os.py")
    assert found.name.startswith(f"python{sys.version_info.major}.{sys.version_info.minor}")
    assert found.site.endswith("/site-packages")
