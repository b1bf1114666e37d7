"""A chart in words and as a table, for readers who do not see it."""

from __future__ import annotations

from lossdoctor.numerals import number
from lossdoctor.reporters.charts.panel import Line, Panel


def describe(panel: Panel) -> str:
    """The chart in sentences, for readers who do not see it."""
    unit = f" in {panel.unit}" if panel.unit else ""
    first, last = (_place(panel, step) for step in (panel.first, panel.last))
    said = [f"{panel.title}{unit} over {panel.axis}s {first} to {last}{', logarithmic' if panel.scale.log else ''}."]
    for line in panel.lines:
        points = [p for piece in line.pieces for p in piece]
        if points:
            low, high = min(points, key=lambda p: p[1]), max(points, key=lambda p: p[1])
            said.append(
                f"{line.title}: {number(points[0][1])} at {panel.axis} {_place(panel, points[0][0])},"
                f" {number(points[-1][1])} at {panel.axis} {_place(panel, points[-1][0])},"
                f" lowest {number(low[1])} at {_place(panel, low[0])}, highest {number(high[1])} at {_place(panel, high[0])}."
            )
        said += [f"{line.title} is not finite from step {a} to {b}." for a, b in line.nonfinite[:3]]
    said += [f"Span {s.letter} ({s.severity.value}): steps {s.first} to {s.last}." for s in panel.shades[:12]]
    said += [f"{name} = {number(value)}." for name, value in panel.limits]
    said += [f"Off the scale: {number(o.value)} at step {o.step}." for o in panel.off_scale]
    return " ".join(said)


def table(panel: Panel, rows: int = 12) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of the chart's values at about `rows` steps, each the nearest logged point at or before that step."""
    head = (panel.axis, *(line.title for line in panel.lines))
    steps = sorted(
        {s for line in panel.lines for piece in line.pieces for s, _ in piece}
        | {s for line in panel.lines for run in line.nonfinite for s in run}
    )
    if not steps:
        return head, ()
    picked = sorted({steps[round(i * (len(steps) - 1) / max(rows - 1, 1))] for i in range(rows)})
    return head, tuple((_place(panel, step), *(_value_at(line, step) for line in panel.lines)) for step in picked)


def _place(panel: Panel, step: int) -> str:
    return str(step) if panel.axis_unit == 1 else number(step / panel.axis_unit)


def _value_at(line: Line, step: int) -> str:
    if any(a <= step <= b for a, b in line.nonfinite):
        return "not finite"
    before = [v for piece in line.pieces for s, v in piece if s <= step]
    return number(before[-1]) if before else "-"
