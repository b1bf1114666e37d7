"""The lanes above a plot: one for each finding whose signals the chart shows."""

from __future__ import annotations

from lossdoctor.model import Diagnosis
from lossdoctor.reporters.advice import letter
from lossdoctor.reporters.charts.panel import Lane


def lanes(d: Diagnosis, names: set[str], key: str) -> tuple[Lane, ...]:
    """In the order of the letters. A finding none of whose signals was logged is shown with the loss; one without a step has no lane."""
    present = {v.signal for v in d.series if v.steps}
    found: list[Lane] = []
    for index, f in enumerate(d.findings):
        homeless = not present & set(f.signals)
        spans = f.spans or ((f.span,) if f.span else ((f.onset_step, f.onset_step),) if f.onset_step is not None else ())
        if spans and (names & set(f.signals) or (homeless and key == "loss")):
            found.append(Lane(letter(index), f.severity, f.title, spans, f.detectable_step))
    return tuple(found)
