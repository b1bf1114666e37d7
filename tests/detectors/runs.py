"""Hand-made runs for the detectors, and the shipped rules applied to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.examine import Outcome, examine
from lossdoctor.diagnosis.judge import severity
from lossdoctor.model import Checkpoint, LogEvent, Scalar, Setting
from lossdoctor.rulebook import bind, shipped
from lossdoctor.run import Log, Run, Series, build

Floats = npt.NDArray[np.float64]
RULES = {rule.name: rule for rule in shipped()}
BOUND = bind(RULES.values(), DETECTORS)
ROWS, EVERY = 200, 5


def steps(rows: int = ROWS, every: int = EVERY) -> npt.NDArray[np.int64]:
    return np.arange(1, rows + 1) * every


def noisy(values: npt.ArrayLike, sigma: float = 0.02, seed: int = 0) -> Floats:
    """The values with normal noise of `sigma`."""
    values = np.asarray(values, dtype=np.float64)
    return values + np.random.default_rng(seed).normal(0, sigma, values.shape)


def learned(rows: int = ROWS, start: float = 3.0, end: float = 1.5, sigma: float = 0.02, seed: int = 0) -> Floats:
    """A healthy loss: falls fast, then ever more slowly."""
    return noisy(end + (start - end) * np.exp(-4 * np.linspace(0, 1, rows)), sigma, seed)


def cosine(rows: int = ROWS, peak: float = 2e-4, warmup: float = 0.05) -> Floats:
    """A learning rate with linear warmup and cosine decay to a tenth."""
    at = np.linspace(0, 1, rows)
    decay = 0.55 + 0.45 * np.cos(np.pi * np.clip((at - warmup) / (1 - warmup), 0, 1))
    return peak * np.where(at < warmup, (at + 1 / rows) / (warmup + 1 / rows), decay)


def make(
    signals: Mapping[str, npt.ArrayLike | tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    settings: Mapping[str, Scalar] | None = None,
    every: int = EVERY,
    per_epoch: float | None = None,
    seconds: float | npt.ArrayLike | None = None,
    kind: str = "text",
    checkpoints: tuple[Checkpoint, ...] = (),
    events: tuple[LogEvent, ...] = (),
    **facts: object,
) -> Run:
    """A run of raw name -> values (rows `every` steps apart) or (steps, values); epochs from `per_epoch`, times from seconds a step."""
    series = []
    for name, given in signals.items():
        at, values = given if isinstance(given, tuple) else (steps(len(np.asarray(given)), every), given)
        at = np.asarray(at, dtype=np.int64)
        epochs = None if per_epoch is None else at / per_epoch
        times = (
            None if seconds is None else 1.7e9 + (np.cumsum(np.asarray(seconds)) if np.ndim(seconds) else at * float(np.asarray(seconds)))
        )
        series.append(Series.of(name, at, values, epochs, times))
    log = Log(kind, Path("run.log"), "run", series=tuple(series), checkpoints=checkpoints, events=events, **facts)  # type: ignore[arg-type]
    return build(log, settings=[Setting(k, v, "test") for k, v in (settings or {}).items()])


def outcome(run: Run, name: str) -> Outcome:
    """What the shipped rule says of the run; a crash fails the test."""
    found = examine(run, [RULES[name]], {name: BOUND[name]})[0]
    assert not found.crash, found.crash
    return found


def level(run: Run, name: str) -> str:
    """'error', 'warning' or 'note' where the rule fires, 'healthy' or 'skipped' where it does not."""
    found = outcome(run, name)
    if found.skip is not None:
        return "skipped"
    return "healthy" if found.evidence is None else severity(RULES[name], found.evidence.numbers).value


def onset(run: Run, name: str) -> int | None:
    evidence = outcome(run, name).evidence
    assert evidence is not None
    return evidence.onset_step
