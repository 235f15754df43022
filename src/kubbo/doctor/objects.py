"""What a bundle keeps of each object of the cluster.

An object of the API is decoded into these and a bundle is written from them, so what has no field
here cannot get into a bundle: the value of an environment variable, a Secret's data, an argument
of a command, an annotation that somebody else wrote. To keep more is to add a field, where a
reviewer sees it.
"""

from __future__ import annotations

import msgspec

from kubbo.naming.kubernetes.objects import (  # noqa: TC001 - msgspec reads the hints
    ServicePort,
    SliceEndpoint,
    SlicePort,
)


class _Kept(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Frozen: rules read and change nothing."""


class Owner(_Kept, frozen=True):
    """Who made an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Annotations(_Kept, frozen=True):
    """The annotations that are kept."""

    services: str | None = msgspec.field(name="kubbo.dev/services", default=None)
    revision: str | None = msgspec.field(name="deployment.kubernetes.io/revision", default=None)


class Meta(_Kept, frozen=True):
    """Metadata of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    owner_references: list[Owner] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class Condition(_Kept, frozen=True):
    """One condition of any object; `status` is `True`, `False` or `Unknown`."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


# ---------------------------------------------------------------------- pods
class KeyOf(_Kept, frozen=True):
    """A key of a ConfigMap or Secret; without a key it is all of it."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class ValueFrom(_Kept, frozen=True):
    """Where the value of a variable comes from. The value itself is never kept."""

    config_map_key_ref: KeyOf | None = None
    secret_key_ref: KeyOf | None = None


class Variable(_Kept, frozen=True):
    """An environment variable, without its value."""

    name: str = ""
    value_from: ValueFrom | None = None


class VariablesFrom(_Kept, frozen=True):
    """All keys of an object as variables."""

    config_map_ref: KeyOf | None = None
    secret_ref: KeyOf | None = None


class ContainerPort(_Kept, frozen=True):
    """A port that a container declares."""

    name: str = ""
    container_port: int = 0
    protocol: str = ""


class Action(_Kept, frozen=True):
    """Whom a probe asks; paths and headers are not kept."""

    port: int | str | None = None


class Probe(_Kept, frozen=True):
    """A probe; all in seconds. What is left out has the defaults of Kubernetes."""

    http_get: Action | None = None
    tcp_socket: Action | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    failure_threshold: int = 3


class Amounts(_Kept, frozen=True):
    """Requests and limits of a container."""

    requests: dict[str, str] | None = None
    limits: dict[str, str] | None = None


class Container(_Kept, frozen=True):
    """A container as it was asked for."""

    name: str = ""
    image: str = ""
    ports: list[ContainerPort] | None = None
    env: list[Variable] | None = None
    env_from: list[VariablesFrom] | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    resources: Amounts | None = None


class ConfigMapVolume(_Kept, frozen=True):
    """A ConfigMap as files."""

    name: str = ""
    optional: bool | None = None


class SecretVolume(_Kept, frozen=True):
    """A Secret as files, by name."""

    secret_name: str = ""
    optional: bool | None = None


class ClaimVolume(_Kept, frozen=True):
    """A volume by its claim."""

    claim_name: str = ""


class Volume(_Kept, frozen=True):
    """A volume of a pod."""

    name: str = ""
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None


class PodSpec(_Kept, frozen=True):
    """What a pod asks for."""

    node_name: str = ""
    host_network: bool = False
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    service_account_name: str = ""


class Waiting(_Kept, frozen=True):
    """Why a container does not run."""

    reason: str = ""
    message: str = ""


class Running(_Kept, frozen=True):
    """Since when a container runs."""

    started_at: str | None = None


class Ended(_Kept, frozen=True):
    """How a container ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class State(_Kept, frozen=True):
    """What a container does; at most one of these."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Ended | None = None


class ContainerStatus(_Kept, frozen=True):
    """How a container is."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: State | None = None
    last_state: State | None = None


class PodStatus(_Kept, frozen=True):
    """How a pod is."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    start_time: str | None = None
    conditions: list[Condition] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(_Kept, frozen=True):
    """A Pod (v1)."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# ----------------------------------------------------------------- workloads
class Selector(_Kept, frozen=True):
    """A label selector, as far as it is a mapping; `match_expressions` are only counted."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[dict[str, object]] | None = None


class Template(_Kept, frozen=True):
    """The pods that a workload makes."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(_Kept, frozen=True):
    """What a Deployment or a ReplicaSet asks for."""

    replicas: int = 1
    paused: bool = False
    selector: Selector | None = None
    template: Template = Template()


class WorkloadStatus(_Kept, frozen=True):
    """How far a Deployment or a ReplicaSet is."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: list[Condition] | None = None


class Workload(_Kept, frozen=True):
    """A Deployment or a ReplicaSet (apps/v1)."""

    metadata: Meta = Meta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


# ------------------------------------------------------------------- network
class ServiceSpec(_Kept, frozen=True):
    """What a Service asks for."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None
    external_name: str = ""


class Service(_Kept, frozen=True):
    """A Service (v1)."""

    metadata: Meta = Meta()
    spec: ServiceSpec = ServiceSpec()


class Slice(_Kept, frozen=True):
    """An EndpointSlice (discovery.k8s.io/v1)."""

    metadata: Meta = Meta()
    address_type: str = "IPv4"
    endpoints: list[SliceEndpoint] | None = None
    ports: list[SlicePort] | None = None


class PolicyPort(_Kept, frozen=True):
    """A port that a policy lets in; none stands for all."""

    port: int | str | None = None
    end_port: int | None = None
    protocol: str = "TCP"


class PolicyPeers(_Kept, frozen=True, rename={"sources": "from"}):
    """One rule of a policy. Who is let in is kept only as far as it says nobody or somebody."""

    sources: list[dict[str, object]] | None = None
    ports: list[PolicyPort] | None = None


class PolicySpec(_Kept, frozen=True):
    """What a policy says of connections in."""

    pod_selector: Selector = Selector()
    policy_types: list[str] | None = None
    ingress: list[PolicyPeers] | None = None


class Policy(_Kept, frozen=True):
    """A NetworkPolicy (networking.k8s.io/v1)."""

    metadata: Meta = Meta()
    spec: PolicySpec = PolicySpec()


# ------------------------------------------------------------ the namespace
class Involved(_Kept, frozen=True):
    """What an event is about; of a container `field_path` ends with `{NAME}`."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    field_path: str = ""


class Series(_Kept, frozen=True):
    """An event that happened more than once."""

    count: int = 0
    last_observed_time: str | None = None


class Event(_Kept, frozen=True):
    """An Event (v1)."""

    metadata: Meta = Meta()
    involved_object: Involved = Involved()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 1
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: Series | None = None


class QuotaStatus(_Kept, frozen=True):
    """How much of a quota is used."""

    hard: dict[str, str] | None = None
    used: dict[str, str] | None = None


class Quota(_Kept, frozen=True):
    """A ResourceQuota (v1)."""

    metadata: Meta = Meta()
    status: QuotaStatus = QuotaStatus()


class ClaimStatus(_Kept, frozen=True):
    """Whether a claim has a volume."""

    phase: str = ""


class Claim(_Kept, frozen=True):
    """A PersistentVolumeClaim (v1)."""

    metadata: Meta = Meta()
    status: ClaimStatus = ClaimStatus()


class NodeStatus(_Kept, frozen=True):
    """How a node is."""

    conditions: list[Condition] | None = None


class Node(_Kept, frozen=True):
    """A Node (v1)."""

    metadata: Meta = Meta()
    status: NodeStatus = NodeStatus()
