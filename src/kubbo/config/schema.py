"""The JSON Schema of a configuration, for editors; made from the table of settings.

It says what a single document may hold. What a schema cannot say (that a service key is one, that
a pattern of an override can be tried) `kubbo config lint` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kubbo.config.settings import CONSUMER, ENDPOINT_SETTINGS, PROVIDER, SETTINGS, Kind

if TYPE_CHECKING:
    from kubbo.config.settings import Setting

__all__ = ["make_schema"]

_DURATION: Final = "^[0-9]+(\\.[0-9]+)? ?(ms|s|m|h)$|^[0-9]+$"


def make_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    sections: dict[str, Any] = {
        CONSUMER: _settings("All calls of this process.", CONSUMER),
        PROVIDER: _settings("All that is served here.", PROVIDER),
        "references": _entries("Calls, by service key or by a pattern that ends in *.", CONSUMER),
        "services": _entries("What is served, by service key or pattern.", PROVIDER),
        "overrides": {
            "description": "Dubbo's configurator rules.",
            "type": "array",
            "items": {"$ref": "#/$defs/override"},
        },
        "rules": {
            "description": "Dubbo's routing rules.",
            "type": "array",
            "items": {"type": "object"},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Kubbo",
        "oneOf": [
            {"type": "object", "properties": sections, "additionalProperties": False},
            {
                "type": "object",
                "properties": {"dubbo": {"type": "object", "properties": sections}},
                "required": ["dubbo"],
                "additionalProperties": False,
            },
            {"$ref": "#/$defs/override"},
            {
                "description": "A routing rule of Dubbo.",
                "type": "object",
                "anyOf": [{"required": ["conditions"]}, {"required": ["tags"]}],
            },
        ],
        "$defs": {"override": _override()},
    }


def _settings(text: str, side: str, **others: Any) -> dict[str, Any]:
    rows = {key: _value(row) for key, row in SETTINGS.items() if side in row.sides}
    return {
        "description": text,
        "type": ["object", "null"],
        "properties": {**others, **rows},
        "additionalProperties": False,
    }


def _entries(text: str, side: str) -> dict[str, Any]:
    rows = {key: _value(row) for key, row in SETTINGS.items() if side in row.sides and row.method}
    method = {"type": ["object", "null"], "properties": rows, "additionalProperties": False}
    named = {
        "type": "object",
        "properties": {"name": {"type": "string"}, **rows},
        "required": ["name"],
        "additionalProperties": False,
    }
    methods = {
        "description": "By Java's name of the method.",
        "anyOf": [
            {"type": "object", "additionalProperties": method},
            {"type": "array", "items": named},
        ],
    }
    target = {"description": "Where the providers are.", "type": "string"}
    if side == CONSUMER:
        whole = _settings("Settings of the calls.", side, target=target, methods=methods)
        entry: dict[str, Any] = {"anyOf": [target, whole]}
    else:
        entry = _settings("Settings of what is served.", side, methods=methods)
    return {"description": text, "type": ["object", "null"], "additionalProperties": entry}


def _value(row: Setting) -> dict[str, Any]:
    unit = " A number is in milliseconds." if row.kind is Kind.DURATION else ""
    about = {"description": row.meaning + unit}
    if row.default:
        about["description"] += f" {row.default} by default."
    bounds = {"minimum": row.low, "maximum": row.high}
    match row.kind:
        case Kind.DURATION:
            number = {"type": "integer", **bounds}
            return {**about, "anyOf": [number, {"type": "string", "pattern": _DURATION}]}
        case Kind.INTEGER:
            text = {"type": "string", "pattern": "^[0-9]+$"}
            return {**about, "anyOf": [{"type": "integer", **bounds}, text]}
        case Kind.NUMBER:
            text = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?$"}
            return {**about, "anyOf": [{"type": "number", **bounds}, text]}
        case Kind.BOOLEAN:
            return {**about, "anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}
        case Kind.NAME:
            return {**about, "enum": list(row.names)}
        case Kind.TEXT:
            return {**about, "type": ["string", "integer"]}


def _override() -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": ["string", "integer"]}}
    rows = {key: _value(row) for key, row in {**SETTINGS, **ENDPOINT_SETTINGS}.items()}
    address = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in ("cidr", "cird", "wildcard", "exact")},
        "additionalProperties": False,
    }
    text = {
        "type": "object",
        "properties": {
            key: {"type": "string"}
            for key in ("exact", "prefix", "regex", "wildcard", "empty", "noempty")
        },
        "additionalProperties": False,
    }
    one_of = {
        "type": "object",
        "properties": {"oneof": {"type": "array", "items": text}},
        "required": ["oneof"],
    }
    parameter = {
        "type": "object",
        "properties": {"key": {"type": "string"}, "value": text},
        "required": ["key", "value"],
    }
    item = {
        "type": "object",
        "properties": {
            "side": {"enum": [CONSUMER, PROVIDER]},
            "addresses": texts,
            "providerAddresses": texts,
            "services": texts,
            "applications": texts,
            "match": {
                "type": "object",
                "properties": {
                    "address": address,
                    "providerAddress": address,
                    "service": one_of,
                    "application": one_of,
                    "app": one_of,
                    "param": {"type": "array", "items": parameter},
                },
                "additionalProperties": False,
            },
            "parameters": {
                "description": "Settings; of a single method with its name before, greet.timeout.",
                "type": "object",
                "properties": rows,
            },
        },
        "required": ["side", "parameters"],
    }
    return {
        "description": "A configurator rule of Dubbo.",
        "type": "object",
        "properties": {
            "configVersion": {"type": "string"},
            "scope": {"enum": ["service", "application"]},
            "key": {"type": "string"},
            "enabled": {"type": ["boolean", "string"]},
            "configs": {"type": "array", "items": item},
        },
        "required": ["key", "configs"],
    }
