"""Passes over the data, restarts, and where the onset lies among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossdoctor.diagnosis.progress import batch, resume_steps, row_interval, steps_per_epoch
from lossdoctor.model import Scalar
from lossdoctor.run import Run

SMALL_DATA = 1000  # examples; below this several epochs are soon memorised

FACTS: Mapping[str, str] = {
    "steps_per_epoch": "optimizer steps in one pass over the data",
    "epochs_done": "epochs trained",
    "epochs_planned": "epochs of the plan",
    "samples_per_epoch": "examples in one pass (where the batch is known)",
    "data_is_small": "fewer than 1000 examples in one pass",
    "resumes": "restarts seen in the order of the steps",
    "resume_step": "first step after the last restart",
    "onset_epoch": "epoch of the onset",
    "onset_at_epoch_boundary": "the onset lies within two rows of the start of an epoch, and an epoch has at least 10 rows",
    "resume_near_onset": "a restart within three rows before the onset",
}


def whole(run: Run) -> dict[str, Scalar]:
    length, resumed = steps_per_epoch(run), resume_steps(run)
    factors = batch(run)
    samples = None if length is None or "per_device_train_batch_size" in factors.unknown else round(length * factors.samples)
    done = None if length is None or length <= 0 else run.last_step / length
    return {
        "steps_per_epoch": length,
        "epochs_done": done,
        "epochs_planned": run.planned_epochs,
        "samples_per_epoch": samples,
        "data_is_small": None if samples is None else samples < SMALL_DATA,
        "resumes": len(resumed),
        "resume_step": resumed[-1] if resumed else None,
    }


def at(run: Run, onset: int) -> dict[str, Scalar]:
    length, loss = steps_per_epoch(run), run.signal("train/loss")
    rows = row_interval(loss) if loss is not None else 1.0
    resumed = resume_steps(run)
    near = any(0 <= onset - step <= 3 * rows for step in resumed)
    if length is None or length < 1:
        return {"resume_near_onset": near}
    epoch = onset / length
    distance = abs(epoch - np.floor(epoch + 0.5)) * length
    countable = length >= 10 * rows and onset > length / 2
    return {
        "resume_near_onset": near,
        "onset_epoch": epoch,
        "onset_at_epoch_boundary": bool(distance <= 2 * rows) if countable else None,
    }
