"""Images of programs that `kubbo image` does not make: the pods' sandbox, and the Java peer.

An image is a tar archive in the layout of OCI, with one layer, made of files of this machine. It
lies in the user's cache, named after all that it is made from, so that it is made once.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.peer import MAIN, OPENED, home
from tests.testbed.processes import BedError, output_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

HERE = Path(__file__).parent
PAUSE = "testbed.local/pause:1"
JAVA = "testbed.local/java-peer:1"
_KEPT = 30 * 86_400.0  # seconds since its last use
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# All that Dubbo asks for; java.desktop has java.beans.
_MODULES = (
    *("java.compiler", "java.desktop", "java.instrument", "java.logging", "java.management"),
    *("java.naming", "java.net.http", "java.rmi", "java.security.jgss", "java.security.sasl"),
    *("java.sql", "java.xml", "jdk.crypto.ec", "jdk.unsupported", "jdk.zipfs"),
)
# The others of a JDK draw windows and play sounds.
_NATIVE = ("java", "jimage", "jli", "jvm", "management", "net", "nio", "verify", "zip", "extnet")


def pause() -> Path:
    """The archive of what a pod's sandbox runs."""
    sources = [HERE / "pause" / "main.go", HERE / "pause" / "go.mod"]

    def build(archive: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            program = Path(directory, "pause")
            _run(
                *("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"),
                *("-o", program, "."),
                directory=HERE / "pause",
            )
            _write(archive, PAUSE, {"pause": program}, ["/pause"])

    return _cached("pause", sources, build)


def java_peer() -> Path:
    """The archive of the Java peer, with the part of the machine's JDK that it needs."""
    peer = home()
    release = _jdk() / "release"

    def build(archive: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            runtime = Path(directory, "runtime")
            _run(
                *(
                    _jdk() / "bin" / "jlink",
                    "--add-modules",
                    ",".join(_MODULES),
                    "--output",
                    runtime,
                ),
                *("--strip-debug", "--no-header-files", "--no-man-pages"),
            )
            files = {f"java/{path.relative_to(runtime)}": path for path in _files(runtime)}
            native = [runtime / "bin" / "java", runtime / "lib" / "server" / "libjvm.so"]
            native += [runtime / "lib" / f"lib{name}.so" for name in _NATIVE]
            files |= _libraries([path for path in native if path.exists()])
            files |= {"peer/peer.jar": peer / "peer.jar"}
            files |= {f"peer/lib/{path.name}": path for path in _files(peer / "lib")}
            command = ["/java/bin/java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"]
            command += [*OPENED, "-Duser.home=/tmp", "-cp", "/peer/peer.jar:/peer/lib/*", MAIN]
            _write(archive, JAVA, files, command)

    return _cached("java-peer", [peer / "peer.jar", release], build)


def _jdk() -> Path:
    """The directory of the JDK that `java` belongs to."""
    java = shutil.which("java")
    directory = Path(java).resolve().parent.parent if java else None
    if directory is None or not (directory / "bin" / "jlink").exists():
        raise BedError("jlink is missing: apt-get install openjdk-17-jdk-headless")
    return directory


def _cached(name: str, sources: Sequence[Path], build: Callable[[Path], None]) -> Path:
    """What `build` made of these sources, now or at another time."""
    key = hashlib.sha256(Path(__file__).read_bytes())
    for source in sources:
        key.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubbo" / "images"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{name}-{key.hexdigest()[:16]}.tar"
    with _locked(cache / "lock"):
        if not archive.exists():
            draft = cache / f"{name}.draft"
            build(draft)
            draft.rename(archive)
        archive.touch()  # in use
        for other in cache.glob("*.tar"):
            if other.stat().st_mtime < time.time() - _KEPT:
                other.unlink()
    return archive


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path, directory: Path | None = None) -> None:
    output_of(
        *command,
        name=f"{command[0]} {command[1]}",
        directory=directory,
        environment={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
    )


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _libraries(programs: Sequence[Path]) -> dict[str, Path]:
    """The shared libraries of the machine that these files need, where their loader looks."""
    told = subprocess.run(
        ["ldd", *programs], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    ).stdout
    own = {path.name for path in programs}
    found = {
        f"usr/lib/{platform.machine()}-linux-gnu/{name}": Path(path)
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", told, re.MULTILINE)
        if name not in own
    }
    for loader in re.findall(r"^\s*(/\S*/ld-\S+) \(", told, re.MULTILINE):
        found[loader.lstrip("/")] = Path(loader)
    return found


def _write(archive: Path, name: str, files: Mapping[str, Path], command: list[str]) -> None:
    """An archive of one layer; files keep whether they can be executed, and nothing else."""
    layer = _tar({path: file.read_bytes() for path, file in files.items()}, files)
    digests = {}

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        digests[digest] = data
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    described = blob(layer, "layer.v1.tar")
    configuration = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": command, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [described["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(configuration).encode(), "config.v1+json"),
        "layers": [described],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name}
    index = {"schemaVersion": 2, "manifests": [entry]}
    top = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **{f"blobs/sha256/{digest}": data for digest, data in digests.items()},
    }
    archive.write_bytes(_tar(top, {}))


def _tar(contents: Mapping[str, bytes], origins: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            origin = origins.get(path)
            entry.mode = 0o755 if origin is None or os.access(origin, os.X_OK) else 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


if __name__ == "__main__":
    pause()
    java_peer()
