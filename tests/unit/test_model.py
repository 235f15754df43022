"""The words that every room uses."""

from __future__ import annotations

import pytest

from kubbo.errors import TargetError
from kubbo.model import ServiceKey


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("com.example.A", ServiceKey("com.example.A")),
        (" eu/com.example.A$B:1.0-beta ", ServiceKey("com.example.A$B", "eu", "1.0-beta")),
        ("\u95ee/com.example.\u95ee:\u95ee", ServiceKey("com.example.\u95ee", "\u95ee", "\u95ee")),
    ],
)
def test_a_service_key_reads_and_writes_the_same(text: str, key: ServiceKey) -> None:
    """Group and version may be left out, and letters are those of any language."""
    assert ServiceKey.parse(text) == key
    assert str(key) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "\udcff/com.example.\u95ee",
        "com.example.A:\ud800",
        "g\x1b[2J/com.example.A",
        "com.example.A:1\x00",
        "g\x7f/com.example.A",
        "com.example.A:\x9b1",
    ],
)
def test_a_service_key_is_text(text: str) -> None:
    """Bytes that are no UTF-8, as a shell may pass them, and control characters are refused: a
    key could neither be hashed nor shown with them."""
    with pytest.raises(TargetError, match="is no service key: it holds") as caught:
        ServiceKey.parse(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "a b", "a/b/c", "com..A", "a:b:c", "/a", "a:"])
def test_other_text_is_no_service_key(text: str) -> None:
    """The error says how one is written."""
    with pytest.raises(TargetError, match="is no service key; write"):
        ServiceKey.parse(text)
