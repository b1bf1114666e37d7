"""Segments: the stretches of a run between restarts, as the order of its steps tells them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossdoctor.run.log import Ints

SOME = 3  # rows of a segment that has replaced what was logged before


def segments(steps: Ints) -> npt.NDArray[np.int16]:
    """Number the rows 0, 1, ... with a new segment wherever the steps fall back.

    A single row that falls back onto the one before (an evaluation logged late) is no restart: the steps must fall back by more than
    the usual distance between rows. Shape (n,) -> (n,).
    """
    if len(steps) < 2:
        return np.zeros(len(steps), dtype=np.int16)
    moves = np.diff(steps)
    forward = moves[moves > 0]
    usual = int(np.median(forward)) if len(forward) else 1
    starts = np.concatenate(([False], moves < -usual))
    return np.asarray(np.minimum(np.cumsum(starts), np.iinfo(np.int16).max), dtype=np.int16)


def superseded(steps: Ints, numbers: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Which rows lie at or beyond the step from which a later segment began, of some rows at least: (n,), (n,) -> (n,).

    A segment of a row or two may be a row that was written late, and one that begins where all began is a new count (an epoch, another
    phase), which replaces nothing.
    """
    usual = float(np.median(np.abs(np.diff(steps)))) if len(steps) > 1 else 0.0
    starts = np.flatnonzero(np.diff(numbers) > 0) + 1
    lost = np.zeros(len(steps), dtype=np.bool_)
    for start, end in pairwise((*starts.tolist(), len(steps))):
        if end - start >= SOME and steps[start] > steps[0] + 2 * usual:
            lost[:start] |= steps[:start] >= steps[start]
    return lost
