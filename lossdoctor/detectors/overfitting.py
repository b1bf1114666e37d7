"""Eval loss turns up while train loss goes on falling."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lossdoctor.measures.level import rolling_median
from lossdoctor.measures.noise import Noise
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run, Signal
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import curve_of, loss_curve
from lossdoctor.vitals.change import metric_changes

WIDTHS = ((30, 5), (7, 3), (0, 1))  # evals from which on, and the window of the median that smooths them
FEW_ROWS = 3  # of train that tell where it goes
ORDERED = 5  # evals whose order is evidence: of the 120 orders of five, 16 fall and then rise


@dataclass(frozen=True, slots=True)
class Turn:
    """Where an eval curve bottoms and what it ends at. `lowest`: the lowest eval as logged, at `step`; `minimum`: the smoothed one;
    `sigmas`: the rise in standard errors; `later_above`: the least of the later evals, `later_low`, over the lowest; `trend`: Mann-Kendall
    z since the minimum; `ordered`: five evals or more that all fall one by one, then all rise one by one; `since`: from where it is no
    better; `final`: the median of the last `final_rows` evals."""

    signal: str
    step: int
    lowest: float
    minimum: float
    final: float
    rise: float
    sigmas: float
    later: int
    later_low: float
    later_above: float
    rows: int
    last_step: int
    trend: float
    ordered: bool
    since: int
    final_rows: int


def overfitting(run: Run, *, rise: float, sigmas: float, early_share: float, gap: float) -> Evidence | Skip | None:
    """The eval loss ends `rise` over its minimum and train does not rise. Two evals at least come after it; one will do where it is twice
    that bad, train has gone on falling and no metric got better by as much.

    Noise must not explain it: the rise is `sigmas` standard errors, or a trend of three, or no later eval came back to within `rise` of
    the minimum, or the evals fall one by one and then rise one by one. While train falls, two thirds of the rise will do where it is such a
    trend, and any where a metric got worse by `rise`. A minimum before `early_share` of the run is the hockey stick's matter. Or eval
    learned and then stayed for two thirds of the evals, while train fell on until eval stood `gap` times as far above it as at first: what
    it learns since then is its own rows.
    """
    found = _turn(run, rise, sigmas)
    if isinstance(found, Turn):
        return None if _early(run, found, early_share) else _evidence(run, found, rise)
    wide = max(filter(None, (_gap(run, signal, rise, gap) for signal in run.eval_losses())), key=lambda pair: pair[1], default=None)
    return _evidence(run, wide[0], rise, wide[1] / gap) if wide is not None and not _forgives(run) else found


def hockey_stick(run: Run, *, rise: float, sigmas: float, early_share: float) -> Evidence | Skip | None:
    """Overfitting whose eval minimum lies before `early_share` of the run."""
    found = _turn(run, rise, sigmas)
    if not isinstance(found, Turn):
        return found
    return _evidence(run, found, rise) if _early(run, found, early_share) else None


def _turn(run: Run, rise: float, sigmas: float) -> Turn | Skip | None:
    turns = [turn for signal in run.eval_losses() if (turn := turn_of(signal)) is not None]
    if (train := run.signal("train/loss")) is not None and not np.isfinite(train.values[-1]):
        return None  # a run that went NaN has other troubles
    if not turns:
        return Skip("fewer than 3 evaluations with a finite loss", "evaluate every 5-10% of the steps (eval_steps)")
    worst = max(turns, key=lambda turn: turn.rise)
    falls = _train_since(run, worst) <= -rise
    # Few evals that are twice that bad, while train has gone on falling and no metric got better.
    few = worst.rows < ORDERED and worst.rise >= 2 * rise and falls and all(c.gain <= rise for c in metric_changes(run))
    worse = any(c.lost and -c.gain >= rise for c in metric_changes(run, worst.step))
    beyond_noise = worst.sigmas >= sigmas or worst.trend >= 3 or (worst.later_above >= rise and falls) or worst.ordered or worse
    enough = rise if not falls else 0.0 if worse else 2 * rise / 3 if worst.trend >= 3 else rise
    if worst.rise < enough or _forgives(run) or not (few or (worst.later >= 2 and beyond_noise)):
        return None
    return worst if _train_since(run, worst) <= 0 else None  # train rises as well: divergence


def turn_of(signal: Signal) -> Turn | None:
    """Measure the turn of one eval curve; None for fewer than 3 evals."""
    curve = curve_of(signal)
    n, values = len(curve), curve.values
    if n < 3:
        return None
    best = int(np.argmin(values))
    ordered = n >= ORDERED and bool((np.diff(values[: best + 1]) < 0).all() and (np.diff(values[best:]) > 0).all())
    width = 1 if ordered else next(window for least, window in WIDTHS if n >= least)
    # The reflected ends of a rolling median hide a minimum at the first eval, which is typical.
    smooth = np.concatenate((values[:1], rolling_median(values, width)[1:])) if width > 1 else values
    low = int(np.argmin(smooth))
    minimum, last = float(smooth[low]), max(1, min(5, n // 6))
    final = float(np.median(values[-last:]))
    # An eval is made of the same rows each time: what neighbours share is movement, no noise.
    each = Noise(max(curve.spread.independent, curve.rounding))
    error = float(np.hypot(each.error(width), each.error(last)))
    floor, later = max(abs(minimum), curve.quantum) or 1.0, values[best + 1 :].min(initial=np.inf)
    return Turn(
        signal.name, int(curve.steps[best]), float(values[best]), minimum, final,
        (final - minimum) / floor,
        (final - minimum) / error if error else np.inf, n - 1 - best, float(later),
        (float(later) - float(values[best]) - each.sigma) / floor if best < n - 1 else 0.0, n, int(curve.steps[-1]),
        curve.between(int(curve.steps[low]), np.inf).trend()[1],
        ordered,
        int(curve.steps[best]), last,
    )  # fmt: skip


def _gap(run: Run, signal: Signal, rise: float, gap: float) -> tuple[Turn, float] | None:
    """The eval curve that stayed, from where it did, and how many times as far above train it ends; None where it did not."""
    turn, curve, train = turn_of(signal), curve_of(signal), loss_curve(run)
    if turn is None or len(train) < FEW_ROWS or min(train.values.min(), curve.values.min()) < 0 or not curve.values.all():
        return None
    beside = np.interp(curve.steps + (1 / 2 if run.step_is == "epoch" else 0), train.at, train.level)
    apart = curve.values / np.maximum(beside, max(train.quantum, np.finfo(np.float64).tiny))
    third = max(1, len(curve) // 3)
    middle, last = slice(third, 2 * third), slice(len(curve) - third, None)
    wider = float(np.median(apart[last])) / max(1.0, float(apart[0]))
    gained = float(np.median(curve.values[middle]) - np.median(curve.values[last]))
    stays = gained <= max(rise / 4 * turn.lowest, min(2 * curve.spread.error(third), rise * turn.lowest))
    falls = float(np.median(beside[last])) <= (1 - 2 * rise) * float(np.median(beside[middle]))
    learned = float(np.median(curve.values[middle])) <= (1 - rise) * float(curve.values[0])
    if not (stays and falls and learned) or wider < gap * (2 if len(curve) < ORDERED else 1):
        return None
    return replace(turn, since=int(curve.steps[int(np.argmax(curve.values <= (1 + rise) * turn.lowest))])), wider


def _early(run: Run, turn: Turn, share: float) -> bool:
    return turn.step <= share * max(run.planned_steps or 0, run.last_step, 1)


def _train_since(run: Run, turn: Turn) -> float:
    """Change of the training loss since the turn, as a share of its level there; 0 where it is unknown or within its noise."""
    train = loss_curve(run)
    then = train.between(-np.inf, turn.step)
    if len(train) < FEW_ROWS:
        return 0.0
    around = then.tail() if len(then) else train.start.value
    change = train.tail() - around
    return change / abs(around) if around and abs(change) > 2 * train.noise else 0.0


def _forgives(run: Run) -> bool:
    """In preference training the eval loss rises while the preferences are still learned, better than by guessing: not overfitting yet."""
    guess = {"eval/rewards/accuracies": 0.5, "eval/rewards/margins": 0.0}
    return run.task == tasks.PREFERENCE and any(c.gain > 0 and c.seen and c.last > guess.get(c.signal, np.inf) for c in metric_changes(run))


def _evidence(run: Run, turn: Turn, rise: float, wider: float = 0.0) -> Evidence:
    train = loss_curve(run)
    then = train.between(-np.inf, turn.step)
    train_then = then.tail() if len(then) else None
    train_end = train.tail() if len(train) else None
    risen = (turn.final - turn.lowest) / (abs(turn.lowest) or 1.0)
    numbers: dict[str, Scalar] = {
        "minimum": turn.lowest, "final": turn.final, "rise_found": risen, "best_step": turn.step, "since": turn.since,
        "evals": turn.rows, "later_evals": turn.later, "closest": turn.later_low, "final_rows": turn.final_rows, "train_end": train_end,
        "train_fall": (train_then - train_end) / abs(train_then) if train_then and train_end is not None else None,
        "train_falls": int(_train_since(run, turn) < 0) if len(train) else None, "kind": "gap" if wider else "rise",
        "apart": turn.final / train_end if train_end else None,
    }  # fmt: skip
    signals = (turn.signal, "train/loss") if len(train) else (turn.signal,)
    return Evidence.between(numbers, signals, turn.since, turn.last_step, margin=wider or turn.rise / rise, points=turn.rows * 3)
