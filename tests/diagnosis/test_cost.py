from __future__ import annotations

import math

import numpy as np
import pytest

from lossdoctor.diagnosis.checkpoint import advise
from lossdoctor.diagnosis.cost import clock, cost
from lossdoctor.model import Checkpoint, CheckpointAdvice, Cost, Finding, Severity
from lossdoctor.run import Log, Run, Series, build

from .samples import finding, run

HOUR = 3600.0


def bill(one: Run, *findings: Finding, gpus: int | None = None, price: float | None = None) -> Cost:
    return cost(one, findings, advise(one, findings), gpus=gpus, gpu_hour_cost=price)


def test_overfitting_wastes_what_follows_the_best_eval():
    one = run({"loss": (range(0, 101, 10), np.ones(11)), "eval_loss": ([50, 100], [1, 2])}, seconds=HOUR / 10)
    spent = bill(one, finding("overfitting", 100), gpus=8, price=2.5)
    assert spent.hours == pytest.approx(10)
    assert spent.hours_after_best == pytest.approx(5)
    assert (spent.gpu_hours_wasted, spent.money_wasted) == (pytest.approx(40), pytest.approx(100))


def test_a_healthy_run_wastes_nothing():
    one = run({"loss": (range(0, 101, 10), np.ones(11)), "eval_loss": ([50, 100], [1, 2])}, seconds=HOUR)
    assert bill(one, finding("overfitting", 50, Severity.NOTE), gpus=1).gpu_hours_wasted == 0


def test_a_cliff_loses_the_work_since_the_last_whole_checkpoint():
    kept = (Checkpoint(40, "a", whole=True), Checkpoint(80, "b", whole=False))
    one = run({"loss": (range(0, 101, 10), np.ones(11))}, seconds=HOUR / 10, checkpoints=kept)
    spent = bill(one, finding("cliff", 100), gpus=2)
    assert spent.hours_since_checkpoint == pytest.approx(6)
    assert spent.gpu_hours_wasted == pytest.approx(12)
    assert bill(
        run({"loss": (range(0, 101, 10), np.ones(11))}, seconds=HOUR / 10), finding("cliff", 100), gpus=1
    ).gpu_hours_wasted == pytest.approx(10)


def test_a_night_between_two_sessions_is_not_charged():
    steps = np.arange(0, 101, 10)
    times = 1.7e9 + steps * 60.0
    times[6:] += 12 * HOUR
    one = build(Log("text", __file__, "r", (Series.of("loss", steps, np.ones(11), None, times),)))  # type: ignore[arg-type]
    assert bill(one).hours == pytest.approx(100 / 60)


def test_repeated_steps_after_a_resume_are_charged_twice():
    steps = np.concatenate((np.arange(0, 101, 10), np.arange(60, 121, 10)))
    times = 1.7e9 + np.arange(len(steps)) * HOUR
    one = build(Log("text", __file__, "r", (Series.of("loss", steps, np.ones(len(steps)), None, times),)))  # type: ignore[arg-type]
    spent = clock(one)
    assert spent is not None
    assert spent.total == pytest.approx(17)
    assert spent.beyond(80) == pytest.approx(2 + 4)


def test_many_tags_at_the_same_moment_do_not_hide_the_interval():
    names = {f"train/x{i}": (range(0, 101, 10), np.ones(11)) for i in range(9)}
    assert bill(run({"loss": (range(0, 101, 10), np.ones(11))} | names, seconds=HOUR / 10)).hours == pytest.approx(10)


def test_the_closing_row_stands_in_for_wall_times():
    one = run({"loss": (range(0, 101, 10), np.ones(11)), "eval_loss": ([50, 100], [1, 2]), "train_runtime": ([100], [2 * HOUR])})
    spent = bill(one, finding("hockey-stick", 100))
    assert (spent.hours, spent.hours_after_best) == (pytest.approx(2), pytest.approx(1))
    assert spent.gpu_hours_wasted is None


def test_step_times_stand_in_for_a_runtime():
    assert bill(run({"loss": ([1, 3600], [1, 1]), "step_time": ([1, 2, 3], [2.0, 2.0, math.nan])})).hours == pytest.approx(2)
    assert bill(run({"loss": ([1, 3600], [1, 1]), "it/s": ([1, 2], [0.5, 0.5])})).hours == pytest.approx(2)


def test_no_times_no_hours():
    spent = cost(run({"loss": ([1, 2], [1, 1])}, settings={"world_size": 4}), (), CheckpointAdvice())
    assert spent == Cost(gpus=4)


def test_gpus_are_counted_from_machine_readings():
    one = run({"loss": ([1, 2], [1, 1]), "gpu.0.gpu": ([1], [9]), "gpu.1.gpu": ([1], [9])}, seconds=1.0)
    assert bill(one).gpus == 2
