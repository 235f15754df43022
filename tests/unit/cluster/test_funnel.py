"""The funnel of calls that reached nobody: a step for each that looked, with its count."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.cluster.stage import Stage, lost, refused, unreachable
from tests.unit.cluster.view import CALL, directory, endpoints

from kubbo.cluster.balancers import RandomBalance
from kubbo.cluster.breaker import BreakerRules
from kubbo.cluster.routing import ZoneRouter
from kubbo.cluster.selection import Selection
from kubbo.cluster.subset import Subset
from kubbo.errors import Code, DeadlineExceeded, NoProvider, Progress, RemoteException, RpcError
from kubbo.model import Deadline, Endpoint, Step
from kubbo.naming.resolution import Members
from kubbo.sim.loop import run
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.directory import Directory
    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.model import Invocation


class Keep:
    """A router that keeps the first `count`, and counts how often it was asked."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.count = count
        self.asked = 0

    def classify(self, invocation: Invocation) -> Hashable:
        return None

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        self.asked += 1
        return tuple(members)[: self.count]


class Dice(Keep):
    """Throws calls to everybody and to nobody in turn."""

    thrown = 0

    def classify(self, invocation: Invocation) -> Hashable:
        self.thrown += 1
        return self.thrown % 2

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        return () if kind else tuple(members)


def selection(of: Directory, *routers: Router) -> Selection:
    return Selection(of, RandomBalance(random.Random(1)), routers, of.breaker)


def soon() -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + 60)


def texts(error: RpcError) -> list[str]:
    """The steps of an error's funnel."""
    return [str(step) for step in error.funnel]


# ------------------------------------------------------------- nobody left
async def test_each_router_that_looked_has_its_step() -> None:
    """Up to the one that leaves nobody, whom the message names; `kubbo route` comes next."""
    here, _ = directory()
    here.publish(Members(endpoints(5), steps=(Step("port", 5),)))
    routers = (Keep("first", 3), Keep("second", 0), Keep("third", 9))
    with pytest.raises(NoProvider) as caught:
        await selection(here, *routers).wait_pool(CALL, soon())
    assert texts(caught.value) == ["port 5", "routing 3 (first)", "routing 0 (second)"]
    assert "second leaves none of 3" in caught.value.message
    assert caught.value.advice == (
        "`kubbo route com.example.GreetService greet --target static:///x:1 --rules FILE` says of "
        "each why it is out"
    )


async def test_the_step_of_the_zone_router_is_zone() -> None:
    """Zones are told apart from rules."""
    here, _ = directory()
    both = (*endpoints(2, zone="a"), *endpoints(1, 2, zone="b"))
    here.publish(Members(both))
    zones = ZoneRouter("a", rng=random.Random(1))
    with pytest.raises(NoProvider) as caught:
        await selection(here, zones, Keep("none", 0)).wait_pool(CALL, soon())
    assert texts(caught.value) == ["zone 2 (zone)", "routing 0 (none)"]


async def test_the_funnel_is_of_the_kind_of_call_that_found_nobody() -> None:
    """A router that throws dice is not asked again, when it might leave somebody."""
    here, _ = directory()
    here.publish(Members(endpoints(2)))
    with pytest.raises(NoProvider, match="dice leaves none of 2") as caught:
        await selection(here, Dice("dice", 0)).wait_pool(CALL, soon())
    assert texts(caught.value) == ["routing 0 (dice)"]


async def test_a_share_of_the_endpoints_is_a_step() -> None:
    """Who is out of the subset is missing from the count."""
    here, _ = directory(subset=Subset(3, "me"))
    here.publish(Members(endpoints(6)))
    with pytest.raises(NoProvider) as caught:
        await selection(here, Keep("none", 0)).wait_pool(CALL, soon())
    assert texts(caught.value) == ["routing 3 (subset=3)", "routing 0 (none)"]


# ------------------------------------------------------------ nobody reached
def explained(error: RpcError, found: Selection) -> RpcError:
    found.explain(error, CALL)
    return error


async def test_nobody_is_connected() -> None:
    """Who is down and why, the same reasons together; in the order of the causes."""
    here, lines = directory(breaker=BreakerRules())
    here.publish(Members(endpoints(5), steps=(Step("port", 5),)))
    for line in lines.values():
        line.become(State.DOWN)
    late = list(lines.values())[2]
    late.become(State.CONNECTING)
    late.reason = "no answer"
    error = explained(unreachable(), selection(here, Keep("first", 4)))
    assert texts(error) == [
        "port 5",
        "routing 4 (first)",
        "breaker 4",
        "connection 0 (3 down: Connection refused; 1 connecting: no answer)",
    ]
    assert type(error) is RpcError
    assert str(error).endswith(
        " > connection 0 (3 down: Connection refused; 1 connecting: no answer)]; check that a "
        "provider listens on 10.0.0.0:20880, 10.0.0.1:20880, 10.0.0.2:20880, 1 more, and that "
        "nothing in between forbids it"
    )


async def test_who_is_left_out_is_named() -> None:
    """The breaker's step counts who stays, and says who does not."""
    here, lines = directory(breaker=BreakerRules(consecutive=1))
    here.publish(Members(endpoints(3)))
    for line in lines.values():
        line.become(State.DOWN)
    assert here.breaker is not None
    here.breaker.failed(here.members()[1], 1.0)
    error = explained(unreachable(), selection(here))
    assert texts(error) == [
        "breaker 2 (left out: 10.0.0.1:20880)",
        "connection 0 (2 down: Connection refused)",
    ]
    assert "listens on 10.0.0.0:20880, 10.0.0.2:20880, and" in error.advice


async def test_nobody_is_left_out_where_nobody_else_is_there() -> None:
    """Routing leaves the ejected one alone: it is called all the same, and the step says so."""
    here, lines = directory(breaker=BreakerRules(consecutive=1))
    here.publish(Members(endpoints(3)))
    for line in lines.values():
        line.become(State.DOWN)
    assert here.breaker is not None
    here.breaker.failed(here.members()[0], 1.0)
    error = explained(unreachable(), selection(here, Keep("first", 1)))
    assert texts(error)[1].startswith("breaker 1 (all of them keep failing; none is left out")
    assert texts(error)[2] == "connection 0 (1 down: Connection refused)"


async def test_a_doctor_is_called_for_a_service() -> None:
    """Of a Kubernetes target a command can say more."""
    here, lines = directory()
    here.target = "kubernetes:///greeter.shop:dubbo"
    here.publish(Members(endpoints(1)))
    for line in lines.values():
        line.become(State.DOWN)
    error = explained(unreachable(), selection(here))
    assert "`kubbo doctor kubernetes:///greeter.shop:dubbo`" in error.advice


async def test_a_reason_has_a_bound() -> None:
    """What a peer said when it closed the connection cannot fill a log."""
    here, lines = directory()
    here.publish(Members(endpoints(9)))
    for number, line in enumerate(lines.values()):
        line.reason = f"{number}" + "x" * 1_000_000
        line.become(State.DOWN)
    assert len(str(explained(unreachable(), selection(here)))) < 2_000


async def test_somebody_is_back_meanwhile() -> None:
    """The count is the truth, and the advice another one."""
    here, lines = directory()
    here.publish(Members(endpoints(2)))
    next(iter(lines.values())).become(State.DOWN)
    error = explained(unreachable(), selection(here))
    assert texts(error) == ["connection 1 (1 down: Connection refused)"]
    assert error.advice == "call again: 1 of 2 can be reached now"


@pytest.mark.parametrize("state", [State.DOWN, State.READY])
async def test_what_reached_a_provider_has_no_funnel(state: State) -> None:
    """A lost connection, a refusal and an answer are no lack of providers."""
    here, lines = directory()
    here.publish(Members(endpoints(1)))
    for line in lines.values():
        line.become(state)
    found = selection(here)
    for error in (lost(), refused(), RemoteException("com.example.E", "no")):
        assert explained(error, found).funnel == ()
    told = NoProvider("gone", funnel=(Step("service", 0),))
    assert texts(explained(told, found)) == ["service 0"]


@pytest.mark.parametrize("code", [Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED])
async def test_time_is_up_before_anybody_is_connected(code: Code) -> None:
    """Where nobody is connected that is the reason; where somebody is, it is another one."""
    here, lines = directory()
    here.publish(Members(endpoints(1)))
    found = selection(here)
    assert explained(RpcError(code, "late", progress=Progress.NOT_SENT), found).funnel == ()
    next(iter(lines.values())).become(State.CONNECTING)
    error = explained(RpcError(code, "late", progress=Progress.NOT_SENT), found)
    assert texts(error) == ["connection 0 (1 connecting: Connection refused)"]


async def test_a_change_is_seen_by_the_next_call() -> None:
    """What is kept between two calls that fail is never older than the directory."""
    here, lines = directory()
    here.publish(Members(endpoints(2)))
    first, second = lines.values()
    found = selection(here)
    first.become(State.DOWN)
    second.become(State.DOWN)
    assert texts(explained(unreachable(), found)) == ["connection 0 (2 down: Connection refused)"]
    first.reason = "no route"
    first.become(State.CONNECTING)
    assert texts(explained(unreachable(), found)) == [
        "connection 0 (1 connecting: no route; 1 down: Connection refused)"
    ]
    found.route([Keep("one", 1)])
    assert texts(explained(unreachable(), found))[0] == "routing 1 (one)"


async def test_many_failures_in_the_same_state_cost_one_look() -> None:
    """An outage does not make every call ask the routers about a thousand members."""
    here, lines = directory()
    here.publish(Members(endpoints(2)))
    for line in lines.values():
        line.become(State.DOWN)
    router = Keep("all", 9)
    found = selection(here, router)
    for _ in range(100):
        explained(unreachable(), found)
    assert router.asked == 1


# ---------------------------------------------------------------- policies
@pytest.mark.parametrize("policy", ["failsafe", "failback"])
def test_a_failure_that_nobody_is_told_has_its_funnel_in_the_log(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and the degraded result say why, as the caller is not told."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = unreachable
        stage[0].become(State.DOWN)
        result = await stage.call(policy, retries=1)
        assert isinstance(result.degraded, RpcError)
        assert texts(result.degraded) == ["connection 0 (1 down: Connection refused)"]
        await asyncio.sleep(60)
        await stage.background.aclose()

    run(main())
    told = [record.getMessage() for record in caplog.records]
    assert told
    assert all("connection 0 (1 down" in each for each in told)


def test_a_call_that_succeeds_in_the_end_asks_nobody_why() -> None:
    """Routers are asked when the view is bound, and not again for an attempt that failed."""

    async def main() -> None:
        stage = Stage(2)
        router = Keep("all", 9)
        stage.selection.route([router])
        stage[0].fails = stage[1].fails = unreachable
        invocation = stage.invocation()
        attempts = stage.attempts(invocation)
        with pytest.raises(RpcError) as caught:
            await attempts()
        assert caught.value.funnel == ()
        stage[0].fails = stage[1].fails = None
        await attempts()
        assert router.asked == 1

    run(main())


# ------------------------------------------------------------------ naming
@pytest.mark.parametrize(
    ("target", "asked", "steps", "advice"),
    [
        (
            "kubernetes:///a.b | dns:///c:1",
            "the API server",
            ["naming (kubernetes:///a.b | dns:///c:1, pending: the API server has not answered)"],
            "`kubbo endpoints 'kubernetes:///a.b | dns:///c:1'` shows whether the source answers",
        ),
        (
            "com.example.GreetService:1.0.0",
            "",
            ["naming (com.example.GreetService:1.0.0, pending)"],
            "`kubbo map com.example.GreetService:1.0.0` shows how far it comes",
        ),
    ],
)
async def test_a_target_that_is_not_resolved_in_time_says_who_was_asked(
    target: str, asked: str, steps: list[str], advice: str
) -> None:
    """The one step that is known is in the funnel, with the next thing to do."""
    here, _ = directory(asked=lambda: asked)
    here.target = target
    with pytest.raises(DeadlineExceeded) as caught:
        await selection(here).wait_pool(CALL, Deadline(asyncio.get_running_loop().time()))
    assert (texts(caught.value), caught.value.advice) == (steps, advice)
    assert caught.value.progress is Progress.NOT_SENT
    waiting = here.no_provider()
    assert (texts(waiting), waiting.advice) == (steps, advice)


def test_the_text_has_the_funnel_once() -> None:
    """Funnel and advice stand behind the last failure, not behind those before it."""
    endpoint = Endpoint("10.0.0.1", 1)

    def failure() -> RpcError:
        made = RpcError(Code.UNAVAILABLE, "no", progress=Progress.NOT_SENT, endpoint=endpoint)
        made.funnel, made.advice = (Step("connection", 0),), "look there"
        return made

    error = failure()
    error.attempts = (failure(),)
    assert str(error) == (
        "UNAVAILABLE: no (provider 10.0.0.1:1) [connection 0]; look there; "
        "attempt 1: UNAVAILABLE: no (provider 10.0.0.1:1)"
    )
