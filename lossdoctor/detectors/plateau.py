"""The training loss stands still, and high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import Curve, curve_of, loss_curve, spoiled, warmup_end
from lossdoctor.detectors.levels import chance_level, log_classes, log_vocabulary
from lossdoctor.measures.trend import mann_kendall, theil_sen
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run import task as tasks

HIGHEST = 13.0  # nats; ln of the largest vocabularies in use is 12.5


@dataclass(frozen=True, slots=True)
class Flat:
    """The flat stretch at the end: since which bin, its level, its total drift against the level, the start."""

    since: int
    share: float
    level: float
    drift: float
    start: float
    quiet: bool = False


def plateau(
    run: Run,
    *,
    flat_share: float,
    drift: float,
    chance_tolerance: float,
    vocabulary_share: float,
    high_level: float,
    quick_share: float,
    still: float,
    never_moved: float,
) -> Evidence | Skip | None:
    """Flat for `flat_share` of the run (total Theil-Sen drift within `drift` of the level), at a level that is known to be high.

    High is: at chance (within `chance_tolerance` of ln classes, or at ln vocabulary); above `vocabulary_share` of ln vocabulary; above
    `high_level` nats where the vocabulary is unknown; or reached within `quick_share` of the run after a real fall and then dead still
    (within `still`); or never left by more than `never_moved` since the first rows.
    """
    curve = loss_curve(run)
    if spoiled(run):
        return None
    if len(curve) < 8 or curve.scale <= 0:
        return _from_eval(run, chance_tolerance)
    vocabulary = log_vocabulary(run)
    # Near ln(vocabulary) a slow drift is no learning yet; elsewhere it may be.
    high = vocabulary is not None and curve.tail(0.5) >= vocabulary_share * vocabulary
    found = flat_stretch(curve, run, 3 * drift if high else drift)
    level = found.level
    if level <= 10 * curve.quantum or level <= 0.05:
        return None
    if float(np.quantile(curve.level, 0.05)) < 0.93 * level:
        return None  # it has been better: divergence, a spike or a shift
    stand = _stand(run, curve, found, _chance(run, found, chance_tolerance), flat_share, never_moved)
    reason = (
        ("it is what guessing scores" if _guessing(stand, never_moved) else "")
        or (
            "it is most of ln(vocabulary), where an untrained model starts"
            if stand.flat and high and level >= vocabulary_share * (vocabulary or 0)
            else ""
        )
        or (
            "no language model that learns its task stays there"
            if stand.rests and vocabulary is None and level >= high_level and _cross_entropy(run, level)
            else ""
        )
        or ("it fell within the first steps and has not moved since" if _fell_at_once(stand, quick_share, still) else "")
        or ("neither the loss nor the accuracy has moved" if stand.narrow and _accuracy_stuck(run) else "")
        or ("it has never left the level of the first rows" if _never_left(run, stand, vocabulary) else "")
    )
    return _evidence(stand, vocabulary, reason, flat_share) if reason else None


@dataclass(frozen=True, slots=True)
class Stand:
    """How the curve stands: its flat stretch, its fall over the whole run, the chance level it stands at (value and name)."""

    curve: Curve
    found: Flat
    fall: float
    chance: tuple[float, str] | None
    flat: bool
    narrow: bool

    @property
    def rests(self) -> bool:
        return self.flat or self.narrow


def _stand(run: Run, curve: Curve, found: Flat, chance: tuple[float, str] | None, flat_share: float, never_moved: float) -> Stand:
    fall = (found.start - found.level) / abs(found.start)
    narrow = abs(fall) <= never_moved and float(np.ptp(curve.level)) <= 3 * never_moved * abs(found.level)
    return Stand(curve, found, fall, chance, found.share >= flat_share, narrow)


def _chance(run: Run, found: Flat, tolerance: float) -> tuple[float, str] | None:
    """The chance level of the stretch; with nothing known, a curve that came down to ln 10 may be a language model that stands at 2.3."""
    unknown = log_classes(run) is None and log_vocabulary(run) is None
    if unknown and 0.1 * abs(found.start) < found.start - found.level < 2 * found.level:
        return None
    return chance_level(run, found.level, tolerance)


def _guessing(stand: Stand, never_moved: float) -> bool:
    return stand.chance is not None and (stand.rests or 0 <= stand.fall <= 2 * never_moved)


def _fell_at_once(stand: Stand, quick_share: float, still: float) -> bool:
    """A real fall at the very beginning, then dead still."""
    found, curve = stand.found, stand.curve
    dead = found.drift <= still or (found.drift <= 2.5 * still and found.quiet)
    return (
        stand.flat
        and dead
        and stand.fall > 0.1
        and found.since <= quick_share * len(curve.level)
        and found.level > 1.0
        and len(curve) >= 30
    )


def _never_left(run: Run, stand: Stand, vocabulary: float | None) -> bool:
    """Flat from the first row on, at a level that no trained language model starts with."""
    if not stand.narrow or len(stand.curve) < 20:
        return False
    return (
        stand.found.level >= 0.4 * vocabulary
        if vocabulary is not None
        else stand.found.level >= 2.0 and _cross_entropy(run, stand.found.level)
    )


def _evidence(stand: Stand, vocabulary: float | None, reason: str, flat_share: float) -> Evidence:
    found, curve = stand.found, stand.curve
    numbers: dict[str, Scalar] = {
        "level": found.level,
        "start": found.start,
        "flat_share_found": found.share,
        "drift_found": found.drift,
        "fall": stand.fall,
        "chance": stand.chance[0] if stand.chance else None,
        "chance_name": stand.chance[1] if stand.chance else "",
        "log_vocabulary": vocabulary,
        "of_vocabulary": found.level / vocabulary if vocabulary else None,
        "rows": len(curve),
        "reason": reason,
    }
    first = int(curve.at[found.since])
    margin = 3.0 if _is_chance(reason) else 1.0 + found.share / flat_share
    return Evidence(numbers, ("train/loss",), first, ((first, int(curve.steps[-1])),), margin=margin, points=len(curve))


def _is_chance(reason: str) -> bool:
    return reason == "it is what guessing scores"


def flat_stretch(curve: Curve, run: Run, drift: float) -> Flat:
    """The longest stretch to the end whose total drift stays within `drift` of its level or within its noise."""
    level = curve.level
    n = len(level)
    begin = int(np.searchsorted(curve.at, min(warmup_end(run), curve.steps[0] + 0.05 * curve.span)))
    x = np.arange(n, dtype=np.float64)
    start = float(np.max(level[: max(2, n // 20)]))
    for since in sorted({begin, *np.linspace(begin, int(0.6 * n), 13).astype(int).tolist()}):
        part = level[since:]
        if len(part) < 4:
            break
        middle = float(np.median(part))
        moved = theil_sen(x[since:], part) * (len(part) - 1)
        significant = abs(mann_kendall(part)) > 4
        if abs(moved) <= drift * abs(middle) * (1.0 if significant else 1.5) and abs(
            float(np.median(part[: max(2, len(part) // 8)])) - middle
        ) <= max(2 * drift * abs(middle), 2.5 * curve.level_noise):
            return Flat(
                since,
                (n - since) / n,
                middle,
                abs(moved) / abs(middle) if middle else 0.0,
                start,
                abs(mann_kendall(part)) < 2,
            )
    part = level[int(0.6 * n) :]
    middle = float(np.median(part))
    return Flat(n - 1, 0.0, middle, 1.0, start)


def _accuracy_stuck(run: Run) -> bool:
    """An accuracy that is far from 1 and has not moved by a hundredth over five evals."""
    accuracy = run.signal("eval/accuracy")
    if accuracy is None or len(accuracy) < 5:
        return False
    values = accuracy.finite.values
    return len(values) >= 5 and float(np.ptp(values)) <= 0.01 and float(np.median(values)) < 0.8


def _cross_entropy(run: Run, level: float) -> bool:
    """Whether the loss is nats a token: of a language model, or, where the task is unknown, at a level that ln(vocabulary) could reach."""
    return run.step_is != "epoch" and (run.task == tasks.LANGUAGE_MODEL or (run.task == tasks.UNKNOWN and level <= HIGHEST))


def _from_eval(run: Run, tolerance: float) -> Evidence | Skip | None:
    """Without a training loss the eval loss may still stand at chance."""
    for signal in run.eval_losses():
        curve = curve_of(signal)
        if len(curve) < 5:
            continue
        level = curve.tail()
        chance = chance_level(run, level, tolerance)
        fall = (float(curve.values[0]) - level) / abs(float(curve.values[0])) if curve.values[0] else 1.0
        if chance and abs(fall) < tolerance:
            numbers: dict[str, Scalar] = {
                "level": level,
                "start": float(curve.values[0]),
                "fall": fall,
                "chance": chance[0],
                "chance_name": chance[1],
                "flat_share_found": 1.0,
                "drift_found": abs(fall),
                "reason": "it is what guessing scores",
                "rows": len(curve),
            }
            return Evidence(numbers, (signal.name,), int(curve.steps[0]), ((int(curve.steps[0]), int(curve.steps[-1])),), points=len(curve))
        return None
    return Skip("fewer than 8 values of the training loss", "log more often: logging_steps so that the run gives at least 50 rows")
