"""Did it learn, and did it keep what it won?"""

from __future__ import annotations

from math import hypot, inf, isfinite

from lossdoctor.model import Scalar
from lossdoctor.numerals import number, percent
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import EIGHTHS, Curve, Level, curve_of, loss_curve, named_curve
from lossdoctor.vitals.answer import Answer, good, unknown
from lossdoctor.vitals.change import SURE, Change, eval_change, loss_change, metric_changes, reward_change
from lossdoctor.vitals.words import of_rows, said, sentence

LEAST = 0.03  # of the first level: less is no progress that a reader would sign
FEW = 8  # rows of a loss; below it the end of the curve is a row or two
ENOUGH = 12  # rows that show all there is to see of a short run
FEWEST = 5  # rows, even where the plan was carried out
PLAN = 0.9  # of the plan: as good as all of it
SETTLED_RATE = 0.1  # of its peak: a schedule that came to its end
TENTH = 10  # rows that have a beginning
TWENTIETH = 20  # of the rows, at most `FEWEST`: the very beginning
MANY = 20  # times as many rows: more than that nobody will log
LOST = 0.1  # of the best level: what ends so far above it has not kept it, whatever the reason
QUIETER = "Evaluate on the same rows before, during and after training: an eval loss has less noise."
OFTEN = f"Log the loss more often: {ENOUGH} rows would do."


def learning(run: Run) -> Answer:
    """Good where a loss or a metric got better by LEAST, beyond its noise."""
    if run.task == tasks.RL and reward_change(run) is None:
        return unknown("The loss of reinforcement learning does not tell whether it learns.", "Log the mean reward.")
    seen, loss = _seen(run), loss_change(run)
    best = max((c for c in seen if c.seen and c.gain >= LEAST), key=lambda c: (c == loss, c.rows), default=None)
    if best is not None and (began := _began_lower(run, best)) is not None:
        came = f"The training loss came down to about {number(best.last)}, but began at about {number(began)}"
        return unknown(f"{came}: it is no better than at first.", QUIETER, _numbers(run, best))
    if best is not None:
        return good(sentence(_moved(run, best)), _numbers(run, best))
    first = max(seen, key=lambda c: c.rows, default=None)
    if first is None:
        return unknown("No loss was logged often enough to compare its start with its end.", "Log the training loss every few steps.")
    if (lost := _lost_again(run, first)) is not None:
        moved = sentence(_moved(run, first)).rstrip(".")
        return unknown(f"{moved}, after a level of {number(lost.value)} around {run.unit} {lost.step}.", "", _numbers(run, first))
    if first.excludes(LEAST) and first.rows >= FEWEST:
        wanted = "Evaluate the model before and after training on the same rows: that tells whether it had converged."
        return unknown(f"No learning is visible: {_moved(run, first)}", wanted, _numbers(run, first))
    doubt = "Too few rows to be sure that it learns" if abs(first.gain) > 2 * first.error else "Learning cannot be told from noise"
    return unknown(f"{doubt}: {_moved(run, first)}", _wanted(first), _numbers(run, first))


def _lost_again(run: Run, change: Change) -> Level | None:
    """The best level of a loss that was far below its first one, beyond noise, and far below its last."""
    curve = named_curve(run, change.signal)
    if not change.signal.endswith("loss") or len(curve) < TENTH:
        return None
    began = curve.head(max(1, min(FEWEST, len(curve) // TWENTIETH)))
    best, ends = curve.best, min(max(change.first, began), change.last)
    clear = ends - best.value > max(LOST * abs(ends), SURE * hypot(best.error, curve.start.error))
    return best if clear else None


def _began_lower(run: Run, change: Change) -> float | None:
    """The level of the very first rows of the training loss, where it rose from there within the first eighth and never came back."""
    curve = named_curve(run, change.signal)
    if not change.signal.startswith("train/") or change.gain <= 0 or len(curve) < TENTH:
        return None
    began = curve.head(max(1, min(FEWEST, len(curve) // TWENTIETH)))
    return began if began < change.last else None


def kept(run: Run) -> Answer:
    """Good where enough rows say that the loss ends at its best level, within the noise."""
    if run.task == tasks.RL:
        reward = reward_change(run)
        if reward is None or reward.lost:
            return unknown("Only the reward could tell.", "Log the mean reward.")
        return good(f"The reward went from a level of {number(reward.first)} to {number(reward.last)}.", _numbers(run, reward))
    curve, name = main_curve(run)
    evals = max((len(signal) for signal in run.eval_losses()), default=0)
    rows = len(loss_curve(run)) + evals if settled(run) else max(len(loss_curve(run)), evals)
    if len(curve) < 2 or rows < (FEWEST if settled(run) else FEW):
        ends = [number(float(value)) for value in curve.values[[0, -1]]] if len(curve) > 1 else []
        moved = f"{said(name)}, which went from {' to '.join(ends)}," if ends else said(name)
        return unknown(f"{sentence(of_rows(rows))} cannot tell whether {moved} had settled.", OFTEN, {"rows": rows})
    if (jumped := _last_eval_jumped(run)) is not None:
        last, low = jumped
        return unknown(
            f"The last eval loss, {number(last)}, is {last / low:.2g} times the lowest, {number(low)}: it is not settled.", "", {}
        )
    signal = run.signals[name]
    if not isfinite(signal.values[-1]):
        return unknown(f"{sentence(said(name))} ends in a row that is no number.", "", {"rows": rows})
    best, end = curve.best, curve.end
    above = end.value - best.value
    numbers: dict[str, Scalar] = {"signal": name, "end": end.value, "best": best.value, "best_step": best.step}
    stands = f"{sentence(said(name))} ends at a level of {number(end.value)}"
    if above > max(SURE * hypot(best.error, end.error), LOST * abs(best.value)) and above > LOST * abs(curve.start.value - best.value):
        if (held := _held_out_gained(run, best.step)) is not None:
            return good(
                f"{stands}, above the {number(best.value)} around {run.unit} {best.step}, on harder rows: the eval loss fell on to "
                f"{number(held)}.",
                numbers,
            )
        return unknown(f"{stands}; around {run.unit} {best.step} it was {number(best.value)}.", "", numbers)
    return good(f"{stands}, and was never better beyond the noise.", {"signal": name, "end": end.value})


def _last_eval_jumped(run: Run) -> tuple[float, float] | None:
    """The last eval loss and the lowest, where it stands at twice that and above by a part of all that was won that matters."""
    evals = max((curve_of(signal) for signal in run.eval_losses()), key=len, default=None)
    if evals is None or not len(evals):
        return None
    first, last, low = float(evals.values[0]), float(evals.values[-1]), float(evals.values.min())
    return (last, low) if last >= 2 * low > 0 and last - low > LOST * abs(first - low) else None


def _held_out_gained(run: Run, step: int) -> float | None:
    """Where the eval loss ends, if that is its best level and below the one at a step: then a rise of the training loss lost nothing."""
    evals = max((curve_of(signal) for signal in run.eval_losses()), key=len, default=None)
    if evals is None or len(evals) < FEWEST or evals.end.value > evals.best.value + SURE * evals.best.error:
        return None
    then = evals.between(-inf, step)
    return evals.end.value if len(then) and evals.end.value + evals.end.error < then.tail() else None


def settled(run: Run) -> bool:
    """Whether the run came to an end of its own: plan carried out, stopped early on purpose, or its learning rate decayed."""
    rate = named_curve(run, "train/learning_rate")
    decayed = len(rate) > 1 and rate.values[-1] <= SETTLED_RATE * rate.values.max()
    whole = run.planned_steps is not None and run.last_step >= PLAN * run.planned_steps
    return whole or bool(run.finished) or run.early_stopped or decayed


def main_curve(run: Run) -> tuple[Curve, str]:
    """The training loss, or the eval loss where train was hardly logged."""
    train = loss_curve(run)
    best = max(((curve_of(s), s.name) for s in run.eval_losses()), key=lambda pair: len(pair[0]), default=(train, "train/loss"))
    return best if len(best[0]) > len(train) and len(train) < FEWEST else (train, "train/loss")


def _seen(run: Run) -> list[Change]:
    """What can show learning: losses and metrics; in reinforcement learning the reward alone."""
    if run.task == tasks.RL:
        return [change for change in (reward_change(run),) if change is not None]
    losses = [change for change in (loss_change(run), eval_change(run)) if change is not None]
    return losses + list(metric_changes(run))


def _moved(run: Run, change: Change) -> str:
    """From the first row to the last, as anybody can look them up, and what the level did, which noise does not feign."""
    first, last = (float(value) for value in named_curve(run, change.signal).values[[0, -1]])
    went = f"{said(change.signal)} went from {number(first)} to {number(last)} over {of_rows(change.rows)}"
    if change.first == change.last:
        return f"{said(change.signal)} is {number(last)} in all {of_rows(change.rows)}." if first == last else f"{went}; its level stayed."
    if not change.first:
        return f"{went}."
    base = max(abs(change.first), abs(change.last)) / abs(change.first)  # the error is of the larger level
    margin = f" ± {percent(2 * base * change.error)}" if 0 < change.error < 1 / 2 else ""
    moved = f"{'+' if change.last > change.first else '-'}{percent(abs(change.last - change.first) / abs(change.first))}{margin}"
    single = change.rows < 2 * EIGHTHS  # an eighth of them is one row
    return f"{went} ({moved}{'' if single else ' between the medians of the first and the last eighth'})."


def _numbers(run: Run, change: Change) -> dict[str, Scalar]:
    first, last = (float(value) for value in named_curve(run, change.signal).values[[0, -1]])
    return {
        "signal": change.signal, "first": first, "last": last, "first_level": change.first, "last_level": change.last,
        "gain": change.gain, "error": change.error, "rows": change.rows,
    }  # fmt: skip


def _wanted(change: Change) -> str:
    """What would tell: as many rows as make twice the error of the change LEAST (it falls with the square root of the rows), or an eval."""
    rows = FEW if change.error >= 1 else max(FEW, round(change.rows * (2 * change.error / LEAST) ** 2))
    if change.rows < rows <= MANY * max(change.rows, FEW):
        return f"Log the loss more often: {max(rows, ENOUGH)} rows would do."
    return QUIETER
