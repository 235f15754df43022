"""A Dubbo interface in Python: a class whose method hints say what Java's types are.

    @service("com.example.GreetService", version="1.0.0")
    class GreetService(Protocol):
        @method(idempotent=True, timeout=0.5)
        async def say_hello(self, name: str) -> str: ...

`say_hello` is Java's `sayHello(String)`. The decorators only leave a note on what they
decorate; `read_interface` turns it into signatures when a channel or a server is given
the class, and reports whatever cannot be one then, by its name.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from kubbo.config import Options
from kubbo.errors import UsageError
from kubbo.model import ServiceKey, Signature, Value
from kubbo.wire.hessian2 import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kubbo.config import Parameter

__all__ = ["Interface", "Method", "method", "read_interface", "service"]

C = TypeVar("C", bound=type)
F = TypeVar("F", bound="Callable[..., Any]")

_SERVICE = "__kubbo_service__"
_METHOD = "__kubbo_method__"


@dataclass(frozen=True, slots=True)
class _ServiceNote:
    key: ServiceKey
    types: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class _MethodNote:
    name: str | None
    options: Options
    oneway: bool
    throws: tuple[type[Exception], ...]


def service(
    interface: str, *, group: str = "", version: str = "", types: Iterable[type] = ()
) -> Callable[[C], C]:
    """Declare a class as the Dubbo interface `interface`.

    `types` are further classes that may come over the wire, where no hint names them: what
    an `object` may hold, or subclasses that are defined later.

    Raises:
        TargetError: interface, group and version make no service key.
    """
    note = _ServiceNote(ServiceKey.parse(str(ServiceKey(interface, group, version))), tuple(types))

    def mark(cls: C) -> C:
        setattr(cls, _SERVICE, note)
        return cls

    return mark


def method(
    *,
    name: str | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    idempotent: bool | None = None,
    cluster: str | None = None,
    loadbalance: str | None = None,
    actives: int | None = None,
    mock: str | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    oneway: bool = False,
    throws: Iterable[type[Exception]] = (),
) -> Callable[[F], F]:
    """Say more of a method than its hints do.

    Args:
        name: Java's name, where it is not the camelCase of Python's; several Python methods
            may share one, which are Java's overloads.
        timeout: seconds, over all attempts.
        retries: further attempts after the first, where they are safe.
        idempotent: running it twice does no harm, so that it may be retried in doubt.
        cluster: name of the cluster policy; see docs/cluster.md.
        loadbalance: name of the balancer; see docs/loadbalance.md.
        actives: calls at once of a consumer.
        mock: a line that stands in for a failed call, like `return null`.
        parameters: of policy, balancer and breaker.
        oneway: no answer is asked for; the call returns when it was handed to the connection.
        throws: exceptions marked by `pojo` that arrive as themselves.

    Raises:
        ConfigError: a number is out of its range.
    """
    options = Options(
        timeout=timeout,
        retries=retries,
        idempotent=idempotent,
        cluster=cluster,
        loadbalance=loadbalance,
        actives=actives,
        mock=mock,
        parameters=parameters or {},
    )
    note = _MethodNote(name, options, oneway, tuple(throws))

    def mark(function: F) -> F:
        setattr(function, _METHOD, note)
        return function

    return mark


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """One method of an interface: Python's `name`, Java's `signature`."""

    name: str
    signature: Signature
    parameters: tuple[str, ...]
    defaults: Mapping[str, Value] = field(default_factory=dict[str, Value])
    options: Options = field(default_factory=Options)
    oneway: bool = False

    def arrange(self, args: tuple[Value, ...], kwargs: Mapping[str, Value]) -> Sequence[Value]:
        """The arguments of a call in their order.

        Raises:
            TypeError: they do not fit the parameters, as for any Python function.
        """
        names = self.parameters
        if not kwargs and len(args) == len(names):
            return args
        if len(args) > len(names):
            raise TypeError(f"{self.name}() takes {len(names)} arguments, not {len(args)}")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                raise TypeError(f"{self.name}() got two values for {name!r}")
            if name not in names:
                raise TypeError(f"{self.name}() has no parameter {name!r}")
            given[name] = value
        missing = [name for name in names if name not in given and name not in self.defaults]
        if missing:
            raise TypeError(f"{self.name}() needs {', '.join(map(repr, missing))}")
        return [given[name] if name in given else self.defaults[name] for name in names]


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """A Dubbo interface as it was declared, with the classes that its hints reach."""

    key: ServiceKey
    methods: Mapping[str, Method]
    registry: TypeRegistry


def read_interface(cls: object) -> Interface:
    """What `service` declared, on `cls` or on a class that it implements.

    Raises:
        UsageError: nothing is declared, or a method has hints that no Java type fits.
    """
    declared = _declaring_class(cls)
    note: _ServiceNote = declared.__dict__[_SERVICE]
    functions = {
        name: function
        for base in reversed(declared.__mro__)
        if base.__module__ not in ("builtins", "typing", "abc")
        for name, function in vars(base).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    if not functions:
        raise UsageError(f"{declared.__name__} declares {note.key} but has no methods")
    notes = {name: _note_of(function) for name, function in functions.items()}
    throws = {thrown for each in notes.values() for thrown in each.throws}
    hints = {name: _hints(declared, function) for name, function in functions.items()}
    registry = TypeRegistry((*note.types, *throws))
    methods = {
        name: _read_method(
            f"{declared.__name__}.{name}", function, hints[name], notes[name], registry
        )
        for name, function in functions.items()
    }
    seen: dict[tuple[str, str], str] = {}
    for each in methods.values():
        java = (each.signature.name, each.signature.types)
        if java in seen:
            raise UsageError(
                f"{declared.__name__}.{seen[java]} and .{each.name} are the same Java method "
                f"{each.signature}; give one another name=..."
            )
        seen[java] = each.name
    return Interface(note.key, methods, registry)


def _declaring_class(cls: object) -> type:
    if not isinstance(cls, type):
        raise UsageError(f"{cls!r} is no class; pass the class that @kubbo.service decorates")
    for base in cls.__mro__:
        if _SERVICE in vars(base):
            return base
    raise UsageError(
        f"{cls.__name__} is no Dubbo interface: decorate it, or a class that it inherits from, "
        'with @kubbo.service("com.example.Name")'
    )


def _note_of(function: object) -> _MethodNote:
    note: _MethodNote | None = getattr(function, _METHOD, None)
    return note or _MethodNote(None, Options(), oneway=False, throws=())


def _hints(cls: type, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"{cls.__name__}.{function.__name__}: the hints name {error.name!r}, which is not "
            "defined in its module; define it at the top level, before the channel or server"
        ) from error


def _read_method(
    where: str,
    function: Callable[..., Any],
    hints: Mapping[str, Any],
    note: _MethodNote,
    registry: TypeRegistry,
) -> Method:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(f"{where}: Java has no *{parameter.name}; name each parameter")
        if parameter.name not in hints:
            raise UsageError(f"{where}: the parameter {parameter.name!r} needs a type hint")
    if "return" not in hints:
        raise UsageError(f"{where}: the result needs a type hint; -> None is Java's void")
    returns = hints["return"]
    try:
        signature = Signature(
            note.name or _camel_case(function.__name__),
            tuple(registry.type_of(hints[parameter.name]) for parameter in parameters),
            None if returns is type(None) else registry.type_of(returns),
        )
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return Method(
        function.__name__,
        signature,
        tuple(parameter.name for parameter in parameters),
        {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.default is not parameter.empty
        },
        note.options,
        note.oneway,
    )


def _camel_case(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in tail)
