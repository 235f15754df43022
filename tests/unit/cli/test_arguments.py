"""Arguments of a call: JSON as people type it, and Java's types for it."""

from __future__ import annotations

import shlex

import pytest

from kubbo.cli.arguments import infer_type, parse_attachments, parse_json, parse_types
from kubbo.errors import UsageError


@pytest.mark.parametrize("text", ["Ann", "O'Hara", 'say "hi"', "a b", "$HOME", "日本"])
def test_bare_text_is_told_how_to_be_quoted(text):
    """The message holds what a shell turns into the JSON string that was meant."""
    with pytest.raises(UsageError) as caught:
        parse_json(text, 2)
    message = str(caught.value)
    assert message.startswith("argument 2 is not JSON: ")
    typed = message.rpartition("the shell's single quotes: ")[2]
    (seen_by_us,) = shlex.split(typed)
    assert parse_json(seen_by_us, 2) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{class:com.example.User,id:1}", "put single quotes around it all"),
        ("[1,2", "put single quotes around it all"),
        ('"Ann', "a double quote at both ends"),
        ("--tpyes", "there is no such option"),
        ("NaN", "JSON has no NaN"),
        ("-Infinity", "JSON has no -Infinity"),
        ("9" * 5000, "digits"),
        ("[" * 100_000, "nested too deeply"),
        ("", "a string needs double quotes"),
    ],
)
def test_text_that_is_no_json_is_refused_with_the_cure(text, hint):
    """Whatever is typed, the answer is a mistake of the user with advice, and a short one."""
    with pytest.raises(UsageError) as caught:
        parse_json(text, 1)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "java_type"),
    [
        ("true", "boolean"),
        ("0", "int"),
        ("2147483647", "int"),
        ("-2147483648", "int"),
        ("2147483648", "long"),
        ("-2147483649", "long"),
        ("9223372036854775807", "long"),
        ("9223372036854775808", "java.math.BigInteger"),
        ("1.0", "double"),
        ("1e3", "double"),
        ('"Ann"', "java.lang.String"),
        ("[1]", "java.util.List"),
        ("{}", "java.util.Map"),
        ('{"class":"com.example.User","id":1}', "com.example.User"),
        ('{"class":1}', "java.util.Map"),
    ],
)
def test_types_are_inferred_from_json(text, java_type):
    """Each JSON value stands for the Java type that a caller most likely means."""
    assert infer_type(parse_json(text, 1), 1) == java_type


def test_null_asks_for_types():
    """Null fits every class, so nothing is guessed."""
    with pytest.raises(UsageError, match=r"argument 3 is null.*--types"):
        infer_type(None, 3)


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("", ()),
        (" ", ()),
        ("int", ("int",)),
        ("java.lang.String, int[]", ("java.lang.String", "int[]")),
        ("java.util.Map<A, B>,long", ("java.util.Map<A, B>", "long")),
        ("Map<A, Map<B,C>>, D<E,F>", ("Map<A, Map<B,C>>", "D<E,F>")),
    ],
)
def test_types_are_separated_by_commas_outside_of_generics(text, types):
    """A comma inside of <> belongs to one type."""
    assert parse_types(text) == types


@pytest.mark.parametrize("text", [",", "int,", ",int", "int,,long"])
def test_a_type_that_is_missing_is_a_mistake(text):
    """Nothing between two commas is no type."""
    with pytest.raises(UsageError, match="comma"):
        parse_types(text)


def test_attachments_are_pairs():
    """The first '=' separates; values may hold more of them, or be empty."""
    assert parse_attachments(["a=b=c", "d=", "a=2"]) == {"a": "2", "d": ""}


@pytest.mark.parametrize("pair", ["a", "=b", ""])
def test_an_attachment_without_key_or_sign_is_a_mistake(pair):
    """The message shows how to write one."""
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_attachments([pair])
