"""The training loss goes up and down with a structure that batch noise does not have."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch, warmup_end
from lossdoctor.measures.level import Floats, rolling_median, sigma
from lossdoctor.measures.oscillation import Peak, autocorrelation, strongest_period
from lossdoctor.model import Evidence
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve, named_curve

LEAST_ROWS = 24
LEAST_CYCLES = 6
MOST_OF_IT = 0.5  # of the variance in one line: then it does not matter how strong its surroundings are


def sawtooth(
    run: Run, *, amplitude: float, against_drop: float, chance: float, share: float, full_batch_amplitude: float, eval_jitter: float
) -> Evidence | None:
    """Three kinds of structure tell oscillation from batch noise.

    Waves: a periodogram line that white noise would reach with probability `chance`, holding `share` of the variance (the learning
    rate's own cycle needs a hundredth of that proof). Full-batch training (one step an epoch) has no batch noise at all, so any roughness
    is instability. And the eval loss is computed on the same rows each time: where it jitters by `eval_jitter` of its level, weights move
    too far. Amplitudes are p95 - p5 of the detrended loss against its level, and against the total drop.
    """
    curve = loss_curve(run).after(warmup_end(run))
    if spoiled(run) or len(curve) < LEAST_ROWS or curve.scale <= 0:
        return None
    values = curve.values
    trend = rolling_median(values, max(5, len(values) // 6) | 1)
    rest = values - trend
    spread = sigma(rest)
    swing = float(np.quantile(rest, 0.95) - np.quantile(rest, 0.05))
    level = float(np.median(np.abs(values)))
    drop = abs(float(np.median(trend[:5]) - np.median(trend[-5:])))
    if level <= 0 or spread <= 0:
        return None
    numbers: dict[str, float | int | str | None] = {
        "swing": swing, "level": level, "relative": swing / level, "against_total_drop": swing / drop if drop > 0 else 1e6,
        "autocorrelation": autocorrelation(rest), "rows": len(curve),
        "period_steps": None, "cycles": None, "period_epochs": None, "eval_jitter_found": _eval_jitter(run),
    }  # fmt: skip
    interval = float(np.median(np.diff(curve.steps)))
    wave = _wave(run, curve, np.clip(rest, -6 * spread, 6 * spread), chance, share)
    if wave is not None and swing >= amplitude * level and swing >= against_drop * drop:
        return _evidence(
            run,
            curve,
            numbers | {"kind": "waves", "period_steps": wave.period * interval, "cycles": len(values) / wave.period},
            wave.share / share,
        )
    if (
        steps_per_epoch(run) is not None
        and (steps_per_epoch(run) or 9) <= 1.05
        and run.step_is == "step"
        and swing >= full_batch_amplitude * level
    ):
        return _evidence(run, curve, numbers | {"kind": "full-batch"}, swing / (full_batch_amplitude * level))
    jitter = _eval_jitter(run)
    if (
        jitter is not None
        and jitter >= eval_jitter
        and swing >= 2 * amplitude * level
        and curve.tail(0.2) <= 1.3 * curve.head(max(5, len(curve) // 5))
    ):
        return _evidence(run, curve, numbers | {"kind": "eval-jitter"}, jitter / eval_jitter)
    return None


def _wave(run: Run, curve: Curve, rest: Floats, chance: float, share: float) -> Peak | None:
    peak = strongest_period(rest, LEAST_CYCLES)
    if peak is None or peak.share < share:
        return None
    if peak.chance <= chance and (peak.local_chance <= 100 * chance or peak.share >= MOST_OF_IT):
        return peak
    rate = named_curve(run, "train/learning_rate")
    if len(rate) < LEAST_ROWS:
        return None
    values = rate.values[rate.steps >= curve.steps[0]]
    own = strongest_period(values - rolling_median(values, max(5, len(values) // 3) | 1)) if len(values) >= LEAST_ROWS else None
    cyclic = (
        own is not None and own.share > 0.5 and own.chance <= chance and abs(own.period * len(rest) / len(values) / peak.period - 1) < 0.25
    )
    return peak if cyclic and peak.chance <= 100 * chance else None


def _eval_jitter(run: Run) -> float | None:
    """Noise of the eval loss, from second differences, against its level; None for fewer than 6 evals."""
    for signal in run.eval_losses():
        values = curve_of(signal).values
        if len(values) >= 6:
            bends = values[2:] - 2 * values[1:-1] + values[:-2]
            return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6) / max(abs(float(np.median(values))), 1e-9))
    return None


def _evidence(run: Run, curve: Curve, numbers: dict[str, float | int | str | None], margin: float) -> Evidence:
    per_epoch = steps_per_epoch(run)
    period = numbers["period_steps"]
    if per_epoch and isinstance(period, float):
        numbers["period_epochs"] = period / per_epoch
    first, last = int(curve.steps[0]), int(curve.steps[-1])
    return Evidence(numbers, ("train/loss",), first, ((first, last),), margin=max(1.0, margin), points=len(curve))
