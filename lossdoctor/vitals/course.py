"""Was its course steady, did the eval follow, was the plan carried out, did the machine keep up?"""

from __future__ import annotations

from lossdoctor.numerals import number
from lossdoctor.run import Run
from lossdoctor.shapes.curve import curve_of, loss_curve
from lossdoctor.vitals.answer import Answer, good, unknown
from lossdoctor.vitals.progress import settled
from lossdoctor.vitals.words import of_rows, percent

STEADY = 12  # rows that show a spike or a wave
EVALS = 3  # that show a turn
MACHINE = ("perf/", "gpu/")


def steady(run: Run) -> Answer:
    rows = len(loss_curve(run))
    if not rows:
        return unknown("No training loss was logged that could show a spike or a wave.", "Log the training loss every few steps.")
    if rows < STEADY:
        return unknown(
            f"{of_rows(rows)} of the training loss cannot show a spike or a wave.",
            f"Log more often: {STEADY} rows of the loss would do.",
            {"rows": rows},
        )
    return good(f"No lasting disturbance in {of_rows(rows)}.", {"rows": rows})


def generalises(run: Run) -> Answer:
    evals = max((curve_of(signal) for signal in run.eval_losses()), key=len, default=None)
    if evals is None or not len(evals):
        return unknown("There is no eval loss: overfitting cannot be seen.", "Evaluate every 5-10 % of the steps.")
    first, last, low = float(evals.values[0]), float(evals.values[-1]), float(evals.values.min())
    if len(evals) < EVALS:
        return unknown(
            f"{len(evals)} evals (the last at {number(last)}) show no trend.",
            f"Evaluate every 5-10 % of the steps: {EVALS} evals would do.",
        )
    return good(
        f"The eval loss went from {number(first)} to {number(last)}; its lowest was {number(low)}.",
        {"first": first, "last": last, "lowest": low},
    )


def complete(run: Run) -> Answer:
    if run.early_stopped:
        return good(f"It was stopped early on purpose, at {_unit(run)} {run.last_step}.")
    if run.planned_steps is None:
        return (
            good(f"It says that it finished, at {_unit(run)} {run.last_step}.")
            if run.finished
            else unknown("The planned length is unknown.", "Keep the run's settings beside the log, or say --set max_steps=N.")
        )
    share = run.last_step / run.planned_steps
    if run.finished or settled(run):
        return good(f"{run.last_step} of {run.planned_steps} planned {_unit(run)}s were run.", {"share": share})
    return unknown(
        f"The log ends at {_unit(run)} {run.last_step} of {run.planned_steps} ({percent(share)}); it may be a checkpoint of a longer run.",
        "",
        {"share": share},
    )


def machine(run: Run) -> Answer:
    logged = [name for name, signal in run.signals.items() if name.startswith(MACHINE) and len(signal)]
    if not logged:
        return unknown(
            "Throughput, memory and utilisation were not logged.", "lossdoctor.callback logs them with the Hugging Face Trainer."
        )
    return good(f"{len(logged)} signals of the machine are in order.", {"signals": len(logged)})


def _unit(run: Run) -> str:
    return run.step_is if run.step_is != "call" else "log call"
