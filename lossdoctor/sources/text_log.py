"""Plain text logs: what a training script printed, with the progress bars, colours and tracebacks between.

A line is a row where it holds a counter and a metric (see `text_log_line`), a dict that the HuggingFace Trainer printed
(`text_log_trainer`), or one of the block formats (`text_log_blocks`). Everything else is looked at for events (`log_events`).
"""

from __future__ import annotations

import io
import math
import re
import sys
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, LogEvent, Loss
from lossdoctor.run.candidates import is_loss, is_of_evaluation
from lossdoctor.run.ends import ends_a_run
from lossdoctor.run.log import Log
from lossdoctor.run.names import canonical
from lossdoctor.sources import axes
from lossdoctor.sources import text_log_loose as loose
from lossdoctor.sources.log_ending import Ending
from lossdoctor.sources.log_events import LogEvents
from lossdoctor.sources.progress_bar import ProgressBar, drawn
from lossdoctor.sources.rows import Rows
from lossdoctor.sources.text_lines import decode_head, lines, open_text, plain, run_name
from lossdoctor.sources.text_log_blocks import Blocks
from lossdoctor.sources.text_log_clock import Clock
from lossdoctor.sources.text_log_keras import KerasBars
from lossdoctor.sources.text_log_line import Line, hinted, parse, parse_dict
from lossdoctor.sources.text_log_lists import Lists
from lossdoctor.sources.text_log_tables import Tables
from lossdoctor.sources.text_log_trainer import Plan, TrainerRow, closed, place
from lossdoctor.sources.text_log_words import in_plain_words
from lossdoctor.sources.trainings import beside, main_series, named, rate_of, starts, within

_OTHER_FORMATS = frozenset((".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".py", ".ipynb", ".md", ".html", ".xml"))
_SCANNED = 4 << 20
_BEST_AGAIN = ("Early stopping, best iteration is:", "Did not meet early stopping. Best iteration is:")
_STAMP = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d:\d\d:\d\d(?:[.,]\d{1,6})?)")
# `[rank 3] epoch 1 ...`, `[default0]:...`, `[GPU0] Epoch 1`, `rank: 3, epoch 1`
_RANK = re.compile(
    r"[^\w\[(]{0,4}\[[^\]]{0,40}?\b(?:local[_ ]?rank|rank|default|GPU|cuda)[ :=#]{0,2}(\d{1,4})\]"
    r"|[^\w\[(]{0,4}\(?rank[ :=#]{0,2}(\d{1,4})\b"
    r"|.{1,400}\srank[ :=](\d{1,4})\s{0,8}$",
    re.IGNORECASE,
)
# `Test Error:` above a line of results, as the quickstart of PyTorch prints
_HEADING = re.compile(r"\s{0,8}(?:test|val(?:id(?:ation)?)?|eval(?:uation)?)(?: \w{1,20}){0,2}\s?:?\s{0,8}$", re.IGNORECASE)
_MOST_BROKEN = 100  # lines of a dict that is printed one value a line
_PLANNED = re.compile(r"Total optimization steps\s{0,9}=\s{0,9}([\d,]{1,20})")
_EPOCHS = re.compile(r"Num Epochs\s{0,9}=\s{0,9}([\d,]{1,20})")


def is_plain(path: Path, head: bytes) -> bool:
    """Whether a file is text, and of no other format by its name."""
    return path.suffix.lower() not in _OTHER_FORMATS and "\x00" not in decode_head(head).lstrip("\x00")[:1024]


def looks_like(path: Path, head: bytes, limits: Limits = LIMITS, *, named: bool = False) -> bool:
    """Whether a text file, of no other format by its name (one that was asked for by `named` may be of any), holds a metric line or a log
    event in its first 4 MiB."""
    if not is_plain(path.with_suffix("") if named else path, head):
        return False
    try:
        with open_text(path, limits) as file:
            reader = _Reader(path, limits)
            scanned = 0
            for number, line, _ in lines(file, limits.text_line_bytes):
                reader.feed(number, line)
                scanned += len(line)
                if reader.found_anything():
                    return True
                if scanned > _SCANNED:
                    return False
    except (Unreadable, OSError):
        return False
    return False


def read(source: Path | TextIO, limits: Limits = LIMITS) -> list[Log]:
    """Read a log from a file or a stream (standard input), one Log a training.

    Raises Unreadable where no line holds a metric or a known message.
    """
    if isinstance(source, Path):
        with open_text(source, limits) as text:
            return _read(text, source, run_name(source), limits)
    # A pipe may hold any bytes, which the interpreter's own stdin refuses to decode.
    buffer = getattr(source, "buffer", None)
    if buffer is None:
        return _read(source, Path("-"), "stdin", limits)
    text = io.TextIOWrapper(buffer, encoding="utf-8", errors="replace", newline="")
    try:
        return _read(text, Path("-"), "stdin", limits)
    finally:
        text.detach()


def _read(text: TextIO, path: Path, name: str, limits: Limits) -> list[Log]:
    reader = _Reader(path, limits)
    whole, number = True, 0
    for number, line, whole in lines(text, limits.text_line_bytes):
        reader.feed(number, line)
        reader.cut += not whole
    if not whole:
        reader.unended = number
    return reader.logs(name)


@dataclass(slots=True)
class _Reader:
    """One pass over the segments of a log."""

    path: Path
    limits: Limits
    bar: ProgressBar = field(default_factory=ProgressBar)
    clock: Clock = field(default_factory=Clock)
    blocks: Blocks = field(default_factory=Blocks)
    keras: KerasBars = field(default_factory=KerasBars)
    lists: Lists = field(default_factory=Lists)
    tables: Tables = field(default_factory=Tables)
    trainer: list[TrainerRow] = field(default_factory=list)
    loose: list[loose.Loose] = field(default_factory=list)
    planned_steps: int | None = None
    planned_epochs: float | None = None
    closed: bool = False
    ending: Ending = field(default_factory=Ending)
    ends: list[tuple[int, str]] = field(default_factory=list)
    cut: int = 0
    unended: int = 0
    events: LogEvents = field(init=False)
    rows: Rows = field(init=False)
    scales: list[tuple[int, float]] = field(default_factory=list)
    _waiting: int = 0
    _printed: int = 0
    _moves: int = 0
    _repeats: bool = False
    _rank: str = ""
    _batches: int = 0
    _heading: bool = False
    _broken: list[str] = field(default_factory=list)
    _joined: bool = False

    def __post_init__(self) -> None:
        self.events = LogEvents(self.path.name)
        self.rows = Rows(self.limits)

    def feed(self, number: int, segment: str) -> None:
        """Take one segment in."""
        at, bar, printed = self.clock.step, self.bar.step, self._printed
        self._take(number, segment)
        self._moves += self.bar.step != bar
        # A bar that is closed by an exception is drawn once more: its first move since then says nothing.
        if self.clock.step != at or self._printed != printed or (self.bar.step != bar and self._moves > 1):
            self.ending.progress()
            self.events.progress(number)

    def _take(self, number: int, segment: str) -> None:
        text = self._whole(in_plain_words(drawn(plain(segment))))
        self.rows.line = number
        if not text:
            return
        if self.tables.feed(text):
            return
        if "%|" in text and self.bar.feed(text):
            self._settle()
            behind = text.rpartition("]")[2]
            if "{" in text:
                self._metrics(number, text[text.index("{") :])
                return
            if "=" in text and self.blocks.feed(text, self.clock):
                self._add_blocks()
            if behind.strip() and not self._metrics(number, behind, drawn_at=self.bar.step):
                self._message(number, behind.lstrip())
            return
        if text.startswith(_BEST_AGAIN):
            self._repeats = True  # LightGBM prints the row of the best iteration once more
        elif self._repeats and text.startswith("["):
            self._repeats = False
            return
        if not self._metrics(number, text):
            self._message(number, text)

    def _whole(self, text: str) -> str:
        """A dict that was printed one value a line, in one; an empty text until it is whole."""
        self._joined = False
        if not self._broken and not (
            text.strip() == "{" or (("{'" in text or '{"' in text) and "}" not in text and text.rstrip()[-1:] == ",")
        ):
            return text
        self._broken.append(text.strip())
        if "}" not in text and len(self._broken) < _MOST_BROKEN:
            return ""
        text, self._broken, self._joined = " ".join(self._broken), [], True
        return text

    def _message(self, number: int, text: str) -> None:
        """Take in what a line says in words: an event, a setting, an end."""
        event = self.events.feed(text, number, self.step)
        if event is None:
            self._settings(text)
            if said := self.ending.feed(text):
                self.ends.append((number, said))
            return
        self._moves = 0
        if ends_a_run(event):
            self.ending.died()
        if event.kind == "loss-scale" and "to" in event.numbers and self.step is not None:
            self.scales.append((self.step, event.numbers["to"]))

    @property
    def step(self) -> int | None:
        """Where training stands."""
        return self.clock.step if self.clock.step is not None else self.bar.step

    def found_anything(self) -> bool:
        return bool(
            self.rows.points
            or self.trainer
            or self.events.found()
            or self.loose
            or self.tables.found()
            or self.keras.found()
            or self.lists.found()
        )

    def logs(self, name: str) -> list[Log]:
        """One Log a training."""
        steps: list[int] = []
        notes, step_is = [], "step"
        self.blocks.end()
        self._add_blocks()
        self._add_tables()
        by_batch = self._add_keras()
        if not self.rows.holds(_of_training):
            for at, values in enumerate(self.lists.rows(), 1):
                self.rows.add(values, at, float(at))
                step_is = "epoch"
        if told := self._add_loose():
            notes.append(told)
            step_is = "call"
        elif self.rows.points and not by_batch and self.clock.by_epoch and (self.clock.header is not None or self.tables.by_epoch):
            step_is = "epoch"
            if (every := self.rows.crowded(_of_training)) is not None and not self.rows.printed_often(every):
                self.rows.count_rows(every)
                step_is = "call"
                notes.append(f"the log tells no step, and many rows an epoch: those with {every} are counted from 1")
        self.rows.without_stale(is_of_evaluation, _of_training)
        if self.trainer:
            placed = place(self.trainer, Plan(self.planned_steps, self.planned_epochs, self.bar.step, self.bar.total))
            if not self.rows.points:
                step_is = placed.step_is
            for row, at in zip(self.trainer, placed.steps, strict=True):
                self.rows.line = row.line
                self.rows.add(row.values, at, row.epoch, row.time)
            notes.append(placed.note)
            steps = placed.steps
        for at, scale in self.scales:
            self.rows.add({"loss_scale": scale}, at)
        events = self._placed_events(steps, step_is)
        if not self.rows.points and not events:
            raise Unreadable(f"{self.path.name}: no line holds a metric with its step, and none a message that is known")
        log = Log(
            kind="text",
            path=self.path,
            name=name,
            events=events,
            faults=tuple(self._faults()),
            planned_steps=self.planned_steps or self.clock.plan() or (self.bar.total if self.trainer or not self.rows.points else None),
            planned_epochs=self._plan_of_epochs(),
            reached_step=self._reached(step_is),
            started=self.rows.started,
            step_is=step_is,
            framework="transformers" if self.trainer else "",
            notes=tuple(notes),
        )
        return self._trainings(log)

    def _plan_of_epochs(self) -> float | None:
        epochs = self.clock.epochs or self.tables.epochs
        if self.planned_epochs or not epochs:
            return self.planned_epochs
        return float(max(epochs, self.clock.header or 0))  # `Epoch 0/11` to `Epoch 11/11` are twelve

    def _trainings(self, log: Log) -> list[Log]:
        """The log with its rows, as one Log a training."""
        series = self.rows.series()
        main, rate = main_series(series), rate_of(series)
        if main is None:
            return [self._ended(replace(log, series=series), np.empty(0, dtype=np.int64), 0, None)]
        rows, lines_ = self.rows.rows_of(main.name), self.rows.lines()
        order = np.argsort(lines_[rows], kind="stable")
        told = lines_[rows][order]
        if not bool((np.diff(rows) > 0).all()) or not np.array_equal(order, np.arange(len(rows))):
            return [self._ended(replace(log, series=series), np.sort(told), 0, None)]
        rates = beside(main, rate, rows, self.rows.rows_of(rate.name) if rate else rows)
        first = starts(main.steps, main.values, main.epochs, rates)
        if not first:
            return [self._ended(replace(log, series=series), told, 0, None)]
        edges = [0, *(int(told[row]) for row in first), None]
        logs = []
        for number, (begin, end) in enumerate(pairwise(edges), 1):
            own = (lines_ >= (begin or 0)) & (True if end is None else lines_ < end)
            part = replace(log, series=self.rows.series(own))
            logs.append(self._ended(named(part, number, len(edges) - 1), told, begin or 0, end))
        return logs

    def _ended(self, log: Log, told: npt.NDArray[np.int64], begin: int, end: int | None) -> Log:
        """How the training between two lines ended: `told` are the lines of its losses."""

        def inside(line: float) -> bool:
            return begin <= line and (end is None or line < end)

        last = max((int(line) for line in told if inside(line)), default=begin)
        events = log.events if begin == 0 and end is None else tuple(within(log.events, begin, last, sys.maxsize if end is None else end))
        if end is None:
            finished, early = self.closed or self.ending.finished, self.ending.early_stopped
        else:
            said = {kind for line, kind in self.ends if inside(line) and line > last}
            finished, early = bool(said), "early" in said
        return replace(log, events=events, finished=True if finished or early else None, early_stopped=early)

    def _reached(self, step_is: str) -> int | None:
        """The last step of any row, or where the Trainer's bar stopped after it."""
        places = [self.rows.reached]
        if step_is == "step" and (self.trainer or not self.rows.points):
            places.append(self.bar.step)
        return max((place for place in places if place is not None), default=None)

    def _placed_events(self, steps: list[int], step_is: str) -> tuple[LogEvent, ...]:
        """The events, those among the Trainer's rows at the step of the row before them or where the bar stood, whichever is later."""
        if not steps or self.clock.step is not None:
            return self.events.found()
        lines_ = [row.line for row in self.trainer]

        def at(line: float) -> int | None:
            index = bisect_right(lines_, line) - 1
            return steps[index] if index >= 0 else None

        placed = []
        for event in self.events.found():
            row = at(int(event.where.rpartition(":")[2])) if event.kind != "more-events" else None
            bar = event.step if step_is == "step" else None
            last = at(event.numbers["last_line"]) if "last_line" in event.numbers else None
            numbers = {**event.numbers, **({} if last is None else {"last_step": float(last)})}
            placed.append(replace(event, step=max((place for place in (row, bar) if place is not None), default=None), numbers=numbers))
        return tuple(placed)

    def _metrics(self, number: int, text: str, drawn_at: int | None = None) -> bool:
        """Take a row in, of where a bar before it stood; False where the segment is none, or of another rank than the rows before."""
        said = _RANK.match(text) if "rank" in text.lower() or "[" in text[:4] else None
        rank = next(filter(None, said.groups())) if said else ""
        if rank and self._rank not in ("", rank):
            return False
        taken = self._row(number, text, drawn_at)
        if taken and rank:
            self._rank = rank
        return taken

    def _row(self, number: int, text: str, drawn_at: int | None) -> bool:
        if "': " in text or '": ' in text:
            line = parse_dict(text)
            if line is not None:
                self._add_dict(number, line, _time(text))
            return line is not None
        if self.lists.feed(text):
            return True
        if self.keras.feed(number, text, self.clock.header):
            if self.keras.full and self.clock.header is not None:
                self.clock.at_epoch(self.clock.header)
            return True
        if self.blocks.feed(text, self.clock):
            self._add_blocks()
            return True
        line = parse(text) if hinted(text) else None
        if line is None:
            return self._loose(number, text, drawn_at)
        if line.step is None and line.epoch is None and line.inner_total:
            self._batches = self._batches or line.inner_total
            if line.inner_total != self._batches:  # an evaluation counts batches of its own
                line = replace(line, values=loose.of_evaluation(line.values), inner=None, epoch=self.clock.header)
        at = self.clock.place(line)
        if not line.values:
            self.blocks.open(line, at)
            return False
        if at is None:
            return False
        values = line.values
        if line.step is None and line.inner is None and not self.clock.by_epoch and self.rows.holds(_known):
            # the mean of an epoch whose batches were printed
            values = {f"train/epoch_{name}" if _known(name) else name: value for name, value in values.items()}
        self.rows.add(values, at, self.clock.epoch(line), _time(text))
        return True

    def _loose(self, number: int, text: str, drawn_at: int | None) -> bool:
        """Keep a line that holds a loss and no counter: where it belongs is known at the end."""
        values, size = loose.read(text, held_out=self._heading)
        self._heading = _HEADING.match(text) is not None
        if values and len(self.loose) < self.limits.points:
            step = (drawn_at if self.clock.header is None else None) if self.clock.by_epoch else self.clock.step
            step = self.blocks.step if step is None and self.clock.header is None else step
            self.loose.append(loose.Loose(number, values, step, self.clock.header, _time(text), size))
        return bool(values)

    def _add_loose(self) -> str:
        """Place the lines without a counter; the note to give where rows had to be counted."""
        self.loose = loose.by_size(self.loose)
        counted = bool(self.trainer) or self.rows.holds(_of_training)
        placed = loose.placed(self.loose, counted=counted)
        for one, at in placed or ():
            self.rows.line = one.line
            self.rows.add(one.values, at, math.nan if one.epoch is None else float(one.epoch), one.time)
        if placed is not None or len(self.loose) < 2:
            return ""
        counts: dict[str, int] = {}
        for one in self.loose:
            first = next(iter(one.values))
            counts[first] = counts.get(first, 0) + 1
            self.rows.line = one.line
            self.rows.add(one.values, max(counts.values()), math.nan if one.epoch is None else float(one.epoch), one.time)
        return "the log tells no step: rows with a loss are counted from 1"

    def _add_tables(self) -> None:
        self.tables.flush()
        for values, at, epoch in self.tables.take():
            self.rows.add(values, at, epoch)

    def _add_keras(self) -> bool:
        """Add the rows of Keras' bars; whether there are any that lie at batches."""
        found, by_epoch = self.keras.rows()
        if found and by_epoch and self.clock.header is None:
            self.clock.header = int(found[-1][3])
        for line, values, at, epoch in found:
            self.rows.line = line
            self.rows.add(values, at, epoch)
        return bool(found) and not by_epoch

    def _add_dict(self, number: int, line: Line, time: float) -> None:
        epoch = math.nan if line.epoch is None else line.epoch
        if line.step is not None:
            at = self.clock.place(line)
            self.rows.add(line.values, line.step if at is None else at, epoch, time)
            return
        if self._joined and self.blocks.step is not None:
            self.rows.add(line.values, self.clock.at(self.blocks.step), epoch, time)
            return
        closing = closed(line.values)
        if closing is not None:
            self.closed = True
            self.ends.append((number, "finished"))
        if "loss" in line.values:
            self.bar.confirm()
            self._printed += 1
        self.trainer.append(TrainerRow(number, closing or line.values, epoch, time, self.bar.step))
        self._waiting += 1

    def _settle(self) -> None:
        """The bar was redrawn: rows that were printed since then lie where it stands now."""
        for row in self.trainer[len(self.trainer) - self._waiting :] if self._waiting else ():
            row.bar = self.bar.step
        self._waiting = 0

    def _add_blocks(self) -> None:
        for values, at, epoch in self.blocks.take():
            self.rows.add(values, at, epoch)

    def _settings(self, text: str) -> None:
        if "Total optimization steps" in text and (match := _PLANNED.search(text)):
            self.planned_steps = int(match[1].replace(",", "")) or None
        elif "Num Epochs" in text and (match := _EPOCHS.search(text)) and len(match[1]) < 9:
            self.planned_epochs = float(match[1].replace(",", ""))

    def _faults(self) -> list[Fault]:
        found = []
        if self.unended:
            detail = "the log ends inside a line: its last value may be cut short"
            found.append(Fault("unterminated-line", f"{self.path.name}:{self.unended}", detail, Loss.BENIGN))
        if cut := self.cut - bool(self.unended):
            found.append(Fault("long-line", self.path.name, f"{cut} lines were cut at {self.limits.text_line_bytes} characters"))
        return found


def _of_training(name: str) -> bool:
    return is_loss(name) and not is_of_evaluation(name)


def _known(name: str) -> bool:
    return canonical(name)[0] == "train/loss"


def _time(text: str) -> float:
    """The wall time that a line starts with; NaN where it has none."""
    stamp = _STAMP.search(text, 0, 80)
    moment = axes.wall_time(f"{stamp[1]}-{stamp[2]}-{stamp[3]} {stamp[4]}") if stamp else None
    return math.nan if moment is None else moment
