"""A diagnosis against the last good run, or several seeds of it: new, unchanged and fixed findings, and metrics that moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossdoctor.compare.alike import unlike
from lossdoctor.compare.fingerprint import family
from lossdoctor.compare.metrics import deltas
from lossdoctor.model import Baseline, Diagnosis, Finding, RuleNote
from lossdoctor.policy.gate import unread

NEW, UNCHANGED = "new", "unchanged"


def mark(diagnosis: Diagnosis, *baselines: Diagnosis) -> Diagnosis:
    """Mark each finding as new or unchanged and fill `Diagnosis.baseline`. Call it before `policy.apply`, which may fail on new errors.

    Of several baselines those of the run's own family (names without seeds and dates) are taken; a single family is taken whatever its
    name. A finding is unchanged if a baseline has the same rule on the same signals and at least as grave; values do not matter. It is
    fixed if every baseline has it and the rule now found nothing. Unlike runs are refused: then every finding is new and the gate is red.
    """
    chosen = _choose(diagnosis, baselines)
    names = tuple(base.name for base in chosen)
    refused = _refusals(diagnosis, chosen)
    if refused:
        marked = tuple(replace(f, baseline=NEW) for f in diagnosis.findings)
        return replace(diagnosis, findings=marked, baseline=Baseline(names, refused))
    marked = tuple(replace(f, baseline=UNCHANGED if _known(f, chosen) else NEW) for f in diagnosis.findings)
    moved = deltas(diagnosis, chosen)
    result = replace(diagnosis, findings=marked, baseline=Baseline(names, (), _fixed(diagnosis, chosen), moved))
    if any(not base.series for base in chosen):
        result = replace(
            result, notes=(*diagnosis.notes, "the baseline holds no curves, so no metric is compared: write it with -o FILE.json")
        )
    return result


def _choose(diagnosis: Diagnosis, baselines: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    if len({family(base.name) for base in baselines}) == 1:
        return tuple(baselines)
    return tuple(base for base in baselines if family(base.name) == family(diagnosis.name))


def _refusals(diagnosis: Diagnosis, chosen: Sequence[Diagnosis]) -> tuple[str, ...]:
    if not chosen:
        return (f"no run like {diagnosis.name} in the baseline",)
    broken = [f"{base.name} could not be read" for base in chosen if unread(base)]
    reasons = [f"{base.name}: {reason}" for base in chosen for reason in unlike(base, diagnosis)]
    return (*broken, *reasons)


def _known(finding: Finding, baselines: Sequence[Diagnosis]) -> bool:
    same = (f for base in baselines for f in base.findings if (f.rule, sorted(f.signals)) == (finding.rule, sorted(finding.signals)))
    return any(f.severity.rank <= finding.severity.rank for f in same)


def _fixed(diagnosis: Diagnosis, baselines: Sequence[Diagnosis]) -> tuple[RuleNote, ...]:
    """Findings of all baselines whose rule looked and found nothing; a rule that could not look has fixed nothing."""
    healthy = {note.rule for note in diagnosis.healthy}
    every = [{f.rule for f in base.findings} for base in baselines]
    gone = set.intersection(*every) & healthy
    first = {f.rule: f for f in reversed(baselines[0].findings) if f.rule in gone}
    return tuple(RuleNote(f.rule, f.code, f.title, f"in the baseline: {f.message}") for f in reversed(first.values()))
