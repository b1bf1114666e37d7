"""Keras' progress bars: the full bar of an epoch is its row; where a log shows no two of them, every redraw is one.

`1875/1875 [=====] - 5s 2ms/step - loss: 0.29 - val_loss: 0.2`, since Keras 3 with a bar of U+2501; with `verbose=2` none is drawn:
`1875/1875 - 5s - 2ms/step - loss: 0.29`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lossdoctor.sources.text_log_line import pairs

_TIMES = r"\d{1,9}(?:m?s|min|h)(?: - \d{1,9}[mu]?s/(?:step|epoch|sample))?"
_BAR = re.compile(r"^\s{0,20}(\d{1,12})/(\d{1,12})(?:\s{1,2}(?:\[[=>.]{1,80}\]|[\u2501 ]{1,80}).{0,80}?|" + rf" - {_TIMES}) - (.*: .*)$")
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Drawn:
    """A bar as it was drawn: its line, the epoch of the header above it (counted from 1), batches done and in all, its values."""

    line: int
    epoch: int | None
    at: int
    total: int
    values: dict[str, float]

    @property
    def full(self) -> bool:
        return self.at == self.total


@dataclass(slots=True)
class KerasBars:
    """Collects the bars of a log. An evaluation draws one of its own below that of the epoch: it counts as held out."""

    _drawn: list[Drawn] = field(default_factory=list)

    def feed(self, number: int, text: str, epoch: int | None) -> bool:
        """Look at one segment below the header of an epoch, if there was one; True where it is such a bar."""
        if " - " not in text or len(text) > _LONGEST or (bar := _BAR.match(text)) is None:
            return False
        values = pairs(bar[3])
        if values:
            self._take(Drawn(number, epoch, int(bar[1]), int(bar[2]), values))
        return True

    def _take(self, bar: Drawn) -> None:
        last = self._drawn[-1] if self._drawn else None
        same = last is not None and (last.epoch, last.at, last.total) == (bar.epoch, bar.at, bar.total)
        if last is not None and same and last.values.items() <= bar.values.items():
            self._drawn.pop()  # drawn once more, with the evaluation
        self._drawn.append(bar)

    def found(self) -> bool:
        """Whether there was any bar."""
        return bool(self._drawn)

    @property
    def full(self) -> bool:
        """Whether the last bar was full."""
        return bool(self._drawn) and self._drawn[-1].full

    def rows(self) -> tuple[list[tuple[int, dict[str, float], int, float]], bool]:
        """Line, values, place and epoch of each row, and whether the places are epochs: else batches, counted on from epoch to epoch."""
        bars = list(self._in_epochs())
        by_epoch = len({(bar.epoch, bar.line) for bar in bars if bar.full}) > 1
        found = []
        for bar in bars:
            epoch = bar.epoch or 1
            if by_epoch and bar.full:
                found.append((bar.line, bar.values, epoch, float(epoch)))
            elif not by_epoch:
                found.append((bar.line, bar.values, (epoch - 1) * bar.total + bar.at, epoch - 1 + bar.at / bar.total if bar.total else 0.0))
        return found, by_epoch

    def _in_epochs(self) -> Iterator[Drawn]:
        """The bars of training, each with its epoch: without a header one begins where a bar starts again."""
        lap, last, held_out = 1, None, None
        for bar in self._drawn:
            if last is not None and last.full and bar.total != last.total and bar.epoch in (None, last.epoch):
                held_out = bar.total
            if bar.total == held_out:
                continue
            if last is not None:
                lap += bar.at <= last.at
            last = Drawn(bar.line, bar.epoch or lap, bar.at, bar.total, bar.values)
            yield last
