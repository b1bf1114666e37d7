"""The data that an HTML report carries, so that it can be shown again in another format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossdoctor.model import Diagnosis, SeriesView
from lossdoctor.reporters.charts.panels import panels, worth_drawing
from lossdoctor.reporters.charts.thin import thin
from lossdoctor.reporters.html.budget import TABLE_ONLY_ABOVE, Budget
from lossdoctor.reporters.json_report import SCHEMA_VERSION, encode, pack, to_dict
from lossdoctor.reporters.options import Options

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def embedded(diagnoses: Sequence[Diagnosis], budget: Budget, options: Options) -> str:
    """The contract's JSON, safe inside <script>: no character that could end the element. A table of runs has it packed, no curves."""
    if len(diagnoses) > TABLE_ONLY_ABOVE:
        return pack([to_dict(replace(d, series=()), options) for d in diagnoses])
    kept = replace(options, series=True)
    rows = [to_dict(replace(d, series=reduced(d, budget)), kept) for d in diagnoses]
    text = encode(rows[0] if len(rows) == 1 else {"schema_version": SCHEMA_VERSION, "runs": rows})
    for char, escape in _ESCAPES.items():
        text = text.replace(char, escape)
    return text


def reduced(d: Diagnosis, budget: Budget) -> tuple[SeriesView, ...]:
    """The signals that the page draws, those of the findings first, thinned; values with 5 significant digits."""
    used = ["train/loss", "eval/loss", *(s for f in d.findings for s in f.signals)]
    shown = {line.signal for p in panels(d, 50) if worth_drawing(p, d) for line in p.lines}
    ordered = sorted((v for v in d.series if v.signal in shown), key=lambda v: used.index(v.signal) if v.signal in used else len(used))
    keep = {s for f in d.findings for span in f.spans for s in span} | {m.step for m in d.marks if m.kind == "best-eval"}
    return tuple(_thinned(v, budget.embedded_points, keep) for v in ordered[: budget.embedded_signals])


def _thinned(view: SeriesView, points: int, keep: set[int]) -> SeriesView:
    finite = [(s, v) for s, v in zip(view.steps, view.values, strict=True) if v is not None]
    missing = list(view.nonfinite)
    if len(missing) > points // 3:
        stride = len(missing) / (points // 3)
        missing = sorted({missing[0], missing[-1], *(missing[int(i * stride)] for i in range(points // 3))})
    if finite:
        finite = thin(finite, max(points // 2, 4), finite[0][0], max(s for s, _ in finite), keep)
    chosen = [(s, float(f"{v:.5g}")) for s, v in finite]
    rows: list[tuple[int, float | None]] = sorted([*chosen, *((s, None) for s in missing)], key=lambda row: row[0])
    return replace(view, steps=tuple(s for s, _ in rows), values=tuple(v for _, v in rows), nonfinite=tuple(missing))
