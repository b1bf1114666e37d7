"""The loss stands still: high, or where a fall would have been seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch, warmup_end
from lossdoctor.measures.level import binned_medians
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.run.levels import Reference, classes_of, knows_more, log_vocabulary, nearest
from lossdoctor.shapes.curve import Curve, curve_of, named_curve, steadiest_loss
from lossdoctor.vitals.change import SURE, Change, change_of, eval_change, metric_changes
from lossdoctor.vitals.progress import FEW, FEWEST, settled

LARGEST = 13  # nats; ln of the largest vocabularies in use is 12.5
COARSE = 25  # medians that show since when it stands still


@dataclass(frozen=True, eq=False)
class Limits:
    """The thresholds of the rule, as one value that the reasons share."""

    fall: float
    near_chance: float
    vocabulary_share: float
    high_level: float
    untrained: float
    quiet: float
    quick: float
    rows: float


@dataclass(frozen=True, eq=False)
class Stand:
    """How a loss stands at the end of a run: the curve, its change, that of the evals, and what guessing scores."""

    run: Run
    curve: Curve
    change: Change
    evals: Change | None
    limits: Limits

    @property
    def level(self) -> float:
        return self.curve.end.value

    @cached_property
    def reference(self) -> Reference | None:
        return nearest(self.run, self.level)

    @cached_property
    def late_drift(self) -> float:
        """Change of the level over the second half of the rows, as a share of it."""
        return self.curve.trend(1 / 2)[0] / abs(self.level)

    @property
    def still(self) -> bool:
        """Not better at its end than at its start by more than `fall`, nor are the evals."""
        return self.change.gain <= self.limits.fall and (self.evals is None or self.evals.gain <= self.limits.fall)

    @cached_property
    def underway(self) -> bool:
        """Whether the second half gives more of the fall than the first, beyond noise: learning has begun, if slowly."""
        moved, z = self.curve.trend(1 / 2)
        return z < -3 and 2 * moved < -(self.curve.start.value - self.level)

    @property
    def rests(self) -> bool:
        """No further fall over the second half: none beyond noise, or hardly any."""
        z = self.curve.trend(1 / 2)[1]
        return self.late_drift >= -self.limits.quiet or (self.late_drift >= -self.limits.fall and z > -SURE)

    @property
    def ample(self) -> bool:
        """Rows enough, from the beginning of the run on; half as many epochs of a run that came to an end of its own."""
        whole = self.run.step_is == "epoch" and settled(self.run)
        return (2 if whole else 1) * len(self.curve) >= self.limits.rows and not self.run.window

    @property
    def far(self) -> bool:
        """Far enough into the plan for a model to have moved."""
        half = self.run.planned_steps is not None and 2 * self.run.last_step >= self.run.planned_steps
        return half or settled(self.run) or self.ample

    def pinned(self, level: float) -> bool:
        """Whether some whole epochs, of training or of its evals, or a window from the middle of a run, lie on a level row by row."""
        later = self.run.window or self.run.step_is == "epoch"
        within = self.limits.quiet / 2 * level
        curves = [one for one in (self.curve, _evals(self.run)) if len(one) >= FEWEST]
        return later and any(bool((np.abs(one.values - level) <= within).all()) for one in curves)


def plateau(
    run: Run, *, fall: float, near_chance: float, vocabulary_share: float, high_level: float, untrained: float,
    quiet: float, quick: float, rows: float,
) -> Evidence | Skip | None:  # fmt: skip
    """The loss got better by no more than `fall`, or has stopped falling, at a level that is known to be high.

    Where both a training and an eval loss were logged both must stand. What makes a level high is a table of reasons (`REASONS`): the
    score of guessing (within `fall` of it; with an unknown number of classes only for a curve whose noise is below `quiet` of its level
    and that starts or ends within half of that), `vocabulary_share` of ln(vocabulary), `high_level` nats for a language model of unknown
    vocabulary, `untrained` nats for any, every row the same, an accuracy that does not move while the loss stays above `near_chance` of
    guessing, or a real fall within the first `quick` share of the run and nothing since. Where nobody knows the level, a
    reader is warned of rows that would have shown a fall and show none.
    """
    limits = Limits(fall, near_chance, vocabulary_share, high_level, untrained, quiet, quick, rows)
    stand = _stand(run, limits)
    if stand is None:
        return Skip("fewer than 2 values of a loss", "log more often: logging_steps so that the run gives at least 50 rows")
    if spoiled(run) or stand.level <= 0 or stand.curve.best.value < (1 - 2 * fall) * stand.level:
        return None  # it has been better: divergence, a spike or a shift
    reason = next((name for name, holds in REASONS.items() if holds(stand)), None)
    return _evidence(stand, reason) if reason else None


def _stand(run: Run, limits: Limits) -> Stand | None:
    evals, (train, trained) = _evals(run), steadiest_loss(run)
    curve, name = (evals, "eval/loss") if len(evals) > len(train) else (train, trained)
    change = change_of(curve, name)
    return Stand(run, curve, change, eval_change(run), limits) if change is not None else None


def _evals(run: Run) -> Curve:
    """The eval loss that was logged most often."""
    return max((curve_of(signal) for signal in run.eval_losses()), key=len, default=named_curve(run, "eval/loss"))


def _same(stand: Stand, rows: int) -> bool:
    """Whether so many of the last rows are the same. In a window of a log a training loss may stand still because its progress bar
    repeats it."""
    values = stand.curve.values[-max(FEWEST, rows) :]
    same = len(stand.curve) >= FEWEST and float(np.ptp(values)) <= float(np.finfo(np.float32).eps) * stand.level
    repeated = stand.run.window and not _whole_epochs(stand.run) and stand.change.signal == "train/loss"
    return same and not (repeated and len(stand.curve) < stand.limits.rows)


def _constant(stand: Stand) -> bool:
    return _same(stand, len(stand.curve))


def _constant_half(stand: Stand) -> bool:
    return _same(stand, len(stand.curve) // 2)


def _as_good_as_constant(stand: Stand) -> bool:
    """Even the batches of a converged model differ more."""
    within = stand.limits.quiet / 2
    return stand.ample and float(np.ptp(stand.curve.values)) <= within * stand.level and stand.change.gain <= within


def _underflown(stand: Stand) -> bool:
    """Every answer has probability 0: Caffe takes the smallest float instead, and its loss stands at -ln of that, 87.3365."""
    floor = -log(float(np.finfo(np.float32).tiny))
    return bool((np.abs(stand.curve.values - floor) <= stand.curve.quantum / 2 + floor * float(np.finfo(np.float32).eps)).all())


def _whole_epochs(run: Run) -> bool:
    """Whether each row of the training loss is that of a whole pass over the data."""
    loss, length = run.signal("train/loss"), steps_per_epoch(run)
    every = float(np.median(np.diff(loss.steps))) if loss is not None and len(loss) > 1 else 0.0
    return run.step_is == "epoch" or (length is not None and every >= length)


def _guessing(stand: Stand) -> bool:
    reference, limits = stand.reference, stand.limits
    if reference is None or not stand.still or stand.underway or not (stand.far or stand.pinned(reference.value)):
        return False
    if knows_more(stand.run, reference):
        return False
    if not reference.certain:
        levels = (stand.level, stand.curve.start.value, *([stand.evals.last] if stand.evals is not None else []))
        nearest_level = min(abs(level / reference.value - 1) for level in levels)
        if stand.curve.noise > limits.quiet * stand.level or nearest_level > limits.quiet / 2:
            return False
    above = stand.level >= (1 - limits.fall) * reference.value
    return above and (reference.kind == "vocabulary" or stand.level <= (1 + limits.fall) * reference.value)


def _unigram(stand: Stand) -> bool:
    vocabulary = log_vocabulary(stand.run)
    return vocabulary is not None and stand.far and stand.rests and stand.level >= stand.limits.vocabulary_share * vocabulary


def _untrained(stand: Stand) -> bool:
    language = stand.run.task == tasks.LANGUAGE_MODEL or (stand.run.task == tasks.UNKNOWN and stand.level <= LARGEST)
    return language and stand.run.step_is != "epoch" and stand.far and stand.still and stand.level >= stand.limits.untrained


def _foreign(stand: Stand) -> bool:
    unknown = stand.run.task == tasks.LANGUAGE_MODEL and log_vocabulary(stand.run) is None
    return unknown and stand.ample and stand.still and stand.level >= stand.limits.high_level


def _stuck(stand: Stand) -> bool:
    metrics = [c for c in metric_changes(stand.run) if c.signal.startswith("eval/") and abs(c.first) <= 1]
    reference, evals, fall = stand.reference, stand.evals, stand.limits.fall
    if evals is None or min((c.rows for c in metrics), default=0) < 3:
        return False
    # The same answer for every input.
    frozen = all(c.rows >= FEWEST and np.ptp(named_curve(stand.run, c.signal).values) == 0 for c in metrics)
    if frozen and (classes := classes_of(metrics[0].last)) and evals.last >= (1 - fall) * log(classes):
        return True
    if reference is None or reference.kind != "classes":
        return False
    chance = stand.limits.near_chance * reference.value
    if stand.change.gain > 2 * fall or stand.level < chance:
        return False  # train learns, or has learned: the evals are what is wrong
    still = not knows_more(stand.run, reference) and max(c.gain for c in metrics) <= fall and evals.gain <= fall
    return frozen or (still and evals.last >= chance)


def _answers_like_a_guess(stand: Stand) -> bool:
    """The accuracy has not moved since the first row (of three where it is one value), and the loss ends at what a guess scores that is as
    often right, or at up to twice that: sure of wrong answers."""
    named = [named_curve(stand.run, name) for name in ("train/accuracy", "eval/accuracy")]
    accuracy = max(named, key=len)
    change = change_of(accuracy, "accuracy", 1) if len(accuracy) >= (FEWEST if len(set(accuracy.values)) > 1 else 3) else None
    classes = stand.run.task in (tasks.CLASSIFICATION, tasks.UNKNOWN)
    if change is None or not classes or change.seen or change.last <= 0 or accuracy.level.max() >= 2 * change.last:
        return False
    share = change.last / (100 if change.last > 1 else 1)
    if share > (1 + stand.limits.fall) / 2:
        return False
    guess = -log(share)
    return stand.level / 2 <= guess <= (1 + stand.limits.fall) * stand.level and not stand.underway


def _fell_at_once(stand: Stand) -> bool:
    """A real fall within the first steps, and dead still ever since: what is learned without the answers, a bias or the frequencies.

    Within one pass over the data that is also what a model does that had learned its task before and takes on a format.
    """
    curve, limits, length = stand.curve, stand.limits, steps_per_epoch(stand.run)
    if length is not None and stand.run.last_step <= length:
        return False
    rest = curve.level[round(limits.quick * len(curve.level)) :]
    early, within = float(np.median(rest[: max(1, len(rest) // 8)])), limits.quiet * stand.level
    still = abs(curve.trend(limits.quick)[0]) <= within and abs(early - stand.level) <= within
    evals = _evals(stand.run)
    still = still and (len(evals) < 4 or evals.trend(limits.quick)[0] >= -within)
    top = float(curve.values[:3].max())
    return stand.ample and still and top / 2 <= stand.level <= (1 - limits.fall) * top


def _nothing(stand: Stand) -> bool:
    """From the first row of a run on, a fall would have been seen, and there was none, nor in any eval or metric, at a level that is not
    known to be that of a model which had learned its task before."""
    curve = stand.curve
    fell_at_first = float(curve.values[0]) - stand.level > max(stand.limits.fall * stand.level, SURE * curve.noise)
    if _learned_before(stand) or fell_at_first:
        return False
    better = max((c.gain for c in metric_changes(stand.run)), default=0.0)
    fall = stand.limits.fall
    sure = stand.change.excludes(fall) and (stand.evals is None or stand.evals.excludes(fall)) and better <= fall
    return sure and stand.ample and stand.far and not stand.underway


def _learned_before(stand: Stand) -> bool:
    """Whether the level is one that only a trained model reaches: far below guessing, or what a language model scores on text it reads."""
    reference, limits = stand.reference, stand.limits
    language = stand.run.task == tasks.LANGUAGE_MODEL and stand.level < limits.high_level
    return language or (reference is not None and reference.certain and stand.level < limits.near_chance * reference.value)


GUESSING, NOTHING = "it is about what guessing scores", "these rows show no learning"
REASONS: dict[str, Callable[[Stand], bool]] = {
    "it is -ln of the smallest float: every answer has probability 0": _underflown,
    "every row is the same": _constant,
    "all rows of the second half are the same": _constant_half,
    "its rows hardly differ": _as_good_as_constant,
    GUESSING: _guessing,
    "it is most of ln(vocabulary), where an untrained model starts": _unigram,
    "it is what an untrained language model scores": _untrained,
    "no language model that learns its task stays there": _foreign,
    "the eval loss and the accuracy have hardly moved": _stuck,
    "neither it nor the accuracy is better than a guess": _answers_like_a_guess,
    "it fell within the first steps and has hardly moved since": _fell_at_once,
    NOTHING: _nothing,
}


def _evidence(stand: Stand, reason: str) -> Evidence:
    curve, vocabulary = stand.curve, log_vocabulary(stand.run)
    chance = stand.reference if reason == GUESSING else None
    level = binned_medians(curve.level, COARSE)
    within = stand.limits.fall * stand.level + 3 * curve.spread.error(len(curve) / len(level))
    away = np.flatnonzero(np.abs(level - stand.level) > within)
    since = (int(away[-1]) + 1) / len(level) if len(away) else 0.0
    first = int(curve.at[min(int(since * len(curve.at)), len(curve.at) - 1)])
    if since == 0 and len(curve) > FEW:
        first = max(first, int(curve.steps[min(int(np.searchsorted(curve.steps, warmup_end(stand.run))), len(curve) - 1)]))
    words = stand.run.task == tasks.LANGUAGE_MODEL or "language model" in reason
    numbers: dict[str, Scalar] = {
        "level": stand.level, "start": curve.start.value, "flat_share_found": 1 - since, "drift_found": abs(stand.late_drift),
        "fall_found": stand.change.gain, "fell": int(stand.change.gain > 0), "chance": chance.value if chance else None,
        "chance_name": chance.name if chance else "", "log_vocabulary": vocabulary, "reason": reason, "signal": stand.change.signal,
        "like_untrained": int(words and stand.level >= stand.limits.untrained), "known": int(reason != NOTHING), "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (stand.change.signal,), first, curve.steps[-1], margin=3 if chance else 2, points=len(curve))
