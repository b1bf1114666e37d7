"""How surprising an extreme is for a heavy tail."""

from __future__ import annotations

import numpy as np

from lossdoctor.measures.level import Floats

FLATTEST = 2  # a tail that is flatter has no variance, which the losses of single batches have
STEEPEST = 12.0  # a Gaussian tail is steeper still; beyond this the estimate only adds false certainty
FEWEST = 3  # values of a tail that say how steep it is


def tail_chance(height: float, others: Floats) -> float:
    """Expected number of values as high as `height` among as many draws from the tail of `others` (values above their level, shape (n,)).

    The tail index comes from the highest values by Hill's estimator (1975), over the top 5 to 20 of them, of few the upper half; the
    tail is then a power law.
    """
    positive = np.sort(others[others > 0])[::-1]
    count = min(int(np.clip(len(others) // 20, 5, 20)), len(positive) // 2)
    if count < FEWEST:
        return 0.0 if not len(positive) or height > 3 * float(positive[0]) else 1.0
    threshold = float(positive[count])
    spread = float(np.mean(np.log(positive[:count] / threshold)))
    steepness = float(np.clip(1 / spread, FLATTEST, STEEPEST)) if spread > 0 else STEEPEST
    return float(count * min(1.0, (height / threshold) ** -steepness)) if height > 0 else float(count)
