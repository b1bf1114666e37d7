"""Fixes: changes of settings, computed from the run's own values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lossdoctor.diagnosis.progress import row_interval
from lossdoctor.model import Cause, Fix, Scalar
from lossdoctor.numerals import number
from lossdoctor.rulebook import FixRule, Rule, fill
from lossdoctor.run import Run

MOST = 4


def propose(rule: Rule, facts: Mapping[str, Scalar], causes: Sequence[Cause], run: Run) -> tuple[Fix, ...]:
    """The changes to try, in the rule's order, the one to try first in front: the general ones and those for the most likely cause.

    Nothing that the run already has, nothing beyond the rule's range, one change a setting, at most four.
    """
    likeliest = causes[0].name if causes else None
    fitting = [fix for fix in rule.fixes if fix.cause in {None, likeliest} and _applies(fix, facts)]
    found: dict[str, Fix] = {}
    for fix in fitting:
        if fix.setting not in found and (change := _change(fix, facts, run)) is not None:
            found[fix.setting] = change
    return tuple(found.values())[:MOST]


def _applies(fix: FixRule, facts: Mapping[str, Scalar]) -> bool:
    unwanted = fix.unless is not None and bool(_fact(facts, fix.unless))
    return not unwanted and (fix.when is None or bool(_fact(facts, fix.when)))


def _fact(facts: Mapping[str, Scalar], name: str) -> Scalar:
    return facts[name] if name in facts else facts.get(f"setting.{name}")


def _change(fix: FixRule, facts: Mapping[str, Scalar], run: Run) -> Fix | None:
    current = current_value(run, fix.setting, facts)
    proposed = _set(fix, facts) if fix.operation == "set" else _scaled(fix, current)
    if proposed is None or _same(current, proposed) or not _right_way(fix, current, proposed):
        return None
    return Fix(fix.setting, current, proposed, fill(fix.why, {**facts, "current": current, "proposed": proposed}))


def current_value(run: Run, setting: str, facts: Mapping[str, Scalar]) -> Scalar:
    """What the run used: the setting, else what its signals show; None where neither tells."""
    value = run.setting(setting)
    if setting == "learning_rate":
        peak = facts.get("lr_peak")
        shown = value if isinstance(value, float | int) and not isinstance(value, bool) and value > 0 else peak
        return _tidy(shown) if isinstance(shown, float | int) else None
    if value is not None:
        return value
    if setting == "num_train_epochs":
        return run.planned_epochs
    if setting == "logging_steps" and (loss := run.signal("train/loss")) is not None:
        return round(row_interval(loss))
    return None


def _set(fix: FixRule, facts: Mapping[str, Scalar]) -> Scalar:
    value = fix.to if fix.to_fact is None else facts.get(fix.to_fact)
    return _capped(fix, value) if isinstance(value, float | int) and not isinstance(value, bool) else value


def _scaled(fix: FixRule, current: Scalar) -> Scalar:
    """The current number times or divided by `by`; words where the current value is not known."""
    if fix.by is None or isinstance(current, bool | str):
        return None
    if current is None:
        return f"your value {'/' if fix.operation == 'divide' else 'x'} {number(fix.by)}"
    return _capped(fix, current / fix.by if fix.operation == "divide" else current * fix.by)


def _capped(fix: FixRule, value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    low, high = fix.minimum, fix.maximum
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    return max(1, math.floor(value + 0.5)) if fix.whole else _tidy(value)


def _tidy(value: float) -> float | int:
    """Two significant digits less where they say nothing: logged float32 values and quotients read as an engineer would write them."""
    if isinstance(value, int) or value == 0 or not math.isfinite(value):
        return value
    return float(f"{value:.3g}")


def _same(current: Scalar, proposed: Scalar) -> bool:
    if isinstance(current, bool) or isinstance(proposed, bool) or isinstance(current, str) or isinstance(proposed, str):
        return str(current).lower() == str(proposed).lower()
    return current is not None and proposed is not None and f"{current:.2g}" == f"{proposed:.2g}"


def _right_way(fix: FixRule, current: Scalar, proposed: Scalar) -> bool:
    """A cap or a computed target must not turn 'lower it' into 'raise it'."""
    if isinstance(current, bool | str | None) or isinstance(proposed, bool | str | None):
        return True
    way = fix.only or {"divide": "lower", "multiply": "raise", "set": None}[fix.operation]
    if fix.by is not None and fix.by < 1 and fix.only is None:
        return True
    return way is None or (proposed < current if way == "lower" else proposed > current)
