"""One pass over the lines of a text log: rows are collected as they come, lines without a place of their own for the end."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoctor.limits import Limits
from lossdoctor.run.candidates import is_loss, is_of_evaluation
from lossdoctor.run.ends import ends_a_run
from lossdoctor.run.names import canonical
from lossdoctor.sources import axes
from lossdoctor.sources import text_log_loose as loose
from lossdoctor.sources.log_ending import Ending
from lossdoctor.sources.log_events import LogEvents
from lossdoctor.sources.progress_bar import ProgressBar, drawn
from lossdoctor.sources.rows import Rows
from lossdoctor.sources.text_lines import plain
from lossdoctor.sources.text_log_blocks import Blocks
from lossdoctor.sources.text_log_clock import Clock
from lossdoctor.sources.text_log_keras import KerasBars
from lossdoctor.sources.text_log_line import Line, hinted, parse, parse_dict
from lossdoctor.sources.text_log_lists import Lists
from lossdoctor.sources.text_log_settings import told
from lossdoctor.sources.text_log_tables import Tables
from lossdoctor.sources.text_log_trainer import TrainerRow, closed
from lossdoctor.sources.text_log_words import in_plain_words

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
_MEMBER = re.compile(r"""\s{0,80}(?:['"][^'"]{1,200}['"]\s{0,8}:|\})""")
_COMPARED = re.compile(r"\b(?:improved|(?:did|has) not improve(?:d)?) from\b")
# What `trainer.log_metrics` says once more when all is done.
_SUMMARY, _SUMMED = re.compile(r"\*{3,} \w{1,40} metrics \*{3,}"), re.compile(r"\s{1,8}[\w/]{1,80}\s{1,80}=\s{1,80}\S{1,40}\s{0,8}$")
_OF_CONFIG = re.compile(r"""\s{0,80}(?:['"]|[\]}],?\s{0,8}$)""")  # what goes on behind a list within it
_MEMBERS = 100  # of a dict that is printed one value a line
_PLANNED = re.compile(r"Total optimization steps\s{0,9}=\s{0,9}([\d,]{1,20})")
_EPOCHS = re.compile(r"Num Epochs\s{0,9}=\s{0,9}([\d,]{1,20})")


@dataclass(slots=True)
class Reader:
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
    settings: dict[str, str] = field(default_factory=dict)
    _waiting: int = 0
    _printed: int = 0
    _moves: int = 0
    _repeats: bool = False
    _rank: str = ""
    _batches: int = 0
    _heading: bool = False
    _held: list[tuple[int, str]] = field(default_factory=list)
    _joined: bool = False
    _summed: bool = False
    _config: bool = False

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
        for at, text in self._joined_up(number, in_plain_words(drawn(plain(segment)))):
            self._read(at, text)

    def _joined_up(self, number: int, text: str) -> list[tuple[int, str]]:
        """What there is to read, with its line: a dict that is printed one value a line in one, where it is whole; else every line."""
        held, self._held, self._joined = self._held, [], False
        self._config = self._config and _OF_CONFIG.match(text) is not None
        if self._config:
            self._settings(text)
            return []
        if held and _MEMBER.match(text) and len(held) < _MEMBERS:
            held.append((number, text))
            if "}" not in text:
                self._held = held
                return []
            self._joined = True
            return [(number, " ".join(part.strip() for _, part in held))]
        held = self._rows_of(held)
        if text.strip() == "{" or (("{'" in text or '{"' in text) and "}" not in text and text.rstrip()[-1:] == ","):
            self._held = [(number, text)]
            return held
        return [*held, (number, text)]

    def _rows_of(self, held: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """The lines of a dict that is no row: a configuration is taken in, everything else is read line by line."""
        if len(held) < 2 or any("loss" in text for _, text in held):
            return held
        for _, text in held:
            self._settings(text)
        self._config = True
        return []

    def end(self) -> None:
        """The log has ended: a dict that was never closed is read line by line."""
        held, self._held, self._joined = self._rows_of(self._held), [], False
        for at, text in held:
            self._read(at, text)

    def _read(self, number: int, text: str) -> None:
        self.rows.line = number
        self._summed = bool(self.trainer) and ((self._summed and _SUMMED.match(text) is not None) or _SUMMARY.match(text) is not None)
        if self._summed or self.tables.feed(text):
            return
        if "%|" in text and self.bar.feed(text):
            self._settle()
            behind = text.rpartition("]")[2]
            if "{" in text:
                self._metrics(number, text[text.index("{") :])
                return
            if "=" in text and self.blocks.feed(text, self.clock):
                self.add_blocks()
            if behind.strip() and not self._metrics(number, behind, drawn_at=self.bar.step):
                self._message(number, behind.lstrip())
            return
        if " from " in text and _COMPARED.search(text):
            return  # Keras: `val_loss improved from inf to 0.41`
        if text.startswith(_BEST_AGAIN):
            self._repeats = True  # LightGBM prints the row of the best iteration once more
        elif self._repeats and text.startswith("["):
            self._repeats = False
            return
        if not self._metrics(number, text):
            self._message(number, text)
        elif "%|" in text and (behind := text.rpartition("]")[2].strip()):
            self._message(number, behind)  # the shell writes behind a bar that was never ended

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
        if self.clock.by_epoch and self.clock.header is not None and (took := loose.seconds(text)) is not None:
            self.loose.append(loose.Loose(number, {loose.EPOCH_TIME: took}, self.clock.step, self.clock.header, _time(text)))
            return True
        if self.lists.feed(text):
            return True
        if self.keras.feed(number, text, self.clock.header):
            if self.keras.full and self.clock.header is not None:
                self.clock.at_epoch(self.clock.header)
            return True
        if self.blocks.feed(text, self.clock):
            self.add_blocks()
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

    def add_blocks(self) -> None:
        for values, at, epoch in self.blocks.take():
            self.rows.add(values, at, epoch)

    def _settings(self, text: str) -> None:
        if not self.rows.count and not self.trainer:
            for name, value in told(text).items():
                self.settings.setdefault(name, value)
        if "Total optimization steps" in text and (match := _PLANNED.search(text)):
            self.planned_steps = int(match[1].replace(",", "")) or None
        elif "Num Epochs" in text and (match := _EPOCHS.search(text)) and len(match[1]) < 9:
            self.planned_epochs = float(match[1].replace(",", ""))


def of_training(name: str) -> bool:
    return is_loss(name) and not is_of_evaluation(name)


def _known(name: str) -> bool:
    return canonical(name)[0] == "train/loss"


def _time(text: str) -> float:
    """The wall time that a line starts with; NaN where it has none."""
    stamp = _STAMP.search(text, 0, 80)
    moment = axes.wall_time(f"{stamp[1]}-{stamp[2]}-{stamp[3]} {stamp[4]}") if stamp else None
    return math.nan if moment is None else moment
