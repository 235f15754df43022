"""A channel that follows a configuration: what its calls use, and when."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.live.mounted import Mounted
from tests.unit.rpc.loopback import Shop, ShopHere, at, serving, until

import kubbo
from kubbo import ConfigError, NoProvider
from kubbo.config.layers import merge
from kubbo.live.files import FileSource
from kubbo.live.source import Files

if TYPE_CHECKING:
    from pathlib import Path

    from kubbo.live.source import Publish, Unavailable
    from kubbo.model import Handler, Invocation, Result

SHOP = "com.example.Shop:1.0.0"


class Pushed:
    """A source that says what the test pushes."""

    remote = False

    def __init__(self, text: str = "") -> None:
        self._next: asyncio.Queue[Files | Unavailable] = asyncio.Queue()
        self.taken = 0
        self._pushed = 0
        self.put(text)

    def __str__(self) -> str:
        return "pushed"

    def put(self, text: str) -> None:
        self._pushed += 1
        self._next.put_nowait(Files({"kubbo.yaml": text.encode()}))

    async def push(self, text: str) -> None:
        """Return when it has been looked at."""
        self.put(text)
        await until(lambda: self.taken == self._pushed)

    async def watch(self, publish: Publish, /) -> None:
        while True:
            await publish(await self._next.get())
            self.taken += 1


def channel_of(source: Any, **given: Any) -> kubbo.Channel:
    """A channel with this configuration."""
    return kubbo.Channel(config=source, **{"timeout": 20.0, "rng": random.Random(1), **given})


def options_of(stub: Any, method: str = "who") -> Any:
    """What a call would have now."""
    return merge(stub.kubbo_reference.layers(method, given=stub.kubbo_options))


async def test_a_change_reaches_the_next_call():
    """No restart and no new stub; a setting that is taken back is gone at once."""
    source = Pushed(f"references: {{{SHOP}: {{methods: {{wait: {{timeout: 20}}}}}}}}")
    here = ShopHere()
    async with serving(here) as server, channel_of(source) as channel:
        shop = channel.refer(Shop, at(server))
        with pytest.raises(kubbo.DeadlineExceeded):
            await shop.wait("never")
        await source.push("")
        here.release("open")
        assert await shop.wait("open") == "shop open"


async def test_live_wins_over_code_of_the_same_level_and_the_call_over_all():
    """@method, refer, Channel and options(), each against the configuration."""
    source = Pushed(
        f"consumer: {{timeout: 1000, retries: 9}}\n"
        f"references: {{{SHOP}: {{timeout: 2000, methods: {{wait: {{timeout: 3000}}}}}}}}"
    )
    async with serving(ShopHere()) as server, channel_of(source, retries=1) as channel:
        shop = channel.refer(Shop, at(server), timeout=7.0, retries=4)
        assert options_of(shop).timeout == 2.0
        assert options_of(shop).retries == 4
        assert options_of(shop, "wait").timeout == 3.0
        hasty = kubbo.options(shop, timeout=0.5)
        assert options_of(hasty, "wait").timeout == 0.5
        assert await hasty.who() == "shop"
        await source.push("consumer: {timeout: 1000, retries: 9}")
        assert options_of(shop).timeout == 7.0
        bare = channel.refer(Shop, at(server))
        assert options_of(bare).timeout == 1.0
        assert options_of(bare).retries == 9


async def test_a_bad_configuration_changes_nothing_and_says_why(caplog: pytest.LogCaptureFixture):
    """Bad, bad in another way, then good again: each is told once, with line and column."""
    source = Pushed("consumer: {timeout: 500}")
    async with serving(ShopHere()) as server, channel_of(source) as channel:
        shop = channel.refer(Shop, at(server))
        live = channel.configuration
        assert live is not None
        for bad in ("consumer:\n  timout: 5\n", "consumer: {timeout: 5}\nrules: [{}]\n"):
            await source.push(bad)
            assert options_of(shop).timeout == 0.5
            assert await shop.who() == "shop"
            assert live.loads == 1
            assert "kubbo.yaml:2:" in live.problem
            answer = kubbo.explain(shop, "timeout")
            assert (answer.value, answer.problem) == (0.5, live.problem)
        await source.push("consumer: {timeout: 500}")
        assert (live.problem, live.loads) == ("", 1)
        await source.push("consumer: {timeout: 600}")
        assert options_of(shop).timeout == 0.6
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert "did you mean 'timeout'?; the last good one stays in use" in errors[0]


async def test_unchanged_content_binds_nothing_anew():
    """The same bytes again, however often: the same plans, the same selections."""
    text = f"references: {{{SHOP}: {{loadbalance: roundrobin}}}}"
    source = Pushed(text)
    async with serving(ShopHere()) as server, channel_of(source) as channel:
        shop: Any = channel.refer(Shop, at(server))
        await shop.who()
        [before] = shop.kubbo_plans.values()
        for _ in range(3):
            await source.push(text)
        await shop.who()
        assert list(shop.kubbo_plans.values()) == [before]
        assert shop.kubbo_reference.version == 0
        await source.push(text + "\n# a comment\n")
        await shop.who()
        [after] = shop.kubbo_plans.values()
        assert after is not before
        assert after.handler is before.handler


async def test_a_balancer_remembers_through_changes_that_are_not_its_own():
    """A round goes on where it was when a timeout or a weight changes."""
    balanced = f"references: {{{SHOP}: {{loadbalance: roundrobin, timeout: 5000}}}}"
    weights = (
        f"\noverrides: [{{key: '{SHOP}', configs: "
        "[{side: provider, parameters: {weight: 100}}]}]\n"
    )
    source = Pushed(balanced)
    async with (
        serving(ShopHere("a")) as one,
        serving(ShopHere("b")) as two,
        serving(ShopHere("c")) as three,
        channel_of(source) as channel,
    ):
        shop = channel.refer(Shop, at(one, two, three))
        target: Any = shop
        await shop.who()
        await until(lambda: len(ready(target)) == 3)
        first = [await shop.who() for _ in range(3)]
        assert sorted(first) == ["a", "b", "c"]
        again = [await shop.who()]
        await source.push(balanced.replace("5000", "6000"))
        again.append(await shop.who())
        await source.push(balanced + weights)
        again.append(await shop.who())
        assert sorted(again) == ["a", "b", "c"]


def ready(stub: Any) -> list[Any]:
    """The members that are connected."""
    members = stub.kubbo_reference.directory.members()
    return [each for each in members if each.dialer.state.name == "READY"]


def taken_out(server: kubbo.Server) -> str:
    """An override that disables one provider."""
    return (
        f"overrides: [{{key: '{SHOP}', configs: [{{side: provider, "
        f"addresses: ['127.0.0.1:{server.port}'], parameters: {{disabled: true}}}}]}}]\n"
    )


async def test_weights_and_disabling_of_single_providers():
    """A weight of 0 takes no calls while another takes some; who is disabled takes none at all."""
    source = Pushed()
    async with (
        serving(ShopHere("a")) as one,
        serving(ShopHere("b")) as two,
        channel_of(source, loadbalance="random") as channel,
    ):
        shop = channel.refer(Shop, at(one, two))
        await shop.who()
        await until(lambda: len(ready(shop)) == 2)
        assert {await shop.who() for _ in range(40)} == {"a", "b"}
        await source.push(taken_out(one).replace("disabled: true", "weight: 0"))
        assert {await shop.who() for _ in range(40)} == {"b"}
        await source.push(taken_out(one))
        assert {await shop.who() for _ in range(40)} == {"b"}
        everybody = taken_out(one).replace(str(one.port), "*").replace("127.0.0.1", "0.0.0.0")
        await source.push(everybody)
        with pytest.raises(NoProvider, match="overrides leaves none of 2"):
            await shop.who()
        await source.push("")
        assert {await shop.who() for _ in range(40)} == {"a", "b"}


async def test_a_routing_rule_comes_and_goes():
    """Calls of `who` go where the rule says; a rule that is deleted is gone at once."""
    source = Pushed()
    async with (
        serving(ShopHere("a")) as one,
        serving(ShopHere("b")) as two,
        channel_of(source, loadbalance="random") as channel,
    ):
        shop = channel.refer(Shop, at(one, two))
        await shop.who()
        await until(lambda: len(ready(shop)) == 2)
        rule = (
            f"configVersion: v3.0\nscope: service\nforce: true\nkey: '{SHOP}'\nconditions:\n"
            f"- 'method=who => port={two.port}'\n"
        )
        await source.push(rule)
        assert {await shop.who() for _ in range(40)} == {"b"}
        await source.push(rule.replace("com.example.Shop", "com.example.Other"))
        assert {await shop.who() for _ in range(40)} == {"a", "b"}
        await source.push(rule)
        assert {await shop.who() for _ in range(40)} == {"b"}
        await source.push(rule.replace("=>", "="))
        assert {await shop.who() for _ in range(40)} == {"b"}
        await source.push("")
        assert {await shop.who() for _ in range(40)} == {"a", "b"}


async def test_a_target_moves_with_the_references():
    """A reference without a target follows `references` to other providers."""
    async with serving(ShopHere("a")) as one, serving(ShopHere("b")) as two:
        source = Pushed(f"references: {{{SHOP}: '{at(one)}'}}")
        naming = kubbo.NamingContext(environ={})
        async with channel_of(source, naming=naming) as channel:
            shop = channel.refer(Shop)
            assert await shop.who() == "a"
            await source.push(f"references: {{{SHOP}: {{target: '{at(two)}'}}}}")
            async with asyncio.timeout(20):
                while await shop.who() != "b":
                    pass


class Seen:
    """A filter that notes each call's timeout and who answered."""

    def __init__(self) -> None:
        self.pairs: set[tuple[int, str]] = set()
        self.calls = 0

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        granted = invocation.deadline.remaining(asyncio.get_running_loop().time())
        result = await proceed(invocation)
        # Far enough apart that a slow machine does not matter.
        self.pairs.add((1000 if granted > 500 else 100, result.value))
        self.calls += 1
        return result


async def test_a_swap_under_load_is_seen_whole_by_every_call(tmp_path: Path):
    """Two files of a mounted ConfigMap change together: no call has one half of each version."""
    seen = Seen()
    async with serving(ShopHere("a")) as one, serving(ShopHere("b")) as two:
        versions = [
            {"timeouts": "consumer: {timeout: 100s}", "weights": taken_out(two)},
            {"weights": taken_out(one), "timeouts": "consumer: {timeout: 1000s}"},
        ]
        mounted = Mounted(tmp_path / "config", **versions[0])
        source = FileSource(mounted.path, interval=0.001)
        async with channel_of(source, filters=[seen], loadbalance="random") as channel:
            shop = channel.refer(Shop, at(one, two))
            live = channel.configuration
            assert live is not None
            over = False

            async def call() -> None:
                while not over:
                    await shop.who()

            calls = [asyncio.create_task(call()) for _ in range(8)]
            for number in range(1, 21):
                await asyncio.to_thread(mounted.swap, **versions[number % 2])
                await until_paced(lambda number=number: live.loads > number)
                after = seen.calls
                await until(lambda after=after: seen.calls > after + 16)
            over = True
            await asyncio.gather(*calls)
            assert live.problem == ""
    assert seen.pairs == {(100, "a"), (1000, "b")}


async def until_paced(true: Any) -> None:
    """Like `until`, leaving the processor to worker threads."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a state that nobody announces
            await asyncio.sleep(0.001)


async def test_the_environment_names_a_configuration(tmp_path: Path):
    """KUBBO_CONFIG, unless the code names one, or none."""
    path = tmp_path / "kubbo.yaml"
    path.write_text("consumer: {timeout: 250}", encoding="utf-8")
    naming = {"environ": {"KUBBO_CONFIG": str(path)}}
    for given, timeout in ((None, 0.25), ("", 20.0)):
        context = kubbo.NamingContext(**naming)
        async with serving(ShopHere()) as server, channel_of(given, naming=context) as channel:
            assert options_of(channel.refer(Shop, at(server))).timeout == timeout


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "missing.yaml cannot be read: No such file or directory"),
        ("consumer: 5", "kubbo.yaml:1:11: consumer: a map of settings is expected here"),
        ("references: {com.example.A: 'nope:///x'}", "kubbo.yaml:1:14: references.com.example.A: "),
        ("conditions: [x]", "kubbo.yaml:1:1: "),
    ],
)
async def test_a_start_with_a_bad_configuration_fails(
    tmp_path: Path, text: str | None, complaint: str
):
    """There is no last good one to go on with, and nothing is left open."""
    path = tmp_path / ("missing.yaml" if text is None else "kubbo.yaml")
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        async with channel_of(path):
            pass
    assert complaint in str(raised.value)


def test_what_names_no_source_is_refused_when_the_channel_is_made():
    """A scheme that is not there, a ConfigMap without a name."""
    for name in ("nacos://x", "configmap:///", "configmap://shop/x", "configmap:///A_b"):
        with pytest.raises(ConfigError, match=r"configmap:///NAME\.NAMESPACE"):
            kubbo.Channel(config=name)


async def test_a_generic_reference_follows_too():
    """Its methods are found by Java's name."""
    source = Pushed(f"references: {{{SHOP}: {{methods: {{wait: {{timeout: 20}}}}}}}}")
    async with serving(ShopHere()) as server, channel_of(source) as channel:
        generic = channel.generic(SHOP, at(server))
        with pytest.raises(kubbo.DeadlineExceeded):
            await generic.call("wait", types=["java.lang.String"], args=["never"])
        assert await generic.call("who") == "shop"


async def test_a_stub_explains_what_its_calls_use():
    """Layers of code and of the configuration, and the one that won, as the plan has it."""
    source = Pushed(f"references: {{{SHOP}: {{timeout: 2000, methods: {{who: {{retries: 5}}}}}}}}")
    async with serving(ShopHere()) as server, channel_of(source) as channel:
        shop: Any = kubbo.options(channel.refer(Shop, at(server), timeout=7.0), retries=0)
        await shop.who()
        [plan] = shop.kubbo_plans.values()
        answer = kubbo.explain(shop, "timeout", "who")
        assert answer.value == plan.timeout == 2.0
        assert [(each.layer.origin, each.value) for each in answer.layers] == [
            ("options(...)", None),
            (f"references.{SHOP}.methods.who", None),
            ("@method(...)", None),
            (f"references.{SHOP}", 2.0),
            ("refer(...)", 7.0),
            ("Channel(...)", 20.0),
            ("Kubbo", 1.0),
        ]
        assert kubbo.explain(shop, "retries", "who").value == 0
        assert kubbo.explain(shop, "timeout", "waitAgain").value == 30.0
        assert str(answer.winner.place) == "kubbo.yaml:1:39"
        for setting, method in (("timout", "who"), ("timeout", "whom")):
            with pytest.raises(kubbo.UsageError):
                kubbo.explain(shop, setting, method)
        with pytest.raises(kubbo.UsageError, match="is no stub"):
            kubbo.explain(server, "timeout")


def refused(outcomes: list[Any]) -> int:
    """How many calls the provider did not let in."""
    failed = [each for each in outcomes if isinstance(each, kubbo.RpcError)]
    assert all(each.code is kubbo.Code.RESOURCE_EXHAUSTED for each in failed)
    return len(failed)


async def test_a_provider_takes_its_limits_from_the_configuration():
    """Of the provider, of a service and of a method; code says less, and a change counts anew."""
    source = Pushed("provider: {executes: 2}")
    here = ShopHere()
    async with (
        serving(here, config=source) as server,
        kubbo.Channel(timeout=20.0, retries=0, breaker=None, retry_budget=0.0) as channel,
    ):
        shop = channel.refer(Shop, at(server))

        async def at_once(count: int, key: str) -> int:
            calls = [asyncio.create_task(shop.wait(key)) for _ in range(count)]
            await until(lambda: here.started[key] + sum(each.done() for each in calls) == count)
            here.release(key)
            return refused(await asyncio.gather(*calls, return_exceptions=True))

        assert await at_once(5, "two") == 3
        await source.push(f"provider: {{executes: 2}}\nservices: {{{SHOP}: {{executes: 4}}}}")
        assert await at_once(5, "four") == 1
        override = (
            f"scope: service\nkey: '{SHOP}'\nconfigs: "
            "[{side: provider, parameters: {executes: 0, wait.executes: 1}}]\n"
        )
        await source.push(override)
        assert await at_once(5, "one") == 4
        await source.push("services: {nonsense")
        assert await at_once(5, "still one") == 4
        await source.push("")
        assert await at_once(5, "all") == 0


async def test_limits_of_code_count_where_the_configuration_says_nothing():
    """And a limit of zero in the configuration takes one away."""
    from kubbo.rpc.admission import ServingLimits

    source = Pushed("consumer: {timeout: 5000}")
    here = ShopHere()
    async with kubbo.Server(0, host="127.0.0.1", propagation=0.0, config=source) as server:
        server.export(here, Shop, limits=ServingLimits(executes=1))
        await server.start()
        async with kubbo.Channel(timeout=20.0, retries=0, breaker=None) as channel:
            shop = channel.refer(Shop, at(server))
            first = asyncio.create_task(shop.wait("open"))
            await here.begun("open")
            with pytest.raises(kubbo.RpcError, match="overloaded"):
                await shop.who()
            await source.push(f"services: {{{SHOP}: {{executes: 0}}}}")
            assert await shop.who() == "shop"
            here.release("open")
            await first


async def test_a_provider_does_not_start_with_a_bad_configuration():
    """Neither does it listen."""
    with pytest.raises(ConfigError, match="did you mean 'executes'"):
        async with kubbo.Server(0, config=Pushed("provider: {execute: 5}")):
            pass


async def test_many_changes_leave_nothing_behind():
    """Policies, balancers and pools of settings that are not used any more are forgotten."""
    source = Pushed()
    async with serving(ShopHere()) as server, channel_of(source) as channel:
        shop: Any = channel.refer(Shop, at(server))
        reference = shop.kubbo_reference
        for number in range(60):
            balancer = ("random", "roundrobin", "p2c")[number % 3]
            said = f"retries: {number}, loadbalance: {balancer}, hash.nodes: {number + 1}"
            text = f"consumer: {{{said}}}"
            await source.push(
                text + ("" if number % 2 else f"\n{taken_out(server)}".replace("true", "false"))
            )
            await shop.who()
        assert all(
            len(list(kept)) <= 2
            for kept in (reference._balances, reference._selections, reference._handlers)
        )
        assert len(reference._settled) <= 1
