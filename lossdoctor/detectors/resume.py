"""Where a run was continued, and whether it went on as if nothing had happened."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import BESIDE, by_plan, rate_jumps
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run, Signal
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

_FALLING = ("linear", "cosine", "polynomial")  # schedules of transformers that never rise again after their warmup
SIDE = 12  # rows on either side of a break that give the levels
SOON = 40  # rows after a drop within which a schedule that began again has risen


def resume_discontinuity(run: Run, *, sigmas: float, jump: float, rate_move: float) -> Evidence | None:
    """A restart shows in the order of the steps (they fall back), in an epoch that falls back, or in a learning rate that warms up again.

    Or the log says that it was resumed, or the learning rate moves by `rate_move` of its peak, where the level of the loss rises by
    `sigmas` standard errors and by `jump` of itself; where the log says it, a rate that rises by as much will do.
    """
    loss = run.signal("train/loss")
    if loss is None or len(loss) < 6:
        return None
    said = _said(run, sigmas, jump, rate_move)
    return _steps_break(run, loss) or _epoch_break(loss) or said or _rate_break(run, sigmas, jump, rate_move)


def _said(run: Run, sigmas: float, jump: float, rate_move: float) -> Evidence | None:
    """The log says that it was resumed, and the level of the loss rises there, or the learning rate does."""
    curve, rate = loss_curve(run), named_curve(run, "train/learning_rate")
    for event in run.events:
        at = int(np.searchsorted(curve.steps, event.step, side="right")) if event.step is not None else len(curve)
        if event.kind != "resume" or at >= len(curve):
            continue
        steps = int(curve.steps[at]), int(curve.steps[max(at - 1, 0)])
        shift, score = _shift(curve, steps[0])
        if score >= sigmas and shift >= jump:
            return _evidence(run, "the log says so, and the loss level breaks", *steps, 1, ("train/loss",), margin=3)
        rates = rate.between(steps[1], steps[0]).values
        if len(rates) > 1 and rates[-1] - rates[0] >= rate_move * rate.values.max():
            return _evidence(run, "the log says so, and the learning rate starts again", *steps, 1, ("train/learning_rate",), margin=3)
    return None


def _steps_break(run: Run, loss: Signal) -> Evidence | None:
    back = np.flatnonzero(np.diff(loss.segments) > 0) + 1
    usual = float(np.median(np.abs(np.diff(loss.steps))))
    # Back to the very beginning is a new count (an epoch, another phase), not a checkpoint.
    back = back[loss.steps[back] > loss.steps[0] + 2 * usual]
    if not len(back):
        return None
    at, before = int(loss.steps[back[0]]), int(loss.steps[back[0] - 1])
    return _evidence(run, "steps fall back", at, before, len(back), ("train/loss",), redone=before - at, margin=3)


def _epoch_break(loss: Signal) -> Evidence | None:
    """The epoch counter falls back, beyond its rounding, while the steps go on: the data loader began again."""
    known = np.isfinite(loss.epochs)
    epochs, steps = loss.epochs[known], loss.steps[known]
    falls = np.flatnonzero((np.diff(epochs) < -1 / 20) & (np.diff(steps) > 0))
    if not len(falls):
        return None
    before, at = int(steps[falls[0]]), int(steps[falls[0] + 1])
    return _evidence(None, "the epoch falls back", at, before, len(falls), ("train/loss",), margin=2)


def _rate_break(run: Run, sigmas: float, jump: float, rate_move: float) -> Evidence | None:
    """A learning rate that drops and ramps up again, or that moves where the level of the loss breaks upwards."""
    rate, curve = named_curve(run, "train/learning_rate"), loss_curve(run)
    kind = str(run.setting("lr_scheduler_type") or "").lower()
    planned = "cycl" in kind or "restart" in kind or by_plan(rate, rate_jumps(rate, rate_move))
    if len(rate) < 6 or len(curve) < 2 * SIDE or rate.values.max() <= 0 or planned:
        return None
    values, names = rate.values, ("train/learning_rate", "train/loss")
    highest = np.maximum.accumulate(values)[:-1]
    scale = np.maximum(highest, np.finfo(np.float64).tiny)  # so far: a later, larger peak must not hide what came before it
    moves = np.diff(values) / scale
    unit = max(rate_move, 8 * float(np.median(np.abs(moves))))  # far beyond the schedule's own slope
    drops = [int(i) + 1 for i in np.flatnonzero(moves < -unit) if i + 1 >= BESIDE]
    for at in drops:
        later = float(values[at : at + SOON].max())
        if values[at] <= values[at - 1] / 2 and later > 2 * values[at] and values[at - 1] > unit * highest[at - 1]:
            steps = int(rate.steps[at]), int(rate.steps[at - 1])
            return _evidence(run, "the learning rate drops and rises again", *steps, len(drops), names, margin=3)
    rises = [int(i) + 1 for i in np.flatnonzero((moves > unit) & (highest - values[:-1] > unit * highest))]
    # A burst that is over within a few rows is no new schedule.
    rises = [at for at in rises if float(np.median(values[at : at + SIDE])) > values[at - 1] + unit / 2 * highest[at - 1]]
    if rises and kind in _FALLING:
        steps = int(rate.steps[rises[0]]), int(rate.steps[rises[0] - 1])
        return _evidence(run, f"the learning rate starts again, which a {kind} schedule does not", *steps, len(rises), names, margin=3)
    for at in sorted(drops + rises):
        steps = int(rate.steps[at]), int(rate.steps[at - 1])
        shift, score = _shift(curve, steps[0])
        if score >= sigmas and shift >= jump:  # downwards is what learning does
            said = "the learning rate starts again and the loss level breaks"
            return _evidence(run, said, *steps, 1, names[::-1], margin=score / sigmas)
    return None


def _evidence(
    run: Run | None, kind: str, at: int, before: int, restarts: int, signals: tuple[str, ...], *, redone: int = 0, margin: float
) -> Evidence:
    curve = loss_curve(run) if run is not None else None
    shift, score = _shift(curve, at) if curve is not None else (0.0, 0.0)
    numbers: dict[str, Scalar] = {
        "kind": kind, "restarts": restarts, "resumed_step": at, "redone_steps": redone, "shift": shift, "shift_sigmas": score,
    }  # fmt: skip
    points = len(curve) if curve is not None else 0
    return Evidence(numbers, signals, at, ((min(at, before), max(at, before)),), margin=margin, points=points)


def _shift(curve: Curve, step: int) -> tuple[float, float]:
    """Relative change of the level across `step` (a dozen rows on each side) and the same in standard errors."""
    at = int(np.searchsorted(curve.steps, step))
    if at < 3 or len(curve) - at < 3:
        return 0.0, 0.0
    before, after = curve.median(max(0, at - SIDE), at), curve.median(at, min(len(curve), at + SIDE))
    change = after.value - before.value
    error = float(np.hypot(before.error, after.error)) or np.finfo(np.float64).tiny
    return change / (abs(before.value) or 1.0), change / error
