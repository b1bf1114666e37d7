"""Memory that climbs and does not stop."""

from __future__ import annotations

import re

import numpy as np

from lossdoctor.detectors.curve import after_start, beyond
from lossdoctor.measures.trend import theil_sen
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run, Signal
from lossdoctor.shapes.curve import Curve, curve_of

FEWEST, MANY = 5, 10  # rows whose order is evidence (one in 120 is all rising), and rows that show a pace


def memory_signals(run: Run) -> list[Signal]:
    """Memory of every GPU, of the process and of the host, where logged."""
    of_gpu = re.compile(r"gpu/.*/memory(?:_utilization)?")
    return [s for name, s in sorted(run.signals.items()) if of_gpu.fullmatch(name) or name in ("process/memory", "host/memory")]


def memory_leak(run: Run, *, climb: float, still: float) -> Evidence | Skip | None:
    """After its first eighth a memory curve climbs by `climb` of its level, and its last third still climbs at `still` of the mean pace: a
    cache that fills up levels off, a leak does not. Fewer than ten rows must double, each above the one before."""
    curves = [(signal.name, curve_of(signal)) for signal in memory_signals(run)]
    curves = [(name, curve) for name, curve in curves if len(curve) >= MANY or _doubles(curve)]
    if not curves:
        how = "log torch.cuda.memory_allocated() and the process memory, or use WandB, which does"
        return Skip(f"no memory was logged ({MANY} values are needed)", how)
    found = [(name, curve, evidence) for name, curve in curves if (evidence := _leak(name, curve, climb, still)) is not None]
    return max(found, key=lambda entry: float(entry[2].margin))[2] if found else None


def _doubles(curve: Curve) -> bool:
    return len(curve) >= FEWEST and bool((np.diff(curve.values) > 0).all()) and float(curve.values[-1]) >= 2 * float(curve.values[1])


def _leak(name: str, curve: Curve, climb: float, still: float) -> Evidence | None:
    steady = after_start(curve)
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
        "per_step_mib": pace / (1 << 20), "signal": name, "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), onset, curve.steps[-1], margin=beyond(high / low - 1, climb), points=len(curve))
