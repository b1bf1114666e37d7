"""The frozen types of a diagnosis. They hold words and numbers only, so that every reporter can draw from them and JSON loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, SupportsInt

if TYPE_CHECKING:
    import pandas as pd

Scalar = float | int | str | bool | None


class Severity(StrEnum):
    """error: the result should not be used or the run was wasted; warning: act before the next run; note: good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        return ("error", "warning", "note").index(self.value)


class Verdict(StrEnum):
    """The worst severity found, free of policy; inconclusive where the data do not carry a verdict."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class State(StrEnum):
    """The answer to one question about the run's health; unknown where the data do not tell."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class Loss(StrEnum):
    """What damage cost: benign (nothing), lossy (some data), fatal (the source)."""

    BENIGN = "benign"
    LOSSY = "lossy"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Fault:
    """Damage in the input.

    `kind` is a stable kebab-case name (torn-record, bad-crc, truncated-json, lfs-pointer, ...), `where` the file with a byte offset or
    line where known, `detail` a sentence with what was lost and what to do.
    """

    kind: str
    where: str
    detail: str
    loss: Loss = Loss.LOSSY


@dataclass(frozen=True, slots=True)
class Setting:
    """One hyperparameter under its HuggingFace TrainingArguments name, and where it was read."""

    name: str
    value: Scalar
    source: str
    conflicts: tuple[tuple[str, Scalar], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk; `whole` is None where it was not or could not be checked, `problem` says what is wrong. `has_weights` is False
    where only its state lies there."""

    step: int
    path: str
    whole: bool | None = None
    problem: str | None = None
    resumable: bool | None = None
    weights_finite: bool | None = None
    has_weights: bool | None = None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """Something a log said in words: kind (oom, nccl-timeout, device-assert, killed, no-space, interrupt, traceback, nan, ...)."""

    kind: str
    text: str
    where: str
    step: int | None = None
    time: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceNote:
    """A file or directory that was read for a run: its kind, how many points it gave, and a remark (used, merged, ignored and why)."""

    kind: str
    path: str
    points: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a number is, so that anybody can recompute it from the raw rows.

    `statistic` is what was taken (lowest, highest, median, value, rows above, ...; the vocabulary is that of `claims.grammar`) of the rows
    of `signal` with `first` <= step <= `last`, finite and in step order, beyond `limit` where it counts. A `formula` computes it from the
    other numbers of the same finding; `estimate`, `setting`, `log` and `files` say in `formula` by which method, or where it was read.
    """

    statistic: str
    signal: str = ""
    first: int | None = None
    last: int | None = None
    limit: float | None = None
    formula: str = ""

    def __str__(self) -> str:
        if not self.signal:
            return f"{self.statistic}: {self.formula}" if self.formula else self.statistic
        where = "" if self.first is None else f", step {self.first}" if self.first == self.last else f", steps {self.first}-{self.last}"
        limit = "" if self.limit is None else f" {self.limit:g}"
        return f"{self.statistic}{limit} of {self.signal}{where}{self.formula and ' '}{self.formula}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector measured. No judgement, no words.

    `margin` says how far the decisive number lies beyond its threshold, as a ratio >= 1 (1 = exactly at the threshold); `points` is the
    number of values the test rests on. Spans are inclusive step ranges.
    """

    numbers: Mapping[str, Scalar]
    signals: tuple[str, ...]
    onset_step: int | None = None
    spans: tuple[tuple[int, int], ...] = ()
    margin: float = 1.5
    points: int = 0

    @classmethod
    def between(
        cls, numbers: Mapping[str, Scalar], signals: tuple[str, ...], first: SupportsInt, last: SupportsInt, *, margin: float, points: int
    ) -> Evidence:
        """Evidence that begins at a step and reaches to another one."""
        return cls(numbers, signals, int(first), ((int(first), int(last)),), margin, points)


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a rule was not evaluated, and what to log so that it can be next time."""

    reason: str
    how_to_log: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """A possible cause with what speaks for and against it in this run; likelihoods of one finding add up to at most 1."""

    name: str
    title: str
    likelihood: float
    speaks_for: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    test: str = ""
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting under the name that the run's own tool has for it; `current` is None where the log does not tell it."""

    setting: str
    current: Scalar
    proposed: Scalar


@dataclass(frozen=True, slots=True)
class Fix:
    """One change, computed from this run's own value, and what must change together with it.

    `style` is how the run's tool is configured: `python` (keyword arguments), `yaml`, or `words` where no such setting is known.
    `waits_for` is the title of the finding that decides on the setting first; then nothing is proposed yet.
    """

    setting: str
    current: Scalar
    proposed: Scalar
    why: str
    together: tuple[Change, ...] = ()
    style: str = "python"
    waits_for: str = ""

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of it, the setting that names the fix first."""
        return (Change(self.setting, self.current, self.proposed), *self.together)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fired, in full."""

    rule: str
    code: str
    title: str
    severity: Severity
    confidence: float
    message: str
    numbers: Mapping[str, Scalar]
    signals: tuple[str, ...]
    onset_step: int | None = None
    span: tuple[int, int] | None = None
    spans: tuple[tuple[int, int], ...] = ()
    detectable_step: int | None = None
    found: str = ""
    limit: str = ""
    causes: tuple[Cause, ...] = ()
    fixes: tuple[Fix, ...] = ()
    explained_by: str | None = None
    baseline: str | None = None
    why_it_matters: str = ""
    verify: str = ""
    looks_like: str = ""
    samples: str = ""
    claims: Mapping[str, Claim] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Severity, name and code: error: hockey-stick (LD201)."""
        return f"{self.severity}: {self.rule} ({self.code})"


@dataclass(frozen=True, slots=True)
class Vital:
    """One question about the run, its answer, and the sentence with the numbers that the answer rests on.

    `name` is one of finite, level, learning, kept, steady, generalises, complete, machine; `title` the question's few words. `findings`
    are the rules whose warnings or errors make it bad, most important first, empty unless bad. `wanted` says how much data would have
    been enough, where the state is unknown. `decisive`: without a good answer nothing is called healthy.
    """

    name: str
    title: str
    state: State
    says: str
    numbers: Mapping[str, Scalar] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    wanted: str = ""
    decisive: bool = False
    claims: Mapping[str, Claim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleNote:
    """A rule that did not fire: healthy, not evaluated, suppressed or crashed."""

    rule: str
    code: str
    title: str
    reason: str = ""
    how_to_log: str = ""


@dataclass(frozen=True, slots=True)
class SeriesView:
    """A decimated signal for the charts; values that are not finite are None, and `nonfinite` lists their steps."""

    signal: str
    raw_name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    nonfinite: tuple[int, ...] = ()
    points: int = 0


@dataclass(frozen=True, slots=True)
class CheckpointAdvice:
    """Which checkpoint to use, and whether it is there.

    `path` is the one to use. Without a path, `nearest_kept` is only the best of those left, too far from the best step to be advised.
    """

    best_step: int | None = None
    exists: bool | None = None
    nearest_kept: int | None = None
    path: str | None = None
    whole: bool | None = None
    resumable: bool | None = None
    resume_command: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and money. Hours are wall hours; GPU hours and money are None where the number of GPUs or the price is unknown."""

    hours: float | None = None
    hours_after_best: float | None = None
    hours_after_onset: float | None = None
    hours_since_checkpoint: float | None = None
    gpus: int | None = None
    gpu_hours_wasted: float | None = None
    money_wasted: float | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the step axis: warmup-end, epoch, resume, checkpoint, best-eval, onset, end, detectable."""

    kind: str
    step: int
    label: str


@dataclass(frozen=True, slots=True)
class MetricDelta:
    """A metric of the run against its baseline. `noise` is the half width of what chance explains (95 %), None where it cannot be told.

    `beyond` says whether the change is larger than that, `better` whether it is for the better; None where that is unknown.
    """

    metric: str
    signal: str
    base: float
    now: float
    noise: float | None = None
    beyond: bool | None = None
    better: bool | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last good run or runs, seen from this one. `refused` says why they cannot be compared with it; then nothing else is filled."""

    names: tuple[str, ...]
    refused: tuple[str, ...] = ()
    fixed: tuple[RuleNote, ...] = ()
    deltas: tuple[MetricDelta, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """What the policy says of a diagnosis. Its reasons are the labels of findings that it does not accept, then whatever is missing."""

    passed: bool = True
    reasons: tuple[str, ...] = ()

    def blames(self, finding: Finding) -> bool:
        """Whether the finding is one that turned the gate red."""
        return finding.label in self.reasons


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result for one run: everything that any report shows. `unit` names what the axis counts: step, epoch, log call."""

    name: str
    path: str
    argument: str
    verdict: Verdict
    headline: str
    vitals: tuple[Vital, ...] = ()
    findings: tuple[Finding, ...] = ()
    healthy: tuple[RuleNote, ...] = ()
    not_evaluated: tuple[RuleNote, ...] = ()
    suppressed: tuple[RuleNote, ...] = ()
    crashed: tuple[RuleNote, ...] = ()
    faults: tuple[Fault, ...] = ()
    checkpoint: CheckpointAdvice = CheckpointAdvice()
    checkpoints: tuple[Checkpoint, ...] = ()
    cost: Cost = Cost()
    marks: tuple[Mark, ...] = ()
    settings: tuple[Setting, ...] = ()
    sources: tuple[SourceNote, ...] = ()
    log_events: tuple[LogEvent, ...] = ()
    series: tuple[SeriesView, ...] = ()
    gate: Gate = Gate()
    baseline: Baseline | None = None
    task: str = ""
    steps: int | None = None
    planned_steps: int | None = None
    epochs: float | None = None
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    unit: str = "step"

    @property
    def loud(self) -> tuple[Finding, ...]:
        """The findings that ask for action: errors and warnings."""
        return tuple(f for f in self.findings if f.severity is not Severity.NOTE)

    @property
    def no_verdict(self) -> tuple[str, ...]:
        """Why the gate is red beyond findings: damage, missing signals, a crashed rule, an unlike baseline. Empty where all is well."""
        labels = {f.label for f in self.findings}
        return tuple(reason for reason in self.gate.reasons if reason not in labels)

    def to_frame(self) -> pd.DataFrame:
        """One row a finding, most important first; the columns are those of `reporters.notebook.to_frame`."""
        frame: pd.DataFrame = _notebook().to_frame(self)
        return frame

    def _repr_html_(self) -> str:
        """The whole report in a frame of its own, for notebooks."""
        page: str = _notebook().iframe(self)
        return page


def _notebook() -> Any:
    # By name, because the model knows no reporter: only a notebook's two methods reach up to one.
    return import_module("lossdoctor.reporters.notebook")
