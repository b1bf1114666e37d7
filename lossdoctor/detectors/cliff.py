"""The run ends before its plan, while the loss was fine."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence, LogEvent, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import loss_curve

LEAST_ROWS = 3
FATAL = (
    "oom",
    "host-oom",
    "killed",
    "sigkill",
    "nccl-timeout",
    "device-assert",
    "cuda-error",
    "no-space",
    "hangup",
    "dataloader-killed",
    "preempted",
    "sigterm",
    "traceback",
)


def cliff(run: Run, *, missing_share: float) -> Evidence | Skip | None:
    """The newest evidence of the run lies more than `missing_share` of the plan before its end, no source says that it ended by itself,
    or the log ends in an error. A checkpoint's state always stops early and proves nothing by itself."""
    if run.early_stopped:
        return None
    death = _death(run)
    if run.finished and death is None:
        return None
    reached, planned = run.last_step, run.planned_steps
    # The last log may lie one logging interval before the end, and steps may be counted from 0.
    short = planned is not None and planned - reached > max(missing_share * planned, _interval(run) + 1)
    if death is None:
        if planned is None:
            return Skip("the planned number of steps is unknown", "keep training_args.bin or log max_steps; --set max_steps=N")
        if not run.evidence_beyond_state:
            return Skip(
                "a checkpoint's state always ends where it was written; only event files, WandB or a log tell how the run ended",
                "report_to=['tensorboard']",
            )
        if _rows(run) < LEAST_ROWS:
            return Skip("too little was logged to say how the run ended", "log every few steps: logging_steps=10")
        if not short or run.finished:
            return None
    elif planned is not None and not short and run.finished is not False:
        return None
    elif planned is None and death.kind == "traceback" and _rows(run):
        return Skip("the log holds a traceback, but the plan is unknown: it may have come after the training", "--set max_steps=N")
    loss = loss_curve(run)
    numbers = {
        "reached": reached, "planned": planned, "missing": 1 - reached / planned if planned else None,
        "death": death.kind if death else "unknown", "last_words": death.text[:200] if death else "",
        "final_loss": float(loss.values[-1]) if len(loss) else None,
        "interrupted": 1 if death is not None and death.kind == "interrupt" else 0, "has_loss": len(loss),
    }  # fmt: skip
    margin = (1 - reached / planned) / missing_share if planned and short else 3.0
    return Evidence(numbers, ("train/loss",) if len(loss) else (), reached, ((reached, max(planned or reached, reached)),), margin=margin)


def _death(run: Run) -> LogEvent | None:
    """The last event that ends a run; an interrupt by the user counts as its own kind."""
    fatal = [e for e in run.events if e.kind in FATAL or e.kind == "interrupt"]
    specific = [e for e in fatal if e.kind != "traceback"]
    return next(reversed(specific or fatal), None)


def _rows(run: Run) -> int:
    """Rows of the training loss, or of whatever was logged most."""
    return max((len(signal) for signal in run.signals.values()), default=0)


def _interval(run: Run) -> float:
    """The usual number of steps between two logged rows."""
    loss = loss_curve(run)
    return float(np.median(np.diff(loss.steps))) if len(loss) > 1 else 0.0
