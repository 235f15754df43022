"""MODULE:OBJECT: what may be served, and how mistakes in it are told."""

from __future__ import annotations

import itertools
import sys
from textwrap import dedent

import pytest

from kubbo.cli.loading import load_object, make_implementations, read_interfaces
from kubbo.errors import UsageError

GREETER = """
    from typing import Protocol
    from kubbo.rpc.service import service

    @service("com.example.GreetService", version="1.0.0")
    class GreetService(Protocol):
        def greet(self, name: str) -> str: ...

    class Greeter(GreetService):
        def greet(self, name: str) -> str:
            return name

    class Named(Greeter):
        def __init__(self, name: str) -> None: ...

    class Broken(Greeter):
        def __init__(self) -> None:
            raise RuntimeError("no database")

    class Callable(Greeter):
        def __call__(self):
            raise AssertionError("an instance is served, not called")

    class Nothing: ...

    greeter = Greeter()
    callable_instance = Callable()
    both = [Greeter, greeter]
    empty = ()
    number = 5

    def make():
        return Greeter()

    async def make_both():
        return (Greeter(), Greeter)

    def needs(name):
        return Greeter()
"""

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module into the current directory; returns its name, a new one each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> str:
        name = f"served_module_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(dedent(source), encoding="utf-8")
        return name

    yield write
    for name in [name for name in sys.modules if name.startswith("served_module_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("Greeter", 1),
        ("greeter", 1),
        ("callable_instance", 1),
        ("both", 2),
        ("make", 1),
        ("make_both", 2),
    ],
)
async def test_what_may_be_served(module, path, count):
    """A class, an instance, a list of them, and functions, plain and async, that make them."""
    name = module(GREETER)
    made = await make_implementations(load_object(f"{name}:{path}"), path)
    assert [one.greet("Ann") for one in made] == ["Ann"] * count


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("GreetService", "is the interface itself"),
        ("Nothing", "cannot be served: Nothing is no Dubbo interface"),
        ("number", "cannot be served: int is no Dubbo interface"),
        ("empty", "is empty"),
        ("Named", r"cannot be called without arguments \(missing a required argument: 'name'\)"),
        ("needs", "cannot be called without arguments"),
    ],
)
async def test_what_may_not_be_served(module, path, message):
    """Each is the user's mistake, in a sentence that names the object."""
    name = module(GREETER)
    with pytest.raises(UsageError, match=message) as caught:
        await make_implementations(load_object(f"{name}:{path}"), f"{name}:{path}")
    assert str(caught.value).startswith(f"{name}:{path} ")


async def test_code_of_the_user_that_raises_is_shown_alone(module, capsys):
    """The traceback begins in the user's module; no frame of ours or of importlib."""
    name = module(GREETER)
    with pytest.raises(UsageError, match="raised RuntimeError when it was called") as caught:
        await make_implementations(load_object(f"{name}:Broken"), "Broken")
    assert caught.value.__suppress_context__
    shown = capsys.readouterr().err
    assert f'{name}.py", line' in shown
    assert "RuntimeError: no database" in shown
    assert "loading.py" not in shown


def test_a_module_that_raises_is_shown_alone(module, capsys):
    """Likewise while it is imported, a missing import of its own included."""
    for source, error in (("1 / 0", "ZeroDivisionError"), ("import no_such_x", "ModuleNotFound")):
        name = module(source)
        with pytest.raises(UsageError, match=f"the module '{name}' raised {error}"):
            load_object(f"{name}:x")
        shown = capsys.readouterr().err
        assert shown.startswith(f'Traceback (most recent call last):\n  File "{name}'[:35])
        assert f'{name}.py", line 1' in shown
        assert "importlib" not in shown
        assert "loading.py" not in shown


def test_a_module_that_does_not_parse_is_told(module, capsys):
    """A SyntaxError is the user's, with its place."""
    name = module("def f(:\n")
    with pytest.raises(UsageError, match="raised SyntaxError"):
        load_object(f"{name}:f")
    assert f"{name}.py" in capsys.readouterr().err


def test_a_module_that_ends_the_program_is_told(module):
    """A script without a guard does not end the command silently."""
    name = module("raise SystemExit(0)")
    with pytest.raises(UsageError, match="__main__"):
        load_object(f"{name}:x")


@pytest.mark.parametrize("text", ["", "greeter", ":Greeter", "greeter:", "greeter.Greeter"])
def test_a_text_that_is_no_module_and_object(text):
    """The form is shown."""
    with pytest.raises(UsageError, match="MODULE:OBJECT"):
        load_object(text)


@pytest.mark.parametrize("name", ["no_such_module", "no_such.module", "os.path.nothing", ".x", "."])
def test_a_module_that_is_not_there(name, capsys):
    """One sentence, and nothing of Python's import machinery."""
    with pytest.raises(UsageError, match=r"no module|no name of a module|raised"):
        load_object(f"{name}:x")
    assert capsys.readouterr().err == ""


def test_a_file_name_is_told_apart_from_a_module(module):
    """`greeter.py:Greeter` is the most usual slip."""
    name = module(GREETER)
    with pytest.raises(UsageError, match=r"without \.py"):
        load_object(f"{name}.py:Greeter")


def test_an_object_that_is_not_there_lists_those_that_are(module):
    """Only what could be served is offered, so neither the interface nor other classes."""
    name = module(GREETER)
    with pytest.raises(UsageError) as caught:
        load_object(f"{name}:Greetr")
    assert str(caught.value) == (
        f"{name} has no 'Greetr'; it could serve Broken, Callable, Greeter, Named"
    )


@pytest.mark.parametrize("path", ["Greeter", "greeter", "Broken", "make", "single", "nested"])
async def test_interfaces_are_read_without_making_what_serves_them(module, path):
    """What a class does when it is made (here: fail) is for the pod, not for who deploys it."""
    name = module(GREETER + "\n    single = [greeter]\n    nested = [[(Greeter,)]]\n")
    (interface,) = await read_interfaces(load_object(f"{name}:{path}"), path)
    assert str(interface.key) == "com.example.GreetService:1.0.0"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("both", "com.example.GreetService:1.0.0 twice"),
        ("empty", "is empty"),
        ("Named", "without arguments"),
        ("Nothing", "cannot be served"),
        ("number", "cannot be served"),
        ("needs", "without arguments"),
        ("GreetService", "the interface itself"),
    ],
)
async def test_what_would_not_start_is_told_before_it_is_deployed(module, path, told):
    """`kubbo serve` would end with it in the pod."""
    name = module(GREETER)
    with pytest.raises(UsageError, match=told):
        await read_interfaces(load_object(f"{name}:{path}"), path)
