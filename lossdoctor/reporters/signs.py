"""The vital signs as rows, the same in every format.

The order of the questions stays. What is bad or unknown has a row of its own, good ones without a sentence to tell share one. Good ones
tell theirs only where they are the answer: those that a verdict of health rests on, in a run without a loud finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lossdoctor.model import Diagnosis, Finding, Severity, State, Verdict, Vital
from lossdoctor.reporters.advice import NextStep, letter, step_title
from lossdoctor.reporters.wording import says_the_same

SAID = "see the headline"


@dataclass(frozen=True, slots=True)
class Sign:
    """A row: one vital, or several that say the same. `tone` is good, unknown, warning or error, the last two for a bad one.

    `says` is empty where the titles are enough. `blamed` are the findings, with their letters, that make it bad, without those that they
    explain; `hidden` are rules that make it bad and are not among the findings, because a policy suppressed them.
    """

    tone: str
    vitals: tuple[Vital, ...]
    says: str = ""
    wanted: str = ""
    blamed: tuple[tuple[str, Finding], ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        return self.vitals[0].state

    @property
    def titles(self) -> str:
        return ", ".join(vital.title for vital in self.vitals)


def signs(diagnosis: Diagnosis, *, every: bool = False) -> tuple[Sign, ...]:
    """The rows; with `every` each vital has its own, with its sentence and what would have been enough."""
    rows: list[Sign] = []
    asked: set[str] = set()
    for vital in diagnosis.vitals:
        row = _row(diagnosis, vital, every)
        if row.wanted in asked:
            row = replace(row, wanted="")
        asked |= {row.wanted}
        if rows and not every and _alike(rows[-1], row):
            rows[-1] = replace(rows[-1], vitals=(*rows[-1].vitals, vital), wanted=rows[-1].wanted or row.wanted)
        else:
            rows.append(row)
    return tuple(rows)


def beside(rows: tuple[Sign, ...], steps: Iterable[NextStep]) -> tuple[Sign, ...]:
    """The rows where the steps are shown as well: what to log is told there, so not twice."""
    said = {step.title for step in steps}
    return tuple(replace(row, wanted="") if step_title(row.wanted) in said else row for row in rows)


def states(diagnosis: Diagnosis) -> str:
    """All of them in a few words: `bad: generalises; unknown: machine; good: 6 of 8`."""
    named = [(state, [v.title for v in diagnosis.vitals if v.state is state]) for state in (State.BAD, State.UNKNOWN)]
    said = [f"{state.value}: {', '.join(titles)}" for state, titles in named if titles]
    good = sum(vital.state is State.GOOD for vital in diagnosis.vitals)
    return "; ".join([*said, f"good: {good} of {len(diagnosis.vitals)}"])


def seen(diagnosis: Diagnosis) -> str:
    """What a healthy verdict rests on, and what it leaves open."""
    good = sum(vital.state is State.GOOD for vital in diagnosis.vitals)
    blank = [vital.title for vital in diagnosis.vitals if vital.state is State.UNKNOWN]
    return f"{good} of {len(diagnosis.vitals)} vital signs are good.{' Not seen: ' + ', '.join(blank) + '.' if blank else ''}"


def _row(d: Diagnosis, vital: Vital, every: bool) -> Sign:
    if vital.state is State.BAD:
        return _bad(d, vital)
    sober = d.verdict in {Verdict.PASS, Verdict.INCONCLUSIVE}
    told = every or vital.state is State.UNKNOWN or (vital.decisive and sober)
    again = says_the_same(d.headline, vital.says)
    says = "" if not told or (again and vital.state is State.GOOD) else SAID if again else vital.says
    needs = vital.wanted if (every or sober) and vital.wanted and not says_the_same(d.headline, vital.wanted) else ""
    return Sign(vital.state.value, (vital,), says, needs)


def _bad(d: Diagnosis, vital: Vital) -> Sign:
    every = tuple(_named(d, vital.findings))
    shown = {f.rule for _, f in every}
    blamed = tuple((mark, f) for mark, f in every if f.explained_by in {None, f.rule} or f.explained_by not in shown)
    grave = any(f.severity is Severity.ERROR for _, f in every) if every else d.verdict is Verdict.FAIL
    says = "" if blamed and says_the_same(d.headline, vital.says) else vital.says
    return Sign("error" if grave else "warning", (vital,), says, "", blamed, tuple(rule for rule in vital.findings if rule not in shown))


def _named(d: Diagnosis, rules: Iterable[str]) -> Iterator[tuple[str, Finding]]:
    first = {f.rule: (letter(i), f) for i, f in reversed(list(enumerate(d.findings)))}
    return (first[rule] for rule in dict.fromkeys(rules) if rule in first)


def _alike(row: Sign, after: Sign) -> bool:
    """Good ones without a sentence, and unknown ones for the same reason."""
    return row.tone == after.tone and row.says == after.says and row.state is not State.BAD and not (row.wanted and after.wanted)
