"""What one chart shows, decided from the diagnosis alone: lines, shaded evidence, marks, limits, and values off the scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lossdoctor.model import Diagnosis, Mark, SeriesView, Severity
from lossdoctor.reporters.advice import letter, used_step
from lossdoctor.reporters.charts.palette import LINES
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
_LINEAR = frozenset({"train/learning_rate"})
SPARSE = 40
MOST_SHADES = 8
MOST_OFF_SCALE = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its stretches of points in shown units, and the smooth line where there are enough of them."""

    signal: str
    title: str
    role: str
    pieces: tuple[tuple[Point, ...], ...]
    smooth: tuple[tuple[Point, ...], ...] = ()
    sparse: bool = False
    nonfinite: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Shade:
    """A span of a finding's evidence with the finding's letter; one that another finding explains is bracketed but not filled."""

    letter: str
    severity: Severity
    first: int
    last: int
    filled: bool = True


@dataclass(frozen=True, slots=True)
class OffScale:
    """A value that the axis cuts."""

    step: int
    value: float
    up: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. `first`..`last` is the step axis, the same for all charts of a run unless zoomed.

    Another axis is laid over whole numbers too: `axis` names it, and `axis_unit` of them make one of it (1000 for epochs to three digits).
    """

    key: str
    title: str
    unit: str
    lines: tuple[Line, ...]
    scale: Scale
    first: int
    last: int
    shades: tuple[Shade, ...] = ()
    marks: tuple[Mark, ...] = ()
    limits: tuple[tuple[str, float], ...] = ()
    off_scale: tuple[OffScale, ...] = ()
    used_checkpoint: int | None = None
    best: Point | None = None
    axis: str = "step"
    axis_unit: int = 1


def panels(d: Diagnosis, columns: int) -> tuple[Panel, ...]:
    """One chart a family of signals: that of the first loud finding first (the loss where there is none), then the loss, then those that
    other findings use, then the rest."""
    views = {v.signal: v for v in d.series if v.steps}
    if not views:
        return ()
    reach = extent(d)
    families: dict[str, list[SeriesView]] = {}
    for view in views.values():
        families.setdefault(family(view.signal), []).append(view)
    used = dict.fromkeys(family(s) for f in d.findings for s in f.signals if s in views)
    loud = [family(s) for f in d.loud[:1] for s in f.signals if s in views]
    order = dict.fromkeys(k for k in (*loud[:1], "loss", *used, *families) if k in families)
    drawn = [_panel(d, key, families[key], reach, columns) for key in order]
    return (replace(drawn[0], used_checkpoint=used_step(d.checkpoint)), *drawn[1:])


def worth_drawing(panel: Panel, d: Diagnosis) -> bool:
    """Whether a finding uses the chart, or it has a course and is not bookkeeping such as the epoch or the speed of evals."""
    signals = {line.signal for line in panel.lines}
    if signals & {s for f in d.findings for s in f.signals} or panel.key == "loss":
        return True
    return not signals & _BOOKKEEPING and any(len(piece) > 2 for line in panel.lines for piece in line.pieces)


def extent(d: Diagnosis) -> tuple[int, int]:
    """The first and last step that any series has."""
    steps = [s for v in d.series if v.steps for s in (min(v.steps), max(v.steps))]
    return (min(steps), max(steps)) if steps else (0, 1)


def zoom(panel: Panel, first: int, last: int, columns: int) -> Panel:
    """The same chart over fewer steps, with the axis fitted to what is there and only the marks inside."""
    lines = tuple(
        replace(
            line,
            pieces=tuple(p for p in (_inside(piece, first, last, columns) for piece in line.pieces) if p),
            smooth=tuple(p for p in (_inside(piece, first, last, columns) for piece in line.smooth) if p),
            nonfinite=tuple(run for run in line.nonfinite if run[1] >= first and run[0] <= last),
        )
        for line in panel.lines
    )
    shades = tuple(s for s in panel.shades if s.first <= last and s.last >= first)
    marks = tuple(m for m in panel.marks if first <= m.step <= last)
    best = panel.best if panel.best and first <= panel.best[0] <= last else None
    fitted = replace(panel, lines=lines, first=first, last=last, shades=shades, marks=marks, best=best)
    return _scaled(fitted, keep=[v for s in shades for v in _around(lines, s)])


def _inside(piece: Sequence[Point], first: int, last: int, columns: int) -> tuple[Point, ...]:
    return tuple(thin([p for p in piece if first <= p[0] <= last], columns, first, last))


def _panel(d: Diagnosis, key: str, views: Sequence[SeriesView], reach: tuple[int, int], columns: int) -> Panel:
    first, last = reach
    ordered = sorted(views, key=lambda v: (v.signal != "train/loss", v.signal != "eval/loss", v.signal))[: len(LINES)]
    names = {v.signal for v in ordered}
    shades = _shades(d, key, names)
    keep = {s for shade in shades for s in (shade.first, shade.last)}
    lines = tuple(_line(v, role, columns, reach, keep) for v, role in zip(ordered, LINES, strict=False))
    shown = look(ordered[0].signal)
    title = shown.title if len(ordered) == 1 and key != "loss" else key.replace("gpu/", "GPU ").replace("_", " ")
    panel = Panel(
        key=key,
        title=title,
        unit=shown.unit,
        lines=lines,
        scale=Scale(0, 1),
        first=first,
        last=last,
        shades=shades,
        marks=tuple(m for m in d.marks if first <= m.step <= last),
        limits=_limits(d, key),
        best=_best(d, ordered, lines),
    )
    loud = [s for s in shades if s.severity is not Severity.NOTE]
    return _scaled(panel, keep=[v for s in loud for v in _around(lines, s)])


def _line(view: SeriesView, role: str, columns: int, reach: tuple[int, int], keep: set[int]) -> Line:
    shown = look(view.signal)
    whole = pieces(view, shown.divisor)
    count = sum(len(p) for p in whole)
    smoothed: tuple[tuple[Point, ...], ...] = ()
    if count > 2 * SPARSE and view.signal not in {"train/learning_rate", "train/loss_scale"}:
        window = max(count // 40, 5) | 1
        smoothed = tuple(tuple(thin(smooth(p, window), columns // 2, *reach, keep)) for p in whole)
    drawn = tuple(tuple(thin(p, columns, *reach, keep)) for p in whole)
    return Line(view.signal, shown.title, role, drawn, smoothed, count <= SPARSE, tuple(nonfinite_runs(view)))


def _shades(d: Diagnosis, key: str, names: set[str]) -> tuple[Shade, ...]:
    present = {v.signal for v in d.series if v.steps}
    found: list[Shade] = []
    for index, f in enumerate(d.findings):
        homeless = not present & set(f.signals)
        if names & set(f.signals) or (homeless and key == "loss"):
            spans = f.spans or ((f.span,) if f.span else ())
            found += [Shade(letter(index), f.severity, a, b, f.explained_by is None) for a, b in spans[:MOST_SHADES]]
    return tuple(found)


def _limits(d: Diagnosis, key: str) -> tuple[tuple[str, float], ...]:
    if key != "train/grad_norm":
        return ()
    values = [s.value for s in d.settings if s.name == "max_grad_norm"]
    return tuple(("max_grad_norm", float(v)) for v in values if isinstance(v, int | float) and math.isfinite(v) and v > 0)


def _best(d: Diagnosis, views: Sequence[SeriesView], lines: Sequence[Line]) -> Point | None:
    steps = [m.step for m in d.marks if m.kind == "best-eval"]
    evals = [line for view, line in zip(views, lines, strict=True) if view.signal == "eval/loss"]
    return next((p for line in evals for piece in line.pieces for p in piece if p[0] in steps), None)


def _around(lines: Sequence[Line], shade: Shade) -> list[float]:
    values = [v for line in lines for piece in line.smooth or line.pieces for s, v in piece if shade.first <= s <= shade.last]
    return [min(values), max(values)] if values else []


def _scaled(panel: Panel, keep: Sequence[float]) -> Panel:
    """Fit the axis to the smooth lines and most of the raw points; what lies beyond becomes an arrow with its value."""
    values = [v for line in panel.lines for piece in line.pieces for _, v in piece]
    best = [panel.best[1]] if panel.best else []
    scale = scale_for(values, keep=[*keep, *best, *(v for _, v in panel.limits)], log=panel.key not in _LINEAR)
    cut = [(s, v) for line in panel.lines for piece in line.pieces for s, v in piece if scale.cuts(v)]
    off = [OffScale(s, v, v > scale.high) for s, v in _loudest(cut, panel.first, panel.last)]
    return replace(panel, scale=scale, off_scale=tuple(off))


def _loudest(cut: Sequence[Point], first: int, last: int) -> list[Point]:
    """The most extreme value of each stretch of a tenth of the axis, at most six."""
    width = max((last - first) / 10, 1)
    by_stretch: dict[tuple[int, bool], Point] = {}
    for step, value in cut:
        slot = (int((step - first) / width), value > 0)
        if slot not in by_stretch or abs(value) > abs(by_stretch[slot][1]):
            by_stretch[slot] = (step, value)
    return sorted(sorted(by_stretch.values(), key=lambda p: -abs(p[1]))[:MOST_OFF_SCALE])
