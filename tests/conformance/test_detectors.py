"""What every detector promises, whatever was logged."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.examine import arguments, unmet
from lossdoctor.model import Evidence, Skip
from lossdoctor.rulebook import shipped
from lossdoctor.run import Run

from .runs import AWKWARD, SIGNALS, everywhere, longer, real, run_of, scaled

GENERIC: dict[str, dict[str, Any]] = {
    "threshold": {"signal": "train/loss", "share": 0.5, "above": 2.0},
    "share_above": {"signal": "train/grad_norm", "setting": "max_grad_norm", "share": 0.5},
    "trend": {"signal": "train/loss", "change": -0.1, "z": 3.0},
    "drop": {"signal": "eval/accuracy", "fall": 0.1},
    "ratio_to_baseline": {"signal": "perf/tokens_per_second", "below": 0.5},
}
CASES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    **{rule.name: (DETECTORS[rule.detector], arguments(rule, {})) for rule in shipped()},
    **{name: (DETECTORS[name], given) for name, given in GENERIC.items()},
}
RULES = {rule.name: rule for rule in shipped()}
# Rules whose limits are relative to the curve itself: the unit of the loss is nothing to them.
RELATIVE = ("cliff", "divergence", "eval-flat", "hockey-stick", "overfitting", "nan-loss", "loss-spike", "sawtooth")


def detect(name: str, run: Run) -> Evidence | Skip | None:
    """As the examination calls it: overflow is no news in a diagnosis of overflow."""
    detector, given = CASES[name]
    with np.errstate(all="ignore"):
        found = detector(run, **given)
    assert found is None or isinstance(found, Evidence | Skip)
    return found


def check(found: Evidence | Skip | None, run: Run) -> None:
    """The contract of a result."""
    if isinstance(found, Skip):
        assert found.reason
        return
    if found is None:
        return
    assert all(isinstance(value, bool | int | float | str | np.generic | None) for value in found.numbers.values())
    assert set(found.signals) <= {*run.signals, "eval/loss"}, "eval/loss may be named because it is missing"
    assert not math.isnan(found.margin)
    assert found.points >= 0
    assert found.onset_step is None or isinstance(found.onset_step, int)
    for first, last in found.spans:
        assert isinstance(first, int)
        assert isinstance(last, int)
        assert first <= last


def same(one: Evidence | Skip | None, other: Evidence | Skip | None) -> bool:
    """Equality in which NaN equals NaN."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("with_settings", [True, False], ids=["settings", "bare"])
@pytest.mark.parametrize("name", CASES)
def test_awkward_series(name: str, with_settings: bool) -> None:
    for case in AWKWARD:
        awkward(name, case, with_settings)


def awkward(name: str, case: str, with_settings: bool) -> None:
    """No exception, a result that keeps the contract, the same one again, and the run as it was."""
    run = everywhere(case, settings=with_settings)
    before = {key: signal.values.tobytes() + signal.steps.tobytes() for key, signal in run.signals.items()}
    found = detect(name, run)
    check(found, run)
    assert same(found, detect(name, everywhere(case, settings=with_settings)))
    assert before == {key: signal.values.tobytes() + signal.steps.tobytes() for key, signal in run.signals.items()}


@pytest.mark.parametrize("name", CASES)
def test_nothing_logged(name: str) -> None:
    run = run_of({}, settings=False, planned=None)
    if name not in RULES or unmet(run, RULES[name]) is None:
        check(detect(name, run), run)


@st.composite
def any_run(draw: st.DrawFn) -> Run:
    number = st.one_of(st.floats(), st.floats(0, 12), st.sampled_from([0.0, math.nan, math.inf, 1e300, 2.5]))

    def series() -> tuple[Sequence[int], Sequence[float]]:
        rows = draw(st.lists(st.tuples(st.integers(-20, 2000), number), max_size=60))
        ordered = sorted(rows, key=lambda row: row[0]) if draw(st.booleans()) else rows
        return [step for step, _ in ordered], [value for _, value in ordered]

    names = draw(st.lists(st.sampled_from(SIGNALS), max_size=6, unique=True))
    return run_of({name: series() for name in names}, settings=draw(st.booleans()), planned=draw(st.none() | st.integers(1, 4000)))


@settings(deadline=None, max_examples=100)
@given(any_run())
def test_any_run(run: Run) -> None:
    for name in CASES:
        check(detect(name, run), run)


def fired(name: str, run: Run) -> bool:
    return unmet(run, RULES[name]) is None and isinstance(detect(name, run), Evidence)


@pytest.mark.parametrize("name", [name for name in RELATIVE if name in RULES])
def test_the_unit_of_the_loss_changes_nothing(name: str) -> None:
    """Powers of two, so that not even rounding moves."""
    changed = [
        (key, factor) for key, run in real().items() for factor in (0.25, 8.0) if fired(name, run) != fired(name, scaled(run, factor))
    ]
    assert changed == []


@pytest.mark.parametrize("name", RULES)
def test_the_unit_of_the_steps_changes_nothing(name: str) -> None:
    """Logged every third step instead of every one: the same findings, each onset three times as far."""
    changed = []
    for key, run in real().items():
        if unmet(run, RULES[name]) is not None:
            continue
        once, thrice = detect(name, run), detect(name, longer(run, 3))
        if isinstance(once, Evidence) != isinstance(thrice, Evidence):
            changed.append(key)
        elif isinstance(once, Evidence) and isinstance(thrice, Evidence) and once.onset_step is not None:
            assert abs(thrice.onset_step - 3 * once.onset_step) <= max(3 * 0.1 * run.last_step, 1), key
    assert changed == []
