"""Tables in long form: a row names its metric, its step and its value. MLflow's CSV export, tbparse's data frame, a melted pandas one."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault
from lossdoctor.run.log import Log
from lossdoctor.sources import axes
from lossdoctor.sources.rows import Rows, number, whole
from lossdoctor.sources.tabular_cells import Feed, blocks, cells_of, delimiter_of

_NAME = ("metric", "metric_name", "key", "tag", "variable")
_VALUE = ("value", "metric_value")
_RUN = ("run_id", "run", "run_name", "experiment")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row of a long table holds what: indexes of its cells; -1 where there is no such column."""

    name: int
    value: int
    step: int
    time: int
    run: int


def columns(header: Sequence[str]) -> Columns | None:
    """The columns of a long table; None for any other header."""
    found = [axes.first(header, table) for table in (_NAME, _VALUE, axes.STEP, axes.TIME, _RUN)]
    if None in found[:3]:
        return None
    return Columns(*(-1 if name is None else list(header).index(name) for name in found))


def read(text: TextIO, path: Path, name: str, limits: Limits) -> list[Log]:
    """One Log a run, in the order of their first rows; rows without a name, a whole step or a value are counted and named."""
    feed = Feed(text, limits.text_line_bytes)
    source = iter(feed)
    top = next((line for line in source if line.strip() and not line.startswith("#")), "")
    delimiter = delimiter_of(top)
    at = columns(cells_of(top, delimiter))
    if at is None:
        raise Unreadable(f"{path.name}: no table with a metric, a step and a value in every row")
    runs: dict[str, Rows] = {}
    left_out = 0
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
    for cells in chain.from_iterable(block + [[]] * refused for block, refused in blocks(reader)):
        told = [cells[index].strip() if 0 <= index < len(cells) else "" for index in (at.name, at.value, at.step, at.time, at.run)]
        value, step = number(told[1]), whole(number(told[2]))
        if not told[0] or value is None or step is None:
            left_out += 1
            continue
        rows = runs.setdefault(told[4], Rows(limits))
        stamp = number(told[3])
        time = axes.wall_time(told[3] if stamp is None else stamp)
        rows.add({told[0]: value}, step, time=math.nan if time is None else time)
    if not runs:
        raise Unreadable(f"{path.name}: a header and no rows")
    bad = [Fault("bad-row", path.name, f"{left_out} rows name no metric, step or value and were left out")] if left_out else []
    faults = (*bad, *feed.faults(path, limits))
    return [
        Log(
            kind="csv",
            path=path,
            name=f"{name}:{run}" if len(runs) > 1 else name,
            series=rows.series(),
            faults=faults,
            reached_step=rows.reached,
            started=rows.started,
        )
        for run, rows in runs.items()
    ]
