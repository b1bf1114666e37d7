"""A panel as a matplotlib figure. Object API only: no pyplot, no global state but the few settings that have no other door."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lossdoctor.reporters.charts import plot, rows, words
from lossdoctor.reporters.charts.canvas import Canvas
from lossdoctor.reporters.charts.layout import Size, frame
from lossdoctor.reporters.charts.palette import LIGHT
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.pen import Pen

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg(panel: Panel, size: Size, colours: Mapping[str, str] = LIGHT) -> bytes:
    """The chart as matplotlib's SVG: text as text, the same bytes for the same panel."""
    return _saved(panel, size, colours, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None})


def png(panel: Panel, size: Size, colours: Mapping[str, str] = LIGHT) -> bytes:
    """The chart as a PNG at 144 dots an inch."""
    return _saved(panel, size, colours, "png", {"Software": None})


def _saved(panel: Panel, size: Size, colours: Mapping[str, str], kind: str, metadata: dict[str, None]) -> bytes:
    from matplotlib import rc_context

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "lossdoctor",
        "hatch.linewidth": 0.7,
        "font.family": "DejaVu Sans",
        "path.simplify": False,
    }
    buffer = BytesIO()
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        made = figure(panel, size, colours, effects=kind == "png")
        made.savefig(buffer, format=kind, metadata=metadata, dpi=72 if kind == "svg" else 144)
    return buffer.getvalue()


def figure(panel: Panel, size: Size, colours: Mapping[str, str] = LIGHT, *, effects: bool = False) -> Figure:
    """Draw the panel; every colour is one of `colours`, so that a theme can be recognised and replaced."""
    from matplotlib.figure import Figure as MatplotlibFigure

    room = frame(panel, size)
    made = MatplotlibFigure(figsize=(room.width / 72, room.height / 72), dpi=72, facecolor=colours["background"])
    bottom = room.height - room.top - room.plot
    axes = made.add_axes((size.left / room.width, bottom / room.height, room.axis / room.width, room.plot / room.height))
    axes.set_axis_off()
    axes.set_xlim(0, room.axis)
    axes.set_ylim(0, room.plot)
    canvas = Canvas(panel, size, room, Pen(axes, colours, effects=effects))
    for part in (plot, words, rows):
        part.draw(canvas)
    return made
