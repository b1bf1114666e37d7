"""Which checkpoint to use or to resume from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossdoctor.diagnosis.progress import row_before, row_interval
from lossdoctor.model import Checkpoint, CheckpointAdvice, Finding, Severity
from lossdoctor.numerals import number, percent
from lossdoctor.run import Run, Signal

# Findings after whose onset the weights are spoiled, where they are errors.
SPOILING = frozenset(
    {"nan-loss", "divergence", "exploding-gradients", "loss-scale-collapse", "kl-blowup", "entropy-collapse", "reward-collapse"}
)
OVERFITTING = frozenset({"hockey-stick", "overfitting"})
GOOD_ENOUGH = 0.02  # an eval loss this far above the lowest is the noise of most eval sets
_NOTHING_LEARNED = frozenset({"plateau", "zero-loss", "vanishing-gradients", "lr-zero"})
_INTERRUPTED = frozenset({"cliff", "out-of-memory", "stall"})


def evals_of(run: Run, findings: Sequence[Finding] = (), before: int | None = None) -> Signal | None:
    """The eval loss that chooses, finite and in step order (before the step `before`): the one that an overfitting rule speaks of, else
    the first that was logged; None without a row."""
    told = (run.signal(f.signals[0]) for f in findings if f.rule in OVERFITTING and f.signals)
    signal = next(filter(None, told), None) or next(run.eval_losses(), None)
    if signal is None:
        return None
    rows = signal.in_order
    rows = rows if before is None else rows.where(rows.steps < before)
    return rows if len(rows) else None


def best_eval_step(run: Run, findings: Sequence[Finding] = (), before: int | None = None) -> int | None:
    """The step of the lowest eval loss (before the step `before`), None without one: the row that anybody finds, lucky or not."""
    if next(run.eval_losses(), None) is None:
        return run.best_step
    rows = evals_of(run, findings, before)
    return int(rows.steps[int(np.argmin(rows.values))]) if rows is not None else None


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
    """Whole checkpoints with finite weights from before the trouble, oldest first; a state without weights is none."""
    usable = [c for c in checkpoints if c.whole is not False and c.weights_finite is not False and c.has_weights is not False]
    return sorted((c for c in usable if before is None or c.step < before), key=lambda c: c.step)


def advise(run: Run, findings: Sequence[Finding]) -> CheckpointAdvice:
    """The checkpoint to use: best eval before any damage, else the newest clean one; and whether it is on the disk.

    None where the run learned nothing. A `path` stands for advice to use that checkpoint: where only checkpoints clearly worse than the
    best step were kept, `nearest_kept` names the best of them without one.
    """
    spoiled = spoiled_from(run, findings)
    usable = clean(run.checkpoints, spoiled)
    best = best_eval_step(run, findings, spoiled)
    newest = usable[-1] if usable else None
    interrupted = any(f.rule in _INTERRUPTED and f.severity is not Severity.NOTE for f in findings)
    if spoiled is not None or (interrupted and newest is not None):
        return _resume(run, newest, best, spoiled)
    empty = next((f for f in findings if f.rule in _NOTHING_LEARNED and f.severity is Severity.ERROR), None)
    if empty is not None:
        return CheckpointAdvice(reason=f"no checkpoint of this run is known to be worth more than its start: see {empty.rule}")
    if best is None:
        missing = "no finite eval loss" if next(run.eval_losses(), None) is not None else "no eval loss"
        return _last(newest, run, missing, "was logged to choose by")
    rows = evals_of(run, findings, spoiled)
    if rows is not None and len(rows) > 1 and float(np.ptp(rows.values)) == 0:
        return _last(newest, run, f"the eval loss is {number(float(rows.values[0]))} in all {len(rows)} evals, so it", "cannot choose")
    if newest is not None and any(f.rule == "eval-flat" and f.severity is not Severity.NOTE for f in findings):
        reason = f"the eval loss does not follow the training, so it cannot choose: the {_newest(newest)}"
        return _on_disk(newest, newest.step, reason, resume=False)
    return _use_best(run, evals_of(run, findings), usable, best)


def _resume(run: Run, newest: Checkpoint | None, best: int | None, spoiled: int | None) -> CheckpointAdvice:
    if newest is None:
        return CheckpointAdvice(best, _found_none(run), reason=f"{_none_usable(run, spoiled)}: start again from the beginning")
    newer = sum(c.step > newest.step for c in _with_weights(run))
    left = f"; {newer} newer {'one is' if newer == 1 else 'ones are'} damaged or from after it" if newer else ""
    end = f"the end at {run.unit} {run.last_step}"
    trouble = end if spoiled is None else f"the trouble, which begins after {run.unit} {spoiled - 1}"
    return _on_disk(newest, newest.step, f"the {_newest(newest)} from before {trouble}{left}", resume=True)


def _newest(checkpoint: Checkpoint) -> str:
    """`whole` only where its files were checked."""
    return "newest whole checkpoint" if checkpoint.whole else "newest checkpoint"


def _none_usable(run: Run, spoiled: int | None) -> str:
    with_weights = _with_weights(run)
    count = len(with_weights)
    if not count:
        return "no checkpoint with weights was found"
    if spoiled is not None and all(c.step >= spoiled for c in with_weights):
        every = "the only checkpoint here was" if count == 1 else f"{'both' if count == 2 else f'all {count}'} checkpoints here were"
        return f"{every} saved after the trouble had begun (after {run.unit} {spoiled - 1})"
    if count == 1:
        return "the only checkpoint here is damaged"
    return f"none of the {count} checkpoints here is both whole and from before the trouble"


def _with_weights(run: Run) -> list[Checkpoint]:
    """What was found of checkpoints: a state alone is none."""
    return [c for c in run.checkpoints if c.has_weights is not False]


def _found_none(run: Run) -> bool | None:
    """What "no usable one" means for `exists`: False where some were found, None where nobody looked at a directory with checkpoints."""
    return False if _with_weights(run) else None


def _use_best(run: Run, rows: Signal | None, usable: Sequence[Checkpoint], best: int) -> CheckpointAdvice:
    lowest = f"the eval loss is lowest there{_among(rows, best)}"
    if not usable:
        found = "those found here are damaged" if _with_weights(run) else "no checkpoint with weights was found here"
        return CheckpointAdvice(best, _found_none(run), reason=f"{lowest}; {found}")
    same = next((c for c in usable if c.step == best), None)
    if same is not None:
        return _on_disk(same, best, f"{lowest}{_unchecked(same)}", resume=False)
    near = min(usable, key=lambda c: (abs(c.step - best), c.step))
    loss = run.signal("train/loss")
    if near.step >= best and run.best_step is None and loss is not None and near.step - best <= row_interval(loss):
        where = f"the eval loss is lowest at {run.unit} {best}{_among(rows, best)}"
        return _on_disk(near, best, f"{where}, this checkpoint was saved right after{_unchecked(near)}", resume=False)
    return _second_best(run.unit, rows, usable, near, best)


def _among(rows: Signal | None, step: int) -> str:
    """The value, and among how many evals it is the lowest."""
    if rows is None or step not in rows.steps:
        return ""
    value = number(float(rows.values[rows.steps == step][0]))
    return f": {value}, of {len(rows)} evals" if len(rows) > 1 else f": {value}, the only eval"


def _unchecked(checkpoint: Checkpoint) -> str:
    return "" if checkpoint.weights_finite is not None else "; its weights were not checked for NaN (--check-weights does that)"


def _second_best(unit: str, rows: Signal | None, usable: Sequence[Checkpoint], near: Checkpoint, best: int) -> CheckpointAdvice:
    """The kept checkpoint with the lowest eval loss; no advice to use it where that is more than 2 % above the lowest, or where it was
    saved between two evals."""
    lowest = float(rows.values.min()) if rows is not None else 0.0
    known = {} if rows is None else dict(zip(rows.steps.tolist(), rows.values.tolist(), strict=True))
    losses = [(known[c.step], abs(c.step - best), c) for c in usable if c.step in known]
    if lowest <= 0 or not losses:
        missing = f"no checkpoint of {unit} {best} is here, where the eval loss is lowest{_among(rows, best)}"
        reason = f"{missing}; the nearest is of {unit} {near.step}{_beside(unit, rows, near.step)}{_unchecked(near)}"
        return CheckpointAdvice(best, False, near.step, near.path, near.whole, near.resumable, reason=reason)
    loss, _, kept = min(losses, key=lambda found: found[:2])
    above = loss / lowest - 1
    gap = f"{number(loss)} is {percent(above)} above the lowest, {number(lowest)} at {unit} {best}"
    if above <= GOOD_ENOUGH:
        reason = f"its eval loss of {gap}, of which no checkpoint is here{_unchecked(kept)}"
        return CheckpointAdvice(best, False, kept.step, kept.path, kept.whole, kept.resumable, reason=reason)
    reason = (
        f"the best one left is that of {unit} {kept.step}, whose eval loss of {gap}; for a better one train again with a save at "
        "every eval and load_best_model_at_end"
    )
    return CheckpointAdvice(best, False, kept.step, None, kept.whole, kept.resumable, reason=reason)


def _beside(unit: str, rows: Signal | None, step: int) -> str:
    """The evals before and after a step that was not evaluated itself."""
    if rows is None:
        return ""
    after = int(np.searchsorted(rows.steps, step))
    told = [f"{number(float(rows.values[i]))} at {unit} {int(rows.steps[i])}" for i in (after - 1, after) if 0 <= i < len(rows)]
    return f", not evaluated itself (beside it the eval loss is {' and '.join(told)})" if told else ""


def _last(newest: Checkpoint | None, run: Run, subject: str, verb: str) -> CheckpointAdvice:
    if newest is None:
        return CheckpointAdvice(reason=f"{subject} {verb}, and those found are damaged" if _with_weights(run) else "")
    return _on_disk(newest, newest.step, f"{subject} {verb}: the {_newest(newest)}{_unchecked(newest)}", resume=False)


def _on_disk(found: Checkpoint, best: int, reason: str, *, resume: bool) -> CheckpointAdvice:
    command = f"trainer.train(resume_from_checkpoint={found.path!r})" if resume and found.resumable is not False else None
    if resume and found.resumable is False:
        reason += "; it holds no optimizer state, so load its weights and start with a fresh warmup"
    return CheckpointAdvice(best, True, found.step, found.path, found.whole, found.resumable, command, reason)
