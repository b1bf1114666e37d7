"""How often the diagnosis is right, on any directory of labelled runs.

A corpus is a directory; every `*/expected.toml` below it (at any depth) labels the run in its directory:

    made       "real training" (the default), or "scripted": written by hand, no evidence, left out of the figures unless asked for
    must       rules owed as a warning or an error; a run without any is a healthy run
    may, note  rules that are free: arguable, or a true consequence
    onset_step where the fault begins, where that is known
    causes     rule = cause: which of the rule's causes was put in, where that is known
    silent, source, how, name, cause: for the reader

Every other rule that warns is a false alarm. There are no synonyms: hockey-stick does not pay for overfitting, nor a note for a warning.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec

from lossdoctor.errors import UsageError
from lossdoctor.model import Diagnosis, Finding

BANDS = (("high", 0.95), ("medium", 0.85), ("low", 0.0))


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expected.toml."""

    must: tuple[str, ...]
    may: tuple[str, ...] = ()
    note: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    made: str = "real training"
    onset_step: int | None = None
    name: str = ""
    source: tuple[str, ...] = ()
    how: str = ""
    cause: str = ""
    causes: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled run and what was said of it: `loud` and `quiet` are rules, most important first."""

    name: str
    label: Label
    loud: tuple[str, ...]
    confidences: tuple[float, ...] = ()
    onsets: tuple[int | None, ...] = ()
    last_step: int | None = None
    readable: bool = True
    cause_ranks: tuple[int | None, ...] = ()  # of each known cause of a rule that warned: 0 is the first, None not ranked at all

    @property
    def missed(self) -> tuple[str, ...]:
        return tuple(rule for rule in self.label.must if rule not in self.loud)

    @property
    def false(self) -> tuple[str, ...]:
        return tuple(rule for rule in self.loud if not self.right(rule))

    def right(self, rule: str) -> bool:
        """Whether a warning of this rule is owed or free."""
        return rule in self.label.must or rule in self.label.may or rule in self.label.note


@dataclass(frozen=True, slots=True)
class Score:
    """Counts and the ratios that follow from them; a ratio without a base is None."""

    owed: int = 0
    found: int = 0
    false: int = 0

    @property
    def precision(self) -> float | None:
        return _ratio(self.found, self.found + self.false)

    @property
    def recall(self) -> float | None:
        return _ratio(self.found, self.owed)

    @property
    def f1(self) -> float | None:
        return _ratio(2 * self.found, self.found + self.false + self.owed)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures over a corpus. `bands` holds (right, all) warnings by confidence, `onset_errors` fractions of the run, a finding
    each; `causes` counts known causes of rules that warned, and how many were ranked first, or among the first two."""

    cases: tuple[Case, ...] = ()
    left_out: int = 0
    rules: dict[str, Score] = field(default_factory=dict)
    total: Score = Score()
    healthy: int = 0
    alarmed: int = 0
    headlines: int = 0
    headlines_right: int = 0
    bands: dict[str, tuple[int, int]] = field(default_factory=dict)
    onset_errors: tuple[float, ...] = ()
    causes: int = 0
    causes_first: int = 0
    causes_among_two: int = 0

    @property
    def onset_error(self) -> float | None:
        """The median distance between the found and the true onset, as a fraction of the run."""
        return median(self.onset_errors) if self.onset_errors else None

    @property
    def unreadable(self) -> tuple[str, ...]:
        return tuple(case.name for case in self.cases if not case.readable)


def labels(corpus: Path) -> dict[Path, Label]:
    """Directory -> label, in the order of the names. Raises UsageError where there is none or one is malformed."""
    found = {}
    for path in sorted(corpus.rglob("expected.toml")):
        try:
            found[path.parent] = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Label)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise UsageError(f"{path}: {error}") from None
    if not found:
        raise UsageError(f"{corpus}: no expected.toml below it; the format is described in fixtures/README.md")
    return found


def evaluate(corpus: Path, diagnose: Callable[[str], Sequence[Diagnosis]], *, scripted: bool = False) -> Evaluation:
    """Diagnose every labelled run below `corpus` and count. Where a directory gives several runs, their findings count together."""
    labelled = labels(corpus)
    chosen = {home: label for home, label in labelled.items() if scripted or label.made != "scripted"}
    cases = tuple(_case(home.relative_to(corpus).as_posix(), label, diagnose(str(home))) for home, label in chosen.items())
    return count(cases, left_out=len(labelled) - len(chosen))


def _case(name: str, label: Label, diagnoses: Sequence[Diagnosis]) -> Case:
    loud = {finding.rule: finding for diagnosis in diagnoses for finding in diagnosis.loud}
    return Case(
        name,
        label,
        tuple(loud),
        tuple(finding.confidence for finding in loud.values()),
        tuple(finding.onset_step for finding in loud.values()),
        max((diagnosis.steps or 0 for diagnosis in diagnoses), default=0) or None,
        any(diagnosis.series for diagnosis in diagnoses),
        tuple(_rank(loud[rule], cause) for rule, cause in label.causes.items() if rule in loud),
    )


def _rank(finding: Finding, cause: str) -> int | None:
    names = [ranked.name for ranked in finding.causes]
    return names.index(cause) if cause in names else None


def count(cases: Sequence[Case], left_out: int = 0) -> Evaluation:
    """Add up the cases."""
    owed, found, false = (Counter[str]() for _ in range(3))
    for case in cases:
        owed.update(case.label.must)
        found.update(set(case.label.must) - set(case.missed))
        false.update(case.false)
    healthy = [case for case in cases if not case.label.must]
    faulty = [case for case in cases if case.label.must]
    names = sorted({*owed, *false})
    ranks = [rank for case in cases for rank in case.cause_ranks]
    return Evaluation(
        tuple(cases),
        left_out,
        {name: Score(owed[name], found[name], false[name]) for name in names},
        Score(owed.total(), found.total(), false.total()),
        len(healthy),
        sum(bool(case.false) for case in healthy),
        len(faulty),
        sum(case.loud[:1] != () and case.loud[0] in case.label.must for case in faulty),
        _bands(cases),
        tuple(_onset_errors(cases)),
        len(ranks),
        sum(rank == 0 for rank in ranks),
        sum(rank in (0, 1) for rank in ranks),
    )


def _bands(cases: Iterable[Case]) -> dict[str, tuple[int, int]]:
    right, every = Counter[str](), Counter[str]()
    for case in cases:
        for rule, confidence in zip(case.loud, case.confidences, strict=True):
            band = next(name for name, least in BANDS if confidence >= least)
            every[band] += 1
            right[band] += case.right(rule)
    return {name: (right[name], every[name]) for name, _ in BANDS}


def _onset_errors(cases: Iterable[Case]) -> Iterable[float]:
    for case in cases:
        if case.label.onset_step is None or not case.last_step:
            continue
        steps = [step for rule, step in zip(case.loud, case.onsets, strict=True) if rule in case.label.must and step is not None]
        if steps:
            yield min(abs(step - case.label.onset_step) for step in steps) / case.last_step


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
