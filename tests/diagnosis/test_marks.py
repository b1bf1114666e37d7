from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.diagnosis.marks import MAX_EPOCHS, marks
from lossdoctor.diagnosis.progress import batch, steps_per_epoch, warmup_end
from lossdoctor.model import Checkpoint, CheckpointAdvice

from .samples import finding, run

STEPS = np.arange(0, 1001, 10)
RATE = np.where(STEPS <= 100, STEPS / 100, 1 - (STEPS - 100) / 900) * 1e-3


def kinds(found: tuple, kind: str) -> list[int]:
    return [mark.step for mark in found if mark.kind == kind]


def test_the_course_of_a_run():
    kept = tuple(Checkpoint(step, f"c{step}") for step in (300, 600))
    one = run(
        {"loss": (STEPS, np.ones(101)), "lr": (STEPS, RATE), "eval_loss": ([500, 1000], [1, 2])},
        per_epoch=250, checkpoints=kept, planned_steps=2000,
    )  # fmt: skip
    found = marks(one, [finding("overfitting", 700, detectable_step=800)], CheckpointAdvice(600, True))
    assert kinds(found, "warmup-end") == [100]
    assert kinds(found, "epoch") == [250, 500, 750, 1000]
    assert kinds(found, "checkpoint") == [300, 600]
    assert kinds(found, "best-eval") == [500]
    assert (kinds(found, "onset"), kinds(found, "detectable")) == ([700], [800])
    assert (kinds(found, "end"), kinds(found, "planned-end")) == ([1000], [2000])
    assert [m.step for m in found] == sorted(m.step for m in found)
    assert [m.label for m in found if m.step == 600] == ["checkpoint-600 (use this)"]


def test_many_epochs_are_thinned():
    found = marks(run({"loss": (STEPS, np.ones(101))}, per_epoch=5), [], CheckpointAdvice())
    assert 10 <= len(kinds(found, "epoch")) <= MAX_EPOCHS


def test_a_fall_back_of_the_steps_is_a_resume():
    steps = [10, 20, 30, 40, 20, 30, 40, 50]
    assert kinds(marks(run({"loss": (steps, np.ones(8))}), [], CheckpointAdvice()), "resume") == [20]


@pytest.mark.parametrize(
    ("values", "end"),
    [
        (RATE, 100),
        (np.full(101, 1e-3), None),
        (RATE[::-1], 900),
        (np.linspace(1, 0, 101), None),
        (np.linspace(0, 1, 101), None),  # still rising where the log ends
        (np.where(STEPS < 50, STEPS, 50), 50),
    ],
)
def test_warmup_end_from_the_learning_rate(values: np.ndarray, end: int | None):
    assert warmup_end(run({"lr": (STEPS, values)})) == end


@pytest.mark.parametrize(
    ("settings", "end"), [({"warmup_steps": 70}, 70), ({"warmup_ratio": 0.1}, 200), ({"warmup_steps": 0.05}, 100), ({}, None)]
)
def test_warmup_end_from_the_settings(settings: dict, end: int | None):
    assert warmup_end(run({"loss": (STEPS, np.ones(101))}, settings=settings, planned_steps=2000)) == end


def test_rounded_epochs_give_way_to_the_plan():
    rounded = np.round(STEPS / 333, 2)
    one = run({"loss": (STEPS, np.ones(101)), "epoch": (STEPS, rounded)}, planned_steps=999, planned_epochs=3.0)
    assert steps_per_epoch(one) == 333
    assert steps_per_epoch(run({"loss": (STEPS, np.ones(101))})) is None


def test_unknown_factors_of_the_batch_are_named():
    one = batch(run({}, settings={"per_device_train_batch_size": 4, "world_size": 8}))
    assert (one.samples, one.unknown) == (32, ("gradient_accumulation_steps",))


@pytest.mark.parametrize(("per_epoch", "first"), [(50, 1), (40, 2), (20, 5), (5, 10)])
def test_epochs_that_are_left_out_leave_round_ones(per_epoch: int, first: int):
    found = marks(run({"loss": (STEPS, np.ones(101))}, per_epoch=per_epoch), [], CheckpointAdvice())
    labels = [mark.label for mark in found if mark.kind == "epoch"]
    assert labels[0] == f"epoch {first}"
