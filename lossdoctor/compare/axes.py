"""From optimizer steps to epochs, samples, tokens or hours."""

from __future__ import annotations

import numpy as np

from lossdoctor.compare.alike import series, setting
from lossdoctor.compare.model import Axis, Side
from lossdoctor.measures.level import Floats
from lossdoctor.model import Diagnosis

_TOKEN_SIGNALS = ("train/num_input_tokens_seen", "num_input_tokens_seen", "num_tokens", "train/num_tokens")


def place(side: Side, steps: Floats, axis: Axis) -> Floats | None:
    """Where steps lie on the axis; None where this run does not tell it. Shape (n,) -> (n,).

    Epochs and samples grow evenly with the steps; hours do so too where only their sum is known; tokens are interpolated between the
    logged counts.
    """
    d = side.diagnosis
    if axis is Axis.STEP:
        return steps
    if axis is Axis.TOKENS:
        return _tokens(d, steps)
    if axis is Axis.HOURS and len(side.steps) > 1:
        return np.asarray(np.interp(steps, np.array(side.steps, dtype=np.float64), np.array(side.hours)), dtype=np.float64)
    total = {Axis.EPOCH: d.epochs, Axis.HOURS: d.cost.hours, Axis.SAMPLES: _samples(d)}[axis]
    return None if total is None or not d.steps else steps * (total / d.steps)


def common(sides: tuple[Side, ...], axis: Axis) -> bool:
    """Whether every run tells where it is on the axis."""
    return all(place(side, np.array([1.0]), axis) is not None for side in sides)


def _samples(diagnosis: Diagnosis) -> float | None:
    size = _number(diagnosis, "total_train_batch_size")
    if size is None:
        parts = [_number(diagnosis, name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "world_size")]
        size = None if parts[0] is None else parts[0] * (parts[1] or 1) * (parts[2] or diagnosis.cost.gpus or 1)
    return None if size is None or diagnosis.steps is None else size * diagnosis.steps


def _tokens(diagnosis: Diagnosis, steps: Floats) -> Floats | None:
    seen = next((view for name in _TOKEN_SIGNALS if (view := series(diagnosis, name)) is not None), None)
    if seen is None:
        return None
    rows = [(float(s), v) for s, v in zip(seen.steps, seen.values, strict=True) if v is not None]
    if len(rows) < 2:
        return None
    at, count = np.array(rows).T
    return np.asarray(np.interp(steps, np.append(0.0, at), np.append(0.0, count)), dtype=np.float64)


def _number(diagnosis: Diagnosis, name: str) -> float | None:
    value = setting(diagnosis, name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
