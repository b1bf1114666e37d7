"""The metrics of a run against those of one or more others, and what of the change chance explains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lossdoctor.compare.bootstrap import Level, half_width, one_row, prediction, tail_level
from lossdoctor.measures.level import Floats
from lossdoctor.model import Diagnosis, MetricDelta
from lossdoctor.run.direction import direction

EVAL_TAIL = 0.25
TRAIN_TAIL = 0.1
_NOT_QUALITY = ("runtime", "per_second", "samples", "epoch", "steps", "tokens", "time", "model_preparation")


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of one run: its name for people, the signal it comes from, its level."""

    name: str
    signal: str
    level: Level


def metrics(diagnosis: Diagnosis) -> tuple[Metric, ...]:
    """The figures worth comparing: best and final eval loss, other eval metrics, final train loss, throughput, wall hours."""
    return tuple(_metrics(diagnosis))


def deltas(now: Diagnosis, bases: Sequence[Diagnosis]) -> tuple[MetricDelta, ...]:
    """Each metric that `now` shares with all `bases`, against their mean.

    The noise is the spread of three or more bases (seeds of one configuration); with fewer it is the wiggle within the runs, which is
    smaller than what another seed would do.
    """
    others = [{m.name: m for m in metrics(base)} for base in bases]
    return tuple(_delta(m, [o[m.name].level for o in others]) for m in metrics(now) if others and all(m.name in o for o in others))


def _delta(metric: Metric, bases: Sequence[Level]) -> MetricDelta:
    values = np.array([base.value for base in bases])
    base = float(values.mean())
    noise = (
        prediction(values) if len(bases) > 2 else max((half_width(metric.level, b) for b in bases), key=lambda w: -1.0 if w is None else w)
    )
    change = metric.level.value - base
    way = wanted(metric.signal)
    better = None if way == 0 or change == 0 else (change > 0) == (way > 0)
    return MetricDelta(metric.name, metric.signal, base, metric.level.value, noise, None if noise is None else abs(change) > noise, better)


def wanted(signal: str) -> int:
    """-1 where less is better, 1 where more is, 0 where nobody can say: of the machine's speed and the hours too."""
    if signal == "hours":
        return -1
    return 1 if signal.startswith("perf/") else direction(signal)


def _metrics(diagnosis: Diagnosis) -> Iterator[Metric]:
    for view in diagnosis.series:
        values = np.array([v for v in view.values if v is not None], dtype=np.float64)
        if not len(values):
            continue
        name = view.signal
        if name.startswith("eval/") and not any(word in name for word in _NOT_QUALITY):
            yield from _eval_metrics(name, values)
        elif name == "train/loss" and (level := tail_level(values, TRAIN_TAIL)) is not None:
            yield Metric("final train loss", name, level)
        elif name in {"perf/tokens_per_second", "perf/samples_per_second", "perf/mfu"}:
            steady = values[len(values) // 10 :]
            if (level := tail_level(steady, 1.0)) is not None:
                yield Metric(name.removeprefix("perf/").replace("_", " "), name, level)
    if diagnosis.cost.hours is not None:
        yield Metric("wall hours", "hours", Level(diagnosis.cost.hours, 1))


def _eval_metrics(name: str, values: Floats) -> Iterator[Metric]:
    words = "eval " + name.removeprefix("eval/").replace("/", " ").replace("_", " ")
    level = tail_level(values, EVAL_TAIL)
    if level is not None:
        yield Metric(f"final {words}", name, level)
    if (way := direction(name)) != 0 and len(values) > 1 and level is not None:
        best = float(values.min() if way < 0 else values.max())
        yield Metric(f"best {words}", name, one_row(best, values, EVAL_TAIL))
