"""Routing rules in a configuration: which of them a service gets, and what they say."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from kubbo.cluster.routing import TagRouter, ZoneRouter
from kubbo.config.configuration import read_configuration
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.rpc.live import LiveView, Viewer
from kubbo.transport.dialer import State

SERVICE = ServiceKey("com.example.Shop", "eu", "1.0.0")


def view(text: str) -> LiveView:
    viewer = Viewer("web", {"KUBBO_ZONE": "zone-a"}, random.Random(1))
    return viewer.view(read_configuration({"kubbo.yaml": text.encode()}))


def left(text: str, service: ServiceKey = SERVICE) -> str:
    """Whom the rules of a configuration leave of `a` in zone-a and `b` in zone-b."""
    members: Any = [
        SimpleNamespace(
            endpoint=Endpoint(host, 1, zone=f"zone-{host}"),
            dialer=SimpleNamespace(state=State.READY),
            active=0,
            ejected=False,
        )
        for host in "ab"
    ]
    call = Invocation(service, Signature("who"), (), Deadline(1.0))
    for router in view(text).rules(service).routers:
        members = router.narrow(members, router.classify(call))
    return " ".join(each.endpoint.host for each in members)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "key: '*'",
        "key: eu/com.example.Shop:1.0.0",
        "key: com.example.Shop:1.0.0:eu",
        "key: com.example.Shop:*:*",
        "key: web\n  scope: application",
    ],
)
def test_a_rule_reaches_the_services_that_its_key_means(key: str) -> None:
    """In each form that Dubbo's users write; without a key it is for all."""
    rule = f"rules:\n- conditions: [=> host=b]\n  {key}\n"
    assert left(rule) == "b"


@pytest.mark.parametrize(
    "key", ["com.example.Shop", "com.example.Other:1.0.0:eu", "eu/com.example.Shop:2.0.0"]
)
def test_a_rule_of_another_service_does_nothing(key: str) -> None:
    """Nor does one whose version or group is another."""
    assert left(f"rules:\n- conditions: [=> host=b]\n  key: {key}\n") == "a b"


def test_zones_and_tags_need_no_scope() -> None:
    """A zone rule is for all services; a tag rule is for an application."""
    text = "rules:\n- zoneAware: {}\n- {key: greeter, tags: [{name: gray, addresses: [b]}]}\n"
    assert [type(each) for each in view(text).rules(SERVICE).routers] == [TagRouter, ZoneRouter]
    assert left(text) == "a"


def test_a_mistake_is_told_with_its_line_and_its_place_in_the_rule() -> None:
    """And nothing of such a configuration is taken."""
    with pytest.raises(ConfigError) as caught:
        view("rules:\n- conditions:\n  - method==x => host=a\n")
    assert "kubbo.yaml:2" in str(caught.value)
    assert "conditions[0]" in str(caught.value)
    assert "'==' before 'x'" in str(caught.value)


def test_numbers_and_flags_of_a_configuration_are_those_of_a_rule() -> None:
    """The configuration keeps each scalar as what YAML says that it is."""
    text = """
rules:
- configVersion: v3.1
  force: true
  enabled: "true"
  priority: 5
  conditions:
  - {from: {match: method=who}, to: [{match: host=b, weight: 100}], ratio: 10, force: false}
"""
    assert left(text) == "b"
    assert left(text.replace("host=b", "host=c")) == ""
