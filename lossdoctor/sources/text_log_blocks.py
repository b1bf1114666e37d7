"""Formats whose rows span lines: indented `key=value` lines under a counter (OLMo, Composer), Lightning and AllenNLP.

A block is opened by a line that counts and holds no value, or by an epoch's header, and gives its row when it ends.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from lossdoctor.sources.rows import number
from lossdoctor.sources.text_log_clock import Clock
from lossdoctor.sources.text_log_line import Line, pairs, parse

# `Epoch 0:  50%|#####     | 25/50 [00:01<00:01, 20.0it/s, v_num=0, train_loss=2.31]`
_BAR = re.compile(
    r"^(?P<title>[^|]{0,300}?)\s{0,20}\d{1,3}%\|[^|]{0,300}\|\s{0,20}(?P<at>\d{1,15})/(?P<total>\d{1,15}) "
    r"\[[^,\]]*, *[^,\]]*(?:, (?P<postfix>[^\]]*))?\]"
)
_TABLE = re.compile(r"- (\w{1,80})\s{1,80}\|\s{1,40}([-\d.eE+naif/NA]{1,40})\s{1,40}\|\s{1,40}([-\d.eE+naif/NA]{1,40})\s{0,20}$")

_LONGEST = 4096
_NOT_TRAINING = re.compile(r"valid|\bval\b|eval|test|predict|sanity|map|load|writ|download|token", re.IGNORECASE)

Row = tuple[dict[str, float], int, float]


@dataclass(slots=True)
class Blocks:
    """Collects rows that span segments; `take` hands out the finished ones as (values, step, epoch)."""

    _ready: list[Row] = field(default_factory=list)
    _open: Row | None = None
    _indented: tuple[int, float] | None = None
    _bar: tuple[str, int] = ("", 0)
    _laps: int = 0

    def feed(self, text: str, clock: Clock) -> bool:
        """Look at one segment; True where it belongs to a block."""
        if len(text) > _LONGEST:
            return False
        if self._indented is not None:
            if text[:1] in (" ", "\t") and (found := pairs(text)):
                self._extend(found, *self._indented)
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

    def take(self) -> list[Row]:
        """The finished rows, handed out once."""
        ready, self._ready = self._ready, []
        return ready

    def _progress(self, text: str, clock: Clock) -> bool:
        """A progress bar with metrics behind it (every redraw counts) or in its title (the full bar counts, as an epoch)."""
        bar = _BAR.match(text)
        if bar is None or "{" in text[bar.end() :]:
            return False
        if _NOT_TRAINING.search(bar["title"]):
            return True
        at, total, title = int(bar["at"]), int(bar["total"]), parse(bar["title"])
        epoch = title.epoch if title else None
        if bar["postfix"] and at and (found := pairs(bar["postfix"])):
            name, last = self._bar
            if epoch is None and at < last:
                self._laps += 1
            if (bar["title"], at) != (name, last):
                self._bar = (bar["title"], at)
                place = (
                    clock.place(Line(found, epoch=epoch, inner=at, inner_total=total))
                    if epoch is not None
                    else clock.at(self._laps * total + at)
                )
                if place is not None:
                    self._ready.append((found, place, math.nan if epoch is None else epoch))
        if title is not None and title.values and epoch is not None and at == total:
            clock.place(Line({}, epoch=epoch, epochs=title.epochs))
            self._epoch_row(dict(title.values), clock)
        return True

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
