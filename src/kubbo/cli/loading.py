"""From `MODULE:OBJECT` to what a server may export.

What is wrong with the name is told in one sentence. When the user's own code raises, its
traceback is shown from its first line on: the frames above it are ours and Python's.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubbo.cli.output import write_error
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType, TracebackType

    from kubbo.rpc.service import Interface

__all__ = [
    "check_program",
    "import_from_here",
    "load_object",
    "make_implementations",
    "read_interfaces",
]


def load_object(text: str) -> object:
    """Import MODULE, with the current directory in front, and find OBJECT in it.

    Raises:
        UsageError: one of them is not there, or the module raised while it was imported.
    """
    name, colon, path = text.partition(":")
    if not colon or not name or not path:
        raise UsageError(
            f"{text!r} is no MODULE:OBJECT; write it like greeter:Greeter, "
            "for the class Greeter of ./greeter.py"
        )
    here = import_from_here()
    module = _import(name, here)
    found: object = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"{name} has no {path!r}; {_offers(module)}") from None
    return found


def import_from_here() -> str:
    """Put the current directory in front of the path; returns it."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return here


def check_program(name: str) -> None:
    """See that `python -m NAME` would find a module, without running it.

    Raises:
        UsageError: it would not.
    """
    here = import_from_here()
    spec = _find(name)
    if spec is not None and spec.submodule_search_locations is not None:  # a package
        spec = _find(f"{name}.__main__")
    if spec is None:
        raise UsageError(
            f"`python -m {name}` would find no module in {here} or installed; write MODULE without "
            ".py, and run this where it can be imported"
        )


def _find(name: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages that it is in."""
    spec: ModuleSpec | None = None
    whole = ""
    for part in name.split("."):
        inside = None if spec is None else spec.submodule_search_locations
        if not part.isidentifier() or (spec is not None and inside is None):
            return None
        whole = f"{whole}.{part}" if whole else part
        spec = PathFinder.find_spec(whole, inside)
        if spec is None:
            return None
    return spec


def _import(name: str, here: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            hint = " (write the module's name, without .py)" if name.endswith(".py") else ""
            raise UsageError(
                f"there is no module {name!r} in {here} or installed{hint}; run this where "
                "it can be imported, or set PYTHONPATH"
            ) from None
        raise _own_fault(error, f"the module {name!r}", "while it was imported") from None
    except (TypeError, ValueError) as error:  # `import_module` of "", ".x" or with a NUL
        if _own_traceback(error.__traceback__) is None:
            raise UsageError(f"{name!r} is no name of a module: {error}") from None
        raise _own_fault(error, f"the module {name!r}", "while it was imported") from None
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises
        raise _own_fault(error, f"the module {name!r}", "while it was imported") from None
    except SystemExit as error:
        raise UsageError(
            f"the module {name!r} ended the program (exit code {error.code}) while it was "
            "imported; put what it runs under `if __name__ == '__main__':`"
        ) from None


def _offers(module: ModuleType) -> str:
    """What the module has that could be served."""
    names = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and _is_implementation(value)
    ]
    if names:
        return f"it could serve {', '.join(sorted(names))}"
    return "it has no class that implements an interface marked with @kubbo.service"


def _is_implementation(cls: type) -> bool:
    from kubbo.rpc.service import read_interface  # noqa: PLC0415 - when a command runs

    if getattr(cls, "_is_protocol", False):
        return False
    try:
        read_interface(cls)
    except UsageError:
        return False
    return True


async def make_implementations(found: object, name: str) -> list[object]:
    """The objects to export: of a class, an instance, a list of them, or a function of one.

    A function may be async; it runs in the server's loop, before the port is opened.

    Raises:
        UsageError: one of them implements no interface, or cannot be made without arguments.
    """
    if isinstance(found, (list, tuple)):
        items: list[Any] = [*found]  # pyright: ignore[reportUnknownVariableType] - checked below
        if not items:
            raise UsageError(f"{name} is empty; list the objects to serve")
        made: list[object] = []
        for number, item in enumerate(items):
            made += await make_implementations(item, f"{name}[{number}]")
        return made
    if inspect.isclass(found):
        if getattr(found, "_is_protocol", False):
            raise UsageError(
                f"{name} is the interface itself; give a class that implements it, "
                f"like class {found.__name__}Impl({found.__name__})"
            )
        _check_implements(found, name)
        return [await _made(found, name)]
    if _is_implementation(type(found)):
        return [found]
    if inspect.isroutine(found):
        return await make_implementations(await _made(found, name), f"{name}()")
    _check_implements(type(found), name)
    return [found]


async def read_interfaces(found: object, name: str) -> list[Interface]:
    """The interfaces that `kubbo serve` would export, without making what implements them.

    Only a function is called, since nothing else says what it returns.

    Raises:
        UsageError: as `make_implementations`, or an interface is there twice.
    """
    read: dict[str, Interface] = {}
    for each in await _classes(found, name):
        interface = _check_implements(each, name)
        if read.setdefault(str(interface.key), interface) is not interface:
            raise UsageError(f"{name} would serve {interface.key} twice; remove one")
    return list(read.values())


async def _classes(found: object, name: str) -> list[type]:
    """Of what would be exported."""
    if isinstance(found, type) and not getattr(found, "_is_protocol", False):
        _check_needs_nothing(found, name)
        return [found]
    if isinstance(found, (list, tuple)):
        items: list[Any] = [*found]  # pyright: ignore[reportUnknownVariableType] - checked below
        if not items:
            raise UsageError(f"{name} is empty; list the objects to serve")
        return [
            cls
            for number, item in enumerate(items)
            for cls in await _classes(item, f"{name}[{number}]")
        ]
    return [type(each) for each in await make_implementations(found, name)]


def _check_implements(cls: type, name: str) -> Interface:
    from kubbo.rpc.service import read_interface  # noqa: PLC0415 - when a command runs

    try:
        return read_interface(cls)
    except UsageError as error:
        raise UsageError(f"{name} cannot be served: {error}") from None


def _check_needs_nothing(function: Callable[[], Any], name: str) -> None:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise UsageError(
            f"{name} cannot be called without arguments ({error}); give an instance, "
            "or a function that makes one"
        ) from None
    except ValueError:  # some builtins have no signature: the call will tell
        pass


async def _made(function: Callable[[], Any], name: str) -> object:
    _check_needs_nothing(function, name)
    try:
        made = function()
        if inspect.isawaitable(made):
            return await _awaited(made)
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        raise _own_fault(error, name, "when it was called") from None
    return made


async def _awaited(made: Awaitable[object]) -> object:
    return await made


def _own_fault(error: Exception, what: str, when: str) -> UsageError:
    """Show the user's own traceback, and the error that ends the command."""
    lines = traceback.format_exception(type(error), error, _own_traceback(error.__traceback__))
    write_error("".join(lines).rstrip("\n"))
    return UsageError(f"{what} raised {type(error).__name__} {when}, as shown above; mend that")


def _own_traceback(start: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame that is neither this module's nor importlib's."""
    while start is not None:
        file = start.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            return start
        start = start.tb_next
    return None
