"""What a chart is drawn on: its panel, its room in pixels, and the pen."""

from __future__ import annotations

from dataclasses import dataclass

from lossdoctor.reporters.charts.layout import Frame, Size
from lossdoctor.reporters.charts.panel import Lane, Panel
from lossdoctor.reporters.charts.pen import Pen

_LEAST_SPAN = 6.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """Places in pixels from the lower left corner of the plot."""

    panel: Panel
    size: Size
    room: Frame
    pen: Pen

    def x(self, step: float) -> float:
        return self.panel.share(step) * self.room.axis

    def y(self, value: float) -> float:
        return self.panel.scale.unit(value) * self.room.plot

    @property
    def limits(self) -> list[tuple[str, float]]:
        """Those that lie on the axis."""
        return [(name, value) for name, value in self.panel.limits if not self.panel.scale.cuts(value)]

    def spans(self, lane: Lane) -> list[tuple[float, float]]:
        """The spans in pixels, at least six wide, those that touch as one."""
        merged: list[tuple[float, float]] = []
        for first, last in sorted(lane.spans):
            left = min(self.x(first), self.room.axis - _LEAST_SPAN)
            right = max(self.x(last), left + _LEAST_SPAN)
            if merged and left <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(right, merged[-1][1]))
            else:
                merged.append((left, right))
        return merged
