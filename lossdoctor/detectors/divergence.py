"""What was won is lost for good: the training loss ends, or dwells, far above its best level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, log

import numpy as np

from lossdoctor.measures.level import Floats
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, curve_of

TENTH = 10  # rows of this share of the run are its end


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

    Four shapes count. It ends `rise` above its best by `sigmas` standard errors, having given back `share_of_fall` of what was won
    (in logarithms, so that a tiny wiggle near zero is none). Its last rows climb above `blow_up` times the level before them. Its last
    finite rows before a NaN do. It dwells above `blow_up` times its best so far for `long_share` of the run. A jump that comes back, or
    that leads to a new level below the start, is a spike or a shift: other rules name it.
    """
    limits = Limits(rise, sigmas, share_of_fall, blow_up, long_share)
    for signal in [s for s in (run.signal("train/loss"), *run.eval_losses()) if s is not None]:
        curve = curve_of(signal)
        if len(curve) < 2 or curve.scale <= 0:
            continue
        found = next(_shapes(curve, limits, ends_in_nan=bool(~np.isfinite(signal.values[-1]))), None)
        if found is not None:
            return _evidence(curve, signal.name, found)
        if len(curve) >= TENTH:
            return None
    return None


def _shapes(curve: Curve, limits: Limits, *, ends_in_nan: bool) -> Iterator[Loss]:
    level = curve.level
    tail = max(1, len(level) // TENTH)
    if ends_in_nan:
        yield from _climbs(curve, limits, "climb to NaN", least=1)
    low = int(np.argmin(level))
    start = float(np.median(curve.values[: max(1, min(5, len(curve) // TENTH))]))
    if start < level[low]:  # smoothing hides a good start of a row or two
        yield from _lost(curve, 0, start, float(np.median(level[-tail:])), limits)
    if low < len(level) - tail:
        yield from _lost(curve, low, float(level[low]), float(np.median(level[-tail:])), limits)
    yield from _climbs(curve, limits, "climbing")
    yield from _dwells(curve, limits)


def _lost(curve: Curve, low: int, best: float, end: float, limits: Limits) -> Iterator[Loss]:
    """It ends above its best, for good."""
    level = curve.level
    won = max(float(np.max(level[: low + 1])), best)
    if not _beyond(curve, best, end, limits) or _given_back(won, best, end) < limits.share_of_fall:
        return
    above = np.flatnonzero(level[low:] <= best + (end - best) / 2)
    stays = len(level) - low - 1 - (int(above[-1]) if len(above) else 0)
    lasting = stays >= max(2, len(level) // TENTH) or end >= limits.blow_up * abs(best)
    if lasting and not _wanders(level, best, end) and not _stepped(curve, won, best, end, limits.blow_up):
        yield Loss(low, best, end, "drift", (end - best) / (limits.rise * abs(best)) if best else limits.blow_up)


def _beyond(curve: Curve, best: float, end: float, limits: Limits) -> bool:
    """Whether the end lies above the best by more than the rise, the noise of a median, and the rounding; a tenfold needs no noise."""
    if end >= TENTH * abs(best) + 2 * curve.quantum:
        return True
    return end - best > max(limits.sigmas * curve.level_noise, limits.rise * abs(best), 2 * curve.quantum)


def _given_back(won: float, best: float, end: float) -> float:
    """Share of the fall from `won` to `best` that is lost at `end`; in logarithms where all three are positive."""
    if best > 0:
        won, best, end = log(won), log(best), log(end)
    return (end - best) / (won - best) if won > best else inf


def _stepped(curve: Curve, won: float, best: float, end: float, blow_up: float) -> bool:
    """Whether it jumped within three rows and has fallen since, not far above the start: a spike that comes back, or a shift."""
    values = curve.values
    top = int(np.argmax(values))
    if top < 5 or top > len(values) - 5 or end >= blow_up * won:
        return False
    before = float(np.median(values[max(0, top - 12) : top - 2]))
    height, after = float(values[top]) - before, curve.after(int(curve.steps[top]))
    sudden = float(np.median(values[max(0, top - 5) : top - 1])) < before + height / 4
    came_back = end < before + height / 2 or after.trend()[1] < -2
    return sudden and height > 0 and came_back and before < best + (end - best) / 2


def _wanders(level: Floats, best: float, end: float) -> bool:
    """Whether the level swings between a low and a high line and back more than twice: that is oscillation."""
    quarter = (end - best) / 4
    side = np.where(level > end - quarter, 1, np.where(level < best + quarter, -1, 0))
    side = side[side != 0]
    return int((np.diff(side) > 0).sum()) > 2


def _climbs(curve: Curve, limits: Limits, shape: str, least: int = 2) -> Iterator[Loss]:
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
    if _stepped(curve, float(np.max(level[: low + 1])), float(level[low]), peak, limits.blow_up):
        return
    if not _wanders(level, float(level[low]), peak) and _given_back(float(np.max(level[: low + 1])), float(level[low]), peak) >= 1 / 2:
        yield Loss(low, float(level[low]), peak, "dwell", float(high.mean()) / limits.long_share)


def _onset(curve: Curve, found: Loss) -> int:
    """The step at which the loss leaves its low level for good: after the last row within the noise of it before the climb is half done."""
    rows = curve.steps >= (curve.at[found.low] if found.low else curve.steps[0])
    values, steps = curve.values[rows], curve.steps[rows]
    half = int(np.argmax(values > found.best + (found.end - found.best) / 2))
    quiet = found.best + max(3 * curve.noise, (found.end - found.best) / TENTH, 2 * curve.quantum)
    low = np.flatnonzero(values[:half] <= quiet)
    return int(steps[int(low[-1]) + 1]) if len(low) else int(steps[half] if half else steps[0])


def _evidence(curve: Curve, name: str, found: Loss) -> Evidence:
    onset, last = _onset(curve, found), int(curve.steps[-1])
    ratio = found.end / found.best if found.best > 0 else inf
    numbers: dict[str, Scalar] = {
        "best": found.best,
        "end": found.end,
        "peak": float(np.max(curve.values[curve.steps >= onset])),
        "ratio": ratio,
        "rise_found": ratio - 1,
        "best_step": int(curve.at[found.low]),
        "shape": found.shape,
        "rows": len(curve),
        "final": float(curve.values[-1]),
        "what": "eval" if name.startswith("eval") else "training",
    }
    return Evidence(numbers, (name,), onset, ((onset, last),), margin=max(1.0, found.margin), points=len(curve))
