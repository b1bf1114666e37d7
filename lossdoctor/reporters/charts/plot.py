"""Inside the plot and along its axes: the grid, tints, marks and lines."""

from __future__ import annotations

from typing import Any

from lossdoctor.model import Severity
from lossdoctor.reporters.charts.axis import ticks
from lossdoctor.reporters.charts.canvas import Canvas
from lossdoctor.reporters.charts.layout import epoch_stride
from lossdoctor.reporters.charts.panel import Lane, Line
from lossdoctor.reporters.charts.pen import HATCHES
from lossdoctor.reporters.charts.width import width

_HATCHED = 0.3
_MOST_TINTS, _MOST_EDGES = 40, 8
_TICK = 14.0
_DASHES = {"warmup-end": (0, (6, 2, 1, 2)), "epoch": (0, (1, 3)), "resume": (0, (5, 3))}
_EDGES: dict[Severity, Any] = {Severity.ERROR: "-", Severity.WARNING: (0, (6, 2)), Severity.NOTE: (0, (2, 2))}


def draw(c: Canvas) -> None:
    """Everything but words: what lies behind the lines first."""
    _beyond_the_run(c)
    for lane in c.panel.lanes:
        _tint(c, lane)
    _axes(c)
    _marks(c)
    for _, value in c.limits:
        c.pen.line([0, c.room.axis], [c.y(value)] * 2, "limit", 1.2, style=(0, (6, 3)))
    for line in c.panel.lines:
        _line(c, line)
    for lane in c.panel.lanes:
        _edges(c, lane)


def _beyond_the_run(c: Canvas) -> None:
    x = c.x(c.panel.end)
    if x < c.room.axis - 1:
        c.pen.box(x, 0, c.room.axis - x, c.room.plot, "grid", alpha=0.35)
        if c.panel.planned is not None and c.panel.planned <= c.panel.last:
            c.pen.line([c.x(c.panel.planned)] * 2, [0, c.room.plot], "axis", 1.4)


def _axes(c: Canvas) -> None:
    found = c.panel.scale.ticks()
    if c.room.plot < _TICK * len(found):
        found = c.panel.scale.ticks(2) if c.panel.scale.log else found[::-2]
    for value, label in found:
        y = c.y(value)
        c.pen.line([0, c.room.axis], [y, y], "grid", 0.8)
        c.pen.text(-6, y, label, "muted", ha="right")
    c.pen.line([0, c.room.axis], [0, 0], "axis", 1.0, clip=False)
    last = ""
    for share, label in ticks(c.panel, c.room.axis):
        x = share * c.room.axis
        c.pen.line([x, x], [0, -4], "axis", 1.0, clip=False)
        c.pen.text(x, -6, label, "muted", ha="center", va="top")
        last = label
    c.pen.text(c.room.axis + width(last) / 2 + 6, -6, c.panel.axis, "muted", va="top")
    if c.room.epochs:
        _epochs(c)


def _epochs(c: Canvas) -> None:
    low = -c.size.bottom - 2
    c.pen.text(-6, low, "epoch", "muted", ha="right", va="top")
    every = epoch_stride(c.panel, c.room.epochs, c.room.axis)
    for step, number_of in c.room.epochs:
        c.pen.line([c.x(step)] * 2, [low + 3, low - 1], "axis", 1.0, clip=False)
        if number_of % every == 0:
            c.pen.text(c.x(step), low - 1, str(number_of), "muted", ha="center", va="top")


def _marks(c: Canvas) -> None:
    kinds = ["warmup-end", "resume", *([] if c.room.epochs else ["epoch"])] if c.size.full else []
    for kind in kinds:
        for step in c.panel.steps(kind):
            c.pen.line([c.x(step)] * 2, [0, c.room.plot], "axis", 1.0, style=_DASHES[kind])
    if c.panel.used is not None and c.size.full:
        c.pen.line([c.x(c.panel.used)] * 2, [0, c.room.plot], "text", 0.8, style=(0, (1, 2)))


def _line(c: Canvas, line: Line) -> None:
    thin_role = f"{line.role}-raw" if line.smooth else line.role
    for piece in line.pieces:
        xs, ys = [c.x(s) for s, _ in piece], [c.y(v) for _, v in piece]
        c.pen.line(xs, ys, thin_role, 0.9 if line.smooth else 1.7)
        if line.sparse or len(piece) == 1:
            inside = [(x, y) for x, y in zip(xs, ys, strict=True) if 0 <= y <= c.room.plot]
            shape = "o" if line.role == "eval" else "D" if line.role == "third" else "."
            few = len(piece) <= 12
            c.pen.dots([x for x, _ in inside], [y for _, y in inside], line.role, "o" if few else shape, 4.5 if few else 3.5)
    for piece in line.smooth:
        c.pen.line([c.x(s) for s, _ in piece], [c.y(v) for _, v in piece], line.role, 1.9)
    for first, last in line.nonfinite:
        if last >= c.panel.first and first <= c.panel.last:
            left = c.x(first)
            c.pen.line([left, max(c.x(last), left + 2)], [c.room.plot - 2] * 2, "error", 3)


def _tint(c: Canvas, lane: Lane) -> None:
    spans = c.spans(lane)
    for left, right in spans[:_MOST_TINTS]:
        c.pen.box(left, 0, right - left, c.room.plot, lane.severity.value, alpha=0.08)
        if right - left < _HATCHED * c.room.axis and len(spans) <= _MOST_EDGES:
            c.pen.box(left, 0, right - left, c.room.plot, lane.severity.value, alpha=0.42, hatch=HATCHES[lane.severity])


def _edges(c: Canvas, lane: Lane) -> None:
    spans = c.spans(lane)
    if len(spans) <= _MOST_EDGES:
        for left, _ in spans:
            c.pen.line([left, left], [0, c.room.plot], lane.severity.value, 1.6, style=_EDGES[lane.severity])
