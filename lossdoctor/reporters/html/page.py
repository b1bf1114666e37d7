"""What the templates are given: one frozen view a run, every figure drawn, every id unique."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lossdoctor.model import Diagnosis, Loss, SeriesView
from lossdoctor.reporters.advice import NextStep, decision, heading, next_steps, used_step
from lossdoctor.reporters.charts.layout import MAIN, NARROW, NARROW_TWIN, SMALL, TWIN
from lossdoctor.reporters.charts.legend import legend
from lossdoctor.reporters.charts.panel import Panel, linked
from lossdoctor.reporters.charts.panels import constant, panels, worth_drawing
from lossdoctor.reporters.html.budget import Budget
from lossdoctor.reporters.html.cards import Card, anchors, cards
from lossdoctor.reporters.html.chart import Chart, chart
from lossdoctor.reporters.signals import amount
from lossdoctor.reporters.signs import Sign, beside, signs
from lossdoctor.reporters.terminal.curves import chosen
from lossdoctor.reporters.timeline import Moment, timeline

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
class RunPage:
    """One run's section. `decision` is the checkpoint where it is none of the steps, `anchors` the card of each finding's letter.

    `main` are the charts on top (two where one scale cannot hold the losses), `constants` the signals that never moved, `legend` the marks.
    """

    d: Diagnosis
    anchor: str
    decision: NextStep | None
    signs: tuple[Sign, ...]
    ledger: tuple[Sign, ...]
    heading: str
    steps: tuple[NextStep, ...]
    main: tuple[Chart, ...]
    charts: tuple[Chart, ...]
    constants: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]
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
    key = f"c{index}"
    addresses = anchors(d, anchor, _SECTIONS)
    drawn = [linked(p, addresses) for p in panels(d, budget.columns) if worth_drawing(p, d)]
    main = drawn[: 1 + (len(drawn) > 1 and drawn[1].twin)]
    rest = [p for p in drawn[len(main) :] if constant(p) is None]
    used = {s for f in d.findings for s in f.signals}
    others = sorted(rest, key=lambda p: not used & {line.signal for line in p.lines})
    steps, use = next_steps(d), decision(d)
    return RunPage(
        d=d,
        anchor=anchor,
        decision=use if use not in steps else None,
        signs=_grave_first(beside(signs(d), steps)),
        ledger=signs(d, every=True),
        heading=heading(steps),
        steps=steps,
        main=tuple(_main(p, f"{key}m{i}", budget, complain) for i, p in enumerate(main)),
        charts=tuple(chart(p, f"{key}s{i}", complain, SMALL) for i, p in enumerate(others[: budget.charts])),
        constants=tuple(f"{p.title} {amount(p.lines[0].signal, v)}" for p in drawn if p not in main and (v := constant(p)) is not None),
        legend=legend(main, others[: budget.charts]) if main else (),
        cards=cards(d, drawn, addresses, key, budget.crops, budget.columns, complain),
        timeline=timeline(d),
        damaged=any(f.loss is not Loss.BENIGN for f in d.faults),
        best=best_eval(d),
        used=used_step(d.checkpoint),
        anchors=addresses,
        left_out=max(len(others) - budget.charts, 0),
    )


def _main(panel: Panel, prefix: str, budget: Budget, complain: Callable[[str], None]) -> Chart:
    wide, narrow = (TWIN, NARROW_TWIN) if panel.twin else (MAIN, NARROW)
    return chart(panel, prefix, complain, wide, narrow if budget.narrow else None)


def _grave_first(rows: tuple[Sign, ...]) -> tuple[Sign, ...]:
    """Bad ones, unknown ones, then all good ones in one row, with what the decisive ones of a healthy run say."""
    order = ("error", "warning", "unknown")
    grave = sorted((row for row in rows if row.tone in order), key=lambda row: order.index(row.tone))
    good = [row for row in rows if row.tone not in order]
    if not good:
        return tuple(grave)
    together = replace(good[0], vitals=tuple(v for row in good for v in row.vitals), says="", wanted="")
    return (*grave, together)


def best_eval(d: Diagnosis) -> str:
    """The lowest eval loss for the index, a dash where none was logged."""
    known = [v for view in d.series if view.signal == "eval/loss" for v in view.values if v is not None]
    return amount("eval/loss", min(known)) if known else "-"


def telling(d: Diagnosis) -> SeriesView | None:
    """The one curve for the index: the first signal of the first loud finding, else the eval loss, else the first of the terminal's."""
    known = {v.signal: v for v in d.series if v.steps}
    wanted = [*(s for f in d.loud for s in f.signals), "eval/loss", *(v.signal for v in chosen(d))]
    return next((known[s] for s in wanted if s in known), None)
