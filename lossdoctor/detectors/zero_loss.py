"""The training loss sits at zero, or far too low far too early."""

from __future__ import annotations

import re

import numpy as np

from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.run.candidates import loss_like
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve, named_curve

FEWEST, TENTH = 5, 10  # rows of an accuracy; part of the plan
THIRD = 3  # of the rows: one spike must not hide what the rest does
_OF_ANSWERS = re.compile(r"(?:^|[/_. ])(?:acc(?:uracy)?|auc)$|(?P<wrong>(?:^|[/_. -])m?error$)")
_OF_BOXES = re.compile(r"(?:^|[_/.])(?:b?box(?:es)?|dfl)(?:$|[_/.])")  # what a detector loses only where an object was matched


def zero_loss(run: Run, *, zero: float, too_good: float, early_share: float, early_epochs: float) -> Evidence | None:
    """The last third of the losses is 0 as printed, or `zero` of the first one where the loss is in nats, and it came there early: before
    `early_share` of the run or `early_epochs` epochs, or from one row to the next. `too_good` nats count as well for language models
    (padding or the answer itself is predicted) and where every answer was right from the start.

    A set that is memorised gets there late, a loss with a tiny scale of its own starts there, and a hidden NaN is the NaN rule's matter.
    One row is enough where the gradient norm is exactly 0 too, or answers are wrong all the same. A detector that has matched no box in
    any of `FEWEST` x 4 rows gets here as well: that part of its loss is exactly 0.
    """
    curve, norm = loss_curve(run), named_curve(run, "train/grad_norm")
    usual = float(np.median(norm.values)) if len(norm) else None
    told = usual == 0 or (len(curve) > 0 and not curve.values.any() and _wrong_all_the_same(run, 0.0))
    if len(curve) < (1 if told else THIRD):
        return None
    if (part := _without_boxes(run)) is not None:
        return part
    tail = np.abs(curve.values[-max(THIRD, len(curve) // THIRD) :])
    end, first = float(np.median(tail)), float(np.max(np.abs(curve.values[: curve.width])))
    denied = _wrong_all_the_same(run, end)
    by_trainer = run.framework == "transformers" and run.task == tasks.UNKNOWN  # a cross-entropy, unless it is told otherwise
    in_nats = denied or by_trainer or run.task in (tasks.CLASSIFICATION, tasks.LANGUAGE_MODEL)
    # Other losses have scales of their own, but none falls so far from one row to the next once it has stood.
    nats = zero * first if in_nats or _at_once(curve, zero * first, stood=2) else 0.0
    perfect = _perfect_from_the_start(run, early_epochs)
    low = too_good if perfect or _language_model(run) else 0.0
    for bound in (2 * curve.quantum, nats, low):
        at, share, epochs = _reached(run, curve, max(bound, end))
        early = share <= early_share or (epochs is not None and epochs <= early_epochs)
        known = bound == low and (perfect or _fell_through(run, curve, low))
        if end <= bound and (early or denied or known or _at_once(curve, max(bound, end) if end else 0.0)):
            break
    else:
        return None
    logged = run.signal("train/grad_norm")
    if logged is not None and (curve.values == 0).any() and not np.isfinite(logged.values[-max(2, len(logged) // THIRD) :]).any():
        return None  # a NaN that the trainer hid
    numbers: dict[str, Scalar] = {
        "what": "The loss", "level": end, "reached_step": at, "reached_share": share,
        "exact": int(bound <= end + 2 * curve.quantum) * (1 + int(not np.ptp(tail))), "norm_median": usual,
        "zero_with_norm": int(float(tail.max()) == 0 and usual is not None and 2 * norm.end.value >= usual > 0),
    }  # fmt: skip
    signals = ("train/loss", "train/grad_norm") if len(norm) else ("train/loss",)
    return Evidence.between(numbers, signals, at, curve.steps[-1], margin=3 if end == 0 else 2, points=len(curve))


def _without_boxes(run: Run) -> Evidence | None:
    """The part of the loss that is 0 in every row for want of a box, where others are not."""
    parts = [one for one in loss_like(run.signals) if len(one) >= 4 * FEWEST and not one.name.startswith("eval")]
    empty = [one for one in parts if _OF_BOXES.search(one.name.lower()) and not one.values.any()]
    if not empty or len(empty) == len(parts):
        return None
    numbers: dict[str, Scalar] = {
        "what": empty[0].raw_name, "level": 0.0, "reached_step": int(empty[0].steps[0]), "reached_share": 0.0, "norm_median": None,
        "exact": 2,
    }  # fmt: skip
    return Evidence.between(numbers, (empty[0].name,), empty[0].steps[0], empty[0].steps[-1], margin=3, points=len(empty[0]))


def _perfect_from_the_start(run: Run, epochs: float) -> bool:
    """Whether every answer was right in all of some rows, from the first of them on, within `epochs` passes or a tenth of the plan."""
    for name, signal in run.signals.items():
        told, kind = signal.in_order, _OF_ANSWERS.search(name.lower())
        if kind is None or len(told) < FEWEST:
            continue
        right = told.values if kind["wrong"] is None else 1 - np.sign(told.values)  # an error must be 0
        if 1000 * float(right.min()) < 999 * (100 if right.max() > 1 else 1):
            continue
        passed = told.epochs[0] if np.isfinite(told.epochs[0]) else told.steps[0] if run.step_is == "epoch" else np.inf
        if passed <= epochs or TENTH * told.steps[0] <= (run.planned_steps or run.last_step):
            return True
    return False


def _wrong_all_the_same(run: Run, end: float) -> bool:
    """Whether the accuracy of training denies such a loss: each wrong answer costs ln 2 nats at least, so that of all is above that by
    the share of wrong ones."""
    accuracy = named_curve(run, "train/accuracy")
    share = float(accuracy.values[-1]) if 0 < len(accuracy) < THIRD else accuracy.end.value if len(accuracy) else 1.0
    wrong = 1 - share
    return 1 / TENTH < wrong <= 1 and THIRD * end < wrong * float(np.log(2))


def _at_once(curve: Curve, bound: float, stood: int = 1) -> bool:
    """Whether the rows before it first came below the bound, so many at least, still stood at half of the start or more, at a tenth of it
    where the bound is 0: nothing is learned to exactly that from one row to the next."""
    size = np.abs(curve.values)
    reached = int(np.argmax(size <= bound))
    enough = float(size[: curve.width].max()) / (2 if bound else TENTH)
    return reached >= stood and float(size[reached - stood : reached].min()) >= enough


def _fell_through(run: Run, curve: Curve, low: float) -> bool:
    """Whether the loss went from half of its start to three times `low` within a tenth of the rows, and the evals went there too, which no
    memory helps: the model found where the answer can be read."""
    size = np.abs(curve.values)
    high, under = np.flatnonzero(size >= size[: curve.width].max() / 2), np.flatnonzero(size <= THIRD * low)
    sudden = len(high) > 0 and len(under) > 0 and TENTH * int(under[0] - high[-1]) <= len(curve)
    return sudden and any(len(held := curve_of(one)) and 0 <= held.tail() <= low for one in run.eval_losses())


def _language_model(run: Run) -> bool:
    return run.task == tasks.LANGUAGE_MODEL or (run.task == tasks.UNKNOWN and run.number("vocab_size") is not None)


def _reached(run: Run, curve: Curve, bound: float) -> tuple[int, float, float | None]:
    """The step at which the level first comes below the bound, that step's share of the run, and its epoch."""
    below = np.flatnonzero(np.abs(curve.level) <= bound)
    at = int(curve.at[below[0]]) if len(below) else int(curve.steps[-1])
    share = (at - int(curve.steps[0])) / max(curve.span, 1)
    loss = run.signal("train/loss")
    near = loss.epochs[loss.steps <= at] if loss is not None and run.step_is != "epoch" else np.empty(0)
    known = near[np.isfinite(near)]
    return at, share, float(known[-1]) if len(known) else None
