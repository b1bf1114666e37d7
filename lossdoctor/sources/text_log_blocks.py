"""Formats whose rows span lines: indented `key=value` lines under a counter (OLMo, Composer), Lightning and AllenNLP.

A block is opened by a line that counts and holds no value, or by an epoch's header, and gives its row when it ends.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from lossdoctor.run.candidates import is_of_evaluation
from lossdoctor.sources.rows import number
from lossdoctor.sources.text_log_clock import Clock
from lossdoctor.sources.text_log_line import Line, pairs, parse
from lossdoctor.sources.text_log_loose import of_evaluation

# `Epoch 0:  50%|#####     | 25/50 [00:01<00:01, 20.0it/s, v_num=0, train_loss=2.31]`
_BAR = re.compile(
    r"^(?P<title>[^|]{0,300}?)\s{0,20}\d{1,3}%\|[^|]{0,300}\|\s{0,20}(?P<at>\d{1,15})/(?P<total>\d{1,15}) "
    r"\[[^,\]]*, *[^,\]]*(?:, (?P<postfix>[^\]]*))?\]"
)
_TABLE = re.compile(r"- (\w{1,80})\s{1,80}\|\s{1,40}([-\d.eE+naif/NA]{1,40})\s{1,40}\|\s{1,40}([-\d.eE+naif/NA]{1,40})\s{0,20}$")
_EVALUATION = re.compile(r"(?:valid(?:ation)?|val|eval(?:uation)?|test|dev)\b", re.IGNORECASE)

_LONGEST = 4096
_NOT_TRAINING = re.compile(r"valid|\bval\b|eval|test|predict|sanity|map|load|writ|download|token", re.IGNORECASE)

Row = tuple[dict[str, float], int, float]


@dataclass(slots=True)
class Blocks:
    """Collects rows that span segments; `take` hands out the finished ones as (values, step, epoch)."""

    _ready: list[Row] = field(default_factory=list)
    _open: Row | None = None
    _indented: tuple[int, float] | None = None
    _bar: tuple[str, int, int] = ("", 0, 0)
    _shown: frozenset[str] = frozenset()
    _header: int | None = None
    _told: tuple[dict[str, float], int, float, bool] | None = None
    _evaluated: bool = False
    _laps: int = 0

    def feed(self, text: str, clock: Clock) -> bool:
        """Look at one segment; True where it belongs to a block."""
        if len(text) > _LONGEST:
            return False
        if self._indented is not None:
            if text[:1] in (" ", "\t") and (found := pairs(text)):
                self._extend(of_evaluation(found) if _EVALUATION.match(text.strip()) else found, *self._indented)
                return True
            self._indented = None
        if "%|" in text:
            return self._progress(text, clock)
        if clock.header is None:
            return False
        if "|" in text and (table := _TABLE.search(text)):
            values = {f"{split}_{table[1]}": number(cell) for split, cell in (("training", table[2]), ("validation", table[3]))}
            self._epoch_row({name: value for name, value in values.items() if value is not None}, clock)
            return True
        return False

    def open(self, line: Line, at: int | None) -> None:
        """A counter without a value: it ends the open block and may open one."""
        self.flush()
        if at is not None and line.step is not None:
            self._indented = (at, math.nan if line.epoch is None else line.epoch)

    def flush(self) -> None:
        """End the open block."""
        if self._open is not None:
            self._ready.append(self._open)
            self._open = None

    def end(self) -> None:
        """The log has ended."""
        self._end_bar(always=True)
        self.flush()

    def take(self) -> list[Row]:
        """The finished rows, handed out once."""
        ready, self._ready = self._ready, []
        return ready

    @property
    def step(self) -> int | None:
        """The step of the counter above, which lines below it belong to."""
        return self._indented[0] if self._indented is not None else None

    def _progress(self, text: str, clock: Clock) -> bool:
        """A progress bar with metrics behind it (every redraw counts) or in its title (the full bar counts, as an epoch)."""
        bar = _BAR.match(text)
        if bar is None or "{" in text[bar.end() :]:
            return False
        at, total, title = int(bar["at"]), int(bar["total"]), parse(bar["title"])
        epoch = title.epoch if title else None
        if epoch is None and bar["postfix"] and "epoch=" in bar["postfix"] and (behind := parse(bar["postfix"])) is not None:
            epoch = behind.epoch  # GluonTS tells it behind the bar
        if not _NOT_TRAINING.search(bar["title"]):
            if bar["postfix"] and at and (found := pairs(bar["postfix"])):
                clock.epochs = (title.epochs if title else None) or clock.epochs
                self._redraw(found, (f"{bar['title']} {epoch or ''}", at, total), epoch, clock)
        elif title is None or not all(map(is_of_evaluation, title.values)):
            return True
        if title is not None and title.values and epoch is not None and at == total:
            clock.place(Line({}, epoch=epoch, epochs=title.epochs))
            self._epoch_row(dict(title.values), clock)
        return True

    def _redraw(self, found: dict[str, float], drawn: tuple[str, int, int], epoch: float | None, clock: Clock) -> None:
        """The values behind a bar. What it shows of an evaluation is of the one before, until the bar is full and drawn once more."""
        (title, at, total), last = drawn, self._bar
        # Below the header of an epoch a bar may count the batches of that epoch, or go on counting the steps of the run.
        again = epoch is None and clock.header != self._header and at <= last[1]
        if (title, at) != last[:2] or again:
            if title != last[0] or at < last[1] or again:
                self._end_bar(always=False)
                self._laps += epoch is None and last[1] > 0
            line = Line(found, epoch=epoch, inner=at, inner_total=total)
            place = clock.at(self._laps * total + at) if epoch is None else clock.place(line)
            self._bar, self._shown, self._header = (title, at, total if place is None else place), frozenset(), clock.header
        place = self._bar[2]
        row = math.nan if epoch is None else epoch
        new = {name: value for name, value in found.items() if not is_of_evaluation(name) and name not in self._shown}
        self._shown |= new.keys()
        if new:
            self._ready.append((new, place, row))
        told = {name: value for name, value in found.items() if is_of_evaluation(name)}
        self._told = (told, place, row, at == total) if told else None

    def _end_bar(self, *, always: bool) -> None:
        """The evaluations that the last bar showed when it was full; at the end of the log whatever is known."""
        if self._told is not None and (self._told[3] or (always and not self._evaluated)):
            self._ready.append(self._told[:3])
            self._evaluated = True
        self._told = None

    def _epoch_row(self, values: dict[str, float], clock: Clock) -> None:
        if values and clock.header is not None:
            if self._open is not None and self._open[1] != clock.header:
                self.flush()
            self._extend(values, clock.at_epoch(clock.header), float(clock.header))

    def _extend(self, values: dict[str, float], at: int, epoch: float) -> None:
        if self._open is None or self._open[1] != at:
            self.flush()
            self._open = (values, at, epoch)
        else:
            self._open[0].update(values)
