"""Every number that a report prints is what it claims to be, on every fixture and on 500 runs that nobody tuned to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.analyze import Plan, examine_loaded, rulebook
from lossdoctor.diagnosis.checkpoint import spoils
from lossdoctor.diagnosis.diagnose import Options
from lossdoctor.limits import LIMITS
from lossdoctor.model import Claim, Diagnosis, Finding
from lossdoctor.rulebook.fill import placeholders
from lossdoctor.run import Run
from lossdoctor.sources.load import Loaded, load
from tests.claims.generated import generated
from tests.claims.recompute import History, check, wrong, wrong_vital
from tests.detectors.runs import make

FIXTURES = sorted(path.name for path in (Path(__file__).parents[2] / "fixtures").iterdir() if (path / "expected.toml").exists())
SEEDS = range(500)
PLAN = Plan(rules=rulebook(), options=Options(lead_time=False))
RULES = {rule.name: rule for rule in PLAN.rules}


def diagnosed(loaded: Loaded) -> Iterator[tuple[Run, Diagnosis]]:
    return zip(loaded.runs, examine_loaded("a run", loaded, PLAN), strict=True)


@cache
def of_fixture(name: str) -> tuple[tuple[Run, Diagnosis], ...]:
    return tuple(diagnosed(load(str(Path(__file__).parents[2] / "fixtures" / name), PLAN.choices, LIMITS)))


@cache
def of_seed(seed: int) -> tuple[tuple[Run, Diagnosis], ...]:
    return tuple(diagnosed(Loaded(runs=(generated(seed),))))


def problems(cases: Iterable[tuple[Run, Diagnosis]]) -> list[str]:
    found = []
    for run, diagnosis in cases:
        assert not diagnosis.crashed
        history = History.of(run)
        for finding in diagnosis.findings:
            found += [*wrong(finding, history), *(f"{finding.rule}.{name} claims nothing" for name in unclaimed(finding))]
        for vital in diagnosis.vitals:
            found += wrong_vital(vital, history)
        found += [*wrong_marks(run, diagnosis), *wrong_views(run, diagnosis), *wrong_checkpoint(run, diagnosis)]
    return found


def unclaimed(finding: Finding) -> Iterator[str]:
    """Numbers of the sentences that carry no claim."""
    rule = RULES[finding.rule]
    phrases = [text for phrase in rule.phrases.values() for text in (phrase.otherwise, *phrase.when.values())]
    asked = set().union(*map(placeholders, (rule.message.headline, rule.message.found, *phrases)))
    for name in asked:
        value = finding.numbers.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in finding.claims:
            yield name


def wrong_marks(run: Run, diagnosis: Diagnosis) -> Iterator[str]:
    """Marks of the best eval, of the end and of epochs that lie elsewhere in the history."""
    history = History.of(run)
    evals = {name: history.ordered(name) for name in (s.name for s in run.eval_losses())}
    for mark in diagnosis.marks:
        if mark.kind == "best-eval" and not any(
            len(rows) and rows.get(mark.step) == rows.loc[: _trusted(diagnosis)].min() for rows in evals.values()
        ):
            yield f"{mark} is no lowest eval"
        if mark.kind == "end" and mark.step != history.last_step:
            yield f"{mark} is not the end, {history.last_step}"
        if mark.kind == "detectable" and mark.step not in set(history.rows["step"]):
            yield f"{mark}: no row has that step"


def _trusted(diagnosis: Diagnosis) -> float:
    """The last step before weights may be spoiled."""
    onsets = [f.onset_step for f in diagnosis.findings if f.onset_step is not None and spoils(f)]
    best = [mark.step for mark in diagnosis.marks if mark.kind == "best-eval"]
    return float(max(best)) if best and onsets else np.inf


def wrong_views(run: Run, diagnosis: Diagnosis) -> Iterator[str]:
    """Points of the charts that are no rows, and extremes and ends of the curves that the charts leave out."""
    history = History.of(run)
    for view in diagnosis.series:
        raw = history.raw(view.signal)
        rows = set(zip(raw["step"], raw["value"], strict=True))
        shown = [(step, value) for step, value in zip(view.steps, view.values, strict=True) if value is not None]
        yield from (f"{view.signal}: no row {point}" for point in shown if point not in rows)
        finite = history.ordered(view.signal)
        if len(finite) and shown:
            values = [value for _, value in shown]
            if (min(values), max(values)) != (finite.min(), finite.max()) and not run.signals[view.signal].segments.any():
                yield f"{view.signal}: shown {min(values)} to {max(values)}, logged {finite.min()} to {finite.max()}"


def wrong_checkpoint(run: Run, diagnosis: Diagnosis) -> Iterator[str]:
    """A step that is called the best, where another eval loss is lower."""
    advice = diagnosis.checkpoint
    history = History.of(run)
    if "eval loss is lowest there" in advice.reason:
        lows = {int(history.ordered(s.name).idxmin()) for s in run.eval_losses() if len(history.ordered(s.name))}
        if advice.best_step not in lows:
            yield f"{advice.reason}: the lowest is at {lows}"


@pytest.mark.parametrize("name", FIXTURES)
def test_every_number_of_a_fixtures_report_holds(name: str) -> None:
    assert problems(of_fixture(name)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_every_number_of_a_generated_runs_report_holds(seed: int) -> None:
    assert problems(of_seed(seed)) == []


def test_nearly_every_rule_was_held_to_its_claims() -> None:
    cases = [case for name in FIXTURES for case in of_fixture(name)] + [case for seed in SEEDS for case in of_seed(seed)]
    seen = Counter(finding.rule for _, diagnosis in cases for finding in diagnosis.findings)
    assert set(RULES) - set(seen) == set()
    by_chance = Counter(finding.rule for seed in SEEDS for _, diagnosis in of_seed(seed) for finding in diagnosis.findings)
    assert len(by_chance) >= 35


ROWS = {1: 3.5, 2: 2.0, 3: 4.0, 5: 1.5}


@pytest.mark.parametrize(
    ("statistic", "first", "last", "right", "wrong_by"),
    [
        ("lowest", None, None, 1.5, 0.5),
        ("highest", 1, 2, 3.5, 0.5),
        ("median", None, None, 2.75, 0.01),
        ("value", 3, 3, 4.0, 0.001),
        ("level", 2, 3, 2.9, 2.0),
        ("rows", 2, 5, 3.0, 1.0),
        ("step", None, None, 5.0, -1.0),
        ("last step", None, None, 5.0, 1.0),
    ],
)
def test_a_wrong_number_is_found(statistic: str, first: int | None, last: int | None, right: float, wrong_by: float) -> None:
    history = History.of(make({"loss": (list(ROWS), list(ROWS.values()))}))
    claim = Claim(statistic, "train/loss", first, last)
    assert check(claim, right, None, history) == ""
    assert check(claim, right + wrong_by, None, history) != ""


def test_a_wrong_formula_is_found() -> None:
    _, diagnosis = of_fixture("hockey-stick-sft")[0]
    (finding,) = [one for one in diagnosis.findings if one.rule == "hockey-stick"]
    history = History.of(of_fixture("hockey-stick-sft")[0][0])
    assert list(wrong(finding, history)) == []
    moved = replace(finding, numbers={**finding.numbers, "rise_found": 0.5, "minimum": 1.0})
    assert {text.split(" ")[0] for text in wrong(moved, history)} >= {"hockey-stick.rise_found", "hockey-stick.minimum"}
