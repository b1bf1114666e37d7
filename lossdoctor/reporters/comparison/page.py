"""A comparison as one HTML page: the curves of all runs on one chart a signal, then what differs."""

from __future__ import annotations

import math
from dataclasses import replace

from lossdoctor.compare import Axis, Comparison
from lossdoctor.compare.model import Curves
from lossdoctor.model import SeriesView
from lossdoctor.reporters.charts.axis import beginning
from lossdoctor.reporters.charts.layout import MAIN, NARROW
from lossdoctor.reporters.charts.legend import legend
from lossdoctor.reporters.charts.palette import LINES
from lossdoctor.reporters.charts.panel import Line, Panel
from lossdoctor.reporters.charts.panels import may_be_log
from lossdoctor.reporters.charts.scale import scale_for
from lossdoctor.reporters.charts.thin import pieces, smooth, thin
from lossdoctor.reporters.comparison import words
from lossdoctor.reporters.html.chart import chart
from lossdoctor.reporters.html.report import content_policy, environment, style_sheet
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.signals import look

COLUMNS = 400
SPARSE = 40


def html(comparison: Comparison, options: Options) -> str:
    """The page. Charts show the base and the first three runs that can be compared with it."""
    style = style_sheet()
    drawn = _panels(comparison)
    template = environment().get_template("comparison.html.j2")
    page: str = template.render(
        c=comparison,
        names=words.names(comparison),
        charts=[chart(panel, f"v{i}", options.complain, MAIN, NARROW) for i, panel in enumerate(drawn)],
        legend=legend(drawn) if drawn else (),
        style=style,
        policy=content_policy(style, ""),
        headline=words.headline,
        parted=words.parted,
        size=words.size,
        other_settings=words.other_settings,
        change=words.change,
        judged=words.judged,
        value=words.value,
    )
    return page + "\n"


def _panels(c: Comparison) -> list[Panel]:
    made = (_panel(c, curves.signal) if c.axis is Axis.STEP else _laid(c, curves) for curves in c.curves)
    return [panel for panel in made if panel is not None]


def _panel(c: Comparison, signal: str) -> Panel | None:
    refused = {versus.run for versus in c.versus if versus.refused}
    named = zip(words.names(c), c.runs, strict=True)
    views = [
        (name, view)
        for i, (name, run) in enumerate(named)
        if i not in refused
        for view in run.series
        if view.signal == signal and any(v is not None for v in view.values)
    ]
    if len(views) < 2:
        return None
    first, last = min(min(v.steps) for _, v in views), max(max(v.steps) for _, v in views)
    lines = tuple(_line(name, view, role, first, last) for (name, view), role in zip(views, LINES, strict=False))
    values = [v for line in lines for piece in (line.smooth or line.pieces) for _, v in piece]
    shown = look(signal)
    left_out = f", {len(views) - len(lines)} more runs not drawn" if len(views) > len(lines) else ""
    scale = scale_for(values, log=may_be_log(signal))
    return Panel(f"versus {signal}", f"{shown.title}{left_out}", shown.unit, lines, scale, beginning(first, last), last)


def _laid(c: Comparison, curves: Curves) -> Panel | None:
    """The chart over another axis than steps, from the curves on their common grid."""
    unit = 10 ** max(0, 4 - math.floor(math.log10(max(curves.grid[-1], 1e-9)))) if curves.grid else 1
    places = [round(x * unit) for x in curves.grid]
    divisor = look(curves.signal).divisor
    rows = [(name, values) for name, values in zip(words.names(c), curves.values, strict=True) if any(v is not None for v in values)]
    views = [(name, SeriesView(curves.signal, curves.signal, tuple(places), values)) for name, values in rows[: len(LINES)]]
    lines = tuple(
        Line(curves.signal, name, role, tuple(tuple(piece) for piece in pieces(view, divisor)))
        for (name, view), role in zip(views, LINES, strict=False)
    )
    if len(lines) < 2:
        return None
    shown = look(curves.signal)
    scale = scale_for([v for line in lines for _, v in line.points], log=may_be_log(curves.signal))
    return Panel(
        f"versus {curves.signal}", shown.title, shown.unit, lines, scale, places[0], places[-1], axis=words.AXES[c.axis], axis_unit=unit
    )


def _line(name: str, view: SeriesView, role: str, first: int, last: int) -> Line:
    whole = pieces(view, look(view.signal).divisor)
    count = sum(len(piece) for piece in whole)
    line = Line(view.signal, name, role, tuple(tuple(thin(p, COLUMNS, first, last)) for p in whole), (), count <= SPARSE)
    if count <= 2 * SPARSE:
        return line
    window = max(count // 40, 5) | 1
    return replace(line, smooth=tuple(tuple(thin(smooth(p, window), COLUMNS // 2, first, last)) for p in whole))
