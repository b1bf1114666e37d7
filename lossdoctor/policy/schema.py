"""JSON Schema of the policy file, with the names and ranges of the rules at hand, for editors (taplo, VS Code) and for review bots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lossdoctor.policy.file import PolicyFile
from lossdoctor.rulebook import Rule, Threshold


def schema(rules: Sequence[Rule]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of lossdoctor.toml; the keys of `rules` and `limits` are closed over the given rules."""
    found: dict[str, Any] = msgspec.json.schema(PolicyFile)
    selectors = sorted({"ALL", *(word for rule in rules for word in (rule.name, rule.code, rule.family))})
    for table in ("PolicyFile", "OverrideTable"):
        properties = found["$defs"][table]["properties"]
        properties["rules"]["propertyNames"] = {"enum": selectors}
        properties["limits"] = {"description": properties["limits"]["description"], **_limits(rules)}
    found["$defs"]["SuppressTable"]["properties"]["rule"]["enum"] = selectors
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "lossdoctor policy", **found}


def _limits(rules: Sequence[Rule]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for rule in rules:
        values = {name: _value(threshold) for name, threshold in rule.thresholds.items() if not isinstance(threshold.value, str)}
        for word in (rule.name, rule.code):
            nested[word] = {"type": "object", "properties": values, "additionalProperties": False}
            flat |= {f"{word}.{name}": value for name, value in values.items()}
    return {"type": "object", "properties": flat | nested, "additionalProperties": False}


def _value(threshold: Threshold) -> Mapping[str, Any]:
    bounds = {"minimum": threshold.minimum, "maximum": threshold.maximum}
    return {
        "type": "integer" if isinstance(threshold.value, int) else "number",
        "default": threshold.value,
        "description": threshold.why,
        **{k: v for k, v in bounds.items() if v is not None},
    }
