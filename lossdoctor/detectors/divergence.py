"""What was won is lost for good: the training loss ends, or dwells, far above its best level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot, inf, log

import numpy as np

from lossdoctor.detectors.curve import rate_moves, steps_per_epoch
from lossdoctor.measures.level import Floats, binned_medians
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import EIGHTHS, Curve, Level, curve_of
from lossdoctor.shapes.jumps import jumps
from lossdoctor.vitals.change import SURE, change_of
from lossdoctor.vitals.values import LARGEST_SUM

TENTH = 10  # rows of this share of the run are its end
FEWEST = 4  # rows whose order says anything
EIGHT, MANY = 8, 12  # rows whose order is evidence, and rows from which on their noise is known
COARSE = 25  # medians that show whether a level goes up once or wanders


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rule."""

    rise: float
    sigmas: float
    share_of_fall: float
    blow_up: float
    long_share: float


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of level: index and value of the best, value of what came after, its name, how far beyond the limit."""

    low: int
    best: float
    end: float
    shape: str
    margin: float


def divergence(run: Run, *, rise: float, sigmas: float, share_of_fall: float, blow_up: float, long_share: float) -> Evidence | None:
    """Compare where the loss ends, and where it dwells, with its best level before.

    Eight shapes count. It ends `rise` above its best by `sigmas` standard errors, having given back `share_of_fall` of what was won
    (in logarithms, so that a tiny wiggle near zero is none). Its last rows climb above `blow_up` times the level before them. Its last
    finite rows before a NaN do. It dwells above `blow_up` times its best so far for `long_share` of the run. Too few rows to tell their
    noise fall one by one, then rise one by one; or rise all along as the evals do; or never come near the first again. It stands where no
    cross-entropy can. A jump that comes back, or that leads to a new level below the start, is a spike or a shift: other rules name it.
    """
    limits = Limits(rise, sigmas, share_of_fall, blow_up, long_share)
    for signal in [s for s in (run.signal("train/loss"), *run.eval_losses()) if s is not None]:
        curve = curve_of(signal)
        if len(curve) and signal.name == "train/loss" and _absurd(run, curve):
            return _evidence(curve, signal.name, Loss(0, LARGEST_SUM, curve.end.value, "absurd", curve.end.value / LARGEST_SUM))
        if len(curve) < 2 or curve.scale <= 0:
            continue
        found = next(_shapes(run, curve, limits, ends_in_nan=bool(~np.isfinite(signal.values[-1]))), None)
        if found is not None and (signal.name == "train/loss" or found.end >= TENTH * abs(found.best)):
            return _evidence(curve, signal.name, found)  # an eval loss that rises by less is overfitting
        if len(curve) >= TENTH:
            return None
    return None


def _absurd(run: Run, curve: Curve) -> bool:
    """Whether it ends where no cross-entropy can: transformers' Trainer minimises one unless it is told otherwise."""
    of_classes = run.task in (tasks.LANGUAGE_MODEL, tasks.CLASSIFICATION, tasks.SPEECH, tasks.UNKNOWN)
    return run.framework == "transformers" and of_classes and curve.end.value > LARGEST_SUM


def _shapes(run: Run, curve: Curve, limits: Limits, *, ends_in_nan: bool) -> Iterator[Loss]:
    if ends_in_nan:
        yield from _climbs(curve, limits, "climb to NaN", least=1)
    yield from _lost(run, curve, limits)
    yield from _turned(curve, limits)
    yield from _rises_all_along(run, curve, limits)
    yield from _thrown(curve)
    yield from _climbs(curve, limits, "climbing", least=1 if run.step_is == "epoch" else 2)  # no batch is a whole epoch
    yield from _dwells(curve, limits)


def _lost(run: Run, curve: Curve, limits: Limits) -> Iterator[Loss]:
    """It ends above its best, for good."""
    level, end, n = curve.level, curve.end, len(curve)
    climbs = n >= EIGHT * FEWEST and curve.between(end.step - (curve.steps[-1] - end.step), np.inf).trend()[1] >= SURE
    last = curve.median(n - 3, n) if climbs else end  # what climbs to the end is not at its level yet
    if n < FEWEST and end.value < TENTH * abs(float(curve.values[0])):
        return
    first = curve.median(0, max(1, min(5, len(curve) // TENTH)))  # wider windows hide a good start of a row or two
    for best in (first, curve.best):
        low = int(np.searchsorted(curve.at, best.step))
        won = max(float(np.max(level[: low + 1])), best.value)
        back = _given_back(won, best.value, last.value) if end.value > best.value else 0.0
        if best.step >= end.step or back < limits.share_of_fall or not _beyond(curve, best, last, limits, all_lost=back >= 1):
            continue
        above = np.flatnonzero(level[low:] <= (best.value + end.value) / 2)
        stays = len(level) - low - 1 - (int(above[-1]) if len(above) else 0)
        lasting = stays >= max(2, len(level) // TENTH) or end.value >= limits.blow_up * abs(best.value)
        excused = _wanders(level, best.value, end.value) or _stepped(run, curve, won, best, end) or _within_an_epoch(run, curve, best, end)
        if lasting and not excused:
            margin = (last.value - best.value) / (limits.rise * abs(best.value)) if best.value else limits.blow_up
            yield Loss(low, best.value, last.value, "drift", margin)


def _turned(curve: Curve, limits: Limits) -> Iterator[Loss]:
    """Few rows that fall one by one and then rise one by one, and lose most of what was won. Their noise is unknown, but their order tells:
    of the n! orders of n rows, 2^(n-1) fall and then rise; at eight rows one in 315."""
    values, n = curve.values, len(curve)
    low = int(np.argmin(values))
    ordered = bool((np.diff(values[: low + 1]) < 0).all() and (np.diff(values[low:]) > 0).all())
    if not EIGHT <= n < MANY or not 2 <= low < n - 2 or not ordered:
        return
    best, end = float(values[low]), float(values[-1])
    if end >= limits.blow_up * best > 0 and _given_back(float(values[0]), best, end) >= 1 / 2:
        yield Loss(low, best, end, "turn", end / (limits.blow_up * best))


def _rises_all_along(run: Run, curve: Curve, limits: Limits) -> Iterator[Loss]:
    """Every row of a few is worse than the one before, or by the whole rise than the first, of training and of the evals alike: one in 24
    by chance, or fewer, for each of them."""
    both = [run.signal("train/loss"), *run.eval_losses()]
    curves = [curve_of(signal) for signal in both if signal is not None]
    rising = len(curves) > 1 and all(
        len(one) >= FEWEST and bool((np.diff(one.values) > 0).all() or (one.values[1:] >= (1 + limits.rise) * np.abs(one.values[0])).all())
        for one in curves
    )
    first, last = float(curve.values[0]), float(curve.values[-1])
    if rising and not run.window and last - first > limits.rise / FEWEST * abs(first):
        yield Loss(0, first, last, "rise", last / first)


def _thrown(curve: Curve) -> Iterator[Loss]:
    """All rows after the first stand at five times its level or more, or at twice and most of them at one value, where a loss saturates
    (Caffe's 87.3365 is -ln of the smallest float): an effect of that size needs no noise, and few rows."""
    first, last = float(curve.values[0]), float(curve.values[-1])
    least = 2 if float(np.median(np.abs(curve.values[1:] - last))) == 0 else TENTH / 2
    if len(curve) >= FEWEST and first > TENTH * curve.quantum and float(curve.values[1:].min()) >= least * first:
        yield Loss(0, first, last, "thrown", last / first)


def _beyond(curve: Curve, best: Level, end: Level, limits: Limits, *, all_lost: bool) -> bool:
    """Whether the end lies above the best by more than the rise (half of it where it lies above the start), the rounding, and the noise of
    both; or the rows since then show a trend, or none of many comes near the best again. A tenfold needs no noise."""
    rise, least = end.value - best.value, limits.rise / 2 if all_lost else limits.rise
    if end.value >= TENTH * abs(best.value) + 2 * curve.quantum:
        return True
    if rise <= max(least * abs(best.value), 2 * curve.quantum):
        return False
    later = curve.after(best.step)
    away = len(later) >= MANY and float(later.level[FEWEST:].min()) > (1 + limits.rise) * best.value
    if rise > (SURE if away else limits.sigmas) * hypot(best.error, end.error) or curve.after(best.step - 1).trend()[1] >= SURE:
        return True
    change = change_of(curve, "train/loss") if all_lost and len(curve) >= EIGHT else None
    return change is not None and change.lost


def _given_back(won: float, best: float, end: float) -> float:
    """Share of the fall from `won` to `best` that is lost at `end`: in logarithms, where a loss near zero has won more than the last
    units show, but never above twice the plain share, so that a tiny wiggle there is none."""
    if won <= best:
        return inf
    plain = (end - best) / (won - best)
    return min(2 * plain, log(end / best) / log(won / best)) if best > 0 else plain


def _stepped(run: Run, curve: Curve, won: float, best: Level, end: Level) -> bool:
    """Whether one jump makes most of the rise, less than half of what was won is lost, and the loss has not risen since: a shift of the
    data, or a spike. Where the learning rate jumps too, it is neither."""
    rise = end.value - best.value
    made = [jump for jump in jumps(curve) if jump.step > best.step and jump.gap >= rise / 2 and jump.before.value < best.value + rise / 2]
    if not made or _given_back(won, best.value, end.value) >= 1 / 2 or curve.after(made[-1].step).trend()[1] >= 2:
        return False
    return not any(rate_moves(run, curve, jump.row, 2, up=True) for jump in made)


def _within_an_epoch(run: Run, curve: Curve, best: Level, end: Level) -> bool:
    """Whether the best lies in the last pass over the data, and the end is below the level of one pass before: stairs rise within an epoch,
    since what was seen last is remembered best."""
    length = steps_per_epoch(run)
    if length is None or end.step - best.step >= length:
        return False
    half = length / 2 / EIGHTHS
    earlier = curve.between(end.step - length - half, end.step - length + half)
    return len(earlier) > 0 and end.value < float(np.median(earlier.values))


def _wanders(level: Floats, best: float, end: float) -> bool:
    """Whether the level swings between a low and a high line and back more than twice: that is oscillation."""
    level = binned_medians(level, COARSE)
    quarter = (end - best) / 4
    side = np.where(level > end - quarter, 1, np.where(level < best + quarter, -1, 0))
    side = side[side != 0]
    return int((np.diff(side) > 0).sum()) > 2


def _climbs(curve: Curve, limits: Limits, shape: str, least: int) -> Iterator[Loss]:
    """The last rows, `least` of them, stand far above the level of everything in the stretch before, and have not turned."""
    values, n = curve.values, len(curve)
    window = max(8, n // 3)
    reference = float(np.median(values[max(0, n - window) : max(1, n - 2)]))
    high = values > reference + max(limits.sigmas * curve.noise, (limits.blow_up - 1) / 2 * abs(reference))
    trailing = n - 1 - int(np.flatnonzero(~high)[-1]) if not high.all() else n
    last = float(np.median(values[-least:]))
    if n < 5 or not least <= trailing <= n // 2 or last < limits.blow_up * abs(reference):
        return
    if float(values[-1]) < (1 - limits.rise) * float(np.max(values[-trailing:])):
        return  # it has turned: a spike on its way back
    at = max(0, int(np.searchsorted(curve.at, curve.steps[n - trailing])) - 1)
    yield Loss(at, reference, last, shape, last / (limits.blow_up * abs(reference)) if reference else limits.blow_up)


def _dwells(curve: Curve, limits: Limits) -> Iterator[Loss]:
    """It rises, stays high for long, and comes back only later."""
    level = curve.level
    best = np.minimum.accumulate(level)
    high = (level > limits.blow_up * np.abs(best)) & (level - best > limits.sigmas * curve.level_noise)
    if len(level) < TENTH or high.mean() < limits.long_share:
        return
    first = int(np.flatnonzero(high)[0])
    low, peak = int(np.argmin(level[: first + 1])), float(np.median(level[high]))
    if any(jump.step > curve.at[low] and jump.gap >= (peak - level[low]) / 2 for jump in jumps(curve)):
        return  # a shift, or a spike
    if not _wanders(level, float(level[low]), peak) and _given_back(float(np.max(level[: low + 1])), float(level[low]), peak) >= 1 / 2:
        yield Loss(low, float(level[low]), peak, "dwell", float(high.mean()) / limits.long_share)


def _onset(curve: Curve, found: Loss) -> int:
    """The step at which the loss leaves its low level for good: after the last row within the noise of it before the climb is half done."""
    rows = curve.steps >= (curve.at[found.low] if found.low else curve.steps[0])
    values, steps = curve.values[rows], curve.steps[rows]
    half = int(np.argmax(values > found.best + (found.end - found.best) / 2))
    quiet = found.best + max(3 * curve.noise, (found.end - found.best) / (2 * TENTH), 2 * curve.quantum)
    low = np.flatnonzero(values[:half] <= quiet)
    return int(steps[int(low[-1]) + 1]) if len(low) else int(steps[half] if half else steps[0])


def _evidence(curve: Curve, name: str, found: Loss) -> Evidence:
    onset, last = _onset(curve, found), int(curve.steps[-1])
    ratio = found.end / found.best if found.best > 0 else inf
    numbers: dict[str, Scalar] = {
        "best": found.best, "end": found.end, "peak": float(np.max(curve.values[curve.steps >= onset])), "ratio": ratio,
        "rise_found": ratio - 1, "best_step": int(curve.at[found.low]), "shape": found.shape, "final": float(curve.values[-1]),
        "never_fell": int(found.low == 0 and float(curve.level.min()) >= found.best), "rows": len(curve), "signal": name,
    }  # fmt: skip
    return Evidence.between(numbers, (name,), onset, last, margin=max(1.0, found.margin), points=len(curve))
