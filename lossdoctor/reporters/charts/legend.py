"""What the marks of some charts mean: only of those that are there."""

from __future__ import annotations

from collections.abc import Sequence

from lossdoctor.reporters.charts.layout import MOST_EPOCH_LINES
from lossdoctor.reporters.charts.panel import Panel


def legend(main: Sequence[Panel], others: Sequence[Panel] = ()) -> tuple[tuple[str, str], ...]:
    """Pairs of a glyph's name and its meaning; the marks of the run's course are those of the main charts, the others have none."""
    every = [*main, *others]
    lines = [line for p in every for line in p.lines]
    first = main[0]
    saved = set(first.steps("checkpoint")) - {first.used}
    present = {
        "median": ("centred rolling median", any(line.smooth for line in lines)),
        "rows": ("rows (in figures: the last one)", any(line.smooth for line in lines)),
        "lowest": ("lowest eval", any(p.lowest for p in every)),
        "use": ("use this one", first.used is not None),
        "saved": ("checkpoint", bool(saved)),
        "span": ("finding", any(p.lanes for p in every)),
        "seen": ("could be seen", any(lane.seen is not None for p in main for lane in p.lanes)),
        "cut": ("beyond scale", any(p.off_scale for p in every)),
        "epoch": ("epoch", 0 < len(first.steps("epoch")) <= MOST_EPOCH_LINES),
    }
    return tuple((glyph, words) for glyph, (words, there) in present.items() if there)
