"""The moments of a run on the step axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lossdoctor.diagnosis.checkpoint import best_eval_step, evals_of, spoiled_from
from lossdoctor.diagnosis.progress import resume_steps, warmup_end
from lossdoctor.model import CheckpointAdvice, Finding, Mark
from lossdoctor.run import Run

MAX_EPOCHS = 20
MAX_CHECKPOINTS = 40


def marks(run: Run, findings: Sequence[Finding], advice: CheckpointAdvice) -> tuple[Mark, ...]:
    """Warmup end, epochs, resumes, checkpoints, best eval, onsets, detectable steps, end and planned end, in the order of their steps."""
    found = [*_course(run, findings), *_checkpoints(run, advice), *_troubles(findings)]
    return tuple(sorted(dict.fromkeys(found), key=lambda mark: mark.step))


def _course(run: Run, findings: Sequence[Finding]) -> Iterator[Mark]:
    if (warm := warmup_end(run)) is not None and warm < run.last_step:
        yield Mark("warmup-end", warm, "end of warmup")
    yield from _epochs(run)
    for step in resume_steps(run):
        yield Mark("resume", step, f"resumed at {run.unit} {step}")
    rows, best = evals_of(run, findings), best_eval_step(run, findings, spoiled_from(run, findings))
    if rows is not None and best is not None and np.ptp(rows.values) > 0:
        yield Mark("best-eval", best, f"lowest eval loss, {run.unit} {best}")
    yield Mark("end", run.last_step, "early stop" if run.early_stopped else f"end, {run.unit} {run.last_step}")
    if run.planned_steps is not None and run.planned_steps > run.last_step:
        yield Mark("planned-end", run.planned_steps, f"planned end, {run.unit} {run.planned_steps}")


def _epochs(run: Run) -> Iterator[Mark]:
    """Where the logged epoch reaches a whole number: between two rows in proportion, or at the first row that names it."""
    logged = [s.in_order for name in ("train/loss", "eval/loss") if (s := run.signal(name)) is not None]
    rows = next((s.where(np.isfinite(s.epochs)) for s in logged if np.isfinite(s.epochs).any()), None)
    if rows is None or run.step_is != "step" or len(rows) < 2 or bool((np.diff(rows.epochs) < 0).any()):
        return
    named = bool((rows.epochs == np.floor(rows.epochs)).all())
    total = int(rows.epochs[-1])
    stride = next(m * 10**e for e in range(20) for m in (1, 2, 5) if m * 10**e * MAX_EPOCHS >= total)
    for epoch in range(stride, total + 1, stride):
        row = int(np.searchsorted(rows.epochs, epoch))
        if row or rows.epochs[0] == epoch:
            step = rows.steps[row] if named else np.interp(epoch, rows.epochs, rows.steps)
            yield Mark("epoch", round(float(step)), f"epoch {epoch}")


def _checkpoints(run: Run, advice: CheckpointAdvice) -> Iterator[Mark]:
    steps = sorted({c.step for c in run.checkpoints})
    stride = -(-len(steps) // MAX_CHECKPOINTS) if steps else 1
    advised = advice.best_step if advice.exists else advice.nearest_kept if advice.path is not None else None
    for index, step in enumerate(steps):
        if step == advised:
            yield Mark("checkpoint", step, f"checkpoint-{step} (use this)")
        elif index % stride == 0:
            yield Mark("checkpoint", step, f"checkpoint-{step}")


def _troubles(findings: Sequence[Finding]) -> Iterator[Mark]:
    for finding in findings:
        if finding.onset_step is not None:
            yield Mark("onset", finding.onset_step, f"{finding.rule} begins")
        if finding.detectable_step is not None:
            yield Mark("detectable", finding.detectable_step, f"{finding.rule} could be seen")
