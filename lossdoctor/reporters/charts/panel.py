"""What one chart shows: lines, lanes of findings, marks, limits, and values off the scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lossdoctor.model import Mark, Severity
from lossdoctor.reporters.charts.scale import Scale
from lossdoctor.reporters.charts.thin import Point


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its stretches of points in shown units, the smooth line where there are enough of them, and all rows for the table."""

    signal: str
    title: str
    role: str
    pieces: tuple[tuple[Point, ...], ...]
    smooth: tuple[tuple[Point, ...], ...] = ()
    sparse: bool = False
    nonfinite: tuple[tuple[int, int], ...] = ()
    rows: tuple[Point, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(p for piece in self.pieces for p in piece)


@dataclass(frozen=True, slots=True)
class Lane:
    """One finding above the plot: its letter, where its evidence lies, when a monitor could have seen it, and the address of its card."""

    letter: str
    severity: Severity
    title: str
    spans: tuple[tuple[int, int], ...]
    seen: int | None = None
    href: str = ""

    @property
    def reach(self) -> tuple[int, int]:
        return min(a for a, _ in self.spans), max(b for _, b in self.spans)


@dataclass(frozen=True, slots=True)
class OffScale:
    """A value that the axis cuts."""

    step: int
    value: float
    up: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. `first`..`last` is the step axis, the same for all charts of a run unless zoomed; the run got as far as `ran`.

    Another axis is laid over whole numbers too: `axis` names it, and `axis_unit` of them make one of it (1000 for epochs to three digits).
    A `twin` belongs right below the panel before it: both show one family of signals that one scale cannot hold.
    """

    key: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    scale: Scale
    first: int
    last: int
    ran: int | None = None
    planned: int | None = None
    lanes: tuple[Lane, ...] = ()
    marks: tuple[Mark, ...] = ()
    limits: tuple[tuple[str, float], ...] = ()
    off_scale: tuple[OffScale, ...] = ()
    used: int | None = None
    lowest: Point | None = None
    axis: str = "step"
    axis_unit: int = 1
    twin: bool = False

    @property
    def end(self) -> int:
        """How far the run got, on this axis."""
        return self.last if self.ran is None else min(self.ran, self.last)

    def share(self, step: float) -> float:
        """The place of a step on the axis, 0..1, clamped."""
        if self.last <= self.first:
            return 0.5
        return min(max((step - self.first) / (self.last - self.first), 0.0), 1.0)

    def steps(self, kind: str) -> tuple[int, ...]:
        """Where the marks of a kind lie on the axis."""
        return tuple(m.step for m in self.marks if m.kind == kind and self.first <= m.step <= self.last)


def linked(panel: Panel, anchors: Mapping[str, str]) -> Panel:
    """The panel with each lane's letter as a link to its card."""
    return replace(
        panel, lanes=tuple(replace(lane, href=f"#{anchors[lane.letter]}") if lane.letter in anchors else lane for lane in panel.lanes)
    )
