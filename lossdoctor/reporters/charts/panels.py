"""The charts of a run, decided from the diagnosis alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lossdoctor.model import Diagnosis, SeriesView, Severity
from lossdoctor.reporters.advice import used_step
from lossdoctor.reporters.charts.axis import extent
from lossdoctor.reporters.charts.lanes import lanes
from lossdoctor.reporters.charts.palette import LINES
from lossdoctor.reporters.charts.panel import Lane, Line, OffScale, Panel
from lossdoctor.reporters.charts.scale import Scale, scale_for
from lossdoctor.reporters.charts.thin import Point, nonfinite_runs, pieces, smooth, thin
from lossdoctor.reporters.signals import family, look

_BOOKKEEPING = frozenset(
    {"train/epoch", "epoch", "total_flos", "train/total_flos", "num_input_tokens_seen", "train/num_input_tokens_seen", "train/global_step"}
    | {
        f"eval/{name}"
        for name in ("runtime", "samples_per_second", "steps_per_second", "jit_compilation_time", "model_preparation_time", "epoch")
    }
)
_LINEAR = ("learning_rate", "accuracy", "acc", "f1", "reward", "gpu/", "host/", "process/", "perf/")
_APART = 20.0
_SHORT = 0.1
SPARSE = 40
MOST_OFF_SCALE = 6


def panels(d: Diagnosis, columns: int) -> tuple[Panel, ...]:
    """One chart a family of signals: that of the first loud finding first (the loss where there is none), then the loss, then those that
    other findings use, then the rest. Losses of train and eval that lie more than 20 times apart get a chart each, one below the other."""
    views = {v.signal: v for v in d.series if v.steps}
    if not views:
        return ()
    families: dict[str, list[SeriesView]] = {}
    for view in views.values():
        families.setdefault(family(view.signal), []).append(view)
    used = dict.fromkeys(family(s) for f in d.findings for s in f.signals if s in views)
    loud = [family(s) for f in d.loud[:1] for s in f.signals if s in views]
    order = dict.fromkeys(k for k in (*loud[:1], "loss", *used, *families) if k in families)
    drawn = [p for key in order for p in _family(d, key, families[key], columns)]
    return (replace(drawn[0], used=used_step(d.checkpoint)), *drawn[1:])


def worth_drawing(panel: Panel, d: Diagnosis) -> bool:
    """Whether a finding uses the chart, or it has a course and is not bookkeeping such as the epoch or the speed of evals."""
    signals = {line.signal for line in panel.lines}
    if signals & {s for f in d.findings for s in f.signals} or panel.key == "loss":
        return True
    return not signals & _BOOKKEEPING and any(len(piece) > 2 for line in panel.lines for piece in line.pieces)


def constant(panel: Panel) -> float | None:
    """The one value that a signal had throughout, None where it moved, was not finite, or is a loss."""
    values = {v for line in panel.lines for _, v in line.rows}
    broken = any(line.nonfinite for line in panel.lines)
    return values.pop() if len(values) == 1 and not broken and panel.key != "loss" else None


def may_be_log(signal: str) -> bool:
    """Whether its readers are used to a logarithmic axis."""
    return not any(word in signal for word in _LINEAR)


def _family(d: Diagnosis, key: str, views: Sequence[SeriesView], columns: int) -> tuple[Panel, ...]:
    if key == "loss" and _apart(views):
        train = [v for v in views if v.signal == "train/loss"]
        upper = _panel(d, key, [v for v in views if v.signal != "train/loss"], columns)
        return upper, replace(_panel(d, key, train, columns), twin=True, limits=())
    return (_panel(d, key, views, columns),)


def _apart(views: Sequence[SeriesView]) -> bool:
    ends = {v.signal: next((x for x in reversed(v.values) if x is not None), math.nan) for v in views}
    train, other = ends.get("train/loss", math.nan), ends.get("eval/loss", math.nan)
    return train > 0 and other > 0 and max(train, other) > _APART * min(train, other)


def _panel(d: Diagnosis, key: str, views: Sequence[SeriesView], columns: int) -> Panel:
    first, last, ran, planned = extent(d)
    ordered = sorted(views, key=lambda v: (v.signal != "train/loss", v.signal != "eval/loss", v.signal))[: len(LINES)]
    strips = lanes(d, {v.signal for v in ordered}, key)
    keep = {s for lane in strips for span in lane.spans for s in span}
    roles = [LINES[1] if len(ordered) == 1 and v.signal == "eval/loss" else role for v, role in zip(ordered, LINES, strict=False)]
    lines = tuple(_line(v, role, columns, (first, last), keep) for v, role in zip(ordered, roles, strict=True))
    shown = look(ordered[0].signal)
    title = "loss" if key == "loss" and len(ordered) > 1 else shown.title
    title = key.replace("gpu/", "GPU ").replace("_", " ") if key != "loss" and len(ordered) > 1 else title
    panel = Panel(
        key=key,
        title=title,
        unit=shown.unit,
        lines=lines,
        scale=Scale(0, 1),
        first=first,
        last=last,
        ran=ran,
        planned=planned,
        lanes=strips,
        marks=tuple(m for m in d.marks if first <= m.step <= last),
        limits=_limits(d, key),
        lowest=lowest(lines),
        axis=d.unit,
    )
    return scaled(panel, keep=evidence(panel, [lane for lane in strips if lane.severity is not Severity.NOTE]))


def lowest(lines: Sequence[Line]) -> Point | None:
    """The lowest row of the eval loss that is drawn, where there are two or more to choose from."""
    points = [p for line in lines if line.signal == "eval/loss" for p in line.points]
    return min(points, key=lambda p: p[1]) if len(points) > 1 else None


def evidence(panel: Panel, strips: Sequence[Lane]) -> list[float]:
    """The values that the scale must not cut: every row of a short span, the course through a long one."""
    values: list[float] = []
    for lane in strips:
        for first, last in lane.spans:
            short = last - first <= _SHORT * (panel.last - panel.first)
            for line in panel.lines:
                drawn = line.pieces if short or not line.smooth else line.smooth
                values += [v for piece in drawn for s, v in piece if first <= s <= last]
    return values


def scaled(panel: Panel, keep: Sequence[float], *, log: bool = True) -> Panel:
    """The panel on a scale of its own; what lies beyond becomes an arrow with its value."""
    points = [p for line in panel.lines for p in line.points]
    fixed = [panel.lowest[1]] if panel.lowest else []
    may = log and may_be_log(panel.lines[0].signal if panel.lines else panel.key)
    scale = scale_for([v for _, v in points], keep=[*keep, *fixed], near=[v for _, v in panel.limits], log=may)
    cut = [(s, v) for s, v in points if scale.cuts(v)]
    off = [OffScale(s, v, v > scale.high) for s, v in _loudest(cut, panel.first, panel.last)]
    return replace(panel, scale=scale, off_scale=tuple(off))


def _line(view: SeriesView, role: str, columns: int, reach: tuple[int, int], keep: set[int]) -> Line:
    shown = look(view.signal)
    whole = pieces(view, shown.divisor)
    count = sum(len(p) for p in whole)
    smoothed: tuple[tuple[Point, ...], ...] = ()
    if count > 2 * SPARSE and view.signal not in {"train/learning_rate", "train/loss_scale"}:
        window = max(count // 40, 5) | 1
        smoothed = tuple(tuple(thin(smooth(p, window), columns // 2, *reach, keep)) for p in whole)
    drawn = tuple(tuple(thin(p, columns, *reach, keep)) for p in whole)
    rows = tuple(p for piece in whole for p in piece)
    return Line(view.signal, shown.title, role, drawn, smoothed, count <= SPARSE, tuple(nonfinite_runs(view)), rows)


def _limits(d: Diagnosis, key: str) -> tuple[tuple[str, float], ...]:
    if key != "train/grad_norm":
        return ()
    values = [s.value for s in d.settings if s.name == "max_grad_norm"]
    return tuple(("clip", float(v)) for v in values if isinstance(v, int | float) and math.isfinite(v) and v > 0)


def _loudest(cut: Sequence[Point], first: int, last: int) -> list[Point]:
    """The most extreme value of each stretch of a tenth of the axis, at most six."""
    width = max((last - first) / 10, 1)
    by_stretch: dict[tuple[int, bool], Point] = {}
    for step, value in cut:
        slot = (int((step - first) / width), value > 0)
        if slot not in by_stretch or abs(value) > abs(by_stretch[slot][1]):
            by_stretch[slot] = (step, value)
    return sorted(sorted(by_stretch.values(), key=lambda p: -abs(p[1]))[:MOST_OFF_SCALE])
