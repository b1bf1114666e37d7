"""A panel as a matplotlib figure. Object API only: no pyplot, no global state but the few settings that have no other door."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lossdoctor.numerals import number
from lossdoctor.reporters.charts.layout import MAIN, NARROW, ROW, Size, bracket_rows, clear_place, mark_labels, share, spread, step_label
from lossdoctor.reporters.charts.palette import LIGHT
from lossdoctor.reporters.charts.panel import Line, Panel, Shade
from lossdoctor.reporters.charts.pen import Pen
from lossdoctor.reporters.charts.scale import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    labels = mark_labels(panel.marks, panel, axis, full=size.width > MAIN.width / 2 or size.height >= NARROW.height)
    top = 24 + ROW * (len(rows) + bool(labels))
    height = size.height - size.bottom - top
    made = MatplotlibFigure(figsize=(size.width / 72, size.height / 72), dpi=72, facecolor=colours["background"])
    axes = made.add_axes((size.left / size.width, size.bottom / size.height, axis / size.width, height / size.height))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    pen = Pen(axes, colours, axis, height)
    title = panel.title + (f" ({panel.unit})" if panel.unit else "") + (", log scale" if panel.scale.log else "")
    pen.text(-(size.left - 8) / axis, 1 + (top - 12) / height, title, "text", bold=True)
    _frame(pen, panel, size)
    for shade in panel.shades:
        if shade.filled:
            _shade(pen, panel, shade)
    _marks(pen, panel)
    for _, value in panel.limits:
        if not panel.scale.cuts(value):
            pen.line([0, 1], [panel.scale.unit(value)] * 2, "limit", 1.2, style=(0, (6, 3)))
    for line in panel.lines:
        _line(pen, panel.scale, panel, line)
    _ends(pen, panel, size)
    _off_scale(pen, panel)
    _best(pen, panel)
    _brackets(pen, panel, rows, labels, height)
    return made


def _frame(pen: Pen, panel: Panel, size: Size) -> None:
    for value, label in panel.scale.ticks(5 if pen.height > 150 else 4):
        y = panel.scale.unit(value)
        pen.line([0, 1], [y, y], "grid", 0.8)
        pen.text(-6 / pen.width, y, label, "muted", ha="right", small=True)
    pen.line([0, 1], [0, 0], "axis", 1.0, clip=False)
    unit = panel.axis_unit
    ticks = [t for t, _ in Scale(panel.first / unit, max(panel.last, panel.first + 1) / unit).ticks(7 if size.width > 600 else 4)]
    for step in ticks if unit > 1 else [t for t in ticks if float(t).is_integer()]:
        x = share(panel, step * unit)
        pen.line([x, x], [0, -4 / pen.height], "axis", 1.0, clip=False)
        pen.text(x, -8 / pen.height, step_label(step), "muted", ha="center", va="top", small=True)
    pen.text(1 + 24 / pen.width, -8 / pen.height, panel.axis, "muted", va="top", small=True)


def _shade(pen: Pen, panel: Panel, shade: Shade) -> None:
    pen.box(share(panel, shade.first), share(panel, shade.last), shade.severity)


def _marks(pen: Pen, panel: Panel) -> None:
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
        pen.text(x, -21 / pen.height, f"use {used}", "text", small=True, bold=True, ha="center", va="top")


def _line(pen: Pen, scale: Scale, panel: Panel, line: Line) -> None:
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
            x, side = left + (-4 if near else 2) / pen.width, "right" if near else "left"
            pen.text(x, 0.985 - 12 / pen.height, f"NaN/Inf from {first}", "error", small=True, bold=True, ha=side)
            break


def _ends(pen: Pen, panel: Panel, size: Size) -> None:
    """The lines' names and last values at their right ends, moved apart where they would touch."""
    ended = [(line, line.smooth or line.pieces) for line in panel.lines if line.pieces]
    heights = [min(max(panel.scale.unit(drawn[-1][-1][1]), 0.02), 0.98) for _, drawn in ended]
    limits = [(name, value) for name, value in panel.limits if not panel.scale.cuts(value)]
    placed = spread([*heights, *(panel.scale.unit(v) for _, v in limits)], 26 / pen.height)
    room = int((size.right - 10) / 6.2)
    alone = len(ended) == 1 and panel.key != "loss"
    for (line, drawn), height in zip(ended, placed[: len(ended)], strict=True):
        x = share(panel, drawn[-1][-1][0])
        anchor = max(x, 0.0) + 8 / pen.width if x > 0.9 else 1 + 8 / pen.width
        name = "" if alone else _short(line.title, panel.title)[:room]
        y = height - 6 / pen.height if alone and limits else height
        pen.text(anchor, y + 6 / pen.height, name, line.role, bold=True, small=True)
        gone = bool(line.nonfinite) and line.nonfinite[-1][1] > line.pieces[-1][-1][0]
        pen.text(anchor, y - 6 / pen.height, "NaN/Inf" if gone else number(line.pieces[-1][-1][1], 3), line.role, small=True)

    for (name, value), y in zip(limits, placed[len(ended) :], strict=True):
        pen.text(
            1 + 8 / pen.width,
            y,
            f"{'clip' if name == 'max_grad_norm' else 'limit'} {number(value, 3)}",
            "limit",
            small=True,
            bold=True,
        )


def _short(title: str, panel_title: str) -> str:
    words = title.removesuffix(panel_title).strip()
    return words or "last"


def _off_scale(pen: Pen, panel: Panel) -> None:
    for off in panel.off_scale:
        x = share(panel, off.step)
        y = 1 - 5 / pen.height if off.up else 5 / pen.height
        pen.dots([x], [y], "text", "^" if off.up else "v", 6)
        side = "right" if x > 0.8 else "left"
        pen.text(x + (-7 if side == "right" else 7) / pen.width, y, number(off.value, 3), "text", small=True, ha=side)


def _best(pen: Pen, panel: Panel) -> None:
    if panel.best is not None:
        x, y = share(panel, panel.best[0]), panel.scale.unit(panel.best[1])
        pen.dots([x], [y], "eval", "D", 8, hollow=True)
        words = f"best {number(panel.best[1], 3)} at {panel.best[0]}"
        left, height = clear_place(panel, x, y, (len(words) * 6.8 / pen.width, 14 / pen.height))
        pen.text(left, height, words, "eval", small=True, bold=True)


def _brackets(pen: Pen, panel: Panel, rows: list[list[Shade]], labels: list[Any], height: float) -> None:
    y = 1 + 8 / height
    for label in labels:
        pen.text(label.x + (-2 if label.left else 2) / pen.width, y, label.text, "muted", small=True, ha="right" if label.left else "left")
    base = y + (ROW / height if labels else 0)
    for i, row in enumerate(rows):
        level = base + i * ROW / height
        for shade in row:
            left, right = share(panel, shade.first), share(panel, shade.last)
            start = left + (10 + 5 * len(shade.letter)) / pen.width
            pen.text(left, level, shade.letter, shade.severity.value, bold=True)
            if right > start:
                pen.line([start, right], [level, level], shade.severity.value, 2.2, clip=False)
                pen.line([right, right], [level - 3 / height, level + 3 / height], shade.severity.value, 2.2, clip=False)
