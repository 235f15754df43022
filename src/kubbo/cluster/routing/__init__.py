"""Rules that say which providers may take a call, as users of Dubbo write them.

parse, parse_text     the YAML of Dubbo's condition, tag and affinity rules -> routers
ConditionRouter       WHEN => THEN, and several destinations by weight (canary)
TagRouter             groups of providers, and calls that carry a tag
AffinityRouter        providers that are like the consumer
ZoneRouter            the own zone first
account_for           why an endpoint is in or out
"""

from kubbo.cluster.routing.accounts import Account, Accountable, account_for
from kubbo.cluster.routing.affinity import AffinityRouter
from kubbo.cluster.routing.condition import Condition, ConditionRouter, Destination
from kubbo.cluster.routing.facts import Consumer
from kubbo.cluster.routing.rules import Disabled, in_order, parse, parse_text
from kubbo.cluster.routing.tags import Group, TagRouter
from kubbo.cluster.routing.zones import ZoneRouter

__all__ = [
    "Account",
    "Accountable",
    "AffinityRouter",
    "Condition",
    "ConditionRouter",
    "Consumer",
    "Destination",
    "Disabled",
    "Group",
    "TagRouter",
    "ZoneRouter",
    "account_for",
    "in_order",
    "parse",
    "parse_text",
]
