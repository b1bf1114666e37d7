"""JSON lines, one row a line: LLaMA-Factory trainer_log.jsonl, detectron2 metrics.json, mmcv .log.json, any rows with a step.

Nested objects become `outer/inner`. Rows of a validation (`"mode": "val"`) get the prefix `val/`. Where `iter` starts again every epoch
(mmcv) the steps count on from the last logged `iter` of the epoch before. Two runs that wrote into one file at a time are told apart by
their steps: each row goes to the run whose last step lies closest before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import msgspec

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault
from lossdoctor.run.log import Log
from lossdoctor.sources import axes
from lossdoctor.sources.interleaved import interleaved
from lossdoctor.sources.rows import Rows, duration, number, whole
from lossdoctor.sources.text_lines import decode_head, lines, open_text, run_name

_MODE = ("mode", "split", "phase", "stage", "subset")
_EVALUATION = frozenset(("val", "valid", "validation", "eval", "evaluation", "test", "dev"))
_CLOCK = frozenset(("elapsed_time", "remaining_time", "eta", "elapsed"))
_PROGRESS = frozenset(("percentage", "elapsed_time", "remaining_time"))
_NESTED = 3
_decode = msgspec.json.Decoder().decode


def looks_like(path: Path, head: bytes) -> bool:
    """Whether the first lines are JSON objects with a step or epoch and another number (or mmcv's line about the environment)."""
    text = decode_head(head).lstrip("\ufeff \r\n")
    if not text.startswith("{"):
        return False
    file = _File(path)
    for entry in map(_object, text.split("\n", 20)[:20]):
        if entry is not None:
            file.add(entry)
    if file.points:
        return True
    return text.startswith(('{"env_info"', '{"config"', '{"mmcv_version"')) and path.suffix.lower() in (".json", ".jsonl", ".log")


def read(path: Path, limits: Limits = LIMITS) -> list[Log]:
    """Read one file of JSON lines, one Log a run; raises Unreadable where no line is a row with a step."""
    with open_text(path, limits) as text:
        file = _load(text, path, limits)
    if not file.rows:
        raise Unreadable(f"{path.name}: no line is a JSON object with a step or an epoch and a number")
    runs = interleaved([row.step for row in file.rows], [row.loss for row in file.rows])
    count, name = max(runs) + 1, run_name(path)
    parted: list[list[_Row]] = [[] for _ in range(count)]
    for row, run in zip(file.rows, runs, strict=True):
        parted[run].append(row)
    return [_log(file, rows, name if count == 1 else f"{name} ({index} of {count})", limits) for index, rows in enumerate(parted, 1)]


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: where it lies, its numbers, the total it names, and whether it says that its values are of a whole epoch."""

    step: int
    by_epoch: bool
    epoch: float
    time: float
    total: int | None
    values: Mapping[str, float]

    @property
    def loss(self) -> bool:
        return any(name in self.values for name in ("loss", "train_loss", "total_loss", "train/loss"))


@dataclass(slots=True)
class _File:
    """What reading the lines of one file has found so far."""

    path: Path
    rows: list[_Row] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    torn: int = 0
    apart: int = 0
    points: int = 0
    words: dict[str, int] = field(default_factory=dict)
    offset: int = 0
    inner: int = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take one object in; `iter` that starts again with a new epoch is counted on."""
        values, mode = _flat(entry, self.words), _mode(entry)
        name = axes.first(values, axes.STEP)
        epoch_name = axes.first(values, axes.EPOCH)
        step = whole(values.get(name or epoch_name or ""))
        total_name, clock = axes.first(values, axes.TOTAL), axes.first(entry, axes.TIME)
        time = (
            axes.wall_time(entry[clock])
            if clock and isinstance(entry[clock], float | int | str) and not isinstance(entry[clock], bool)
            else None
        )
        epoch = values.get(epoch_name or "", math.nan)
        spent = {name, epoch_name, total_name, clock if time is not None else None}
        metrics = {f"val/{key}" if mode else key: value for key, value in values.items() if key not in spent}
        if step is None or not values.keys() - spent:
            self.apart += 1
            return
        if name and axes.folded(name) == "iter" and not math.isnan(epoch):
            step = self._counted_on(step, mode)
        self.points += len(metrics)
        total = whole(values.get(total_name or ""))
        self.rows.append(_Row(step, name is None, epoch, math.nan if time is None else time, total, metrics))

    def _counted_on(self, inner: int, evaluation: bool) -> int:
        """The step of an `iter` inside an epoch; an evaluation's own counter says nothing, it lies where training stands."""
        if evaluation:
            return self.offset + self.inner
        if inner <= self.inner:
            self.offset += self.inner
        self.inner = inner
        return self.offset + inner

    def faults(self) -> tuple[Fault, ...]:
        found = []
        if self.torn:
            found.append(Fault("torn-line", f"{self.path.name}:{self.torn}", "the last line is cut off and was left out"))
        if self.bad:
            detail = f"{len(self.bad)} lines are no JSON objects and were left out, the first is line {self.bad[0]}"
            found.append(Fault("bad-json", f"{self.path.name}:{self.bad[0]}", detail))
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
        if self.offset:
            found.append("iter starts again every epoch: steps count on from the last logged iter of the epoch before")
        return tuple(found)


def _load(text: TextIO, path: Path, limits: Limits) -> _File:
    file = _File(path)
    for at, line, ended in lines(text, limits.text_line_bytes):
        stripped = line.strip("\x00 \t\ufeff")
        entry = _object(stripped)
        if entry is not None:
            file.add(entry)
        elif stripped and ended:
            file.bad.append(at)
        elif stripped:
            file.torn = at
        if file.points > limits.points:
            raise Unreadable(f"{path.name}: more than {limits.points} points, over the limit")
    return file


def _log(file: _File, rows: Sequence[_Row], name: str, limits: Limits) -> Log:
    """One Log from the rows of one run."""
    table = Rows(limits)
    for row in rows:
        table.add(row.values, row.step, row.epoch, row.time)
    totals = [row.total for row in rows if row.total]
    # LLaMA-Factory ends with a row that holds the progress and no loss; a full counter says the same.
    closing = not rows[-1].values.keys() - _PROGRESS and any(row.loss for row in rows)
    complete = bool(totals) and rows[-1].step >= totals[-1]
    by_epoch = all(row.by_epoch for row in rows)
    return Log(
        kind="jsonl",
        path=file.path,
        name=name,
        series=table.series(),
        faults=file.faults(),
        planned_steps=None if by_epoch or not totals else totals[-1],
        finished=True if complete or (closing and totals) else None,
        reached_step=table.reached,
        started=table.started,
        step_is="epoch" if by_epoch else "step",
        framework="llamafactory" if "percentage" in rows[-1].values else "",
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
        elif (given := _number(name, value)) is not None:
            values[name] = given
        elif value is not None and key not in _MODE:
            words[name] = words.get(name, 0) + 1
    return values


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


def _mode(entry: Mapping[str, Any]) -> bool:
    """Whether a row says that it is of a validation."""
    return any(isinstance(entry.get(key), str) and entry[key].lower() in _EVALUATION for key in _MODE)
