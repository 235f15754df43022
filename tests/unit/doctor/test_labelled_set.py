"""The doctor over bundles of deployments that were broken on a real control plane."""

from __future__ import annotations

import msgspec
import pytest
from tests.cluster.doctor.score import VECTORS, WELL, score

from kubbo.doctor.bundle import Unread, load
from kubbo.doctor.causes import RANKS
from kubbo.doctor.diagnose import diagnose

BUNDLES = sorted(VECTORS.glob("*.json"))
ASKED_FOR = [
    "image-pull",
    "invalid-name",
    "sandbox-failed",
    "crash-loop",
    "oom-killed",
    "start-failed",
    "readiness-failing",
    "startup-failing",
    "liveness-failing",
    "no-such-service",
    "selector-matches-nothing",
    "scaled-to-zero",
    "wrong-port-name",
    "wrong-target-port",
    "external-name",
    "no-permission",
    "quota-exceeded",
    "unschedulable",
    "missing-config",
    "volume-failed",
    "loopback-bound",
    "wrong-protocol",
    "not-exported",
    "token-rejected",
    "dns-failing",
    "network-policy",
    "node-lost",
    "rollout-stuck",
    "name-mapping",
]


def test_the_first_cause_is_right_in_nine_of_ten_and_nothing_healthy_is_called_broken():
    """The claim of docs/doctor.md, over the whole set."""
    total = score()
    assert total.broken >= 60
    assert total.well >= 10
    assert total.precision >= 0.9, total.wrong
    assert total.recall >= 0.9, total.wrong
    assert total.alarms == []


def test_every_id_that_users_are_promised_is_in_the_set():
    """Each id has a bundle that was broken that way, and a rank."""
    assert set(ASKED_FOR) <= {path.name.partition(".")[0] for path in BUNDLES}
    assert set(ASKED_FOR) <= set(RANKS)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_a_cause_has_evidence_and_a_remedy(path):
    """Nothing is claimed without what was seen, nor left without what to do."""
    found = diagnose(load(path))
    assert (found.verdict == "broken") == bool(found.causes)
    for cause in found.causes:
        assert cause.id in RANKS
        assert cause.object.partition("/")[2]
        assert all((cause.summary, cause.remedy, cause.evidence, *cause.evidence))
    if found.verdict == "unknown":
        assert "not enough evidence" in found.notes[0]


@pytest.mark.parametrize(
    "path", [one for one in BUNDLES if one.name.startswith(WELL)], ids=lambda path: path.stem
)
def test_less_evidence_never_makes_a_cause_of_what_is_well(path):
    """Whichever kind of object is missing, as with a smaller Role, nothing is called broken."""
    bundle = load(path)
    kinds = {
        "pods": "pods",
        "events": "events",
        "deployments": "deployments",
        "replicasets": "replica_sets",
        "services": "services",
        "endpointslices": "slices",
        "networkpolicies": "policies",
        "nodes": "nodes",
    }
    for what, attribute in kinds.items():
        unread = [*bundle.unread, Unread(what, 403, "forbidden")]
        less = msgspec.structs.replace(bundle, **{attribute: [], "unread": unread})
        assert diagnose(less).causes == (), what
