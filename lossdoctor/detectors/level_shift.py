"""Lasting changes of the level of the training loss that no schedule explains, and the stairs that epochs make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch, warmup_end
from lossdoctor.measures.level import MAD_TO_SIGMA, Floats, bin_edges, binned_medians, sigma
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

WINDOW = 12  # rows on either side: their median is known to a third of the noise of one row
LAG = 3  # rows within which the change must happen
MOST_ROWS = 20_000  # beyond, medians of bins stand for the rows
BINS = 5_000
BOUNDARIES = 64  # epoch boundaries looked at in a run of very many epochs


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of level between row - 1 and row: relative height, height in noise scales of one row, levels, and how much of the
    run it lasts.
    """

    row: int
    change: float
    sigmas: float
    before: float
    after: float
    lasts: float
    to_end: bool


def level_shift(run: Run, *, sigmas: float, least: float, lasting: float, rate_change: float) -> Evidence | Skip | None:
    """The level changes by `least` (relative) and `sigmas` noise scales of one row within three rows, and at least half of that
    lasts for `lasting` of the run or to its end.

    Levels are medians of twelve rows on either side, the noise the larger one of both windows, and four of five rows after the
    change lie beyond four of five before it. The fall that the trend itself makes over such a distance is taken off. Not counted:
    the warmup, a restart, a change of the learning rate by `rate_change`, and falls at an epoch boundary (see `epoch_stairs`).
    """
    curve = _thinned(loss_curve(run))
    if len(curve) < 3 * WINDOW:
        return Skip(f"fewer than {3 * WINDOW} values of the training loss", "log more often")
    if spoiled(run) or run.signals["train/loss"].segments[-1] > 0:
        return None
    # A break while the rate comes to its peak is how divergence begins.
    start = int(np.searchsorted(curve.steps, warmup_end(run) + 0.05 * curve.span, side="right"))
    found = [
        s
        for s in _shifts(curve, sigmas, least, lasting)
        if s.row >= max(start, WINDOW // 2) and not _rate_moves(run, curve, s.row, rate_change)
    ]
    length, begin = steps_per_epoch(run), curve.head(5)
    found = [s for s in found if s.change > 0 or not _at_boundary(curve, s.row, length)]
    # Twice the start is a broken model, and all but zero a NaN that was filtered: other rules' matter.
    found = [s for s in found if 1e-3 * abs(s.before) < abs(s.after) and not (s.change > 0 and s.after > 2 * begin > 0)]
    if not found:
        return None
    top = max(found, key=lambda s: (s.change > 0, abs(s.sigmas)))
    step = int(curve.steps[top.row])
    last = int(curve.steps[min(len(curve) - 1, top.row + round(top.lasts * len(curve)))])
    upward = top.change > 0
    grave = upward and top.change >= 0.15 and (top.to_end or top.lasts >= 0.25)
    numbers: dict[str, Scalar] = {
        "change": top.change,
        "size": abs(top.change),
        "sigmas_found": abs(top.sigmas),
        "level_before": top.before,
        "level_after": top.after,
        "shift_step": step,
        "upward": int(upward),
        "direction": "up" if upward else "down",
        "lasts_share": top.lasts,
        "to_end": int(top.to_end),
        "shifts": len(found),
        "grave": int(grave),
        "at_boundary": int(_at_boundary(curve, top.row, length)),
        "rows": len(curve),
    }
    return Evidence(numbers, ("train/loss",), step, ((step, last),), margin=min(10.0, abs(top.sigmas) / sigmas), points=len(curve))


def epoch_stairs(run: Run, *, sigmas: float, least: float, boundaries: int) -> Evidence | Skip | None:
    """The loss steps down at `boundaries` epoch boundaries or more, each by `least` and `sigmas` noise scales of the medians, and falls
    less within the epochs than at their ends: the model recognises rows it has seen. Normal memorisation, told because people ask."""
    curve, length = loss_curve(run), steps_per_epoch(run)
    if length is None or len(curve) < 20 or spoiled(run):
        return Skip("the epochs are unknown or fewer than 20 losses were logged", "log the epoch beside the step")
    epochs = int(run.last_step / length)
    rows = len(curve) / max(run.last_step / length, 1e-9)
    if epochs < 2 or rows < 8:
        return Skip("fewer than two epochs, or fewer than 8 rows in one", "")
    steps = [
        falls
        for k in np.unique(np.linspace(1, epochs, min(epochs, BOUNDARIES)).astype(int))
        if (falls := _fall_at(curve, k * length, min(WINDOW, int(rows // 2)))) is not None
    ]
    real = [(at, fall, score) for at, fall, score, inner in steps if fall >= max(least, 1.5 * inner) and score >= sigmas]
    within = [inner for _, _, _, inner in steps]
    if within and float(np.median(within)) < -least:
        return None  # it climbs within the epochs: sorted data, a sawtooth
    if len(real) < boundaries or len(real) < 0.5 * len(steps):
        return None
    numbers: dict[str, Scalar] = {
        "stairs": len(real),
        "epochs": epochs,
        "fall": float(np.median([fall for _, fall, _ in real])),
        "fall_within": float(np.median(within)),
        "sigmas_found": float(np.median([score for _, _, score in real])),
        "rows": len(curve),
    }
    spans = tuple((at, at) for at, _, _ in real[:20])
    return Evidence(
        numbers, ("train/loss",), real[0][0], spans, margin=float(np.median([score for _, _, score in real])) / sigmas, points=len(curve)
    )


def _thinned(curve: Curve) -> Curve:
    """The curve itself, or medians of bins of a very long one."""
    if len(curve) <= MOST_ROWS:
        return curve
    return Curve(curve.steps[bin_edges(len(curve), BINS)[:-1]], binned_medians(curve.values, BINS))


def _shifts(curve: Curve, sigmas: float, least: float, lasting: float) -> list[Shift]:
    """Every abrupt change of level that lasts, the strongest of each neighbourhood."""
    values, n = curve.values, len(curve)
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW)
    medians = np.median(windows, axis=1)
    moves = np.diff(windows, axis=1)  # differences, so that the fall after a jump is not taken for noise
    spread = MAD_TO_SIGMA / np.sqrt(2) * np.median(np.abs(moves - np.median(moves, axis=1)[:, None]), axis=1)
    rows = np.arange(WINDOW, n - WINDOW // 2)
    ends = np.minimum(rows, n - WINDOW)  # the last windows overlap the end
    before, after = medians[rows - WINDOW], medians[ends]
    floor = np.maximum(np.maximum(spread[rows - WINDOW], spread[ends]), max(curve.noise, 0.003 * curve.scale))
    earlier = medians[np.maximum(rows - 2 * WINDOW, 0)]
    trend = np.where(rows >= 2 * WINDOW, before - earlier, 0.0)  # what the trend alone makes of the distance of two windows
    change = after - before
    change = np.where(np.sign(trend) == np.sign(change), np.sign(change) * np.maximum(np.abs(change) - np.abs(trend), 0), change)
    # Without rows enough before it a fall cannot be told from the trend, nor where the trend makes most of it.
    unclear = (change < 0) & ((rows < 2 * WINDOW) | (np.abs(change) < 2 * np.abs(trend)))
    strong = np.flatnonzero((np.abs(change) >= sigmas * floor) & (np.abs(change) >= least * np.abs(before)) & ~unclear)
    found: list[Shift] = []
    for group in np.split(strong, np.flatnonzero(np.diff(strong) > WINDOW) + 1) if len(strong) else []:
        best = int(group[np.argmax(np.abs(change[group]))])
        shift = _settled(curve, int(rows[best]), float(before[best]), float(change[best]), float(floor[best]))
        if shift is not None and (shift.to_end or shift.lasts >= lasting) and abs(shift.change) >= least:
            found.append(shift)
    return found


def _settled(curve: Curve, row: int, before: float, change: float, floor: float) -> Shift | None:
    """Where exactly it happens, whether within three rows, and how long at least half of it lasts; None where it does not."""
    values, sign = curve.values, np.sign(change)
    half = before + 0.5 * change
    near = np.arange(max(1, row - WINDOW), min(len(values) - 3, row + WINDOW))
    jumps = [sign * (float(np.median(values[i : i + LAG + 2])) - float(np.median(values[max(0, i - LAG - 2) : i]))) for i in near]
    at = int(near[int(np.argmax(jumps))])
    beyond = sign * (values - half) > 0
    crossed = [i for i in range(max(1, at - LAG), min(len(values) - 1, at + LAG + 1)) if beyond[i] and beyond[i + 1] and not beyond[i - 1]]
    at = crossed[0] if crossed else at
    left, right = values[max(0, at - WINDOW) : at], values[at : at + WINDOW]
    settled = right[LAG:] if len(right) > 2 * LAG else right
    if max(jumps) < 0.6 * abs(change) or len(left) < 5 or len(settled) < 3:
        return None
    # Four of five rows after it lie beyond four of five before it.
    if sign * (float(np.quantile(settled, 0.5 - 0.3 * sign)) - float(np.quantile(left, 0.5 + 0.3 * sign))) <= 0:
        return None
    later = Curve(curve.steps[at:], values[at:])
    stays = sign * (_smooth(later.values) - half) > 0
    gone = int(np.argmin(stays)) if not stays.all() else len(stays)
    after = float(np.median(settled))
    relative = (after - float(np.median(left))) / max(abs(float(np.median(left))), 1e-12)
    return Shift(
        at, relative, (after - float(np.median(left))) / floor, float(np.median(left)), after, gone / len(values), bool(stays.all())
    )


def _smooth(values: Floats) -> Floats:
    """Median of the five rows from each row on: one odd row is no return."""
    if len(values) < 6:
        return values
    middle = np.median(np.lib.stride_tricks.sliding_window_view(values, 5), axis=1)
    return np.concatenate((middle, np.full(len(values) - len(middle), middle[-1])))


def _at_boundary(curve: Curve, row: int, length: float | None) -> bool:
    """Whether the row lies within three rows, or 2 % of an epoch, of the start of an epoch."""
    if length is None or length <= 0:
        return False
    spacing = float(np.median(np.diff(curve.steps)))
    step = float(curve.steps[row])
    distance = abs(step - round(step / length) * length)
    return round(step / length) >= 1 and distance <= max(3 * spacing, 0.02 * length) and length > 6 * spacing


def _rate_moves(run: Run, curve: Curve, row: int, change: float) -> bool:
    """Whether the learning rate jumps by the factor `change` from one row to the next around the shift; its last twentieth is
    only decay.
    """
    rate = named_curve(run, "train/learning_rate")
    if len(rate) < 4 or rate.values.max() <= 0:
        return False
    low, high = curve.steps[max(0, row - LAG - 1)], curve.steps[min(len(curve) - 1, row + LAG)]
    near = rate.values[(rate.steps >= low) & (rate.steps <= high)]
    floor = 0.05 * float(rate.values.max())
    ratios = np.maximum(near[1:], floor) / np.maximum(near[:-1], floor)
    return bool((np.maximum(ratios, 1 / ratios) >= change).any()) if len(ratios) else False


def _fall_at(curve: Curve, boundary: float, width: int) -> tuple[int, float, float, float] | None:
    """(step, relative fall across the boundary, the same in noise scales of the medians, relative fall over as many rows before it)."""
    at = int(np.searchsorted(curve.steps, boundary, side="right"))
    left, right, earlier = (
        curve.values[max(0, at - width) : at],
        curve.values[at + 1 : at + 1 + width],
        curve.values[max(0, at - 2 * width) : max(0, at - width)],
    )
    if min(len(left), len(right), len(earlier)) < 3:
        return None
    level, next_level = float(np.median(left)), float(np.median(right))
    scale = max(sigma(left - level), sigma(right - next_level), curve.noise, 1e-12) * 1.25 * float(np.sqrt(1 / len(left) + 1 / len(right)))
    base = max(abs(level), 1e-12)
    return (
        int(curve.steps[min(at, len(curve) - 1)]),
        (level - next_level) / base,
        (level - next_level) / scale,
        (float(np.median(earlier)) - level) / base,
    )
