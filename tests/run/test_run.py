"""Logs become runs: canonical names and units, segments, the plan, the tidy frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.run import Log, Run, Series, build
from lossdoctor.run.aliases import GIB
from lossdoctor.run.names import canonical
from lossdoctor.run.segments import segments


def run_of(*series: Series, **more: Any) -> Run:
    kind = more.pop("kind", "csv")
    metric = more.pop("metric", None)
    return build(Log(kind=kind, path=Path("/run/metrics.csv"), name="run", series=series, **more), metric=metric)


@pytest.mark.parametrize(
    ("raw", "signal", "scale"),
    [
        ("loss", "train/loss", 1.0),
        ("Loss/Train", "train/loss", 1.0),
        ("training loss", "train/loss", 1.0),
        ("lm loss", "train/loss", 1.0),
        ("TrainIterStats/loss", "train/loss", 1.0),
        ("eval_loss", "eval/loss", 1.0),
        ("lm loss validation", "eval/loss", 1.0),
        ("eval_g0_loss", "eval/g0/loss", 1.0),
        ("eval_cer", "eval/cer", 1.0),
        ("lr-AdamW/pg1", "train/learning_rate", 1.0),
        ("Policy/Learning Rate", "train/learning_rate", 1.0),
        ("gnorm", "train/grad_norm", 1.0),
        ("grad-norm", "train/grad_norm", 1.0),
        ("tok/sec", "perf/tokens_per_second", 1.0),
        ("gpu_0/memory_allocated_GB", "gpu/0/memory", 1e9),
        ("memory(GiB)", "gpu/0/memory", GIB),
        ("rewards/margins", "rewards/margins", 1.0),
        ("train/reward", "reward", 1.0),
    ],
)
def test_the_names_seen_in_the_wild(raw: str, signal: str, scale: float) -> None:
    assert canonical(raw)[0] == signal
    assert canonical(raw)[2] == scale


@pytest.mark.parametrize(
    "raw", ["Losses/Policy Loss", "train/value_loss", "entropy_loss", "actor_loss", "grad_norm_square", "train/train_loss", "loss_weight"]
)
def test_what_only_sounds_like_a_signal_is_none(raw: str) -> None:
    assert canonical(raw)[0] not in {"train/loss", "eval/loss", "train/grad_norm"}


@given(st.text(max_size=30))
def test_any_name_maps_to_some_signal_and_a_canonical_one_to_itself(raw: str) -> None:
    signal, _, scale = canonical(raw)
    assert scale > 0
    if raw.strip():
        assert signal


def test_of_two_names_the_better_wins_and_the_other_keeps_its_own() -> None:
    run = run_of(Series.of("total_loss", [1, 2], [9.0, 8.0]), Series.of("loss", [1, 2], [2.5, 2.25]))
    assert run.signals["train/loss"].raw_name == "loss"
    assert run.signals["total_loss"].values.tolist() == [9.0, 8.0]


def test_a_chosen_column_wins_over_the_table() -> None:
    run = run_of(Series.of("loss", [1], [2.5]), Series.of("mine", [1], [7.5]), metric={"train/loss": "mine"})
    assert run.signals["train/loss"].values.tolist() == [7.5]
    assert run.signals["loss"].values.tolist() == [2.5]


def test_values_reach_the_unit_of_the_signal() -> None:
    run = run_of(Series.of("elapsed time per iteration (ms)", [1], [250.0]), Series.of("memory(GiB)", [1], [2.0]))
    assert run.signals["perf/step_seconds"].values.tolist() == [0.25]
    assert run.signals["gpu/0/memory"].values.tolist() == [2 * GIB]


def test_signals_cannot_be_written_to() -> None:
    signal = run_of(Series.of("loss", [1, 2], [2.5, 2.25])).signals["train/loss"]
    with pytest.raises(ValueError, match="read-only"):
        signal.values[0] = 0


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], []),
        ([5], [0]),
        ([10, 20, 30], [0, 0, 0]),
        ([10, 20, 30, 10, 20, 30, 40], [0, 0, 0, 1, 1, 1, 1]),
        ([10, 20, 15, 30], [0, 0, 0, 0]),
        ([10, 10, 20, 20], [0, 0, 0, 0]),
        ([30, 20, 10], [0, 1, 2]),
    ],
)
def test_segments_begin_where_the_steps_fall_back(steps: list[int], expected: list[int]) -> None:
    assert segments(np.asarray(steps, dtype=np.int64)).tolist() == expected


@given(st.lists(st.integers(-(2**61), 2**61), max_size=50))
def test_segments_never_fall_and_rise_by_one(steps: list[int]) -> None:
    found = segments(np.asarray(steps, dtype=np.int64))
    assert len(found) == len(steps)
    assert set(np.diff(found).tolist()) <= {0, 1}


def test_more_restarts_than_an_int16_counts() -> None:
    steps = np.tile(np.asarray([1, 2, 1000], dtype=np.int64), 40_000)
    assert segments(steps)[-1] == np.iinfo(np.int16).max


@pytest.mark.parametrize(
    ("more", "planned"),
    [
        ({"planned_steps": 400}, 400),
        ({"planned_steps": -1, "planned_epochs": 4.0}, 800),
        ({"planned_epochs": 9223372036854775807.0}, None),
        ({"planned_steps": 1 << 50}, None),
        ({"planned_epochs": math.nan}, None),
        ({}, None),
    ],
)
def test_the_plan(more: dict[str, Any], planned: int | None) -> None:
    steps = list(range(10, 210, 10))
    run = run_of(Series.of("loss", steps, [2.5] * 20, [step / 200 for step in steps]), **more)
    assert run.planned_steps == planned


def test_the_frame_is_tidy_and_keeps_what_is_not_finite() -> None:
    run = run_of(Series.of("loss", [10, 20, 10], [2.5, math.nan, math.inf]), Series.of("lr", [10], [1e-4]))
    frame = run.history
    assert list(frame.columns) == ["signal", "step", "epoch", "time", "value", "segment"]
    assert [str(kind) for kind in frame.dtypes] == ["category", "int64", "float64", "float64", "float64", "int16"]
    assert frame["signal"].tolist() == ["train/loss"] * 3 + ["train/learning_rate"]
    np.testing.assert_array_equal(frame["value"], [2.5, math.nan, math.inf, 1e-4])
    assert frame["segment"].tolist() == [0, 0, 0, 0]


def test_the_frame_of_nothing_has_its_columns() -> None:
    frame = run_of().history
    assert len(frame) == 0
    assert [str(kind) for kind in frame.dtypes] == ["category", "int64", "float64", "float64", "float64", "int16"]


def test_the_row_that_lasted_is_kept_in_order() -> None:
    signal = run_of(Series.of("loss", [10, 20, 30, 20, 30], [5.0, 4.0, math.nan, 3.5, 3.0])).signals["train/loss"]
    assert signal.in_order.steps.tolist() == [10, 20, 30]
    assert signal.in_order.values.tolist() == [5.0, 3.5, 3.0]
    assert signal.until(20).values.tolist() == [5.0, 4.0, 3.5]


def test_the_closing_row_is_no_part_of_the_curve_and_says_that_it_ended() -> None:
    run = run_of(Series.of("train/loss", [10, 20], [2.5, 2.25]), Series.of("train/train_loss", [20], [2.4]))
    assert run.signals["train/loss"].values.tolist() == [2.5, 2.25]
    assert run.finished is True
