"""Preference training (DPO and its kin) that never learns to prefer."""

from __future__ import annotations

from math import log

import numpy as np

from lossdoctor.detectors.curve import beyond
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

CHANCE = log(2)  # the loss of a sigmoid that does not tell the two answers apart; every DPO run starts there
HOW = "log rewards/margins and rewards/accuracies, as TRL does"


def dpo_not_learning(run: Run, *, near: float, least_accuracy: float, least_done: float) -> Evidence | Skip | None:
    """The last third of the run shows no preference: the loss started at ln 2 and is still within `near` (relative) below it, or
    the margin of the rewards is not above zero while at most `least_accuracy` of the pairs are ranked right.

    A run that has done less than `least_done` of its plan may still be warming up. Losses of other kinds (ORPO, KTO, IPO, SimPO)
    do not start at ln 2 and are judged by margin and accuracy alone. The limits follow TRL's documentation of its DPO metrics.
    """
    loss, margin, accuracy = loss_curve(run), named_curve(run, "rewards/margins"), named_curve(run, "rewards/accuracies")
    if max(len(loss), len(margin)) < 6:
        return Skip("fewer than 6 values of the loss and of the margins", HOW if not len(margin) else "log more often")
    if run.planned_steps and run.last_step < least_done * run.planned_steps:
        return Skip("too early in the run: the rate may still be warming up", "")
    late_loss, late_margin, late_accuracy = (_late(curve) for curve in (loss, margin, accuracy))
    started = len(loss) > 0 and abs(loss.head(3) / CHANCE - 1) <= near
    at_chance = started and late_loss is not None and late_loss >= (1 - near) * CHANCE
    no_preference = late_margin is not None and late_margin <= 0 and late_accuracy is not None and late_accuracy <= least_accuracy
    if not at_chance and not no_preference:
        return None
    first = int((loss if len(loss) else margin).steps[0])
    left = 1 - late_loss / CHANCE if at_chance and late_loss is not None else None
    numbers: dict[str, Scalar] = {
        "loss_late": late_loss, "margin_late": late_margin, "accuracy_late": late_accuracy, "rows": max(len(loss), len(margin)),
    }  # fmt: skip
    signals = tuple(
        name for name, curve in (("train/loss", loss), ("rewards/margins", margin), ("rewards/accuracies", accuracy)) if len(curve)
    )
    decisive = 2.0 if left is None else beyond(near, max(left, 0.0))
    return Evidence.between(numbers, signals, first, run.last_step, margin=decisive, points=max(len(loss), len(margin)))


def _late(curve: Curve) -> float | None:
    """Median of the last third of the rows; None without rows."""
    return float(np.median(curve.values[-max(3, len(curve) // 3) :])) if len(curve) else None
