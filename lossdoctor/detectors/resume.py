"""Where a run was continued, and whether it went on as if nothing had happened."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run, Signal
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve


def resume_discontinuity(run: Run, *, sigmas: float, jump: float) -> Evidence | None:
    """A restart shows in the order of the steps (they fall back), in an epoch that jumps back, or in a learning rate that starts again
    where the level of the loss breaks by `sigmas` noise scales and `jump` of the level."""
    loss = run.signal("train/loss")
    if loss is None or len(loss) < 6:
        return None
    back = np.flatnonzero(np.diff(loss.segments) > 0) + 1
    usual = float(np.median(np.abs(np.diff(loss.steps))))
    # Back to the very beginning is a new count (an epoch, another phase), not a checkpoint.
    back = back[loss.steps[back] > loss.steps[0] + 2 * usual]
    if len(back):
        at = int(back[0])
        redone = int(loss.steps[at - 1] - loss.steps[at])
        shift = _shift(loss_curve(run), int(loss.steps[at]))
        numbers: dict[str, Scalar] = {
            "kind": "steps fall back",
            "restarts": len(back),
            "resumed_step": int(loss.steps[at]),
            "redone_steps": redone,
            "shift": shift[0],
            "shift_sigmas": shift[1],
            "died_step": int(loss.steps[at - 1]),
        }
        return Evidence(
            numbers, ("train/loss",), int(loss.steps[at]), ((int(loss.steps[at]), int(loss.steps[at - 1])),), margin=3.0, points=len(loss)
        )
    return _epoch_break(loss) or _rate_break(run, sigmas, jump)


def _epoch_break(loss: Signal) -> Evidence | None:
    """The epoch counter falls back while the steps go on: the data loader began again."""
    known = np.isfinite(loss.epochs)
    epochs, steps = loss.epochs[known], loss.steps[known]
    falls = np.flatnonzero((np.diff(epochs) < -0.05) & (np.diff(steps) > 0))
    if not len(falls):
        return None
    at = int(falls[0]) + 1
    numbers: dict[str, Scalar] = {
        "kind": "the epoch falls back",
        "restarts": len(falls),
        "resumed_step": int(steps[at]),
        "redone_steps": 0,
        "shift": 0.0,
        "shift_sigmas": 0.0,
        "died_step": int(steps[at - 1]),
    }
    return Evidence(numbers, ("train/loss",), int(steps[at]), ((int(steps[at - 1]), int(steps[at])),), margin=2.0, points=len(loss))


def _rate_break(run: Run, sigmas: float, jump: float) -> Evidence | None:
    """A learning rate that drops and ramps up again, with a break of the loss level at the same place."""
    rate, curve = named_curve(run, "train/learning_rate"), loss_curve(run)
    kind = str(run.setting("lr_scheduler_type") or "").lower()
    if len(rate) < 6 or len(curve) < 20 or rate.values.max() <= 0 or "cycl" in kind or "restart" in kind:
        return None
    if _cyclic(rate):
        return None
    peak = float(rate.values.max())
    change = np.diff(rate.values) / peak
    usual = float(np.median(np.abs(change)))
    # A drop far beyond the schedule's own slope, after which the rate rises again.
    highest = np.maximum.accumulate(rate.values)
    decayed = highest[:-1] - rate.values[:-1] > max(0.02, 8 * usual) * peak
    # A drop far beyond the schedule's own slope after which the rate rises again, or a rise after a decay: warmup is neither.
    drops = [
        int(i) + 1 for i in np.flatnonzero(change < -max(0.02, 8 * usual)) if rate.values[i + 1 : i + 40].max() > rate.values[i + 1] * 1.02
    ]
    rises = [int(i) + 1 for i in np.flatnonzero((change > max(0.02, 8 * usual)) & decayed)]
    for at in drops:
        if (
            rate.values[at] <= 0.5 * rate.values[at - 1]
            and rate.values[at : at + 40].max() >= 2 * rate.values[at]
            and rate.values[at - 1] > 0.05 * peak
        ):
            step = int(rate.steps[at])
            shift, score = _shift(curve, step)
            numbers: dict[str, Scalar] = {
                "kind": "the learning rate warms up again",
                "restarts": len(drops),
                "resumed_step": step,
                "redone_steps": 0,
                "shift": shift,
                "shift_sigmas": score,
                "died_step": int(rate.steps[at - 1]),
            }
            return Evidence(
                numbers, ("train/learning_rate", "train/loss"), step, ((int(rate.steps[at - 1]), step),), margin=2.5, points=len(curve)
            )
    # A burst that is over within a few rows is no new schedule.
    rises = [at for at in rises if float(np.median(rate.values[at : at + 12])) > rate.values[at - 1] + 0.5 * max(0.02, 8 * usual) * peak]
    for at in sorted(drops + rises):
        step = int(rate.steps[at])
        shift, score = _shift(curve, step)
        if score >= sigmas and shift >= jump:  # downwards is what learning does
            numbers = {
                "kind": "the learning rate starts again and the loss level breaks",
                "restarts": 1,
                "resumed_step": step,
                "redone_steps": 0,
                "shift": shift,
                "shift_sigmas": score,
                "died_step": int(rate.steps[at - 1]),
            }
            return Evidence(
                numbers,
                ("train/loss", "train/learning_rate"),
                step,
                ((int(rate.steps[at - 1]), step),),
                margin=abs(score) / sigmas,
                points=len(curve),
            )
    return None


def _cyclic(rate: Curve) -> bool:
    """Four turning points or more in near equal distances: a schedule by plan."""
    turns = np.flatnonzero(np.diff(np.sign(np.diff(rate.values))) != 0)
    gaps = np.diff(rate.steps[turns]).astype(float)
    return len(gaps) >= 4 and float(np.ptp(gaps)) <= 0.3 * float(np.median(gaps))


def _shift(curve: Curve, step: int) -> tuple[float, float]:
    """Relative change of the level across `step` (ten rows on each side) and the same in noise scales of the medians."""
    before, after = curve.values[curve.steps < step][-10:], curve.values[curve.steps >= step][:10]
    if len(before) < 3 or len(after) < 3:
        return 0.0, 0.0
    change = float(np.median(after) - np.median(before))
    scale = max(curve.noise, 1e-9) * 1.25 * float(np.sqrt(1 / len(before) + 1 / len(after)))
    return change / max(abs(float(np.median(before))), 1e-9), change / scale
