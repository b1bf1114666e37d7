"""What the log itself makes hard to judge: steps logged twice, too few rows, missing signals, runs that wrote into each other."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import beyond
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run, Signal
from lossdoctor.run import task as tasks

_WANTED = {
    tasks.RL: ("reward", "reward_std", "kl"),
    tasks.PREFERENCE: ("train/loss", "rewards/margins", "rewards/accuracies"),
}


def duplicate_steps(run: Run, *, share: float) -> Evidence | Skip | None:
    """More than `share` of the training loss has a step that was logged before: a stretch was `redone`, or several rows share a step."""
    loss = run.signal("train/loss")
    if loss is None or len(loss) < 3:
        return Skip("fewer than 3 values of the training loss", "log the training loss with its step")
    _, first, counts = np.unique(loss.steps, return_index=True, return_counts=True)
    doubled = first[counts > 1]
    extra = len(loss) - len(first)
    if extra == 0 or extra <= share * len(loss):
        return None
    steps = loss.steps[doubled]
    low, high = int(steps.min()), int(steps.max())
    numbers: dict[str, Scalar] = {
        "doubled": len(doubled), "extra_rows": extra, "rows": len(loss), "from_step": low, "to_step": high,
        "restarts": int(loss.segments[-1]), "most": int(counts.max()),
    }  # fmt: skip
    return Evidence.between(numbers, ("train/loss",), low, high, margin=beyond(extra, share * len(loss)), points=len(loss))


def sparse_logging(run: Run, *, least: int) -> Evidence | Skip | None:
    """Fewer than `least` rows of the main signal, though the run had steps enough to log more: most shapes cannot be seen."""
    main = _main(run)
    if main is None:
        return Skip("neither a training loss nor a reward was logged", "log the training loss")
    rows = int(np.count_nonzero(np.diff(np.sort(main.steps)))) + 1
    if rows >= least or run.step_is == "epoch" or run.last_step < 2 * max(rows, 1) or run.last_step < least:
        return None
    numbers: dict[str, Scalar] = {
        "rows": rows, "every": round(run.last_step / max(rows, 1)), "last_step": run.last_step,
    }  # fmt: skip
    return Evidence(numbers, (main.name,), None, (), margin=least / max(rows, 1))


def missing_signal(run: Run) -> Evidence | None:
    """None of the signals that tell causes apart was logged beside the loss: for reinforcement learning the reward, its spread
    and kl; for preference training margins and accuracies; else both the learning rate and the gradient norm.
    """
    wanted = _WANTED.get(run.task, ("train/learning_rate", "train/grad_norm"))
    missing = [name for name in wanted if run.signal(name) is None]
    if not missing or (run.task not in _WANTED and len(missing) < len(wanted)):
        return None
    numbers: dict[str, Scalar] = {
        "missing": ", ".join(missing), "count": len(missing), "no_rate": int("train/learning_rate" in missing),
        "no_norm": int("train/grad_norm" in missing),
    }  # fmt: skip
    return Evidence(numbers, (), None, (), margin=2.0)


def mixed_runs(run: Run, *, share: float) -> Evidence | Skip | None:
    """Two runs wrote into one place: the steps jump back at `share` of the rows, more than once, or checkpoints lie there that this
    run cannot have written (beyond its end, or at steps at which it does not save).
    """
    loss = _main(run)
    if loss is None:
        return Skip("neither a training loss nor a reward was logged", "log the training loss")
    back = int((np.diff(loss.steps) < 0).sum())
    foreign = sorted({*run.foreign_checkpoints, *_odd_checkpoints(run)})
    interleaved = back > 1 and back >= share * len(loss)
    if not interleaved and not foreign:
        return None
    numbers: dict[str, Scalar] = {
        "back_jumps": back, "interleaved": int(interleaved), "foreign": len(foreign),
        "foreign_steps": ", ".join(map(str, foreign[:5])) or "none", "rows": len(loss),
    }  # fmt: skip
    first = int(loss.steps[np.argmax(np.diff(loss.steps) < 0)]) if interleaved else None
    if not interleaved:
        return Evidence(numbers, (), None, ())
    return Evidence(numbers, (loss.name,), first, (), margin=beyond(back, share * len(loss)), points=len(loss))


def eval_never(run: Run) -> Evidence | Skip | None:
    """The settings ask for an evaluation every `eval_steps` steps, more than the run has: nothing was ever evaluated."""
    every, plan = run.number("eval_steps"), run.planned_steps or 0
    strategy = str(run.setting("eval_strategy") or "").lower()
    if every is None or strategy not in ("", "steps"):
        return Skip("eval_steps is not set", "") if every is None else None
    if plan <= 0 or every <= max(plan, run.last_step) or strategy != "steps":
        return None
    if any(name.startswith("eval/") and len(signal) > 1 for name, signal in run.signals.items()):
        return None
    numbers: dict[str, Scalar] = {"eval_steps": every, "plan": plan}
    return Evidence(numbers, (), None, (), margin=every / plan)


def _main(run: Run) -> Signal | None:
    return run.signal("train/loss") or run.signal("reward")


def _odd_checkpoints(run: Run) -> list[int]:
    """Steps of checkpoints that this run cannot have written: it saves every so many steps, and they lie between or beyond.

    Only a run that has checkpoints where its settings say is known to save that way.
    """
    every = run.number("save_steps")
    if every is None or every < 1 or str(run.setting("save_strategy") or "steps").lower() != "steps":
        return []
    steps = sorted({c.step for c in run.checkpoints if c.step > 0})
    own = [step for step in steps if step % int(every) == 0 and step <= run.last_step]
    ends = {run.last_step, run.planned_steps, run.best_step, run.reached_step}
    return [step for step in steps if step not in own and step not in ends] if own else []
