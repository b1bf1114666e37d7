"""Memory that runs out, comes close to it, or lies unevenly on the GPUs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossdoctor.detectors.curve import after_start, beyond, logging_interval
from lossdoctor.model import Evidence, LogEvent, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, named_curve
from lossdoctor.vitals.progress import settled

GIB = float(1 << 30)
HOW = "WandB logs GPU memory by itself; else log torch.cuda.memory_allocated() of every rank"


def out_of_memory(run: Run) -> Evidence | None:
    """A log says that memory ran out, of a GPU (`oom`) or of the host (`host-oom`).

    `went_on` is 1 where the training logged on after it: a batch-size search or a caught error is not the end of a run.
    """
    events = [e for e in run.events if e.kind in ("oom", "host-oom")]
    if not events:
        return None
    last = events[-1]
    went_on = _went_on(run, last)
    step = last.step if went_on else max(last.step or 0, run.last_step)
    known: Mapping[str, float] = next((e.numbers for e in reversed(events) if e.numbers), {})
    numbers: dict[str, Scalar] = {
        "events": len(events), "where": "GPU" if any(e.kind == "oom" for e in events) else "host",
        "on_gpu": int(any(e.kind == "oom" for e in events)), "went_on": int(went_on), "step": step, "words": last.text[:200],
        "tried_mib": known.get("tried_mib"), "total_gib": known.get("total_gib"), "allocated_gib": known.get("allocated_gib"),
        "unused_share": _unused(known), "before_first_log": int(run.points == 0),
    }  # fmt: skip
    return Evidence(numbers, (), step, ((step, step),) if step is not None else ())


def memory_near_limit(run: Run, *, limit: float, share: float) -> Evidence | Skip | None:
    """A GPU's memory is more than `limit` percent full in at least `share` of the rows; a level that leaves half of that room is full.

    Readings of the driver count PyTorch's cache, which gives way under pressure: a high reading alone is no danger of death.
    """
    readings = dict(_percent(run))
    if not readings:
        return Skip("neither the share of the GPU memory in use nor its size was logged", HOW)
    shares = {name: float((curve.values > limit).mean()) for name, curve in readings.items()}
    name = max(shares, key=lambda key: (shares[key], float(np.median(readings[key].values))))
    curve = readings[name]
    if shares[name] < share or float(np.median(curve.values)) < 1:
        return None
    over = curve.steps[curve.values > limit]
    numbers: dict[str, Scalar] = {
        "peak_percent": float(curve.values.max()), "median_percent": float(np.median(curve.values)), "over_share": shares[name],
        "is_full": int(2 * (100 - float(np.median(curve.values))) <= 100 - limit and not settled(run)), "signal": name,
        "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), over[0], over[-1], margin=beyond(shares[name], share), points=len(curve))


def memory_imbalance(run: Run, *, differ: float) -> Evidence | Skip | None:
    """After the first eighth of the rows the median memory of the GPUs differs by more than `differ` of the fullest one's.

    GPUs with less than `differ` of the fullest are taken for unused. Stages of a pipeline differ by design.
    """
    names = (n for n in run.signals if n.startswith("gpu/") and n.endswith("/memory"))
    readings = {n: after_start(c) for n in names if len(c := named_curve(run, n)) >= 5}
    levels = {name: float(np.median(curve.values)) for name, curve in readings.items()}
    top = max(levels.values(), default=0.0)
    levels = {name: level for name, level in levels.items() if top > 0 and level >= differ * top}
    if len(levels) < 2:
        return Skip("the memory of fewer than two GPUs was logged", HOW)
    fullest, emptiest = max(levels, key=lambda n: levels[n]), min(levels, key=lambda n: levels[n])
    gap = 1 - levels[emptiest] / top
    if gap <= differ:
        return None
    others = [level for name, level in levels.items() if name != fullest]
    curve = readings[fullest]
    numbers: dict[str, Scalar] = {
        "gap": gap, "fullest": fullest, "emptiest": emptiest, "fullest_gib": top / GIB, "emptiest_gib": levels[emptiest] / GIB,
        "gpus_seen": len(levels), "first_alone": int(fullest == "gpu/0/memory" and max(others) <= (1 - differ) * top),
        "ends_differ": int(fullest != "gpu/0/memory"), "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, tuple(sorted(levels)), curve.steps[0], curve.steps[-1], margin=beyond(gap, differ), points=len(curve))


def _percent(run: Run) -> list[tuple[str, Curve]]:
    """Memory of each GPU in percent of its size: as logged, else from bytes where a log tells the size of the GPU."""
    logged = [
        (n, c)
        for n in sorted(run.signals)
        if n.startswith("gpu/") and n.endswith("/memory_utilization") and len(c := named_curve(run, n)) >= 5
    ]
    if logged:
        return logged
    said = max((e.numbers.get("total_gib", 0.0) for e in run.events), default=0.0) * GIB
    found = [(n, named_curve(run, n)) for n in sorted(run.signals) if n.startswith("gpu/") and n.endswith("/memory")]
    sizes = {n: float(size.values.max()) if len(size := named_curve(run, f"{n}_total")) else said for n, _ in found}
    return [(n, Curve(c.steps, 100 * c.values / sizes[n])) for n, c in found if len(c) >= 5 and sizes[n] > 0]


def _went_on(run: Run, event: LogEvent) -> bool:
    """Whether the run lived on: it says so itself, or it has rows after the event."""
    return run.finished is True or (event.step is not None and run.last_step > event.step + 3 * logging_interval(run))


def _unused(known: Mapping[str, float]) -> float | None:
    """Share of what PyTorch had reserved and did not use: fragmentation."""
    reserved, allocated = known.get("reserved_gib"), known.get("allocated_gib")
    return 1 - allocated / reserved if reserved and allocated is not None else None
