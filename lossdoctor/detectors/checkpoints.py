"""Checkpoints on disk: damaged ones, and too few of them."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import beyond, logging_interval, steps_per_epoch
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run


def corrupt_checkpoint(run: Run) -> Evidence | Skip | None:
    """A checkpoint whose files fail their checks (`whole` is False), or whose weights hold NaN or Inf (`weights_finite` is False).

    Shards and git-lfs pointers that could not be checked are unknown, not damaged.
    """
    checked = [c for c in run.checkpoints if c.whole is not None or c.weights_finite is not None]
    if not checked:
        return Skip("no checkpoint could be checked", "keep the checkpoint directories beside the log")
    cut = [c for c in checked if c.whole is False]
    poisoned = [c for c in checked if c.weights_finite is False]
    bad = sorted({c.step: c for c in (*cut, *poisoned)}.values(), key=lambda c: c.step)
    if not bad:
        return None
    clean = [c.step for c in checked if c.whole is not False and c.weights_finite is not False]
    newest = max(c.step for c in checked)
    last = bad[-1]
    problem = last.problem or ("the weights hold NaN or Inf" if last.weights_finite is False else "its files are damaged")
    numbers: dict[str, Scalar] = {
        "bad": len(bad), "checked": len(checked), "bad_step": last.step, "problem": problem[:200], "cut": len(cut),
        "poisoned": len(poisoned), "newest_is_bad": int(last.step == newest), "last_clean_step": max(clean, default=None),
        "none_clean": int(not clean),
    }  # fmt: skip
    spans = tuple((c.step, c.step) for c in bad[:20])
    return Evidence(numbers, (), bad[0].step, spans)


def sparse_checkpoints(run: Run, *, share: float, hours: float) -> Evidence | Skip | None:
    """More work than `share` of the plan was lost, or lay at risk between two saves.

    Lost: the run died, and its newest checkpoint on disk lies that far before its end. At risk: the settings save so rarely, and
    the stretch between two saves takes more than `hours` of wall time; a run of minutes needs no checkpoint.
    """
    plan = run.planned_steps or run.last_step
    if plan < 20 or run.step_is == "epoch":
        return Skip("the run is too short to speak of", "")
    every = _interval(run)
    newest = max((c.step for c in run.checkpoints if c.step <= run.last_step), default=None)
    unfinished = run.finished is not True and not run.early_stopped and run.evidence_beyond_state
    died = unfinished and run.last_step + logging_interval(run) + 1 < plan
    lost = run.last_step - newest if died and newest is not None else None
    seconds = _seconds_a_step(run)
    at_risk = None if every is None else min(every, plan)
    long = at_risk is not None and seconds is not None and at_risk * seconds >= hours * 3600
    was_lost = lost is not None and lost > share * plan
    if not was_lost and not (long and at_risk is not None and at_risk > share * plan):
        unknown = Skip("how often it saves is unknown", "keep training_args.bin or log save_steps")
        return unknown if every is None and newest is None else None
    worst = lost if was_lost and lost is not None else at_risk or 0
    numbers: dict[str, Scalar] = {
        "lost_steps": lost, "every": every, "worst_steps": worst, "worst_share": worst / plan, "newest_step": newest, "plan": plan,
        "was_lost": was_lost,
    }  # fmt: skip
    spans = ((newest, run.last_step),) if was_lost and newest is not None else ()
    return Evidence(numbers, (), newest if was_lost else None, spans, margin=beyond(worst / plan, share))


def _interval(run: Run) -> float | None:
    """Steps between two saves by the settings; None where they do not tell."""
    strategy = str(run.setting("save_strategy") or "").lower()
    steps = run.number("save_steps")
    plan = run.planned_steps or run.last_step
    if strategy == "no":
        return float(plan)
    if strategy == "epoch":
        return steps_per_epoch(run)
    if strategy not in ("", "steps") or steps is None or steps <= 0:
        return None
    return steps if steps >= 1 else steps * plan


def _seconds_a_step(run: Run) -> float | None:
    """Median wall time of a step; None where no times were logged."""
    loss = run.signal("train/loss")
    if loss is None or np.isfinite(loss.times).sum() < 3:
        return None
    moves = np.diff(loss.steps) > 0
    each = np.diff(loss.times)[moves] / np.diff(loss.steps)[moves]
    each = each[np.isfinite(each) & (each >= 0)]
    return float(np.median(each)) if len(each) else None
