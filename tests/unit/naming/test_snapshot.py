"""Snapshots: what is written is read again, and what must not be believed is refused."""

from __future__ import annotations

import asyncio
import os
import random
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from kubbo.errors import ConfigError
from kubbo.model import Endpoint
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution
from kubbo.naming.snapshot import DAY, SnapshotError, SnapshotFile, SnapshotResolver
from kubbo.naming.target import parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kubbo.naming.resolution import Publish

TARGET = "kubernetes:///greeter.shop:dubbo"
SOURCE = "https://10.96.0.1:443 shop dubbo"
NOW = 1_800_000_000.0
ENDPOINTS = (
    Endpoint("10.0.0.1", 20880, 100, "zone-a", "node-1", labels=(("version", "v1"),)),
    Endpoint("fd00::1", 20881, 0, serving=True, ready=False, terminating=True),
)
REFUSED = Failed(OSError("connection refused"))


@pytest.fixture
def file(tmp_path: Path) -> SnapshotFile:
    return SnapshotFile(tmp_path / "snapshots", TARGET, SOURCE)


def test_what_is_written_is_read(file: SnapshotFile) -> None:
    """Every field of every endpoint comes back, with the age of the view."""
    file.write(ENDPOINTS, NOW)
    assert file.read(NOW + 60.0) == (ENDPOINTS, 60.0)


def test_nobody_else_may_read_it(file: SnapshotFile) -> None:
    """Mode 0600, in a directory of mode 0700, whatever the umask."""
    before = os.umask(0)
    try:
        file.write(ENDPOINTS, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_write_replaces_and_leaves_nothing_else(file: SnapshotFile) -> None:
    """There is one file after any number of writes."""
    for number in range(3):
        file.write(ENDPOINTS[:1], NOW + number)
    assert file.read(NOW + 2)[1] == 0.0
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_write_that_fails_leaves_the_old_file(file: SnapshotFile) -> None:
    """Too large, say: the last snapshot stays, and no half of a new one."""
    file.write(ENDPOINTS, NOW)
    with pytest.raises(SnapshotError, match="too many"):
        file.write((Endpoint("h" * 200, 1),) * 20_001, NOW)
    assert file.read(NOW)[0] == ENDPOINTS
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("kubernetes:///greeter.shop:tri", SOURCE),
        (TARGET, "https://10.96.0.1:443 other dubbo"),
        ("../../etc/passwd", SOURCE),
        ("a" * 10_000, "\x00/\n"),
    ],
)
def test_another_question_is_another_file(
    tmp_path: Path, file: SnapshotFile, target: str, source: str
) -> None:
    """Target, cluster and namespace are in the name, which is a hash and stays in its place."""
    other = SnapshotFile(tmp_path / "snapshots", target, source)
    assert other.path != file.path
    other.write(ENDPOINTS, NOW)
    assert other.path.parent == file.path.parent
    assert len(other.path.name) < 64
    with pytest.raises(SnapshotError, match="there is no snapshot"):
        file.read(NOW)


def test_a_renamed_file_is_refused(tmp_path: Path, file: SnapshotFile) -> None:
    """The content says what it is of; the name alone proves nothing."""
    other = SnapshotFile(tmp_path / "snapshots", "kubernetes:///other.shop", SOURCE)
    other.write(ENDPOINTS, NOW)
    other.path.rename(file.path)
    with pytest.raises(SnapshotError, match=r"it is of kubernetes:///other\.shop"):
        file.read(NOW)


def test_every_truncation_is_refused(file: SnapshotFile) -> None:
    """Cut short at any byte, a file is damaged, and says so."""
    file.write(ENDPOINTS, NOW)
    whole = file.path.read_bytes()
    for length in range(len(whole)):
        file.path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match="damaged or cut short"):
            file.read(NOW)


def test_every_flipped_bit_is_refused(file: SnapshotFile) -> None:
    """A damaged disk cannot redirect a call."""
    file.write(ENDPOINTS, NOW)
    whole = file.path.read_bytes()
    rng = random.Random(1)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        file.path.write_bytes(bytes(damaged))
        with pytest.raises(SnapshotError):
            file.read(NOW)


def write_body(file: SnapshotFile, **changes: object) -> None:
    """A file with a right checksum over wrong content."""
    from hashlib import sha256

    content = {
        "version": 1,
        "target": TARGET,
        "source": SOURCE,
        "at": NOW,
        "endpoints": [{"host": "10.0.0.1", "port": 1}],
        **changes,
    }
    body = msgspec.json.encode(content)
    file.path.parent.mkdir(mode=0o700, exist_ok=True)
    file.path.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
    file.path.chmod(0o600)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"endpoints": []}, "no address"),
        ({"endpoints": [{"host": "h", "port": 1}] * 2}, "one twice"),
        ({"endpoints": [{"host": "", "port": 1}]}, "it lists ''"),
        ({"endpoints": [{"host": "h", "port": 0}]}, "port 0"),
        ({"endpoints": [{"host": "h", "port": 65536}]}, "port 65536"),
        ({"endpoints": [{"host": "h", "port": 1, "weight": -1}]}, "weight -1"),
        ({"endpoints": [{"host": "h", "port": "1"}]}, "no snapshot"),
        ({"endpoints": "x"}, "no snapshot"),
        ({"unknown": 1}, "no snapshot"),
        ({"at": "now"}, "no snapshot"),
    ],
)
def test_wrong_content_is_refused(
    file: SnapshotFile, changes: dict[str, object], reason: str
) -> None:
    """Whoever can make a checksum still has to write what makes sense."""
    write_body(file)
    assert file.read(NOW)[0] == (Endpoint("10.0.0.1", 1),)
    write_body(file, **changes)
    with pytest.raises(SnapshotError, match=reason):
        file.read(NOW)


def test_a_file_of_yesterday_is_refused(file: SnapshotFile) -> None:
    """After a day the addresses belong to somebody else; the limit can be set."""
    file.write(ENDPOINTS, NOW)
    assert file.read(NOW + DAY)
    with pytest.raises(SnapshotError, match="86401 s ago, the limit is 86400 s"):
        file.read(NOW + DAY + 1)
    shorter = SnapshotFile(file.path.parent, TARGET, SOURCE, longest_age=60.0)
    with pytest.raises(SnapshotError, match="the limit is 60 s"):
        shorter.read(NOW + 61)


def test_a_file_of_tomorrow_is_refused(file: SnapshotFile) -> None:
    """A clock that is minutes off is forgiven, one that is hours off is not."""
    file.write(ENDPOINTS, NOW)
    assert file.read(NOW - 60) == (ENDPOINTS, 0.0)
    with pytest.raises(SnapshotError, match="in the future"):
        file.read(NOW - 3600)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(file: SnapshotFile, mode: int) -> None:
    """Whoever may write it may redirect calls; the message has the command that heals it."""
    file.write(ENDPOINTS, NOW)
    file.path.chmod(mode)
    with pytest.raises(SnapshotError, match="chmod go-w"):
        file.read(NOW)


def test_a_directory_that_others_may_write_is_refused(file: SnapshotFile) -> None:
    """There a file could be replaced; nothing is read and nothing written."""
    file.write(ENDPOINTS, NOW)
    file.path.parent.chmod(0o777)
    with pytest.raises(SnapshotError, match="chmod go-w"):
        file.read(NOW)
    with pytest.raises(SnapshotError, match="chmod go-w"):
        file.write(ENDPOINTS, NOW)


def test_a_file_of_another_user_is_refused(file: SnapshotFile) -> None:
    """Nobody follows what somebody else wrote, not even root; and nobody writes beside it."""
    file.write(ENDPOINTS, NOW)
    another = SnapshotFile(file.path.parent, TARGET, SOURCE, owner=os.geteuid() + 1)
    with pytest.raises(SnapshotError, match=f"belongs to user {os.geteuid()}"):
        another.read(NOW)
    with pytest.raises(SnapshotError, match=f"belongs to user {os.geteuid()}"):
        another.write(ENDPOINTS, NOW)


def test_a_link_is_refused(file: SnapshotFile, tmp_path: Path) -> None:
    """A link could lead to any file of ours."""
    file.write(ENDPOINTS, NOW)
    elsewhere = tmp_path / "elsewhere"
    file.path.rename(elsewhere)
    file.path.symlink_to(elsewhere)
    with pytest.raises(SnapshotError, match="refused"):
        file.read(NOW)


def test_what_is_no_file_is_refused(file: SnapshotFile) -> None:
    """A pipe does not make the reader wait, a directory is none."""
    file.path.parent.mkdir(mode=0o700)
    os.mkfifo(file.path, 0o600)
    with pytest.raises(SnapshotError, match="no regular file"):
        file.read(NOW)
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(SnapshotError, match="no regular file"):
        file.read(NOW)


def test_a_huge_file_is_refused(file: SnapshotFile) -> None:
    """It is not read to its end first."""
    file.write(ENDPOINTS, NOW)
    with file.path.open("wb") as opened:
        opened.truncate(1 << 40)
    with pytest.raises(SnapshotError, match="larger than"):
        file.read(NOW)


# ------------------------------------------------------------------ the resolver
class Source:
    """A resolver that says what it is told to, then what the test says."""

    def __init__(self, *first: Resolution) -> None:
        self.first = first
        self.say: Publish | None = None

    async def watch(self, publish: Publish, /) -> None:
        self.say = publish
        for said in self.first:
            publish(said)
        await asyncio.Event().wait()


def wrap(source: Source, file: SnapshotFile) -> SnapshotResolver:
    async def opened() -> SnapshotFile:
        return file

    return SnapshotResolver(source, opened, wall=lambda: NOW)


async def watch_until(
    resolver: SnapshotResolver, true: Callable[[list[Resolution]], bool]
) -> list[Resolution]:
    """What is published until a condition holds; files have no events, so it is polled."""
    seen: list[Resolution] = []
    watch = asyncio.create_task(resolver.watch(seen.append))
    try:
        async with asyncio.timeout(20):
            while not (seen and true(seen)):  # noqa: ASYNC110 - files have no events
                await asyncio.sleep(0.01)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    return seen


async def test_members_are_written(file: SnapshotFile) -> None:
    """What the source finds is on the disk, soon and without a call's doing."""
    members = Members(ENDPOINTS)
    seen = await watch_until(wrap(Source(Pending(), members), file), lambda _: file.path.exists())
    assert seen == [Pending(), members]
    assert file.read(NOW) == (ENDPOINTS, 0.0)


async def test_stale_members_are_not_written(file: SnapshotFile) -> None:
    """The file's age is that of the view: what is not confirmed does not make it younger."""
    source = Source(Members(ENDPOINTS, stale_since=1.0))
    resolver = wrap(source, file)
    await watch_until(resolver, bool)
    assert not file.path.exists()


async def test_a_cold_start_reads(file: SnapshotFile) -> None:
    """A source that fails and never had members is replaced by the snapshot, marked stale; its
    failure is not heard before, or the first call would fail."""
    file.write(ENDPOINTS, NOW - 60)
    loop = asyncio.get_running_loop()
    seen = await watch_until(
        wrap(Source(Pending(), REFUSED), file), lambda seen: isinstance(seen[-1], Members)
    )
    pending, members = seen
    assert pending == Pending()
    assert isinstance(members, Members)
    assert members.endpoints == ENDPOINTS
    assert members.stale_since is not None
    assert 59 < loop.time() - members.stale_since < 80
    assert str(file.path) in members.steps[0].note


async def test_a_source_that_says_nothing_is_not_waited_for(file: SnapshotFile) -> None:
    """A black hole in place of the API server: after 3 s the snapshot is used."""
    file.write(ENDPOINTS, NOW - 60)
    seen = await watch_until(
        wrap(Source(Pending()), file), lambda seen: isinstance(seen[-1], Members)
    )
    assert seen[0] == Pending()


async def test_the_source_takes_over_when_it_answers(file: SnapshotFile) -> None:
    """Members or Absent, as soon as the source knows; and it is never read again."""
    file.write(ENDPOINTS, NOW - 60)
    source = Source(REFUSED)
    resolver = wrap(source, file)
    absent = Absent("there is none")

    def go_on(seen: list[Resolution]) -> bool:
        if isinstance(seen[-1], Members):
            assert source.say is not None
            source.say(absent)
            source.say(REFUSED)
        return len(seen) > 1 and seen[-1] is REFUSED and seen[-2] is absent

    await watch_until(resolver, go_on)


async def test_a_refused_file_is_told(file: SnapshotFile, caplog: pytest.LogCaptureFixture) -> None:
    """The failure's funnel and the log say why the snapshot was not used."""
    file.write(ENDPOINTS, NOW - 2 * DAY)
    (failed,) = await watch_until(wrap(Source(REFUSED), file), bool)
    assert isinstance(failed, Failed)
    assert failed.error is REFUSED.error
    assert "the limit is" in failed.steps[-1].note
    assert "the limit is" in caplog.text


async def test_a_foreign_file_is_told(file: SnapshotFile) -> None:
    """The failure says whose it is."""
    file.write(ENDPOINTS, NOW)
    foreign = SnapshotFile(file.path.parent, TARGET, SOURCE, owner=os.geteuid() + 1)
    (failed,) = await watch_until(wrap(Source(REFUSED), foreign), bool)
    assert isinstance(failed, Failed)
    assert "belongs to user" in failed.steps[-1].note


async def test_a_bug_of_the_keeper_is_told_and_holds_nothing_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever reading a snapshot raises, the source's own failure is heard."""

    class Broken(SnapshotFile):
        def read(self, now: float) -> tuple[tuple[Endpoint, ...], float]:
            raise ZeroDivisionError(now)

    seen = await watch_until(wrap(Source(REFUSED), Broken(tmp_path, TARGET, SOURCE)), bool)
    assert seen == [REFUSED]
    assert "no snapshot is kept any more" in caplog.text


async def test_a_disk_that_takes_nothing_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Members are published all the same; the log says what is wrong, once."""
    (tmp_path / "file").touch()
    file = SnapshotFile(tmp_path / "file" / "snapshots", TARGET, SOURCE)
    members = Members(ENDPOINTS)
    seen = await watch_until(wrap(Source(members), file), lambda _: bool(caplog.records))
    assert seen == [members]
    (record,) = caplog.records
    assert "cannot be written" in record.message


async def test_it_is_a_resolver(file: SnapshotFile) -> None:
    """It passes the checks that every resolver has to pass, warm and cold."""
    found = Members(ENDPOINTS[:1])
    await check_resolver(
        lambda: wrap(Source(Pending(), found), file), until=lambda said: said == found
    )
    file.write(ENDPOINTS[:1], NOW)
    await check_resolver(
        lambda: wrap(Source(Pending(), REFUSED), file),
        until=lambda said: isinstance(said, Members),
    )


async def test_a_consumer_without_credentials_says_so(tmp_path: Path) -> None:
    """Where there is no cluster to ask, the file is not guessed; the mistake is told."""
    context = NamingContext(
        kubeconfig=tmp_path / "gone", environ={"KUBBO_SNAPSHOT_DIR": str(tmp_path / "s")}
    )
    async with context:
        seen: list[Resolution] = []
        await open_resolver(parse_target(TARGET), context).watch(seen.append)
    assert isinstance(seen[-1], Failed)
    assert isinstance(seen[-1].error, ConfigError)


def test_where_snapshots_are(tmp_path: Path) -> None:
    """By argument, by environment, or nowhere; static targets have none."""
    assert NamingContext(environ={}).snapshot_directory is None
    named = NamingContext(environ={"KUBBO_SNAPSHOT_DIR": str(tmp_path)})
    assert named.snapshot_directory == tmp_path
    both = NamingContext(
        environ={"KUBBO_SNAPSHOT_DIR": "/nowhere"}, snapshot_directory=str(tmp_path)
    )
    assert both.snapshot_directory == tmp_path
    for target, keeps in ((TARGET, True), ("dns:///greeter:1", True), ("static:///h:1", False)):
        assert ("SnapshotResolver" in repr(open_resolver(parse_target(target), named))) is keeps
