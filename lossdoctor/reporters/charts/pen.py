"""The few strokes that a chart is made of, on a matplotlib axes whose data coordinates are pixels of the plot, in colours named by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossdoctor.model import Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HATCHES = {Severity.ERROR: "//", Severity.WARNING: "\\\\", Severity.NOTE: "-"}
FONT = 12.0
HALO = "halo"


class Pen:
    """`effects` draws halos itself; without it they are only named (`HALO`), for SVG that keeps its text as text."""

    def __init__(self, axes: Axes, colours: Mapping[str, str], *, effects: bool) -> None:
        self.axes, self.colours, self.effects = axes, colours, effects

    def text(
        self, x: float, y: float, words: str, role: str, *, bold: bool = False, ha: str = "left", va: str = "center", halo: bool = False,
        href: str = "", size: float = FONT,
    ) -> None:  # fmt: skip
        """Text as it is: no mathtext, whatever a signal is called. `halo` keeps it apart from the lines that it lies on."""
        drawn = self.axes.text(
            x,
            y,
            words,
            color=self.colours[role],
            fontsize=size,
            weight="bold" if bold else "normal",
            ha=ha,
            va=va,
            parse_math=False,
            clip_on=False,
        )
        if halo:
            drawn.set_gid(HALO)
        if halo and self.effects:
            from matplotlib.patheffects import withStroke

            drawn.set_path_effects([withStroke(linewidth=3, foreground=self.colours["background"])])
        if href:
            drawn.set_url(href)

    def line(self, xs: Sequence[float], ys: Sequence[float], role: str, width: float = 1.0, *, style: Any = "-", clip: bool = True) -> None:
        self.axes.plot(
            xs,
            ys,
            color=self.colours[role],
            linewidth=width,
            linestyle=style,
            solid_joinstyle="round",
            solid_capstyle="round" if clip else "butt",
            clip_on=clip,
        )

    def dots(
        self, xs: Sequence[float], ys: Sequence[float], role: str, shape: str, size: float, *, hollow: bool = False, name: str = ""
    ) -> None:
        drawn = self.axes.plot(
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
        if name:
            drawn[0].set_gid(name)

    def box(
        self, left: float, bottom: float, width: float, height: float, role: str, *, alpha: float = 1.0, hatch: str = "", clip: bool = True
    ) -> None:
        """A filled box; with a hatch only that, in lines that can be told without colour."""
        from matplotlib.patches import Rectangle

        colour = self.colours[role]
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": colour, "hatch": hatch} if hatch else {"facecolor": colour}
        self.axes.add_patch(
            Rectangle((left, bottom), width, height, linewidth=0, alpha=alpha, clip_on=clip, zorder=1 if clip else 3, **look)
        )

    def frame(self, left: float, bottom: float, width: float, height: float, role: str) -> None:
        """An outlined box on the background."""
        from matplotlib.patches import Rectangle

        face, edge = self.colours["background"], self.colours[role]
        self.axes.add_patch(Rectangle((left, bottom), width, height, facecolor=face, edgecolor=edge, linewidth=1.2, clip_on=False))
