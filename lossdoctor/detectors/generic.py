"""Detectors for rules of one's own: they take the name of a signal and need no Python.

CONTRIBUTING.md has a whole rule file to copy.

| detector | fires where |
|---|---|
| threshold | a share of the rows lies above (or below) a bound, after the first part of the run |
| trend | the signal rises (or falls) by a share of its level, beyond chance |
| drop | the signal ends far below its best level so far |
| ratio_to_baseline | its last part stands at a multiple of its first part |
| share_above | a share of the rows lies above a setting of the run, such as max_grad_norm |

Signals carry their canonical names (`lossdoctor inputs PATH` lists them) or, where there is none, the name they were logged under.
"""

from __future__ import annotations

from math import inf

import numpy as np

from lossdoctor.detectors.curve import beyond
from lossdoctor.measures.trend import mann_kendall
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, named_curve
from lossdoctor.vitals.change import SURE

LEAST_ROWS = 4


def threshold(
    run: Run, *, signal: str, share: float, above: float = inf, below: float = -inf, after: float = 0.0
) -> Evidence | Skip | None:
    """At least `share` (0..1) of the rows lie above `above` or below `below`; rows before the fraction `after` of the run are left out.

    Numbers: signal, share_found, median, lowest, highest, rows. The onset is the first such row.
    """
    curve = _curve(run, signal, after)
    if isinstance(curve, Skip):
        return curve
    outside = (curve.values > above) | (curve.values < below)
    found = float(outside.mean())
    if not outside.any() or found < share:
        return None
    return _evidence(signal, curve, outside, {"share_found": found}, beyond(found, share))


def share_above(run: Run, *, signal: str, setting: str, share: float, factor: float = 1.0, after: float = 0.0) -> Evidence | Skip | None:
    """At least `share` (0..1) of the rows lie above `factor` times the run's own setting `setting`.

    Numbers: signal, share_found, bound, median, lowest, highest, rows.
    """
    limit = run.number(setting)
    if limit is None:
        return Skip(f"the setting {setting} is unknown", f"--set {setting}=VALUE")
    curve = _curve(run, signal, after)
    if isinstance(curve, Skip):
        return curve
    outside = curve.values > factor * limit
    found = float(outside.mean())
    if not outside.any() or found < share:
        return None
    return _evidence(signal, curve, outside, {"share_found": found, "bound": factor * limit}, beyond(found, share))


def trend(run: Run, *, signal: str, change: float, z: float, after: float = 0.0) -> Evidence | Skip | None:
    """The level moves by `change` of its start (0.1: a tenth up; -0.1: a tenth down) and the Mann-Kendall z score goes beyond `z` that way.

    Numbers: signal, change_found, z_found, start, end, median, lowest, highest, rows.
    """
    curve = _curve(run, signal, after)
    if isinstance(curve, Skip):
        return curve
    moved, score = -curve.fall, mann_kendall(curve.level)
    way = 1.0 if change >= 0 else -1.0
    if way * moved < abs(change) or way * score < z:
        return None
    numbers: dict[str, Scalar] = {"change_found": moved, "z_found": float(score), "start": curve.start.value, "end": curve.end.value}
    return _evidence(signal, curve, np.ones(len(curve), dtype=bool), numbers, beyond(way * moved, abs(change)))


def drop(run: Run, *, signal: str, fall: float, sigmas: float = SURE, after: float = 0.0) -> Evidence | Skip | None:
    """The level of the last tenth lies `fall` (a fraction of the best level) and `sigmas` noise scales below the best level so far.

    For signals that should rise, such as an accuracy or a throughput. Numbers: signal, fall_found, best, best_step, end, median, lowest,
    highest, rows. The onset is the step of the best level.
    """
    curve = _curve(run, signal, after)
    if isinstance(curve, Skip):
        return curve
    top = int(np.argmax(curve.level))
    best, end = float(curve.level[top]), curve.tail()
    fell = (best - end) / (abs(best) or 1.0)
    if fell < fall or best - end < sigmas * curve.level_noise:
        return None
    at = int(curve.at[top])
    return _evidence(signal, curve, curve.steps >= at, {"fall_found": fell, "best": best, "best_step": at, "end": end}, beyond(fell, fall))


def ratio_to_baseline(run: Run, *, signal: str, above: float = inf, below: float = 0.0, after: float = 0.0) -> Evidence | Skip | None:
    """The level of the last eighth of the rows, divided by that of the first eighth, is above `above` or below `below`.

    Numbers: signal, ratio_found, start, end, median, lowest, highest, rows.
    """
    curve = _curve(run, signal, after)
    if isinstance(curve, Skip):
        return curve
    start, end = curve.start.value, curve.end.value
    if start <= 0:
        return Skip(f"the baseline of {signal} is not above 0", "")
    ratio = end / start
    if not (ratio > above or ratio < below):
        return None
    rows = np.zeros(len(curve), dtype=bool)
    rows[-curve.width :] = True
    margin = beyond(ratio, above) if ratio > above else beyond(below, ratio)
    return _evidence(signal, curve, rows, {"ratio_found": ratio, "start": start, "end": end}, margin)


def _curve(run: Run, signal: str, after: float) -> Curve | Skip:
    """The rows of a signal beyond the fraction `after` of its steps; a Skip where it was not logged often enough."""
    curve = named_curve(run, signal)
    if not len(curve):
        return Skip(f"{signal} was not logged", f"log {signal}, or name its column: --metric {signal}=COLUMN")
    curve = curve.part(after, 1.0) if after > 0 else curve
    return curve if len(curve) >= LEAST_ROWS else Skip(f"{len(curve)} values of {signal}, {LEAST_ROWS} are needed", "log it more often")


def _evidence(signal: str, curve: Curve, rows: np.ndarray, numbers: dict[str, Scalar], margin: float) -> Evidence:
    """Evidence with the numbers that every message may use; the span reaches from the first to the last of `rows`."""
    steps = curve.steps[rows]
    common: dict[str, Scalar] = {
        "signal": signal, "median": float(np.median(curve.values)), "lowest": float(curve.values.min()),
        "highest": float(curve.values.max()), "rows": len(curve),
    }  # fmt: skip
    return Evidence.between({**common, **numbers}, (signal,), steps[0], steps[-1], margin=margin, points=len(curve))
