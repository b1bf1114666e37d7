"""System metrics: samples by the clock, placed on the step axis of the history."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from lossdoctor.run.log import Series
from lossdoctor.sources.wandb_local.history import Axis, number

_MIB = float(1 << 20)
_GPU = re.compile(r"gpu\.(\d+)\.(\w+)")
# `gpu.N.memory` is the load of the memory controller, not memory in use.
_GPU_METRICS = {"memoryAllocatedBytes": "memory", "memoryAllocated": "memory_utilization", "gpu": "utilization", "temp": "temperature"}
_HOST_METRICS = {
    "memory_percent": ("host/memory_utilization", 1.0),
    "memory": ("host/memory_utilization", 1.0),
    "memory.used_percent": ("host/memory_utilization", 1.0),
    "memory.used": ("host/memory", 1.0),
    "proc.memory.rssMB": ("process/memory", _MIB),
}


def signal(name: str) -> tuple[str, float] | None:
    """(series name, scale) of a raw system metric, None for those that no rule reads (disk, network, clocks of a core)."""
    name = name.removeprefix("system.")
    gpu = _GPU.fullmatch(name)
    if gpu:
        metric = _GPU_METRICS.get(gpu[2])
        return None if metric is None else (f"gpu/{gpu[1]}/{metric}", 1.0)
    return _HOST_METRICS.get(name)


def series(samples: Iterable[tuple[float, Mapping[str, object]]], place: Axis) -> tuple[Series, ...]:
    """System metrics under the names that rules know.

    `gpu/<i>/memory`, `host/memory`, `process/memory` are in bytes, `gpu/<i>/utilization`, `gpu/<i>/memory_utilization` and
    `host/memory_utilization` in percent, `gpu/<i>/temperature` in degrees Celsius.

    A sample's step is interpolated between the history rows before and after it by their times, rounded down; samples before the first
    row (after the last) take its step. Without a timed history row every sample is at step 0. Values that are no numbers are left out.
    """
    cells: dict[str, tuple[list[float], list[float]]] = {}
    for time, metrics in samples:
        taken = set()
        for name, raw in metrics.items():
            known, value = signal(name), number(raw)
            if known is None or value is None or known[0] in taken:
                continue
            taken.add(known[0])
            times, values = cells.setdefault(known[0], ([], []))
            times.append(time)
            values.append(value * known[1])
    return tuple(Series.of(name, steps_at(times, place), values, times=times) for name, (times, values) in cells.items())


def steps_at(times: list[float], place: Axis) -> list[int]:
    """The training step at each wall time (seconds since the epoch)."""
    timed = np.isfinite(place.times)
    if not timed.any():
        return [0] * len(times)
    order = np.argsort(place.times[timed], kind="stable")
    steps = np.interp(times, place.times[timed][order], place.steps[timed][order].astype(np.float64))
    return np.floor(steps).astype(np.int64).tolist()  # type: ignore[no-any-return]
