"""The policy file as types: the one place that names its keys. The check of a file, its JSON Schema and the `init` text follow from it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from lossdoctor.policy.model import FailOn, Level

Preset = Literal["finetune", "pretrain", "strict", "report-only"]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(min_length=1)]
Levels = Annotated[
    dict[str, Level],
    Meta(description="Levels by rule name (hockey-stick), code (LD201), family (LD2) or ALL; the narrowest wins."),
]
Limits = Annotated[
    dict[str, float | dict[str, float]],
    Meta(description='Thresholds, "rule.threshold" = value; each within the range that the rule allows.'),
]
Signals = Annotated[list[Text], Meta(description="Signals that a run must have logged, by name or glob, or there is no verdict (exit 3).")]
Evals = Annotated[Count, Meta(description="Evaluations that a run must have logged, or there is no verdict (exit 3).")]


class GateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the gate is red."""

    fail_on: Annotated[FailOn | UnsetType, Meta(description="error (default), warning, new-error (needs a baseline), never.")] = UNSET
    require_signals: Signals | UnsetType = UNSET
    min_evals: Evals | UnsetType = UNSET
    baseline: Annotated[
        Text | list[Text] | UnsetType,
        Meta(description="JSON report of the last good run, or of several seeds of it; relative to the policy file."),
    ] = UNSET
    allow_inconclusive: Annotated[bool | UnsetType, Meta(description="Let a run pass for which the data do not allow a verdict.")] = UNSET
    allow_damage: Annotated[bool | UnsetType, Meta(description="Let a run pass of which some data were damaged or lost.")] = UNSET


class SuppressTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A finding that is accepted, with the reason."""

    rule: Annotated[Text, Meta(description="Rule name, code, family or ALL.")]
    reason: Annotated[Text, Meta(description="Why this is accepted; shown in every report.")]
    run: Annotated[Text, Meta(description="Glob for the run's name or path.")] = "*"
    until: Annotated[date | UnsetType, Meta(description="The last day that it holds; then the finding returns as a warning.")] = UNSET


class OverrideTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Other levels, limits and demands for some runs."""

    run: Annotated[Text, Meta(description="Glob for the run's name or path.")]
    rules: Levels = {}
    limits: Limits = {}
    require_signals: Signals | UnsetType = UNSET
    min_evals: Evals | UnsetType = UNSET


class PolicyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """lossdoctor.toml, or the table tool.lossdoctor of pyproject.toml."""

    preset: Annotated[Preset, Meta(description="The policy to start from.")] = "finetune"
    rules: Levels = {}
    limits: Limits = {}
    gate: GateTable = GateTable()
    suppress: list[SuppressTable] = []
    override: list[OverrideTable] = []
