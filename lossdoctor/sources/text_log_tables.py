"""Tables that a training prints one value a line, and ultralytics' columns under a header that is printed again every epoch.

| printed by | looks like |
|---|---|
| stable-baselines, spinup | `|    ep_rew_mean          | -197.83     |` between lines of dashes, under sections `| rollout/ |  |` |
| rllab, garage | `2020-12-08 21:40:50.1  | loss/Average    0.31` |
| ultralytics, yolov5 | `Epoch  GPU_mem  box_loss  cls_loss ...`, then `1/100  17.2G  1.21  2.30 ...: 100%|####| 4/4` |
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lossdoctor.run.candidates import is_loss
from lossdoctor.run.names import canonical
from lossdoctor.sources import axes
from lossdoctor.sources.rows import number, whole
from lossdoctor.sources.text_log_columns import Columns

_LONGEST = 4096
_BOXED = re.compile(r"^\|\s{0,8}(?P<key>[A-Za-z][^|]{0,80}?)\s{0,80}\|\s{0,40}(?P<value>[^|\s]{0,40})\s{0,40}\|\s{0,8}$")
_TRACED = re.compile(r"^\S{4,40} \S{4,40}\s{1,8}\|\s(?P<key>[A-Za-z][\w/().-]{0,80})\s{2,80}(?P<value>\S{1,40})\s{0,8}$")
_RULE = re.compile(r"^\s{0,8}[-=]{8,200}\s{0,8}$")
_HEADER = re.compile(r"^\s{0,20}Epoch\s{1,20}(?:gpu_mem\s{1,20}|(?=iou_loss\s))(\w.{0,200})$", re.IGNORECASE)
_EPOCH_ROW = re.compile(r"^\s{0,20}(\d{1,9})/(\d{1,9})\s{1,20}(?:[\d.]{1,10}[GM]\s{1,20})?([\d.][^:|]{0,200})")
_METRICS = re.compile(r"^\s{0,40}Class\s{1,40}Images\s{1,40}(?:Instances|Labels)\s{1,40}(\w.{0,200}?)(?::|$)")
_ALL_ROW = re.compile(r"^\s{0,40}all\s{1,40}\d{1,12}\s{1,40}\d{1,12}\s{1,40}(.{1,200})$")
_OF_BOXES = {"P": "metrics/precision(B)", "R": "metrics/recall(B)", "mAP50": "metrics/mAP50(B)", "mAP50-95": "metrics/mAP50-95(B)"}
_NO_COLUMN = frozenset(("instances", "labels", "size", "img_size", "targets"))

Row = tuple[dict[str, float], int, float]


@dataclass(slots=True)
class Tables:
    """Collects printed tables; `take` hands out the finished ones as (values, step, epoch). `epochs` is the planned number of them."""

    epochs: int | None = None
    by_epoch: bool = False
    columns: Columns = field(default_factory=Columns)
    _ready: list[Row] = field(default_factory=list)
    _open: dict[str, float] = field(default_factory=dict)
    _section: str = ""
    _count: int = 0
    _columns: tuple[str, ...] = ()
    _metrics: tuple[str, ...] = ()
    _epoch: int | None = None
    _base: int | None = None

    def feed(self, text: str) -> bool:
        """Look at one segment; True where it belongs to a table."""
        if len(text) > _LONGEST:
            return False
        if "|" in text and (cell := _BOXED.match(text) or _TRACED.match(text)):
            return self._cell(cell["key"].strip(), cell["value"])
        if self._open and self._epoch is None and _RULE.match(text):
            self._close()
            return True
        if self._of_detector(text):
            return True
        if not self.columns.feed(text):
            return False
        self.by_epoch |= self.columns.by_epoch
        return True

    def found(self) -> bool:
        """Whether there is a table, open or finished."""
        return bool(self._ready or self.columns.found() or _is_training(self._open))

    def flush(self) -> None:
        """End the open table."""
        self._close()

    def take(self) -> list[Row]:
        """The finished rows, handed out once."""
        ready, self._ready = self._ready + self.columns.take(), []
        return ready

    def _cell(self, key: str, value: str) -> bool:
        if not value:
            self._section = key if key.endswith("/") else ""
            return bool(self._section)
        given = number(value)
        if given is None:
            return False
        name = self._section + key
        if name in self._open:
            self._close()
        self._open[name] = given
        return True

    def _close(self) -> None:
        values, self._open, self._section = self._open, {}, ""
        if not values:
            return
        if self._epoch is not None:
            self._ready.append((values, self._epoch, float(self._epoch)))
            self._epoch = None
            return
        if not _is_training(values):
            return
        counter = axes.first(values, axes.STEP)
        step = whole(values.pop(counter)) if counter else None
        self._count += 1
        values = self.columns.inner() | values  # baselines print the epochs of an update as a table of their own before
        if values:
            self._ready.append((values, self._count if step is None else step, math.nan))

    def _of_detector(self, text: str) -> bool:
        if "poch" in text and (header := _HEADER.match(text)):
            self._columns = tuple(header[1].split())
            return True
        if not self._columns:
            return False
        if "Class" in text and (metrics := _METRICS.match(text)):
            self._metrics = tuple(name.removeprefix("Box(") for name in metrics[1].replace(")", "").split())
            return True
        if "all " in text and self._epoch is not None and (row := _ALL_ROW.match(text)):
            told = zip(self._metrics, map(number, row[1].split()), strict=False)
            self._open |= {_OF_BOXES[name]: value for name, value in told if name in _OF_BOXES and value is not None}
            return True
        if "/" not in text or (row := _EPOCH_ROW.match(text)) is None:
            return False
        self._row(int(row[1]), int(row[2]), row[3].split())
        return True

    def _row(self, epoch: int, last: int, cells: list[str]) -> None:
        """One redraw of an epoch's row: the last one of an epoch counts."""
        self._base = min(epoch, 1) if self._base is None else self._base
        at = epoch + 1 - self._base
        if self._epoch not in (None, at):
            self._close()
        self._epoch, self.epochs, self.by_epoch = at, last + 1 - self._base, True
        for name, cell in zip(self._columns, cells, strict=False):
            value = number(cell)
            if name.lower() not in _NO_COLUMN and value is not None:
                self._open[f"train/{name if 'loss' in name else f'{name}_loss'}"] = value


def _is_training(values: Mapping[str, float]) -> bool:
    """Whether a table is of a training, not of settings: it counts steps, or holds a loss or a reward."""
    return axes.first(values, axes.STEP) is not None or any(is_loss(name) or canonical(name)[0] == "reward" for name in values)
