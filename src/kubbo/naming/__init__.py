"""From a service key to a target, and from a target to the endpoints behind it.

Importing this loads neither the HTTP client nor the DNS library: `open.py` does that when a
target needs them.
"""

from kubbo.naming.chain import Failover
from kubbo.naming.mapped import MappedResolver, map_in_context
from kubbo.naming.mapping import Mapping, MappingError, MappingStep, map_service_key, service_name
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import (
    Absent,
    Failed,
    Members,
    Pending,
    Publish,
    Refreshable,
    Resolution,
    Resolver,
)
from kubbo.naming.target import (
    DnsTarget,
    FailoverTarget,
    KubernetesTarget,
    StaticTarget,
    Target,
    parse_target,
)

__all__ = [
    "Absent",
    "DnsTarget",
    "Failed",
    "Failover",
    "FailoverTarget",
    "KubernetesTarget",
    "MappedResolver",
    "Mapping",
    "MappingError",
    "MappingStep",
    "Members",
    "NamingContext",
    "Pending",
    "Publish",
    "Refreshable",
    "Resolution",
    "Resolver",
    "StaticTarget",
    "Target",
    "map_in_context",
    "map_service_key",
    "open_resolver",
    "parse_target",
    "service_name",
]
