"""How the run was evaluated: what the settings say counts only where the evals bear it out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossdoctor.diagnosis.progress import row_interval, steps_per_epoch
from lossdoctor.model import Scalar
from lossdoctor.run import Run, Signal

FACTS: Mapping[str, str] = {
    "evals_at_epochs": "an evaluation stands at the end of each epoch and nowhere else",
    "eval_steps_in_use": "eval_steps, where the evals lie at its multiples",
    "eval_strategy_seen": "steps or epoch: how the run evaluates",
    "eval_steps_seen": "steps between its evals, where it evaluates by steps",
}


def whole(run: Run) -> dict[str, Scalar]:
    evals = next((s for name, s in sorted(run.signals.items()) if name.startswith("eval/") and len(s)), None)
    if evals is None:
        return {}
    by_epoch, every = _by_epoch(run, evals), _every(run, evals)
    strategy = "epoch" if by_epoch else "steps"
    return {
        "evals_at_epochs": by_epoch,
        "eval_steps_in_use": every,
        "eval_strategy_seen": strategy,
        "eval_steps_seen": None if by_epoch else every if every is not None else max(1, round(row_interval(evals))),
    }


def _every(run: Run, evals: Signal) -> int | None:
    """All but the last, which may be that of the end of the run."""
    every = run.number("eval_steps")
    if every is None or every < 1 or run.setting("eval_strategy") == "epoch":
        return None
    steps = np.unique(evals.steps)
    steps = steps[:-1] if len(steps) > 1 else steps
    return int(every) if not (steps % int(every)).any() else None


def _by_epoch(run: Run, evals: Signal) -> bool:
    strategy = run.setting("eval_strategy")
    if strategy is not None:
        return strategy == "epoch"
    length = steps_per_epoch(run)
    epochs = np.unique(evals.steps) / length if length else None
    if epochs is None or _every(run, evals) is not None or run.step_is == "epoch":
        return False
    return bool((np.abs(epochs - np.round(epochs)) * (length or 0) <= 1).all())
