"""What the templates are given: one frozen view a run, every figure drawn, every id unique."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lossdoctor.model import Diagnosis, Finding, Fix, Loss, SeriesView
from lossdoctor.reporters.advice import Group, NextStep, decision, first_fix, groups, heading, next_steps, used_step
from lossdoctor.reporters.charts.layout import CROP, MAIN, NARROW, SMALL
from lossdoctor.reporters.charts.panel import Panel, panels, worth_drawing, zoom
from lossdoctor.reporters.html.budget import Budget
from lossdoctor.reporters.html.chart import Chart, chart
from lossdoctor.reporters.signals import amount
from lossdoctor.reporters.signs import Sign, beside, signs
from lossdoctor.reporters.terminal.curves import chosen
from lossdoctor.reporters.timeline import Moment, timeline

_WORTH_ZOOMING = 0.5
_FEWEST_POINTS = 6
_SECTIONS = (
    "top",
    "vitals",
    "next",
    "curves",
    "faults",
    "findings",
    "checked",
    "baseline",
    "timeline",
    "checkpoints",
    "cost",
    "settings",
    "reproduce",
    "index",
)


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
    """One run's section. `decision` is the checkpoint where it is none of the steps, `anchors` the card of each finding's letter."""

    d: Diagnosis
    anchor: str
    decision: NextStep | None
    signs: tuple[Sign, ...]
    ledger: tuple[Sign, ...]
    heading: str
    steps: tuple[NextStep, ...]
    main: Chart | None
    charts: tuple[Chart, ...]
    cards: tuple[Card, ...]
    timeline: tuple[Moment, ...]
    damaged: bool
    best: str
    left_out: int
    used: int | None
    anchors: dict[str, str]


def run_page(d: Diagnosis, index: int, runs: int, budget: Budget, complain: Callable[[str], None]) -> RunPage:
    """Draw and collect everything for one run's section; `index` counts from 0 and makes anchors unique where there are several runs."""
    anchor = "" if runs == 1 else f"run-{index + 1}-"
    drawn = [p for p in panels(d, budget.columns) if worth_drawing(p, d)]
    key = f"c{index}"
    used = {s for f in d.findings for s in f.signals}
    others = [p for p in drawn[1:] if used & {line.signal for line in p.lines}]
    others += [p for p in drawn[1:] if p not in others]
    cards = _cards(d, drawn, (anchor, key), budget, complain)
    steps, use = next_steps(d), decision(d)
    return RunPage(
        d=d,
        anchor=anchor,
        decision=use if use not in steps else None,
        signs=beside(signs(d), steps),
        ledger=signs(d, every=True),
        heading=heading(steps),
        steps=steps,
        main=chart(drawn[0], f"{key}m", complain, MAIN, NARROW if budget.narrow else None) if drawn else None,
        charts=tuple(chart(p, f"{key}s{i}", complain, SMALL) for i, p in enumerate(others[: budget.charts])),
        cards=cards,
        timeline=timeline(d),
        damaged=any(f.loss is not Loss.BENIGN for f in d.faults),
        best=best_eval(d),
        used=used_step(d.checkpoint),
        anchors={mark: card.anchor for card in cards for mark in (card.letter, *(mark for mark, _ in card.explained))},
        left_out=max(len(others) - budget.charts, 0),
    )


def best_eval(d: Diagnosis) -> str:
    """The lowest eval loss for the index, a dash where none was logged."""
    known = [v for view in d.series if view.signal == "eval/loss" for v in view.values if v is not None]
    return amount("eval/loss", min(known)) if known else "-"


def telling(d: Diagnosis) -> SeriesView | None:
    """The one curve for the index: the first signal of the first loud finding, else the eval loss, else the first of the terminal's."""
    known = {v.signal: v for v in d.series if v.steps}
    wanted = [*(s for f in d.loud for s in f.signals), "eval/loss", *(v.signal for v in chosen(d))]
    return next((known[s] for s in wanted if s in known), None)


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "finding"


def _cards(
    d: Diagnosis, drawn: Sequence[Panel], names: tuple[str, str], budget: Budget, complain: Callable[[str], None]
) -> tuple[Card, ...]:
    anchor, key = names
    cards: list[Card] = []
    taken = {anchor + name for name in _SECTIONS}
    for group in groups(d):
        name = anchor + slug(group.finding.rule)
        while name in taken:
            name += "-again"
        taken |= {name, f"{name}-h"}
        fix = first_fix(group)
        more = tuple(f for f in group.finding.fixes if f != fix)
        zoomed = _zoomed(group, drawn, budget) if len(cards) < budget.crops else None
        crop = chart(zoomed, f"{key}z{len(cards)}", complain, CROP) if zoomed is not None else None
        cards.append(Card(group.letter, group.finding, name, fix, more, crop, group.explained))
    return tuple(cards)


def _zoomed(group: Group, drawn: Sequence[Panel], budget: Budget) -> Panel | None:
    """The chart of the finding's first drawn signal around its span; None where the span is most of the run, which the main chart shows.

    Where values stop being finite, what led there is worth seeing, not the void after it.
    """
    f = group.finding
    span = f.span or (f.spans[0] if f.spans else None)
    panel = next((p for s in f.signals for p in drawn if s in {line.signal for line in p.lines}), None)
    if span is None or panel is None:
        return None
    broken = [a for line in panel.lines for a, b in line.nonfinite if a <= span[1] and b >= span[0]]
    if broken:
        run = panel.last - panel.first
        span = (max(broken[0] - run // 8, panel.first), min(broken[0] + run // 16, panel.last))
    room = max((span[1] - span[0]) * 0.6, (panel.last - panel.first) * 0.12, 2)
    first, last = max(int(span[0] - room), panel.first), min(int(span[1] + room), panel.last)
    if last - first > _WORTH_ZOOMING * (panel.last - panel.first):
        return None
    own = replace(panel, shades=tuple(s for s in panel.shades if s.letter == group.letter))
    near = zoom(own, first, last, budget.columns)
    return near if sum(len(piece) for line in near.lines for piece in line.pieces) >= _FEWEST_POINTS else None
