"""The eval loss as evidence of its own: flat, missing, too sparse, too good."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.overfitting import turn_of
from lossdoctor.measures.trend import mann_kendall
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve

STILL = 0.01  # of its level
TREND_FALL = 0.02  # a fall that is steady and more than this is no standstill


def eval_flat(run: Run, *, train_fall: float, ratio: float, most: float, evals: int) -> Evidence | Skip | None:
    """Train falls by `train_fall` while eval moves at most `most` of its level and at most `ratio` of what train moved."""
    signal = next(iter(run.eval_losses()), None)
    curve = curve_of(signal) if signal is not None else None
    if signal is None or curve is None or len(curve) < min(evals, 3):
        return Skip(f"fewer than {evals} evaluations with a loss", "evaluate every 5-10 % of the steps (eval_steps)")
    train = loss_curve(run)
    if len(train) < 5 or train.scale <= 0:
        return Skip("fewer than 5 values of the training loss", "log more often")
    rate = run.signal("train/learning_rate")
    if rate is not None and not (rate.values > 0).any():
        return None
    turn = turn_of(signal)
    if turn is not None and turn.rise >= 0.05 and turn.later >= 2:
        return None  # it rises: overfitting
    third = max(1, len(curve) // 3)
    first, last = float(np.median(curve.values[:third])), float(np.median(curve.values[-third:]))
    moved = abs(last - first) / max(abs(first), 1e-9)
    start, end = train.head(min(5, max(2, len(train) // 20))), train.tail()
    fell = (start - end) / abs(start) if start else 0.0
    early, late = _between(train, 0, int(curve.steps[third - 1])), _between(train, int(curve.steps[-third]), int(curve.steps[-1]))
    fell_beside = (early - late) / abs(early) if early else 0.0
    furthest = float(np.max(np.abs(curve.values - float(curve.values[0])))) / max(abs(float(curve.values[0])), 1e-9)
    if moved <= STILL and len(curve) >= 5:
        train_fall *= 0.6  # an eval that stands dead still needs less of a fall beside it
    if fell < train_fall or fell_beside < 0.3 * train_fall or (moved > ratio * fell_beside and last < first) or furthest > most:
        return None
    if moved >= TREND_FALL and last < first and mann_kendall(curve.values) < -2.5:
        return None  # it follows, if slowly
    if len(curve) < evals and (fell < 2 * train_fall or furthest > 0.2 * most):
        return None  # so few evals must be really still while train really falls
    span = (int(curve.steps[0]), int(curve.steps[-1]))
    numbers = {
        "eval_first": first,
        "eval_last": last,
        "moved": moved,
        "train_start": start,
        "train_end": end,
        "fell": fell,
        "evals": len(curve),
        "identical": bool(np.ptp(curve.values) == 0),
        "fell_beside": fell_beside,
    }
    return Evidence(
        numbers,
        (signal.name, "train/loss"),
        span[0],
        (span,),
        margin=min(ratio * fell_beside / max(moved, 1e-4), 10.0),
        points=4 * len(curve),
    )


def _between(curve: Curve, first: int, last: int) -> float:
    """Median of the training loss between two steps, or of its nearest rows where none lie there."""
    rows = curve.values[(curve.steps > first) & (curve.steps <= last)]
    if len(rows) >= 2:
        return float(np.median(rows))
    at = int(np.searchsorted(curve.steps, last))
    return float(np.median(curve.values[max(0, at - 2) : at + 1]))


def eval_missing(run: Run) -> Evidence | None:
    """No eval loss and no eval metric at all."""
    if any(
        name.startswith("eval/") and len(signal) for name, signal in run.signals.items() if not name.endswith(("runtime", "per_second"))
    ):
        return None
    return Evidence({"last_step": run.last_step, "suggested": _suggested(run)}, (), None, (), margin=1.5)


def eval_sparse(run: Run, *, least: int) -> Evidence | Skip | None:
    """Fewer than `least` evaluations in the whole run."""
    counts = [
        len(np.unique(signal.steps))
        for name, signal in run.signals.items()
        if name.startswith("eval/") and not name.endswith(("runtime", "per_second"))
    ]
    if not counts or max(counts) == 0:
        return Skip("nothing was evaluated", "eval_strategy='steps', eval_steps=...")
    if max(counts) >= least or run.last_step < 2 * least:
        return None
    return Evidence(
        {"evals": max(counts), "last_step": run.last_step, "suggested": _suggested(run)},
        ("eval/loss",),
        None,
        (),
        margin=least / max(counts),
    )


def _suggested(run: Run) -> int:
    """Every 5-10 % of the steps; 50-100 steps where the run has under 1000."""
    steps = run.planned_steps or run.last_step
    return max(1, min(round(steps / 15), 100) if steps < 1000 else round(steps / 15))
