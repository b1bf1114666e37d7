"""Where things go on a chart, in pixels, and which labels fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lossdoctor.reporters.charts.axis import not_run
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.width import width

ROW = 16.0
TITLE = 20.0
GAP = 10.0
MOST_EPOCH_LINES = 8


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a chart without its lanes and the margins of its axes, in pixels (1/72 inch for matplotlib).

    A `full` chart has words on its lanes, the marks of the run's course and the checkpoints; `seen` shows when a monitor could have seen
    a finding; one without `rows` has tints instead of lanes.
    """

    width: float
    height: float
    left: float = 52
    right: float = 100
    bottom: float = 24
    full: bool = False
    seen: bool = False
    rows: bool = True


MAIN = Size(892, 224, full=True, seen=True)
NARROW = Size(352, 250, left=48, right=64, full=True, seen=True)
TWIN = Size(892, 130, rows=False)
NARROW_TWIN = Size(352, 150, left=48, right=64, rows=False)
SMALL = Size(284, 164, left=48, right=60)
CROP = Size(332, 190, left=48, right=62, seen=True)


@dataclass(frozen=True, slots=True)
class Placed:
    """A label on the strip above the axes: its text, the share of the axis where it belongs, and whether it hangs to the left of it."""

    text: str
    x: float
    left: bool = False
    role: str = "muted"


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's size with all rows that it needs, and the room of the plot."""

    width: float
    height: float
    top: float
    axis: float
    plot: float
    labels: tuple[Placed, ...]
    epochs: tuple[tuple[int, int], ...]
    saved: tuple[int, ...]


def frame(panel: Panel, size: Size) -> Frame:
    """Rows from the top: title, one lane a finding, checkpoints, labels of marks; below the axis the epochs where they are many."""
    axis = size.width - size.left - size.right
    labels = tuple(mark_labels(panel, axis)) if size.full else tuple(broken_labels(panel, axis))
    saved = tuple(sorted({*panel.steps("checkpoint"), *((panel.used,) if panel.used is not None else ())})) if size.full else ()
    epochs = _epochs(panel) if size.full and len(panel.steps("epoch")) > MOST_EPOCH_LINES else ()
    rows = (len(panel.lanes) if size.rows else 0) + bool(saved) + bool(labels)
    below = ROW * bool(epochs)
    height = size.height + ROW * max(rows - 1, 0) + below
    top = TITLE + ROW * rows + GAP
    return Frame(size.width, height, top, axis, height - top - size.bottom - below, labels, epochs, saved)


def broken_labels(panel: Panel, axis: float) -> list[Placed]:
    """Which steps have no finite value: `NaN/Inf at 3`, `NaN/Inf 3-7`, `NaN/Inf from 1472` where none follows; the first ones that fit."""
    runs = sorted({(a, b, b >= max((s for s, _ in line.points), default=b)) for line in panel.lines for a, b in line.nonfinite})
    texts = [(a, f"NaN/Inf at {a}" if a == b else f"NaN/Inf from {a}" if last else f"NaN/Inf {a}-{b}") for a, b, last in runs]
    return _fitting(panel, axis, [(0, step, text, "error") for step, text in texts])


def mark_labels(panel: Panel, axis: float) -> list[Placed]:
    """The labels of the marks that fit on one line, the rarer kinds first; the marks themselves are all drawn."""
    wanted = [(0, p.x, p.text, p.role) for p in broken_labels(panel, axis)]
    named = [(0, panel.first + p * (panel.last - panel.first), text, role) for _, p, text, role in wanted]
    if said := not_run(panel):
        middle = (panel.end + panel.last) / 2
        named.append((1, middle if panel.share(middle) * axis + width(said) < axis + 40 else panel.last, said, "muted"))
    named += [(2, step, "resumed", "muted") for step in panel.steps("resume")]
    named += [(3, step, "warmup ends", "muted") for step in panel.steps("warmup-end")]
    epochs = [m for m in panel.marks if m.kind == "epoch"]
    named += [(4, m.step, m.label[:24], "muted") for m in epochs if len(epochs) <= MOST_EPOCH_LINES]
    return _fitting(panel, axis, named)


def _fitting(panel: Panel, axis: float, wanted: Sequence[tuple[int, float, str, str]]) -> list[Placed]:
    taken: list[tuple[float, float]] = []
    placed: list[Placed] = []
    for _, step, text, role in sorted(wanted, key=lambda w: (w[0], w[1])):
        x = panel.share(step) * axis
        wide = width(text, bold=role == "error")
        for left in (False, True):
            start = x - wide if left else x
            free = all(start + wide + 6 < a or start > b + 6 for a, b in taken)
            if free and start >= 0 and start + wide <= axis + 30:
                taken.append((start, start + wide))
                placed.append(Placed(text, x / axis, left, role))
                break
    return placed


def _epochs(panel: Panel) -> tuple[tuple[int, int], ...]:
    """The step of each epoch's end with the epoch's number."""
    named = ((m.step, m.label.rpartition(" ")[2]) for m in panel.marks if m.kind == "epoch" and panel.first <= m.step <= panel.last)
    return tuple((step, int(name)) for step, name in named if name.isdecimal())


def epoch_stride(panel: Panel, epochs: Sequence[tuple[int, int]], axis: float) -> int:
    """The round number of epochs between two that are written out, so that these are not too close."""
    (first, one), (last, other) = epochs[0], epochs[-1]
    apart = (panel.share(last) - panel.share(first)) * axis / max(other - one, 1)
    return next((m * 10**e for e in range(6) for m in (1, 2, 5) if m * 10**e * apart >= 36), 10**6)
