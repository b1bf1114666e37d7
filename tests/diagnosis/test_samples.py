from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.diagnosis.samples import window

from .samples import run

KNOWN = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 8}


def test_a_row_covers_all_steps_since_the_row_before():
    one = run({"loss": (range(10, 101, 10), np.ones(10))}, settings=KNOWN, per_epoch=1000)
    assert window(one, 50) == "Steps 41 to 50 read the samples at positions 2,560 to 3,199 of epoch 1 in sampler order."


def test_positions_begin_anew_in_every_epoch():
    one = run({"loss": (range(1, 101), np.ones(100))}, settings=KNOWN, per_epoch=30)
    assert window(one, 31) == "Step 31 reads the samples at positions 0 to 63 of epoch 2 in sampler order."
    sparse = run({"loss": ([20, 40], [1, 1])}, settings=KNOWN, per_epoch=30)
    assert "from position 1,280 of epoch 1 to position 639 of epoch 2" in window(sparse, 40)


def test_unknown_factors_are_said():
    words = window(run({"loss": (range(1, 11), np.ones(10))}, settings={"world_size": 2}), 5)
    assert "per_device_train_batch_size and gradient_accumulation_steps are not known and taken as 1." in words
    assert "The length of an epoch is not known" in words


@pytest.mark.parametrize(("skip", "said"), [(True, "the data start anew"), (False, "was moved to its old place")])
def test_a_resume_is_said(skip: bool, said: str):
    steps = [*range(10, 60, 10), *range(30, 90, 10)]
    one = run({"loss": (steps, np.ones(len(steps)))}, settings=KNOWN | {"ignore_data_skip": skip})
    assert said in window(one, 70)
    assert "resumed" not in window(run({"loss": (range(10, 90, 10), np.ones(8))}, settings=KNOWN), 70)


def test_no_samples_where_the_axis_is_not_steps():
    assert window(run({"loss": (range(1, 11), np.ones(10))}, step_is="epoch"), 5) == ""
