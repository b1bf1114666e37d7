"""What the templates are given: one frozen view a run, every figure drawn, every id unique."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lossdoctor.model import Diagnosis, Finding, Fix, Loss
from lossdoctor.reporters.advice import Group, NextStep, decision, first_fix, groups, next_steps
from lossdoctor.reporters.charts.layout import CROP, MAIN, NARROW, SMALL
from lossdoctor.reporters.charts.panel import Panel, describe, panels, table, zoom
from lossdoctor.reporters.charts.svg import inline
from lossdoctor.reporters.html.budget import Budget
from lossdoctor.reporters.signals import amount
from lossdoctor.reporters.terminal.curves import chosen
from lossdoctor.reporters.timeline import Moment, timeline

_WORTH_ZOOMING = 0.5


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart with its description and a table of its values; `error` says why it could not be drawn."""

    title: str
    svg: str
    narrow: str
    about: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A finding and all that its card shows."""

    letter: str
    finding: Finding
    anchor: str
    fix: Fix | None
    more: tuple[Fix, ...]
    crop: Chart | None
    explained: tuple[tuple[str, Finding], ...]


@dataclass(frozen=True, slots=True)
class RunPage:
    """One run's section."""

    d: Diagnosis
    anchor: str
    decision: str
    steps: tuple[NextStep, ...]
    main: Chart | None
    charts: tuple[Chart, ...]
    cards: tuple[Card, ...]
    timeline: tuple[Moment, ...]
    damaged: bool
    best: str
    left_out: int


def run_page(d: Diagnosis, index: int, runs: int, budget: Budget) -> RunPage:
    """Draw and collect everything for one run's section; `index` counts from 0 and makes anchors unique where there are several runs."""
    anchor = "" if runs == 1 else f"run-{index + 1}-"
    drawn = panels(d, budget.columns)
    key = f"c{index}"
    used = {s for f in d.findings for s in f.signals}
    others = [p for p in drawn[1:] if used & {line.signal for line in p.lines}]
    others += [p for p in drawn[1:] if p not in others]
    return RunPage(
        d=d,
        anchor=anchor,
        decision=decision(d),
        steps=next_steps(d),
        main=_chart(drawn[0], f"{key}m", budget.narrow) if drawn else None,
        charts=tuple(_small(p, f"{key}s{i}") for i, p in enumerate(others[: budget.charts])),
        cards=_cards(d, drawn, anchor, key, budget),
        timeline=timeline(d),
        damaged=any(f.loss is not Loss.BENIGN for f in d.faults),
        best=best_eval(d),
        left_out=max(len(others) - budget.charts, 0),
    )


def best_eval(d: Diagnosis) -> str:
    """The lowest eval loss, or what the index shows instead: the lowest train loss."""
    for view in chosen(d):
        known = [v for v in view.values if v is not None]
        if known and view.signal.endswith("loss") and (view.signal == "eval/loss" or not any(v.signal == "eval/loss" for v in d.series)):
            name = "" if view.signal == "eval/loss" else " (train)"
            return amount(view.signal, min(known)) + name
    return "-"


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "finding"


def _cards(d: Diagnosis, drawn: Sequence[Panel], anchor: str, key: str, budget: Budget) -> tuple[Card, ...]:
    cards: list[Card] = []
    taken: set[str] = set()
    for group in groups(d):
        name = anchor + slug(group.finding.rule)
        while name in taken:
            name += "-again"
        taken.add(name)
        fix = first_fix(group)
        more = tuple(f for f in group.finding.fixes if f != fix)
        crop = _crop(group, drawn, f"{key}z{len(cards)}", budget) if len(cards) < budget.crops else None
        cards.append(Card(group.letter, group.finding, name, fix, more, crop, group.explained))
    return tuple(cards)


def _crop(group: Group, drawn: Sequence[Panel], prefix: str, budget: Budget) -> Chart | None:
    """The chart of the finding's first drawn signal around its span; None where the span is most of the run, which the main chart shows."""
    f = group.finding
    span = f.span or (f.spans[0] if f.spans else None)
    panel = next((p for s in f.signals for p in drawn if s in {line.signal for line in p.lines}), None)
    if span is None or panel is None:
        return None
    room = max((span[1] - span[0]) * 0.6, (panel.last - panel.first) * 0.06, 2)
    first, last = max(int(span[0] - room), panel.first), min(int(span[1] + room), panel.last)
    if last - first > _WORTH_ZOOMING * (panel.last - panel.first):
        return None
    own = replace(panel, shades=tuple(s for s in panel.shades if s.letter == group.letter))
    return _small(zoom(own, first, last, budget.columns), prefix, CROP)


def _chart(panel: Panel, prefix: str, narrow: bool) -> Chart:
    head, rows = table(panel)
    try:
        wide = inline(panel, MAIN, prefix)
        small = inline(panel, NARROW, prefix + "n") if narrow else ""
    except Exception as error:
        return _failed(panel, error)
    return Chart(panel.title, wide, small, describe(panel), head, rows)


def _small(panel: Panel, prefix: str, size: object = SMALL) -> Chart:
    head, rows = table(panel, 8)
    try:
        drawn = inline(panel, CROP if size is CROP else SMALL, prefix)
    except Exception as error:
        return _failed(panel, error)
    return Chart(panel.title, drawn, "", describe(panel), head, rows)


def _failed(panel: Panel, error: Exception) -> Chart:
    head, rows = table(panel)
    return Chart(
        panel.title,
        "",
        "",
        describe(panel),
        head,
        rows,
        f"This chart could not be drawn ({type(error).__name__}); its values are in the table.",
    )
