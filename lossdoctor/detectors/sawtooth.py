"""The training loss goes up and down with a structure that batch noise does not have."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lossdoctor.detectors.curve import rate_moves, spoiled, steps_per_epoch, warmup_end
from lossdoctor.measures.level import Floats, rolling_median, sigma
from lossdoctor.measures.oscillation import Peak, autocorrelation, folded_period, strongest_period
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve
from lossdoctor.shapes.jumps import Jump, jumps

TRENDS = (6, 4)  # parts of the rows whose median is the trend: a narrow one follows the fall, a wide one leaves slow waves whole
PHASES = 8  # parts of an epoch
TEETH = 3  # jumps up that come back; two may be two accidents
ROWS, CYCLES, CLIP = 15, 5, 6  # the fewest rows and cycles of a wave; scales at which rows are clipped, so that one spike is no wave


def sawtooth(run: Run, *, amplitude: float, chance: float, share: float) -> Evidence | None:
    """Three kinds of structure tell oscillation from batch noise.

    Waves: a periodogram line that white noise would reach with probability `chance`, holding `share` of the variance (the learning
    rate's own cycle needs a hundredth of that proof), or phases of a short period, or of an epoch, that hold half of it. Full-batch
    training (one step an epoch) has no batch noise, so any roughness is instability. Teeth: three jumps up or more by `amplitude`, each
    at least half lost again before the next one, in whatever distances: data that come in blocks. Amplitudes are those of a sine of the
    same power, peak to peak, against the level.
    """
    whole = loss_curve(run)
    curve = whole.after(warmup_end(run))
    if spoiled(run) or len(curve) < ROWS or curve.scale <= 0:
        return None
    found = (_around(run, whole, curve, parts, amplitude=amplitude, chance=chance, share=share) for parts in TRENDS)
    return next(filter(None, found), None)


def _around(run: Run, whole: Curve, curve: Curve, parts: int, *, amplitude: float, chance: float, share: float) -> Evidence | None:
    """What swings around a trend that is the median of so large a part of the rows."""
    values = curve.values
    trend = rolling_median(values, max(5, len(values) // parts) | 1)
    rest, level = values - trend, float(np.median(np.abs(values)))
    spread = sigma(rest)
    clipped = np.clip(rest, -CLIP * spread, CLIP * spread)
    swing = float(np.sqrt(8) * np.std(clipped))
    if level <= 0 or spread <= 0 or swing < amplitude / 4 * float(np.max(whole.level)):
        return None
    interval, per_epoch = float(np.median(np.diff(curve.steps))), steps_per_epoch(run)
    numbers: dict[str, Scalar] = {
        "swing": swing, "level": level, "relative": swing / level,
        "autocorrelation": autocorrelation(rest), "rows": len(curve), "period_steps": None, "cycles": None, "period_epochs": None,
    }  # fmt: skip
    places = (curve.steps - whole.steps[0]) % per_epoch / interval if per_epoch else np.zeros(len(curve))
    wave = _wave(run, curve, clipped, chance, share, np.stack((clipped / np.maximum(np.abs(trend), level / PHASES), places)))
    if wave is not None and per_epoch is not None and _is_stairs(curve, wave.period * interval, per_epoch, amplitude * level):
        wave = None
    margin, kind = 0.0, ""
    if wave is not None and swing >= amplitude * level:
        period = wave.period * interval
        if per_epoch is not None and abs(period - per_epoch) <= interval:
            period = per_epoch
        numbers |= {"period_steps": period, "cycles": len(values) / wave.period, "period_epochs": period / per_epoch if per_epoch else None}
        margin, kind = wave.share / share, "waves"
    elif run.step_is == "step" and per_epoch is not None and round(per_epoch) <= 1 and swing >= amplitude * level:
        margin, kind = swing / (amplitude * level), "full-batch"
    elif len(teeth := _teeth(run, whole, amplitude)) >= TEETH:
        numbers |= {"teeth": len(teeth), "relative": float(np.median([jump.change for jump in teeth]))}
        margin, kind = len(teeth) / TEETH, "teeth"
    if not kind:
        return None
    return Evidence.between(numbers | {"kind": kind}, ("train/loss",), *curve.steps[[0, -1]], margin=max(1.0, margin), points=len(curve))


def _is_stairs(curve: Curve, period: float, per_epoch: float, least: float) -> bool:
    """Whether a wave of one epoch is the stairs of memorising: less than `least` is left of it, phase by phase, when the level of each
    epoch is taken away."""
    if abs(period / per_epoch - 1) > 1 / PHASES:
        return False
    done = (curve.steps - 1) / per_epoch
    epoch, phase = done.astype(np.int64), (done % 1 * PHASES).astype(np.int64)
    levels = {number: float(np.median(curve.values[epoch == number])) for number in np.unique(epoch)}
    rest = curve.values - np.array([levels[number] for number in epoch])
    phases = [float(np.mean(rest[phase == number])) for number in np.unique(phase)]
    return max(phases) - min(phases) < least


def _teeth(run: Run, curve: Curve, amplitude: float) -> tuple[Jump, ...]:
    """The jumps up by `amplitude` of the level that no jump of the learning rate explains; none where one is not lost again by the next."""
    up = tuple(jump for jump in jumps(curve) if jump.change >= amplitude and not rate_moves(run, curve, jump.row, 2, up=True))
    lost = all(one.after.value - after.before.value >= one.gap / 2 for one, after in pairwise(up))
    return up if lost else ()


def _wave(run: Run, curve: Curve, rest: Floats, chance: float, share: float, folds: Floats) -> Peak | None:
    folded = folded_period(folds[0], CYCLES, folds[1])  # teeth shrink as the loss falls: against its level
    if folded is not None and folded.chance <= chance:
        return folded
    peak = strongest_period(rest, CYCLES)
    if peak is None or peak.share < share:
        return None
    # Correlated noise is strong at low frequencies: the line must stand out from its surroundings too, or hold half of it all.
    if peak.chance <= chance and (peak.local_chance <= 100 * chance or peak.share >= 0.5):
        return peak
    rate = named_curve(run, "train/learning_rate").after(int(curve.steps[0]) - 1).values
    if len(rate) < ROWS:
        return None
    own = strongest_period(rate - rolling_median(rate, max(5, len(rate) // 3) | 1))
    # Two periods are one where they make as many cycles: a periodogram tells no less than one apart.
    cyclic = own is not None and own.share > 0.5 and own.chance <= chance and abs(len(rate) / own.period - len(rest) / peak.period) <= 1
    return peak if cyclic and peak.chance <= 100 * chance else None
