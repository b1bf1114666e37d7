"""Which checkpoint to use or to resume from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossdoctor.diagnosis.progress import row_before, row_interval
from lossdoctor.measures.level import noise
from lossdoctor.model import Checkpoint, CheckpointAdvice, Finding, Severity
from lossdoctor.run import Run, Signal
from lossdoctor.vitals.change import SURE

# Findings after whose onset the weights are spoiled, where they are errors.
SPOILING = frozenset(
    {"nan-loss", "divergence", "exploding-gradients", "loss-scale-collapse", "kl-blowup", "entropy-collapse", "reward-collapse"}
)
OVERFITTING = frozenset({"hockey-stick", "overfitting"})
GOOD_ENOUGH = 0.02  # an eval loss this far above the lowest is the noise of most eval sets
_NOTHING_LEARNED = frozenset({"plateau", "zero-loss", "vanishing-gradients", "lr-zero"})
_INTERRUPTED = frozenset({"cliff", "out-of-memory", "stall"})


def best_eval_step(run: Run, before: int | None = None) -> int | None:
    """The step of the lowest eval loss (before the step `before`), None without one.

    A curve whose minimum lies less than three noise scales below its median is smoothed first by a
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
    if len(values) >= 7 and SURE * noise(values) > float(np.median(values) - values.min()):
        padded = np.pad(values, 2, mode="edge")
        values = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    return int(np.argmin(values))


def spoils(finding: Finding) -> bool:
    """Whether the weights cannot be trusted after the onset: trouble that lasted, in training, not a warning of it."""
    return finding.rule in SPOILING and finding.severity is Severity.ERROR and finding.numbers.get("only_eval") is not True


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
    """The checkpoint to use: best eval before any damage, else the newest clean one; and whether it is on the disk.

    None where the run learned nothing. A `path` stands for advice to use that checkpoint: where only checkpoints clearly worse than the
    best step were kept, `nearest_kept` names the best of them without one.
    """
    spoiled = spoiled_from(run, findings)
    usable = clean(run.checkpoints, spoiled)
    best = turning_step(run, findings, spoiled)
    newest = usable[-1] if usable else None
    interrupted = any(f.rule in _INTERRUPTED and f.severity is not Severity.NOTE for f in findings)
    if spoiled is not None or (interrupted and newest is not None):
        return _resume(run, newest, best, spoiled)
    empty = next((f for f in findings if f.rule in _NOTHING_LEARNED and f.severity is Severity.ERROR), None)
    if empty is not None:
        return CheckpointAdvice(reason=f"this run learned nothing ({empty.rule}), so none of its checkpoints is worth more than the start")
    if best is None:
        return _last(newest, run, "no finite eval loss" if next(run.eval_losses(), None) is not None else "no eval loss")
    if newest is not None and any(f.rule == "eval-flat" and f.severity is not Severity.NOTE for f in findings):
        reason = f"the eval loss does not follow the training, so it cannot choose: the {_newest(newest)}"
        return _on_disk(newest, newest.step, reason, resume=False)
    return _use_best(run, usable, best)


def _resume(run: Run, newest: Checkpoint | None, best: int | None, spoiled: int | None) -> CheckpointAdvice:
    if newest is None:
        return CheckpointAdvice(best, _found_none(run), reason=f"{_none_usable(run, spoiled)}: start again from the beginning")
    newer = sum(c.step > newest.step for c in run.checkpoints)
    left = f"; {newer} newer {'one is' if newer == 1 else 'ones are'} damaged or from after it" if newer else ""
    trouble = f"the trouble, which begins after step {spoiled - 1}" if spoiled is not None else f"the end at step {run.last_step}"
    return _on_disk(newest, newest.step, f"the {_newest(newest)} from before {trouble}{left}", resume=True)


def _newest(checkpoint: Checkpoint) -> str:
    """`whole` only where its files were checked."""
    return "newest whole checkpoint" if checkpoint.whole else "newest checkpoint"


def _none_usable(run: Run, spoiled: int | None) -> str:
    count = len(run.checkpoints)
    if not count:
        return "no checkpoint was found"
    if spoiled is not None and all(c.step >= spoiled for c in run.checkpoints):
        every = "the only checkpoint here was" if count == 1 else f"{'both' if count == 2 else f'all {count}'} checkpoints here were"
        return f"{every} saved after the trouble had begun (after step {spoiled - 1})"
    if count == 1:
        return "the only checkpoint here is damaged"
    return f"none of the {count} checkpoints here is both whole and from before the trouble"


def _found_none(run: Run) -> bool | None:
    """What "no usable one" means for `exists`: False where some were found, None where nobody looked at a directory with checkpoints."""
    return False if run.checkpoints else None


def _use_best(run: Run, usable: Sequence[Checkpoint], best: int) -> CheckpointAdvice:
    same = next((c for c in usable if c.step == best), None)
    if same is not None:
        return _on_disk(same, best, "the lowest eval loss of the run", resume=False)
    if not usable:
        found = "those found here are damaged" if run.checkpoints else "no checkpoint was found here"
        reason = f"its eval loss is the lowest; {found}"
        return CheckpointAdvice(best, _found_none(run), reason=reason)
    near = min(usable, key=lambda c: (abs(c.step - best), c.step))
    loss = run.signal("train/loss")
    if near.step >= best and run.best_step is None and loss is not None and near.step - best <= row_interval(loss):
        return _on_disk(near, best, f"the eval loss is lowest at step {best}, this checkpoint was saved right after", resume=False)
    return _second_best(run, usable, near, best)


def _second_best(run: Run, usable: Sequence[Checkpoint], near: Checkpoint, best: int) -> CheckpointAdvice:
    """The kept checkpoint with the lowest eval loss; no advice to use it where that is more than 2 % above the lowest."""
    lowest = _eval_near(run, best)
    losses = [(loss, abs(c.step - best), c) for c in usable if (loss := _eval_near(run, c.step)) is not None]
    if lowest is None or lowest <= 0 or not losses:
        reason = f"the eval loss is lowest at step {best}, whose checkpoint was not kept; checkpoint-{near.step} is the nearest"
        return CheckpointAdvice(best, False, near.step, near.path, near.whole, near.resumable, reason=reason)
    loss, _, kept = min(losses, key=lambda found: found[:2])
    above = loss / lowest - 1
    if above <= GOOD_ENOUGH:
        within = max(1, round(1000 * above)) / 10
        reason = f"its eval loss is within {within:.1f}% of the lowest, that of step {best}, which was not kept"
        return CheckpointAdvice(best, False, kept.step, kept.path, kept.whole, kept.resumable, reason=reason)
    reason = (
        f"the best one left is checkpoint-{kept.step}, with an eval loss {above:.1%} above the lowest; for a better one train again "
        "with a save at every eval and load_best_model_at_end"
    )
    return CheckpointAdvice(best, False, kept.step, None, kept.whole, kept.resumable, reason=reason)


def _eval_near(run: Run, step: int) -> float | None:
    """The eval loss at the eval nearest to a step, None where that lies more than one interval between evals away."""
    signal = next(run.eval_losses(), None)
    rows = signal.in_order if signal is not None else None
    if rows is None or not len(rows):
        return None
    away = np.abs(rows.steps - step)
    row = int(np.argmin(away))
    interval = float(np.median(np.diff(rows.steps))) if len(rows) > 1 else 0.0
    return float(rows.values[row]) if away[row] <= interval else None


def _last(newest: Checkpoint | None, run: Run, missing: str) -> CheckpointAdvice:
    if newest is None:
        return CheckpointAdvice(reason=f"{missing} was logged to choose by, and those found are damaged" if run.checkpoints else "")
    return _on_disk(newest, newest.step, f"{missing} was logged to choose by: the {_newest(newest)}", resume=False)


def _on_disk(found: Checkpoint, best: int, reason: str, *, resume: bool) -> CheckpointAdvice:
    command = f"trainer.train(resume_from_checkpoint={found.path!r})" if resume and found.resumable is not False else None
    if resume and found.resumable is False:
        reason += "; it holds no optimizer state, so load its weights and start with a fresh warmup"
    return CheckpointAdvice(best, True, found.step, found.path, found.whole, found.resumable, command, reason)
