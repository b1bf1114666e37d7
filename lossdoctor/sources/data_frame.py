"""A pandas DataFrame as a log: tidy (the layout of `Run.history`) or wide (a column a metric)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lossdoctor.errors import UsageError
from lossdoctor.run.log import Floats, Log, Series
from lossdoctor.sources.gaps import hidden_nans

if TYPE_CHECKING:
    import pandas as pd

STEP_COLUMNS = ("step", "global_step", "iteration", "iter", "_step", "epoch")


def read_frame(frame: pd.DataFrame, name: str = "DataFrame") -> Log:
    """Read a frame as one run; the frame is copied, never changed.

    Tidy: columns `signal`, `step`, `value` and, if known, `epoch` and `time` (seconds since the Unix epoch); NaN is data. Wide: a step (or
    epoch) column, or an index of that name, and a numeric column a metric; an empty cell is a missing value, but in a
    loss that has a value in every row and then none to the end. Raises UsageError where there is no step column or nothing to read.
    """
    columns = {str(column) for column in frame.columns}
    tidy = {"signal", "step", "value"} <= columns
    series = tuple(_tidy(frame) if tidy else _wide(frame))
    if not series:
        raise UsageError("the DataFrame holds no numeric column beside its steps")
    only_epochs = not tidy and _axis(frame)[0] == "epoch"
    return Log("csv", Path(name), name, series, step_is="epoch" if only_epochs else "step")


def _tidy(frame: pd.DataFrame) -> Iterator[Series]:
    for signal, rows in frame.groupby("signal", sort=False, observed=True):
        extra = {key + "s": _floats(rows[key]) for key in ("epoch", "time") if key in rows}
        yield Series.of(str(signal), _steps(_floats(rows["step"])), _floats(rows["value"]), **extra)


def _wide(frame: pd.DataFrame) -> Iterator[Series]:
    axis, steps = _axis(frame)
    epochs = _floats(frame["epoch"]) if "epoch" in frame else np.full(len(frame), np.nan)
    numeric = [column for column in frame.columns if str(column) not in (axis, "epoch") and frame[column].dtype.kind in "fiu"]
    values = {str(column): _floats(frame[column]) for column in numeric}
    known = {name: ~np.isnan(column) for name, column in values.items()}
    hidden = hidden_nans(known, _steps(steps).astype(np.int64)) if np.isfinite(steps).all() else frozenset()
    for name, there in known.items():
        rows = np.full(len(frame), True) if name in hidden else there
        if there.any():
            yield Series.of(name, _steps(steps[rows]), values[name][rows], epochs[rows])


def _axis(frame: pd.DataFrame) -> tuple[str, Floats]:
    """The name of the step column, or of the index, and its values of shape (rows,)."""
    for name in STEP_COLUMNS:
        if name in frame:
            return name, _floats(frame[name])
        if frame.index.name == name:
            return name, np.array(frame.index, dtype=np.float64)
    raise UsageError(f"the DataFrame has no step column: name one {', '.join(STEP_COLUMNS)}, or give tidy columns signal, step, value")


def _floats(column: pd.Series[float]) -> Floats:
    try:
        return np.array(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"column {column.name!r} of the DataFrame is not numeric: {error}") from None


def _steps(steps: Floats) -> Floats:
    """Steps as whole numbers; raises UsageError where one is missing or too large."""
    if not np.isfinite(steps).all() or (np.abs(steps) >= 2.0**63).any():
        raise UsageError("the step column of the DataFrame holds values that are no step numbers")
    return steps
