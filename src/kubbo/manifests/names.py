"""Names as Kubernetes takes them, checked before anything is printed.

A name that the API server refuses is told by it, far from where it was typed and one object
after the other; a name of an image that no registry takes is told by nobody but an event of a
pod that never starts. Both are found here, and where a near name would do, it is offered.

    label       DNS-1123: lower-case letters, digits and '-', at most 63; a namespace
    service     DNS-1035: a label that begins with a letter; all else that is named here
    subdomain   DNS-1123: labels with dots between, at most 253; a service account

Source: the validation of the Kubernetes API (apimachinery/pkg/util/validation), and the
grammar of image references (distribution/reference).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from kubbo.errors import UsageError

__all__ = ["LABEL", "SERVICE", "SUBDOMAIN", "check_image", "check_name", "derived", "near_name"]

_LONGEST: Final = 63
_DIGEST_CHARS: Final = 8
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of names: its pattern, its length, what it is in words."""

    pattern: re.Pattern[str]
    longest: int
    words: str
    dots: bool = False
    letter_first: bool = False


LABEL: Final = Form(
    re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"),
    _LONGEST,
    "lower-case letters, digits and '-', with a letter or a digit at both ends",
)
SERVICE: Final = Form(
    re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?"),
    _LONGEST,
    "lower-case letters, digits and '-', which begin with a letter and do not end in '-'",
    letter_first=True,
)
SUBDOMAIN: Final = Form(
    re.compile(rf"{LABEL.pattern.pattern}(\.{LABEL.pattern.pattern})*"),
    253,
    "lower-case letters, digits, '-' and '.', with a letter or a digit at both ends of each part",
    dots=True,
)


def check_name(name: str, form: Form, kind: str) -> str:
    """Return `name` if it has the form.

    Raises:
        UsageError: it has not; the message has the form, and a name that would do.
    """
    if len(name) <= form.longest and form.pattern.fullmatch(name):
        return name
    near = near_name(name, form)
    advice = f"; did you mean {near!r}?" if near else ""
    shown = name if len(name) <= 300 else name[:300] + "..."
    raise UsageError(
        f"{shown!r} cannot be the name of a {kind}: such a name has at most {form.longest} "
        f"characters, {form.words}{advice}"
    )


def near_name(name: str, form: Form) -> str:
    """A name of the form that is close to `name`; empty when nothing of it could stay."""
    text = _CAMEL.sub("-", name[: 4 * form.longest]).lower()
    text = re.sub(r"[^a-z0-9.-]+" if form.dots else r"[^a-z0-9-]+", "-", text)
    text = re.sub(r"-*\.[.-]*", ".", re.sub("-+", "-", text)).strip("-.")
    if text and form.letter_first and not text[0].isalpha():
        text = f"s-{text}"
    text = text[: form.longest].rstrip("-.")
    return text if form.pattern.fullmatch(text) else ""


def derived(name: str, suffix: str, longest: int = _LONGEST) -> str:
    """`NAME-SUFFIX`, which stays a name of at most `longest` characters.

    What is cut is replaced by a digest of the whole name, so that two long names stay two.
    """
    whole = f"{name}-{suffix}"
    if len(whole) <= longest:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    cut = longest - len(suffix) - len(digest) - 2
    return f"{name[:cut].rstrip('-.')}-{digest}-{suffix}"


_IMAGE_LONGEST: Final = 512  # a registry takes 255 for the name, 128 for the tag, and a digest
_PART: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    r"(?:(?P<registry>localhost(?::[0-9]+)?|[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+(?::[0-9]+)?"
    r"|[A-Za-z0-9.-]+:[0-9]+|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?P<digest>@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"
)


def check_image(image: str) -> str:
    """Return the reference of an image if a kubelet could pull it.

    Raises:
        UsageError: it could not; with the lower-case reference where that would do.
    """
    if len(image) <= _IMAGE_LONGEST and _IMAGE.fullmatch(image):
        return image
    head, slash, rest = image.rpartition("/")
    name, mark, tag = rest.partition("@" if "@" in rest else ":")
    lower = f"{head}{slash}{name}".lower() + mark + tag
    near = len(lower) <= _IMAGE_LONGEST and lower != image and _IMAGE.fullmatch(lower)
    advice = f"; did you mean {lower!r}?" if near else ""
    raise UsageError(
        f"{image[:300]!r} is no reference of an image: write [REGISTRY/]NAME[:TAG], the name in "
        f"lower-case letters, digits and '.', '_', '-', '/'{advice}"
    )
