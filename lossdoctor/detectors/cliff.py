"""The run ends before its plan, while the loss was fine."""

from __future__ import annotations

from lossdoctor.detectors.curve import logging_interval
from lossdoctor.model import Evidence, LogEvent, Skip
from lossdoctor.run import Run
from lossdoctor.run.ends import FATAL, ends_a_run, rank
from lossdoctor.shapes.curve import loss_curve

LEAST_ROWS = 3
EXCERPT, FOURTH = 20, 4  # rows that people paste; part of the plan


def cliff(run: Run, *, missing_share: float) -> Evidence | Skip | None:
    """The newest evidence of the run lies more than `missing_share` of the plan before its end and no source says that it ended by itself,
    or a log ends in an error. A checkpoint's state always stops early and proves nothing by itself."""
    reached, planned = run.last_step, run.planned_steps
    # The last log may lie one logging interval before the end, and steps may be counted from 0.
    slack = logging_interval(run) + 1
    short = planned is not None and planned - reached > max(missing_share * planned, slack)
    death = _death(run, max(missing_share * reached, slack))
    if run.early_stopped or (run.finished and death is None):
        return None
    if death is not None and planned is not None and not short and run.finished is not False:
        return None
    if death is None and (owes_nothing := _silent_end(run)) is not None:
        return owes_nothing
    if death is None and not short:
        return None
    loss = loss_curve(run)
    numbers = {
        "reached": reached, "planned": planned, "missing": 1 - reached / planned if planned else None,
        "death": death.kind if death else "unknown", "last_words": death.text[:200] if death else "",
        "interrupted": int(death is not None and death.kind == "interrupt") * (2 if short else 1),
        "numeric": int(death is not None and death.kind not in FATAL),
        "silent": int(death is None) * (2 if _printed_only(run) else 1),
    }  # fmt: skip
    margin = (1 - reached / planned) / missing_share if planned and short else 2
    return Evidence(numbers, ("train/loss",) if len(loss) else (), reached, ((reached, max(planned or reached, reached)),), margin=margin)


def _silent_end(run: Run) -> Skip | None:
    """Why nothing can be said of the end of a run of which no log tells how it died."""
    if run.planned_steps is None:
        return Skip("the planned number of steps is unknown", "keep training_args.bin or log max_steps; --set max_steps=N")
    if not run.evidence_beyond_state:
        return Skip(
            "a checkpoint's state always ends where it was written; only event files, WandB or a log tell how the run ended",
            "report_to=['tensorboard']",
        )
    if run.window:
        return Skip("the log begins in the middle of the run: a part of a log owes nothing about its end", "keep the whole log")
    if _rows(run) < LEAST_ROWS:
        return Skip("too little was logged to say how the run ended", "log every few steps: logging_steps=10")
    return None


def _death(run: Run, beyond: float) -> LogEvent | None:
    """The fatal message that tells most of those that training did not go on after, in the log itself or `beyond` it in another one.

    A run that says it ended by itself was not killed by what came later: an upload that fails, a terminal that is closed.
    """
    if run.finished:
        return None
    fatal = [e for e in run.events if ends_a_run(e) and not e.numbers.get("went_on")]
    last = [e for e in fatal if e.step is None or run.step_is != "step" or run.last_step - _last_step(e) <= beyond]
    return min(reversed(last), key=rank, default=None)


def _last_step(event: LogEvent) -> float:
    return max(event.step or 0, event.numbers.get("last_step", 0))


def _printed_only(run: Run) -> bool:
    """Whether all that is known was printed: such a log may be cut out of a longer one, or be of a run that goes on. One that was kept
    from the first row on through a good part of the plan is hardly an excerpt."""
    kept = _rows(run) >= EXCERPT and run.planned_steps is not None and FOURTH * run.last_step >= run.planned_steps
    return all(source.kind in ("text", "trainer_state") for source in run.sources) and not kept


def _rows(run: Run) -> int:
    """Rows of the training loss, or of whatever was logged most."""
    return max((len(signal) for signal in run.signals.values()), default=0)
