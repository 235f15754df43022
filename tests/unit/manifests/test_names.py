"""Names for Kubernetes: what passes, what does not, and what is offered instead."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from kubbo.errors import UsageError
from kubbo.manifests.names import (
    LABEL,
    SERVICE,
    SUBDOMAIN,
    check_image,
    check_name,
    derived,
)


def offered(name, form):
    """The name that the refusal of another one offers; None for none."""
    with pytest.raises(UsageError) as refused:
        check_name(name, form, "thing")
    found = re.search(r"did you mean '(.*)'\?$", str(refused.value))
    return found and found[1]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (LABEL, ["a", "0", "shop", "1e3", "on", "a--b", "a" * 63]),
        (SERVICE, ["a", "greet-service-1-0-0", "a0", "a" * 63]),
        (SUBDOMAIN, ["a", "0.a", "build.bot-1", ".".join(["a" * 50] * 4)]),
    ],
)
def test_names_that_kubernetes_takes(form, names):
    """They are returned as they are."""
    for name in names:
        assert check_name(name, form, "thing") == name


@pytest.mark.parametrize(
    ("form", "name", "near"),
    [
        (SERVICE, "GreetService", "greet-service"),
        (SERVICE, "HTTPServer", "http-server"),
        (SERVICE, "my_app", "my-app"),
        (SERVICE, "my.app", "my-app"),
        (SERVICE, "-greeter-", "greeter"),
        (SERVICE, "2fast", "s-2fast"),
        (SERVICE, "a" * 64, "a" * 63),
        (SERVICE, "a" * 62 + "-b", "a" * 62),
        (SERVICE, "greeter\n", "greeter"),
        (SERVICE, "greeter\nkind: Secret", "greeter-kind-secret"),
        (SERVICE, "問候 greeter", "greeter"),
        (SERVICE, "問候", None),
        (SERVICE, "", None),
        (SERVICE, "---", None),
        (SERVICE, "greeter\u0660", "greeter"),  # a digit, but not one of ASCII
        (LABEL, "Shop", "shop"),
        (LABEL, "2Fast", "2-fast"),
        (LABEL, "a.b", "a-b"),
        (SUBDOMAIN, "Build.Bot", "build.bot"),
        (SUBDOMAIN, "a..b", "a.b"),
        (SUBDOMAIN, ".a-.-b.", "a.b"),
        (SUBDOMAIN, "a" * 254, "a" * 253),
        (SUBDOMAIN, "...", None),
    ],
)
def test_a_near_name_is_offered(form, name, near):
    """It has the form itself, and where nothing is left of the name, none is offered."""
    assert offered(name, form) == near
    if near is not None:
        assert check_name(near, form, "thing") == near


@given(st.text(max_size=300), st.sampled_from([LABEL, SERVICE, SUBDOMAIN]))
def test_whatever_is_offered_would_be_taken(name, form):
    """Any text is a name, or is refused with one that is none of these mistakes, or with none."""
    try:
        assert check_name(name, form, "thing") == name
    except UsageError:
        near = offered(name, form)
        assert near is None or check_name(near, form, "thing") == near


@given(st.text(max_size=100))
def test_an_image_is_taken_or_its_correction_is(image):
    """Likewise for references of images."""
    try:
        assert check_image(image) == image
    except UsageError as refused:
        found = re.search(r"did you mean '(.*)'\?$", str(refused))
        assert found is None or check_image(found[1]) == found[1]


def test_a_refusal_is_short_and_can_be_printed():
    """A name of a megabyte is refused at once, and its message does not hold it."""
    with pytest.raises(UsageError) as refused:
        check_name("A\x1b-" * 400_000, SERVICE, "Service")
    assert len(str(refused.value)) < 2_000
    assert "\x1b" not in str(refused.value)


def test_derived_names_stay_names_and_apart():
    """Whatever the length; two long names that differ at their end differ still."""
    assert derived("greeter", "vip") == "greeter-vip"
    names = ["a" * 59, "a" * 60, "a" * 63, "a" * 62 + "b", "a" * 49 + "-" + "b" * 13]
    made = [derived(name, "vip") for name in names]
    assert len({*made}) == len(names)
    for name in made:
        assert check_name(name, SERVICE, "Service") == name


@pytest.mark.parametrize(
    "image",
    [
        "greeter",
        "greeter:1.0",
        "greeter:Release_1",
        "shop/greeter",
        "registry.example/shop/greeter:1",
        "registry.example:5000/greeter",
        "Registry.Example/greeter",
        "localhost/greeter",
        "localhost:5000/greeter:1",
        "[::1]:5000/greeter",
        "a__b/c--d.e_f:1",
        "greeter@sha256:" + "a" * 64,
        "registry.example/greeter:1@sha256:" + "0" * 64,
    ],
)
def test_images_that_can_be_pulled(image):
    """References with and without registry, tag and digest."""
    assert check_image(image) == image


@pytest.mark.parametrize(
    ("image", "near"),
    [
        ("Greeter:1", "greeter:1"),
        ("Shop/greeter:RC1", "shop/greeter:RC1"),
        ("registry.example/Shop/Greeter", "registry.example/shop/greeter"),
        ("Greeter@sha256:" + "a" * 64, "greeter@sha256:" + "a" * 64),
        ("", None),
        (" ", None),
        ("greeter:", None),
        ("greeter:a:b", None),
        ("greeter 1", None),
        ("greeter\n", None),
        ("https://registry.example/greeter", None),
        ("greeter@sha256:abc", None),
        ("-greeter", None),
        ("a..b", None),
        ("/greeter", None),
        ("greeter:" + "a" * 129, None),
        ("a" * 513, None),
        ("$(cat /etc/passwd)", None),
    ],
)
def test_images_that_cannot_be_pulled(image, near):
    """Refused here, and not by an event of a pod; capitals are the usual mistake."""
    with pytest.raises(UsageError) as refused:
        check_image(image)
    found = re.search(r"did you mean '(.*)'\?$", str(refused.value))
    assert (found and found[1]) == near
    if near:
        assert check_image(near) == near
