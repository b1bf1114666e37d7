"""JSON lines, one row a line: LLaMA-Factory trainer_log.jsonl, detectron2 metrics.json, mmcv .log.json, any rows with a step.

Nested objects become `outer/inner`. Rows of a validation (`"mode": "val"`) get the prefix `val/`. Where `iter` starts again every epoch
(mmcv) the steps count on from the last logged `iter` of the epoch before. Two runs that wrote into one file at a time are told apart by
their steps: each row goes to the run whose last step lies closest before it. Some tools write one JSON document instead of lines
(`json_document`): its rows are read the same way.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, LogEvent
from lossdoctor.run.candidates import is_loss
from lossdoctor.run.log import Log
from lossdoctor.sources import axes, json_document, json_history
from lossdoctor.sources.files import head, read_bytes
from lossdoctor.sources.gaps import hidden_nans
from lossdoctor.sources.interleaved import interleaved
from lossdoctor.sources.rows import Rows, duration, number, whole
from lossdoctor.sources.text_lines import decode_head, encoding, lines, open_text, run_name, text_of
from lossdoctor.sources.text_log_trainer import closed
from lossdoctor.sources.trainings import beside, main_series, named, rate_of, starts

_MODE = ("mode", "split", "phase", "stage", "subset")
_EVALUATION = frozenset(("val", "valid", "validation", "eval", "evaluation", "test", "dev"))
_CLOCK = frozenset(("elapsed_time", "remaining_time", "eta", "elapsed"))
_PROGRESS = frozenset(("percentage", "elapsed_time", "remaining_time"))
_LOSSES = frozenset(("loss", "train_loss", "total_loss", "train/loss"))
_SAID = ("event", "type", "status")
_NESTED = 3
_START = 4096
_RATIO = re.compile(r"(\d{1,15})/(\d{1,15})")
_decode = msgspec.json.Decoder().decode


def looks_like(path: Path, head: bytes) -> bool:
    """Whether the first lines are JSON objects with a step or epoch and another number (or mmcv's line about the environment)."""
    text = decode_head(head).lstrip("\ufeff \r\n")
    if not text.startswith(("{", "[")):
        return False
    file = _File(path, LIMITS)
    for entry in map(_object, text.split("\n", 20)[:20]):
        if entry is not None:
            file.add(entry)
    if len(file.steps) > min(file.counted, 1) or json_document.looks_like(text):
        return True
    return text.startswith(('{"env_info"', '{"config"', '{"mmcv_version"')) and path.suffix.lower() in (".json", ".jsonl", ".log")


def read(path: Path, limits: Limits = LIMITS, data: bytes | None = None) -> list[Log]:
    """Read one file of JSON lines (or its `data`), one Log a run; raises Unreadable where no line is a row with a step."""
    with open_text(path, limits) if data is None else text_of(data) as text:
        whole_file = json_document.is_boosted(decode_head(head(path) if data is None else data[:_START]))
        file = _File(path, limits) if whole_file else _load(text, path, limits)
    if not file.steps:
        file = _document(path, limits, data)
    if not file.steps:
        raise Unreadable(f"{path.name}: no line is a JSON object with a step or an epoch and a number")
    runs = interleaved(file.steps, file.losses)
    count, name = max(runs) + 1, run_name(path)
    if count == 1:
        return _trainings(file, name)
    numbers = np.asarray(runs)
    return [_log(file, numbers == run, f"{name} ({run + 1} of {count})") for run in range(count)]


@dataclass(slots=True)
class _File:
    """What reading the rows of one file has found so far; per row its step, the total it names, and whether it holds a training loss."""

    path: Path
    limits: Limits
    table: Rows = field(init=False)
    steps: array[int] = field(default_factory=lambda: array("q"))
    totals: array[int] = field(default_factory=lambda: array("q"))
    losses: bytearray = field(default_factory=bytearray)
    bare: bytearray = field(default_factory=bytearray)
    by_epoch: bool = True
    progress: bool = False
    bad: int = 0
    first_bad: int = 0
    torn: int = 0
    apart: int = 0
    words: dict[str, int] = field(default_factory=dict)
    counted: int = 0
    offset: int = 0
    inner: int = 0
    early_stopped: bool = False
    closed: bool = False
    events: list[LogEvent] = field(default_factory=list)
    gaps: dict[str, list[int]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.table = Rows(self.limits)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take one object in."""
        values, evaluation = _flat(entry, self.words), _evaluation(entry)
        if (closing := closed(values)) is not None:  # ms-swift writes the Trainer's closing row, whose loss is a mean
            values, self.closed = dict(closing), True
        step_name, epoch_name, total_name = (axes.first(values, table) for table in (axes.STEP, axes.EPOCH, axes.TOTAL))
        step, epoch = whole(values.get(step_name or epoch_name or "")), values.get(epoch_name or "", math.nan)
        clock = axes.first(entry, axes.TIME)
        given = entry[clock] if clock else None
        time = axes.wall_time(given) if isinstance(given, float | int | str) and not isinstance(given, bool) else None
        spent = {step_name, epoch_name, total_name, clock if time is not None else None}
        metrics = {f"val/{key}" if evaluation else key: value for key, value in values.items() if key not in spent}
        gaps = [] if evaluation else [name for name, value in entry.items() if value is None and is_loss(name)]
        if step is None and any(map(is_loss, metrics)) and self.counted == len(self.steps):
            self.counted += 1
            step = self.counted
        if step is None or not (metrics or gaps):
            self._event(entry)
            self.apart += 1
            return
        if step_name and axes.folded(step_name) == "iter" and not math.isnan(epoch):
            step = self._counted_on(step, evaluation)
        for name in gaps:
            self.gaps.setdefault(name, []).append(len(self.steps))
        self.table.add(metrics | dict.fromkeys(gaps, math.nan), step, epoch, math.nan if time is None else time)
        self.steps.append(step)
        self.totals.append(whole(values.get(total_name or "")) or 0)
        self.losses.append(not _LOSSES.isdisjoint(metrics))
        self.bare.append(metrics.keys() <= _PROGRESS)
        self.by_epoch &= step_name is None and not self.counted
        self.progress |= "percentage" in metrics

    def _event(self, entry: Mapping[str, Any]) -> None:
        """Keep a row that says that training was resumed: `{"event": "resume", "from": "last.ckpt"}`."""
        if any(str(entry.get(key)).lower().startswith("resum") for key in _SAID):
            text = " ".join(str(value) for value in entry.values())
            self.events.append(LogEvent("resume", text, self.path.name, step=self.steps[-1] if self.steps else None))

    def _counted_on(self, inner: int, evaluation: bool) -> int:
        """The step of an `iter` inside an epoch; an evaluation's own counter says nothing, it lies where training stands."""
        if evaluation:
            return self.offset + self.inner
        if inner <= self.inner:
            self.offset += self.inner
        self.inner = inner
        return self.offset + inner

    def settle_gaps(self) -> None:
        """Once all rows are read: a loss that is null is a missing value, unless it is so in every row to the end."""
        known = {name: np.isin(np.arange(len(self.steps)), self.table.rows_of(name)) for name in self.table.names() if self.gaps}
        for name, gaps in self.gaps.items():
            known[name][gaps] = False
        self.hidden = hidden_nans(known, np.asarray(self.steps, dtype=np.int64))
        for name in self.gaps.keys() - self.hidden:
            self.table.leave_out(name, self.gaps[name])

    def faults(self) -> tuple[Fault, ...]:
        found = []
        if self.torn:
            found.append(Fault("torn-line", f"{self.path.name}:{self.torn}", "the last line is cut off and was left out"))
        if self.bad:
            detail = f"{self.bad} lines are no JSON objects and were left out, the first is line {self.first_bad}"
            found.append(Fault("bad-json", f"{self.path.name}:{self.first_bad}", detail))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        found = []
        if self.apart:
            found.append(f"{self.apart} lines without a step or without a number beside it were left out")
        if self.words:
            found.append(
                "values that are no numbers were left out: "
                + ", ".join(f"{name} ({count})" for name, count in list(self.words.items())[:10])
            )
        found += [f"{name} is null to the end: read as NaN, which JSON cannot write" for name in sorted(self.hidden)]
        if self.counted:
            found.append("the log tells no step: rows with a loss are counted from 1")
        if self.offset:
            found.append("iter starts again every epoch: steps count on from the last logged iter of the epoch before")
        return tuple(found)


def _load(text: TextIO, path: Path, limits: Limits) -> _File:
    file = _File(path, limits)
    for at, line, ended in lines(text, limits.text_line_bytes):
        stripped = line.strip("\x00 \t\ufeff")
        entry = _object(stripped)
        if entry is not None:
            file.add(entry)
        elif stripped and ended:
            file.bad, file.first_bad = file.bad + 1, file.first_bad or at
        elif stripped:
            file.torn = at
    file.settle_gaps()
    return file


def _document(path: Path, limits: Limits, data: bytes | None) -> _File:
    """The rows of a file that is one JSON document."""
    file = _File(path, limits)
    data = read_bytes(path, limits.json_bytes) if data is None else data
    try:
        text = data.decode(encoding(data), errors="replace")
        entries = json_document.rows(text)
        document = json_document.parse(text) if entries else None
    except ValueError:
        return file
    file.early_stopped = isinstance(document, dict) and json_history.stopped_early(document)
    for entry in entries or ():
        file.add(entry)
    file.settle_gaps()
    return file


def _trainings(file: _File, name: str) -> list[Log]:
    """One Log a training of a file that one run after the other wrote into."""
    whole_log = _log(file, None, name)
    main, rate = main_series(whole_log.series), rate_of(whole_log.series)
    if main is None:
        return [whole_log]
    rows = file.table.rows_of(main.name)
    first = starts(main.steps, main.values, main.epochs, beside(main, rate, rows, file.table.rows_of(rate.name) if rate else rows))
    if not first:
        return [whole_log]
    edges = [0, *(int(rows[at]) for at in first), len(file.steps)]
    numbers = np.arange(len(file.steps))
    parts = [_log(file, (numbers >= begin) & (numbers < end), name) for begin, end in pairwise(edges)]
    return [named(part, number, len(parts)) for number, part in enumerate(parts, 1)]


def _log(file: _File, own: npt.NDArray[np.bool_] | None, name: str) -> Log:
    """One Log from the rows of one run (`own`, shape (rows,)), or from all."""
    rows = np.arange(len(file.steps)) if own is None else np.flatnonzero(own)
    steps, totals = np.asarray(file.steps, dtype=np.int64)[rows], np.asarray(file.totals, dtype=np.int64)[rows]
    total = int(totals[totals > 0][-1]) if (totals > 0).any() else None
    # LLaMA-Factory ends with a row that holds the progress and no loss; a full counter says the same.
    closing = bool(file.bare[rows[-1]]) and any(file.losses[row] for row in rows)
    return Log(
        kind="jsonl",
        path=file.path,
        name=name,
        series=file.table.series(own),
        faults=file.faults(),
        planned_steps=None if file.by_epoch else total,
        finished=True if file.early_stopped or file.closed or (total and (closing or steps[-1] >= total)) else None,
        early_stopped=file.early_stopped,
        reached_step=int(steps.max()),
        started=file.table.started,
        step_is="epoch" if file.by_epoch else "call" if file.counted else "step",
        events=tuple(file.events),
        framework="llamafactory" if file.progress else "",
        notes=file.notes(),
    )


def _object(text: str) -> dict[str, Any] | None:
    """One line as a JSON object; NaN and Infinity, which strict JSON lacks, are taken."""
    if not text.startswith("{"):
        return None
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _flat(entry: Mapping[str, Any], words: dict[str, int], prefix: str = "", depth: int = 0) -> dict[str, float]:
    """The numbers of an object under `outer/inner` names; null is a missing value, words and lists are counted by name in `words`."""
    values: dict[str, float] = {}
    for key, value in entry.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < _NESTED:
            values |= _flat(value, words, f"{name}/", depth + 1)
        elif isinstance(value, str) and (ratio := _RATIO.fullmatch(value)):
            values |= _of(name, int(ratio[1]), int(ratio[2]))
        elif (given := _number(name, value)) is not None:
            values[name] = given
        elif value is not None and key not in _MODE:
            words[name] = words.get(name, 0) + 1
    return values


def _of(name: str, at: int, total: int) -> dict[str, float]:
    """`"global_step/max_steps": "5/200"` and `"iteration": "5/200"` of ms-swift: two numbers in one string."""
    counted, slash, planned = name.partition("/")
    return {counted: float(at), planned if slash else "max_steps": float(total)}


def _number(name: str, value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float | int):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        return duration(value) if name in _CLOCK else number(value)
    return None


def _evaluation(entry: Mapping[str, Any]) -> bool:
    """Whether a row says that it is of a validation."""
    return any(isinstance(entry.get(key), str) and entry[key].lower() in _EVALUATION for key in _MODE)
