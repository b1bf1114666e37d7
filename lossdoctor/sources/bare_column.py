"""Numbers without a header, in a file whose name says loss: what numpy.savetxt, a loop over print or a hand-made logger leaves.

One column is the loss, counted from 1. Of several the first is the step where it holds whole numbers, and the next one the loss.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault
from lossdoctor.run.candidates import is_loss
from lossdoctor.run.log import Log
from lossdoctor.sources.rows import Rows, whole

_LEAST = 3  # rows: fewer are no curve
_CUT = re.compile(r"[,;\s]\s*")


def looks_like(path: Path, lines: Sequence[str]) -> bool:
    """Whether the name says loss and the first lines hold numbers alone, the same count in each."""
    told = [cells for line in lines if (cells := _cells(line)) is not None or line.strip()][:_LEAST]
    return is_loss(path.stem) and len(told) == _LEAST and all(told) and len({len(cells or ()) for cells in told}) == 1


def read(text: TextIO, path: Path, limits: Limits) -> Log:
    """The loss as one series under the file's name; a line that holds anything else is counted and named."""
    table: list[list[float]] = []
    left_out = 0
    for line in text:
        cells = _cells(line)
        fits = cells is not None and len(cells) == len(table[0] if table else cells)
        if cells is not None and fits:
            table.append(cells)
        left_out += bool(line.strip()) and not fits
        if len(table) > limits.points:
            raise Unreadable(f"{path.name}: more than {limits.points} rows, over the limit")
    if not table:
        raise Unreadable(f"{path.name}: no numbers")
    steps = [whole(row[0]) for row in table] if len(table[0]) > 1 else []
    rows, counted = Rows(limits), not steps or None in steps
    for number, row in enumerate(table, 1):
        at = number if counted else steps[number - 1]
        rows.add({path.stem: row[0 if counted else 1]}, number if at is None else at)
    faults = (
        (Fault("not-a-number", path.name, f"{left_out} lines are no row of numbers like the first and were left out"),) if left_out else ()
    )
    said = "rows are counted from 1" if counted else "its first column is taken for the step"
    note = f"numbers without a header: the file's name says what they are, {said}"
    kind = "call" if counted else "step"
    return Log("csv", path, path.stem, rows.series(), faults=faults, reached_step=rows.reached, step_is=kind, notes=(note,))


def _cells(line: str) -> list[float] | None:
    """The numbers of a line; None where it is blank or holds anything else."""
    parts = [part for part in _CUT.split(line.strip()) if part]
    try:
        return [float(part) for part in parts] or None if "_" not in line else None  # Python alone reads 1_000
    except ValueError:
        return None
