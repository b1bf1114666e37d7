"""Lasting changes of the level of the training loss that no schedule explains, and the stairs that epochs make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch, warmup_end
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

ROWS = 36  # of a curve whose level can be told on both sides of a shift
WIDTH = 12  # rows on either side of an epoch boundary
LAG = 3  # rows within which a change is sudden
BOUNDARIES = 64  # epoch boundaries looked at in a run of very many epochs


@dataclass(frozen=True, slots=True)
class Shift:
    """A break between two straight pieces of the level: its row, the levels on both sides, how much of the run it lasts."""

    row: int
    before: float
    after: float
    sigmas: float
    lasts: float

    @property
    def change(self) -> float:
        return (self.after - self.before) / (abs(self.before) or 1.0)


def level_shift(run: Run, *, sigmas: float, least: float, lasting: float, rate_change: float) -> Evidence | Skip | None:
    """The straight pieces of the level break by `least` (relative) and `sigmas` noise scales of one row, and half of that lasts for
    `lasting` of the run or to its end.

    Not counted: the warmup, a restart, a change of the learning rate by `rate_change`, falls at an epoch boundary (see `epoch_stairs`), and
    what ends above twice the start or at nothing: that is divergence, or a NaN that was filtered.
    """
    curve = loss_curve(run)
    if len(curve) < ROWS:
        return Skip(f"fewer than {ROWS} values of the training loss", "log more often")
    if spoiled(run) or run.signals["train/loss"].segments[-1] > 0:
        return None
    start, length = warmup_end(run) + curve.span / 20, steps_per_epoch(run)
    found = [
        shift
        for shift in _shifts(curve, sigmas, least, lasting)
        if curve.steps[shift.row] > start
        and not _rate_moves(run, curve, shift.row, rate_change)
        and (shift.change > 0 or not _at_boundary(curve, shift.row, length))
        and curve.quantum < shift.after < 2 * curve.start.value
    ]
    if not found:
        return None
    top = max(found, key=lambda s: (s.change > 0, abs(s.sigmas)))
    step, last = int(curve.steps[top.row]), int(curve.steps[min(len(curve) - 1, top.row + round(top.lasts * len(curve)))])
    to_end = last == curve.steps[-1]
    numbers: dict[str, Scalar] = {
        "change": top.change,
        "size": abs(top.change),
        "sigmas_found": abs(top.sigmas),
        "level_before": top.before,
        "level_after": top.after,
        "shift_step": step,
        "upward": int(top.change > 0),
        "direction": "up" if top.change > 0 else "down",
        "lasts_share": top.lasts,
        "to_end": int(to_end),
        "shifts": len(found),
        "grave": int(top.change >= 2 * least and (to_end or top.lasts >= 2 * lasting)),
        "at_boundary": int(_at_boundary(curve, top.row, length)),
        "rows": len(curve),
    }
    return Evidence(numbers, ("train/loss",), step, ((step, last),), margin=min(10.0, abs(top.sigmas) / sigmas), points=len(curve))


def _shifts(curve: Curve, sigmas: float, least: float, lasting: float) -> list[Shift]:
    """Every break between two pieces that is sudden, high enough, and lasts."""
    level, found = curve.level, []
    near, long = max(LAG, len(level) // 20), max(LAG, round(lasting * len(level)))
    for piece in curve.pieces[1:]:
        at = piece.first
        before, after = float(np.median(level[max(0, at - near) : at])), float(np.median(level[at : at + long]))
        gap = after - before
        if abs(gap) < max(sigmas * curve.noise, least * abs(before)):
            continue
        row = _sudden(curve, at - LAG, at + LAG, gap)
        beyond = np.sign(gap) * (level[at + LAG :] - before - gap / 2) > 0
        lasts = (int(np.argmin(beyond)) if not beyond.all() else len(beyond)) / len(level)
        if row is not None and (lasts >= lasting or beyond.all()):
            found.append(Shift(row, before, after, gap / max(curve.noise, np.finfo(np.float64).tiny), lasts))
    return found


def _sudden(curve: Curve, left: int, right: int, gap: float) -> int | None:
    """The row before which half of the gap lies between the medians of three rows on either side; None for a ramp."""
    first, last = (int(np.searchsorted(curve.steps, curve.at[min(max(k, 0), len(curve.at) - 1)])) for k in (left, right))
    rows = np.arange(max(LAG, first), min(len(curve) - LAG, last) + 1)
    if not len(rows):
        return None
    windows = np.median(np.lib.stride_tricks.sliding_window_view(curve.values, LAG), axis=1)
    jumps = np.sign(gap) * (windows[rows] - windows[rows - LAG])
    best = int(np.argmax(jumps))
    return int(rows[best]) if jumps[best] >= abs(gap) / 2 else None


def _at_boundary(curve: Curve, row: int, length: float | None) -> bool:
    """Whether the row lies within three rows, or a fiftieth of an epoch, of the start of an epoch."""
    if length is None or length <= 0:
        return False
    spacing, step = float(np.median(np.diff(curve.steps))), float(curve.steps[row])
    distance = abs(step - round(step / length) * length)
    return round(step / length) >= 1 and distance <= max(LAG * spacing, length / 50) and length > 2 * LAG * spacing


def _rate_moves(run: Run, curve: Curve, row: int, change: float) -> bool:
    """Whether the learning rate jumps by the factor `change` between two rows around the shift; its last twentieth is only decay."""
    rate = named_curve(run, "train/learning_rate")
    if len(rate) < 4 or rate.values.max() <= 0:
        return False
    near = rate.between(int(curve.steps[max(0, row - LAG - 1)]), int(curve.steps[min(len(curve) - 1, row + LAG)])).values
    floor = float(rate.values.max()) / 20
    ratios = np.maximum(near[1:], floor) / np.maximum(near[:-1], floor)
    return bool((np.maximum(ratios, 1 / ratios) >= change).any())


def epoch_stairs(run: Run, *, sigmas: float, least: float, boundaries: int) -> Evidence | Skip | None:
    """The loss steps down at `boundaries` epoch boundaries or more, each by `least` and `sigmas` standard errors, and falls less within
    the epochs than at their ends: the model recognises rows it has seen. Normal memorisation, told because people ask."""
    curve, length = loss_curve(run), steps_per_epoch(run)
    if length is None or len(curve) < 20 or spoiled(run):
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
        "stairs": len(real),
        "epochs": int(epochs),
        "fall": float(np.median([stair.fall for stair in real])),
        "fall_within": within,
        "sigmas_found": score,
        "rows": len(curve),
    }
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
