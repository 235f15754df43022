"""Prints `endpointslice_cases` as JSON, for resolvers in other languages."""

from __future__ import annotations

import sys

import msgspec

from kubbo.testing.endpointslice_table import endpointslice_cases

sys.stdout.write(msgspec.json.encode(endpointslice_cases).decode() + "\n")
