"""The chart in a finding's card: what the main chart shows too small to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossdoctor.model import Finding
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.panels import evidence, lowest, scaled
from lossdoctor.reporters.charts.scale import LOG_FROM
from lossdoctor.reporters.charts.thin import thin

_MOST_OF_IT = 0.5
_FLAT = 0.4
_FEWEST_POINTS = 6


def crop(finding: Finding, letter: str, drawn: Sequence[Panel], columns: int) -> Panel | None:
    """The finding's first drawn signal around its span, or None where the main chart shows as much.

    A rise of the eval loss on a logarithmic chart is shown alone and linear; a flat stretch on a scale of its own.
    """
    panel = next((p for s in finding.signals for p in drawn if s in {line.signal for line in p.lines}), None)
    if panel is None:
        return None
    own = replace(panel, twin=False, used=None, lanes=tuple(lane for lane in panel.lanes if lane.letter == letter))
    if not own.lanes:
        return None
    for made in (_eval_alone(own, finding), _around(own, columns), _level(own, columns)):
        if made is not None and sum(len(line.points) for line in made.lines) >= _FEWEST_POINTS:
            return made
    return None


def zoom(panel: Panel, first: int, last: int, columns: int) -> Panel:
    """The same chart over fewer steps, with only what is inside, on a scale fitted to that."""
    lines = tuple(
        replace(
            line,
            pieces=_inside(line.pieces, first, last, columns),
            smooth=_inside(line.smooth, first, last, columns),
            nonfinite=tuple(run for run in line.nonfinite if run[1] >= first and run[0] <= last),
            rows=tuple(p for p in line.rows if first <= p[0] <= last),
        )
        for line in panel.lines
    )
    lanes = tuple(
        replace(lane, spans=spans, seen=lane.seen if lane.seen is not None and first <= lane.seen <= last else None)
        for lane in panel.lanes
        if (spans := tuple((a, b) for a, b in lane.spans if a <= last and b >= first))
    )
    marks = tuple(m for m in panel.marks if first <= m.step <= last)
    low = lowest(lines)
    low = low if low == panel.lowest else None
    fitted = replace(panel, lines=lines, first=first, last=last, lanes=lanes, marks=marks, lowest=low)
    return scaled(fitted, keep=evidence(fitted, lanes))


def _inside(
    pieces: Sequence[Sequence[tuple[int, float]]], first: int, last: int, columns: int
) -> tuple[tuple[tuple[int, float], ...], ...]:
    cut = ([p for p in piece if first <= p[0] <= last] for piece in pieces)
    return tuple(tuple(thin(piece, columns, first, last)) for piece in cut if piece)


def _eval_alone(panel: Panel, finding: Finding) -> Panel | None:
    lines = tuple(line for line in panel.lines if line.signal == "eval/loss" and line.points)
    if not panel.scale.log or len(panel.lines) < 2 or "eval/loss" not in finding.signals or not lines:
        return None
    values = [v for _, v in lines[0].points]
    if min(values) <= 0 or max(values) >= LOG_FROM * min(values):
        return None
    return scaled(replace(panel, lines=lines, title=lines[0].title, limits=()), keep=values, log=False)


def _around(panel: Panel, columns: int) -> Panel | None:
    """Room on both sides of the span, the first one where there are many. Where values stop being finite, what led there is worth seeing,
    not the void after it."""
    lane, run = panel.lanes[0], panel.last - panel.first
    span = lane.reach if lane.reach[1] - lane.reach[0] < run / 4 else lane.spans[0]
    broken = [a for line in panel.lines for a, b in line.nonfinite if a <= span[1] and b >= span[0]]
    if broken:
        span = (max(broken[0] - run // 8, panel.first), min(broken[0] + run // 16, panel.last))
    room = max((span[1] - span[0]) * 0.6, run * 0.12, 2)
    first, last = max(int(span[0] - room), panel.first), min(int(span[1] + room), panel.end)
    return zoom(panel, first, last, columns) if 0 < last - first <= _MOST_OF_IT * run else None


def _level(panel: Panel, columns: int) -> Panel | None:
    """A span whose course takes little of the main chart's height."""
    first, last = panel.lanes[0].reach
    heights = [min(max(panel.scale.unit(v), 0), 1) for v in evidence(panel, panel.lanes[:1])]
    if not heights or max(heights) - min(heights) > _FLAT or last <= first:
        return None
    near = zoom(panel, max(first, panel.first), min(last, panel.end), columns)
    course = [v for line in near.lines for piece in line.smooth or line.pieces for _, v in piece]
    return scaled(near, keep=course, log=False)
