"""The eval loss as evidence of its own: flat, missing, too sparse, too good."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import spoiled
from lossdoctor.detectors.overfitting import turn_of
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run.candidates import is_of_evaluation
from lossdoctor.shapes.curve import loss_curve, named_curve
from lossdoctor.vitals.change import SURE, metric_changes

SOME = 12  # evals that tell their noise


def eval_flat(run: Run, *, train_fall: float, ratio: float, most: float, evals: int) -> Evidence | Skip | None:
    """Between the first and the last third of the evals, train falls by `train_fall` while eval gains at most `ratio` of that.

    Eval must not move by more than `most` and its noise anywhere. Fewer than `evals` evals show no trend. Both losses are compared over the
    same stretch: what train won before the first eval proves nothing about evals that came later. Where no eval is as good as the first
    one, that stretch is all from the first eval on; and where no metric got better either, eval may move as it likes.
    """
    signal = next(iter(run.eval_losses()), None)
    curve, train = named_curve(run, signal.name if signal is not None else "eval/loss"), loss_curve(run)
    if signal is None or len(curve) < evals:
        return Skip(f"fewer than {evals} evaluations with a loss", "evaluate every 5-10% of the steps (eval_steps)")
    if spoiled(run):
        return None
    if len(train) < 5 or train.scale <= 0:
        return Skip("fewer than 5 values of the training loss", "log more often")
    third = max(1, len(curve) // 3)
    first, last = float(np.median(curve.values[:third])), float(np.median(curve.values[-third:]))
    # Where train stood when each eval was made; the mean of an epoch is of its middle, an eval of its end.
    beside = np.interp(curve.steps + (1 / 2 if run.step_is == "epoch" else 0), train.at, train.level)
    early, late = float(np.median(beside[:third])), float(np.median(beside[-third:]))
    metrics = [c for c in metric_changes(run) if c.signal.startswith("eval/")]
    never = float(curve.values[0]) < float(curve.values[1:].min())
    guesses = [c for c in metrics if not c.seen and c.signal == "eval/accuracy" and 4 * c.last < 1]
    low = [c for c in metrics if c.gain <= 0 or c in guesses]
    worthless = never and bool(metrics) and len(low) == len(metrics)
    if never:
        early, late = float(beside[0]), float(beside[-1])  # never as good as at first: what train has won since then says enough
    fell = (early - late) / abs(early) if early else 0.0
    gained = (first - last) / (abs(first) or 1.0)
    scatter = SURE * curve.spread.independent if len(curve) >= SOME else 0.0
    furthest = (float(np.max(np.abs(curve.values - first))) - scatter) / (abs(first) or 1.0)
    # By little, but every time.
    follows = len(curve) > evals and 2 * gained > ratio * fell and bool((np.diff(curve.values) < 0).all())
    turn = turn_of(signal)
    risen = turn is not None and 2 * turn.rise > most and max(turn.sigmas, turn.trend) > SURE  # then it is overfitting
    moves = furthest > most or risen or 2 * (last - first) > most * abs(first)
    lost = last - first > most * abs(first) and not guesses  # it knew more, and forgot: overfitting
    if follows or fell < train_fall or gained > ratio * fell or lost or (moves and not worthless):
        return None
    numbers: dict[str, Scalar] = {
        "eval_first": first, "eval_last": last, "moved": abs(gained), "train_start": early, "train_end": late, "fell": fell,
        "evals": len(curve), "never": int(worthless and moves), "eval_very_first": float(curve.values[0]),
    }  # fmt: skip
    margin = min(ratio * fell / max(abs(gained), ratio / 10), 10)
    return Evidence.between(numbers, (signal.name, "train/loss"), *curve.steps[[0, -1]], margin=margin, points=4 * len(curve))


def eval_missing(run: Run) -> Evidence | None:
    """No eval loss and no eval metric at all."""
    if _evaluations(run)[1]:
        return None
    return Evidence({"last_step": run.last_step}, (), None, (), margin=2)


def eval_sparse(run: Run, *, least: int) -> Evidence | Skip | None:
    """Fewer than `least` evaluations in the whole run."""
    told, evals = _evaluations(run)
    if not evals:
        return Skip("nothing was evaluated", "eval_strategy='steps', eval_steps=...")
    if evals >= least or run.last_step < 2 * least:
        return None
    numbers: dict[str, Scalar] = {"evals": evals, "last_step": run.last_step}
    return Evidence(numbers, (told,), margin=least / evals)


def _evaluations(run: Run) -> tuple[str, int]:
    """How often the run was evaluated: the signal that was logged at most steps, and how many; how fast evaluations run is none of them."""
    told = [n for n in run.signals if (n.startswith("eval/") or is_of_evaluation(n)) and not n.endswith(("runtime", "per_second"))]
    return max(((name, len(np.unique(run.signals[name].steps))) for name in told), key=lambda pair: pair[1], default=("", 0))
