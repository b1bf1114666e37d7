"""Learning that has not come to an end: slow convergence and underfitting."""

from __future__ import annotations

import re
from math import exp, log

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch
from lossdoctor.detectors.overfitting import turn_of
from lossdoctor.measures.level import rolling_median
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.run.direction import direction
from lossdoctor.run.ends import ends_a_run
from lossdoctor.run.levels import log_classes, log_vocabulary, nearest
from lossdoctor.shapes.curve import EIGHTHS, Curve, curve_of, loss_curve
from lossdoctor.vitals.change import loss_change, metric_changes
from lossdoctor.vitals.progress import FEW, FEWEST, main_curve, settled

TWENTIETH = 20  # of the rows: the very start and the very end
USUAL_VOCABULARY = 32_000  # the smallest of those that language models use now; of a larger one guessing scores more
QUARTER, FIFTH, THIRD = 4, 5, 3  # of the run: the last ones tell whether it had come to an end
# Scores that a constant answer gives a known value, and which way is better: explained variance, what is found of a class, what is said as
# it should be, relative error; words that are wrong, where an empty answer gets them all wrong.
_OF_CONSTANTS = (
    ("constant", 1, r"r2|r_?squared|r2_score|explained_variance"),
    ("rare", 1, r"recall|f1(?:_?score)?|dice(?:_?(?:score|coeff?))?|m?iou|jaccard|m?ap(?:_?50)?(?:\([bm]\))?"),
    ("never", 1, r"exact_?match|em|(?:sacre)?bleu|rouge_?[12l](?:sum)?"),
    ("constant", -1, r"(?:rel(?:ative)?_?l2|l2_?rel(?:ative)?|nrmse)(?:_err(?:or)?)?"),
    ("empty", -1, r"[wc]er|(?:word|char(?:acter)?)_error_rate"),
)
PERCENT = 100
FEW_ROWS = 15  # below it the shape of a curve is a guess


def slow_convergence(
    run: Run,
    *,
    late: float,
    many_epochs: float,
    last_fifth: float,
    noise_share: float,
    least_fall: float,
    left: float,
    small_fall: float,
) -> Evidence | Skip | None:
    """Half of the drop is reached later than after a quarter of the run, by `late`, and the last fifth still gives `last_fifth` of it.

    An exponential approach that has come to its end reaches half of its drop within the first quarter. The drop must be real (`least_fall`
    of the start, the error of the last level no more than `noise_share` of it) and matter: `left` of the start is still there. Where half
    of the drop took more than `many_epochs` passes over the data, or no score has reached a half and one still rises, any lateness will
    do, whatever the last fifth gave. A dozen rows that fall all the way by less than `small_fall` are too few to be sure, and said to be.
    """
    turns = [turn for signal in run.eval_losses() if (turn := turn_of(signal)) is not None]
    if any(turn.rise > least_fall and min(turn.later, turn.sigmas) >= 2 for turn in turns):
        return None  # eval has turned up: more of the same would not help
    if run.window or (not settled(run) and (run.planned_steps is not None or any(map(ends_a_run, run.events)))):
        return Skip("the log is a part of the run: what the rest gave is unknown")
    curve, name = _clearest(run, noise_share)
    if spoiled(run):
        return None
    if len(curve) < 5 or (len(curve) < FEW and not settled(run)):
        return Skip("fewer than 8 values of a loss", "log more often")
    level = curve.level
    if _hides(curve, noise_share):
        level = rolling_median(level, max(1, len(level) // EIGHTHS))
    ends = max(1, len(level) // TWENTIETH)
    start, end = float(np.median(level[:ends])), float(np.median(level[-ends:]))
    drop = start - end
    falls = FIFTH * int((np.diff(level) > 0).sum()) < len(level) - 1
    if len(curve) < FEW_ROWS and 0 < drop < small_fall * abs(start) and falls and run.task in (tasks.LANGUAGE_MODEL, tasks.UNKNOWN):
        return _evidence(curve, name, start, end, 1.0, {"latest": 1 / QUARTER + late, "little": 1})
    doubtful = curve.end.error > noise_share * drop and not (falls and len(curve) < FEW_ROWS)
    if drop < least_fall * abs(start) or drop <= 0 or end < left * start or doubtful:
        return None
    progress = (start - level) / drop
    # Where the progress first reaches a half, interpolated between bins.
    half = float(np.interp(1 / 2, np.maximum.accumulate(progress), (curve.at - curve.steps[0]) / max(curve.span, 1)))
    fifth = 1 - float(np.interp(curve.span - curve.span / FIFTH, curve.at - curve.steps[0], progress))
    epochs = _epochs_at(run, curve, half)
    patient = (epochs is not None and epochs >= many_epochs) or _scores_rise(run, last_fifth)
    enough, last_fifth = (1 / QUARTER, 0.0) if patient else (1 / QUARTER + late, last_fifth)
    still_falls = curve.trend((THIRD - 1) / THIRD)[1] <= -2 if len(curve) >= FEW_ROWS else falls
    if half < enough or fifth < last_fifth or not still_falls:
        return None
    numbers: dict[str, Scalar] = {
        "half_share_found": half, "last_fifth_found": fifth, "latest": enough, "little": 0, "patient": int(patient),
    }  # fmt: skip
    return _evidence(curve, name, start, end, half / enough, numbers)


def _scores_rise(run: Run, last_fifth: float) -> bool:
    """Whether the scores of an eval, of 1 at most, end below a half, and one gained `last_fifth` of all it gained in the last fifth."""
    told = {name: curve_of(s) for name, s in run.signals.items() if name.startswith(("eval/", "metrics/")) and direction(name) > 0}
    scores = [c for c in told.values() if len(c) >= FEW and c.values.min() >= 0 and c.values.max() <= 1]
    if not scores or max(float(c.values[-1]) for c in scores) >= 1 / 2:
        return False
    gains = [(c.tail() - c.part(0, 1 - 1 / FIFTH).tail(), c.tail() - c.start.value, c.trend(1 / 2)[1]) for c in scores]
    return any(late >= last_fifth * gained > 0 and z >= 2 for late, gained, z in gains)


def _clearest(run: Run, noise_share: float) -> tuple[Curve, str]:
    """The training loss, or the evals where its noise hides all of a fall that they show."""
    curve, name = main_curve(run)
    evals, shown = max(((curve_of(s), s.name) for s in run.eval_losses()), key=lambda pair: len(pair[0]), default=(curve, name))
    many = min(len(curve), len(evals)) >= FEW_ROWS
    change = loss_change(run)
    hidden = many and _hides(curve, noise_share) and change is not None and not change.seen
    return (evals, shown) if hidden and not _hides(evals, noise_share) else (curve, name)


def _hides(curve: Curve, noise_share: float) -> bool:
    """Whether the levels scatter by more than this share of the drop from first to last."""
    return curve.level_noise > noise_share * (curve.start.value - curve.end.value)


def _evidence(curve: Curve, name: str, start: float, end: float, margin: float, numbers: dict[str, Scalar]) -> Evidence:
    whole: dict[str, Scalar] = {
        "start": start, "end": end, "drop": start - end, "fall": (start - end) / abs(start), "rows": len(curve), "signal": name,
    }  # fmt: skip
    return Evidence(whole | numbers, (name,), None, ((int(curve.steps[0]), int(curve.steps[-1])),), margin=margin, points=len(curve))


def underfitting(run: Run, *, gap: float, level_share: float, still: float) -> Evidence | Skip | None:
    """The loss ends above `level_share` of what guessing scores.

    Of a classifier the eval loss, at rest (within `still` over its last third) and train within `gap` of it: the classes are known, or the
    first eval was a guess. Of a language model whose run came to its end the training loss: word frequencies alone score as much. Or a
    score says it itself: R2 was never above 0, a relative error never below 1.
    """
    if (worthless := _worthless(run)) is not None:
        return worthless
    if run.task == tasks.LANGUAGE_MODEL:
        return _no_language(run, still)
    signal = max(run.eval_losses(), key=lambda one: len(curve_of(one)), default=None)
    if signal is None or len(evals := curve_of(signal)) < 4:
        return Skip("fewer than 4 evaluations with a loss", "evaluate every 5-10% of the steps (eval_steps)")
    level, train = float(np.median(evals.values[-2:])), loss_curve(run)
    end = train.tail() if len(train) >= 3 else None
    reference = nearest(run, max(level, float(evals.values[0])))
    third = evals.values[-max(3, len(evals) // 3) :]
    known = reference is not None and reference.kind == "classes" and (log_classes(run) is not None or run.task == tasks.CLASSIFICATION)
    if reference is None or not known or level < level_share * reference.value or float(np.ptp(third)) > still * level:
        return None
    if level > (1 + still) * reference.value or (end is not None and abs(end - level) > gap * level):
        return None
    numbers: dict[str, Scalar] = {
        "level": level, "chance": reference.value, "chance_name": reference.name, "of_chance": level / reference.value,
        "kind": "chance" if level >= (1 - still) * reference.value else "rest", "train": end, "evals": len(evals), "what": "eval",
    }  # fmt: skip
    return Evidence.between(numbers, (signal.name,), evals.steps[0], evals.steps[-1], margin=2, points=len(evals))


def _worthless(run: Run) -> Evidence | None:
    """A score by which no row was better than a constant answer; where the accuracy rose it was measured wrongly."""
    if run.window or run.task == tasks.RL or any(c.seen and c.gain > 0 and c.signal.endswith("accuracy") for c in metric_changes(run)):
        return None
    for name, signal in run.signals.items():
        found = (told[:2] for told in _OF_CONSTANTS if re.search(rf"(?:^|[/_ ])(?:{told[2]})$", name.lower()))
        kind, sign = next(found, ("", 0))
        curve, bound = curve_of(signal), float(sign < 0)
        if not sign or len(curve) < FEWEST:
            continue
        bound *= PERCENT if kind == "empty" and 2 * curve.values[0] > PERCENT else 1
        alike = kind != "empty" or bool((TWENTIETH * np.abs(curve.values - bound) <= bound).all())
        if not alike or (kind != "empty" and float(np.max(sign * (curve.values - bound))) > 0):
            continue
        numbers: dict[str, Scalar] = {
            "level": float(curve.values[-1]), "chance": bound, "chance_name": "a constant answer", "of_chance": None, "kind": kind,
            "train": None, "evals": len(curve), "what": signal.raw_name,
        }  # fmt: skip
        return Evidence.between(numbers, (name,), curve.steps[0], curve.steps[-1], margin=2, points=len(curve))
    return None


def _no_language(run: Run, still: float) -> Evidence | Skip | None:
    """Two thirds of ln(vocabulary) are the entropy of single words (or letters) in real text."""
    curve, reference = loss_curve(run), log_vocabulary(run) or log(USUAL_VOCABULARY)
    if len(curve) < FEWEST or not settled(run):
        return Skip("the run has not come to its end, or has fewer than 5 rows of the training loss")
    if spoiled(run):
        return None
    level = curve.end.value
    if 3 * level < 2 * reference or curve.best.value < (1 - still) * level - 3 * curve.end.error:
        return None  # it has been better: divergence
    numbers: dict[str, Scalar] = {
        "level": level, "chance": reference, "of_chance": level / reference,
        "chance_name": f"ln {round(exp(reference))}" + ("" if log_vocabulary(run) else ", the smallest usual vocabulary"),
        "kind": "chance" if level >= (1 - still) * reference else "words", "train": None, "evals": 0, "what": "training",
    }  # fmt: skip
    margin = 3 * level / (2 * reference)
    return Evidence.between(numbers, ("train/loss",), curve.steps[0], curve.steps[-1], margin=margin, points=len(curve))


def _epochs_at(run: Run, curve: Curve, share: float) -> float | None:
    """Epochs passed at a share of the run; None where the log does not tell, or where a step is an epoch (no passes in the usual sense)."""
    if run.step_is == "epoch":
        return share * curve.span
    per_epoch = steps_per_epoch(run)
    loss = run.signal("train/loss") or run.signal("eval/loss")
    known = loss.epochs[np.isfinite(loss.epochs)] if loss is not None else np.empty(0)
    return share * float(known.max()) if len(known) and (per_epoch is None or per_epoch >= 2) else None
