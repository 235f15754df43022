"""An API server of Kubernetes in this process, small and exact.

It knows Namespaces, Nodes, Services, Pods, ConfigMaps and EndpointSlices, serves them over
real HTTP, and can be told to fail. What it does is held to what a real kube-apiserver does by
tests that run the same operations against both. From the bottom:

    objects      JSON values and the kinds          selectors   labels and fields
    patches      merge patch, JSON patch            admission   defaults and checks
    store        versions, objects, history         watches     changes -> events
    calls        paths and parameters               access      tokens and rules
    faults       what goes wrong next               server      HTTP
"""

from kubbo.sim.apiserver.access import Rule
from kubbo.sim.apiserver.faults import Answer, Cut, Drop, ErrorEvent, Fault, Hang
from kubbo.sim.apiserver.objects import ApiError, Json, Object
from kubbo.sim.apiserver.selectors import Selector
from kubbo.sim.apiserver.server import ApiServer
from kubbo.sim.apiserver.store import Change, Snapshot, Store

__all__ = [
    "Answer",
    "ApiError",
    "ApiServer",
    "Change",
    "Cut",
    "Drop",
    "ErrorEvent",
    "Fault",
    "Hang",
    "Json",
    "Object",
    "Rule",
    "Selector",
    "Snapshot",
    "Store",
]
