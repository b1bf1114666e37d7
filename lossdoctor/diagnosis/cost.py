"""What a run cost, and how much of it after it had gone wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossdoctor.diagnosis.checkpoint import OVERFITTING, clean, spoiled_from, spoils
from lossdoctor.diagnosis.progress import gpu_count
from lossdoctor.model import CheckpointAdvice, Cost, Finding, Severity
from lossdoctor.rulebook import shipped
from lossdoctor.run import Run
from lossdoctor.run.log import Floats, Ints

_NOTHING_LEARNED = frozenset({"plateau", "zero-loss", "vanishing-gradients", "lr-zero", "schedule-ended-early", "reward-flat"})
_WORK_LOST = frozenset({"cliff", "out-of-memory", "stall"})


@dataclass(frozen=True, slots=True)
class Clock:
    """Hours spent on each stretch of the run: `hours[i]` led up to `steps[i]`; both of shape (n,)."""

    steps: Ints
    hours: Floats

    @property
    def total(self) -> float:
        return float(self.hours.sum())

    def beyond(self, step: int) -> float:
        """Hours spent on steps after `step`, repeated ones after a resume included."""
        return float(self.hours[self.steps > step].sum())


def clock(run: Run) -> Clock | None:
    """The hours of a run from wall times, else from HF's `train_runtime`, else from logged step times; None where nothing tells.

    Pauses between rows that the rule stall would call one and those at a resume count as one median interval: the machine
    may have been given back. A stall is therefore not charged here, it is a finding of its own.
    """
    return _by_times(run) or _by_runtime(run) or _by_step_time(run)


def _by_times(run: Run) -> Clock | None:
    parts = [
        (s.times, s.steps, s.segments) for name, s in run.signals.items() if name.startswith(("train/", "eval/", "loss")) and len(s) > 1
    ]
    if not parts:
        return None
    times, steps, segments = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = np.isfinite(times) & (times > 0)
    if known.sum() < 2:
        return None
    order = np.argsort(times[known], kind="stable")
    times, steps, segments = times[known][order], steps[known][order], segments[known][order]
    waits = np.diff(times)
    usual = _usual_interval([part[0] for part in parts])
    stall = next(rule.thresholds for rule in shipped() if rule.name == "stall")
    pause = (waits > max(float(stall["seconds"].value), float(stall["factor"].value) * usual)) | ((np.diff(segments) > 0) & (waits > usual))
    return Clock(steps[1:].astype(np.int64), np.where(pause, usual, waits) / 3600)


def _usual_interval(clocks: Sequence[Floats]) -> float:
    """Median of the intervals between the rows of the signal that was logged most often: many are written at the same moment."""
    known = [times[np.isfinite(times) & (times > 0)] for times in clocks]
    waits = np.diff(np.sort(max(known, key=len)))
    return float(np.median(waits)) if len(waits) else 0.0


def _even(run: Run, hours: float) -> Clock | None:
    """Hours spread evenly over the steps of the run."""
    if hours <= 0 or run.last_step <= 0:
        return None
    steps = np.arange(1, run.last_step + 1) if run.last_step <= 100_000 else np.linspace(1, run.last_step, 100_000).astype(np.int64)
    return Clock(steps, np.full(len(steps), hours / len(steps)))


def _by_runtime(run: Run) -> Clock | None:
    runtime = run.signal("train/train_runtime") or run.signal("train_runtime")
    return None if runtime is None or not len(runtime.finite) else _even(run, float(runtime.finite.values[-1]) / 3600)


def _by_step_time(run: Run) -> Clock | None:
    seconds = run.signal("perf/step_seconds")
    if seconds is not None and len(seconds.finite):
        return _even(run, float(np.median(seconds.finite.values)) * run.last_step / 3600)
    rate = run.signal("perf/steps_per_second")
    if rate is not None and len(rate.finite) and float(np.median(rate.finite.values)) > 0:
        return _even(run, run.last_step / float(np.median(rate.finite.values)) / 3600)
    return None


def cost(
    run: Run, findings: Sequence[Finding], advice: CheckpointAdvice, *, gpus: int | None = None, gpu_hour_cost: float | None = None
) -> Cost:
    """Hours, GPU hours and money of the run and of its wasted part.

    Wasted is the largest of: after the best eval if the run overfitted, after the onset if it broke, since the last clean checkpoint if it
    was cut off. It is 0 where none of these happened.
    """
    count = gpus if gpus is not None else gpu_count(run)
    spent = clock(run)
    if spent is None:
        return Cost(gpus=count)
    best = advice.best_step if run.signal("eval/loss") is not None else None
    onset = _onset(findings)
    kept = clean(run.checkpoints, spoiled_from(run, findings))
    after_best = None if best is None else spent.beyond(best)
    after_onset = None if onset is None else spent.beyond(onset)
    since_checkpoint = spent.beyond(kept[-1].step) if kept else None
    wasted = _wasted(findings, spent, after_best, after_onset, since_checkpoint)
    gpu_hours = None if count is None else wasted * count
    money = None if gpu_hours is None or gpu_hour_cost is None else gpu_hours * gpu_hour_cost
    return Cost(spent.total, after_best, after_onset, since_checkpoint, count, gpu_hours, money)


def _is_loud(finding: Finding) -> bool:
    return finding.severity is not Severity.NOTE


def _onset(findings: Sequence[Finding]) -> int | None:
    """Where the first finding began that spoils or wastes what follows."""
    onsets = [f.onset_step for f in findings if f.onset_step is not None and (spoils(f) or (f.rule in _NOTHING_LEARNED and _is_loud(f)))]
    return min(onsets, default=None)


def _wasted(
    findings: Sequence[Finding], spent: Clock, after_best: float | None, after_onset: float | None, since_checkpoint: float | None
) -> float:
    loud = {f.rule for f in findings if _is_loud(f)}
    parts = [after_onset or 0.0]
    if loud & OVERFITTING:
        parts.append(after_best or 0.0)
    if loud & _WORK_LOST:
        parts.append(spent.total if since_checkpoint is None else since_checkpoint)
    return max(parts)
