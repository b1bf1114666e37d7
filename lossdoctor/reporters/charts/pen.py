"""The few strokes that a chart is made of, on the unit square of a matplotlib axes, in colours named by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossdoctor.model import Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCHES = {Severity.ERROR: "//", Severity.WARNING: "\\\\", Severity.NOTE: "-"}
FONT, SMALL = 11.5, 10.5


class Pen:
    """Draws on an axes of `width` x `height` pixels whose data coordinates run from 0 to 1."""

    def __init__(self, axes: Axes, colours: Mapping[str, str], width: float, height: float) -> None:
        self.axes, self.colours, self.width, self.height = axes, colours, width, height

    def text(
        self, x: float, y: float, words: str, role: str, *, small: bool = False, bold: bool = False, ha: str = "left", va: str = "center"
    ) -> None:
        """Text as it is: no mathtext, whatever a signal is called."""
        self.axes.text(
            x,
            y,
            words,
            color=self.colours[role],
            fontsize=SMALL if small else FONT,
            weight="bold" if bold else "normal",
            ha=ha,
            va=va,
            parse_math=False,
            clip_on=False,
        )

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
        self.axes.plot(
            xs,
            ys,
            linestyle="none",
            marker=shape,
            markersize=size,
            color=self.colours[role],
            markerfacecolor=self.colours["background" if hollow else role],
            markeredgewidth=1.4,
            clip_on=False,
        )

    def box(self, left: float, right: float, severity: Severity) -> None:
        """A span over the whole height: tinted and hatched, so that it can be told without colour."""
        from matplotlib.patches import Rectangle

        colour = self.colours[severity.value]
        width = max(right - left, 1.5 / self.width)
        self.axes.add_patch(Rectangle((left, 0), width, 1, facecolor=colour, edgecolor="none", linewidth=0, alpha=0.08))
        hatch = HATCHES[severity]
        self.axes.add_patch(Rectangle((left, 0), width, 1, facecolor="none", edgecolor=colour, linewidth=0, hatch=hatch, alpha=0.42))
