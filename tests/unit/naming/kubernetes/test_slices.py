"""EndpointSlices of one Service, joined: each rule by the smallest slices that show it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from kubbo.naming.kubernetes.objects import EndpointSlice
from kubbo.naming.kubernetes.slices import HINT_NODES, HINT_ZONES, POD, Joined, Verdict, join

if TYPE_CHECKING:
    from kubbo.naming.target import Port

DUBBO = {"name": "dubbo", "port": 20880, "protocol": "TCP"}


def endpoint(address: str, *, uid: str = "", hints: object = None, **fields: object) -> object:
    """An endpoint as JSON has it; conditions are those of `fields` that are conditions."""
    names = ("ready", "serving", "terminating")
    entry: dict[str, object] = {"addresses": [address]}
    conditions = {name: fields.pop(name) for name in names if name in fields}
    if conditions:
        entry["conditions"] = conditions
    if uid:
        entry["targetRef"] = {"kind": "Pod", "name": f"pod-{uid}", "uid": uid}
    if hints:
        entry["hints"] = hints
    return entry | fields


def slice_of(
    *endpoints: object,
    name: str = "s",
    generation: int = 1,
    family: str = "IPv4",
    ports: object = (DUBBO,),
) -> EndpointSlice:
    """An EndpointSlice, decoded from JSON as it comes from the API server."""
    metadata = {"name": name, "namespace": "shop", "generation": generation}
    document = {
        "metadata": metadata,
        "addressType": family,
        "endpoints": list(endpoints) or None,
        "ports": ports,
    }
    return msgspec.json.decode(msgspec.json.encode(document), type=EndpointSlice)


def called(joined: Joined) -> list[str]:
    return [str(one) for one in joined.endpoints]


def left_out(joined: Joined) -> list[str]:
    return [str(one) for one in joined.excluded]


# ------------------------------------------------------------------ joining
def test_all_slices_count() -> None:
    """The endpoints of a Service are those of all its slices, in the order of addresses."""
    slices = [
        slice_of(endpoint("10.0.0.2"), name="b"),
        slice_of(endpoint("10.0.0.1"), name="a"),
        slice_of(name="c"),
    ]
    for order in itertools.permutations(slices):
        joined = join(order)
        assert called(joined) == ["10.0.0.1:20880", "10.0.0.2:20880"]
        assert joined.verdict is Verdict.MEMBERS


def test_fifteen_slices_of_a_hundred() -> None:
    """1,500 endpoints in 15 slices are 1,500 members."""
    slices = [
        slice_of(*(endpoint(f"10.0.{group}.{host}") for host in range(1, 101)), name=f"s{group}")
        for group in range(15)
    ]
    assert len(join(slices).endpoints) == 1500


def test_no_slice_at_all() -> None:
    """Without a slice nothing is known, not even whether the Service exists."""
    assert join([]).verdict is Verdict.NO_SLICES


@pytest.mark.parametrize("ports", [None, [], [DUBBO]])
def test_a_slice_without_endpoints(ports: object) -> None:
    """The empty slice of a Service without pods: nil endpoints, ports or none."""
    joined = join([slice_of(ports=ports)])
    assert joined.verdict is Verdict.NO_ENDPOINTS
    assert joined.endpoints == joined.excluded == ()


def test_what_discovery_knows_is_kept() -> None:
    """Zone, node and pod name come with the endpoint."""
    one = endpoint("10.0.0.1", uid="u", zone="z1", nodeName="n1")
    (member,) = join([slice_of(one)]).endpoints
    assert (member.zone, member.node, member.labels) == ("z1", "n1", ((POD, "pod-u"),))


# --------------------------------------------------------------- conditions
@pytest.mark.parametrize(
    "conditions",
    [{}, {"ready": None}, {"ready": True}, {"ready": True, "serving": None, "terminating": None}],
)
def test_an_unknown_condition_is_good(conditions: dict[str, object]) -> None:
    """Nil ready is ready, nil serving follows ready, nil terminating is not terminating."""
    (member,) = join([slice_of(endpoint("10.0.0.1", **conditions))]).endpoints
    assert (member.ready, member.serving, member.terminating) == (True, True, False)


def test_what_is_not_ready_is_kept_apart() -> None:
    """An unready endpoint is not called, and not forgotten."""
    joined = join([slice_of(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))])
    assert called(joined) == ["10.0.0.1:20880"]
    assert left_out(joined) == ["10.0.0.2:20880"]
    assert (joined.ready, joined.not_ready, joined.terminating) == (1, 1, 0)


DRAINING = {"ready": False, "serving": True, "terminating": True}
DYING = {"ready": False, "serving": False, "terminating": True}


def test_terminating_endpoints_are_used_only_when_no_ready_one_is_left() -> None:
    """While a ready endpoint lives the draining ones rest; as the last ones they serve."""
    ready, draining, dying = (
        endpoint("10.0.0.1"),
        endpoint("10.0.0.2", **DRAINING),
        endpoint("10.0.0.3", **DYING),
    )
    unready = endpoint("10.0.0.4", ready=False)
    joined = join([slice_of(ready, draining, dying, unready)])
    assert called(joined) == ["10.0.0.1:20880"]
    joined = join([slice_of(draining, name="a"), slice_of(dying, unready, name="b")])
    assert called(joined) == ["10.0.0.2:20880"]
    assert left_out(joined) == ["10.0.0.3:20880", "10.0.0.4:20880"]
    joined = join([slice_of(dying, unready)])
    assert joined.verdict is Verdict.NOT_READY
    assert (joined.not_ready, joined.terminating) == (1, 1)


def test_serving_without_terminating_is_not_ready() -> None:
    """`serving` alone makes no member: only an endpoint on its way out may use it."""
    joined = join([slice_of(endpoint("10.0.0.1", ready=False, serving=True, terminating=False))])
    assert joined.verdict is Verdict.NOT_READY


# -------------------------------------------------------------------- ports
HTTP = {"name": "http", "port": 8080, "protocol": "TCP"}
TRI = {"name": "tri", "port": 50051, "protocol": "TCP"}
UNNAMED = {"port": 7000, "protocol": "TCP"}
GRPC = {"name": "api", "port": 9090, "protocol": "TCP", "appProtocol": "grpc"}
H2C = {"name": "h2", "port": 9091, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}
DNS = {"name": "dubbo", "port": 53, "protocol": "UDP"}


@pytest.mark.parametrize(
    ("ports", "port", "number"),
    [
        ([DUBBO, HTTP], "http", 8080),
        ([DUBBO, HTTP], 8080, 8080),
        ([DUBBO, HTTP], None, 20880),
        ([HTTP, GRPC], None, 9090),
        ([DUBBO, GRPC], None, 20880),
        ([HTTP], None, 8080),
        ([UNNAMED], None, 7000),
        ([{**UNNAMED, "name": ""}], None, 7000),
        ([DNS, HTTP], None, 8080),
        ([DNS, {**DUBBO, "protocol": None}], "dubbo", 20880),
        (None, 20880, 20880),
        ([], 20880, 20880),
        ([{"name": "any", "port": None}], 20880, 20880),
    ],
)
def test_port_choice(ports: object, port: Port, number: int) -> None:
    """By name or number; left out: named dubbo, else by appProtocol, else the only one."""
    (member,) = join([slice_of(endpoint("10.0.0.1"), ports=ports)], port=port).endpoints
    assert member.port == number


def test_triple_looks_for_its_own_name() -> None:
    """A Triple consumer that leaves the port out takes the one named tri, not dubbo."""
    slices = [slice_of(endpoint("10.0.0.1"), ports=[DUBBO, TRI])]
    assert called(join(slices, protocol="tri")) == ["10.0.0.1:50051"]
    assert called(join(slices)) == ["10.0.0.1:20880"]


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        ([DUBBO], "http"),
        ([DUBBO], 8080),
        ([HTTP, TRI], None),
        ([GRPC, H2C], None),
        ([DNS], None),
        ([], "dubbo"),
        ([], None),
        ([{"name": "any", "port": None}], None),
        ([{"name": "dubbo", "port": 0}], "dubbo"),
        ([{"name": "dubbo", "port": 70000}], "dubbo"),
    ],
)
def test_no_such_port(ports: list[dict[str, object]], port: Port) -> None:
    """Anything but one fitting port is no member, and the ports found are told."""
    joined = join([slice_of(endpoint("10.0.0.1"), ports=ports)], port=port)
    assert joined.verdict is Verdict.NO_PORT
    assert joined.port_problem
    assert len(joined.ports) == len(ports)
    assert len(joined.excluded) == 1


def test_the_target_port_may_differ_from_slice_to_slice() -> None:
    """A named port has the number of the slice that an endpoint is in."""
    slices = [
        slice_of(endpoint("10.0.0.1"), name="a"),
        slice_of(endpoint("10.0.0.2"), name="b", ports=[{**DUBBO, "port": 20990}]),
    ]
    assert called(join(slices, port="dubbo")) == ["10.0.0.1:20880", "10.0.0.2:20990"]
    assert called(join(slices)) == ["10.0.0.1:20880", "10.0.0.2:20990"]
    assert called(join(slices, port=20990)) == ["10.0.0.2:20990"]


def test_pods_that_lack_the_port_don_t_offer_another() -> None:
    """The choice is made over all slices: an older pod's only port is not taken in its place."""
    slices = [
        slice_of(endpoint("10.0.0.1"), name="new", ports=[DUBBO, HTTP]),
        slice_of(endpoint("10.0.0.2"), name="old", ports=[HTTP]),
    ]
    joined = join(slices)
    assert called(joined) == ["10.0.0.1:20880"]
    assert [one.host for one in joined.excluded] == ["10.0.0.2"]


def test_draining_pods_with_the_port_serve_when_the_ready_ones_lack_it() -> None:
    """The last resort counts among endpoints that can be dialled at all."""
    slices = [
        slice_of(endpoint("10.0.0.1"), name="a", ports=[HTTP]),
        slice_of(endpoint("10.0.0.2", **DRAINING), name="b"),
    ]
    assert called(join(slices, port="dubbo")) == ["10.0.0.2:20880"]


def test_ports_left_behind_are_not_the_only_port() -> None:
    """A slice without endpoints has no say in which port is the only one, or speaks Dubbo, while
    another has endpoints; with nobody left the Service has the ports that it has."""
    left = slice_of(name="left", ports=[HTTP])
    alive = slice_of(endpoint("10.0.0.1"), name="alive", ports=[{**HTTP, "name": "rpc"}])
    for order in ([left, alive], [alive, left]):
        assert called(join(order)) == ["10.0.0.1:8080"]
    left = slice_of(name="left", ports=[GRPC])
    alive = slice_of(endpoint("10.0.0.1"), name="alive", ports=[H2C, HTTP])
    assert called(join([left, alive])) == ["10.0.0.1:9091"]
    nobody = join([slice_of(name="a", ports=[HTTP])])
    assert (nobody.verdict, nobody.port_problem) == (Verdict.NO_ENDPOINTS, "")


def test_the_port_of_the_protocol_s_name_is_meant_also_where_nobody_has_it() -> None:
    """When the pods that have the port `dubbo` are gone, the others' only port is not it."""
    gone = slice_of(name="new", ports=[DUBBO, HTTP])
    old = slice_of(endpoint("10.0.0.2"), name="old", ports=[HTTP])
    assert join([gone, old]).verdict is Verdict.NO_PORT


def test_two_full_slices_leave_two_ports() -> None:
    """While the only port is renamed both names have endpoints: neither is the only one."""
    old = slice_of(endpoint("10.0.0.1", uid="u"), name="a", ports=[HTTP])
    new = slice_of(endpoint("10.0.0.1", uid="u"), name="b", ports=[{**HTTP, "name": "rpc"}])
    assert join([old, new]).verdict is Verdict.NO_PORT


# --------------------------------------------------------------- duplicates
def test_a_pod_in_two_slices_is_what_the_newer_generation_says() -> None:
    """While the controller moves a pod between slices it is one backend, in its newer state."""
    old = slice_of(endpoint("10.0.0.1", uid="u", ready=True), name="z", generation=3)
    new = slice_of(endpoint("10.0.0.1", uid="u", ready=False), name="a", generation=4)
    for order in ([old, new], [new, old]):
        joined = join(order)
        assert joined.verdict is Verdict.NOT_READY
        assert len(joined.excluded) == 1


def test_an_address_belongs_to_the_pod_that_lives() -> None:
    """An address that a new pod was given counts by the new pod, whatever the generations."""
    gone = slice_of(endpoint("10.0.0.1", uid="old", **DRAINING), name="a", generation=9)
    alive = slice_of(endpoint("10.0.0.1", uid="new"), name="b", generation=1)
    for order in ([gone, alive], [alive, gone]):
        (member,) = join(order).endpoints
        assert member.labels == ((POD, "pod-new"),)
        assert join(order).excluded == ()


def test_pods_of_the_host_network_share_an_address() -> None:
    """Two pods of one address and different ports are two backends."""
    slices = [
        slice_of(endpoint("10.0.0.1", uid="a"), name="a"),
        slice_of(endpoint("10.0.0.1", uid="b"), name="b", ports=[{**DUBBO, "port": 20990}]),
    ]
    assert called(join(slices)) == ["10.0.0.1:20880", "10.0.0.1:20990"]


@pytest.mark.parametrize("uid", ["", "u"])
@pytest.mark.parametrize("generation", [1, 5])
def test_ports_of_one_host_in_two_slices(uid: str, generation: int) -> None:
    """Subsets of Endpoints that share an address are mirrored as a slice for each group of ports:
    one has the port that is asked for, whatever the names and generations of the others."""
    for ours, other in (("a", "b"), ("b", "a")):
        slices = [
            slice_of(endpoint("10.0.0.9", uid=uid), name=ours),
            slice_of(
                endpoint("10.0.0.9", uid=uid), name=other, generation=generation, ports=[HTTP]
            ),
        ]
        for order in (slices, slices[::-1]):
            for port in ("dubbo", 20880, None):
                joined = join(order, port=port)
                assert called(joined) == ["10.0.0.9:20880"]
                assert joined.excluded == ()
                assert joined.ready == 1
            assert called(join(order, port="http")) == ["10.0.0.9:8080"]


def test_readiness_at_one_port_is_not_that_of_another() -> None:
    """The entry that has the port says whether the pod is ready there, the other's opinion is
    about something else."""
    slices = [
        slice_of(endpoint("10.0.0.9", uid="u", ready=False), name="a"),
        slice_of(endpoint("10.0.0.9", uid="u"), name="b", generation=5, ports=[HTTP]),
    ]
    joined = join(slices, port="dubbo")
    assert joined.verdict is Verdict.NOT_READY
    assert left_out(joined) == ["10.0.0.9:20880"]


def test_two_providers_of_one_host_without_pods() -> None:
    """Where no pod is named, two numbers of one port name are two providers."""
    slices = [
        slice_of(endpoint("10.0.0.9"), name="a"),
        slice_of(endpoint("10.0.0.9"), name="b", ports=[{**DUBBO, "port": 20881}]),
        slice_of(endpoint("10.0.0.9"), name="c", ports=[HTTP]),
    ]
    for order in itertools.permutations(slices):
        joined = join(order, port="dubbo")
        assert called(joined) == ["10.0.0.9:20880", "10.0.0.9:20881"]
        assert joined.excluded == ()


def test_a_host_that_has_the_port_nowhere_is_kept_apart() -> None:
    """Without a pod and without the port it is one that can't be called, once."""
    slices = [
        slice_of(endpoint("10.0.0.8"), name="a"),
        slice_of(endpoint("10.0.0.9"), name="b", ports=[HTTP]),
        slice_of(endpoint("10.0.0.9"), name="c", ports=[TRI]),
    ]
    joined = join(slices, port="dubbo")
    assert called(joined) == ["10.0.0.8:20880"]
    assert [(one.host, one.port) for one in joined.excluded] == [("10.0.0.9", 0)]


def test_a_repeated_entry_is_one_member() -> None:
    """The same endpoint twice in one slice, or in two, is one."""
    joined = join([
        slice_of(endpoint("10.0.0.1"), endpoint("10.0.0.1"), name="a"),
        slice_of(endpoint("10.0.0.1"), name="b"),
    ])  # fmt: skip
    assert called(joined) == ["10.0.0.1:20880"]


# ----------------------------------------------------------------- families
def test_dual_stack_is_one_backend_of_the_chosen_family() -> None:
    """A pod with two addresses is called at one; a pod of one family keeps what it has."""
    slices = [
        slice_of(endpoint("10.0.0.1", uid="a"), endpoint("10.0.0.2", uid="b"), name="four"),
        slice_of(
            endpoint("fd00::1", uid="a"), endpoint("fd00::3", uid="c"), name="six", family="IPv6"
        ),
    ]
    four = ["10.0.0.1:20880", "10.0.0.2:20880", "[fd00::3]:20880"]
    assert called(join(slices)) == four
    assert called(join(slices, family="IPv4")) == four
    assert called(join(slices, family="IPv6")) == [
        "10.0.0.2:20880",
        "[fd00::1]:20880",
        "[fd00::3]:20880",
    ]


def test_the_family_that_has_the_port_is_called() -> None:
    """The chosen family is a preference among addresses that have the port."""
    four = slice_of(endpoint("10.0.0.1", uid="a"), name="four", ports=[HTTP])
    six = slice_of(endpoint("fd00::1", uid="a"), name="six", family="IPv6")
    for order in ([four, six], [six, four]):
        joined = join(order, port="dubbo")
        assert called(joined) == ["[fd00::1]:20880"]
        assert joined.excluded == ()
        assert called(join(order, port="http", family="IPv6")) == ["10.0.0.1:8080"]
        nowhere = join(order, port="web")
        assert [one.host for one in nowhere.excluded] == ["10.0.0.1"]


def test_an_address_is_known_in_every_spelling() -> None:
    """IPv6 can be written in many ways; what is dialled, and compared, is the shortest."""
    slices = [
        slice_of(endpoint("FD00:0:0::1"), name="a", family="IPv6"),
        slice_of(endpoint("fd00::1"), endpoint("fd00:0::2"), name="b", family="IPv6"),
    ]
    assert called(join(slices)) == ["[fd00::1]:20880", "[fd00::2]:20880"]


@pytest.mark.parametrize(("family", "address"), [("IPv4", "fd00::1"), ("IPv6", "10.0.0.1")])
def test_an_address_of_another_family_is_not_used(family: str, address: str) -> None:
    """A slice has one family; what contradicts it is not dialled, and is counted."""
    joined = join([slice_of(endpoint(address), family=family)])
    assert joined.verdict is Verdict.NO_ENDPOINTS
    assert str(joined.steps[0]) == "slices 1 (1 of another family)"


def test_names_are_ignored_and_counted() -> None:
    """Slices of FQDN are no addresses; what was ignored is in the funnel."""
    joined = join([
        slice_of(endpoint("10.0.0.1"), name="a"),
        slice_of(endpoint("host.example"), name="b", family="FQDN"),
    ])  # fmt: skip
    assert called(joined) == ["10.0.0.1:20880"]
    assert joined.ignored == 1
    assert "1 names ignored" in str(joined.steps[0])


@pytest.mark.parametrize("address", ["", "host.example", "0.0.0.0", "10.0.0.1/24", "10.0.0.01"])
def test_what_is_no_address_is_no_member(address: str) -> None:
    """A slice may be written by hand: what cannot be dialled is not taken in, and is counted."""
    joined = join([slice_of(endpoint(address), endpoint("10.0.0.1"))])
    assert called(joined) == ["10.0.0.1:20880"]
    assert joined.excluded == ()
    assert str(joined.steps[0]) == "slices 1 (1 no address)"


# -------------------------------------------------------------------- hints
def zones(*names: str) -> object:
    return {"forZones": [{"name": name} for name in names]}


def test_hints_are_kept_when_every_ready_endpoint_has_them() -> None:
    """With all hinted they can be followed; the unready don't count."""
    joined = join([
        slice_of(
            endpoint("10.0.0.1", hints=zones("b", "a")),
            endpoint("10.0.0.2", hints=zones("c")),
            endpoint("10.0.0.3", ready=False),
        )
    ])  # fmt: skip
    assert [one.labels for one in joined.endpoints] == [
        ((HINT_ZONES, "a,b"),),
        ((HINT_ZONES, "c"),),
    ]


def test_hints_of_a_few_are_dropped() -> None:
    """With one ready endpoint unhinted, following the others would flood them."""
    joined = join([
        slice_of(endpoint("10.0.0.1", hints=zones("a")), name="a"),
        slice_of(endpoint("10.0.0.2", hints={"forZones": None}), name="b"),
    ])  # fmt: skip
    assert [one.labels for one in joined.endpoints] == [(), ()]


def test_node_hints_are_kept_likewise() -> None:
    """Hints for nodes follow the same rule, by themselves."""
    hints = {"forNodes": [{"name": "n1"}]}
    (member,) = join([slice_of(endpoint("10.0.0.1", hints=hints))]).endpoints
    assert member.labels == ((HINT_NODES, "n1"),)


# ------------------------------------------------------------------- funnel
def test_the_funnel_counts_each_narrowing() -> None:
    """Slices, conditions, port: what was left after each, and why the rest was not."""
    slices = [
        slice_of(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False), name="a"),
        slice_of(endpoint("10.0.0.3", **DRAINING), endpoint("10.0.0.4"), name="b", ports=[HTTP]),
    ]
    assert [str(step) for step in join(slices, port="dubbo").steps] == [
        "slices 2",
        "conditions 2 (1 not ready, 1 terminating)",
        "port 1 (dubbo)",
    ]
    assert str(join(slices, port="web").steps[-1]) == "port 0 (no port named 'web')"
