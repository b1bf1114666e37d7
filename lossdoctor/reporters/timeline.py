"""What happened when, on the step axis."""

from __future__ import annotations

from dataclasses import dataclass

from lossdoctor.model import Diagnosis, Mark
from lossdoctor.reporters.advice import letter
from lossdoctor.reporters.wording import counted

MOST_ROWS = 40
_SELDOM = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """One row: the step (None where the log gave none), the kind as a word, and a sentence."""

    step: int | None
    kind: str
    text: str


def timeline(diagnosis: Diagnosis) -> tuple[Moment, ...]:
    """Marks, log events and findings in the order of their steps; long rows of marks of one kind are counted, not listed."""
    moments = [*_marks(diagnosis), *_findings(diagnosis)]
    moments += [Moment(e.step, e.kind, _first_line(e.text) + f" ({e.where})") for e in diagnosis.log_events]
    ordered = sorted(moments, key=lambda m: (m.step is None, m.step or 0))
    if len(ordered) <= MOST_ROWS:
        return tuple(ordered)
    cut = len(ordered) - MOST_ROWS
    return (*ordered[: MOST_ROWS // 2], Moment(None, "...", f"{counted(cut, 'more moment')} not listed"), *ordered[-MOST_ROWS // 2 :])


def _marks(diagnosis: Diagnosis) -> list[Moment]:
    by_kind: dict[str, list[Mark]] = {}
    for mark in diagnosis.marks:
        by_kind.setdefault(mark.kind, []).append(mark)
    moments: list[Moment] = []
    for kind, marks in by_kind.items():
        if kind in {"onset", "detectable"} and diagnosis.findings:
            continue
        name = kind.replace("-", " ")
        if len(marks) > _SELDOM:
            text = f"{marks[0].label} and {len(marks) - 1} more, to {marks[-1].label} ({diagnosis.unit} {marks[-1].step})"
            moments.append(Moment(marks[0].step, name, text))
        else:
            moments += [Moment(m.step, name, m.label) for m in marks]
    return moments


def _findings(diagnosis: Diagnosis) -> list[Moment]:
    moments: list[Moment] = []
    for index, finding in enumerate(diagnosis.findings):
        name = f"{finding.title} ({finding.rule}, {letter(index)})"
        if finding.onset_step is not None:
            moments.append(Moment(finding.onset_step, "onset", f"{name} begins"))
        if finding.detectable_step is not None:
            moments.append(Moment(finding.detectable_step, "detectable", f"a monitor could have reported: {name}"))
    return moments


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else text
