"""Vital signs and the verdict: a run is healthy only where it was seen to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lossdoctor.model import Fault, Finding, Loss, Severity, State, Verdict, Vital
from lossdoctor.rulebook import Rule


def judged(assessed: Iterable[Vital], findings: Sequence[Finding], rules: Mapping[str, Rule]) -> tuple[Vital, ...]:
    """The vitals with the findings taken in: every warning or error makes its vital bad, and nothing else does."""
    loud = [f for f in findings if f.severity is not Severity.NOTE]
    return tuple(_with(vital, [f for f in loud if rules[f.rule].vital == vital.name]) for vital in assessed)


def _with(vital: Vital, findings: Sequence[Finding]) -> Vital:
    if not findings:
        return vital
    return replace(vital, state=State.BAD, says=findings[0].message, findings=tuple(f.rule for f in findings), wanted="")


def verdict(vitals: Iterable[Vital], findings: Iterable[Finding], faults: Iterable[Fault], crashed: bool) -> Verdict:
    """The worst severity found. Without a finding: pass only where every decisive vital is good and nothing was lost on the way."""
    worst = min((f.severity.rank for f in findings), default=Severity.NOTE.rank)
    if worst < Severity.NOTE.rank:
        return (Verdict.FAIL, Verdict.WARN)[worst]
    damaged = any(fault.loss is not Loss.BENIGN for fault in faults)
    unsure = any(vital.decisive and vital.state is not State.GOOD for vital in vitals)
    return Verdict.INCONCLUSIVE if damaged or crashed or unsure else Verdict.PASS


def headline(result: Verdict, vitals: Sequence[Vital], findings: Sequence[Finding]) -> str:
    """One sentence for the whole run: the first finding, what is not known, or what is good."""
    if findings and findings[0].severity is not Severity.NOTE:
        return findings[0].message
    if result is Verdict.INCONCLUSIVE:
        open_ = [vital for vital in vitals if vital.decisive and vital.state is State.UNKNOWN]
        first = open_[0] if open_ else None
        return (
            " ".join(part for part in (first.says, first.wanted) if part)
            if first
            else "Part of the log was lost: what is left looks sound."
        )
    return next((vital.says for vital in vitals if vital.name == "learning"), "")
