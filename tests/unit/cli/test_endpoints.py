"""Views of a target as `kubbo endpoints` shows them."""

from __future__ import annotations

import asyncio

import pytest

from kubbo.cli.endpoints import _follow, _Show
from kubbo.cli.outcome import Exit
from kubbo.errors import ConfigError, KubboError
from kubbo.model import Endpoint, Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending

READY = Endpoint("10.0.0.1", 20880, zone="a", node="n1")
LEAVING = Endpoint("10.0.0.2", 20880, ready=False, serving=True, terminating=True)
MEMBERS = Members((READY,), (LEAVING,))


def show(*, as_json=False, everything=False, many=False):
    """What prints views of a target."""
    made = _Show(json=as_json, everything=everything, many=many)
    made.target = "kubernetes:///a.b:dubbo"
    return made


async def follow(*views, within=1.0, shown=None):
    """The exit code after these views, the last word of the resolver."""
    queue = asyncio.Queue()
    for view in (*views, None):
        queue.put_nowait(view)
    return await _follow(queue, shown or show(), within)


@pytest.mark.parametrize(
    ("views", "code"),
    [
        ([Pending(), MEMBERS], Exit.ANSWERED),
        ([Pending(), Absent("gone")], Exit.NO_PROVIDER),
        ([Pending(), Failed(KubboError("refused"))], Exit.NO_PROVIDER),
        ([Pending(), Failed(ConfigError("no kubeconfig"))], Exit.USAGE),
        ([Pending(), MEMBERS, Absent("later")], Exit.ANSWERED),
    ],
)
async def test_the_first_view_that_is_not_pending_decides(views, code):
    """What comes later is not waited for; pending is not shown."""
    assert await follow(*views) is code


async def test_watching_ends_as_the_last_view_says(capsys):
    """Without a timeout every view is printed, pending too."""
    code = await follow(Pending(), MEMBERS, Absent("gone"), within=None, shown=show(as_json=True))
    assert code is Exit.NO_PROVIDER
    states = [
        line.split('"state": ')[1].split(",")[0]
        for line in capsys.readouterr().out.split("\n")[:-1]
    ]
    assert states == ['"pending"', '"members"', '"absent"']


async def test_nothing_in_time_is_a_deadline(capsys):
    """The pending view is shown, so that a script has its object."""
    queue: asyncio.Queue = asyncio.Queue()
    queue.put_nowait(Pending())
    assert await _follow(queue, show(), 0.01) is Exit.DEADLINE
    told = capsys.readouterr()
    assert told.out == "kubernetes:///a.b:dubbo: nothing is known yet\n"
    assert "nothing is known after 0.01 s" in told.err


def test_seconds_of_staleness_are_counted_from_the_loss():
    """In seconds, to the millisecond, never negative; null while the source is healthy."""
    stale = Members((READY,), stale_since=100.0)
    assert show().as_json(stale, 101.2345)["stale_since"] == 1.234
    assert show().as_json(stale, 99.0)["stale_since"] == 0.0
    assert show().as_json(MEMBERS, 101.0)["stale_since"] is None


@pytest.mark.parametrize("view", [MEMBERS, Absent("no ready pod", (LEAVING,))])
def test_all_adds_those_that_may_not_be_called(view):
    """To a view with members, and to one without."""
    callable_now = len(view.endpoints) if isinstance(view, Members) else 0
    assert len(show().as_json(view, 0.0)["endpoints"]) == callable_now
    listed = show(everything=True).as_json(view, 0.0)["endpoints"]
    assert len(listed) == callable_now + 1
    assert listed[-1]["terminating"]
    assert not listed[-1]["ready"]


async def test_text_of_a_stale_view_says_so(capsys):
    """Whoever reads old addresses knows it."""
    now = asyncio.get_running_loop().time()
    show()(Members((READY,), (LEAVING,), stale_since=now - 60))
    title = capsys.readouterr().out.splitlines()[0]
    assert "1 endpoint, 1 more may not be called (--all); the source is lost since 60" in title


async def test_text_of_absence_is_on_both_streams(capsys):
    """The funnel and who is left on stdout, the reason on stderr; nothing moves the cursor."""
    hostile = Endpoint("10.0.0.3", 1, node="n\x1b[2J", ready=False, serving=False)
    target = "kubernetes:///a.b:dubbo"
    steps = (Step("naming", None, target), Step("service", 1), Step("conditions", 0, "\x1b[31m"))
    show(everything=True)(Absent("no ready \x07pod", (hostile,), steps))
    told = capsys.readouterr()
    assert told.out.splitlines()[:2] == [
        "kubernetes:///a.b:dubbo: no provider",
        "  service 1 > conditions 0 (\\x1b[31m)",
    ]
    assert "n\\x1b[2J" in told.out
    assert told.out.endswith("not ready (not called)\n")
    assert told.err == "kubbo: no ready \\x07pod\n"


async def test_views_that_are_watched_carry_the_time(capsys):
    """One can see when it changed."""
    show(many=True)(MEMBERS)
    first = capsys.readouterr().out.splitlines()[0]
    assert len(first) == 8
    assert first.replace(":", "").isdecimal()


SOURCE = Step("naming", None, "static:///10.0.0.1:20880, because kubernetes:///a.b cannot answer")


@pytest.mark.parametrize(
    "view",
    [
        Members((READY,), steps=(SOURCE, Step("port", 1))),
        Absent("gone", steps=(SOURCE, Step("port", 1))),
        Failed(KubboError("refused"), (SOURCE, Step("port", 1))),
    ],
)
async def test_every_view_shows_its_funnel(view, capsys):
    """As text and as JSON, the failed view too; who answers stays, where it is not the target."""
    show()(view)
    told = capsys.readouterr().out.splitlines()
    assert told[1] == f"  {SOURCE} > port 1"
    assert show().as_json(view, 0.0)["steps"] == [
        {"name": "naming", "count": None, "note": SOURCE.note},
        {"name": "port", "count": 1, "note": ""},
    ]


def test_a_view_of_which_nothing_is_known_has_no_steps():
    """Its object has the same keys as any other."""
    pending, known = (set(show().as_json(each, 0.0)) for each in (Pending(), MEMBERS))
    assert pending == known
    assert show().as_json(Pending(), 0.0)["steps"] == []
