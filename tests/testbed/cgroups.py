"""A control group of a test's own, of either version of them, that is found again when it is left.

Version 1 has a tree for each controller, version 2 one tree for all; a `ControlGroup` is the
directory of the same name in each. Nothing removes these when the processes in them have gone, so
the directory is locked for as long as its owner lives, and whoever comes next removes those that
nobody has locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE = 20.0
_TRIES = 20
_NEEDED = ("cpu", "cpuset", "memory", "pids")
_LEAF = "system"  # where the node's own processes are: version 2 wants processes in leaves only


def trees() -> list[Path]:
    """The root of each hierarchy that controls something."""
    if _is_version_2():
        return [_ROOT]
    return sorted(
        each for each in _ROOT.glob("*") if (each / "cgroup.procs").exists() and each.is_dir()
    )


class ControlGroup:
    """A group, empty and locked when this returns; `close` removes it and what is below it.

    Raises:
        OSError: control groups may not be made here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._paths = [tree / name for tree in trees()]
        self._locks: list[int] = []
        try:
            for path in self._paths:
                _delegate(path.parent)
                self._locks.append(_make_locked(path))
                _fill_cpuset(path)
                (path / _LEAF).mkdir(exist_ok=True)
                _fill_cpuset(path / _LEAF)
        except OSError:
            self._give_up()
            raise

    def lacking(self) -> list[str]:
        """Controllers that a node needs, and that are not there or not for us."""
        if _is_version_2():
            there = set((self._paths[0] / "cgroup.controllers").read_text().split())
        else:
            there = {name for path in self._paths for name in path.parent.name.split(",")}
        return [name for name in _NEEDED if name not in there]

    def joining(self) -> list[str]:
        """The beginning of a command: what follows runs in this group."""
        files = " ".join(str(path / _LEAF / "cgroup.procs") for path in self._paths)
        return ["sh", "-c", f'for file in {files}; do echo $$ > $file; done; exec "$@"', "join"]

    def processes(self) -> set[int]:
        """All processes in it and below it."""
        return {pid for path in self._paths for pid in _processes(path)}

    def stop(self) -> None:
        """Stop every process (SIGSTOP), those too that are started meanwhile."""
        stopped: set[int] = set()
        while new := self.processes() - stopped:
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            stopped |= new

    def go_on(self) -> None:
        """Let them run again."""
        for pid in self.processes():
            _signal(pid, signal.SIGCONT)

    def kill(self) -> None:
        """End every process in it; returns when they are gone.

        Raises:
            TimeoutError: some are still there after `_PATIENCE` seconds.
        """
        end = time.monotonic() + _PATIENCE
        while pids := self.processes():
            if time.monotonic() > end:
                raise TimeoutError(f"not gone {_PATIENCE} s after SIGKILL: {sorted(pids)}")
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.01)

    def close(self) -> None:
        """Kill what is left in it, and remove it.

        Raises:
            OSError: it is still in use after `_PATIENCE` seconds.
        """
        end = time.monotonic() + _PATIENCE
        while True:
            self.kill()
            try:
                for path in self._paths:
                    _remove(path)
                break
            except OSError:  # the last process has ended, and is not quite gone
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self._unlock()

    def _give_up(self) -> None:
        """Remove what was made of it when the rest cannot be."""
        for path, _ in zip(self._paths, self._locks, strict=False):
            with contextlib.suppress(OSError):
                _remove(path)
        self._unlock()

    def _unlock(self) -> None:
        while self._locks:
            os.close(self._locks.pop())


def remove_left(prefix: str) -> None:
    """Remove the groups whose name begins so and whose owner is gone."""
    for tree in trees():
        for path in tree.glob(f"{prefix}*"):
            with contextlib.suppress(FileNotFoundError):
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(path)
                except OSError:  # somebody's, or not empty yet
                    pass
                finally:
                    os.close(lock)


def _make_locked(path: Path) -> int:
    """Make a directory, and lock it; returns its descriptor.

    Until it is locked another run may take it for one that was left, and remove it.

    Raises:
        OSError: it cannot be made, or somebody else has locked it.
    """
    for _ in range(_TRIES):
        path.mkdir(exist_ok=True)
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return lock
        except (BlockingIOError, FileNotFoundError):
            time.sleep(0.05)  # whoever is about to remove it has locked it
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
    raise OSError(f"{path} is in use, or removed again and again")


def _is_version_2() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _processes(path: Path) -> set[int]:
    found: set[int] = set()
    # Groups are removed meanwhile: os.walk passes over them, where rglob would raise.
    for directory, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            file = Path(directory, "cgroup.procs")
            found |= {int(line) for line in file.read_text().split()} - {0}
    return found


def _remove(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(directory).rmdir()


def _delegate(tree: Path) -> None:
    """Version 2 gives a group those controllers that its parent hands on."""
    if _is_version_2():
        for name in _NEEDED:
            with contextlib.suppress(OSError):
                (tree / "cgroup.subtree_control").write_text(f"+{name}")


def _fill_cpuset(path: Path) -> None:
    """Version 1 makes them without processors, and takes no process before there are some."""
    if _is_version_2():
        return
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (path / name).exists():
            (path / name).write_text((path.parent / name).read_text())
