"""Which checkpoint to use or to resume from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossdoctor.diagnosis.progress import row_before
from lossdoctor.model import Checkpoint, CheckpointAdvice, Finding, Severity
from lossdoctor.run import Run, Signal

# Findings after whose onset the weights are spoiled, where they are errors.
SPOILING = frozenset(
    {"nan-loss", "divergence", "exploding-gradients", "loss-scale-collapse", "kl-blowup", "entropy-collapse", "reward-collapse"}
)
OVERFITTING = frozenset({"hockey-stick", "overfitting"})
_INTERRUPTED = frozenset({"cliff", "out-of-memory", "stall"})


def best_eval_step(run: Run, before: int | None = None) -> int | None:
    """The step of the lowest eval loss (before the step `before`), None without one.

    A curve whose noise (1.4826 x MAD of its differences / sqrt 2) exceeds a quarter of the depth of its minimum is smoothed first by a
    centred running median of five evals, so that one lucky eval does not win.
    """
    signal = next(run.eval_losses(), None)
    if signal is None:
        return run.best_step
    rows = signal.in_order
    if before is not None:
        rows = rows.where(rows.steps < before)
    if not len(rows):
        return None
    return int(rows.steps[_lowest(rows)])


def turning_step(run: Run, findings: Sequence[Finding], before: int | None = None) -> int | None:
    """The best step: where an overfitting rule saw the eval loss turn, else the lowest eval loss."""
    turns = [f.numbers.get("best_step") for f in findings if f.rule in OVERFITTING]
    known = next((int(step) for step in turns if isinstance(step, int | float)), None)
    return known if known is not None and (before is None or known < before) else best_eval_step(run, before)


def _lowest(rows: Signal) -> int:
    values = rows.values
    if len(values) >= 7:
        moves = np.diff(values)
        noise = 1.4826 * float(np.median(np.abs(moves - np.median(moves)))) / np.sqrt(2)
        if noise > 0.25 * float(np.median(values) - values.min()):
            padded = np.pad(values, 2, mode="edge")
            values = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return int(np.argmin(values))


def spoils(finding: Finding) -> bool:
    """Whether the weights cannot be trusted after the onset: trouble that lasted, not a warning of it."""
    return finding.rule in SPOILING and finding.severity is Severity.ERROR


def spoiled_from(run: Run, findings: Sequence[Finding]) -> int | None:
    """The first step after which the weights cannot be trusted: the row after the last good one before the earliest spoiling onset."""
    onsets = [f.onset_step for f in findings if f.onset_step is not None and spoils(f)]
    if not onsets:
        return None
    loss = run.signal("train/loss")
    last_good = row_before(loss, min(onsets)) if loss is not None else None
    return min(onsets) if last_good is None else last_good + 1


def clean(checkpoints: Sequence[Checkpoint], before: int | None) -> list[Checkpoint]:
    """Whole checkpoints with finite weights from before the trouble, oldest first."""
    usable = [c for c in checkpoints if c.whole is not False and c.weights_finite is not False]
    return sorted((c for c in usable if before is None or c.step < before), key=lambda c: c.step)


def advise(run: Run, findings: Sequence[Finding]) -> CheckpointAdvice:
    """The checkpoint to use: best eval before any damage, else the newest clean one; and whether it is on the disk."""
    spoiled = spoiled_from(run, findings)
    usable = clean(run.checkpoints, spoiled)
    best = turning_step(run, findings, spoiled)
    newest = usable[-1] if usable else None
    interrupted = any(f.rule in _INTERRUPTED and f.severity is not Severity.NOTE for f in findings)
    if spoiled is not None or (interrupted and newest is not None):
        return _resume(run, newest, best, spoiled)
    if best is None:
        return _last(newest, run)
    return _use_best(run, usable, best)


def _resume(run: Run, newest: Checkpoint | None, best: int | None, spoiled: int | None) -> CheckpointAdvice:
    trouble = f"the trouble that begins after step {spoiled - 1}" if spoiled is not None else f"the end at step {run.last_step}"
    if newest is None:
        return CheckpointAdvice(
            best, _found_none(run), reason=f"{_none_usable(run)} from before {trouble}: start again from the base model"
        )
    newer = sum(c.step > newest.step for c in run.checkpoints)
    left = f"; {newer} newer {'one is' if newer == 1 else 'ones are'} damaged or from after it" if newer else ""
    reason = f"the newest whole checkpoint from before {trouble}{left}"
    return _on_disk(newest, newest.step, reason, resume=True)


def _none_usable(run: Run) -> str:
    count = len(run.checkpoints)
    if count < 2:
        return "the only checkpoint here is not a whole one" if count else "no checkpoint was found"
    return f"none of the {count} checkpoints here is a whole one"


def _found_none(run: Run) -> bool | None:
    """What "no usable one" means for `exists`: False where some were found, None where nobody looked at a directory with checkpoints."""
    return False if run.checkpoints else None


def _use_best(run: Run, usable: Sequence[Checkpoint], best: int) -> CheckpointAdvice:
    same = next((c for c in usable if c.step == best), None)
    if same is not None:
        return _on_disk(same, best, "the lowest eval loss of the run", resume=False)
    if not usable:
        damaged = " (those found are damaged)" if run.checkpoints else ""
        reason = f"the eval loss is lowest at step {best}, no usable checkpoint was found here{damaged}"
        return CheckpointAdvice(best, _found_none(run), reason=reason)
    near = min(usable, key=lambda c: (abs(c.step - best), c.step))
    if near.step >= best and run.best_step is None and near.step - best <= run.last_step * 0.01:
        return _on_disk(near, best, f"the eval loss is lowest at step {best}, this checkpoint was saved right after", resume=False)
    reason = f"the eval loss is lowest at step {best}, whose checkpoint was not kept; checkpoint-{near.step} is the nearest"
    return CheckpointAdvice(best, False, near.step, near.path, near.whole, near.resumable, reason=reason)


def _last(newest: Checkpoint | None, run: Run) -> CheckpointAdvice:
    if newest is None:
        reason = "no eval loss and no usable checkpoint was found" if run.checkpoints or run.signal("train/loss") is not None else ""
        return CheckpointAdvice(reason=reason)
    return _on_disk(newest, newest.step, "no eval loss was logged to choose by: the newest whole checkpoint", resume=False)


def _on_disk(found: Checkpoint, best: int, reason: str, *, resume: bool) -> CheckpointAdvice:
    command = f"trainer.train(resume_from_checkpoint={found.path!r})" if resume and found.resumable is not False else None
    if resume and found.resumable is False:
        reason += "; it holds no optimizer state, so load its weights and start with a fresh warmup"
    return CheckpointAdvice(best, True, found.step, found.path, found.whole, found.resumable, command, reason)
