"""Weights, zones and the two rates: what routers do over many calls."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.cluster.stage import Stage, lost
from tests.unit.cluster.test_breaker import load

from kubbo.cluster.breaker import BreakerRules
from kubbo.cluster.routing import ConditionRouter, Consumer, ZoneRouter, account_for, parse
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.sim.loop import SimLoop, run
from kubbo.transport.dialer import State

SERVICE = ServiceKey("com.example.GreetService")
ME = Consumer("shop-web", "10.9.9.9", "zone-a")


def member(host: str, zone: str = "", state: State = State.READY, **labels: str) -> Any:
    endpoint = Endpoint(host, 20880, zone=zone, labels=tuple(labels.items()))
    return SimpleNamespace(
        endpoint=endpoint, dialer=SimpleNamespace(state=state), active=0, ejected=False
    )


def call(method: str = "find", arguments: Any = (), **attachments: Any) -> Invocation:
    return Invocation(SERVICE, Signature(method), arguments, Deadline(1.0), attachments=attachments)


def weighted(*weights: int, **more: Any) -> ConditionRouter:
    """Destinations `version=v0`, `version=v1`, ... with these weights."""
    to = [{"match": f"version=v{n}", "weight": weight} for n, weight in enumerate(weights)]
    document = {"configVersion": "v3.1", "conditions": [{"from": {}, "to": to, **more}]}
    rng = random.Random(3)
    return cast("ConditionRouter", parse(document, source="r", consumer=ME, rng=rng))


def hosts(members: Any) -> str:
    return " ".join(each.endpoint.host for each in members)


def shares(router: Any, members: Any, count: int = 4_000, **attachments: Any) -> dict[str, float]:
    """How often each set of hosts is left."""
    made = call(**attachments)
    counts = Counter(hosts(router.narrow(members, router.classify(made))) for _ in range(count))
    return {names: round(each / count, 2) for names, each in counts.items()}


# --- weights ---------------------------------------------------------------------------------


def test_destinations_have_their_share_of_the_calls() -> None:
    """By weight; a weight of 0 is none."""
    versions = [member(f"h{n}", version=f"v{n}") for n in range(5)]
    found = shares(weighted(10, 20, 30, 40, 0), versions)
    assert found == pytest.approx({"h0": 0.1, "h1": 0.2, "h2": 0.3, "h3": 0.4}, abs=0.03)


def test_an_empty_destination_leaves_its_share_to_the_others() -> None:
    """In the proportion of their weights, whichever of them is empty."""
    versions = [member(f"h{n}", version=f"v{n}") for n in range(4)]
    router = weighted(10, 20, 30, 40)
    found = shares(router, versions[:3])
    assert found == pytest.approx({"h0": 1 / 6, "h1": 2 / 6, "h2": 3 / 6}, abs=0.03)
    assert shares(router, [versions[0], versions[3]]) == pytest.approx(
        {"h0": 0.2, "h3": 0.8}, abs=0.03
    )
    assert shares(router, versions[1:2]) == {"h1": 1.0}


def test_a_sticky_value_always_falls_on_the_same_side() -> None:
    """The same user gets the same version in every consumer; users are shared out by weight."""
    versions = [member(f"h{n}", version=f"v{n}") for n in range(2)]
    router, other = (weighted(30, 70, sticky="attachments[user]") for _ in range(2))
    falls = Counter[str]()
    for user in range(2_000):
        first, again = (
            hosts(each.narrow(versions, each.classify(call(user=f"user-{user}"))))
            for each in (router, other)
        )
        assert first == again
        falls[first] += 1
    assert falls["h0"] / 2_000 == pytest.approx(0.3, abs=0.04)
    assert len(shares(router, versions, 200)) == 2, "calls without the value throw dice"


def test_the_kinds_of_calls_are_few() -> None:
    """However many calls: `Selection` keeps one pool for each kind."""
    router = weighted(10, 20, 30, 40)
    assert len({router.classify(call()) for _ in range(1_000)}) == 24
    plain = parse({"conditions": ["method=find* => host=h", "=> host=h"]}, source="r", consumer=ME)
    assert len({plain.classify(call(f"find{n}")) for n in range(3_000)}) == 1
    other = parse({"conditions": ["=>"], "key": "a.B"}, source="r", consumer=ME)
    assert other.classify(call()) is None


def test_a_call_is_classified_without_looking_at_members() -> None:
    """What a method decides is remembered: the second call asks for nothing but the method."""
    router = parse({"conditions": ["method=find* => host=h"] * 500}, source="r", consumer=ME)
    first = router.classify(call())
    assert router.classify(call()) is first
    assert router.classify(call("get")) is not first


def test_rules_of_many_services_are_remembered_within_bounds() -> None:
    """A generic caller may name any service and any method."""
    router = cast(
        "ConditionRouter", parse({"conditions": ["method=a => host=h"]}, source="r", consumer=ME)
    )
    for number in range(2_500):
        made = Invocation(ServiceKey(f"a.B{number}"), Signature("m"), (), Deadline(1.0))
        router.classify(made)
        router.classify(call(f"m{number}"))
    assert len(router._bound) <= 1_000
    bound = router._bound[SERVICE]
    assert bound is not None
    assert len(bound.by_method) <= 1_000


# --- zones -----------------------------------------------------------------------------------


def zones(near: int, far: int, *, down: int = 0) -> list[Any]:
    """Members a0, a1, ... in the own zone, the first `down` of them down, and b0, ... elsewhere."""
    return [
        *(member(f"a{n}", "zone-a", State.DOWN if n < down else State.READY) for n in range(near)),
        *(member(f"b{n}", "zone-b") for n in range(far)),
    ]


def zone_router(**settings: Any) -> ZoneRouter:
    return ZoneRouter("zone-a", rng=random.Random(4), **settings)


def near_share(router: ZoneRouter, members: Any) -> float:
    """Of the calls that stay in the own zone."""
    router.narrow(members, router.classify(call()))
    found = shares(router, members, 2_000)
    return sum(share for names, share in found.items() if names.startswith("a"))


def test_the_own_zone_is_preferred() -> None:
    """All its calls stay there, and only its endpoints are left."""
    everybody = zones(2, 3)
    assert shares(zone_router(), everybody, 100) == {"a0 a1": 1.0}


@pytest.mark.parametrize(
    ("down", "share"), [(0, 1.0), (2, 1.0), (4, 0.84), (5, 0.7), (8, 0.28), (9, 0.14), (10, 0.0)]
)
def test_calls_spill_over_by_health(down: int, share: float) -> None:
    """Up to 28% of ten may be down; then others take what the rest could not."""
    router = zone_router()
    members = zones(10, 3, down=down)
    router.narrow(members, router.classify(call()))
    counts = shares(router, members, 4_000)
    alone = sum(each for names, each in counts.items() if "b" not in names)
    assert alone == pytest.approx(share, abs=0.03)
    if not share:
        assert set(counts) == {hosts(members)}, "all of them are left, for those who can"


def test_who_is_left_out_by_the_breaker_is_not_healthy() -> None:
    """It keeps its connection, and takes no calls all the same."""
    members = zones(2, 2)
    for each in members[:2]:
        each.ejected = True
    [account] = account_for([zone_router()], call(), members)
    assert "too few of them healthy" in account.note
    assert account.reasons[0][1] == "its zone is zone-a, and it is left out by the breaker"


def test_members_know_whether_the_breaker_leaves_them_out() -> None:
    """From the moment it does until they are back."""

    async def main() -> None:
        stage = Stage(4, breaker=BreakerRules(ejection=1.0))

        def agree(out: int) -> bool:
            members = stage.directory.members()
            known = {each for each in members if each.ejected}
            return known == set(stage.breaker.ejected) and len(known) == out

        assert agree(0)
        stage[0].fails = lost
        await load(stage, 2.0)
        assert agree(1)
        stage[0].fails = None
        await load(stage, 20.0)
        assert agree(0)

    run(main(), loop=SimLoop())


def test_fewer_than_the_fewest_are_none() -> None:
    """A minimum of healthy endpoints; below it every zone is as good."""
    members = zones(2, 3)
    assert shares(zone_router(min_healthy=2), members, 50) == {"a0 a1": 1.0}
    assert shares(zone_router(min_healthy=3), members, 50) == {hosts(members): 1.0}


def test_nothing_spills_where_nobody_could_help() -> None:
    """Others that are down, or are not there, are no reason to leave the zone."""
    near = zones(3, 0, down=2)
    assert near_share(zone_router(), near) == 1.0
    gone = [*near, member("b0", "zone-b", State.DOWN)]
    assert near_share(zone_router(), gone) == 1.0


def test_calls_spill_over_by_load_and_come_back() -> None:
    """While the own zone has twice the calls of the others, and enough of them to matter."""
    router = zone_router()
    members = zones(2, 2)
    assert near_share(router, members) == 1.0
    for each in members[:2]:
        each.active = 30
    assert near_share(router, members) == pytest.approx(0.0, abs=0.01)
    for each in members[2:]:
        each.active = 20
    assert near_share(router, members) == pytest.approx(1.0, abs=0.01)
    for each in members:
        each.active = 9 if each.endpoint.zone == "zone-a" else 0
    assert near_share(router, members) == pytest.approx(1.0, abs=0.01), "too few to matter"


def test_without_a_zone_nothing_is_preferred() -> None:
    """Of the consumer, or of the endpoints."""
    members = zones(2, 2)
    nowhere = ZoneRouter("", rng=random.Random(1))
    assert shares(nowhere, members, 10) == {hosts(members): 1.0}
    unknown = [member("h0"), member("h1")]
    assert shares(zone_router(), unknown, 10) == {"h0 h1": 1.0}


def test_a_zone_router_tells_why() -> None:
    """Who is near, who is down, and how much of the calls stay."""
    router = zone_router()
    [account] = account_for([router], call(), zones(2, 1, down=1))
    assert account.note == "2 of 3 are in the consumer's zone zone-a, which takes 70% of the calls"
    assert [reason for _, reason in account.reasons] == [
        "its zone is zone-a, and it is down",
        "its zone is zone-a",
        "its zone is zone-b",
    ]
    [account] = account_for([router], call(), zones(1, 1, down=1))
    assert "too few of them healthy; all may be called" in account.note


def test_numbers_of_zones_are_checked() -> None:
    """Less than 1 means nothing."""
    with pytest.raises(ConfigError, match="are 1 or more"):
        zone_router(min_healthy=0)
    rule = parse({"zoneAware": {}}, source="r", consumer=ME)
    assert isinstance(rule, ZoneRouter)
    assert rule.zone == "zone-a"
