"""Where curves part: the gap, the noise, the axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.compare import Axis, Side, compare
from lossdoctor.compare.axes import place
from lossdoctor.compare.curves import lay, part
from lossdoctor.compare.metrics import deltas, wanted
from lossdoctor.compare.model import Parting
from lossdoctor.errors import UsageError
from lossdoctor.model import Cost, Diagnosis, Finding, RuleNote, SeriesView, Setting, Severity, Verdict


def side(values: np.ndarray, steps: np.ndarray | None = None, signal: str = "train/loss", **more: Any) -> Side:
    where = np.arange(1, len(values) + 1) if steps is None else steps
    view = SeriesView(signal, signal, tuple(where.tolist()), tuple(None if np.isnan(v) else float(v) for v in values), points=len(values))
    return Side(Diagnosis("run", "run", "run", Verdict.PASS, "", series=(view, *more.pop("series", ())), steps=int(where[-1]), **more))


def curve(n: int, seed: int, shift: np.ndarray | float = 0.0) -> np.ndarray:
    return 1 + np.exp(-np.arange(n) / (n / 4)) + np.random.default_rng(seed).normal(0, 0.02, n) + shift


def parting(one: Side, other: Side, signal: str = "train/loss", axis: Axis = Axis.STEP) -> Parting:
    found = part(one, other, 1, signal, axis)
    assert found is not None
    return found


@pytest.mark.parametrize("n", [8, 20, 60, 400, 1500])
def test_equal_curves_do_not_part(n: int) -> None:
    assert all(parting(side(curve(n, i)), side(curve(n, 100 + i))).parts_at is None for i in range(30))


@pytest.mark.parametrize("n", [60, 400, 1500])
def test_a_lasting_gap_is_found_where_it_begins(n: int) -> None:
    at = [parting(side(curve(n, i)), side(curve(n, 100 + i, np.where(np.arange(n) > n / 2, 0.12, 0.0)))) for i in range(30)]
    found = [p for p in at if p.parts_at is not None]
    assert len(found) >= 28
    assert all(abs((p.parts_at or 0) - n / 2) <= 0.12 * n for p in found)
    assert all(p.end == pytest.approx(0.12, abs=0.05) and p.meets_at is None for p in found)


def test_curves_that_meet_again_say_so() -> None:
    n = 600
    bump = np.where((np.arange(n) > 200) & (np.arange(n) < 350), 0.3, 0.0)
    found = parting(side(curve(n, 1)), side(curve(n, 2, bump)))
    assert found.parts_at == pytest.approx(200, abs=15)
    assert found.meets_at == pytest.approx(350, abs=15)
    assert found.widest == pytest.approx(0.3, abs=0.05)


def test_the_very_same_values_are_told() -> None:
    values = curve(200, 3)
    other = np.where(np.arange(200) < 120, values, values + 0.5)
    assert parting(side(values), side(other)).equal_until == 120
    assert parting(side(values), side(values)).widest == 0
    assert parting(side(values), side(curve(200, 4))).equal_until is None


def test_few_rows_tell_a_gap_but_no_noise() -> None:
    found = parting(side(np.array([3.0, 2.0, 1.0])), side(np.array([3.0, 2.5, 2.0])))
    assert (found.noise, found.parts_at, found.end) == (None, None, 1.0)


def test_runs_without_a_common_stretch_have_nothing_to_compare() -> None:
    early, late = side(curve(20, 1)), side(curve(20, 2), np.arange(100, 120))
    assert part(early, late, 1, "train/loss", Axis.STEP) is None
    assert part(early, late, 1, "eval/loss", Axis.STEP) is None


def test_other_steps_and_missing_values_do_not_matter() -> None:
    steps = np.arange(0, 1000, 7)
    holes = np.interp(steps, np.arange(1000), np.linspace(3, 1, 1000))
    holes[5] = np.nan
    found = parting(side(np.linspace(3, 1, 1000), np.arange(1000)), side(holes, steps))
    assert found.parts_at is None
    assert found.end == pytest.approx(0, abs=1e-9)


def test_epochs_align_runs_of_other_batch_sizes() -> None:
    """The same learning by epoch, in half the steps: apart by step, together by epoch."""
    long = side(2 + np.exp(-np.arange(400) / 80), epochs=4.0)
    short = side(2 + np.exp(-np.arange(200) / 40), epochs=4.0)
    assert parting(long, short).parts_at is not None
    by_epoch = parting(long, short, axis=Axis.EPOCH)
    assert by_epoch.widest == pytest.approx(0, abs=0.02)


def test_hours_come_from_the_clock_where_there_is_one() -> None:
    stalled = Side(side(curve(10, 1), cost=Cost(hours=10.0)).diagnosis, (0, 5, 10), (0.0, 1.0, 10.0))
    even = side(curve(10, 1), cost=Cost(hours=10.0))
    assert place(stalled, np.array([5.0]), Axis.HOURS) == pytest.approx([1.0])
    assert place(even, np.array([5.0]), Axis.HOURS) == pytest.approx([5.0])


def test_samples_and_tokens_come_from_settings_and_counts() -> None:
    tokens = SeriesView("train/num_input_tokens_seen", "num_input_tokens_seen", (5, 10), (500.0, 1000.0))
    settings = (Setting("per_device_train_batch_size", 4, "args"), Setting("gradient_accumulation_steps", 8, "args"))
    one = side(curve(10, 1), settings=settings, series=(tokens,))
    assert place(one, np.array([10.0]), Axis.SAMPLES) == pytest.approx([320.0])
    assert place(one, np.array([2.5]), Axis.TOKENS) == pytest.approx([250.0])
    with pytest.raises(UsageError, match="not all of these runs tell their samples"):
        compare([one, side(curve(10, 1))], Axis.SAMPLES)


def test_curves_are_laid_on_one_grid() -> None:
    laid = lay([side(np.array([3.0, 2.0, 1.0])), side(np.array([9.0, 7.0]), np.array([2, 4]))], "train/loss", Axis.STEP)
    assert laid is not None
    assert laid.grid == (1.0, 2.0, 3.0, 4.0)
    assert laid.values == ((3.0, 2.0, 1.0, None), (None, 9.0, 8.0, 7.0))


@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-10, 10), stretch=st.integers(1, 50))
def test_units_of_loss_and_steps_do_not_matter(scale: float, offset: float, stretch: int) -> None:
    n, steps = 200, np.arange(200) * stretch
    base, other = curve(n, 1), curve(n, 2, np.where(np.arange(n) > 100, 0.2, 0.0))
    plain = parting(side(base), side(other))
    moved = parting(side(base * scale + offset, steps), side(other * scale + offset, steps))
    assert plain.parts_at is not None
    assert moved.parts_at == pytest.approx((plain.parts_at - 1) * stretch, abs=0.02 * n * stretch)


def test_speed_figures_of_an_eval_are_no_metric() -> None:
    one = side(np.array([1.0, 2.0]), signal="eval/runtime").diagnosis
    assert deltas(one, [one]) == ()


def test_settings_and_findings_side_by_side() -> None:
    found = Finding("plateau", "LD102", "Plateau", Severity.ERROR, 0.9, "", {}, ())
    note = RuleNote("plateau", "LD102", "Plateau")
    base = side(
        curve(20, 1),
        settings=(Setting("seed", 1, "a"), Setting("bf16", True, "a"), Setting("lr_scheduler_type", "cosine", "a")),
        findings=(found,),
    )
    other = side(curve(20, 1), settings=(Setting("seed", 1.0, "a"), Setting("bf16", 1, "a")), healthy=(note,))
    third = side(curve(20, 1), crashed=(note,))
    result = compare([base, other, third])
    assert [(row.name, row.values) for row in result.settings] == [("bf16", (True, 1, None))]
    assert (result.same_settings, result.partial_settings) == (0, ("lr_scheduler_type", "seed"))
    assert [(row.rule, row.states) for row in result.findings] == [(note, ("error", "healthy", "crashed"))]


@pytest.mark.parametrize(("signal", "way"), [("perf/tokens_per_second", 1), ("hours", -1), ("eval/loss", -1), ("eval/entropy", 0)])
def test_what_is_wanted_of_a_metric(signal: str, way: int) -> None:
    assert wanted(signal) == way
