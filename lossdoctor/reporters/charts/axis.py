"""The horizontal axis: the whole run, from its beginning to the end that was planned."""

from __future__ import annotations

import math

from lossdoctor.model import Diagnosis
from lossdoctor.numerals import number
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.width import width as width_of

_LATE = 0.2
_LEAST_RUN = 0.2


def extent(d: Diagnosis) -> tuple[int, int, int, int | None]:
    """First and last step of the axis, how far the run got, and the planned end where it lies beyond that.

    The axis begins at 0, or at the first row where that lies beyond a fifth of the run. It reaches to the planned end; where the run did
    less than a fifth of the plan only a quarter of the run is added, or nothing of it could be seen.
    """
    rows = [s for v in d.series if v.steps for s in (min(v.steps), max(v.steps))]
    if not rows:
        return 0, 1, 1, None
    ran = max(
        [*rows, d.steps or 0, *(m.step for m in d.marks if m.kind in {"end", "checkpoint", "resume"}), *(c.step for c in d.checkpoints)]
    )
    first = beginning(min(rows), ran)
    planned = max((m.step for m in d.marks if m.kind == "planned-end" and m.step > ran), default=None)
    if planned is None:
        return first, max(ran, first + 1), ran, None
    return first, planned if ran - first >= _LEAST_RUN * (planned - first) else math.ceil(ran + (ran - first) / 4), ran, planned


def beginning(first: int, last: int) -> int:
    """Where an axis begins: at 0, or at the first row where that is beyond a fifth of it."""
    return 0 if 0 <= first <= _LATE * last else first


def not_run(panel: Panel) -> str:
    """What the grey part says: `not run: 5000 of 7164`."""
    if panel.planned is None or panel.last <= panel.end:
        return ""
    beyond = "" if panel.planned <= panel.last else " →"
    return f"not run: {panel.planned - panel.end} of {panel.planned}{beyond}"


def ticks(panel: Panel, width: float) -> list[tuple[float, str]]:
    """Places and labels: the first step, the last one that ran and the end of the axis always, round ones where they fit between."""
    forced = {panel.first: 0, panel.end: 1}
    if panel.planned is not None and panel.planned <= panel.last:
        forced[panel.planned] = 2
    taken: list[tuple[float, float, float, str]] = []
    for step in sorted(forced, key=lambda s: -forced[s]):
        _place(panel, step, width, taken, always=step != panel.end or len(forced) < 3)
    first, last = panel.first / panel.axis_unit, max(panel.last, panel.first + 1) / panel.axis_unit
    for value in _round(first, last, max(int(width / 90), 2), whole=panel.axis_unit == 1):
        _place(panel, value * panel.axis_unit, width, taken, always=False)
    return sorted((share, label) for _, _, share, label in taken)


def _place(panel: Panel, step: float, width: float, taken: list[tuple[float, float, float, str]], *, always: bool) -> None:
    label = step_label(step / panel.axis_unit)
    middle, half = panel.share(step) * width, width_of(label) / 2 + 8
    if always or all(middle + half < a or middle - half > b for a, b, _, _ in taken):
        taken.append((middle - half, middle + half, panel.share(step), label))


def _round(low: float, high: float, count: int, whole: bool) -> list[float]:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    start = math.ceil(low / step)
    return [(start + i) * step for i in range(count + 2) if low <= (start + i) * step <= high]


def step_label(step: float) -> str:
    """A step in at most four digits: 8832, 75k, 1.5M."""
    if abs(step) >= 1e12:
        return number(step, 2)
    for least, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(step) >= least:
            return f"{step / size:.4g}{letter}"
    return f"{step:.4g}"
