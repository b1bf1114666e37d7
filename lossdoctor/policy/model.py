"""The policy: what a team wants to hear of, and what makes its gate red."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path


class Level(StrEnum):
    """What the policy makes of a rule's findings: off, or the severity that they are given."""

    OFF = "off"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class FailOn(StrEnum):
    """The findings that turn the gate red. `new-error`: errors that the baseline does not have."""

    ERROR = "error"
    WARNING = "warning"
    NEW_ERROR = "new-error"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Layer:
    """Levels, limits and demands for the runs that match a glob. A policy is a stack of them: preset, file, overrides; the last counts.

    `levels` is keyed by selector (name, code, family such as LD2, ALL), `limits` by "rule.threshold". None demands nothing.
    """

    run: str = "*"
    levels: Mapping[str, Level] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    require_signals: tuple[str, ...] | None = None
    min_evals: int | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    """A finding that a person has accepted, with the reason and, better, the day on which that ends (inclusive)."""

    rule: str
    reason: str
    run: str = "*"
    until: date | None = None
    where: str = ""

    def expired(self, today: date) -> bool:
        return self.until is not None and today > self.until


@dataclass(frozen=True, slots=True)
class GateRules:
    """When the gate is red, and what it lets pass. `baseline` holds the reports of the last good runs."""

    fail_on: FailOn = FailOn.ERROR
    baseline: tuple[Path, ...] = ()
    allow_inconclusive: bool = False
    allow_damage: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, read and checked. `source` names the file it came from, empty for the built-in defaults."""

    source: str = ""
    preset: str = "finetune"
    gate: GateRules = GateRules()
    layers: tuple[Layer, ...] = ()
    suppressions: tuple[Suppression, ...] = ()

    def with_gate(self, *, fail_on: FailOn | str | None = None, allow_damage: bool = False, allow_inconclusive: bool = False) -> Policy:
        """The same policy with what the command line asks for on top; an option that was not given changes nothing."""
        gate = replace(
            self.gate,
            fail_on=FailOn(fail_on) if fail_on else self.gate.fail_on,
            allow_damage=self.gate.allow_damage or allow_damage,
            allow_inconclusive=self.gate.allow_inconclusive or allow_inconclusive,
        )
        return replace(self, gate=gate)

    def layers_for(self, run: str, path: str = "") -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if matches_run(layer.run, run, path))

    def level_of(self, rule: str, code: str, run: str, path: str = "") -> Level | None:
        """The level of a rule for a run, None where the policy leaves it to the rule."""
        for layer in reversed(self.layers_for(run, path)):
            hits = [selector for selector in layer.levels if selects(selector, rule, code)]
            if hits:
                return layer.levels[max(hits, key=lambda selector: specificity(selector, rule, code))]
        return None

    def limits_for(self, run: str, path: str = "") -> Mapping[str, float]:
        """The thresholds that the policy sets for a run, as "rule.threshold" -> value."""
        return {key: value for layer in self.layers_for(run, path) for key, value in layer.limits.items()}

    def required_signals(self, run: str, path: str = "") -> tuple[str, ...]:
        asked = [layer.require_signals for layer in self.layers_for(run, path) if layer.require_signals is not None]
        return asked[-1] if asked else ()

    def min_evals(self, run: str, path: str = "") -> int:
        asked = [layer.min_evals for layer in self.layers_for(run, path) if layer.min_evals is not None]
        return asked[-1] if asked else 0


def selects(selector: str, rule: str, code: str) -> bool:
    """Whether a selector (name, code, the beginning of codes such as LD2, or ALL) means the rule."""
    return selector in {"ALL", rule, code} or (len(selector) >= 2 and selector.isupper() and code.startswith(selector))


def specificity(selector: str, rule: str, code: str) -> int:
    """How narrowly a matching selector means the rule: ALL 0, a family by its length, name or code most."""
    if selector == "ALL":
        return 0
    return 100 if selector in {rule, code} else len(selector)


def matches_run(glob: str, run: str, path: str = "") -> bool:
    """Whether a glob means a run, by its name or by its path; case counts on every platform."""
    return fnmatchcase(run, glob) or (bool(path) and fnmatchcase(path, glob))
