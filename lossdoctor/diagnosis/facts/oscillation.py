"""The noise of the training loss: does it have memory, does it follow the learning rate, does it come back every epoch?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.diagnosis.progress import row_interval, steps_per_epoch, warmup_end
from lossdoctor.measures.level import sigma
from lossdoctor.measures.oscillation import autocorrelation
from lossdoctor.model import Scalar
from lossdoctor.run import Run, Signal

Floats = npt.NDArray[np.float64]

FACTS: Mapping[str, str] = {
    "residual_autocorrelation": "correlation of one row's deviation from the trend with the next row's (batch noise: about 0)",
    "epoch_periodicity": "correlation of a row's deviation with that of the row one epoch later",
    "order_repeats": "the same deviations come back every epoch: the data come in the same order",
    "amplitude_follows_lr": "rank correlation of the size of the deviations with the learning rate, where that halves at least",
}


def whole(run: Run) -> dict[str, Scalar]:
    loss = run.signal("train/loss")
    rows = loss.in_order if loss is not None else None
    if rows is None:
        return {}
    end = warmup_end(run)
    rows = rows.after(end) if end is not None and end < run.last_step / 2 else rows
    if len(rows) < 24:
        return {}
    residual = _detrended(rows.values, min(len(rows) // 4, 51))
    again = _one_epoch_later(run, rows)
    return {
        "residual_autocorrelation": float(autocorrelation(residual)),
        "epoch_periodicity": again,
        "order_repeats": None if again is None else again >= 0.5,
        "amplitude_follows_lr": _follows_rate(run, rows, residual),
    }


def _detrended(values: Floats, window: int) -> Floats:
    """Deviations from the centred running mean of an odd window, cut at six noise scales: linear in rows, unlike a running median."""
    half = max(1, window // 2)
    padded = np.pad(values, half, mode="edge")
    sums = np.concatenate(([0.0], np.cumsum(padded)))
    rest: Floats = values - (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    some = rest[:: max(1, len(rest) // 10_000)]
    spread = 6 * sigma(some)
    return np.clip(rest, -spread, spread) if spread > 0 else rest


def _one_epoch_later(run: Run, rows: Signal) -> float | None:
    length = steps_per_epoch(run)
    lag = round(length / row_interval(rows)) if length else 0
    if lag < 6 or len(rows) < 3 * lag:
        return None
    residual = _detrended(rows.values, lag)
    one, other = residual[:-lag], residual[lag:]
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else None


def _follows_rate(run: Run, rows: Signal, residual: Floats) -> float | None:
    rate = run.signal("train/learning_rate")
    if rate is None or not len(rate.in_order):
        return None
    known = rate.in_order
    at_rows = np.interp(rows.steps, known.steps, known.values)
    parts = np.array_split(np.arange(len(rows)), 8)
    rates = np.array([at_rows[p].mean() for p in parts])
    levels = np.array([np.median(rows.values[p]) for p in parts])
    # Noise falls with the level by itself, so sizes are taken against it.
    sizes = np.array([np.median(np.abs(residual[p])) for p in parts]) / (levels if levels.min() > 0 else 1.0)
    if rates.max() <= 0 or rates.min() > rates.max() / 2 or np.ptp(sizes) == 0:
        return None
    return float(np.corrcoef(np.argsort(np.argsort(rates)), np.argsort(np.argsort(sizes)))[0, 1])
