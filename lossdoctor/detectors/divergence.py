"""The training loss leaves its best level and does not come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossdoctor.detectors.levels import chance_level
from lossdoctor.measures.level import Floats, noise, rolling_median
from lossdoctor.measures.trend import mann_kendall
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve

ABSURD = 30.0  # times the level that the run settles at
NEAR_CHANCE = 0.06  # an epoch mean of a run that guesses wobbles around ln(classes)


def divergence(run: Run, *, rise: float, sigmas: float, share_of_fall: float, blow_up: float, long_share: float) -> Evidence | None:
    """Compare where the loss ends (and where it dwells) with its best level so far.

    Four shapes count: it ends `rise` above its running minimum, by `sigmas` noise of a median, having given back `share_of_fall` of
    what was won; it ends `blow_up` times above its own start; it dwells above `blow_up` times its best for `long_share` of the run; or
    its last rows climb without an end. Everything is relative to the curve itself, with the rounding step as the floor.
    """
    curve = loss_curve(run)
    if len(curve) == 0:
        return _eval_blow_up(run, blow_up)
    if len(curve) < 5 or curve.scale <= 0:
        return None
    if (thrown := _thrown_to_chance(run, curve)) is not None:
        return thrown
    if (last := _last_words(run, curve, blow_up, sigmas)) is not None:
        return last
    if (shape := _open_climb(curve, blow_up, sigmas)) is not None:
        return shape
    if _jumped(curve, sigmas):
        return None
    return (
        _above_start(curve, blow_up, sigmas)
        or _above_minimum(curve, rise, sigmas, share_of_fall)
        or _dwells_high(curve, blow_up, sigmas, long_share)
    )


def _thrown_to_chance(run: Run, curve: Curve) -> Evidence | None:
    """The first epoch's mean is absurd and the model guesses ever after: it blew up before the first row."""
    first, rest = float(curve.values[0]), float(np.median(curve.values[1:]))
    if run.step_is != "epoch" or rest <= 0 or first < ABSURD * rest or chance_level(run, rest, NEAR_CHANCE) is None:
        return None
    return _evidence(curve, None, rest, first, "absurd start", first / (ABSURD * rest), onset=int(curve.steps[0]))


def _eval_blow_up(run: Run, blow_up: float) -> Evidence | None:
    """Train has no finite row at all; the eval loss grew before it went non-finite too."""
    for signal in run.eval_losses():
        curve = curve_of(signal)
        if len(curve) >= 2 and len(curve) < len(signal) and curve.values[-1] >= blow_up * abs(curve.values[0]) > 0:
            found = _evidence(
                curve, None, float(curve.values[0]), float(curve.values[-1]), "eval climbs to NaN", 3.0, onset=int(curve.steps[0])
            )
            return replace(found, signals=(signal.name,))
    return None


def _unit(curve: Curve, floor_level: float) -> float:
    """What a difference of levels must be large against: noise of medians, the rounding step, a sliver of the level."""
    return max(curve.level_noise, 2 * curve.quantum, 2e-3 * abs(floor_level))


def _above_minimum(curve: Curve, rise: float, sigmas: float, share_of_fall: float) -> Evidence | None:
    level = curve.level
    low = int(np.argmin(level))
    bottom = float(level[low])
    end = float(np.median(level[-max(2, len(level) // 10) :]))
    after = len(level) - 1 - low
    gained = float(np.max(level[: low + 1])) - bottom
    climb = end - bottom
    if after < max(2, 0.1 * len(level)) or climb <= sigmas * _unit(curve, bottom) or climb < share_of_fall * gained:
        return None
    if climb < rise * max(abs(bottom), 0.02 * gained):
        return None
    later = level[low + 1 :]
    if float(np.mean(later > bottom + 0.5 * climb)) < 0.25 and after > 8 and mann_kendall(later) < 4:
        return None  # neither long up there nor on its way up
    if _wanders(level, bottom + 0.25 * climb, bottom + 0.75 * climb):
        return None
    return _evidence(curve, low, bottom, end, "drift", climb / max(rise * abs(bottom), 1e-12))


def _jumped(curve: Curve, sigmas: float) -> bool:
    """Whether the loss jumped within three rows to its highest, fell back by two fifths and is not rising since: a spike or a shift of the
    data, named by other rules."""
    top = int(np.argmax(curve.values))
    if top < 5 or top > len(curve) - 5:
        return False
    before = float(np.median(curve.values[max(0, top - 12) : top - 2]))
    long_before = curve.values[max(0, top - 60) : max(1, top - 12)]
    if len(long_before) >= 5 and before > float(np.median(long_before)) + 3 * curve.noise:
        return False  # it had been climbing
    height = float(curve.values[top]) - before
    after = curve.values[top + 1 :]
    end = float(np.median(after[-max(3, len(after) // 5) :]))
    if before > 1.2 * curve.head(min(5, max(1, len(curve) // 10))):
        return False  # it stood above its start already
    return height > 2 * sigmas * curve.noise and end < before + 0.6 * height and mann_kendall(after[len(after) // 4 :]) < 2


def _wanders(level: Floats, low: float, high: float) -> bool:
    """Whether the level swings between a low and a high line and back more than twice: that is oscillation. Two lines, so that noise around
    one does not count."""
    side = np.where(level > high, 1, np.where(level < low, -1, 0))
    side = side[side != 0]
    return int((np.diff(side) > 0).sum()) > 2


def _above_start(curve: Curve, blow_up: float, sigmas: float) -> Evidence | None:
    """A short good start followed by a blow-up is invisible to the minimum of a smoothed curve: compare with the first rows."""
    start = curve.head(min(5, max(1, len(curve) // 10)))
    end = curve.tail(0.2)
    if (
        start <= 0
        or end < blow_up * start
        or end - start <= sigmas * _unit(curve, start)
        or _wanders(curve.level, 0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end)
    ):
        return None
    return _evidence(curve, None, start, end, "above-start", end / (blow_up * start))


def _dwells_high(curve: Curve, blow_up: float, sigmas: float, long_share: float) -> Evidence | None:
    """It rises, stays high for long, and comes back only in part."""
    level = curve.level
    best = np.minimum.accumulate(level)
    high = (level > blow_up * np.abs(best)) & (level - best > sigmas * _unit(curve, float(best[-1])))
    end = float(np.median(level[-max(2, len(level) // 10) :]))
    low = float(best[-1])
    if high.mean() < long_share or len(level) < 12:
        return None
    if end < 1.2 * low or _wanders(level, 0.75 * low + 0.25 * float(np.max(level[high])), 0.25 * low + 0.75 * float(np.max(level[high]))):
        return None
    first = int(np.flatnonzero(high)[0])
    bottom = int(np.argmin(level[: first + 1]))
    peak = float(np.max(level[high]))
    return _evidence(curve, bottom, float(level[bottom]), peak, "dwell", float(high.mean()) / long_share)


def _open_climb(curve: Curve, blow_up: float, sigmas: float) -> Evidence | None:
    """The run ends while the loss climbs: the last rows (three at least) all stand far above everything in the stretch before."""
    values = curve.values
    n = len(values)
    if n < 12:
        return None
    window = values[-max(12, n // 3) :]
    low = len(window) - 1 - int(np.argmin(window[::-1]))
    tail = window[low:]
    before = values[: n - len(tail) + 1]
    reference = float(np.median(before[-max(10, len(before) // 5) :]))
    last = float(np.median(values[-3:]))
    climbing = np.flatnonzero(values > reference + max(sigmas * curve.noise, 0.3 * abs(reference)))
    trailing = 0
    while trailing < n and values[n - 1 - trailing] > reference + max(sigmas * curve.noise, 0.3 * abs(reference)):
        trailing += 1
    if trailing < 3 or last < blow_up * abs(reference) or trailing > 0.5 * n or not len(climbing):
        return None
    if float(values[-1]) < 0.8 * float(np.max(values[-trailing:])):
        return None  # it has turned: a spike on its way back
    lowest = int(np.argmin(curve.level))
    onset = _onset(curve, int(curve.at[lowest]), float(curve.level[lowest]), last)
    return _evidence(
        curve,
        lowest,
        float(curve.level[lowest]),
        last,
        "climbing",
        last / (blow_up * abs(reference)),
        onset=min(onset, int(curve.steps[n - trailing])),
    )


def _onset(curve: Curve, since: int, bottom: float, end: float) -> int:
    """The step at which the loss leaves its low level for good: after the last row within the noise of it before the climb is half done."""
    rows = curve.steps >= since
    values, steps = rolling_median(curve.values[rows], 3), curve.steps[rows]
    half = int(np.argmax(values > bottom + 0.5 * (end - bottom)))
    before = curve.values[curve.steps < steps[half]]
    quiet = bottom + max(4 * noise(before[: max(8, len(before) // 2)]), 0.1 * abs(bottom), 2 * curve.quantum)
    low = np.flatnonzero(values[:half] <= quiet)
    return int(steps[int(low[-1]) + 1]) if len(low) else int(steps[half] if half else steps[0])


def _last_words(run: Run, curve: Curve, blow_up: float, sigmas: float) -> Evidence | None:
    """NaN follows a climb: the last finite rows stand `blow_up` times above the level before, by `sigmas` noise scales."""
    signal = run.signal("train/loss")
    if signal is None or len(curve) < 8 or np.isfinite(signal.values[-1]) or signal.steps[-1] <= curve.steps[-1]:
        return None
    reference = float(np.median(curve.values[-max(8, len(curve) // 4) : -2]))
    last = float(curve.values[-1])
    if last < blow_up * abs(reference) or last - reference < sigmas * curve.noise:
        return None
    rising = np.flatnonzero(curve.values <= reference + 3 * curve.noise)
    onset = int(curve.steps[min(int(rising[-1]) + 1, len(curve) - 1)]) if len(rising) else int(curve.steps[-1])
    return _evidence(curve, None, reference, last, "climb to NaN", last / (blow_up * abs(reference)), onset=onset)


def _evidence(curve: Curve, low: int | None, bottom: float, end: float, shape: str, margin: float, onset: int | None = None) -> Evidence:
    if onset is None:
        onset = _onset(curve, int(curve.at[low]) if low is not None else int(curve.steps[0]), bottom, end)
    last = int(curve.steps[-1])
    peak = float(np.max(curve.values[curve.steps >= onset]))
    ratio = end / bottom if bottom > 0 else float("inf")
    numbers: dict[str, Scalar] = {
        "best": bottom,
        "end": end,
        "peak": peak,
        "ratio": ratio,
        "rise_found": ratio - 1,
        "best_step": int(curve.at[low]) if low is not None else int(curve.steps[0]),
        "shape": shape,
        "rows": len(curve),
        "final": float(curve.values[-1]),
    }
    return Evidence(numbers, ("train/loss",), onset, ((onset, last),), margin=max(1.0, margin), points=len(curve))
