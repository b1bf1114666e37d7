"""Printed tables: a header that names the columns, then a row of numbers an epoch or a step.

| printed by | looks like |
|---|---|
| fastai | `epoch     train_loss  valid_loss  accuracy  time`, then `0         1.2345      0.9876      0.6543    00:10` |
| skorch, spaCy | the same with a rule of dashes below the header |
| DeepXDE | `Step      Train loss              Test loss`, then `0         [5.64e+01, 6.15e-01]    [5.61e+01, 6.15e-01]`: their sums |
| MATLAB | a header of two or three lines, words of one column below each other |
| own scripts | ` Epoch | TrainLoss | ValLoss |   LR`, then `     1 |    1.0164 |   0.8634 | 0.001 ` |
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from lossdoctor.run.candidates import is_loss
from lossdoctor.sources import axes
from lossdoctor.sources.rows import number, whole

_LONGEST = 1024
_MOST = 60  # columns
_FRAME = " \t*-=+|#"  # what stands around a header; a `#` alone is spaCy's step
_SHORT = {"e": "epoch", "ep": "epoch", "#": "step"}
_RULE = re.compile(r"[-=+|\s\u2500-\u257f]{3,}")
_NAME = re.compile(r"[A-Za-z#](?:[\w/.()%#@-]| (?![\d.+-]+(?:\s|%|$))){0,60}")  # no word of it is a number

_CELL = re.compile(r"\[[^\[\]]{0,400}\]|[^\s,]+")

Row = tuple[dict[str, float], int, float]


def _summed(cell: str) -> str:
    """The sum of a printed list; any other cell as it is."""
    parts = [number(part) for part in cell.strip("[]").replace(",", " ").split()] if cell.startswith("[") else [None]
    return cell if None in parts or not parts else str(sum(part for part in parts if part is not None))


@dataclass(slots=True)
class Columns:
    """Collects the rows below headers; `take` hands them out as (values, step, epoch). Where no column counts, rows are counted from 1."""

    by_epoch: bool = False
    _ready: list[Row] = field(default_factory=list)
    _names: tuple[str, ...] = ()
    _mark: str = ""
    _base: int | None = None
    _count: int = 0
    _above: tuple[str, ...] = ()

    def feed(self, text: str) -> bool:
        """Look at one segment; True where it is a header, its rule, or a row."""
        if len(text) > _LONGEST:
            return False
        if self._names and self._row(text):
            return True
        text = self._joined(text)
        if "oss" in text.lower() and "=" not in text.strip(_FRAME) and ":" not in text and self._header(text):
            return True
        return bool(self._names) and _RULE.fullmatch(text) is not None

    def _joined(self, text: str) -> str:
        """A header with what stands above it, column by column, where MATLAB breaks names over lines; any other line as it is."""
        cells = tuple(cell.strip() for cell in text.replace("(hh:mm:ss)", "").strip().strip("|").split("|")) if text.count("|") > 2 else ()
        words = bool(cells) and all(not any(map(str.isdigit, cell)) for cell in cells)
        above, self._above = self._above, cells if words else ()
        if not words or len(above) != len(cells):
            return text
        self._above = tuple(f"{one} {two}".strip() for one, two in zip(above, cells, strict=True))
        return "|" + "|".join(self._above) + "|"

    def found(self) -> bool:
        """Whether there is a row."""
        return bool(self._ready)

    def take(self) -> list[Row]:
        """The rows, handed out once."""
        ready, self._ready = self._ready, []
        return ready

    def inner(self) -> dict[str, float]:
        """The last row of a table whose rows nothing counts, where one stands at hand; its rows are then spent."""
        if not self._ready or axes.first(self._names, axes.STEP) or axes.first(self._names, axes.EPOCH):
            return {}
        return self.take()[-1][0]

    def _header(self, text: str) -> bool:
        bare = text.strip().strip("*|=").strip()
        bare = bare.lstrip("# ") if bare[:2] != "# " or len(bare.split()) < 3 else bare  # `#step loss lr`, but spaCy's `#` is a column
        for mark, cut in (("|", r"\|"), (",", ","), ("", r"\t|\s{2,}"), ("", r"\s+")):
            if mark and mark not in bare:
                continue
            names = tuple(_SHORT.get(name.lower(), name) for name in (part.strip() for part in re.split(cut, bare)) if name)
            counted = axes.first(names, axes.STEP) or axes.first(names, axes.EPOCH)
            losses = sum(map(is_loss, names))
            told = counted or losses > 1 or (mark == "|" and len(names) > 2)
            if not 2 <= len(names) <= _MOST or not losses or not told or not all(map(_NAME.fullmatch, names)):
                continue
            # Prose has single blanks too: such a header must begin with what is counted.
            if cut == r"\s+" and names[0] != counted:
                continue
            self._names, self._mark = names, mark
            return True
        return False

    def _row(self, text: str) -> bool:
        if "|" in text:
            cells = [cell.strip() for cell in text.strip().strip("|").split("|")]
        else:
            cells = [_summed(cell) for cell in _CELL.findall(text)] if "[" in text else text.replace(",", " ").split()
        names = self._names
        if not self._mark and len(cells) == len(names) + 1 and whole(number(cells[0])) is not None:
            cells = cells[1:]  # pandas prints its index without a name
        if len(cells) < len(names) - 1 or ("|" in text) != (self._mark == "|"):
            return False
        values = {name: value for name, cell in zip(names, cells, strict=False) if (value := number(cell)) is not None}
        if not any(map(is_loss, values)) or len(values) < 2 or 2 * len(values) < len(names):
            return False
        step, epoch = axes.first(names, axes.STEP), axes.first(names, axes.EPOCH)
        at, passed = whole(values.pop(step, None) if step else None), values.pop(epoch, None) if epoch else None
        if (step and at is None) or (epoch and passed is None):
            return False
        self._add(values, at, passed)
        return True

    def _add(self, values: dict[str, float], at: int | None, epoch: float | None) -> None:
        self._count += 1
        done = math.nan if epoch is None else epoch
        if at is None and (header := whole(epoch)) is not None:
            self._base = min(header, 1) if self._base is None else self._base
            at, self.by_epoch = header + 1 - self._base, True
            done = float(at)
        self._ready.append((values, self._count if at is None else at, done))
