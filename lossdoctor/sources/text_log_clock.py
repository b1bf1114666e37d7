"""Where the rows of a text log lie on the step axis: inner counters of epochs counted on, epochs where there is no step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lossdoctor.sources.text_log_line import Line


@dataclass(slots=True)
class Clock:
    """Turns the counters of lines into steps, in the order of the log.

    `Epoch [2][50/7330]` and `Epoch [2/5], Step [50/600]` count inside the epoch: the epochs before are added. The first epoch seen tells
    whether epochs count from 0 or from 1; `header` is the last one, counted from 1. A line with an epoch only lies where the steps stand,
    else at the epoch itself, counted from 1.
    """

    step: int | None = None
    planned: int | None = None
    epochs: int | None = None
    by_epoch: bool = True
    header: int | None = None
    _base: int | None = None
    _epoch: int | None = None
    _inner: int = 0
    _gap: int = 0
    _offset: int = 0
    _per_epoch: bool = False
    _fractions: bool = False
    _batch: int = 0
    _laps: int = 0
    _ambiguous: bool = False

    def place(self, line: Line) -> int | None:
        """The step of a line; None where its counters do not tell."""
        self.epochs = line.epochs or self.epochs
        epoch = None if line.epoch is None else int(line.epoch)
        self._fractions |= line.fraction
        if epoch is not None:
            self._base = min(epoch, 1) if self._base is None else self._base
            self.header = epoch - self._base + 1
        if line.values and all(name.startswith("val/") for name in line.values) and line.step is None and self.step is not None:
            return self.step
        if line.step is not None:
            place = self._counted(line.step, line.total, epoch)
        elif epoch is not None and line.inner is not None and line.inner_total:
            place = (epoch - (self._base or 0)) * line.inner_total + line.inner
            self.planned = self.epochs * line.inner_total if self.epochs else self.planned
        elif epoch is None and line.inner is not None and line.values:
            place = self._of_batch(line.inner, line.inner_total)
        elif epoch is not None and line.values:
            if self.step is not None and not self.by_epoch:
                return self.step
            return self.at_epoch(epoch + (self._base == 0))
        else:
            return None
        return self.at(place) if line.values else place

    def epoch(self, line: Line) -> float:
        """The epochs done at a line: a fraction as it stands, else what the inner counter makes of it; NaN where the line names none."""
        if line.epoch is None:
            if self.header is None or line.inner is None or not line.inner_total:
                return math.nan
            return self.header - 1 + line.inner / line.inner_total
        if self._fractions or self.header is None:
            return line.epoch
        if line.inner is not None and line.inner_total:
            return self.header - 1 + line.inner / line.inner_total
        return line.epoch if line.step is not None else float(self.header)

    def at(self, step: int) -> int:
        """A row lies at this step."""
        self.step, self.by_epoch = step, False
        return step

    def at_epoch(self, epoch: int) -> int:
        """A row lies at this epoch, counted from 1: the step where no steps are counted."""
        if self.by_epoch:
            self.step = epoch
        return self.step if self.step is not None else epoch

    def plan(self) -> int | None:
        """The number of steps that the counters promise; None where a total may be of one epoch only."""
        return None if self._ambiguous else self.planned

    def _of_batch(self, inner: int, total: int | None) -> int:
        """A batch of the epoch whose header stands above, else of a pass that begins where the batches start again."""
        self._laps += inner <= self._batch
        self._batch = inner
        if total is None:
            return self._counted(inner, None, self._laps if self.header is None else self.header)
        return (self._laps if self.header is None else self.header - 1) * total + inner

    def _counted(self, step: int, total: int | None, epoch: int | None) -> int:
        if total and epoch is not None:
            if self._epoch is not None and epoch > self._epoch:
                if step <= self._inner or self._per_epoch:
                    self._offset += total * (epoch - self._epoch)
                    self._per_epoch, self._ambiguous = True, False
                elif not self._per_epoch:
                    self._ambiguous = False
            elif self._epoch is None:
                self._ambiguous = bool(self.epochs and self.epochs > 1)
            self._epoch, self._inner = epoch, step
        elif epoch is not None:
            # Inside an epoch of unknown length the steps count on from the last one of the epoch before.
            if self._epoch is not None and epoch > self._epoch and step <= self._inner:
                self._offset += self._inner + (0 if step else self._gap)
            elif step > self._inner:
                self._gap = step - self._inner
            self._epoch, self._inner = epoch, step
        if total:
            self.planned = total * self.epochs if self._per_epoch and self.epochs else None if self._per_epoch else total
        return self._offset + step
