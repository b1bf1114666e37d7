"""A panel as a matplotlib figure. Object API only: no pyplot, no global state but the few settings that have no other door."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from lossdoctor.model import Severity
from lossdoctor.numerals import number
from lossdoctor.reporters.charts.axis import ticks
from lossdoctor.reporters.charts.layout import ROW, Box, Frame, Size, clear_place, end_labels, epoch_stride, frame, overlaps
from lossdoctor.reporters.charts.palette import LIGHT
from lossdoctor.reporters.charts.panel import Lane, Line, Panel
from lossdoctor.reporters.charts.pen import HATCHES, Pen
from lossdoctor.reporters.charts.width import width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEN = "seen"
_LEAST_SPAN = 6.0
_HATCHED = 0.3
_MOST_TINTS = 40
_TICK = 14.0
_DASHES = {"warmup-end": (0, (6, 2, 1, 2)), "epoch": (0, (1, 3)), "resume": (0, (5, 3))}
_EDGES: dict[Severity, Any] = {Severity.ERROR: "-", Severity.WARNING: (0, (6, 2)), Severity.NOTE: (0, (2, 2))}


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
    _Chart(panel, size, room, Pen(axes, colours, effects=effects)).draw()
    return made


class _Chart:
    """One drawing: the panel, its room, the pen, and the boxes of labels inside the plot that are taken."""

    def __init__(self, panel: Panel, size: Size, room: Frame, pen: Pen) -> None:
        self.panel, self.size, self.room, self.pen = panel, size, room, pen
        self.taken: list[Box] = []

    def draw(self) -> None:
        self._title()
        self._beyond_the_run()
        for lane in self.panel.lanes:
            self._tint(lane)
        self._axes()
        self._marks()
        for _, value in self._limits():
            self.pen.line([0, self.room.axis], [self._y(value)] * 2, "limit", 1.2, style=(0, (6, 3)))
        for line in self.panel.lines:
            self._line(line)
        for lane in self.panel.lanes:
            self._edges(lane)
        self._ends()
        self._limit_labels()
        self._off_scale()
        self._lowest()
        self._rows()

    def _x(self, step: float) -> float:
        return self.panel.share(step) * self.room.axis

    def _y(self, value: float) -> float:
        return self.panel.scale.unit(value) * self.room.plot

    def _limits(self) -> list[tuple[str, float]]:
        return [(name, value) for name, value in self.panel.limits if not self.panel.scale.cuts(value)]

    def _title(self) -> None:
        panel, exponent = self.panel, self.panel.scale.exponent
        words = panel.title + (f" ({panel.unit})" if panel.unit else "")
        words += (f", \u00d71e{exponent}" if exponent else "") + (", log scale" if panel.scale.log else "")
        self.pen.text(4 - self.size.left, self.room.plot + self.room.top - 10, words, "text", bold=True)

    def _beyond_the_run(self) -> None:
        x = self._x(self.panel.end)
        if x < self.room.axis - 1:
            self.pen.box(x, 0, self.room.axis - x, self.room.plot, "grid", alpha=0.35)
            if self.panel.planned is not None and self.panel.planned <= self.panel.last:
                self.pen.line([self._x(self.panel.planned)] * 2, [0, self.room.plot], "axis", 1.4)

    def _axes(self) -> None:
        found = self.panel.scale.ticks()
        if self.room.plot < _TICK * len(found):
            found = self.panel.scale.ticks(2) if self.panel.scale.log else found[::-2]
        for value, label in found:
            y = self._y(value)
            self.pen.line([0, self.room.axis], [y, y], "grid", 0.8)
            self.pen.text(-6, y, label, "muted", ha="right")
        self.pen.line([0, self.room.axis], [0, 0], "axis", 1.0, clip=False)
        last = ""
        for share, label in ticks(self.panel, self.room.axis):
            x = share * self.room.axis
            self.pen.line([x, x], [0, -4], "axis", 1.0, clip=False)
            self.pen.text(x, -6, label, "muted", ha="center", va="top")
            last = label
        self.pen.text(self.room.axis + width(last) / 2 + 6, -6, self.panel.axis, "muted", va="top")
        if self.room.epochs:
            self._epochs()

    def _epochs(self) -> None:
        low = -self.size.bottom - 2
        self.pen.text(-6, low, "epoch", "muted", ha="right", va="top")
        every = epoch_stride(self.panel, self.room.epochs, self.room.axis)
        for step, number_of in self.room.epochs:
            self.pen.line([self._x(step)] * 2, [low + 3, low - 1], "axis", 1.0, clip=False)
            if number_of % every == 0:
                self.pen.text(self._x(step), low - 1, str(number_of), "muted", ha="center", va="top")

    def _marks(self) -> None:
        kinds = ["warmup-end", "resume", *([] if self.room.epochs else ["epoch"])] if self.size.full else []
        for kind in kinds:
            for step in self.panel.steps(kind):
                self.pen.line([self._x(step)] * 2, [0, self.room.plot], "axis", 1.0, style=_DASHES[kind])
        if self.panel.used is not None and self.size.full:
            self.pen.line([self._x(self.panel.used)] * 2, [0, self.room.plot], "text", 0.8, style=(0, (1, 2)))

    def _line(self, line: Line) -> None:
        thin_role = f"{line.role}-raw" if line.smooth else line.role
        for piece in line.pieces:
            xs, ys = [self._x(s) for s, _ in piece], [self._y(v) for _, v in piece]
            self.pen.line(xs, ys, thin_role, 0.9 if line.smooth else 1.7)
            if line.sparse or len(piece) == 1:
                inside = [(x, y) for x, y in zip(xs, ys, strict=True) if 0 <= y <= self.room.plot]
                shape = "o" if line.role == "eval" else "D" if line.role == "third" else "."
                few = len(piece) <= 12
                self.pen.dots([x for x, _ in inside], [y for _, y in inside], line.role, "o" if few else shape, 4.5 if few else 3.5)
        for piece in line.smooth:
            self.pen.line([self._x(s) for s, _ in piece], [self._y(v) for _, v in piece], line.role, 1.9)
        for first, last in line.nonfinite:
            if last >= self.panel.first and first <= self.panel.last:
                left = self._x(first)
                self.pen.line([left, max(self._x(last), left + 2)], [self.room.plot - 2] * 2, "error", 3)

    def _spans(self, lane: Lane) -> list[tuple[float, float]]:
        """The spans in pixels, at least six wide, those that touch as one."""
        merged: list[tuple[float, float]] = []
        for first, last in sorted(lane.spans):
            left = min(self._x(first), self.room.axis - _LEAST_SPAN)
            right = max(self._x(last), left + _LEAST_SPAN)
            if merged and left <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(right, merged[-1][1]))
            else:
                merged.append((left, right))
        return merged

    def _tint(self, lane: Lane) -> None:
        spans = self._spans(lane)
        for left, right in spans[:_MOST_TINTS]:
            self.pen.box(left, 0, right - left, self.room.plot, lane.severity.value, alpha=0.08)
            if right - left < _HATCHED * self.room.axis and len(spans) <= 8:
                self.pen.box(left, 0, right - left, self.room.plot, lane.severity.value, alpha=0.42, hatch=HATCHES[lane.severity])

    def _edges(self, lane: Lane) -> None:
        spans = self._spans(lane)
        if len(spans) <= 8:
            for left, _ in spans:
                self.pen.line([left, left], [0, self.room.plot], lane.severity.value, 1.6, style=_EDGES[lane.severity])

    def _ends(self) -> None:
        for label in end_labels(self.panel, self.room.axis, self.room.plot, self.size.right):
            (x0, y0), (x, y) = label.end, label.at
            if abs(y - y0) > 6 or x - x0 > 14:
                self.pen.line([x0 + 2, x - 2], [y0, y], f"{label.line.role}-raw", 0.8, clip=False)
            for i, words in enumerate(label.rows):
                at = y + 7 * (len(label.rows) - 1) - 14 * i
                self.pen.text(x, at, words, label.line.role, bold=i == 0 and len(self.panel.lines) > 1, halo=x < self.room.axis)
            height = 14 * len(label.rows)
            self.taken.append((x, y - height / 2, x + max(map(width, label.rows)), y + height / 2))

    def _limit_labels(self) -> None:
        for name, value in self._limits():
            words, y = f"{name} {number(value, 3)}", self._y(value)
            wide = width(words, bold=True) + 6
            tries = [self.room.axis * i / 12 for i in range(12) if self.room.axis * i / 12 + wide < self.room.axis] or [0.0]
            boxes: list[Box] = [(x + 3, y - 7, x + wide, y + 7) for x in tries]
            box = min(boxes, key=lambda b: overlaps(b, self.taken) + self._busy(b))
            self.taken.append(box)
            self.pen.text(box[0], y, words, "limit", bold=True, halo=True)

    def _busy(self, box: Box) -> float:
        """How many rows of the lines lie in a box."""
        return sum(box[0] <= self._x(s) <= box[2] and box[1] <= self._y(v) <= box[3] for line in self.panel.lines for s, v in line.points)

    def _off_scale(self) -> None:
        for off in self.panel.off_scale:
            x, y = self._x(off.step), self.room.plot - 6 if off.up else 6
            self.pen.dots([x], [y], "text", "^" if off.up else "v", 6)
            words = self.panel.scale.said(off.value)
            wide = width(words)
            left = x - 7 - wide if x > 0.8 * self.room.axis else x + 7
            box = (left, y - 7, left + wide, y + 7)
            if not overlaps(box, self.taken):
                self.taken.append(box)
                self.pen.text(left, y, words, "text", halo=True)

    def _lowest(self) -> None:
        if self.panel.lowest is None:
            return
        step, value = self.panel.lowest
        x, y = self._x(step), self._y(value)
        self.pen.dots([x], [y], "eval", "D", 8, hollow=True)
        words = f"lowest {_apart(value, self.panel)} at {step}"
        size = (width(words, bold=True) + 4, 14.0)
        box = clear_place(self.panel, (x, y), size, (self.room.axis, self.room.plot), self.taken)
        self.pen.text(box[0], (box[1] + box[3]) / 2, words, "eval", bold=True, halo=True)

    def _rows(self) -> None:
        level = self.room.plot + self.room.top - 20 - ROW / 2
        if self.size.rows:
            for lane in self.panel.lanes:
                self._lane(lane, level)
                level -= ROW
        if self.room.saved:
            self._saved(level)
            level -= ROW
        for label in self.room.labels:
            x = label.x * self.room.axis + (-2 if label.left else 2)
            self.pen.text(x, level, label.text, label.role, bold=label.role == "error", ha="right" if label.left else "left")

    def _lane(self, lane: Lane, level: float) -> None:
        role, left = lane.severity.value, 5 - self.size.left
        wide = 9 + len(lane.letter) * 7
        self.pen.frame(left, level - 7, wide, 14, role)
        self.pen.text(left + wide / 2, level - 0.5, lane.letter, role, bold=True, ha="center", href=lane.href, size=11)
        if len(lane.spans) > 1:
            self.pen.text(left + wide + 3, level, f"\u00d7{len(lane.spans)}", role, size=11)
        self.pen.line([0, self.room.axis], [level, level], "grid", 0.8, clip=False)
        spans = self._spans(lane)
        for start, end in spans:
            self.pen.line([start, end], [level, level], role, 2.4 if len(spans) == 1 else 6, clip=False)
            for x in (start, end) if len(spans) == 1 else ():
                self.pen.line([x, x], [level - 4, level + 4], role, 2.0, clip=False)
        if lane.seen is not None and self.size.seen:
            self.pen.dots([self._x(lane.seen)], [level], role, "v", 6.5, hollow=True, name=f"{SEEN}-{lane.letter}")
        if self.size.full:
            self._words(lane, level, spans)

    def _words(self, lane: Lane, level: float, spans: list[tuple[float, float]]) -> None:
        """The finding's title behind its bracket, before it, or in a gap of it, where there is room."""
        start, end = spans[0][0], spans[-1][1]
        seen = self._x(lane.seen) if lane.seen is not None else start
        words = lane.title if len(lane.title) <= 48 else lane.title[:47].rstrip() + "…"
        wide = width(words)
        after, inside = max(end, seen) + 10, seen + 14
        if after + wide <= self.room.axis + self.size.right:
            self.pen.text(after, level, words, lane.severity.value, halo=True)
        elif min(start, seen) - 10 - wide >= 0:
            self.pen.text(min(start, seen) - 10, level, words, lane.severity.value, ha="right", halo=True)
        elif len(spans) == 1 and inside + wide + 14 <= end:
            self.pen.box(inside - 4, level - 6, wide + 8, 12, "background", clip=False)
            self.pen.text(inside, level, words, lane.severity.value)

    def _saved(self, level: float) -> None:
        used = self.panel.used
        self.pen.text(-6, level, "saved", "muted", ha="right")
        kept = [self._x(s) for s in self.room.saved if s != used]
        self.pen.dots(kept, [level] * len(kept), "muted", "s", 4.5, hollow=True)
        if used is not None:
            x, words = self._x(used), f"use {used}"
            self.pen.dots([x], [level], "text", "s", 7)
            fits = x + 8 + width(words, bold=True) <= self.room.axis + self.size.right
            self.pen.text(x + 8 if fits else x - 8, level, words, "text", bold=True, ha="left" if fits else "right", halo=True)


def _apart(value: float, panel: Panel) -> str:
    """The lowest value with as many digits as tell it from the last one."""
    last = next((line.points[-1][1] for line in panel.lines if line.signal == "eval/loss" and line.points), value)
    return next((said for n in (3, 4, 5, 6) if (said := number(value, n)) != number(last, n)), number(value, 3))
