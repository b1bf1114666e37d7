from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.model import LogEvent

from .runs import EVERY, ROWS, cosine, learned, level, make, noisy, onset, outcome

AT = 120


def shifted(by: float, at: int = AT, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    values = learned(seed=seed)
    values[at:] += by
    return values


@pytest.mark.parametrize("seed", range(5))
def test_a_lasting_step_up_is_a_warning_at_its_step(seed: int):
    run = make({"loss": shifted(0.6, seed=seed), "learning_rate": cosine()})
    assert level(run, "level-shift") == "warning"
    assert onset(run, "level-shift") == (AT + 1) * EVERY


def test_a_lasting_step_down_is_a_note():
    assert level(make({"loss": shifted(-0.5)}), "level-shift") == "note"


def test_a_small_step_up_is_a_note_and_a_tiny_one_nothing():
    assert level(make({"loss": shifted(0.25)}), "level-shift") == "note"
    assert level(make({"loss": shifted(0.05)}), "level-shift") == "healthy"


def test_a_spike_that_comes_back_is_none():
    values = learned()
    values[AT : AT + 6] += 2.0
    assert level(make({"loss": values}), "level-shift") == "healthy"


def test_a_spike_that_settles_on_a_new_level_is_one():
    values = shifted(0.6)
    values[AT : AT + 3] += 2.0
    assert level(make({"loss": values}), "level-shift") == "warning"


def test_a_slow_climb_is_none():
    values = learned()
    values[100:] += np.linspace(0, 0.8, ROWS - 100)
    assert level(make({"loss": values}), "level-shift") == "healthy"


def test_a_step_of_the_learning_rate_explains_it():
    rate = np.full(ROWS, 1e-3)
    rate[AT:] = 1e-4
    assert level(make({"loss": shifted(-0.5), "learning_rate": rate}), "level-shift") == "healthy"


def test_a_break_as_the_rate_reaches_its_peak_is_divergence():
    rate = cosine(warmup=80 / ROWS)
    assert level(make({"loss": shifted(0.6, at=82), "learning_rate": rate}), "level-shift") == "healthy"
    assert level(make({"loss": shifted(0.6, at=82), "learning_rate": cosine()}), "level-shift") == "warning"


def test_falls_at_epoch_boundaries_are_stairs_and_no_shift():
    rows = np.arange(1, ROWS + 1)
    values = noisy(3.0 * 0.7 ** (rows // 50), 0.02)
    run = make({"loss": values}, per_epoch=50 * EVERY)
    assert level(run, "epoch-stairs") == "note"
    assert level(run, "level-shift") == "healthy"
    evidence = outcome(run, "epoch-stairs").evidence
    assert evidence is not None
    assert abs(float(evidence.numbers["fall"]) - 0.3) < 0.03  # type: ignore[arg-type]


def test_a_smooth_curve_and_a_sawtooth_have_no_stairs():
    rows = np.arange(1, ROWS + 1)
    assert level(make({"loss": learned()}, per_epoch=250), "epoch-stairs") == "healthy"
    climbing = noisy(1.0 + 0.5 * (rows % 50) / 50, 0.01)
    assert level(make({"loss": climbing}, per_epoch=250), "epoch-stairs") == "healthy"


def test_few_rows_and_broken_losses_are_left_to_others():
    assert level(make({"loss": learned(12)}), "level-shift") == "skipped"
    values = shifted(0.6)
    values[150:] = np.nan
    assert level(make({"loss": values}), "level-shift") == "healthy"


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e4), every=st.integers(1, 1000), seed=st.integers(0, 50))
def test_units_of_value_and_step_change_nothing(scale: float, every: int, seed: int):
    up = make({"loss": shifted(0.6, seed=seed) * scale}, every=every)
    assert level(up, "level-shift") == "warning"
    assert onset(up, "level-shift") == (AT + 1) * every
    assert level(make({"loss": learned(seed=seed) * scale}, every=every), "level-shift") == "healthy"


def test_a_very_long_run_is_judged_by_medians_of_bins():
    rows = 60_000
    values = learned(rows)
    values[30_000:] += 0.8
    run = make({"loss": values}, every=1, per_epoch=100)
    assert level(run, "level-shift") == "warning"
    assert abs((onset(run, "level-shift") or 0) - 30_000) <= 24
    assert level(run, "epoch-stairs") == "healthy"


def test_a_resume_that_the_log_tells_of_and_a_level_that_breaks_there_is_named():
    event = LogEvent("resume", "Resuming from last.ckpt", "train.log:130", step=AT * EVERY)
    assert level(make({"loss": shifted(0.6)}, events=(event,)), "resume-discontinuity") == "warning"
    assert level(make({"loss": learned()}, events=(event,)), "resume-discontinuity") == "healthy"
