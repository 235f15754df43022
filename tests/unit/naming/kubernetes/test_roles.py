"""Roles and their bindings: what they allow, to whom, and that none takes another's place."""

from __future__ import annotations

import re

import pytest
import yaml

from kubbo.naming.kubernetes.roles import (
    Grant,
    Subject,
    diagnosing,
    finding,
    grant_name,
    refused,
    watching_config_map,
)

CHECKOUT = Subject("checkout", "web")


def test_a_grant_is_two_manifests() -> None:
    """What is printed can be applied: reading alone, in one namespace, never cluster-wide."""
    role, binding = yaml.safe_load_all(str(finding("shop", CHECKOUT)))
    name = "kubbo-consumer:web:checkout"
    assert role["kind"] == "Role"
    assert role["metadata"] == binding["metadata"] == {"name": name, "namespace": "shop"}
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["endpointslices"], ["list", "watch"]),
        (["services"], ["get", "list"]),
    ]
    assert binding["kind"] == "RoleBinding"
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": name,
    }
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "checkout", "namespace": "web"}
    ]


def test_a_user_is_bound_as_a_user() -> None:
    """Who has a client certificate is in no namespace."""
    _, binding = yaml.safe_load_all(str(finding("shop", Subject("jane"))))
    assert binding["metadata"]["name"] == "kubbo-consumer-user:jane"
    assert binding["subjects"] == [
        {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    ]


def test_without_anybody_to_give_it_to_there_is_a_role_only() -> None:
    """Whose Role it is, is then for the reader to say."""
    grant = finding("shop")
    assert str(grant) == grant.role
    assert grant.binding == ""
    assert grant.name == "kubbo-consumer"


def grants(subject: Subject) -> list[Grant]:
    """Everything that one may be given in a namespace."""
    return [
        finding("shop", subject),
        diagnosing("shop", subject),
        *(watching_config_map("shop", name, subject) for name in ("a", "b.c", "b", "c")),
    ]


SUBJECTS = [
    *(Subject(account, namespace) for namespace in ("a", "a-b", "b") for account in
      ("a", "b", "c", "b-c", "a.b", "b.a", "b.c", "a" * 253, "b" + "a" * 252)),
    *(Subject(user) for user in
      ("a", "b", "a:b", "a:b:c", "a:b.c", "a/b", "a%b", "..", "Ann", "ann", "ann@x", "a" * 300)),
]  # fmt: skip


def test_no_two_grants_have_one_name() -> None:
    """Whatever the dots and dashes of the accounts: nothing that is applied replaces another's."""
    names = [grant.name for subject in SUBJECTS for grant in grants(subject)]
    assert len(set(names)) == len(names)


def test_names_are_taken_by_every_reader() -> None:
    """A segment of a path, not too long, with nothing in it that a shell or YAML reads."""
    for subject in SUBJECTS:
        for grant in grants(subject):
            assert re.fullmatch(r"[A-Za-z0-9:@._+-]{1,253}", grant.name)
            role, binding = yaml.safe_load_all(str(grant))
            assert role["metadata"]["name"] == binding["roleRef"]["name"] == grant.name
            assert binding["subjects"][0]["name"] == subject.name


@pytest.mark.parametrize("name", ["on", "123", "1e3", "0x10", "null", "y", "a:", "1:2", 'x": y'])
def test_names_that_yaml_would_misread(name: str) -> None:
    """They are strings, whatever they look like."""
    role, binding = yaml.safe_load_all(str(finding(name, Subject(name, name))))
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == name
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": name}]
    role, _ = yaml.safe_load_all(str(watching_config_map("shop", name, CHECKOUT)))
    assert role["rules"][0]["resourceNames"] == [name]


def test_a_name_of_full_length_is_kept_apart_by_a_digest() -> None:
    """Two accounts that differ only where a name would be cut."""
    one, other = (grant_name("kubbo-consumer", Subject("x" * 252 + end, "web")) for end in "ab")
    assert one != other
    assert one.startswith("kubbo-consumer-sha256:")


def refusal(user: str, what: str = 'list resource "endpointslices"') -> str:
    """What an API server says, with the words of the client around it."""
    return (
        "https://10.96.0.1:443 answered 403: endpointslices.discovery.k8s.io is forbidden: "
        f'User "{user}" cannot {what} in API group "discovery.k8s.io" in the namespace "shop"'
    )


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("system:serviceaccount:web:checkout", CHECKOUT),
        ("system:serviceaccount:1e3:build.bot", Subject("build.bot", "1e3")),
        ("system:serviceaccount:web:" + "a" * 200, Subject("a" * 200, "web")),
        ("jane", Subject("jane")),
        ("https://id.example#ann@example.com", Subject("https://id.example#ann@example.com")),
        ("- kind: X", None),
    ],
)
def test_who_was_refused_is_read_from_the_refusal(user: str, subject: Subject | None) -> None:
    """An account of its namespace, or a user, whatever that is called."""
    assert refused(refusal(user), "endpointslices") == subject
    assert refused(refusal(user, 'watch resource "endpointslices"'), "endpointslices") == subject


@pytest.mark.parametrize(
    "message",
    [
        "",
        "no",
        refusal(""),
        refusal("system:anonymous"),
        refusal("system:node:worker-1"),
        refusal("system:serviceaccount:web"),
        refusal("system:serviceaccount:web:"),
        refusal("system:serviceaccount:Web:checkout"),
        refusal("system:serviceaccount:web:checkout:more"),
        refusal("system:serviceaccount:web:check..out"),
        refusal("system:serviceaccount:web:checkout\n"),
        refusal(f"system:serviceaccount:{'a' * 64}:checkout"),
        refusal("system:serviceaccount:web:" + "a" * 254),
        refusal("Jane Doe"),  # between which there may have been two spaces
        refusal("jane\\"),
        refusal("jane\x1b[1m"),
        refusal("jäne"),
        refusal("j" * 301),
        refusal("jane", 'get resource "endpointslices"'),
        refusal("jane", 'list resource "secrets"'),
        refusal("jane", 'impersonate resource "users"'),
        refusal("jane")[:-80],  # cut off
        'User "jane" cannot list resource "endpointslices"',
    ],
)
def test_a_refusal_that_names_nobody_to_trust(message: str) -> None:
    """No binding is made of what is no name, of everybody, or of another refusal."""
    assert refused(message, "endpointslices") is None


def test_no_user_breaks_the_yaml() -> None:
    """Every character that a user's name may have here."""
    user = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("\\", "")
    subject = refused(refusal(user), "endpointslices")
    assert subject == Subject(user)
    role, binding = yaml.safe_load_all(str(finding("shop", subject)))
    assert binding["subjects"][0]["name"] == user
    assert role["metadata"]["name"] == binding["roleRef"]["name"]
