"""Did it learn, and did it keep what it won?"""

from __future__ import annotations

from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve
from lossdoctor.vitals.answer import Answer, good, unknown
from lossdoctor.vitals.change import Change, eval_change, loss_change, metric_changes, reward_change
from lossdoctor.vitals.words import number, of_rows, percent

LEAST = 0.03  # of the first level: less is no progress that a reader would sign
FEW = 8  # rows of all losses; below it the end of the curve is a row or two
FEWEST = 5  # rows, even where the plan was carried out
PLAN = 0.9  # of the plan: as good as all of it
SETTLED_RATE = 0.1  # of its peak: a schedule that came to its end


def learning(run: Run) -> Answer:
    """Good where a loss or a metric got better by LEAST, beyond its noise."""
    seen = _seen(run)
    best = max((c for c in seen if c.seen and c.gain >= LEAST), key=lambda c: (c.signal == "train/loss", c.rows), default=None)
    if best is not None:
        return good(_moved(best), _numbers(best))
    if run.task == tasks.RL and not seen:
        return unknown("The loss of reinforcement learning does not tell whether it learns.", "Log the mean reward.")
    first = max(seen, key=lambda c: c.rows, default=None)
    if first is None:
        return unknown("No loss was logged often enough to compare its start with its end.", "Log the training loss every few steps.")
    if first.excludes(LEAST) and first.rows >= FEWEST:
        return unknown(
            f"No learning is visible: {_moved(first)}",
            "Whether it had already converged, only an eval or a known level tells.",
            _numbers(first),
        )
    return unknown(
        f"Nothing can be said about learning: {_moved(first)}",
        f"Log more often: {_rows_wanted(first)} rows would show a change of {percent(LEAST)}.",
        _numbers(first),
    )


def kept(run: Run) -> Answer:
    """Good where the loss ends at its best level within the noise, and enough rows say so."""
    curve, name = main_curve(run)
    evals = max((len(signal) for signal in run.eval_losses()), default=0)
    rows = len(loss_curve(run)) + evals if settled(run) else max(len(loss_curve(run)), evals)
    reward = reward_change(run)
    if run.task == tasks.RL:
        return (
            good("The reward ends no lower than it began.", {})
            if reward is not None and reward.seen
            else unknown("Only the reward tells, and it does not.", "Log the mean reward.")
        )
    if len(curve) < 2:
        return unknown("Too few rows say where the run ended.", "Log the training loss every few steps.")
    if rows < (FEWEST if settled(run) else FEW):
        moved = f"from {number(curve.start.value)} to {number(curve.end.value)}"
        return unknown(
            f"{of_rows(rows)}: the loss went {moved}, but nothing says whether it had settled.",
            f"Log more often: {FEW} rows would do.",
            {"rows": rows},
        )
    return good(
        f"It ends at {number(curve.end.value)}; its best level was {number(curve.best.value)}.",
        {"end": curve.end.value, "best": curve.best.value},
    )


def settled(run: Run) -> bool:
    """Whether the run came to an end of its own: plan carried out, stopped early on purpose, or its learning rate decayed."""
    rate = named_curve(run, "train/learning_rate")
    decayed = len(rate) > 1 and rate.values[-1] <= SETTLED_RATE * rate.values.max()
    whole = run.planned_steps is not None and run.last_step >= PLAN * run.planned_steps
    return whole or bool(run.finished) or run.early_stopped or decayed


def main_curve(run: Run) -> tuple[Curve, str]:
    """The training loss, or the eval loss where that was logged more often."""
    from lossdoctor.shapes.curve import curve_of

    train = loss_curve(run)
    best = max(((curve_of(s), s.name) for s in run.eval_losses()), key=lambda pair: len(pair[0]), default=(train, "train/loss"))
    return best if len(best[0]) > len(train) and len(train) < FEWEST else (train, "train/loss")


def _seen(run: Run) -> list[Change]:
    """What can show learning: losses and metrics; in reinforcement learning the reward alone."""
    if run.task == tasks.RL:
        reward = reward_change(run)
        return [reward] if reward is not None else []
    losses = [c for c in (loss_change(run), eval_change(run)) if c is not None]
    return losses + list(metric_changes(run))


def _moved(change: Change) -> str:
    sign = "+" if change.last > change.first else "-"
    size = abs(change.last - change.first) / max(abs(change.first), 1e-300)
    margin = f", +- {percent(2 * change.error)}" if change.error < 1 else ""
    return f"{change.signal} went from {number(change.first)} to {number(change.last)} ({sign}{percent(size)}{margin}) over {of_rows(change.rows)}."


def _numbers(change: Change) -> dict[str, float | int | str | bool | None]:
    return {
        "signal": change.signal,
        "first": change.first,
        "last": change.last,
        "gain": change.gain,
        "error": change.error,
        "rows": change.rows,
    }


def _rows_wanted(change: Change) -> int:
    """Rows at which twice the error of the change would be LEAST: the error falls with the square root of the rows."""
    return max(FEW, min(round(change.rows * (2 * change.error / LEAST) ** 2), 10 * FEW * FEW))
