"""Run every rule over a run: each ends as evidence, healthy, not evaluated (why), or crashed (how)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossdoctor.model import Evidence, Skip
from lossdoctor.rulebook import Rule
from lossdoctor.run import Run

Detector = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule: exactly one of evidence, skip and crash is set, or none (healthy)."""

    rule: Rule
    evidence: Evidence | None = None
    skip: Skip | None = None
    crash: str = ""


def examine(run: Run, rules: Iterable[Rule], detectors: Mapping[str, Detector], limits: Mapping[str, float] | None = None) -> list[Outcome]:
    """Evaluate the rules; `limits` maps 'rule.threshold' to a policy's own value."""
    return [_one(run, rule, detectors[rule.name], limits or {}) for rule in rules]


def fires(run: Run, rule: Rule, detector: Detector, limits: Mapping[str, float] | None = None) -> bool:
    """Whether the rule finds something on this run (used on prefixes to find the detectable step)."""
    return _one(run, rule, detector, limits or {}).evidence is not None


def _one(run: Run, rule: Rule, detector: Detector, limits: Mapping[str, float]) -> Outcome:
    missing = unmet(run, rule)
    if missing:
        return Outcome(rule, skip=missing)
    try:
        with np.errstate(all="ignore"):
            found = detector(run, **arguments(rule, limits))
    except Exception as error:  # a crashed rule is a visible result, the others still run
        return Outcome(rule, crash=f"{type(error).__name__}: {error}")
    if isinstance(found, Skip):
        return Outcome(rule, skip=found)
    return Outcome(rule, evidence=found)


def arguments(rule: Rule, limits: Mapping[str, float]) -> dict[str, Any]:
    """The detector's keyword arguments: the rule's thresholds, moved by the policy, and its fixed arguments."""
    values = {name: limits.get(f"{rule.name}.{name}", threshold.value) for name, threshold in rule.thresholds.items()}
    counts = {name: int(values[name]) for name, threshold in rule.thresholds.items() if isinstance(threshold.value, int)}
    return {**values, **counts, **rule.arguments}


def unmet(run: Run, rule: Rule) -> Skip | None:
    """Why the rule cannot be evaluated on this run, or None."""
    if run.task in rule.not_for:
        return Skip(f"does not apply to {_TASK_WORDS.get(run.task, run.task)}")
    if rule.only_for and run.task not in rule.only_for:
        return Skip(f"applies to {' and '.join(_TASK_WORDS.get(t, t) for t in rule.only_for)} only")
    needs = rule.needs
    for name in needs.signals:
        if run.signal(name) is None and not (name == "eval/loss" and any(True for _ in run.eval_losses())):
            return Skip(f"{name} was not logged", needs.how_to_log)
    if needs.any_of and not any(run.signal(name) is not None for name in needs.any_of):
        return Skip(f"none of {', '.join(needs.any_of)} was logged", needs.how_to_log)
    first = needs.signals[:1] or needs.any_of
    rows = max((len(signal) for name in first if (signal := run.signal(name)) is not None), default=needs.points)
    if rows < needs.points:
        return Skip(
            f"{rows} value{'' if rows == 1 else 's'} of {' or '.join(first)}, {needs.points} are needed",
            "log more often: logging_steps so that the run gives at least 50 rows",
        )
    return None


_TASK_WORDS = {"rl": "reinforcement learning", "preference": "preference training", "speech": "speech recognition"}
