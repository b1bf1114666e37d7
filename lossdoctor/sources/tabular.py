"""CSV and TSV logs: Lightning, Keras CSVLogger, yolov5, exports of WandB and TensorBoard, any table with a step or epoch column.

The x axis is the step column; else a whole-numbered epoch column, counted from 1 (Keras and yolov5 write epoch 0 when the first one
ends); else the row number, for a table that holds a loss. An empty cell is a missing value, a written NaN is data, other words are
counted and named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault
from lossdoctor.run.log import Floats, Ints, Log, Series
from lossdoctor.sources import axes, bare_column, tabular_long
from lossdoctor.sources.files import head
from lossdoctor.sources.gaps import hidden_nans
from lossdoctor.sources.tabular_cells import Known, Table, cells_of, delimiter_of, load, number_of, numeric_header
from lossdoctor.sources.text_lines import decode_head, open_text, run_name, text_of
from lossdoctor.sources.trainings import beside, main_series, named, rate_of, starts

_WANDB_BAND = re.compile(r"__(?:MIN|MAX)$")
_DIGITS = re.compile(r"(?<=[A-Za-z] )[\d.,eE+-]{1,40}")


def looks_like(path: Path, head: bytes) -> bool:
    """Whether a file starts like a table of numbers with a step, epoch or loss column."""
    rows = [line for line in decode_head(head).replace("\r", "\n").split("\n") if line.strip() and not line.startswith("#")]
    if not rows or rows[0].lstrip()[:1] in ("{", "[", "<"):
        return False
    if bare_column.looks_like(path, rows):
        return True
    delimiter = delimiter_of(rows[0])
    header = cells_of(rows[0], delimiter)
    if not delimiter or len(header) < 2 or numeric_header(header) or not (_has_axis(header) or _has_loss(header)):
        return False
    if len(rows) < 2:
        return path.suffix.lower() in (".csv", ".tsv")
    cells = cells_of(rows[1], delimiter)
    if any(_DIGITS.search(a) and _DIGITS.sub("", a) == _DIGITS.sub("", b) and a != b for a, b in zip(header, cells, strict=False)):
        return False  # `step 10 | loss 2.3`: words around numbers are no names
    return any(number_of(cell) is not None for cell in cells) and (len(cells) == len(header) or len(rows) == 2)


def read(path: Path, metric: Mapping[str, str] | None = None, limits: Limits = LIMITS, data: bytes | None = None) -> list[Log]:
    """Read one table (or its `data`), one Log a run: an export of several WandB or MLflow runs holds several.

    `metric` (column -> signal) may name the `step` and `epoch` columns, and lets a table in that has no column of a known name.
    Raises Unreadable where there is no header, no row or no usable column.
    """
    if data is None and bare_column.looks_like(path, decode_head(head(path)).splitlines()):
        with open_text(path, limits) as text:
            return [bare_column.read(text, path, limits)]
    with open_text(path, limits) if data is None else text_of(data) as text:
        table = load(text, path, limits)
    if tabular_long.columns(table.header) and not metric:
        with open_text(path, limits) if data is None else text_of(data) as text:
            return tabular_long.read(text, path, run_name(path), limits)
    wanted = dict(metric or {})
    if not (_has_axis(table.header) or _has_loss(table.header) or wanted.keys() & set(table.header)):
        raise Unreadable(f"{path.name}: no step, epoch or loss column; name them: --metric step=COLUMN --metric train/loss=COLUMN")
    runs = _wandb_runs(table.header) or {run_name(path): {name: name for name in table.header}}
    logs = [log for run, columns in runs.items() for log in _trainings(*_log(table, path, wanted, run, columns), len(runs))]
    return [log for log in logs if log.points] or logs[:1]


def _trainings(log: Log, held: Sequence[Ints], runs: int) -> list[Log]:
    """One Log a training of a table that one run after the other was appended to; `held`: the rows of the table that each series fills."""
    main, rate = main_series(log.series), rate_of(log.series)
    if main is None or runs > 1:
        return [log]
    of = {one.name: rows for one, rows in zip(log.series, held, strict=True)}
    rows = of[main.name]
    first = starts(main.steps, main.values, main.epochs, beside(main, rate, rows, of[rate.name] if rate is not None else rows))
    if not first:
        return [log]
    edges = [0, *rows[first].tolist(), int(max(map(np.max, held))) + 1]
    parts = [tuple(_cut(one, np.searchsorted(of[one.name], edge)) for one in log.series) for edge in pairwise(edges)]
    parts = [tuple(one for one in part if len(one.steps)) for part in parts]
    return [named(replace(log, series=part), number, len(parts)) for number, part in enumerate(parts, 1)]


def _cut(one: Series, edges: npt.NDArray[np.intp]) -> Series:
    own = slice(*edges)
    return replace(one, steps=one.steps[own], values=one.values[own], epochs=one.epochs[own], times=one.times[own])


def _log(table: Table, path: Path, metric: Mapping[str, str], run: str, names: Mapping[str, str]) -> tuple[Log, list[Ints]]:
    """One Log from the columns of one run, given as name -> column, and the rows of the table that each of its series fills."""
    axis = _axis(table, metric, names)
    where, epochs, usable = axis.steps, axis.epochs, axis.usable
    faults, notes = list(table.faults), [*table.notes, *axis.notes]
    if not usable.all():
        detail = f"{int((~usable).sum())} of {table.rows} rows have no usable {axis.step_is} and were left out"
        faults.append(Fault("row-without-step", path.name, detail))
    series, held = [], []
    own = {name: table.known[c][usable] for name, c in names.items() if c not in axis.used | table.words.keys()}
    hidden = hidden_nans(own, where[usable])
    notes += [f"column {name} is empty to the end of the table: read as NaN, which pandas writes so" for name in sorted(hidden)]
    for name, column in names.items():
        rows = usable if name in hidden else table.known[column] & usable
        if column in axis.used or not rows.any():
            continue
        series.append(Series.of(_metric_name(name, path), where[rows], table.values[column][rows], epochs[rows], table.times[rows]))
        held.append(np.flatnonzero(rows))
    for column, count in table.words.items():
        if column in names.values() and table.known[column].any():
            faults.append(Fault("not-a-number", f"{path.name}: {column}", f"{count} cells are not numbers and were left out"))
        elif column in names.values():
            notes.append(f"column {column} holds no numbers and was left out")
    moments = table.times[np.isfinite(table.times)]
    log = Log(
        kind="csv",
        path=path,
        name=run,
        series=tuple(series),
        faults=tuple(faults),
        planned_steps=_planned(table, names),
        reached_step=int(where[usable].max()) if usable.any() else None,
        started=float(moments[0]) if len(moments) else None,
        step_is=axis.step_is,
        notes=tuple(notes),
    )
    return log, held


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the rows lie: steps, epochs and which rows are `usable`, each of shape (rows,); `used` are the columns spent on it."""

    steps: Ints
    epochs: Floats
    usable: Known
    step_is: str
    used: frozenset[str]
    notes: tuple[str, ...] = ()


def _axis(table: Table, metric: Mapping[str, str], names: Mapping[str, str]) -> _Axis:
    told = {signal: column for column, signal in metric.items()}
    step = told.get("step") or names.get(axes.first(names, axes.STEP) or "") or axes.first(table.header, axes.STEP)
    epoch = told.get("epoch") or names.get(axes.first(names, axes.EPOCH) or "") or axes.first(table.header, axes.EPOCH)
    for column in (step, epoch):
        if column is not None and column not in table.values:
            raise Unreadable(f"no column {column!r}; there are: {', '.join(table.header[:20])}")
    clock = axes.first(table.header, axes.TIME) if np.isfinite(table.times).any() else None
    used = frozenset(column for column in (step, epoch, clock) if column)
    epochs = np.where(table.known[epoch], table.values[epoch], np.nan) if epoch else np.full(table.rows, np.nan)
    if step:
        steps, usable = _whole(table.values[step], table.known[step])
        same = epoch is not None and bool(usable.any()) and np.array_equal(steps[usable], epochs[usable])
        return _Axis(steps, epochs, usable, "epoch" if same else "step", used)
    if epoch:
        steps, usable = _whole(table.values[epoch], table.known[epoch])
        if usable.any() and usable.sum() == np.isfinite(epochs).sum():
            shift = int(steps[usable].min() == 0)
            note = "no step column: epochs are counted from 1" if shift else "no step column: epochs are the steps"
            return _Axis(steps + shift, epochs + shift, usable, "epoch", used, (note,))
    rows, every = np.arange(1, table.rows + 1, dtype=np.int64), np.ones(table.rows, dtype=bool)
    if epoch is None and _train_and_eval_in_every_row(table):
        return _Axis(rows, rows.astype(np.float64), every, "epoch", used, ("no step or epoch column: every row is taken for an epoch",))
    return _Axis(rows, epochs, every, "call", used, ("no step and no whole-numbered epoch column: rows are counted from 1",))


def _train_and_eval_in_every_row(table: Table) -> bool:
    """Keras writes no epoch column when told so; a row with a loss of training and of validation is an epoch."""
    full = {axes.folded(name) for name, known in table.known.items() if known.all()}
    return bool(full & {"loss", "train_loss"}) and bool(full & {"val_loss", "valid_loss", "eval_loss", "test_loss"})


def _whole(values: Floats, known: Known) -> tuple[Ints, Known]:
    usable = known & np.isfinite(values)
    usable &= np.abs(np.where(usable, values, 0)) < 2**62
    usable &= np.where(usable, values, 0) == np.floor(np.where(usable, values, 0))
    return np.where(usable, values, 0).astype(np.int64), usable


def _planned(table: Table, names: Mapping[str, str]) -> int | None:
    column = names.get(axes.first(names, axes.TOTAL) or "")
    totals = table.values[column][table.known[column]] if column else np.empty(0)
    return int(totals[0]) if len(totals) and (totals == totals[0]).all() and 0 < totals[0] < 2**62 else None


def _metric_name(name: str, path: Path) -> str:
    """TensorBoard exports one tag a file as `Wall time,Step,Value` and puts the tag into the file's name."""
    if name != "Value":
        return name
    return path.stem.partition("tag-")[2] or path.stem


def _wandb_runs(header: list[str]) -> dict[str, dict[str, str]]:
    """Run -> metric -> column of a WandB export (`run - metric`, `run - metric__MIN`, ...); empty where the table is none."""
    pairs = {column: column.rpartition(" - ") for column in header[1:]}
    if not pairs or not all(middle for _, middle, _ in pairs.values()):
        return {}
    runs: dict[str, dict[str, str]] = {}
    for column, (run, _, name) in pairs.items():
        if not _WANDB_BAND.search(name):
            runs.setdefault(run, {})[name] = column
    return runs


def _has_axis(header: list[str]) -> bool:
    return axes.first(header, axes.STEP) is not None or axes.first(header, axes.EPOCH) is not None


def _has_loss(header: list[str]) -> bool:
    return any("loss" in axes.folded(name) for name in header)
