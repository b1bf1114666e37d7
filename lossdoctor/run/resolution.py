"""The smallest unit in which a signal was printed: what lies below it says nothing."""

from __future__ import annotations

import math

import numpy as np

from lossdoctor.run.run import Signal

_MOST_DECIMALS = 12
_ULPS = 4 * float(np.finfo(np.float64).eps)  # a decimal number and its scaling by a power of ten are each rounded once
_SAMPLE = 4096


def resolution(signal: Signal) -> float:
    """The unit of the last printed decimal, 1e-05 for a learning rate printed as 0.00002; 0.0 where the values are printed in full.

    A column that shows zeros alone has the unit that its reader saw in the text (`Signal.unit`), as far as one was there to see.
    """
    finite = signal.values[np.isfinite(signal.values)]
    shown = np.abs(finite[finite != 0.0][:: max(1, len(finite) // _SAMPLE)])
    if not len(shown):
        return signal.unit if math.isfinite(signal.unit) else 0.0
    # A scientific notation has a unit of its own in every row: the smallest one holds for all.
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = shown * 10**decimals
        if np.all(np.abs(scaled - np.round(scaled)) <= _ULPS * scaled):
            return 1 / float(10**decimals)
    return 0.0
