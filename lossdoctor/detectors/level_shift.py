"""Lasting changes of the level of the training loss that no schedule explains, and the stairs that epochs make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import rate_moves, spoiled, steps_per_epoch, warmup_end
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve
from lossdoctor.shapes.jumps import LAG, NEAR, Jump, jumps

WIDTH = 12  # rows on either side of an epoch boundary
BOUNDARIES = 64  # epoch boundaries looked at in a run of very many epochs


def level_shift(run: Run, *, least: float, lasting: float, rate_change: float) -> Evidence | Skip | None:
    """The level jumps by `least` (relative), and half of that lasts for `lasting` of the run or to its end.

    Not counted: the warmup, a restart, a change of the learning rate by `rate_change`, falls at an epoch boundary (see `epoch_stairs`), and
    what loses all that was won, ends above twice the start, or at nothing: that is divergence, or a NaN that was filtered.
    """
    curve = loss_curve(run)
    if not len(curve) or spoiled(run) or run.signals["train/loss"].segments[-1] > 0:
        return None
    start, length = warmup_end(run) + curve.span / 20, steps_per_epoch(run)
    found = [
        jump
        for jump in jumps(curve)
        if jump.step > start
        and abs(jump.change) >= least
        and (jump.lasts >= lasting or (2 * jump.lasts >= lasting and _to_end(curve, jump)))
        and not rate_moves(run, curve, jump.row, rate_change, up=jump.gap > 0)
        and (jump.gap > 0 or (_new_low(curve, jump) and not _at_boundary(curve, jump.row, length)))
        and curve.quantum < jump.after.value < 2 * _before(curve, jump)
    ]
    if not found:
        return None
    top = max(found, key=lambda jump: (jump.gap > 0, abs(jump.sigmas)))
    last = int(curve.steps[min(len(curve) - 1, top.row + round(top.lasts * len(curve)))])
    numbers: dict[str, Scalar] = {
        "change": top.change, "size": abs(top.change), "sigmas_found": abs(top.sigmas), "level_before": top.before.value,
        "level_after": top.after.value, "shift_step": top.step, "upward": int(top.gap > 0), "direction": "up" if top.gap > 0 else "down",
        "lasts_share": top.lasts, "rows": len(curve),
        "grave": int(top.change >= 2 * least and (_to_end(curve, top) or top.lasts >= 2 * lasting)),
    }  # fmt: skip
    return Evidence.between(numbers, ("train/loss",), top.step, last, margin=min(10, abs(top.change) / least), points=len(curve))


def _new_low(curve: Curve, jump: Jump) -> bool:
    """Whether a fall leads below the level of long before it too: else it is the end of a spike."""
    earlier = curve.values[max(0, jump.row - 3 * NEAR) : jump.row - NEAR]
    return len(earlier) >= NEAR and float(np.median(earlier)) > jump.after.value - jump.gap / 2


def _before(curve: Curve, jump: Jump) -> float:
    """The highest level before the jump: where it all began."""
    return float(curve.level[: max(1, int(np.searchsorted(curve.at, jump.step)))].max())


def _to_end(curve: Curve, jump: Jump) -> bool:
    return jump.row + round(jump.lasts * len(curve)) >= len(curve) - 2 * LAG


def _at_boundary(curve: Curve, row: int, length: float | None) -> bool:
    """Whether the row lies within three rows, or a fiftieth of an epoch, of the start of an epoch."""
    if length is None or length <= 0:
        return False
    spacing, step = float(np.median(np.diff(curve.steps))), float(curve.steps[row])
    distance = abs(step - round(step / length) * length)
    return round(step / length) >= 1 and distance <= max(LAG * spacing, length / 50) and length > 2 * LAG * spacing


def epoch_stairs(run: Run, *, sigmas: float, least: float, boundaries: int) -> Evidence | Skip | None:
    """The loss steps down at `boundaries` epoch boundaries or more, each by `least` and `sigmas` standard errors, and falls less within
    the epochs than at their ends: the model recognises rows it has seen. Normal memorisation, told because people ask."""
    curve, length = loss_curve(run), steps_per_epoch(run)
    if length is None or len(curve) < 20 or spoiled(run):
        if run.step_is == "epoch":
            return Skip("each row is a whole epoch: what happens at its ends cannot be seen")
        return Skip("the epochs are unknown or fewer than 20 losses were logged", "log the epoch beside the step")
    epochs = run.last_step / length
    width = min(WIDTH, int(len(curve) / max(epochs, 1) / 2))
    if epochs < 2 or width < 4:
        return Skip("fewer than two epochs, or fewer than 8 rows in one", "")
    looked = np.unique(np.linspace(1, int(epochs), min(int(epochs), BOUNDARIES)).astype(int))
    steps = [stair for k in looked if (stair := _stair(curve, k * length, width)) is not None]
    real = [stair for stair in steps if stair.fall >= max(least, stair.within + stair.within / 2) and stair.sigmas >= sigmas]
    within = float(np.median([stair.within for stair in steps])) if steps else 0.0
    if within < -least or len(real) < boundaries or 2 * len(real) < len(steps):
        return None  # a loss that climbs within the epochs is sorted data, a sawtooth
    score = float(np.median([stair.sigmas for stair in real]))
    numbers: dict[str, Scalar] = {
        "stairs": len(real), "epochs": int(epochs), "fall": float(np.median([stair.fall for stair in real])), "fall_within": within,
        "sigmas_found": score, "rows": len(curve),
    }  # fmt: skip
    spans = tuple((stair.step, stair.step) for stair in real[:20])
    return Evidence(numbers, ("train/loss",), real[0].step, spans, margin=score / sigmas, points=len(curve))


@dataclass(frozen=True, slots=True)
class Stair:
    """The relative fall across an epoch boundary, the same in standard errors, and the fall over as many rows before it."""

    step: int
    fall: float
    sigmas: float
    within: float


def _stair(curve: Curve, boundary: float, width: int) -> Stair | None:
    at = int(np.searchsorted(curve.steps, boundary, side="right"))
    if at < 2 * width or at + 1 + width > len(curve):
        return None
    earlier, left, right = curve.median(at - 2 * width, at - width), curve.median(at - width, at), curve.median(at + 1, at + 1 + width)
    base = abs(left.value) or 1.0
    error = float(np.hypot(left.error, right.error)) or np.finfo(np.float64).tiny
    fall = left.value - right.value
    return Stair(int(curve.steps[at]), fall / base, fall / error, (earlier.value - left.value) / base)
