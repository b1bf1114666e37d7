"""The moments of a run on the step axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lossdoctor.diagnosis.checkpoint import spoiled_from, turning_step
from lossdoctor.diagnosis.progress import resume_steps, steps_per_epoch, warmup_end
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
        yield Mark("resume", step, f"resumed at {step}")
    if run.signal("eval/loss") is not None and (best := turning_step(run, findings, spoiled_from(run, findings))) is not None:
        yield Mark("best-eval", best, f"lowest eval loss, step {best}")
    yield Mark("end", run.last_step, "early stop" if run.early_stopped else f"end, step {run.last_step}")
    if run.planned_steps is not None and run.planned_steps > run.last_step:
        yield Mark("planned-end", run.planned_steps, f"planned end, step {run.planned_steps}")


def _epochs(run: Run) -> Iterator[Mark]:
    length = steps_per_epoch(run)
    if length is None or length < 1 or run.step_is != "step":
        return
    total = int(round(run.last_step / length, ndigits=2))
    stride = next(m * 10**e for e in range(20) for m in (1, 2, 5) if m * 10**e * MAX_EPOCHS >= total)
    for epoch in range(stride, total + 1, stride):
        yield Mark("epoch", round(epoch * length), f"epoch {epoch}")


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
