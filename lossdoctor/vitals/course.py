"""Was its course steady, did the eval follow, was the plan carried out, did the machine keep up?"""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Scalar
from lossdoctor.numerals import number, percent
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import curve_of, loss_curve, named_curve
from lossdoctor.vitals.answer import Answer, good, unknown
from lossdoctor.vitals.change import metric_changes
from lossdoctor.vitals.progress import ENOUGH, OFTEN, settled
from lossdoctor.vitals.words import of_rows

EVALS = 3  # that show a turn
READINGS = 3  # of the machine; one is a mean of the whole run
ABOVE = 0.25  # of the lowest eval loss: an end so far above it is not good, whether or not it is overfitting
MACHINE = ("perf/", "gpu/")


def steady(run: Run) -> Answer:
    rows = len(loss_curve(run))
    if not rows:
        return unknown("No training loss was logged that could show a spike or a wave.", "Log the training loss every few steps.")
    if rows < ENOUGH:
        return unknown(
            f"{of_rows(rows)} of the training loss cannot show a spike or a wave.",
            OFTEN,
            {"rows": rows},
        )
    return good(f"No lasting disturbance in {of_rows(rows)}.", {"rows": rows})


def generalises(run: Run) -> Answer:
    signal = max(run.eval_losses(), key=lambda one: len(curve_of(one)), default=None)
    if signal is None or not len(evals := curve_of(signal)):
        return _without_eval_loss(run)
    first, last, low = float(evals.values[0]), float(evals.values[-1]), int(np.argmin(evals.values))
    numbers: dict[str, Scalar] = {
        "signal": signal.name, "first": first, "last": last, "lowest": float(evals.values[low]), "lowest_step": int(evals.steps[low]),
    }  # fmt: skip
    if len(evals) < EVALS:
        return unknown(
            f"{'1 eval' if len(evals) == 1 else f'{len(evals)} evals'} (the last {number(last)}) are too few to show a turn.",
            "Evaluate every 5-10% of the steps.",
        )
    moved = f"The eval loss went from {number(first)} to {number(last)}"
    if low == len(evals) - 1:
        return good(f"{moved}, its lowest.", numbers)
    lowest = f"its lowest was {number(float(evals.values[low]))}, at {run.unit} {int(evals.steps[low])}"
    if last - float(evals.values[low]) > ABOVE * abs(float(evals.values[low])):
        return unknown(f"{moved}; {lowest}. That is too far apart to call it good, and too unsteady to call it overfitting.", "", numbers)
    return good(f"{moved}; {lowest}.", numbers)


def _without_eval_loss(run: Run) -> Answer:
    if run.task == tasks.RL:
        return unknown("Nothing here tells how the policy does in episodes of its own.", "Evaluate the policy in such episodes.")
    metric = max(metric_changes(run), key=lambda change: change.rows, default=None)
    if metric is None:
        return unknown("There is no eval loss: overfitting cannot be seen.", "Evaluate every 5-10% of the steps.")
    first, last = (number(float(value)) for value in named_curve(run, metric.signal).values[[0, -1]])
    said = f"{metric.signal} went from {first} to {last} over {of_rows(metric.rows)}"
    return unknown(f"{said}; there is no eval loss that shows overfitting early.", "Log the eval loss beside the metric.")


def complete(run: Run) -> Answer:
    if run.early_stopped:
        return good(f"It was stopped early on purpose, at {run.unit} {run.last_step}.")
    if run.planned_steps is None:
        return good(f"It says that it finished, at {run.unit} {run.last_step}.") if run.finished else _by_epochs(run)
    share = run.last_step / run.planned_steps
    if run.finished or settled(run):
        return good(f"{run.last_step} of {run.planned_steps} planned {run.unit}s were run.", {"share": share})
    return unknown(
        f"The log ends at {run.unit} {run.last_step} of {run.planned_steps} ({percent(share)}); it may be a checkpoint of a longer run.",
        "",
        {"share": share},
    )


def _by_epochs(run: Run) -> Answer:
    """What the settings' epochs say, where nothing tells the planned steps."""
    epochs = max((float(np.nanmax(s.epochs)) for s in run.signals.values() if np.isfinite(s.epochs).any()), default=None)
    if run.planned_epochs is None:
        return unknown("The planned length is unknown.", "Keep the run's settings beside the log, or say --set max_steps=N.")
    reached = f"the log ends at {run.unit} {run.last_step}" if epochs is None else f"the log ends in epoch {number(epochs, 3)}"
    says = f"The settings ask for {number(run.planned_epochs)} epochs; {reached}, and nothing says why."
    return unknown(says, "", {"planned_epochs": run.planned_epochs})


def machine(run: Run) -> Answer:
    some = [name for name, signal in run.signals.items() if name.startswith(MACHINE) and len(signal)]
    logged = [name for name in some if len(run.signals[name]) >= READINGS]
    if not logged:
        rows = f": {of_rows(len(run.signals[some[0]]))} of {some[0]}" if some else ""
        said = f"The machine was hardly logged{rows}." if some else "Throughput, memory and utilization were not logged."
        return unknown(said, "lossdoctor.callback logs them with the Hugging Face Trainer.")
    names = ", ".join(logged[:3]) + (f" and {len(logged) - 3} more" if len(logged) > 3 else "")
    return good(f"No rule found a fault in what was logged of the machine ({names}).", {"signals": len(logged)})
