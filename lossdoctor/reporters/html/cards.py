"""The findings as the page shows them: a card for every warning and error, a row for every note, each with an address of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lossdoctor.model import Cause, Diagnosis, Finding, Fix, Severity
from lossdoctor.reporters.advice import Group, first_fix, groups, letter
from lossdoctor.reporters.charts.crop import crop
from lossdoctor.reporters.charts.layout import CROP
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.html.chart import Chart, chart

UNLIKELY = 0.1


@dataclass(frozen=True, slots=True)
class Card:
    """A finding and all that is shown of it. `causes` are the likely ones, `unlikely` those below a tenth, folded away.

    `explained` are the findings that follow from it; `follows` is the letter of the one that it follows from.
    """

    letter: str
    finding: Finding
    anchor: str
    fix: Fix | None
    more: tuple[Fix, ...]
    crop: Chart | None
    causes: tuple[Cause, ...]
    unlikely: tuple[Cause, ...]
    explained: tuple[tuple[str, Finding], ...]
    follows: str = ""
    unit: str = "step"

    @property
    def is_note(self) -> bool:
        return self.finding.severity is Severity.NOTE


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "finding"


def anchors(d: Diagnosis, prefix: str, taken: Collection[str]) -> dict[str, str]:
    """The address of each letter's card, none of them one of the page's own."""
    used = {prefix + name for name in taken}
    found: dict[str, str] = {}
    for index, finding in enumerate(d.findings):
        name = prefix + slug(finding.rule)
        while name in used:
            name += "-again"
        used |= {name, f"{name}-h"}
        found[letter(index)] = name
    return found


def cards(
    d: Diagnosis,
    drawn: Sequence[Panel],
    addresses: Mapping[str, str],
    key: str,
    most_crops: int,
    columns: int,
    complain: Callable[[str], None],
) -> tuple[Card, ...]:
    """One a finding, each root followed by what it explains."""
    made: list[Card] = []
    crops = 0
    for group, follows in _ordered(d):
        f = group.finding
        loud = f.severity is not Severity.NOTE
        zoomed = crop(f, group.letter, drawn, columns) if loud and crops < most_crops else None
        crops += zoomed is not None
        small = chart(zoomed, f"{key}z{len(made)}", complain, CROP) if zoomed is not None else None
        fix = first_fix(group)
        likely = tuple(c for i, c in enumerate(f.causes) if i == 0 or c.likelihood >= UNLIKELY)
        made.append(
            Card(
                letter=group.letter,
                finding=f,
                anchor=addresses[group.letter],
                fix=fix,
                more=tuple(x for x in f.fixes if x != fix),
                crop=small,
                causes=likely,
                unlikely=tuple(c for c in f.causes if c not in likely),
                explained=group.explained,
                follows=follows,
                unit=d.unit,
            )
        )
    return tuple(made)


def _ordered(d: Diagnosis) -> list[tuple[Group, str]]:
    """Each group with the letter that it follows from, empty for a root."""
    found: list[tuple[Group, str]] = []
    for group in groups(d):
        found.append((group, ""))
        found += [(Group(mark, f), group.letter) for mark, f in group.explained]
    return found
