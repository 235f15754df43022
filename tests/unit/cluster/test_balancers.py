"""Balancers: shares by weight under churn, and who is shunned."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, cast

import pytest

from kubbo.cluster.balancers import (
    DEFAULT_LOADBALANCE,
    LOADBALANCES,
    ConsistentHashBalance,
    P2CBalance,
    RoundRobinBalance,
    make_balance,
)
from kubbo.cluster.member import FAULT_SECONDS, WINDOW, Member, Pool
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.testing import check_load_balance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubbo.cluster.balancers import LoadBalance

SERVICE, GREET = ServiceKey("com.example.GreetService"), Signature("greet")
SPREADING = [name for name in LOADBALANCES if name != "consistenthash"]


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make(name: str, seed: int = 1, clock: Clock | None = None, **parameters: Any) -> LoadBalance:
    given = {key.replace("_", "."): value for key, value in parameters.items()}
    return make_balance(name, random.Random(seed), clock or Clock(), given)


def call(number: int = 0) -> Invocation:
    return Invocation(SERVICE, GREET, (f"user-{number}",), Deadline(1.0))


def members(count: int, first: int = 0) -> tuple[Member, ...]:
    numbers = range(first, first + count)
    return tuple(
        Member(Endpoint(f"10.0.{n // 250}.{n % 250}", 20880), cast("Any", None)) for n in numbers
    )


def pool(some: Sequence[Member], weights: Iterable[float] = ()) -> Pool:
    given = tuple(weights)
    return Pool(tuple(some), given or (100.0,) * len(some))


def measured(some: Sequence[Member], seconds: float, clock: Clock) -> None:
    """One answered attempt on each."""
    for member in some:
        member.attempts += 1
        member.answered += 1
        member.answered_seconds += seconds
        member.measure(seconds, clock.now)


def assert_shares(
    found: Counter[Member], expected: dict[Member, float], *, sigma: float = 4.0
) -> None:
    """Chi-square of `found` against shares, below the bound of `sigma` (Wilson and Hilferty)."""
    count, total = found.total(), sum(expected.values())
    chi, freedom = 0.0, -1
    for member, weight in expected.items():
        if not weight:
            assert not found[member], "a member without weight was picked"
            continue
        due = count * weight / total
        chi += (found[member] - due) ** 2 / due
        freedom += 1
    assert set(found) <= set(expected)
    bound = freedom * (1 - 2 / (9 * freedom) + sigma * sqrt(2 / (9 * freedom))) ** 3
    assert chi < bound, f"chi-square {chi:.1f} with {freedom} degrees of freedom, bound {bound:.1f}"


def test_the_measure_measures() -> None:
    """The chi-square test lets even draws pass and finds one share that is a fifth too large."""
    rng = random.Random(1)
    some = members(10)
    shares = dict.fromkeys(some, 1.0)
    assert_shares(Counter(rng.choice(some) for _ in range(20_000)), shares)
    with pytest.raises(AssertionError, match="chi-square"):
        assert_shares(Counter(rng.choices(some, [1.2, *[1] * 9])[0] for _ in range(20_000)), shares)
    assert NormalDist().cdf(4.0) > 0.9999  # what sigma stands for


@pytest.mark.parametrize("name", LOADBALANCES)
def test_every_balancer_keeps_what_balancers_promise(name: str) -> None:
    """The exported check: members, weights, churn, tried members, seeds."""
    check_load_balance(lambda rng: make_balance(name, rng, Clock(), {}))


@pytest.mark.parametrize("name", SPREADING)
@pytest.mark.parametrize("size", [2, 7, 40])
def test_idle_members_get_their_shares(name: str, size: int) -> None:
    """While nobody has any load each member is picked by its weight, members without weight never:
    for three seeds and weights from 0 to 100."""
    for seed in range(3):
        rng = random.Random(seed)
        some = members(size)
        weights = [float(rng.choice((0, 10, 50, 100))) for _ in some]
        weights[0] = 100.0
        weights[1] = 50.0
        pick = make(name, seed).bind(pool(some, weights))
        found = Counter(pick(call()) for _ in range(20_000))
        assert_shares(found, dict(zip(some, weights, strict=True)))


@pytest.mark.parametrize("name", SPREADING)
def test_shares_hold_under_churn(name: str) -> None:
    """Over 400 views, each with other members and weights and 100 picks, everybody gets what the
    views in which it stood owed it. Chance is less than of free draws for turns, hence the same
    bound."""
    rng = random.Random(5)
    everybody = members(30)
    owed: Counter[Member] = Counter()
    found: Counter[Member] = Counter()
    balance = make(name, 5)
    for _ in range(400):
        some = rng.sample(everybody, rng.randint(5, 30))
        weights = [float(rng.choice((20, 50, 100))) for _ in some]
        pick = balance.bind(pool(some, weights))
        for member, weight in zip(some, weights, strict=True):
            owed[member] += weight / sum(weights) * 100
        found.update(pick(call()) for _ in range(100))
    assert_shares(found, dict(owed))


@pytest.mark.parametrize("name", ["leastactive", "shortestresponse", "p2c"])
@pytest.mark.parametrize("size", [3, 10, 60])
def test_who_is_stuck_is_shunned(name: str, size: int) -> None:
    """A member that does not answer gets few calls more: 100 in flight there, one elsewhere."""
    clock = Clock()
    some = members(size)
    measured(some, 0.01, clock)
    stuck, *rest = some
    stuck.active = 100
    for member in rest:
        member.active = 1
    pick = make(name, clock=clock).bind(pool(some))
    found = Counter(pick(call()) for _ in range(2_000))
    assert found[stuck] == 0
    assert len(found) == size - 1


@pytest.mark.parametrize("name", ["shortestresponse", "p2c"])
@pytest.mark.parametrize("size", [3, 10, 60])
def test_who_is_slow_is_shunned(name: str, size: int) -> None:
    """A member that takes 30 times as long gets next to nothing while the others are idle, too."""
    clock = Clock()
    some = members(size)
    slow, *rest = some
    measured(rest, 0.01, clock)
    measured([slow], 0.3, clock)
    pick = make(name, clock=clock).bind(pool(some))
    found = Counter(pick(call()) for _ in range(2_000))
    assert found[slow] == 0


@pytest.mark.parametrize("name", ["shortestresponse", "p2c"])
def test_who_fails_at_once_is_shunned(name: str) -> None:
    """A provider that refuses within a millisecond is not the fastest one: no black hole."""
    clock = Clock()
    some = members(5)
    broken, *rest = some
    measured(rest, 0.02, clock)
    broken.attempts += 1
    broken.measure(FAULT_SECONDS, clock.now)  # as attempts count a fault
    pick = make(name, clock=clock).bind(pool(some))
    assert broken not in {pick(call()) for _ in range(1_000)}


@pytest.mark.parametrize("name", ["shortestresponse", "p2c"])
def test_a_new_member_is_probed_and_not_flooded(name: str) -> None:
    """Of a member that nobody knows one call finds out; while it is in flight, others get them."""
    clock = Clock()
    some = members(6)
    new, *rest = some
    measured(rest, 0.02, clock)
    pick = make(name, clock=clock).bind(pool(some))
    in_flight: list[int] = []
    for _ in range(2_000):
        member = pick(call())
        if member is new:
            member.active += 1
        in_flight.append(new.active)
    assert in_flight[-1] == 1
    assert in_flight.index(1) < 100


def test_p2c_forgives_the_idle() -> None:
    """After a slow second a member is left alone for a while and then tried again; while the call
    that tries it is in flight, no other follows."""
    clock = Clock()
    some = members(5)
    slow, *rest = some
    measured([slow], 1.0, clock)
    pick = make("p2c", clock=clock).bind(pool(some))
    tried_after = None
    for second in range(120):
        clock.now += 1.0
        measured(rest, 0.01, clock)
        for _ in range(50):
            if pick(call()) is slow:
                tried_after = tried_after or second
                slow.active = 1
    assert tried_after is not None
    assert 30 < tried_after < 70
    slow.active = 1
    assert slow not in {pick(call()) for _ in range(500)}


def test_p2c_divides_load_by_weight() -> None:
    """With as many calls in flight as their weights say, members cost the same; the one with fewer
    than its share is preferred."""
    clock = Clock()
    heavy, light = some = members(2)
    measured(some, 0.01, clock)
    heavy.active, light.active = 20, 10
    pick = P2CBalance(random.Random(1), clock).bind(pool(some, (100.0, 25.0)))
    assert Counter(pick(call()) for _ in range(400))[light] < 400 * 0.1
    heavy.active = 80
    assert Counter(pick(call()) for _ in range(400))[light] > 400 * 0.3


@pytest.mark.parametrize("weights", [(100.0, 100.0), (100.0, 40.0), (100.0, 10.0)])
def test_p2c_gives_who_answers_nobody_no_further_call(weights: tuple[float, float]) -> None:
    """One with calls in flight that are not answered gets none while the other is idle, however
    light that is: it may be a frozen node beside one that warms up."""
    clock = Clock()
    frozen, warming = some = members(2)
    measured(some, 0.01, clock)
    frozen.active = 5
    pick = P2CBalance(random.Random(1), clock).bind(pool(some, weights))
    assert {pick(call()) for _ in range(1_000)} == {warming}


def test_shortest_response_looks_back_for_a_window() -> None:
    """What was slow more than two windows ago is forgotten, what was slow just now is not."""
    member = members(1)[0]
    clock = Clock()
    assert member.recent(clock.now) == 0
    measured([member], 0.5, clock)
    assert member.recent(clock.now) == 0.5
    for _ in range(10):
        clock.now += WINDOW / 10
        measured([member], 0.1, clock)
    assert 0.1 < member.recent(clock.now) < 0.2
    clock.now += WINDOW
    measured([member], 0.1, clock)
    assert member.recent(clock.now) == pytest.approx(0.1)
    clock.now += 3 * WINDOW
    assert member.recent(clock.now) == 0


# -- roundrobin


def runs(pick: Any, count: int) -> list[Member]:
    return [pick(call()) for _ in range(count)]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0, 1.0), (50.0, 10.0, 10.0, 20.0, 10.0)])
def test_turns_are_exact(weights: tuple[float, ...]) -> None:
    """Any stretch as long as a round has each member as often as its weight says, one more or less:
    the picks of a member are as far apart as they can be."""
    some = members(5)
    picked = runs(make("roundrobin").bind(pool(some, weights)), 500)
    least = min(weights)
    size = round(sum(weights) / least)
    for start in range(len(picked) - size):
        stretch = Counter(picked[start : start + size])
        for member, weight in zip(some, weights, strict=True):
            assert abs(stretch[member] - weight / least) <= 1


def test_turns_survive_a_rebind() -> None:
    """Bound anew in mid-round, by a weight change or not, nobody is picked twice who has just been,
    and who was due next still is."""
    some = members(6)
    balance = RoundRobinBalance(random.Random(3))
    first = runs(balance.bind(pool(some)), 6 + 3)
    order = first[:6]
    assert set(order) == set(some)
    again = runs(balance.bind(pool(some)), 3)
    assert again == order[3:]
    heavier = balance.bind(pool(some, (110.0, *(100.0,) * 5)))
    assert runs(heavier, 6)[:4] == order[:4]


def test_turns_survive_a_change_of_rules() -> None:
    """With other routers the kinds are others, and the round goes on all the same."""
    some = members(6)
    balance = RoundRobinBalance(random.Random(3))
    order = runs(balance.bind(pool(some)), 6)
    runs(balance.bind(pool(some)), 2)
    later = balance.bind(Pool(some, (50.0,) * 6, kinds=("a",)))
    assert runs(later, 4) == order[2:]


def test_bindings_to_the_same_share_their_turns() -> None:
    """Two selections over the same members take turns together."""
    some = members(4)
    balance = RoundRobinBalance(random.Random(3))
    one, two = balance.bind(pool(some)), balance.bind(pool(some))
    assert {one(call()), two(call()), one(call()), two(call())} == set(some)


def test_a_new_member_takes_no_turn_away() -> None:
    """Members come and go in every round; those that stay keep their order and their distance."""
    balance = RoundRobinBalance(random.Random(3))
    staying = members(5)
    picked: list[Member] = []
    for number in range(40):
        guest = members(1, first=100 + number)
        picked += runs(balance.bind(pool((*staying, *guest))), 6)
    rounds = [member for member in picked if member in staying]
    for at in range(len(rounds) - 5):
        assert len(set(rounds[at : at + 5])) >= 4
    assert all(abs(rounds.count(each) - len(rounds) / 5) <= 2 for each in staying)


def test_kinds_of_calls_take_turns_apart() -> None:
    """Two kinds of calls that share members do not take each other's turns."""
    some = members(4)
    balance = RoundRobinBalance(random.Random(1))
    one = balance.bind(Pool(some, (1.0,) * 4, kinds=("a",)))
    two = balance.bind(Pool(some[:2], (1.0,) * 2, kinds=("b",)))
    for _ in range(4):
        assert len(set(runs(one, 4))) == 4
        assert len(set(runs(two, 2))) == 2


def test_consumers_do_not_begin_with_the_same_member() -> None:
    """The first turns of 1,000 consumers are spread over all members."""
    some = members(10)
    found = Counter(
        RoundRobinBalance(random.Random(n)).bind(pool(some))(call()) for n in range(1_000)
    )
    assert_shares(found, dict.fromkeys(some, 1.0))


# -- consistenthash


def owners(
    some: Sequence[Member], weights: Iterable[float] = (), keys: int = 5_000
) -> list[Member]:
    pick = make("consistenthash").bind(pool(some, weights))
    return [pick(call(number)) for number in range(keys)]


def moved(before: Sequence[Member], after: Sequence[Member]) -> int:
    return sum(one is not two for one, two in zip(before, after, strict=True))


def test_a_key_keeps_its_member_whatever_the_order() -> None:
    """Two consumers with other seeds, and members in another order, agree on every key."""
    some = members(50)
    shuffled = random.Random(2).sample(some, 50)
    other = make("consistenthash", 9).bind(pool(shuffled))
    assert [other(call(number)) for number in range(1_000)] == owners(some, keys=1_000)


@pytest.mark.parametrize("size", [5, 50])
def test_one_that_goes_moves_only_its_own_keys(size: int) -> None:
    """Without one member the keys of the others stay where they were; with it again, all do. Its
    own are about one in `size`, and go to many."""
    some = members(size)
    before = owners(some)
    after = owners(some[1:])
    share = sum(owner is some[0] for owner in before)
    assert moved(before, after) == share
    assert 0.5 < share * size / len(before) < 1.6
    heirs = Counter(two for one, two in zip(before, after, strict=True) if one is some[0])
    assert len(heirs) >= min(size - 1, 15)


def test_a_ring_made_from_another_is_the_same() -> None:
    """A balance that lived through churn agrees with one that sees the last view only."""
    rng = random.Random(4)
    everybody = members(60)
    balance = make("consistenthash")
    for _ in range(30):
        some = tuple(rng.sample(everybody, rng.randint(1, 60)))
        pick = balance.bind(pool(some))
        assert [pick(call(number)) for number in range(200)] == owners(some, keys=200)


def test_keys_are_spread_evenly() -> None:
    """The fullest of 50 has at most half more than the average: Dubbo's ring with 160 points is
    about as even. Four probes in place of eight are worse, 32 better."""
    some = members(50)
    spread: list[float] = []
    for nodes in (80, 160, 640):
        pick = make("consistenthash", hash_nodes=nodes).bind(pool(some))
        found = Counter(pick(call(number)) for number in range(20_000))
        spread.append(max(found.values()) / 400)
    assert spread[1] < 1.5
    assert spread[0] > spread[1] > spread[2]


def test_weights_share_out_keys_and_move_few() -> None:
    """A member of half the weight has about half of the keys; as it warms up it takes more, and
    nobody else's change owners."""
    some = members(10)
    steps = [owners(some, (weight, *(100.0,) * 9)) for weight in (0.0, 10.0, 50.0, 100.0)]
    counts = [step.count(some[0]) for step in steps]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert 0.4 < counts[2] / counts[3] < 0.6
    for before, after in pairwise(steps):
        for one, two in zip(before, after, strict=True):
            assert one is two or two is some[0]


def test_one_weight_above_all_keeps_keys_in_place() -> None:
    """Where one member has nearly all the weight, keys of the others are as steady as any."""
    some = members(100)
    weights = (100_000.0, *(100.0,) * 99)
    assert owners(some, weights, 1_000) == owners(some, weights, 1_000)


def test_a_key_that_everybody_asks_for_spills() -> None:
    """All calls have the same key and none is answered: nobody gets more than the bound lets it,
    1.25 times the average and a few; with a bound of 10 the first one gets most."""
    fullest: list[int] = []
    for load in (1.25, 10.0):
        some = members(10)
        pick = make("consistenthash", hash_load=load).bind(pool(some))
        for _ in range(200):
            pick(call()).active += 1
        fullest.append(max(member.active for member in some))
    assert fullest[0] < 40
    assert fullest[1] > 80


@pytest.mark.parametrize(
    ("given", "same", "other"),
    [
        ("0", (("a", 1), ("a", 2)), ("b", 1)),
        ("1", (("a", 1), ("b", 1)), ("a", 2)),
        ("0,1", (("a", 1), ("a", 1)), ("b", 1)),
        ("5", (("a", 1), ("b", 2)), None),
    ],
)
def test_the_arguments_that_make_the_key(given: str, same: Any, other: Any) -> None:
    """`hash.arguments` are places of arguments; one that a method has not counts for nothing."""
    some = members(200)
    pick = make("consistenthash", hash_arguments=given).bind(pool(some))

    def of(*arguments: Any) -> Member:
        return pick(Invocation(SERVICE, GREET, arguments, Deadline(1.0)))

    assert of(*same[0]) is of(*same[1])
    if other is not None:
        assert of(*other) is not of(*same[0])


def test_a_generic_call_is_hashed_by_its_arguments() -> None:
    """`$invoke(method, types, arguments)` goes where the direct call goes."""
    pick = make("consistenthash").bind(pool(members(200)))
    direct = pick(Invocation(SERVICE, GREET, ("anna",), Deadline(1.0)))
    generic = Invocation(
        SERVICE, Signature("$invoke"), ("greet", ["java.lang.String"], ["anna"]), Deadline(1.0)
    )
    assert pick(generic) is direct


# -- names


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("rondrobin", {}),
        ("consistenthash", {"hash_arguments": "first"}),
        ("consistenthash", {"hash_arguments": "-1"}),
        ("consistenthash", {"hash_arguments": ""}),
        ("consistenthash", {"hash_nodes": 0}),
        ("consistenthash", {"hash_nodes": "many"}),
        ("consistenthash", {"hash_nodes": True}),
        ("consistenthash", {"hash_load": 0.5}),
        ("consistenthash", {"hash_load": "nan"}),
    ],
)
def test_mistakes_are_named(name: str, parameters: dict[str, Any]) -> None:
    """An unknown name lists the names; a parameter that does not fit says what would."""
    with pytest.raises(ConfigError) as caught:
        make(name, **parameters)
    assert all(each in str(caught.value) for each in (parameters and ("hash.",)) or LOADBALANCES)


def test_the_default() -> None:
    """It is p2c, and it is among the names."""
    assert isinstance(make(DEFAULT_LOADBALANCE), P2CBalance)
    assert isinstance(make("consistenthash", hash_nodes="320"), ConsistentHashBalance)
