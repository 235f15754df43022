"""Other people's Hessian2 codecs for bench/codec.py: processes that time themselves.

A peer reads one line of JSON and answers with one, until its stdin ends:

    {"ready": NAME AND VERSION}                                 its first line
    {"do": "load", "message": M, "hex": H, "class": C}    ->    {"hex": H}
    {"do": "encode" or "decode", "message": M, "seconds": S} -> {"us": MICROSECONDS OF CPU TIME}

An `error` in an answer tells why not. `load` decodes our bytes and encodes what it found; a Python
peer cannot always write what it reads, so it encodes what a user of it would have built, and
compares what it decoded itself. Whatever comes back must be our value again when we decode it,
or the direction is left out with the reason: wrong bytes are not timed.

The peers are hessian-lite (tests/interop/java), dubbo-go-hessian2 (tests/interop/go), hessian.js
(bench/node), and what PyPI has: python-hessian, dubbo-py, dubbo-ssl-python and dubbo-python.
mustaine, PyPI's other one, is for Python 2 and does not install. All are installed or built into
the user's cache directory.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import hashlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop import go_peer, peer as java_peer

from bench.codec_values import DIRECTIONS, MESSAGES
from kubbo.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kubbo" / "codec-peers"
PYPI = {
    "python-hessian": "1.2.0",
    "dubbo-py": "0.2.2",
    "dubbo-ssl-python": "0.9.6",
    "dubbo-python": "0.0.4",
}
NAMES = (*PYPI, "hessian.js", "dubbo-go-hessian2", "hessian-lite")
# What follows compiles while it runs: each task has to run for so long before it is timed.
WARM_UP = {"hessian.js": 1.0, "dubbo-go-hessian2": 0.5, "hessian-lite": 3.0}
# A JVM's clock of CPU time ticks every 10 ms: longer rounds, or the best one is the luckiest tick.
LONGER = {"hessian-lite": 6}
SHOWN = 160
"""Characters of a reason."""


class LeftOut(Exception):  # noqa: N818 - it names what follows from it
    """This cannot be timed here; the message is the reason."""


# ------------------------------------------------------------------ starting them


def installed(name: str, sources: str, install: Callable[[Path], list[str]]) -> Path:
    """A directory in the cache, filled by a command once for each state of `sources`."""
    home = CACHE / f"{name}-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"
    if (home / "complete").exists():
        return home
    print(f"installing {name} into the cache", file=sys.stderr)
    scratch = home.with_name(f"{home.name}.{os.getpid()}")
    scratch.mkdir(parents=True)
    try:
        done = subprocess.run(install(scratch), capture_output=True, text=True, check=False)
        if done.returncode:
            raise LeftOut(f"does not install: {(done.stderr or done.stdout).strip()[-SHOWN:]}")
        (scratch / "complete").touch()
        shutil.rmtree(home, ignore_errors=True)
        scratch.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return home


def from_pypi(name: str) -> tuple[list[str], dict[str, str]]:
    wanted = f"{name}=={PYPI[name]}"

    def install(home: Path) -> list[str]:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Their codecs need nothing else; six is what python-hessian needs.
        extra = ["six"] if name == "python-hessian" else []
        return [*pip, "--no-deps", "--target", str(home), wanted, *extra]

    home = installed(name, wanted + sys.version, install)
    return [sys.executable, "-m", "bench.codec_peers", name], {"PYTHONPATH": str(home)}


def from_npm() -> tuple[list[str], dict[str, str]]:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise LeftOut(f"{tool} is missing (https://nodejs.org)")
    package = HERE / "node" / "package.json"

    def install(home: Path) -> list[str]:
        shutil.copy(package, home)
        return ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home)]

    home = installed("hessian.js", package.read_text(), install)
    script = HERE / "node" / "codecbench.js"
    return ["node", str(script)], {"NODE_PATH": str(home / "node_modules")}


def command(name: str) -> tuple[list[str], dict[str, str]]:
    """Its command line, and what its environment needs.

    Raises:
        LeftOut: what it is built with is not there.
    """
    if name in PYPI:
        return from_pypi(name)
    if name == "hessian.js":
        return from_npm()
    try:
        if name == "dubbo-go-hessian2":
            return [str(go_peer.home() / "peer"), "codecbench"], {}
        # The last -XX wins: both compilers, which a test does without.
        line = java_peer.command("codecbench")
        return [line[0], *(o for o in line[1:] if not o.startswith("-XX:Tiered"))], {}
    except java_peer.PeerMissing as error:
        raise LeftOut(str(error).strip()[-SHOWN:]) from error


class Peer:
    """One process; it ends with its stdin."""

    def __init__(self, name: str) -> None:
        line, environment = command(name)
        self.name = name
        self.process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            self.title: str = self.read()["ready"]
        except BaseException:
            self.close()
            raise

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        if not text:
            raise LeftOut("its process ended")
        answer: dict[str, Any] = json.loads(text)
        if "error" in answer:
            raise LeftOut(answer["error"][:SHOWN])
        return answer

    def ask(self, **line: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            print(json.dumps(line), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise LeftOut("its process ended") from None
        return self.read()

    def load(
        self, message: str, data: bytes, class_name: str, same: Callable[[bytes], bool]
    ) -> dict[str, str]:
        """Have it decode our bytes and encode the value; the directions left out, with the reason.

        `same` decodes with our codec and compares.
        """
        given = {"message": message, "hex": data.hex(), "class": class_name}
        try:
            answer = self.ask(do="load", **given)
        except LeftOut as error:
            return dict.fromkeys(DIRECTIONS, str(error))
        found = {
            direction: answer[f"not_{direction}d"]
            for direction in DIRECTIONS
            if f"not_{direction}d" in answer
        }
        if "encode" in found:
            return found
        try:
            wrong = "" if same(bytes.fromhex(answer["hex"])) else "its bytes are another value"
        except DecodeError as error:
            wrong = f"its bytes are none: {error}"
        if wrong:
            # Without a judgement of its own, it may as well have decoded it wrongly.
            concerned = ("encode",) if self.name in PYPI else DIRECTIONS
            found |= dict.fromkeys(concerned, wrong[:SHOWN])
        return found

    def seconds_a_call(self, direction: str, message: str, seconds: float) -> float:
        wanted = seconds * LONGER.get(self.name, 1)
        us: float = self.ask(do=direction, message=message, seconds=wanted)["us"]
        return us / 1e6

    def warm_up(self, direction: str, message: str, *, quick: bool) -> None:
        self.seconds_a_call(
            direction,
            message,
            0.02 if quick else WARM_UP.get(self.name, 0.1) / LONGER.get(self.name, 1),
        )

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


# ------------------------------------------------------------------ the side of the Python peers


def built(value: Any, make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """The value of objects that `make` builds, from a class name and fields."""
    if dataclasses.is_dataclass(value):
        fields = {
            field.name: built(getattr(value, field.name), make)
            for field in dataclasses.fields(value)
        }
        return make(f"com.example.bench.{type(value).__name__}", fields)
    if isinstance(value, list):
        return [built(each, make) for each in value]
    return value


def plain(value: Any) -> Any:
    """What a peer decoded, as dicts, lists and scalars."""
    if hasattr(value, "_asdict"):  # an object of dubbo-py
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return {
        name: plain(each) for name, each in vars(value).items() if not name.startswith("_hessian")
    }


Codec = tuple["Callable[[Any], Any] | None", "Callable[[bytes], Any]", Any]
"""Encode and decode, and what makes an object."""


def python_hessian() -> Codec:
    from pyhessian.parser import Parser

    def decode(data: bytes) -> Any:
        # It reads whole messages only: version, and that a reply follows.
        return Parser().parse_string(b"H\x02\x00R" + data).value

    return None, decode, lambda _, fields: fields


def dubbo_py() -> Codec:
    long = importlib.import_module("dubbo").long
    codec = importlib.import_module("dubbo.codec.hessian2")

    def make(name: str, fields: dict[str, Any]) -> Any:
        if "id" in fields:
            fields["id"] = long(fields["id"])
        return codec.new_object(name, **fields)

    def decode(data: bytes) -> Any:
        return codec.Decoder(io.BytesIO(data))._read_object()

    return lambda value: codec.encode_object(value, 0, []), decode, make


def apache_fork(package: str) -> Codec:
    """dubbo-ssl-python and dubbo-python are both forks of one codec."""
    encoder = importlib.import_module(f"{package}.codec.encoder")
    decoder = importlib.import_module(f"{package}.codec.decoder")

    def encode(value: Any) -> bytes:
        body = encoder.Request({})._encode_single_value(value)
        for i in range(len(body)):  # as its own _encode_request_body does
            body[i] &= 0xFF
        return bytes(body)

    return encode, lambda data: decoder.Response(data).read_next(), encoder.Object


CODECS: dict[str, Callable[[], Codec]] = {
    "python-hessian": python_hessian,
    "dubbo-py": dubbo_py,
    "dubbo-ssl-python": lambda: apache_fork("dubbo_ssl"),
    "dubbo-python": lambda: apache_fork("dubbo"),
}
ENCODES_VERSION_1 = "it reads Hessian 2 and writes Hessian 1"


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:SHOWN]


def serve(name: str) -> None:
    """Answer lines, as the head of this module tells them, with two additions: `load` may answer
    with `not_encoded` or `not_decoded`, the reason for one direction."""
    encode, decode, make = CODECS[name]()
    todo: dict[tuple[str, str], Callable[[], Any]] = {}
    print(json.dumps({"ready": f"{name} {PYPI[name]}"}), flush=True)
    for text in sys.stdin:
        line = json.loads(text)
        message, direction = line["message"], line["do"]
        answer: dict[str, Any] = {}
        if direction == "load":
            data, value = bytes.fromhex(line["hex"]), MESSAGES[message][0]
            try:
                same = plain(decode(data)) == built(value, lambda _, fields: fields)
                todo["decode", message] = functools.partial(decode, data)
            except Exception as error:  # noqa: BLE001 - whatever it raises is the reason
                answer["not_decoded"] = reason(error)
            else:
                if not same:
                    answer["not_decoded"] = "what it decodes is not what was encoded"
            if encode is None:
                answer["not_encoded"] = ENCODES_VERSION_1
            else:
                try:
                    theirs = built(value, make)
                    answer["hex"] = encode(theirs).hex()
                    todo["encode", message] = functools.partial(encode, theirs)
                except Exception as error:  # noqa: BLE001 - likewise
                    answer["not_encoded"] = reason(error)
        else:
            task, count, elapsed = todo[direction, message], 0, 0.0
            began = time.process_time()
            while elapsed < line["seconds"]:
                for _ in range(1 if elapsed == 0 or elapsed / count > 1e-3 else 64):
                    task()
                    count += 1
                elapsed = time.process_time() - began
            answer["us"] = elapsed / count * 1e6
        print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=PYPI)
    serve(parser.parse_args().name)


if __name__ == "__main__":
    main()
