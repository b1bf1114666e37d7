"""Losses that end in gaps: pandas writes a NaN as an empty cell, JSON of other languages as null."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.run.candidates import is_loss

Known = npt.NDArray[np.bool_]
FEWEST = 3  # rows with a value before the gaps
LAST = 2  # rows of gaps: a row of a final test has no loss either


def hidden_nans(known: Mapping[str, Known], steps: npt.NDArray[np.int64]) -> frozenset[str]:
    """The losses whose gaps must be NaN: a value in every row, then in none to the end, while the steps go on.

    `known`: which rows hold a value, shape (rows,), by name; `steps`: theirs. Where another column begins as the loss ends, the log says
    something else from there on, and nothing is hidden.
    """
    ends = {name: int(np.count_nonzero(there)) for name, there in known.items() if there.any()}
    begins = {int(np.argmax(there)) for there in known.values() if there.any()}
    return frozenset(
        name
        for name, end in ends.items()
        if is_loss(name) and FEWEST <= end <= len(steps) - LAST and known[name][:end].all() and max(begins) < end
        if (np.diff(steps[end - 1 :]) > 0).all()
    )
