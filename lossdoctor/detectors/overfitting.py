"""Eval loss turns up while train loss goes on falling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.measures.level import noise, rolling_median
from lossdoctor.measures.trend import mann_kendall
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run, Signal
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve

CLEAR_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Turn:
    """Where an eval curve bottoms and what it ends at."""

    signal: str
    index: int
    step: int
    minimum: float
    final: float
    rise: float
    sigmas: float
    later: int
    later_higher: int
    rows: int
    last_step: int
    trend: float


def overfitting(run: Run, *, rise: float, sigmas: float, early_share: float, early_epochs: float) -> Evidence | Skip | None:
    """The smoothed eval loss ends `rise` over its minimum and beyond `sigmas` of its noise, two evals at least after it, train not rising.

    A minimum before `early_epochs` epochs or `early_share` of the run is the hockey stick's matter.
    """
    found = _turn(run, rise, sigmas)
    if not isinstance(found, Turn):
        return found
    return None if _early(run, found, early_share, early_epochs) else _evidence(run, found, rise)


def hockey_stick(run: Run, *, rise: float, sigmas: float, early_share: float, early_epochs: float) -> Evidence | Skip | None:
    """Overfitting whose eval minimum lies before `early_epochs` epochs or `early_share` of the run."""
    found = _turn(run, rise, sigmas)
    if not isinstance(found, Turn):
        return found
    return _evidence(run, found, rise) if _early(run, found, early_share, early_epochs) else None


def _turn(run: Run, rise: float, sigmas: float) -> Turn | Skip | None:
    if any(not np.isfinite(signal.values).all() for signal in run.eval_losses()):
        return None  # a run that went NaN has other troubles
    turns = [turn for signal in run.eval_losses() if (turn := turn_of(signal)) is not None]
    if not turns:
        return Skip("fewer than 3 evaluations with a finite loss", "evaluate every 5-10 % of the steps (eval_steps)")
    worst = max(turns, key=lambda turn: turn.rise)
    # The threshold leaves room for noise. Where twenty later evals confirm the rise and noise is a thirtieth of it, less is enough.
    least = CLEAR_SHARE * rise if worst.sigmas >= 30 and worst.later >= 20 else rise
    if worst.later < 2 or worst.rise < least or (worst.sigmas < sigmas and worst.trend < 3.0):
        return None
    return worst if _train_goes_on(run, worst) and not _forgives(run, worst) else None


def turn_of(signal: Signal) -> Turn | None:
    """Measure the turn of one eval curve; None for fewer than 3 evals."""
    curve = curve_of(signal)
    n = len(curve)
    if n < 3:
        return None
    width = 1 if n < 7 else 3 if n < 30 else 5
    smooth = rolling_median(curve.values, width) if width > 1 else curve.values
    # The reflected ends of a rolling median hide a minimum at the first eval, which is typical.
    smooth = np.concatenate((curve.values[:1], smooth[1:]))
    low = int(np.argmin(smooth))
    # The eval to go back to is the lowest one beside the lowest median.
    best = max(0, low - width // 2) + int(np.argmin(curve.values[max(0, low - width // 2) : low + width // 2 + 1]))
    minimum = float(smooth[low])
    last = max(1, min(5, n // 6))
    final = float(np.median(curve.values[-last:]))
    # Noise of the difference of a median of `width` and one of `last` evals.
    scatter = max(_scatter(curve, low), curve.quantum / 2) * float(np.sqrt(1 / width + 1 / last)) * (1.25 if width > 1 else 1.0)
    floor = max(abs(minimum), 1e-3)
    later = smooth[low + 1 :]
    return Turn(
        signal.name,
        low,
        int(curve.steps[best]),
        minimum,
        final,
        (final - minimum) / floor,
        (final - minimum) / scatter if scatter else np.inf,
        len(later),
        int((later > minimum).sum()),
        n,
        int(curve.steps[-1]),
        mann_kendall(curve.values[low:]),
    )


def _scatter(curve: Curve, low: int) -> float:
    """Noise of single evals around a smooth curve; from second differences, because few evals on a bend are all trend."""
    values = curve.values
    if len(values) < 5:
        return 0.0
    bends = values[2:] - 2 * values[1:-1] + values[:-2]
    return (
        min(float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6)), noise(values))
        if len(values) < 12
        else noise(values[max(0, low - 3) :] if len(values) - low > 12 else values)
    )


def _early(run: Run, turn: Turn, share: float, epochs: float) -> bool:
    planned_last = max(run.last_step, 1)
    at = _epoch_at(run, turn)
    return turn.step <= share * planned_last or (at is not None and at <= epochs)


def _epoch_at(run: Run, turn: Turn) -> float | None:
    signal = run.signals[turn.signal].in_order
    where = np.flatnonzero(signal.steps == turn.step)
    value = float(signal.epochs[where[0]]) if len(where) else np.nan
    return value if np.isfinite(value) and run.step_is != "epoch" else None


def _train_goes_on(run: Run, turn: Turn) -> bool:
    """Train must not rise as well: that is divergence. Unknown train counts as going on."""
    train = loss_curve(run)
    if len(train) < 4:
        return True
    then = train.values[train.steps <= turn.step]
    around = float(np.median(then[-max(3, len(train) // 20) :])) if len(then) else train.head(2)
    end = train.tail()
    return end <= around + max(2 * train.noise, 0.02 * abs(around))


def _forgives(run: Run, turn: Turn) -> bool:
    """In preference training the eval loss rises while the preference accuracy still grows: not overfitting yet."""
    if run.task != tasks.PREFERENCE:
        return False
    accuracy = run.signal("eval/rewards/accuracies") or run.signal("eval/rewards/margins")
    if accuracy is None or len(accuracy) < 3:
        return False
    values = accuracy.in_order
    at_turn = values.values[values.steps <= turn.step]
    return bool(len(at_turn) and values.values[-1] > at_turn[-1])


def _evidence(run: Run, turn: Turn, rise: float) -> Evidence:
    train = loss_curve(run)
    then = train.values[train.steps <= turn.step]
    train_then = float(np.median(then[-3:])) if len(then) else None
    train_end = train.tail() if len(train) else None
    numbers = {
        "minimum": turn.minimum, "final": turn.final, "rise_found": turn.rise, "best_step": turn.step, "best_epoch": _epoch_at(run, turn),
        "evals": turn.rows, "later_evals": turn.later,
        "later_higher": turn.later_higher, "sigmas_found": min(turn.sigmas, 1e6), "best_share": turn.step / max(run.last_step, 1),
        "train_at_best": train_then, "train_end": train_end,
        "train_fall": (train_then - train_end) / abs(train_then) if train_then and train_end is not None else None,
        "beside": "while train keeps falling" if train_end is not None else "(train was not logged)", "eval_signal": turn.signal,
    }  # fmt: skip
    return Evidence(
        numbers,
        (turn.signal, "train/loss") if len(train) else (turn.signal,),
        turn.step,
        ((turn.step, turn.last_step),),
        margin=turn.rise / rise,
        points=turn.rows * 3,
    )
