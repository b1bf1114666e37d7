"""A chart in words and as a table, for readers who do not see it."""

from __future__ import annotations

from lossdoctor.numerals import number
from lossdoctor.reporters.charts.axis import not_run
from lossdoctor.reporters.charts.panel import Line, Panel
from lossdoctor.reporters.charts.thin import Point


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
        said += [f"{line.title} is not finite {_span(panel, a, b)}." for a, b in line.nonfinite[:3]]
    for lane in panel.lanes:
        many = f", {len(lane.spans)} spans" if len(lane.spans) > 1 else ""
        said.append(f"Finding {lane.letter} ({lane.severity.value}): {_span(panel, *lane.reach)}{many}.")
    if beyond := not_run(panel):
        said.append(f"{beyond.removesuffix(' →').capitalize()} {panel.axis}s.")
    said += [f"{name} = {number(value)}." for name, value in panel.limits]
    said += [f"Off the scale: {number(o.value)} at {panel.axis} {_place(panel, o.step)}." for o in panel.off_scale]
    return " ".join(said)


NOTHING = "\u2013"


def table(panel: Panel, rows: int = 12) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and about `rows` rows. A cell has a value only where that signal was logged at that very step.

    The steps are those of the signal that was logged least often, so that evals are among them, with the first, the last and the lowest.
    """
    head = (panel.axis, *(line.title for line in panel.lines))
    logged = [sorted({s for s, _ in _rows(line)} | {s for run in line.nonfinite for s in run}) for line in panel.lines]
    known = [steps for steps in logged if steps]
    if not known:
        return head, ()
    ends = {min(s[0] for s in known), max(s[-1] for s in known)} | ({panel.lowest[0]} if panel.lowest else set())
    rare = min((s for s in known if len(s) > 1), key=len, default=known[0])
    count = max(rows - len(ends - set(rare)), 2)
    picked = ends | {rare[round(i * (len(rare) - 1) / (count - 1))] for i in range(count)}
    return head, tuple((_place(panel, step), *(_value_at(line, step) for line in panel.lines)) for step in sorted(picked))


def _rows(line: Line) -> tuple[Point, ...]:
    return line.rows or line.points


def _span(panel: Panel, first: int, last: int) -> str:
    return f"at {panel.axis} {_place(panel, first)}" if first == last else f"{panel.axis}s {_place(panel, first)} to {_place(panel, last)}"


def _place(panel: Panel, step: int) -> str:
    return str(step) if panel.axis_unit == 1 else number(step / panel.axis_unit)


def _value_at(line: Line, step: int) -> str:
    if any(a <= step <= b for a, b in line.nonfinite):
        return "not finite"
    return next((number(v) for s, v in reversed(_rows(line)) if s == step), NOTHING)
