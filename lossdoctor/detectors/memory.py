"""Memory that climbs and does not stop."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import after_start, beyond
from lossdoctor.measures.trend import theil_sen
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run, Signal
from lossdoctor.shapes.curve import Curve, curve_of


def memory_signals(run: Run) -> list[Signal]:
    """Memory of every GPU, of the process and of the host, where logged."""
    return [
        s
        for name, s in sorted(run.signals.items())
        if (name.startswith("gpu/") and name.endswith(("/memory", "/memory_utilization"))) or name in ("process/memory", "host/memory")
    ]


def memory_leak(run: Run, *, climb: float, still: float) -> Evidence | Skip | None:
    """After its first eighth a memory curve climbs by `climb` of its level, and its last third still climbs
    at `still` of the mean pace: a cache that fills up levels off, a leak does not."""
    curves = [(signal.name, curve_of(signal)) for signal in memory_signals(run)]
    curves = [(name, curve) for name, curve in curves if len(curve) >= 10]
    if not curves:
        return Skip(
            "no memory was logged (10 values are needed)",
            "log torch.cuda.memory_allocated() and the process memory, or use WandB, which does",
        )
    found = [(name, curve, evidence) for name, curve in curves if (evidence := _leak(name, curve, climb, still)) is not None]
    return max(found, key=lambda entry: float(entry[2].margin))[2] if found else None


def _leak(name: str, curve: Curve, climb: float, still: float) -> Evidence | None:
    steady = after_start(curve)
    if len(steady) < 8:
        return None
    level, at = steady.level, steady.at.astype(np.float64)
    third = max(2, len(level) // 3)
    low = float(np.min(level[:third]))
    high = float(np.median(level[-2:]))
    if low <= 0 or (high - low) < climb * low:
        return None
    pace = (high - low) / max(at[-1] - at[0], 1.0)
    late = theil_sen(at[-third:], level[-third:])
    falls = np.diff(level)
    if late < still * pace or float(-falls[falls < 0].sum()) > 0.5 * (high - low):
        return None
    # Where the line of the climb meets the level before it; one that is on in the first eighth was there before.
    climbing = level >= low + 0.5 * (high - low)
    slope = theil_sen(at[climbing], level[climbing])
    meets = float(at[climbing][0]) - (float(level[climbing][0]) - low) / slope if slope > 0 else at[0]
    onset = int(curve.steps[0]) if meets <= steady.steps[steady.width] else int(meets)
    numbers = {
        "start": low, "end": high, "start_gib": low / (1 << 30), "end_gib": high / (1 << 30), "climb_found": high / low - 1,
        "per_step": pace, "per_step_mib": pace / (1 << 20), "signal": name, "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), onset, curve.steps[-1], margin=beyond(high / low - 1, climb), points=len(curve))
