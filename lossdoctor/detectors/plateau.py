"""The training loss stands still, and high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import Curve, curve_of, loss_curve, spoiled, warmup_end
from lossdoctor.detectors.levels import chance_level, log_classes, log_vocabulary
from lossdoctor.measures.trend import mann_kendall, theil_sen
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run


@dataclass(frozen=True, slots=True)
class Flat:
    """The flat stretch at the end: since which bin, its level, its total drift against the level, and the fall before it."""

    since: int
    share: float
    level: float
    drift: float
    fall_before: float
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
    chance = chance_level(run, level, chance_tolerance)
    if chance is not None and log_classes(run) is None and vocabulary is None and 0.1 * abs(found.start) < found.start - level < 2 * level:
        chance = None  # with nothing known, a curve that came down to ln 10 may be a language model that stands at 2.3
    if float(np.quantile(curve.level, 0.05)) < 0.93 * level:
        return None  # it has been better: divergence, a spike or a shift
    whole_fall = (found.start - level) / abs(found.start)
    numbers: dict[str, Scalar] = {
        "level": level, "start": found.start, "flat_share_found": found.share, "drift_found": found.drift, "fall": whole_fall,
        "chance": chance[0] if chance else None,
        "chance_name": chance[1] if chance else "", "log_vocabulary": vocabulary,
        "of_vocabulary": level / vocabulary if vocabulary else None, "rows": len(curve), "reason": "",
    }  # fmt: skip
    reason = _why_high(
        run,
        curve,
        found,
        whole_fall,
        chance is not None,
        vocabulary,
        flat_share,
        vocabulary_share,
        high_level,
        quick_share,
        still,
        never_moved,
    )
    if not reason:
        return None
    first = int(curve.at[found.since])
    return Evidence(
        numbers | {"reason": reason},
        ("train/loss",),
        first,
        ((first, int(curve.steps[-1])),),
        margin=_margin(reason, found, flat_share),
        points=len(curve),
    )


def _why_high(run: Run, curve: Curve, found: Flat, fall: float, at_chance: bool, vocabulary: float | None, flat_share: float,
    vocabulary_share: float,
              high_level: float, quick_share: float, still: float, never_moved: float) -> str:  # fmt: skip
    """The reason for calling the level high, or '' where there is none."""
    flat = found.share >= flat_share
    narrow = abs(fall) <= never_moved and float(np.ptp(curve.level)) <= 3 * never_moved * abs(found.level)
    if at_chance and (flat or narrow or (0 <= fall <= 2 * never_moved)):
        return "it is what guessing scores"
    if not flat and not narrow:
        return ""
    if vocabulary is not None and found.level >= vocabulary_share * vocabulary and flat:
        return "it is most of ln(vocabulary), where an untrained model starts"
    if vocabulary is None and found.level >= high_level and _cross_entropy(run):
        return "no language model that learns its task stays there"
    if (
        flat
        and fall > 0.1
        and found.since <= quick_share * len(curve.level)
        and (found.drift <= still or (found.drift <= 2.5 * still and found.quiet))
        and found.level > 1.0
        and len(curve) >= 30
    ):
        return "it fell within the first steps and has not moved since"
    if narrow and _accuracy_stuck(run):
        return "neither the loss nor the accuracy has moved"
    if (
        narrow
        and len(curve) >= 20
        and (found.level >= 0.4 * vocabulary if vocabulary is not None else found.level >= 2.0 and _cross_entropy(run))
    ):
        return "it has never left the level of the first rows"
    return ""


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
                start - middle,
                start,
                abs(mann_kendall(part)) < 2,
            )
    part = level[int(0.6 * n) :]
    middle = float(np.median(part))
    return Flat(n - 1, 0.0, middle, 1.0, start - middle, start)


def _accuracy_stuck(run: Run) -> bool:
    """An accuracy that is far from 1 and has not moved by a hundredth over five evals."""
    accuracy = run.signal("eval/accuracy")
    if accuracy is None or len(accuracy) < 5:
        return False
    values = accuracy.finite.values
    return len(values) >= 5 and float(np.ptp(values)) <= 0.01 and float(np.median(values)) < 0.8


def _cross_entropy(run: Run) -> bool:
    return run.task in ("language-model", "unknown") and run.step_is != "epoch"


def _margin(reason: str, found: Flat, flat_share: float) -> float:
    return 3.0 if reason.startswith("it is what") else 1.0 + found.share / flat_share


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
