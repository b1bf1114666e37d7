"""Small hand-made runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.model import Checkpoint, Finding, LogEvent, Scalar, Setting, Severity
from lossdoctor.run import Log, Run, Series, build

Values = npt.ArrayLike


def run(
    signals: dict[str, tuple[Values, Values]] | None = None,
    *,
    settings: dict[str, Scalar] | None = None,
    checkpoints: tuple[Checkpoint, ...] = (),
    events: tuple[LogEvent, ...] = (),
    per_epoch: float | None = None,
    seconds: float | None = None,
    **facts: object,
) -> Run:
    """A run of `signals` (raw name -> steps, values); epochs from `per_epoch` steps, wall times from `seconds` per step."""
    series = []
    for name, (steps, values) in (signals or {}).items():
        at = np.asarray(steps)
        epochs = None if per_epoch is None else at / per_epoch
        times = None if seconds is None else 1.7e9 + at * seconds
        series.append(Series.of(name, at, values, epochs, times))
    log = Log("text", Path("run.log"), "run", series=tuple(series), checkpoints=checkpoints, events=events, **facts)  # type: ignore[arg-type]
    return build(log, settings=[Setting(k, v, "test") for k, v in (settings or {}).items()])


def finding(rule: str, onset: int | None = None, severity: Severity = Severity.ERROR, **more: object) -> Finding:
    return Finding(rule, "LD000", rule, severity, 0.9, "", {}, (), onset_step=onset, **more)  # type: ignore[arg-type]
