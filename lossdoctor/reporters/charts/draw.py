"""A panel as a matplotlib figure. Object API only: no pyplot, no global state but the few settings that have no other door."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lossdoctor.model import Severity
from lossdoctor.reporters.charts.layout import ROW, Size, bracket_rows, mark_labels, share, spread, step_label
from lossdoctor.reporters.charts.palette import LIGHT
from lossdoctor.reporters.charts.panel import Line, Panel, Shade
from lossdoctor.reporters.charts.scale import Scale
from lossdoctor.reporters.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCHES = {Severity.ERROR: "//", Severity.WARNING: "\\\\", Severity.NOTE: "-"}
_FONT = 11.5
_SMALL = 10.5
_DASHES = {"warmup-end": (0, (6, 2, 1, 2)), "epoch": (0, (1, 3)), "resume": (0, (5, 3)), "detectable": (0, (2, 2))}


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
        figure(panel, size, colours).savefig(buffer, format=kind, metadata=metadata, dpi=72 if kind == "svg" else 144)
    return buffer.getvalue()


def figure(panel: Panel, size: Size, colours: Mapping[str, str] = LIGHT) -> Figure:
    """Draw the panel; every colour is one of `colours`, so that a theme can be recognised and replaced."""
    from matplotlib.figure import Figure as MatplotlibFigure

    axis = size.width - size.left - size.right
    rows = bracket_rows(panel.shades, panel, axis)
    labels = mark_labels(panel.marks, panel, axis)
    top = 24 + ROW * (len(rows) + bool(labels))
    height = size.height - size.bottom - top
    made = MatplotlibFigure(figsize=(size.width / 72, size.height / 72), dpi=72, facecolor=colours["background"])
    axes = made.add_axes((size.left / size.width, size.bottom / size.height, axis / size.width, height / size.height))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    pen = _Pen(axes, colours, axis, height)
    title = panel.title + (f" ({panel.unit})" if panel.unit else "") + (", log scale" if panel.scale.log else "")
    pen.text(-(size.left - 8) / axis, 1 + (top - 12) / height, title, "text", weight="bold", size=_FONT + 0.5)
    _frame(pen, panel, size)
    for shade in panel.shades:
        if shade.filled:
            _shade(pen, panel, shade)
    _marks(pen, panel)
    for name, value in panel.limits:
        if not panel.scale.cuts(value):
            pen.line([0, 1], [panel.scale.unit(value)] * 2, "limit", 1.2, style=(0, (6, 3)))
            pen.text(0.005, panel.scale.unit(value) + 4 / height, f"{name} {number(value)}", "limit", size=_SMALL, va="bottom")
    for line in panel.lines:
        _line(pen, panel.scale, panel, line)
    _ends(pen, panel, size)
    _off_scale(pen, panel)
    _best(pen, panel)
    _brackets(pen, panel, rows, labels, height)
    return made


class _Pen:
    """Draws on the unit square of an axes with colours named by role."""

    def __init__(self, axes: Axes, colours: Mapping[str, str], width: float, height: float) -> None:
        self.axes, self.colours, self.width, self.height = axes, colours, width, height

    def text(
        self,
        x: float,
        y: float,
        words: str,
        role: str,
        *,
        size: float = _FONT,
        ha: str = "left",
        va: str = "center",
        weight: str = "normal",
    ) -> None:
        self.axes.text(x, y, words, color=self.colours[role], fontsize=size, ha=ha, va=va, weight=weight, parse_math=False, clip_on=False)

    def line(self, xs: list[float], ys: list[float], role: str, width: float = 1.0, *, style: Any = "-", clip: bool = True) -> None:
        self.axes.plot(
            xs,
            ys,
            color=self.colours[role],
            linewidth=width,
            linestyle=style,
            solid_joinstyle="round",
            solid_capstyle="round",
            clip_on=clip,
        )

    def dots(self, xs: list[float], ys: list[float], role: str, shape: str, size: float, *, hollow: bool = False) -> None:
        face = self.colours["background" if hollow else role]
        self.axes.plot(
            xs, ys, linestyle="none", marker=shape, markersize=size, color=self.colours[role], markerfacecolor=face, markeredgewidth=1.4, clip_on=False
        )  # fmt: skip

    def box(self, left: float, right: float, severity: Severity) -> None:
        from matplotlib.patches import Rectangle

        role = severity.value
        width = max(right - left, 1.5 / self.width)
        self.axes.add_patch(Rectangle((left, 0), width, 1, facecolor=self.colours[role], edgecolor="none", linewidth=0, alpha=0.08))
        hatched = Rectangle(
            (left, 0), width, 1, facecolor="none", edgecolor=self.colours[role], linewidth=0, hatch=HATCHES[severity], alpha=0.42
        )
        self.axes.add_patch(hatched)


def _frame(pen: _Pen, panel: Panel, size: Size) -> None:
    for value, label in panel.scale.ticks(5 if pen.height > 150 else 4):
        y = panel.scale.unit(value)
        pen.line([0, 1], [y, y], "grid", 0.8)
        pen.text(-6 / pen.width, y, label, "muted", ha="right", size=_SMALL)
    pen.line([0, 1], [0, 0], "axis", 1.0, clip=False)
    ticks = [
        t for t, _ in Scale(panel.first, max(panel.last, panel.first + 1)).ticks(7 if size.width > 600 else 3) if float(t).is_integer()
    ]
    for step in ticks:
        x = share(panel, step)
        pen.line([x, x], [0, -4 / pen.height], "axis", 1.0, clip=False)
        pen.text(x, -8 / pen.height, step_label(step), "muted", ha="center", va="top", size=_SMALL)
    pen.text(1 + 24 / pen.width, -8 / pen.height, "step", "muted", va="top", size=_SMALL)


def _shade(pen: _Pen, panel: Panel, shade: Shade) -> None:
    pen.box(share(panel, shade.first), share(panel, shade.last), shade.severity)


def _marks(pen: _Pen, panel: Panel) -> None:
    epochs = [m for m in panel.marks if m.kind == "epoch"]
    for mark in panel.marks:
        if mark.kind in _DASHES and (mark.kind != "epoch" or len(epochs) <= 40):
            x = share(panel, mark.step)
            pen.line([x, x], [0, 1], "axis", 1.0, style=_DASHES[mark.kind])
    kept = [share(panel, m.step) for m in panel.marks if m.kind == "checkpoint"][:60]
    pen.dots(kept, [0.0] * len(kept), "muted", "s", 4, hollow=True)
    used = panel.used_checkpoint
    if used is not None and panel.first <= used <= panel.last:
        x = share(panel, used)
        pen.dots([x], [0.0], "text", "s", 6.5)
        pen.text(x, -21 / pen.height, f"use {used}", "text", size=_SMALL, weight="bold", ha="center", va="top")


def _line(pen: _Pen, scale: Scale, panel: Panel, line: Line) -> None:
    thin_role = f"{line.role}-raw" if line.smooth else line.role
    for piece in line.pieces:
        xs, ys = [share(panel, s) for s, _ in piece], [scale.unit(v) for _, v in piece]
        pen.line(xs, ys, thin_role, 0.9 if line.smooth else 1.7)
        if line.sparse or len(piece) == 1:
            inside = [(x, y) for x, y in zip(xs, ys, strict=True) if 0 <= y <= 1]
            pen.dots(
                [x for x, _ in inside],
                [y for _, y in inside],
                line.role,
                "o" if line.role == "eval" else "D" if line.role == "third" else ".",
                4,
            )
    for piece in line.smooth:
        pen.line([share(panel, s) for s, _ in piece], [scale.unit(v) for _, v in piece], line.role, 1.9)
    for first, last in line.nonfinite[:20]:
        if last >= panel.first and first <= panel.last:
            left, right = share(panel, first), share(panel, last)
            pen.line([left, max(right, left + 2 / pen.width)], [0.985, 0.985], "error", 3)
            near = left > 0.7
            pen.text(
                left + (-4 if near else 2) / pen.width, 0.985 - 12 / pen.height, f"NaN/Inf from {first}", "error", size=_SMALL, weight="bold", ha="right" if near else "left"
            )  # fmt: skip
            break


def _ends(pen: _Pen, panel: Panel, size: Size) -> None:
    """The lines' names and last values at their right ends, moved apart where they would touch."""
    ended = [(line, line.smooth or line.pieces) for line in panel.lines if line.pieces]
    heights = [min(max(panel.scale.unit(drawn[-1][-1][1]), 0.02), 0.98) for _, drawn in ended]
    room = int((size.right - 10) / 6.2)
    for (line, drawn), y in zip(ended, spread(heights, 25 / pen.height), strict=True):
        x = share(panel, drawn[-1][-1][0])
        anchor = max(x, 0.0) + 8 / pen.width if x > 0.9 else 1 + 8 / pen.width
        name = _short(line.title, panel.title)[:room]
        pen.text(anchor, y + 6 / pen.height, name, line.role, weight="bold", size=_SMALL)
        gone = bool(line.nonfinite) and line.nonfinite[-1][1] > line.pieces[-1][-1][0]
        pen.text(anchor, y - 6 / pen.height, "NaN/Inf" if gone else number(line.pieces[-1][-1][1], 3), line.role, size=_SMALL)


def _short(title: str, panel_title: str) -> str:
    words = title.removesuffix(panel_title).strip()
    return words or "last"


def _off_scale(pen: _Pen, panel: Panel) -> None:
    for off in panel.off_scale:
        x = share(panel, off.step)
        y = 1 - 5 / pen.height if off.up else 5 / pen.height
        pen.dots([x], [y], "text", "^" if off.up else "v", 6)
        side = "right" if x > 0.8 else "left"
        pen.text(x + (-7 if side == "right" else 7) / pen.width, y, number(off.value, 3), "text", size=_SMALL, ha=side)


def _best(pen: _Pen, panel: Panel) -> None:
    if panel.best is not None:
        x, y = share(panel, panel.best[0]), panel.scale.unit(panel.best[1])
        pen.dots([x], [y], "eval", "D", 8, hollow=True)
        side = "right" if x > 0.8 else "left"
        offset = -16 if y > 0.2 else 16
        pen.text(
            x + (-4 if side == "right" else 4) / pen.width,
            y + offset / pen.height,
            f"best {number(panel.best[1], 3)} at {panel.best[0]}",
            "eval",
            size=_SMALL,
            weight="bold",
            ha=side,
        )


def _brackets(pen: _Pen, panel: Panel, rows: list[list[Shade]], labels: list[Any], height: float) -> None:
    y = 1 + 8 / height
    for label in labels:
        pen.text(label.x + (-2 if label.left else 2) / pen.width, y, label.text, "muted", size=_SMALL, ha="right" if label.left else "left")
    base = y + (ROW / height if labels else 0)
    for i, row in enumerate(rows):
        level = base + i * ROW / height
        for shade in row:
            left, right = share(panel, shade.first), share(panel, shade.last)
            start = left + (10 + 5 * len(shade.letter)) / pen.width
            pen.text(left, level, shade.letter, shade.severity.value, weight="bold", size=_FONT)
            if right > start:
                pen.line([start, right], [level, level], shade.severity.value, 2.2, clip=False)
                pen.line([right, right], [level - 3 / height, level + 3 / height], shade.severity.value, 2.2, clip=False)
