"""When the gate is red: findings that the policy does not accept, and analyses that carry no verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from lossdoctor.model import Diagnosis, Finding, Loss, SeriesView, Severity, Verdict
from lossdoctor.policy.model import FailOn, Policy


def failures(policy: Policy, diagnosis: Diagnosis) -> tuple[str, ...]:
    """The findings that turn the gate red (exit 1), a sentence each."""
    return tuple(f.label for f in diagnosis.findings if _fails(f, policy.gate.fail_on))


def incomplete(policy: Policy, diagnosis: Diagnosis) -> tuple[str, ...]:
    """Why there is no trustworthy verdict (exit 3), a sentence each; empty where there is one."""
    return tuple(_incomplete(policy, diagnosis))


def unread(diagnosis: Diagnosis) -> bool:
    """Whether nothing could be read at all. No allowance opens the gate for that."""
    return diagnosis.verdict is Verdict.INCONCLUSIVE and any(f.loss is Loss.FATAL for f in diagnosis.faults)


def evals(series: Iterable[SeriesView]) -> int:
    """How many evaluations were logged: the points of the longest eval signal."""
    return max((one.points or len(one.steps) for one in series if one.signal.startswith("eval/")), default=0)


def _fails(finding: Finding, wanted: FailOn) -> bool:
    if wanted is FailOn.NEVER:
        return False
    if wanted is FailOn.WARNING:
        return finding.severity is not Severity.NOTE
    return finding.severity is Severity.ERROR and (wanted is FailOn.ERROR or finding.baseline != "unchanged")


def _incomplete(policy: Policy, diagnosis: Diagnosis) -> Iterator[str]:
    if unread(diagnosis):
        yield "nothing could be read"
    elif diagnosis.verdict is Verdict.INCONCLUSIVE and not policy.gate.allow_inconclusive:
        yield "the data do not allow a verdict"
    if not policy.gate.allow_damage or unread(diagnosis):
        lost = (fault for fault in diagnosis.faults if fault.loss is not Loss.BENIGN and fault.kind != "no-log")
        yield from (f"damaged input: {fault.kind} in {fault.where}" for fault in lost)
    yield from (f"rule crashed: {note.rule} ({note.code})" for note in diagnosis.crashed)
    yield from _missing(policy, diagnosis)
    if diagnosis.baseline is not None and diagnosis.baseline.refused:
        yield f"baseline of an unlike run: {'; '.join(diagnosis.baseline.refused)}"


def _missing(policy: Policy, diagnosis: Diagnosis) -> Iterator[str]:
    for wanted in policy.required_signals(diagnosis.name, diagnosis.path):
        if not any(_is(series, wanted) for series in diagnosis.series):
            yield f"required signal not logged: {wanted}"
    least, logged = policy.min_evals(diagnosis.name, diagnosis.path), evals(diagnosis.series)
    if logged < least:
        yield f"too few evals: {logged} logged, {least} required"


def _is(series: SeriesView, wanted: str) -> bool:
    return bool(series.points or series.steps) and (fnmatchcase(series.signal, wanted) or fnmatchcase(series.raw_name, wanted))
