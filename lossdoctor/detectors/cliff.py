"""The run ends before its plan, while the loss was fine."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import loss_curve
from lossdoctor.model import Evidence, LogEvent, Skip
from lossdoctor.run import Run

FATAL = ("oom", "host-oom", "killed", "sigkill", "nccl-timeout", "device-assert", "cuda-error", "no-space", "hangup", "dataloader-killed", "preempted", "sigterm", "traceback")


def cliff(run: Run, *, missing_share: float) -> Evidence | Skip | None:
    """The newest evidence of the run lies more than `missing_share` of the plan before its end, no source says that it ended by itself,
    or the log ends in an error. A checkpoint's state always stops early and proves nothing by itself."""
    death = _death(run)
    if run.finished and death is None:
        return None
    if run.early_stopped:
        return None
    reached, planned = run.last_step, run.planned_steps
    short = planned is not None and planned > 0 and reached < (1 - missing_share) * planned
    if death is None:
        if planned is None:
            return Skip("the planned number of steps is unknown", "keep training_args.bin or log max_steps; --set max_steps=N")
        if not run.evidence_beyond_state:
            return Skip("a checkpoint's state always ends where the checkpoint was written; only event files, WandB or a log tell how the run ended", "report_to=['tensorboard']")
        if not short or run.finished is not None and run.finished:
            return None
    elif planned is not None and not short and run.finished is not False:
        return None
    loss = loss_curve(run)
    numbers = {
        "reached": reached, "planned": planned, "missing": 1 - reached / planned if planned else None, "death": death.kind if death else "unknown", "last_words": death.text[:200] if death else "",
        "final_loss": float(loss.values[-1]) if len(loss) else None, "interrupted": 1 if death is not None and death.kind == "interrupt" else 0, "has_loss": len(loss),
    }  # fmt: skip
    margin = (1 - reached / planned) / missing_share if planned and short else 3.0
    return Evidence(numbers, ("train/loss",) if len(loss) else (), reached, ((reached, max(planned or reached, reached)),), margin=margin)


def _death(run: Run) -> LogEvent | None:
    """The last event that ends a run; an interrupt by the user counts as its own kind."""
    fatal = [e for e in run.events if e.kind in FATAL or e.kind == "interrupt"]
    specific = [e for e in fatal if e.kind != "traceback"]
    return (specific or fatal or [None])[-1]


def nothing_logged(run: Run) -> bool:
    """Whether the run died before its first log."""
    return not run.points or not np.isfinite(run.last_step)
