"""What was true when: the judge of what resolvers publish.

The truth about a Service is the set of addresses that may be called according to the slices in
the store, after each of its changes. It is worked out here from the raw objects and by other
code than the product's: ready endpoints, or where there is none those that terminate and still
serve. Slices in a simulation have one port, named as the targets ask for it.

Two rules are held against what is published, when it is published and as time passes:

- *No mixture, and no ghosts.* It is a whole state that the store really had, at most `bound`
  seconds ago; or, where the view calls itself stale, at most `lag` seconds before the moment since
  when it says so. On top comes how long what was heard had been on its way.
- *In the end right.* `differs` says whether a view is not the truth of now.

A restore of a backup, or the loss of all data, makes another history with the same version
numbers. A client that resumes its watch there can tell neither from the other: Kubernetes gives
it nothing to tell them by. So for `bound` seconds after one, a mixture of the two histories is
excused, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kubbo.naming.resolution import Absent, Members
from kubbo.sim.apiserver.objects import key_of, mapping, objects, text

if TYPE_CHECKING:
    from kubbo.naming.resolution import Resolution
    from kubbo.sim.apiserver.objects import Object
    from kubbo.sim.apiserver.store import Change, Store
    from kubbo.sim.loop import SimLoop

__all__ = ["Address", "Broken", "ServiceTruth", "Truth", "View"]

Address: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class View:
    """What a resolution says about who may be called; read once, judged again as time passes."""

    addresses: frozenset[Address] | None
    """None: the resolution does not say."""
    stale_since: float | None = None
    changed_at: float = 0.0
    """Since when it has these addresses; not what the resolution says, but the loop's time."""

    @classmethod
    def of(cls, resolution: Resolution, before: View, now: float) -> View:
        """The view that a resolution gives, after another; of Pending and Failed none."""
        stale_since: float | None = None
        match resolution:
            case Members(endpoints, stale_since=stale_since):
                addresses = frozenset(one.key for one in endpoints)
            case Absent():
                addresses = frozenset[Address]()
            case _:
                return cls(None, None, now)
        changed_at = before.changed_at if addresses == before.addresses else now
        return cls(addresses, stale_since, changed_at)


_SERVICE_LABEL = "kubernetes.io/service-name"


class Broken(AssertionError):  # noqa: N818 - a rule is
    """A publication broke a rule."""


class ServiceTruth:
    """The states of one Service, by its slices."""

    def __init__(self) -> None:
        self.now: frozenset[Address] = frozenset()
        self._last_true: dict[frozenset[Address], float] = {}
        self._slices: dict[str, list[tuple[Address, bool, bool]]] = {}

    def put(self, slice_: Object, now: float) -> None:
        """A slice is as this from now on."""
        self._slices[key_of(slice_)[1]] = _read(slice_)
        self._settle(now)

    def drop(self, name: str, now: float) -> None:
        """A slice is gone."""
        self._slices.pop(name, None)
        self._settle(now)

    def replace(self, slices: list[Object], now: float) -> None:
        """All slices are others."""
        self._slices = {key_of(one)[1]: _read(one) for one in slices}
        self._settle(now)

    def _settle(self, now: float) -> None:
        every = [entry for entries in self._slices.values() for entry in entries]
        addresses = {address for address, ready, _ in every if ready}
        if not addresses:
            addresses = {address for address, _, serving in every if serving}
        self._last_true[self.now] = now
        self.now = frozenset(addresses)

    def age(self, state: frozenset[Address], now: float) -> float | None:
        """Seconds since this was the state; 0 while it is, None when it never was."""
        if state == self.now:
            return 0.0
        last = self._last_true.get(state)
        return None if last is None else max(0.0, now - last)


class Truth:
    """Follows a store and judges publications.

    Attributes:
        judged: publications that were held against the rules.
        excused: those of them that were no state, soon after a restore.
        oldest: the age of the oldest state that was published as healthy, in seconds, without
            the time that it was on its way.
        oldest_stale: likewise of those that called themselves stale, at the time since when.
    """

    def __init__(self, store: Store, loop: SimLoop, *, bound: float, lag: float) -> None:
        self.judged = 0
        self.excused = 0
        self.oldest = 0.0
        self.oldest_stale = 0.0
        self._store = store
        self._loop = loop
        self._bound = bound
        self._lag = lag
        self._services: dict[tuple[str, str], ServiceTruth] = {}
        self._restored_at = float("-inf")
        self._unsubscribe = store.subscribe(self._take)

    def close(self) -> None:
        """Follow no longer."""
        self._unsubscribe()

    def service(self, namespace: str, name: str) -> ServiceTruth:
        """The truth about one Service."""
        known = self._services.get((namespace, name))
        if known is None:
            known = self._services[namespace, name] = ServiceTruth()
        return known

    def _take(self, change: Change) -> None:
        if change.resource.plural != "endpointslices":
            return
        now = self._loop.time()
        if change.before is not None and _owner(change.before) != _owner(change.object):
            self.service(*_owner(change.before)).drop(key_of(change.object)[1], now)
        if change.type == "DELETED":
            self.service(*_owner(change.object)).drop(key_of(change.object)[1], now)
        else:
            self.service(*_owner(change.object)).put(change.object, now)

    def handle_restored(self) -> None:
        """The store has another history now."""
        now = self._restored_at = self._loop.time()
        found: dict[tuple[str, str], list[Object]] = {owner: [] for owner in self._services}
        for slice_ in self._store.list("endpointslices"):
            found.setdefault(_owner(slice_), []).append(slice_)
        for owner, slices in found.items():
            self.service(*owner).replace(slices, now)

    def judge(self, namespace: str, name: str, view: View, *, on_the_way: float) -> None:
        """Hold what is published now against the first rule.

        `on_the_way`: how many seconds what was heard last may have been on its way.

        Raises:
            Broken: it is a mixture of states, or too old.
        """
        if view.addresses is None:
            return
        self.judged += 1
        truth, now = self.service(namespace, name), self._loop.time()
        stale = view.stale_since is not None
        until = now if view.stale_since is None else view.stale_since
        age = truth.age(view.addresses, until)
        bound = (self._lag if stale else self._bound) + on_the_way
        if age is not None and age <= bound:
            if stale:
                self.oldest_stale = max(self.oldest_stale, age - on_the_way)
            else:
                self.oldest = max(self.oldest, age - on_the_way)
        elif 0.0 <= max(until, view.changed_at) - self._restored_at <= self._bound:
            self.excused += 1
        else:
            held = "never held" if age is None else f"last held {age:.1f} s before"
            raise Broken(
                f"at {now:.3f} s (stale since: {view.stale_since}) {sorted(view.addresses)} is "
                f"published for {name}, which the store {held}; now it holds {sorted(truth.now)}; "
                f"what was heard may have been on its way for {on_the_way:.1f} s, the last "
                f"restore was at {self._restored_at:.1f} s"
            )

    def judge_saved(
        self, namespace: str, name: str, addresses: frozenset[Address], age: float
    ) -> None:
        """Hold a snapshot against the first rule: it is a state that the store had once.

        How old it was when it was written is judged when it is published. `age` is that of the
        file, in seconds.

        Raises:
            Broken: it is a mixture of states.
        """
        truth, now = self.service(namespace, name), self._loop.time()
        if truth.age(addresses, now) is not None:
            return
        if 0.0 <= now - age - self._restored_at <= self._bound:
            self.excused += 1
        else:
            raise Broken(
                f"at {now:.3f} s a snapshot of {age:.1f} s ago has {sorted(addresses)} for {name}, "
                "which the store never held"
            )

    def differs(self, namespace: str, name: str, view: View) -> str:
        """How a view differs from the truth of now; empty when it does not."""
        truth = self.service(namespace, name).now
        if view.stale_since is None and view.addresses == truth:
            return ""
        return f"{name}: the store has {sorted(truth)}, the view is {view!r}"


def _owner(slice_: Object) -> tuple[str, str]:
    return key_of(slice_)[0], text(slice_, "metadata", "labels", _SERVICE_LABEL)


def _read(slice_: Object) -> list[tuple[Address, bool, bool]]:
    """(address, ready, terminating but serving) of each endpoint."""
    port = next((one.get("port") for one in objects(slice_, "ports")), None)
    if not isinstance(port, int):
        return []
    found: list[tuple[Address, bool, bool]] = []
    for endpoint in objects(slice_, "endpoints"):
        addresses = endpoint.get("addresses")
        conditions = mapping(endpoint, "conditions")
        ready = conditions.get("ready") is not False
        draining = conditions.get("serving") is True and conditions.get("terminating") is True
        if isinstance(addresses, list) and addresses and isinstance(addresses[0], str):
            found.append(((addresses[0], port), ready, draining))
    return found
