"""Cells of a CSV or TSV file as columns of numbers: dialects, missing and odd cells, damage."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.run.log import Floats
from lossdoctor.sources import axes
from lossdoctor.sources.text_lines import lines

Known = npt.NDArray[np.bool_]
_BLOCK_ROWS = 20_000
_MISSING = frozenset(("", "none", "null", "na", "n/a", "-", "--"))
_TENSOR = re.compile(r"tensor\(\[?\s{0,9}([^,\]\)\s]{1,40})")


@dataclass(slots=True)
class Table:
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
class Feed:
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

    def faults(self, path: Path, limits: Limits) -> list[Fault]:
        """What was wrong with the lines, once all are read."""
        found = []
        if not self.whole:
            detail = "the last line has no line end: its last value may be cut short"
            found.append(Fault("unterminated-line", f"{path.name}:{self.line}", detail, Loss.BENIGN))
        if cut := self.cut - (not self.whole):
            found.append(Fault("long-line", path.name, f"{cut} lines were cut at {limits.text_line_bytes} characters"))
        return found


def load(text: TextIO, path: Path, limits: Limits) -> Table:
    """Read a table with a header row; raises Unreadable where there is no header, no row, or more than the limits allow."""
    feed = Feed(text, limits.text_line_bytes)
    source = iter(feed)
    comment, top = "", ""
    for top in source:
        if top.strip() and not top.startswith("#"):
            break
        comment = top.lstrip("# ") if top.strip() else comment
    below = next(source, "")
    source = chain((below,), source) if below else source
    delimiter = delimiter_of(top)
    if not delimiter and len(cells_of(top, " ")) == len(cells_of(below, " ")) and numeric_header(cells_of(below, " ")):
        delimiter = " "
    header = cells_of(top, delimiter)
    if numeric_header(header) and len(names := cells_of(comment, delimiter)) == len(header):  # numpy.savetxt marks its header as a comment
        header, source = names, chain((top,), source)
    header = _unique(header)
    if not delimiter or numeric_header(header):
        raise Unreadable(f"{path.name}: no table with a header row")
    if len(header) > limits.tags:
        raise Unreadable(f"{path.name}: {len(header)} columns, over the limit of {limits.tags}")
    table = _fill(csv.reader(source, delimiter=delimiter, skipinitialspace=True), header, delimiter, path, limits)
    if not table.rows:
        raise Unreadable(f"{path.name}: a header and no rows")
    table.faults += feed.faults(path, limits)
    return table


def _fill(reader: Iterator[list[str]], header: list[str], delimiter: str, path: Path, limits: Limits) -> Table:
    pieces: dict[str, list[tuple[Floats, Known]]] = {name: [] for name in header}
    times: list[Floats] = []
    words = dict.fromkeys(header, 0)
    repeated = ragged = bad = rows = 0
    clock = axes.first(header, axes.TIME)
    for block, error in blocks(reader):
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
    table = Table(
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


def blocks(reader: Iterator[list[str]]) -> Iterator[tuple[list[list[str]], bool]]:
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
    numbers = [number_of(cell, delimiter) for cell in cells]
    known = np.array([number is not None for number in numbers], dtype=bool)
    wrong = sum(number is None and cell.strip().lower() not in _MISSING for number, cell in zip(numbers, cells, strict=True))
    return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64), known, wrong


def number_of(cell: str, delimiter: str = ",") -> float | None:
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


def delimiter_of(header: str) -> str:
    """The delimiter that cuts the header into most cells; empty where none does."""
    best = max(",\t;|", key=lambda mark: len(cells_of(header, mark)))
    return best if len(cells_of(header, best)) > 1 else ""


def cells_of(row: str, delimiter: str) -> list[str]:
    """The stripped cells of one line; none where csv refuses it."""
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


def numeric_header(header: list[str]) -> bool:
    """Whether most cells of a first line are numbers: then it is a row, and the table has no header."""
    return sum(number_of(cell) is not None for cell in header) * 2 > len(header)
