"""A diagnosis under a policy: levels, suppressions, and whether the gate is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from lossdoctor.model import Diagnosis, Finding, Gate, RuleNote, Severity
from lossdoctor.policy.gate import failures, incomplete
from lossdoctor.policy.model import Level, Policy, Suppression, matches_run, selects


def apply(policy: Policy, diagnosis: Diagnosis, today: date) -> Diagnosis:
    """Give each finding its level, move what is suppressed to `suppressed` with the reason, and fill the gate.

    The verdict and the headline stay: they are free of policy. A suppression that ended before `today` lets its finding return as a
    warning. Rules that are off count as not evaluated, whatever they found or however they failed. Pure, and applying it twice is the
    same as once.
    """
    judged = _suppress(policy, _level(policy, diagnosis), today)
    reasons = (*failures(policy, judged), *incomplete(policy, judged))
    return replace(judged, gate=Gate(passed=not reasons, reasons=reasons))


def _level(policy: Policy, diagnosis: Diagnosis) -> Diagnosis:
    def level(note: Finding | RuleNote) -> Level | None:
        return policy.level_of(note.rule, note.code, diagnosis.name, diagnosis.path)

    def on(notes: Iterable[RuleNote]) -> tuple[RuleNote, ...]:
        return tuple(note for note in notes if level(note) is not Level.OFF)

    kept = tuple(
        f if (to := level(f)) is None else replace(f, severity=Severity(to)) for f in diagnosis.findings if level(f) is not Level.OFF
    )
    every: tuple[Finding | RuleNote, ...] = (*diagnosis.findings, *diagnosis.healthy, *diagnosis.not_evaluated, *diagnosis.crashed)
    reason = f"switched off by {policy.source or 'the policy'}"
    off = tuple(RuleNote(note.rule, note.code, note.title, reason) for note in every if level(note) is Level.OFF)
    return replace(
        diagnosis,
        findings=_ungroup(kept),
        healthy=on(diagnosis.healthy),
        not_evaluated=(*on(diagnosis.not_evaluated), *off),
        crashed=on(diagnosis.crashed),
    )


def _suppress(policy: Policy, diagnosis: Diagnosis, today: date) -> Diagnosis:
    kept: list[Finding] = []
    suppressed, notes = list(diagnosis.suppressed), list(diagnosis.notes)
    for finding in diagnosis.findings:
        asked = _asked(policy, diagnosis, finding)
        holding = next((s for s in asked if not s.expired(today)), None)
        if holding is not None:
            suppressed.append(RuleNote(finding.rule, finding.code, finding.title, _reason(holding)))
        elif asked:
            kept.append(_returned(finding, asked[0]))
            ended = f"the suppression of {finding.rule} ended on {asked[0].until} ({asked[0].where}): fix it, or renew it with a new date"
            notes += [] if ended in notes else [ended]
        else:
            kept.append(finding)
    return replace(diagnosis, findings=_ungroup(kept), suppressed=tuple(suppressed), notes=tuple(notes))


def _returned(finding: Finding, suppression: Suppression) -> Finding:
    """The finding as a warning that says why it is back."""
    said = f" Its suppression ended on {suppression.until}."
    message = finding.message if finding.message.endswith(said) else finding.message + said
    return replace(finding, severity=Severity.WARNING, message=message)


def _asked(policy: Policy, diagnosis: Diagnosis, finding: Finding) -> list[Suppression]:
    """The suppressions, running or over, that mean this finding of this run."""
    return [
        s
        for s in policy.suppressions
        if selects(s.rule, finding.rule, finding.code) and matches_run(s.run, diagnosis.name, diagnosis.path)
    ]  # fmt: skip


def _reason(suppression: Suppression) -> str:
    return suppression.reason if suppression.until is None else f"{suppression.reason} (until {suppression.until})"


def _ungroup(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Let a finding stand by itself where the one that explained it is gone."""
    kept = tuple(findings)
    names = {f.rule for f in kept}
    return tuple(f if f.explained_by is None or f.explained_by in names else replace(f, explained_by=None) for f in kept)
