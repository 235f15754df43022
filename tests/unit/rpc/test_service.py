"""Declarations: a Python class becomes Java methods, or an error that names what cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from kubbo import ConfigError, TargetError, UsageError
from kubbo.java import Array, Long, pojo
from kubbo.model import ServiceKey
from kubbo.rpc.server import Server
from kubbo.rpc.service import Interface, method, read_interface, service

if TYPE_CHECKING:
    from collections.abc import Callable

    class OnlyForCheckers: ...


@pojo("com.example.User")
@dataclass
class User:
    id: Long
    name: str


@service("com.example.GreetService", group="eu", version="1.0.0")
class GreetService(Protocol):
    @method(idempotent=True, timeout=0.5, retries=1)
    async def greet_user(self, user: User) -> str: ...
    async def find(self, name: str, limit: int = 10, *, deep: bool = False) -> list[User]: ...
    @method(name="find")
    async def find_by_ids(self, ids: Array[Long]) -> list[User]: ...
    @method(oneway=True)
    async def log(self, text: str) -> None: ...
    def _not_remote(self) -> None: ...


def signatures(interface: Interface) -> dict[str, str]:
    return {
        name: f"{each.signature.name}({each.signature.types})"
        for name, each in interface.methods.items()
    }


def test_a_class_becomes_javas_methods() -> None:
    """snake_case is camelCase, hints are descriptors, `name` makes overloads, `_` stays here."""
    read = read_interface(GreetService)
    assert read.key == ServiceKey("com.example.GreetService", "eu", "1.0.0")
    assert signatures(read) == {
        "greet_user": "greetUser(Lcom/example/User;)",
        "find": "find(Ljava/lang/String;IZ)",
        "find_by_ids": "find([J)",
        "log": "log(Ljava/lang/String;)",
    }
    assert read.methods["log"].signature.returns is None


def test_options_of_a_method_are_kept() -> None:
    """What `method` says is what the call will use; what it leaves open stays open."""
    methods = read_interface(GreetService).methods
    options = methods["greet_user"].options
    assert (options.idempotent, options.timeout, options.retries) == (True, 0.5, 1)
    assert methods["find"].options.timeout is None
    assert methods["log"].oneway
    assert not methods["find"].oneway


def test_an_implementation_has_its_interface() -> None:
    """A class that inherits from an interface serves that interface, under its key."""

    class Greeter(GreetService):
        def extra(self, value: Any) -> None: ...

    read = read_interface(Greeter)
    assert read.key == read_interface(GreetService).key
    assert "extra" not in read.methods


def test_an_interface_may_inherit() -> None:
    """Methods of a base belong to the interface, and an override wins."""

    class Base(Protocol):
        async def ping(self) -> str: ...
        async def size(self) -> int: ...

    @service("com.example.Derived")
    class Derived(Base, Protocol):
        async def size(self) -> Long: ...
        async def more(self) -> None: ...

    read = read_interface(Derived)
    assert sorted(read.methods) == ["more", "ping", "size"]
    assert read.methods["size"].signature.returns is not None
    assert read.methods["size"].signature.returns.name == "long"


@pytest.mark.parametrize(
    ("args", "kwargs", "arranged"),
    [
        (("a", 1, True), {}, ["a", 1, True]),
        (("a",), {}, ["a", 10, False]),
        ((), {"name": "a", "deep": True}, ["a", 10, True]),
        (("a",), {"limit": 3}, ["a", 3, False]),
    ],
)
def test_arguments_are_put_in_order(
    args: tuple[Any, ...], kwargs: dict[str, Any], arranged: list[Any]
) -> None:
    """Positions, names and defaults all end up where Java expects them."""
    assert list(read_interface(GreetService).methods["find"].arrange(args, kwargs)) == arranged


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "needs 'name'"),
        (("a", 1, True, 5), {}, "takes 3 arguments, not 4"),
        (("a",), {"name": "b"}, "two values for 'name'"),
        (("a",), {"nope": 1}, "no parameter 'nope'"),
    ],
)
def test_arguments_that_do_not_fit_are_pythons_error(
    args: tuple[Any, ...], kwargs: dict[str, Any], says: str
) -> None:
    """A wrong call is a TypeError that names the parameter, as for any function."""
    with pytest.raises(TypeError, match=rf"find\(\).*{says}"):
        read_interface(GreetService).methods["find"].arrange(args, kwargs)


def no_decorator() -> object:
    class Plain(Protocol):
        async def ping(self) -> str: ...

    return Plain


def no_methods() -> object:
    @service("com.example.Empty")
    class Empty(Protocol): ...

    return Empty


def no_hint() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, value) -> str: ...  # type: ignore[no-untyped-def]

    return Bad


def no_return() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, value: int): ...  # type: ignore[no-untyped-def]

    return Bad


def star() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, *values: int) -> str: ...

    return Bad


def star_star() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, **values: int) -> str: ...

    return Bad


def unmarked_class() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, value: Server) -> str: ...

    return Bad


def undefined_name() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def ping(self, value: OnlyForCheckers) -> str: ...

    return Bad


def same_twice() -> object:
    @service("com.example.Bad")
    class Bad(Protocol):
        async def find(self, value: int) -> str: ...
        @method(name="find")
        async def find_again(self, value: int) -> str: ...

    return Bad


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: "text", "'text' is no class"),
        (no_decorator, "Plain is no Dubbo interface: decorate it"),
        (no_methods, "Empty declares com.example.Empty but has no methods"),
        (no_hint, r"Bad\.ping: the parameter 'value' needs a type hint"),
        (no_return, r"Bad\.ping: the result needs a type hint"),
        (star, r"Bad\.ping: Java has no \*values"),
        (star_star, r"Bad\.ping: Java has no \*values"),
        (unmarked_class, r"Server has no Java name; mark it"),
        (undefined_name, r"Bad\.ping: the hints name 'OnlyForCheckers'"),
        (same_twice, r"Bad\.find and \.find_again are the same Java method find\(int\)"),
    ],
)
def test_a_class_that_is_no_interface_is_told_why(make: Callable[[], object], says: str) -> None:
    """Each mistake in a declaration is a UsageError with the place and the remedy."""
    with pytest.raises(UsageError, match=says):
        read_interface(make())


def test_an_unmarked_class_names_its_method() -> None:
    """The place of a hint without a Java type is in the message."""
    with pytest.raises(UsageError, match=r"Bad\.ping"):
        read_interface(unmarked_class())


def test_a_default_does_not_hide_a_parameter_without_one() -> None:
    """Keyword-only parameters without a default are asked for by name."""

    @service("com.example.Keyword")
    class Keyword(Protocol):
        async def find(self, name: str = "a", *, limit: int) -> str: ...

    with pytest.raises(TypeError, match="needs 'limit'"):
        read_interface(Keyword).methods["find"].arrange((), {})


@pytest.mark.parametrize("interface", ["", "has space", "a/b/c", "com.example.", "1.2.3:4:5"])
def test_a_service_key_is_checked_where_it_is_written(interface: str) -> None:
    """A wrong interface name fails at the decorator."""
    with pytest.raises(TargetError, match="is no service key"):
        service(interface)


@pytest.mark.parametrize("number", [0, -1, float("nan"), 1e9])
def test_a_timeout_is_checked_where_it_is_written(number: float) -> None:
    """A timeout out of range fails at the decorator."""
    with pytest.raises(ConfigError, match="timeout"):
        method(timeout=number)


@pytest.mark.parametrize("number", [-1, 101])
def test_retries_are_checked_where_they_are_written(number: int) -> None:
    """Retries out of range fail at the decorator."""
    with pytest.raises(ConfigError, match="retries"):
        method(retries=number)


def test_an_export_must_implement_all() -> None:
    """An implementation that lacks methods is refused, by their names."""

    class Half:
        async def log(self, text: str) -> None: ...

    with pytest.raises(UsageError, match=r"Half does not implement.*greet_user, find"):
        Server(port=0).export(Half(), GreetService)


def test_a_key_is_exported_once() -> None:
    """A second implementation of the same key is refused."""

    class Greeter(GreetService): ...

    server = Server(port=0)
    server.export(Greeter())
    with pytest.raises(UsageError, match="exported already"):
        server.export(Greeter())
    assert server.services == (ServiceKey("com.example.GreetService", "eu", "1.0.0"),)
