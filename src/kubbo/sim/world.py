"""A cluster in one process and no time: API server, network, Services, and the real consumers.

A `World` puts together what a simulation of discovery needs, from one seed: an API server and a
replica of it behind one virtual address, on a simulated network; consumers on hosts of their
own, each with the product's own HTTP client, credentials, reflector and resolver; Services whose
pods and slices change at random; and a judge (`world_truth`) that holds every publication
against what the store really held. What goes wrong is up to `world_faults`.

Everything random is drawn from generators that are seeded by the seed and a purpose, so the same
seed gives the same run, and one more draw for one purpose doesn't change the others. `trace` is
a digest of all publications with their times: two runs of a seed must agree on it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import Access, TlsFiles, TokenFile
from kubbo.naming.kubernetes.resolver import KubernetesResolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending
from kubbo.naming.snapshot import SnapshotError, SnapshotResolver
from kubbo.naming.target import KubernetesTarget
from kubbo.sim.apiserver import ApiServer, Change, Rule, Store
from kubbo.sim.disk import SimDisk, SimSnapshotFile
from kubbo.sim.endpointslices import EndpointSliceController
from kubbo.sim.net import SimNetwork
from kubbo.sim.net_http import SimConnector
from kubbo.sim.secrets import AUTHORITIES, ProjectedVolume, ServingCertificate
from kubbo.sim.world_churn import Churn
from kubbo.sim.world_truth import Broken, Truth, View

if TYPE_CHECKING:
    from kubbo.naming.resolution import Resolution, Resolver
    from kubbo.naming.snapshot import SnapshotFile
    from kubbo.sim.loop import SimLoop

__all__ = [
    "API",
    "API_PORT",
    "BOUND",
    "BUDGET",
    "NAMESPACE",
    "PROBES",
    "REPLICA",
    "VIRTUAL",
    "Consumer",
    "World",
]

API, REPLICA, VIRTUAL, API_PORT = "10.0.0.1", "10.0.0.2", "10.96.0.1", 6443
NAMESPACE = "shop"

LAG: Final = 15.0
"""Seconds that a replica may be behind the store."""

BOUND: Final = 90.0 + LAG
"""Seconds that a view which calls itself healthy may lag behind: what a client promises, counted
from the last sign of life, and what the server that gave it was behind. How long that sign was on
its way comes on top; the network knows it."""

BUDGET: Final = {1.0: 12, 10.0: 25, 60.0: 50, 600.0: 240}
"""Requests that one resolver sends at most within so many seconds, whatever goes wrong."""

PROBES: Final = {1.0: 8, 10.0: 25, 60.0: 90, 600.0: 400}
"""Likewise, questions whether the server is ready, which cost it next to nothing."""

_KEEPERS = 2  # consumers that write snapshots: real files take real time
_EPOCH = 1_700_000_000.0  # the wall clock of a world when its loop is at 0


class Consumer:
    """One consumer pod: its client, its resolver, and what that published last.

    Attributes:
        snapshot: the file in which it keeps its views, if it keeps them.
    """

    def __init__(self, world: World, number: int, service: str, *, keeps: bool = False) -> None:
        self.service = service
        self.host = f"10.1.{number // 250}.{number % 250 + 2}"
        self.resolution: Resolution = Pending()
        self.view = View(None)
        self.publications = 0
        self.resolver = KubernetesResolver(
            KubernetesTarget(service, NAMESPACE, "dubbo"),
            self._connect,
            rng=world.random(f"consumer {number}"),
        )
        self.snapshot = world.snapshot(service) if keeps else None
        self._world = world
        self._client: ClusterClient | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        resolver: Resolver = self.resolver
        if self.snapshot is not None:
            resolver = SnapshotResolver(resolver, self._open_snapshot, wall=self._world.wall)
        with self._world.network.on(self.host):
            self._task = asyncio.create_task(
                resolver.watch(self._publish), name=f"consumer {self.host}"
            )

    async def _open_snapshot(self) -> SnapshotFile:
        assert self.snapshot is not None
        return self.snapshot

    async def _connect(self) -> ClusterClient:
        self._client = ClusterClient(self._world.credentials, connector=SimConnector, process=0)
        return self._client

    def _publish(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.view = View.of(resolution, self.view, self._world.loop.time())
        self.publications += 1
        self._world.note(self, resolution)

    def check(self) -> None:
        """Raise what ended the resolver, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise Broken(f"the resolver of {self.host} returned")

    async def aclose(self) -> None:
        """End it, and leave nothing behind."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()


class World:
    """See the head of the module. Use it by `async with`, inside a `SimLoop`.

    Attributes:
        directory: for files of this world, and gone with it.
        fired: how often each kind of fault happened to something.
        most_requests: the most requests of one consumer, by the windows of `BUDGET`.
        most_probes: likewise, of probes, by those of `PROBES`.
    """

    def __init__(
        self, loop: SimLoop, seed: int | str, *, services: int = 4, consumers: int = 8
    ) -> None:
        self.loop = loop
        self.seed = seed
        self.network = SimNetwork(loop, self.random("network"))
        self.store = self._make_store("store")
        self.replica_store = self._make_store("replica")
        self.lag = 0.0
        """Seconds that the replica is behind."""
        self.server = self._make_server(API, self.store)
        self.replica = self._make_server(REPLICA, self.replica_store)
        self.replica.quorum = self.store
        self.services = tuple(f"service-{number}" for number in range(services))
        self.churn = Churn(
            self.store, self.random("churn"), namespace=NAMESPACE, names=self.services
        )
        self.truth = Truth(self.store, loop, bound=BOUND, lag=LAG)
        self.fired: Counter[str] = self.network.fired
        self.most_requests: Counter[float] = Counter()
        self.most_probes: Counter[float] = Counter()
        self._directory = tempfile.TemporaryDirectory(prefix="kubbo-sim-")
        self.directory = Path(self._directory.name)
        self.disk = SimDisk()
        self.consumers = [
            Consumer(self, number, self.services[number % services], keeps=number < _KEEPERS)
            for number in range(consumers)
        ]
        secrets = self.directory / "serviceaccount"
        secrets.mkdir()
        self._secrets = ProjectedVolume(secrets)
        self.certificate = ServingCertificate(AUTHORITIES[0])
        self.network.certificates[VIRTUAL, API_PORT] = self.certificate
        self._token = ""
        self._tokens = 0
        self.credentials = Access(
            server=f"https://{VIRTUAL}:{API_PORT}",
            namespace=NAMESPACE,
            source="the simulation",
            identity=TokenFile(secrets / "token"),
            tls=TlsFiles(ca_file=secrets / "ca.crt"),
        )
        self.controller = EndpointSliceController(self.store)
        self._behind: deque[tuple[float, Change]] = deque()
        self._catching_up: deque[asyncio.TimerHandle] = deque()
        self.snapshots_judged = 0
        self._requests: dict[tuple[str, float, bool], deque[float]] = {}
        self._digest = hashlib.sha256()
        self._unsubscribe = self.store.subscribe(self._replicate)
        self._broken: Broken | None = None

    def random(self, purpose: str) -> random.Random:
        """A generator of this world for one purpose."""
        return random.Random(f"{self.seed}/{purpose}")  # noqa: S311 - repeatable on purpose

    def _make_store(self, purpose: str) -> Store:
        return Store(clock=self.wall, rng=self.random(purpose))

    def _make_server(self, host: str, store: Store) -> ApiServer:
        server = ApiServer(store, host=host, port=API_PORT, rng=self.random(f"server {host}"))
        server.observer = self._count_request if host == API else self._count_replica_request
        return server

    def wall(self) -> float:
        """The time on the wall, in seconds."""
        return _EPOCH + self.loop.time()

    def snapshot(self, service: str) -> SimSnapshotFile:
        """The file in which a consumer of a Service keeps its view."""
        directory = self.directory / f"snapshots-{service}"
        return SimSnapshotFile(self.disk, directory, f"kubernetes:///{service}", "the simulation")

    # --- life

    async def __aenter__(self) -> Self:
        self.swap_token()
        self.write_secrets()
        with self.network.on(API):
            await self.server.start()
        with self.network.on(REPLICA):
            await self.replica.start()
        self.network.balance(VIRTUAL, [API])
        await self.controller.__aenter__()
        for _ in range(len(self.services) * 8):
            self.churn.step()
            await self.controller.settled()
        for consumer in self.consumers:
            consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for consumer in self.consumers:
            await consumer.aclose()
        self._unsubscribe()
        for timer in self._catching_up:
            timer.cancel()
        self.truth.close()
        await self.controller.__aexit__(None, None, None)
        await self.replica.stop(abrupt=True)
        await self.server.stop(abrupt=True)
        self._directory.cleanup()

    # --- what the consumers do

    def note(self, consumer: Consumer, resolution: Resolution) -> None:
        """A consumer published: judge it, and put it into the trace."""
        self.record(consumer.host, consumer.view, resolution)
        try:
            self._judge(consumer)
        except Broken as error:
            self._broken = self._broken or error

    def record(self, host: str, view: View, resolution: Resolution) -> None:
        """Put what somebody on a host published into the trace."""
        match resolution:
            case Members(stale_since=stale_since):
                said = f"members {sorted(view.addresses or ())} {stale_since}"
            case Absent(reason):
                said = f"absent {reason}"
            case Failed(error):
                said = f"failed {error}".replace(self._directory.name, "")
            case Pending():
                said = "pending"
        self._digest.update(f"{self.loop.time():.6f} {host} {said}\n".encode())

    def _judge(self, consumer: Consumer) -> None:
        since = consumer.view.stale_since
        since = (self.loop.time() if since is None else since) - BOUND
        on_the_way = self.network.longest_transit(consumer.host, since)
        self.truth.judge(NAMESPACE, consumer.service, consumer.view, on_the_way=on_the_way)

    @property
    def trace(self) -> str:
        """A digest of all that was published so far, and when."""
        return self._digest.hexdigest()

    def check(self) -> None:
        """Hold what all consumers publish now against the rules.

        Raises:
            Broken: a rule was broken, now or before.
        """
        for consumer in self.consumers:
            consumer.check()
            self._judge(consumer)
            self._check_snapshot(consumer)
        if self._broken is not None:
            raise self._broken

    def _check_snapshot(self, consumer: Consumer) -> None:
        """What is on the disk is a whole file of what the store had, and nothing beside it."""
        if consumer.snapshot is None or not consumer.snapshot.path.exists():
            return
        left = [path.name for path in consumer.snapshot.path.parent.iterdir()]
        try:
            endpoints, age = consumer.snapshot.read(self.wall())
        except SnapshotError as error:
            raise Broken(f"at {self.loop.time():.3f} s {error}") from error
        if left != [consumer.snapshot.path.name]:
            raise Broken(f"at {self.loop.time():.3f} s the snapshots lie among {left}")
        self.snapshots_judged += 1
        addresses = frozenset(endpoint.key for endpoint in endpoints)
        self.truth.judge_saved(NAMESPACE, consumer.service, addresses, age)

    def differences(self) -> list[str]:
        """How the views of the consumers differ from the truth of now."""
        return [
            f"{consumer.host}: {difference}"
            for consumer in self.consumers
            if (difference := self.truth.differs(NAMESPACE, consumer.service, consumer.view))
        ]

    # --- what the servers see

    def _count_request(self, client: str, verb: str, resource: str) -> None:
        now = self.loop.time()
        probe = resource == "/readyz"
        seen = self.most_probes if probe else self.most_requests
        for window, most in (PROBES if probe else BUDGET).items():
            times = self._requests.setdefault((client, window, probe), deque())
            times.append(now)
            while times[0] <= now - window:
                times.popleft()
            if len(times) > seen[window]:
                seen[window] = len(times)
                if len(times) > most and self._broken is None:
                    self._broken = Broken(
                        f"at {now:.3f} s {client} sent {len(times)} requests within {window:g} s, "
                        f"the last to {verb} {resource}; its budget is {most}"
                    )

    def _count_replica_request(self, client: str, verb: str, resource: str) -> None:
        if self._behind:
            self.fired["lagging replica"] += 1
        self._count_request(client, verb, resource)

    # --- the replica

    def _replicate(self, change: Change) -> None:
        if not self.lag and not self._behind:
            self.replica_store.apply(change)
            return
        self._behind.append((self.loop.time() + self.lag, change))
        self._catching_up.append(self.loop.call_later(self.lag, self._catch_up))

    def _catch_up(self) -> None:
        while self._catching_up and self._catching_up[0].when() <= self.loop.time():
            self._catching_up.popleft()
        while self._behind and self._behind[0][0] <= self.loop.time():
            self.replica_store.apply(self._behind.popleft()[1])

    def set_lag(self, seconds: float) -> None:
        """Let the replica be so far behind from now on; with 0 it catches up at once."""
        self.lag = seconds
        if not seconds:
            while self._behind:
                self.replica_store.apply(self._behind.popleft()[1])

    # --- tokens and histories

    def swap_token(self) -> None:
        """Let the servers know only a new token; `write_secrets` tells the consumers."""
        before, self._tokens = self._token, self._tokens + 1
        self._token = f"token-{self._tokens}"
        rules = [Rule(verb, "endpointslices", NAMESPACE) for verb in ("get", "list", "watch")]
        for server in (self.server, self.replica):
            server.access.grant(self._token, "consumer", *rules, Rule("get", "services", NAMESPACE))
            if before:
                server.access.revoke(before)

    def swap_authority(self) -> None:
        """Give the server a certificate of another authority; `write_secrets` says of which."""
        number = AUTHORITIES.index(self.certificate.issuer)
        self.certificate.issuer = AUTHORITIES[(number + 1) % len(AUTHORITIES)]

    def write_secrets(self) -> None:
        """Put token and authority into the consumers' volume, as the kubelet does in time."""
        self._secrets.write({"token": self._token, "ca.crt": self.certificate.issuer})

    async def restart(self, seconds: float, *, abrupt: bool) -> None:
        """Stop the server, and start it again with its data."""
        await self.server.stop(abrupt=abrupt)
        await asyncio.sleep(seconds)
        with self.network.on(API):
            await self.server.start()

    async def change_history(self, seconds: float, *, wipe: bool, back: float) -> None:
        """Stop the servers, bring a backup of `back` seconds ago back or nothing, and start."""
        backup = self.store.snapshot()
        await asyncio.sleep(back)
        await self.server.stop(abrupt=True)
        await self.replica.stop(abrupt=True)
        await asyncio.sleep(seconds)
        self._behind.clear()
        for store in (self.store, self.replica_store):
            if wipe:
                store.clear()
            else:
                store.restore(backup)
        self.truth.handle_restored()
        with self.network.on(API):
            await self.server.start()
        with self.network.on(REPLICA):
            await self.replica.start()
        self.controller.resync()
