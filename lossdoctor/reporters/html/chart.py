"""A chart as the page needs it: drawn once or twice, described, with its values as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lossdoctor.reporters.charts.layout import Size
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.say import table
from lossdoctor.reporters.charts.svg import inline


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart, its narrow variant for small screens, and a table of its values; `error` says why it could not be drawn."""

    title: str
    svg: str
    narrow: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    error: str = ""


def chart(panel: Panel, prefix: str, complain: Callable[[str], None], size: Size, narrow: Size | None = None) -> Chart:
    """Draw a panel. A chart that fails must not cost the report: it becomes a note in its place, and `complain` is told."""
    head, values = table(panel, 12 if narrow is not None else 8)
    try:
        drawn = inline(panel, size, prefix)
        small = inline(panel, narrow, prefix + "n") if narrow is not None else ""
    except Exception as error:
        said = f"The chart of {panel.title} could not be drawn ({type(error).__name__}: {error})"[:300]
        complain(said)
        return Chart(panel.title, "", "", head, values, f"{said}. Its values are in the table.")
    return Chart(panel.title, drawn, small, head, values)
