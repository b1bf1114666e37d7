from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.diagnosis.series import MAX_RAW, views

from .samples import run

VALUES = st.lists(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0, 2.5, -3.0, 1e30]), min_size=1, max_size=400)


def test_short_signals_are_kept_whole():
    (view,) = views(run({"loss": (range(5), [5, 4, math.nan, 2, math.inf])}))
    assert view.signal == "train/loss"
    assert view.steps == (0, 1, 2, 3, 4)
    assert view.values == (5.0, 4.0, None, 2.0, None)
    assert view.nonfinite == (2, 4)
    assert view.points == 5


@settings(deadline=None)
@given(VALUES, st.integers(40, 80), st.lists(st.integers(-5, 500), max_size=5))
def test_decimation_keeps_what_matters(values: list[float], limit: int, wanted: list[int]):
    (view,) = views(run({"loss": (range(len(values)), values)}), wanted, limit)
    shown = dict(zip(view.steps, view.values, strict=True))
    finite = [v for v in values if math.isfinite(v)]
    assert len(view.steps) <= limit
    assert len(view.nonfinite) <= limit
    assert {0, len(values) - 1} <= set(shown)
    assert all(step in shown for step in wanted if 0 <= step < len(values))
    assert all(v is None if not math.isfinite(values[s]) else v == values[s] for s, v in shown.items())
    if finite:
        assert {min(finite), max(finite)} <= {v for v in shown.values() if v is not None}


def test_every_bin_shows_its_lowest_and_highest_value():
    steps = np.arange(100_000)
    values = np.sin(steps / 10)
    (view,) = views(run({"loss": (steps, values)}), limit=1500)
    edges = np.arange(0, 100_000, 1000)
    kept = np.asarray(view.steps)
    shown = np.asarray(view.values, dtype=float)
    for edge in edges:
        inside = (kept >= edge) & (kept < edge + 1000)
        assert shown[inside].max() > 0.99
        assert shown[inside].min() < -0.99


def test_both_ends_of_a_nonfinite_stretch_are_kept():
    values = np.linspace(3, 1, 50_000)
    values[20_000:30_001] = np.nan
    (view,) = views(run({"loss": (range(50_000), values)}), limit=300)
    assert {20_000, 30_000} <= set(view.steps)
    assert view.nonfinite == (20_000, 30_000)


def test_a_sparse_tail_is_not_squeezed_into_one_bin():
    steps = np.concatenate((np.arange(20_000), np.arange(20_000, 1_000_000, 10_000)))
    (view,) = views(run({"loss": (steps, np.ones(len(steps)))}), limit=1500)
    assert sum(step >= 20_000 for step in view.steps) >= 97


def test_a_repeated_stretch_after_a_resume_stays_in_logging_order():
    steps = np.concatenate((np.arange(0, 2000), np.arange(1000, 3000)))
    (view,) = views(run({"loss": (steps, np.arange(4000))}), limit=100)
    assert np.count_nonzero(np.diff(view.steps) < 0) == 1


def test_important_signals_come_first_and_raw_ones_only_if_few():
    few = run(
        {
            "gpu.0.memoryAllocatedBytes": ([1], [1]),
            "mine": ([1], [1]),
            "eval_loss": ([1], [1]),
            "loss": ([1], [1]),
            "train_loss": ([1], [9]),
        }
    )
    assert [v.signal for v in views(few)][:2] == ["train/loss", "eval/loss"]
    assert "mine" in [v.signal for v in views(few)]
    many = run({"loss": ([1], [1])} | {f"mine{i}": ([1], [1]) for i in range(MAX_RAW + 1)})
    assert [v.signal for v in views(many)] == ["train/loss"]


@pytest.mark.parametrize("name", ["train_runtime", "total_flos"])
def test_closing_rows_are_no_curves(name: str):
    assert [v.signal for v in views(run({"loss": ([1], [1]), name: ([1], [1])}))] == ["train/loss"]
