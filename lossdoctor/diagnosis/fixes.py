"""Fixes: changes of settings, computed from the run's own values, whole and free of contradictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from lossdoctor.diagnosis.causes import even
from lossdoctor.diagnosis.companions import companions
from lossdoctor.diagnosis.progress import row_interval
from lossdoctor.model import Cause, Change, Finding, Fix, Scalar
from lossdoctor.numerals import number
from lossdoctor.rulebook import ChangeRule, FixRule, Rule, fill
from lossdoctor.run import Run

MOST = 4
_ONE_THING = {"max_steps": "num_train_epochs", "warmup_ratio": "warmup_steps", "fp16": "bf16"}  # two names for one choice


def propose(rule: Rule, facts: Mapping[str, Scalar], causes: Sequence[Cause], run: Run) -> tuple[Fix, ...]:
    """The changes to try, in the rule's order, the one to try first in front: the general ones and those for the most likely cause.

    Nothing that the run already has, nothing beyond the rule's range, one change a setting, at most four. Where two causes are as likely
    as each other, only what both ask for: what else to change is for the test to say.
    """
    found: dict[str, Fix] = {}
    for fix in rule.fixes:
        if _asked_for(fix, rule, causes) and applies(fix, facts) and fix.setting not in found:
            change = _change(fix, facts, run)
            if change is not None:
                found[fix.setting] = _whole(fix, change, facts, run)
    return tuple(found.values())[:MOST]


def _asked_for(fix: FixRule, rule: Rule, causes: Sequence[Cause]) -> bool:
    likeliest = [cause.name for cause in causes[: 2 if even(causes) else 1]]
    if fix.cause is None or not likeliest or fix.cause != likeliest[0]:
        return fix.cause is None
    plain = _without_cause(fix)
    return all(any(other.cause == name and _without_cause(other) == plain for other in rule.fixes) for name in likeliest[1:])


def _without_cause(fix: FixRule) -> FixRule:
    return msgspec.structs.replace(fix, cause=None, why="")


def applies(change: ChangeRule, facts: Mapping[str, Scalar]) -> bool:
    unwanted = change.unless is not None and bool(_fact(facts, change.unless))
    return not unwanted and (change.when is None or bool(_fact(facts, change.when)))


def _fact(facts: Mapping[str, Scalar], name: str) -> Scalar:
    return facts[name] if name in facts else facts.get(f"setting.{name}")


def _whole(rule: FixRule, change: Change, facts: Mapping[str, Scalar], run: Run) -> Fix:
    """The change with all that must change together with it."""
    others = [_change(other, facts, run) for other in companions(change, rule) if applies(other, facts)]
    why = fill(rule.why, {**facts, "current": change.current, "proposed": change.proposed})
    return Fix(change.setting, change.current, change.proposed, why, tuple(other for other in others if other is not None))


def _change(rule: ChangeRule, facts: Mapping[str, Scalar], run: Run) -> Change | None:
    current = current_value(run, rule.setting, facts)
    proposed = _usual(rule, _set(rule, facts) if rule.operation == "set" else _scaled(rule, current), facts)
    if proposed is None or _same(current, proposed) or not _right_way(rule, current, proposed):
        return None
    return Change(rule.setting, current, proposed)


def current_value(run: Run, setting: str, facts: Mapping[str, Scalar]) -> Scalar:
    """What the run used: the setting, else what its signals show; None where neither tells."""
    value = run.setting(setting)
    if setting == "learning_rate":
        peak = facts.get("lr_peak")
        shown = value if isinstance(value, float | int) and not isinstance(value, bool) and value > 0 else peak
        return None if not isinstance(shown, float | int) else _tidy(shown) if shown == value else float(f"{shown:.2g}")
    if setting == "max_steps":
        reached = None if facts.get("has_trainer") else run.planned_steps or run.last_step  # what was planned is no setting there
        return round(steps) if (steps := run.number("max_steps") or 0) > 0 else reached
    if value is not None:
        return value
    if setting == "num_train_epochs":
        return run.planned_epochs or ((run.planned_steps or run.last_step) if run.step_is == "epoch" else None)
    if setting == "logging_steps" and (loss := run.signal("train/loss")) is not None:
        return round(row_interval(loss))
    return None


def _set(rule: ChangeRule, facts: Mapping[str, Scalar]) -> Scalar:
    value = rule.to if rule.to_fact is None else facts.get(rule.to_fact)
    if isinstance(value, str):
        return fill(value, facts) if " " in value else value
    return _capped(rule, value) if isinstance(value, float | int) and not isinstance(value, bool) else value


def _usual(rule: ChangeRule, proposed: Scalar, facts: Mapping[str, Scalar]) -> Scalar:
    """No learning rate beyond what the same report calls usual."""
    most = facts.get("lr_usual_most") if rule.setting == "learning_rate" else None
    return min(proposed, most) if isinstance(proposed, float | int) and isinstance(most, float) else proposed


def _scaled(rule: ChangeRule, current: Scalar) -> Scalar:
    """The current number times or divided by `by`; words where the current value is not known."""
    if rule.by is None or isinstance(current, bool | str):
        return None
    if current is None:
        return f"your value {'/' if rule.operation == 'divide' else 'x'} {number(rule.by)}"
    return _capped(rule, current / rule.by if rule.operation == "divide" else current * rule.by)


def _capped(rule: ChangeRule, value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    low, high = rule.minimum, rule.maximum
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    return max(1, math.floor(value + 0.5)) if rule.whole else _tidy(value)


def _tidy(value: float) -> float | int:
    """Two significant digits less where they say nothing: logged float32 values and quotients read as an engineer would write them."""
    if isinstance(value, int) or value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.3g}")


def _same(current: Scalar, proposed: Scalar) -> bool:
    if isinstance(current, bool) or isinstance(proposed, bool) or isinstance(current, str) or isinstance(proposed, str):
        return str(current).lower() == str(proposed).lower()
    return current is not None and proposed is not None and f"{current:.2g}" == f"{proposed:.2g}"


def _right_way(rule: ChangeRule, current: Scalar, proposed: Scalar) -> bool:
    """A cap or a computed target must not turn 'lower it' into 'raise it'."""
    if isinstance(current, bool | str | None) or isinstance(proposed, bool | str | None):
        return True
    way = rule.only or {"divide": "lower", "multiply": "raise", "set": None}[rule.operation]
    return way is None or (proposed < current if way == "lower" else proposed > current)


def settled(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, most important first, without two values for one thing: the first to name it decides, later ones wait for it."""
    decided: dict[str, tuple[Change, Finding]] = {}
    done: list[Finding] = []
    for finding in findings:
        fixes = tuple(_after(fix, decided) for fix in finding.fixes)
        done.append(replace(finding, fixes=_once(fixes)))
        for fix in fixes:
            for change in fix.changes if not fix.waits_for else ():
                decided.setdefault(_thing(change), (change, finding))
    return tuple(done)


def _after(fix: Fix, decided: Mapping[str, tuple[Change, Finding]]) -> Fix:
    for change in fix.changes:
        earlier, finding = decided.get(_thing(change), (change, None))
        if finding is not None and earlier != change:
            why = f"fix '{finding.title}' first, then see whether this is still there"
            return Fix(fix.setting, fix.current, "leave it as it is for now", why, waits_for=finding.title)
    return fix


def _once(fixes: Sequence[Fix]) -> tuple[Fix, ...]:
    """Changes that can be made before those that must wait; of the waiting ones, one is enough."""
    ready = tuple(fix for fix in fixes if not fix.waits_for)
    return ready or tuple(fixes[:1])


def _thing(change: Change) -> str:
    return _ONE_THING.get(change.setting, change.setting)
