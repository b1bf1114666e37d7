"""A file of numbers alone, one a line, whose name says loss: what numpy.savetxt or a loop over print leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault
from lossdoctor.run.candidates import is_loss
from lossdoctor.run.log import Log
from lossdoctor.sources.rows import Rows, number

_LEAST = 3  # numbers: fewer are no curve


def looks_like(path: Path, lines: Sequence[str]) -> bool:
    """Whether the name says loss and the first lines hold one number each."""
    told = [line for line in lines if line.strip()][:_LEAST]
    return is_loss(path.stem) and len(told) == _LEAST and all(number(line) is not None for line in told)


def read(text: TextIO, path: Path, limits: Limits) -> Log:
    """The numbers as one series under the file's name, counted from 1; a line that is none is counted and named."""
    rows, left_out = Rows(limits), 0
    for line in text:
        value = number(line) if line.strip() else math.nan
        if line.strip() and value is not None:
            rows.add({path.stem: value}, rows.count + 1)
        left_out += value is None
    if not rows.points:
        raise Unreadable(f"{path.name}: no numbers")
    faults = (Fault("not-a-number", path.name, f"{left_out} lines are not numbers and were left out"),) if left_out else ()
    note = "a file of numbers alone: its name says what they are, and rows are counted from 1"
    return Log("csv", path, path.stem, rows.series(), faults=faults, reached_step=rows.reached, step_is="call", notes=(note,))
