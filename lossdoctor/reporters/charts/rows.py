"""The rows above the plot: the title, a lane a finding, the checkpoints, and the labels of marks."""

from __future__ import annotations

from lossdoctor.reporters.charts.canvas import Canvas
from lossdoctor.reporters.charts.layout import ROW
from lossdoctor.reporters.charts.panel import Lane
from lossdoctor.reporters.charts.width import width

SEEN = "seen"


def draw(c: Canvas) -> None:
    _title(c)
    level = c.room.plot + c.room.top - 20 - ROW / 2
    if c.size.rows:
        for lane in c.panel.lanes:
            _lane(c, lane, level)
            level -= ROW
    if c.room.saved:
        _saved(c, level)
        level -= ROW
    for label in c.room.labels:
        x = label.x * c.room.axis + (-2 if label.left else 2)
        c.pen.text(x, level, label.text, label.role, bold=label.role == "error", ha="right" if label.left else "left")


def _title(c: Canvas) -> None:
    panel, exponent = c.panel, c.panel.scale.exponent
    words = panel.title + (f" ({panel.unit})" if panel.unit else "")
    words += (f", \u00d71e{exponent}" if exponent else "") + (", log scale" if panel.scale.log else "")
    c.pen.text(4 - c.size.left, c.room.plot + c.room.top - 10, words, "text", bold=True)


def _lane(c: Canvas, lane: Lane, level: float) -> None:
    role, left = lane.severity.value, 5 - c.size.left
    wide = 9 + len(lane.letter) * 7
    c.pen.frame(left, level - 7, wide, 14, role)
    c.pen.text(left + wide / 2, level - 0.5, lane.letter, role, bold=True, ha="center", href=lane.href, size=11)
    if len(lane.spans) > 1:
        c.pen.text(left + wide + 3, level, f"\u00d7{len(lane.spans)}", role, size=11)
    c.pen.line([0, c.room.axis], [level, level], "grid", 0.8, clip=False)
    spans = c.spans(lane)
    for start, end in spans:
        c.pen.line([start, end], [level, level], role, 2.4 if len(spans) == 1 else 6, clip=False)
        for x in (start, end) if len(spans) == 1 else ():
            c.pen.line([x, x], [level - 4, level + 4], role, 2.0, clip=False)
    if lane.seen is not None and c.size.seen:
        c.pen.dots([c.x(lane.seen)], [level], role, "v", 6.5, hollow=True, name=f"{SEEN}-{lane.letter}")
    if c.size.full:
        _words(c, lane, level, spans)


def _words(c: Canvas, lane: Lane, level: float, spans: list[tuple[float, float]]) -> None:
    """The finding's title behind its bracket, before it, or in a gap of it, where there is room."""
    start, end = spans[0][0], spans[-1][1]
    seen = c.x(lane.seen) if lane.seen is not None else start
    words = lane.title if len(lane.title) <= 48 else lane.title[:47].rstrip() + "…"
    wide = width(words)
    after, inside = max(end, seen) + 10, seen + 14
    if after + wide <= c.room.axis + c.size.right:
        c.pen.text(after, level, words, lane.severity.value, halo=True)
    elif min(start, seen) - 10 - wide >= 0:
        c.pen.text(min(start, seen) - 10, level, words, lane.severity.value, ha="right", halo=True)
    elif len(spans) == 1 and inside + wide + 14 <= end:
        c.pen.box(inside - 4, level - 6, wide + 8, 12, "background", clip=False)
        c.pen.text(inside, level, words, lane.severity.value)


def _saved(c: Canvas, level: float) -> None:
    used = c.panel.used
    c.pen.text(-6, level, "saved", "muted", ha="right")
    kept = [c.x(s) for s in c.room.saved if s != used]
    c.pen.dots(kept, [level] * len(kept), "muted", "s", 4.5, hollow=True)
    if used is not None:
        x, words = c.x(used), f"use {used}"
        c.pen.dots([x], [level], "text", "s", 7)
        fits = x + 8 + width(words, bold=True) <= c.room.axis + c.size.right
        c.pen.text(x + 8 if fits else x - 8, level, words, "text", bold=True, ha="left" if fits else "right", halo=True)
