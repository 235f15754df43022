"""What a consumer has to be allowed, as a Role and a RoleBinding to apply. Pure.

What is applied replaces what has its name: with one name for all, the binding of the consumer
that is applied last takes away what the one before it was given, and so does a Role that is
applied again for less. Each grant therefore has a Role and a binding of its own, with one name,
which says what it is for and who is given it:

    kubbo-consumer:web:checkout      account checkout of namespace web finds providers
    kubbo-diagnose:web:checkout      it reads why pods are not ready
    kubbo-config:web:checkout:flags  it watches the ConfigMap flags
    kubbo-consumer-user:jane         a user, as of a client certificate, finds providers

No namespace, account or ConfigMap has a colon in its name, so two grants in one namespace have one
name only if they are the same: applying one again changes nothing, and nothing that was given to
another, or for another purpose, is taken away.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

__all__ = [
    "Grant",
    "Subject",
    "diagnosing",
    "finding",
    "grant_name",
    "refused",
    "watching_config_map",
]

_GROUP: Final = "rbac.authorization.k8s.io"
_LONGEST: Final = 253
_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:@._+-]*")
"""Of a path, which is all that a name of RBAC has to be; and nothing that a shell would read."""

_REFUSAL: Final = re.compile(
    r'is forbidden: User "(?P<user>[!#-\[\]-~]{1,300})" cannot (?:list|watch) '
    r'resource "(?P<resource>[a-z]+)"'
)
_PART: Final = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ACCOUNT: Final = re.compile(
    rf"system:serviceaccount:(?P<namespace>{_PART}):(?P<name>{_PART}(?:\.{_PART})*)"
)

_PLAIN: Final = re.compile(r"[a-z][a-z0-9.-]*(:[a-z0-9.-]+)*")
_WORDS: Final = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # of YAML 1.1


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is given something: a service account, or a user where `namespace` is empty."""

    name: str
    namespace: str = ""

    def __str__(self) -> str:
        if not self.namespace:
            return f"user {self.name!r}"
        return f"service account {self.name!r} of namespace {self.namespace!r}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A Role in a namespace, and the binding that gives it to somebody if it is known to whom.

    `rules` are YAML. The names are expected to be those of objects; only YAML's pitfalls are
    looked after.
    """

    name: str
    namespace: str
    rules: str
    subject: Subject | None = None

    def __str__(self) -> str:
        """Both, as documents of YAML."""
        return self.role if self.subject is None else f"{self.role}---\n{self.binding}"

    @property
    def role(self) -> str:
        """The Role."""
        return (
            f"apiVersion: {_GROUP}/v1\n"
            "kind: Role\n"
            "metadata:\n"
            f"  name: {_scalar(self.name)}\n"
            f"  namespace: {_scalar(self.namespace)}\n"
            f"rules:\n{self.rules}"
        )

    @property
    def binding(self) -> str:
        """The RoleBinding; empty if nobody is known to give the Role to."""
        who = self.subject
        if who is None:
            return ""
        kind, rest = (
            ("ServiceAccount", f"namespace: {_scalar(who.namespace)}")
            if who.namespace
            else ("User", f"apiGroup: {_GROUP}")
        )
        return (
            f"apiVersion: {_GROUP}/v1\n"
            "kind: RoleBinding\n"
            "metadata:\n"
            f"  name: {_scalar(self.name)}\n"
            f"  namespace: {_scalar(self.namespace)}\n"
            "roleRef:\n"
            f"  apiGroup: {_GROUP}\n"
            "  kind: Role\n"
            f"  name: {_scalar(self.name)}\n"
            f"subjects:\n- kind: {kind}\n  name: {_scalar(who.name)}\n  {rest}\n"
        )


def finding(namespace: str, subject: Subject | None = None, *, name: str = "") -> Grant:
    """The least with which a consumer finds the providers of a namespace.

    `name` is for who has a better one than `grant_name` gives.
    """
    rules = (
        "- apiGroups: [discovery.k8s.io]\n"
        "  resources: [endpointslices]\n"
        "  verbs: [list, watch]\n"
        '- apiGroups: [""]\n'
        "  resources: [services]\n"
        "  verbs: [get, list]\n"
    )
    return Grant(name or grant_name("kubbo-consumer", subject), namespace, rules, subject)


def diagnosing(namespace: str, subject: Subject | None = None) -> Grant:
    """That pods may be asked why they are not ready."""
    rules = '- apiGroups: [""]\n  resources: [pods]\n  verbs: [list]\n'
    return Grant(grant_name("kubbo-diagnose", subject), namespace, rules, subject)


def watching_config_map(namespace: str, config_map: str, subject: Subject | None = None) -> Grant:
    """The least with which one ConfigMap is watched."""
    rules = (
        '- apiGroups: [""]\n'
        "  resources: [configmaps]\n"
        f"  resourceNames: [{_scalar(config_map)}]\n"
        "  verbs: [list, watch]\n"
    )
    return Grant(grant_name("kubbo-config", subject, config_map), namespace, rules, subject)


def grant_name(purpose: str, subject: Subject | None, of: str = "") -> str:
    """The name of a Role and its binding: another one for each purpose, subject and object.

    `of` has no colon (that of a user may). What would be no name of RBAC, or is longer than the
    names of most other objects may be, is a digest.
    """
    if subject is not None and not subject.namespace:
        purpose += "-user"
    who = ("", "") if subject is None else (subject.namespace, subject.name)
    whole = ":".join(part for part in (purpose, *who, of) if part)
    if len(whole) <= _LONGEST and _SEGMENT.fullmatch(whole):
        return whole
    return f"{purpose}-sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def refused(message: str, resource: str) -> Subject | None:
    """Whom an API server's refusal to list or watch some resource names; None if nobody to trust.

    What the message says is put into a binding, for a person to read and apply. So a name that a
    binding could not have, one that may have been changed on its way here (with spaces or quotes),
    and those that the system uses itself (`system:anonymous` is everybody) are not taken.
    """
    found = _REFUSAL.search(message)
    if found is None or found["resource"] != resource:
        return None
    user = found["user"]
    if not user.startswith("system:"):
        return Subject(user)
    account = _ACCOUNT.fullmatch(user)
    if account is None or len(account["namespace"]) > 63 or len(account["name"]) > _LONGEST:
        return None
    return Subject(account["name"], account["namespace"])


def _scalar(name: str) -> str:
    """A name as YAML, which would read `1e3` as a number and `on` as a truth."""
    plain = _PLAIN.fullmatch(name) and name not in _WORDS
    return name if plain else json.dumps(name)
