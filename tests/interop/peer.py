"""The Dubbo Java peer: start it, call it, let it call, stop it.

`JavaProvider` serves the interfaces of tests/interop/java, `JavaCaller` is a Dubbo consumer that
a test drives, `HessianLite` is Java's codec without a connection. Each is one JVM, which takes
one to four seconds to start: share it among tests (the fixtures `java_provider`, `java_caller`)
unless a test is about its end.

The first two are context managers, of both kinds (see `process`).

    async with JavaProvider() as provider, JavaCaller() as caller:
        answer = await caller.call(
            provider.address, "com.example.GreetService:1.0.0", "greet", {"id": 1, "name": "Ann"}
        )
        assert answer.value == f"Hello Ann (1) from java {provider.address}"

Two of Dubbo's habits are undone here. It replaces 127.0.0.1 in the address of a provider by the
machine's own, unless it finds no network card: it is told to ignore them all, and given a hosts
file in which the machine's name is 127.0.0.1. And it waits ten seconds before it ends: it is
told to wait a millisecond, which `shutdown_wait` changes.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import json
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.process import PeerCaller, PeerFailed, PeerMissing, PeerProcess, end_of

from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "Answer",
    "Echo",
    "HessianLite",
    "JavaCaller",
    "JavaException",
    "JavaProvider",
    "PeerFailed",
    "PeerMissing",
    "RandomValue",
    "Verdict",
    "command",
    "home",
]

BUILD = Path(__file__).parent / "java" / "build.sh"
DUBBO = "3.3.6"
# hessian-lite 3.2 sets private fields of the JDK, which Java 17 allows to who asks for it.
OPENED = [
    option
    for package in ("java.lang", "java.math", "java.util", "java.util.concurrent.atomic")
    for option in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")
]
MAIN = "com.example.interop.peer.Main"


class JavaException(Exception):  # noqa: N818 - it stands for a Java exception
    """What a call threw on the Java side.

    Attributes:
        class_name: like `com.example.interop.BizException`.
        message: its message, None if it has none.
        code: of an RpcException: 1 network, 2 timeout, 3 business, 4 forbidden, 5 serialization;
            None for other classes.
        fields: its own fields, in the notation of `java`.
        java: the exception as the peer's `Describe` tells it.
        stack: the innermost frames.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(f"{answer['exception']}: {answer['message']}")
        self.class_name: str = answer["exception"]
        self.message: str | None = answer["message"]
        self.code: int | None = answer.get("code")
        self.java: dict[str, Any] = answer["java"]
        self.fields: dict[str, Any] = self.java.get("throwable", {})
        self.stack: list[str] = answer["stack"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call returned.

    `value` is plain JSON: an object is a dict with "class", octets are hex, an enum is its name,
    a date its milliseconds; NaN and the infinities are strings. `java` keeps all types (README).
    """

    value: Any
    class_name: str | None
    java: Any
    attachments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Echo:
    """A named case that went to a provider and came back.

    `same` says that the provider answered as a Java provider would; all others are descriptions.
    `expected` differs from `sent` where hessian-lite itself loses something.
    """

    same: bool
    method: str
    sent: Any
    expected: Any
    got: Any


@dataclass(frozen=True, slots=True)
class RandomValue:
    """Octets that hessian-lite wrote, and what it reads from them."""

    octets: bytes
    java: Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """What hessian-lite reads from octets, and what it would write for that; or why it cannot."""

    java: Any = None
    octets: bytes = b""
    error: str = ""


@functools.cache
def home(dubbo: str = DUBBO) -> Path:
    """The directory with the peer on this version of Dubbo; builds it if it is not there.

    Raises:
        PeerMissing: it cannot be built.
    """
    built = subprocess.run([BUILD, dubbo], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise PeerMissing(end_of(built.stderr))
    return Path(built.stdout.strip())


def command(
    mode: str,
    *arguments: str,
    properties: Mapping[str, str] | None = None,
    dubbo: str = DUBBO,
) -> list[str]:
    """The command line of one mode of the peer.

    Raises:
        PeerMissing: it cannot be built.
    """
    where = home(dubbo)
    settings = {
        "user.timezone": "UTC",
        "user.language": "en",
        "dubbo.network.interface.ignored": ".*",
        "dubbo.service.shutdown.wait": "1",
        # Of a registry only the applications are asked for, never the interfaces.
        "dubbo.application.service-discovery.migration": "FORCE_APPLICATION",
        **(properties or {}),
    }
    return [
        "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xmx512m",
        *(OPENED if dubbo.startswith("3.2.") else ()),
        *(f"-D{name}={value}" for name, value in settings.items()),
        "-cp",
        f"{where}/peer.jar:{where}/lib/*",
        MAIN,
        mode,
        *arguments,
    ]


def _java(
    files: Path, mode: str, *arguments: str, properties: Mapping[str, str], dubbo: str
) -> list[str]:
    """The command line of a running peer, with a home directory and a hosts file of its own."""
    hosts = files / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
    # Dubbo keeps what it has learned in the home directory, and reads it at the next start.
    own = {"jdk.net.hosts.file": str(hosts), "user.home": str(files)}
    return command(mode, *arguments, properties=own | dict(properties), dubbo=dubbo)


class JavaProvider(PeerProcess):
    """A Dubbo Java provider.

    It serves `com.example.GreetService:1.0.0`, `eu/com.example.GreetService:2.0.0` and
    `com.example.interop.EchoService`, and, as every Dubbo provider, its MetadataService.

    Attributes:
        port: its port; a free one unless another was asked for.
        address: `HOST:PORT`, what its greetings name as long as it is called there.
    """

    def __init__(
        self,
        port: int = 0,
        host: str | None = None,
        *,
        shutdown_wait: float = 0.001,
        properties: Mapping[str, str] | None = None,
        dubbo: str = DUBBO,
    ) -> None:
        """Prepare, without starting yet.

        Args:
            port: 0 takes a free one.
            host: the only address that is bound, and it must not start with 127, which Dubbo
                takes for "every address"; None binds every address.
            shutdown_wait: how many seconds it goes on after SIGTERM.
            properties: Java system properties, like `dubbo.provider.threads`; for TLS
                `dubbo.protocol.ssl-enabled`, `dubbo.ssl.server-key-cert-chain-path` and
                `dubbo.ssl.server-private-key-path`.
            dubbo: version of Dubbo.
        """
        super().__init__("java provide")
        wait_ms = str(max(1, round(shutdown_wait * 1000)))
        self._asked_port = port
        self._arguments = [host] if host else []
        self._properties = {"dubbo.service.shutdown.wait": wait_ms, **(properties or {})}
        self._dubbo = dubbo
        self.host = host or "127.0.0.1"
        self.port = port

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        arguments = str(self._asked_port), *self._arguments
        return _java(files, "provide", *arguments, properties=self._properties, dubbo=self._dubbo)

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"{self.host}:{self.port}"

    def start(self) -> dict[str, Any]:
        """Start, and wait until it serves."""
        ready = super().start()
        self.port = ready["port"]
        return ready


class JavaCaller(PeerCaller):
    """A Dubbo Java consumer. Calls may run side by side, from any thread and any event loop."""

    def __init__(self, *, properties: Mapping[str, str] | None = None, dubbo: str = DUBBO) -> None:
        super().__init__("java call")
        self._properties = properties or {}
        self._dubbo = dubbo

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        return _java(files, "call", properties=self._properties, dubbo=self._dubbo)

    async def ask(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Send one line and wait for its answer. Cancelled, it leaves Java's call to its end.

        Raises:
            JavaException: what the call threw.
            PeerFailed: the JVM ended.
        """
        answer = await asyncio.wrap_future(self.submit(line))
        if not answer["ok"]:
            raise JavaException(answer)
        return answer

    async def call(
        self,
        address: str,
        service: str,
        method: str,
        *arguments: Any,
        types: Sequence[str] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - Dubbo's own, it goes to the provider
        attachments: Mapping[str, Any] | None = None,
        oneway: bool = False,
        generic: bool | str = False,
        via: str | None = None,
        application: str = "",
        revision: str = "",
        parameters: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call a provider as Java code with a typed reference would; never retried.

        Args:
            address: `HOST:PORT`.
            service: a service key, `[group/]interface[:version]`.
            method: Java's name.
            arguments: plain JSON, made into what the method declares (octets are hex, a date its
                milliseconds). Where it declares Object, `{"class": C, ...}` makes an object.
            types: parameter types in Java's notation; needed for overloads and generic calls.
            timeout: seconds until Dubbo gives up.
            attachments: sent along.
            oneway: wants no answer; the value is None.
            generic: call `$invoke` without the interface; objects are maps then. "bean": in bean
                form, from objects of the types and back to objects.
            via: "$invokeAsync" instead.
            application: find it by its name, in a registry that lists `address` (or several, with
                commas) and `revision` for it, and no interfaces.
            revision: of the application's metadata, which is asked for at the address.
            parameters: of the reference, like `{"serialization": "fastjson2"}`.

        Raises:
            JavaException: what the provider threw, or Dubbo's RpcException.
            PeerFailed: the JVM ended.
        """
        answer = await self.ask(
            {
                **_reference(address, service, timeout, parameters),
                "registry": _registry(address, application, revision),
                "providedBy": application,
                "method": method,
                "args": arguments,
                "types": types,
                "attachments": attachments,
                "oneway": oneway,
                "generic": generic,
                "via": via,
            }
        )
        return Answer(answer["value"], answer["class"], answer["java"], answer["attachments"])

    async def echo(
        self,
        address: str,
        case: str,
        *,
        untyped: bool = False,
        timeout: float = 10.0,  # noqa: ASYNC109 - as in call
        service: str = "com.example.interop.EchoService",
    ) -> Echo:
        """Send a named case through its echo method of a provider of EchoService.

        `untyped` sends it through `echoObject`, where nothing is declared.

        Raises:
            JavaException: what the provider threw, or Dubbo's RpcException.
            PeerFailed: the JVM ended.
        """
        line = {"cmd": "echo", "case": case, "untyped": untyped}
        answer = await self.ask(line | _reference(address, service, timeout, None))
        return Echo(**{name: answer[name] for name in Echo.__slots__})

    async def cases(self) -> dict[str, str]:
        """The names of the cases that `echo` can send, each with its method."""
        return dict((await self.ask({"cmd": "cases"}))["cases"])

    async def bench(
        self, address: str, *, calls: int, inflight: int, warmup: int | None = None
    ) -> dict[str, float]:
        """Measure `greet` of GreetService 1.0.0: calls_per_second, cpu_us_per_call, p50_ms, p99_ms.

        `warmup` calls go before it, as many as `calls` unless told. The JVM of a fixture stops at
        its first compiler: for figures to quote, start one with
        `JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=4`.
        """
        line = {"cmd": "bench", "calls": calls, "inflight": inflight}
        line["warmup"] = calls if warmup is None else warmup
        line |= _reference(address, "com.example.GreetService:1.0.0", 10.0, None)
        return await self.ask(line)


def _reference(
    address: str, service: str, timeout: float, parameters: Mapping[str, str] | None
) -> dict[str, Any]:
    key = ServiceKey.parse(service)
    return {
        "url": f"dubbo://{address}",
        "interface": key.interface,
        "group": key.group,
        "version": key.version,
        "timeout": round(timeout * 1000),
        "parameters": parameters,
    }


def _registry(addresses: str, application: str, revision: str) -> str:
    """The registry that `ListedDiscovery` stands for; its host and port tell it from others."""
    if not application:
        return ""
    first = addresses.partition(",")[0]
    return (
        f"listed://{first}?app={application}&instances={addresses}&revision={revision}"
        "&registry-type=service&register-mode=instance&file.cache=false"
    )


@dataclass
class HessianLite:
    """Java's codec: judges octets at volume, and makes random ones. Not a running process."""

    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    dubbo: str = DUBBO

    def judge(self, octets: Iterable[bytes | tuple[bytes, str]]) -> Iterator[Verdict]:
        """A verdict for each; a pair names the declared class (`com.example.User`, `long[]`)."""

        def lines() -> Iterator[str]:
            for each in octets:
                value, declared = each if isinstance(each, tuple) else (each, "")
                yield f"{value.hex()} {declared}\n"

        for line in self._run("roundtrip", lines=lines()):
            if line["ok"]:
                yield Verdict(line["java"], bytes.fromhex(line["hex"]))
            else:
                yield Verdict(error=line["error"])

    def random(self, seed: int, count: int) -> Iterator[RandomValue]:
        """Random values of random shapes; the same ones for the same seed."""
        for line in self._run("random", str(seed), str(count), lines=iter(())):
            yield RandomValue(bytes.fromhex(line["hex"]), line["java"])

    def _run(self, mode: str, *arguments: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
        with (
            tempfile.TemporaryFile("w+") as log,
            subprocess.Popen(
                command(mode, *arguments, properties=self.properties, dubbo=self.dubbo),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="ascii",
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            stdin = process.stdin
            failures: collections.deque[BaseException] = collections.deque()

            def feed() -> None:
                try:
                    with suppress(BrokenPipeError), stdin:
                        stdin.writelines(lines)
                except BaseException as error:  # noqa: BLE001 - raised again below
                    failures.append(error)

            # A thread of its own: both pipes are full long before the last line.
            feeder = threading.Thread(target=feed, name=f"java-{mode}", daemon=True)
            feeder.start()
            try:
                for text in process.stdout:
                    yield json.loads(text)
            except BaseException:
                process.kill()
                raise
            finally:
                feeder.join()
            if failures:
                raise failures[0]
            if process.wait() != 0:
                log.seek(0)
                raise PeerFailed(f"{mode} ended early\n{end_of(log.read())}")
