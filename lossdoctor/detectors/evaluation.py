"""The eval loss as evidence of its own: flat, missing, too sparse, too good."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import curve_of, loss_curve
from lossdoctor.measures.level import rolling_median
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run


def eval_flat(run: Run, *, train_fall: float, ratio: float, most: float, evals: int) -> Evidence | Skip | None:
    """Train falls by `train_fall` while eval moves at most `most` of its level and at most `ratio` of what train moved."""
    signal = next(iter(run.eval_losses()), None)
    curve = curve_of(signal) if signal is not None else None
    if signal is None or curve is None or len(curve) < evals:
        return Skip(f"fewer than {evals} evaluations with a loss", "evaluate every 5-10 % of the steps (eval_steps)")
    train = loss_curve(run)
    if len(train) < 5 or train.scale <= 0:
        return Skip("fewer than 5 values of the training loss", "log more often")
    rate = run.signal("train/learning_rate")
    if rate is not None and not (rate.values > 0).any():
        return None
    values = rolling_median(curve.values, 3) if len(curve) >= 7 else curve.values
    first, last = float(curve.values[0]), float(np.median(curve.values[-2:]))
    moved = float(np.max(np.abs(values - first))) / max(abs(first), 1e-9)
    start, end = train.head(min(5, max(2, len(train) // 20))), train.tail()
    fell = (start - end) / abs(start) if start else 0.0
    before = train.values[train.steps <= curve.steps[0]]
    at_first = float(np.median(before[-3:])) if len(before) else start
    fell_since = (at_first - end) / abs(at_first) if at_first else 0.0
    if fell < train_fall or fell_since < 0.5 * train_fall or moved > most or moved > ratio * max(fell, fell_since):
        return None
    span = (int(curve.steps[0]), int(curve.steps[-1]))
    numbers = {"eval_first": first, "eval_last": last, "moved": moved, "train_start": start, "train_end": end, "fell": fell, "evals": len(curve), "identical": bool(np.ptp(curve.values) == 0), "fell_since": fell_since}
    return Evidence(numbers, (signal.name, "train/loss"), span[0], (span,), margin=min(ratio * fell / max(moved, 1e-4), 10.0), points=4 * len(curve))


def eval_missing(run: Run) -> Evidence | None:
    """No eval loss and no eval metric at all."""
    if any(name.startswith("eval/") and len(signal) for name, signal in run.signals.items() if not name.endswith(("runtime", "per_second"))):
        return None
    return Evidence({"last_step": run.last_step, "suggested": _suggested(run)}, (), None, (), margin=1.5)


def eval_sparse(run: Run, *, least: int) -> Evidence | Skip | None:
    """Fewer than `least` evaluations in the whole run."""
    counts = [len(np.unique(signal.steps)) for name, signal in run.signals.items() if name.startswith("eval/") and not name.endswith(("runtime", "per_second"))]
    if not counts or max(counts) == 0:
        return Skip("nothing was evaluated", "eval_strategy='steps', eval_steps=...")
    if max(counts) >= least or run.last_step < 2 * least:
        return None
    return Evidence({"evals": max(counts), "last_step": run.last_step, "suggested": _suggested(run)}, ("eval/loss",), None, (), margin=least / max(counts))


def _suggested(run: Run) -> int:
    """Every 5-10 % of the steps; 50-100 steps where the run has under 1000."""
    steps = run.planned_steps or run.last_step
    return max(1, min(round(steps / 15), 100) if steps < 1000 else round(steps / 15))
