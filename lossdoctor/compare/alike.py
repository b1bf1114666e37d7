"""Whether the numbers of two runs mean the same. If not, no difference between them is worth a word, and the reasons say why."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from lossdoctor.model import Diagnosis, Scalar, SeriesView

# What sets the unit of the loss: the tokenizer and the number of classes, the model, and how losses are summed.
_UNITS = ("vocab_size", "num_labels", "problem_type", "loss_type", "label_smoothing_factor")
_NO_TASK = {"", "unknown"}
_CHECKPOINT = re.compile(r"(?:checkpoint|step|epoch)[-_]?\d+$")
EVAL_SIZE_TOLERANCE = 0.02  # HF rounds both factors of the size to 3 or 4 digits
LOSS_SCALE_RATIO = 3.0  # two ways to sum differ by the accumulation steps or the batch size; the same start does not
START_RATIO = 2.0


def unlike(one: Diagnosis, other: Diagnosis) -> tuple[str, ...]:
    """Why two runs cannot be compared: another task, tokenizer, base model, eval set or loss scale. Empty where nothing speaks against it.

    Only what both runs tell is compared. The size of the eval set follows from eval_runtime x eval_samples_per_second.
    """
    return tuple(_reasons(one, other))


def _reasons(one: Diagnosis, other: Diagnosis) -> Iterator[str]:
    if one.task != other.task and not {one.task, other.task} & _NO_TASK:
        yield f"task: {one.task} and {other.task}"
    for name in _UNITS:
        a, b = setting(one, name), setting(other, name)
        if a is not None and b is not None and a != b:
            yield f"{name}: {a} and {b}"
    yield from _base_model(setting(one, "base_model"), setting(other, "base_model"))
    yield from _eval_sets(one, other)
    yield from _loss_scale(one, other)


def setting(diagnosis: Diagnosis, name: str) -> Scalar:
    return next((s.value for s in diagnosis.settings if s.name == name), None)


def series(diagnosis: Diagnosis, name: str) -> SeriesView | None:
    return next((s for s in diagnosis.series if s.signal == name and s.steps), None)


def eval_size(diagnosis: Diagnosis) -> float | None:
    """Samples in the eval set, as HF's speed figures tell; None where they are not logged."""
    seconds, rate = series(diagnosis, "eval/runtime"), series(diagnosis, "eval/samples_per_second")
    if seconds is None or rate is None or seconds.steps != rate.steps:
        return None
    sizes = [a * b for a, b in zip(seconds.values, rate.values, strict=True) if a is not None and b is not None]
    return float(np.median(sizes)) if sizes else None


def _base_model(one: Scalar, other: Scalar) -> Iterator[str]:
    if not isinstance(one, str) or not isinstance(other, str):
        return
    a, b = (name.rstrip("/").rpartition("/")[2].lower() for name in (one, other))
    if a != b and not _CHECKPOINT.match(a) and not _CHECKPOINT.match(b):
        yield f"base_model: {one} and {other}"


def _eval_sets(one: Diagnosis, other: Diagnosis) -> Iterator[str]:
    a, b = eval_size(one), eval_size(other)
    if a is not None and b is not None and abs(a - b) > max(1.0, EVAL_SIZE_TOLERANCE * max(a, b)):
        yield f"eval set: about {a:.0f} and {b:.0f} samples"


def _loss_scale(one: Diagnosis, other: Diagnosis) -> Iterator[str]:
    a, b = series(one, "train/loss"), series(other, "train/loss")
    if a is None or b is None or a.values[0] is None or b.values[0] is None or min(a.values[0], b.values[0]) <= 0:
        return
    near = max(a.steps[0], b.steps[0]) <= START_RATIO * max(1, min(a.steps[0], b.steps[0]))
    if near and max(a.values[0], b.values[0]) >= LOSS_SCALE_RATIO * min(a.values[0], b.values[0]):
        yield f"loss scale: training starts at {a.values[0]:.4g} and {b.values[0]:.4g}, summed in different ways or from other weights"
