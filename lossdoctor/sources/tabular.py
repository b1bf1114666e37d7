"""CSV and TSV logs: Lightning, Keras CSVLogger, yolov5, exports of WandB and TensorBoard, any table with a step or epoch column.

The x axis is the step column; else a whole-numbered epoch column, counted from 1 (Keras and yolov5 write epoch 0 when the first one
ends); else the row number, for a table that holds a loss. An empty cell is a missing value, a written NaN is data, other words are
counted and named.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.run.log import Floats, Ints, Log, Series
from lossdoctor.sources import axes
from lossdoctor.sources.text_lines import decode_head, lines, open_text, run_name

Known = npt.NDArray[np.bool_]
_BLOCK_ROWS = 20_000
_MISSING = frozenset(("", "none", "null", "na", "n/a", "-", "--"))
_TENSOR = re.compile(r"tensor\(\[?\s*([^,\]\)\s]+)")
_WANDB_BAND = re.compile(r"__(?:MIN|MAX)$")


def looks_like(path: Path, head: bytes) -> bool:
    """Whether a file starts like a table of numbers with a step, epoch or loss column."""
    rows = [line for line in decode_head(head).replace("\r", "\n").split("\n") if line.strip() and not line.startswith("#")]
    if not rows or rows[0].lstrip()[:1] in ("{", "[", "<"):
        return False
    delimiter = _delimiter(rows[0])
    header = _cells(rows[0], delimiter)
    if not delimiter or len(header) < 2 or _numeric_header(header) or not (_has_axis(header) or _has_loss(header)):
        return False
    if len(rows) < 2:
        return path.suffix.lower() in (".csv", ".tsv")
    cells = _cells(rows[1], delimiter)
    return any(_number(cell) is not None for cell in cells) and (len(cells) == len(header) or len(rows) == 2)


def read(path: Path, metric: Mapping[str, str] | None = None, limits: Limits = LIMITS) -> list[Log]:
    """Read one table, one Log a run: an export of several WandB runs holds several.

    `metric` (column -> signal) may name the `step` and `epoch` columns, and lets a table in that has no column of a known name.
    Raises Unreadable where there is no header, no row or no usable column.
    """
    with open_text(path, limits) as text:
        table = _load(text, path, limits)
    wanted = dict(metric or {})
    if not (_has_axis(table.header) or _has_loss(table.header) or wanted.keys() & set(table.header)):
        raise Unreadable(f"{path.name}: no step, epoch or loss column; name them: --metric step=COLUMN --metric train/loss=COLUMN")
    runs = _wandb_runs(table.header) or {run_name(path): {name: name for name in table.header}}
    logs = [_log(table, path, wanted, run, columns) for run, columns in runs.items()]
    return [log for log in logs if log.points] or logs[:1]


@dataclass(slots=True)
class _Table:
    """The cells as float64 columns of shape (rows,), NaN and not `known` where missing; `words` counts cells that are no numbers."""

    header: list[str]
    values: dict[str, Floats]
    known: dict[str, Known]
    times: Floats
    words: dict[str, int]
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.times)


@dataclass(slots=True)
class _Feed:
    """The text lines that csv reads, remembering whether the last one was whole."""

    text: TextIO
    longest: int
    whole: bool = True
    cut: int = 0
    line: int = 0

    def __iter__(self) -> Iterator[str]:
        for number, line, whole in lines(self.text, self.longest):
            self.line, self.whole = number, whole
            self.cut += not whole
            yield line + "\n"


def _load(text: TextIO, path: Path, limits: Limits) -> _Table:
    feed = _Feed(text, limits.text_line_bytes)
    source = iter(feed)
    top = next((line for line in source if line.strip() and not line.startswith("#")), "")
    delimiter = _delimiter(top)
    header = _unique(_cells(top, delimiter))
    if not delimiter or _numeric_header(header):
        raise Unreadable(f"{path.name}: no table with a header row")
    if len(header) > limits.tags:
        raise Unreadable(f"{path.name}: {len(header)} columns, over the limit of {limits.tags}")
    table = _fill(csv.reader(source, delimiter=delimiter, skipinitialspace=True), header, delimiter, path, limits)
    if not table.rows:
        raise Unreadable(f"{path.name}: a header and no rows")
    if not feed.whole:
        detail = "the last line has no line end: its last value may be cut short"
        table.faults.append(Fault("unterminated-line", f"{path.name}:{feed.line}", detail, Loss.BENIGN))
    if cut := feed.cut - (not feed.whole):
        table.faults.append(Fault("long-line", path.name, f"{cut} lines were cut at {limits.text_line_bytes} characters"))
    return table


def _fill(reader: Iterator[list[str]], header: list[str], delimiter: str, path: Path, limits: Limits) -> _Table:
    pieces: dict[str, list[tuple[Floats, Known]]] = {name: [] for name in header}
    times: list[Floats] = []
    words = dict.fromkeys(header, 0)
    repeated = ragged = bad = rows = 0
    clock = axes.first(header, axes.TIME)
    for block, error in _blocks(reader):
        bad += error
        kept = [row for row in block if [cell.strip() for cell in row[:2]] != header[:2]]
        repeated += len(block) - len(kept)
        ragged += sum(not _fits(row, len(header)) for row in kept)
        rows += len(kept)
        if rows * len(header) > limits.points:
            raise Unreadable(f"{path.name}: more than {limits.points} cells, over the limit")
        block_times = np.full(len(kept), np.nan)
        for index, name in enumerate(header):
            cells = [row[index] if index < len(row) else "" for row in kept]
            values, known, wrong = _numbers(cells, delimiter)
            pieces[name].append((values, known))
            words[name] += wrong
            if name == clock:
                block_times = _clock(cells, values, wrong)
                words[name] -= int((np.isfinite(block_times) & ~known).sum())
        times.append(block_times)
    table = _Table(
        header,
        {name: np.concatenate([np.empty(0), *(values for values, _ in parts)]) for name, parts in pieces.items()},
        {name: np.concatenate([np.empty(0, dtype=bool), *(known for _, known in parts)]) for name, parts in pieces.items()},
        np.concatenate([np.empty(0), *times]),
        {name: count for name, count in words.items() if count},
    )
    if ragged:
        detail = f"{ragged} of {rows} rows have another number of cells than the header: missing ones are gaps, surplus ones were left out"
        table.faults.append(Fault("ragged-row", path.name, detail))
    if bad:
        table.faults.append(Fault("bad-row", path.name, f"in {bad} places the file is no CSV; the rows there were left out"))
    if repeated:
        table.notes.append(f"the header stands {repeated} more times in the table: runs were appended to it")
    return table


def _blocks(reader: Iterator[list[str]]) -> Iterator[tuple[list[list[str]], bool]]:
    """Rows that are not blank, in blocks, and whether csv refused the row after them."""
    while True:
        block: list[list[str]] = []
        error = False
        try:
            block.extend(islice(reader, _BLOCK_ROWS))
        except csv.Error:
            error = True
        if not block and not error:
            return
        yield [row for row in block if any(row)], error


def _fits(row: Sequence[str], columns: int) -> bool:
    """Whether a row has the header's number of cells; yolov5 ends rows with a delimiter."""
    return len(row) == columns or (len(row) == columns + 1 and not row[-1].strip())


def _numbers(cells: list[str], delimiter: str) -> tuple[Floats, Known, int]:
    """A column as float64, which cells hold a value, and how many hold something else than a number."""
    try:
        return np.array(list(map(float, cells)), dtype=np.float64), np.ones(len(cells), dtype=bool), 0
    except ValueError:
        pass
    numbers = [_number(cell, delimiter) for cell in cells]
    known = np.array([number is not None for number in numbers], dtype=bool)
    wrong = sum(number is None and cell.strip().lower() not in _MISSING for number, cell in zip(numbers, cells, strict=True))
    return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64), known, wrong


def _number(cell: str, delimiter: str = ",") -> float | None:
    """One cell: a number, a percentage (as it stands), a printed tensor, with a decimal comma where the delimiter is a semicolon."""
    text = cell.strip()
    if text.startswith("tensor("):
        inner = _TENSOR.match(text)
        text = inner[1] if inner else text
    if delimiter == ";" and text.count(",") == 1:
        text = text.replace(",", ".")
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        return None


def _clock(cells: list[str], values: Floats, wrong: int) -> Floats:
    found = [axes.wall_time(cell) for cell in cells] if wrong else [axes.wall_time(value) for value in values.tolist()]
    return np.array([math.nan if moment is None else moment for moment in found], dtype=np.float64)


def _log(table: _Table, path: Path, metric: Mapping[str, str], run: str, names: Mapping[str, str]) -> Log:
    """One Log from the columns of one run, given as name -> column."""
    axis = _axis(table, metric, names)
    where, epochs, usable = axis.steps, axis.epochs, axis.usable
    faults, notes = list(table.faults), [*table.notes, *axis.notes]
    if not usable.all():
        detail = f"{int((~usable).sum())} of {table.rows} rows have no usable {axis.step_is} and were left out"
        faults.append(Fault("row-without-step", path.name, detail))
    series = []
    for name, column in names.items():
        rows = table.known[column] & usable
        if column in axis.used or not rows.any():
            continue
        series.append(Series.of(_metric_name(name, path), where[rows], table.values[column][rows], epochs[rows], table.times[rows]))
    for column, count in table.words.items():
        if column in names.values() and table.known[column].any():
            faults.append(Fault("not-a-number", f"{path.name}: {column}", f"{count} cells are not numbers and were left out"))
        elif column in names.values():
            notes.append(f"column {column} holds no numbers and was left out")
    moments = table.times[np.isfinite(table.times)]
    return Log(
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


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the rows lie: steps, epochs and which rows are `usable`, each of shape (rows,); `used` are the columns spent on it."""

    steps: Ints
    epochs: Floats
    usable: Known
    step_is: str
    used: frozenset[str]
    notes: tuple[str, ...] = ()


def _axis(table: _Table, metric: Mapping[str, str], names: Mapping[str, str]) -> _Axis:
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


def _train_and_eval_in_every_row(table: _Table) -> bool:
    """Keras writes no epoch column when told so; a row with a loss of training and of validation is an epoch."""
    full = {axes.folded(name) for name, known in table.known.items() if known.all()}
    return bool(full & {"loss", "train_loss"}) and bool(full & {"val_loss", "valid_loss", "eval_loss", "test_loss"})


def _whole(values: Floats, known: Known) -> tuple[Ints, Known]:
    usable = known & np.isfinite(values)
    usable &= np.abs(np.where(usable, values, 0)) < 2**62
    usable &= np.where(usable, values, 0) == np.floor(np.where(usable, values, 0))
    return np.where(usable, values, 0).astype(np.int64), usable


def _planned(table: _Table, names: Mapping[str, str]) -> int | None:
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


def _delimiter(header: str) -> str:
    """The delimiter that cuts the header into most cells; empty where none does."""
    best = max(",\t;|", key=lambda mark: len(_cells(header, mark)))
    return best if len(_cells(header, best)) > 1 else ""


def _cells(row: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([row], delimiter=delimiter or ",", skipinitialspace=True), [])]
    except csv.Error:
        return []


def _unique(names: list[str]) -> list[str]:
    """Column names, the second of a name as `name.1`; the unnamed index column of pandas keeps a number."""
    seen: dict[str, int] = {}
    unique = []
    for index, name in enumerate(names):
        base = name or f"column {index + 1}"
        count = seen[base] = seen.get(base, -1) + 1
        unique.append(f"{base}.{count}" if count else base)
    return unique


def _numeric_header(header: list[str]) -> bool:
    return sum(_number(cell) is not None for cell in header) * 2 > len(header)


def _has_axis(header: list[str]) -> bool:
    return axes.first(header, axes.STEP) is not None or axes.first(header, axes.EPOCH) is not None


def _has_loss(header: list[str]) -> bool:
    return any("loss" in axes.folded(name) for name in header)
