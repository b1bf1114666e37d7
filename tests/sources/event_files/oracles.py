"""What TensorBoard's own reader and tbparse find in an event file."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import tbparse
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from lossdoctor.sources.tensorboard import EventFile

Points = dict[str, list[tuple[int, float, float]]]


def ours(file: EventFile) -> Points:
    """tag -> (step, wall time, value) in the order of the file."""
    return {
        tag: list(zip(column.steps.tolist(), column.wall_times.tolist(), column.values.tolist(), strict=True))
        for tag, column in file.scalars.items()
    }


def accumulator(path: Path) -> Points:
    """By EventAccumulator, with nothing purged and nothing sampled."""
    events = EventAccumulator(str(path), {"scalars": 0, "tensors": 0}, purge_orphaned_data=False).Reload()
    found = {tag: [(e.step, e.wall_time, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for tag in events.Tags()["tensors"]:
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        if plugin == "scalars":
            found[tag] = [(e.step, e.wall_time, make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]
    return found


def by_tbparse(path: Path) -> Points:
    """By tbparse, which sorts by step: compare with `by_step`. It warns under pandas 3."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = tbparse.SummaryReader(str(path), extra_columns={"wall_time"}, event_types={"scalars", "tensors"})
        found: Points = {}
        for frame in (reader.scalars, reader.tensors):
            for row in frame.itertuples(index=False):
                if np.ndim(row.value) == 0 and not isinstance(row.value, str | bytes):
                    found.setdefault(row.tag, []).append((int(row.step), float(row.wall_time), float(row.value)))
    return found


def by_step(points: Points) -> Points:
    """The points of each tag in a canonical order."""
    return {tag: sorted(rows, key=lambda row: (row[0], row[1], repr(row[2]))) for tag, rows in points.items()}


def same(one: Points, other: Points) -> bool:
    """Equality in which NaN equals NaN."""
    return one.keys() == other.keys() and all(
        len(one[tag]) == len(other[tag])
        and all(
            a[:2] == b[:2] and (a[2] == b[2] or (math.isnan(a[2]) and math.isnan(b[2]))) for a, b in zip(one[tag], other[tag], strict=True)
        )
        for tag in one
    )
