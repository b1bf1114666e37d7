"""Run and Signal: one training run as arrays, with the tidy DataFrame at its edge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lossdoctor.model import Checkpoint, Fault, LogEvent, Scalar, Setting, SourceNote
from lossdoctor.run.log import Floats, Ints
from lossdoctor.run.segments import superseded

if TYPE_CHECKING:
    import pandas as pd

    from lossdoctor.run.candidates import LossParts


@dataclass(frozen=True, eq=False)
class Signal:
    """One series as read-only arrays of shape (n,), in logging order: steps, values, epochs, times (s since the epoch), segments.

    `unit` is that of the last decimal in which its zeros were printed, NaN where the source holds full numbers: see `run.resolution`.
    """

    name: str
    raw_name: str
    steps: Ints
    values: Floats
    epochs: Floats
    times: Floats
    segments: npt.NDArray[np.int16]
    unit: float = math.nan

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def rising(self) -> bool:
        """Whether no step is smaller than the one before it."""
        return bool(np.all(self.steps[1:] >= self.steps[:-1]))

    @cached_property
    def finite(self) -> Signal:
        """The rows whose value is finite."""
        return self.where(np.isfinite(self.values))

    @cached_property
    def in_order(self) -> Signal:
        """The finite rows with strictly rising steps: where a step comes twice, the later row (the one that lasted) is kept; what lies
        beyond the step from which a run was resumed was lost."""
        rows = self.finite
        if len(rows) < 2 or bool(np.all(np.diff(rows.steps) > 0)):
            return rows
        rows = rows.where(~superseded(rows.steps, rows.segments))
        _, last = np.unique(rows.steps[::-1], return_index=True)
        return rows.where(len(rows) - 1 - last)

    def where(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Signal:
        """Select rows by mask, index or slice."""
        return Signal(
            self.name,
            self.raw_name,
            self.steps[rows],
            self.values[rows],
            self.epochs[rows],
            self.times[rows],
            self.segments[rows],
            self.unit,
        )

    def until(self, step: int) -> Signal:
        """The rows up to and including `step`; views of this signal's arrays where the steps rise."""
        return self.where(slice(0, int(np.searchsorted(self.steps, step, side="right"))) if self.rising else self.steps <= step)

    def after(self, step: int) -> Signal:
        """The rows beyond `step`."""
        return self.where(self.steps > step)


@dataclass(frozen=True, eq=False)
class Run:
    """What was logged in one training run.

    `planned_steps` is what the run set out to do (None if unknown), `reached_step` the newest evidence of a step, `finished` whether the
    sources say that it ended by itself (None if they do not say), `complete_evidence` whether anything beyond a checkpoint's state tells
    of the end. `step_is` names the x axis: step, epoch, or call. `foreign_checkpoints` are the steps of checkpoints of other runs in its
    directory. `assumed_loss`: no table knows the column that is taken for `train/loss`.
    """

    name: str
    path: str
    signals: Mapping[str, Signal] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    checkpoints: tuple[Checkpoint, ...] = ()
    events: tuple[LogEvent, ...] = ()
    faults: tuple[Fault, ...] = ()
    sources: tuple[SourceNote, ...] = ()
    planned_steps: int | None = None
    planned_epochs: float | None = None
    reached_step: int | None = None
    finished: bool | None = None
    early_stopped: bool = False
    evidence_beyond_state: bool = False
    best_step: int | None = None
    foreign_checkpoints: tuple[int, ...] = ()
    assumed_loss: bool = False
    step_is: str = "step"
    framework: str = ""
    task: str = ""
    notes: tuple[str, ...] = ()

    def signal(self, name: str) -> Signal | None:
        """The signal, or None where it was not logged or holds no row."""
        found = self.signals.get(name)
        return found if found is not None and len(found) else None

    def setting(self, name: str) -> Scalar:
        """The value of a setting, None where it is unknown."""
        found = self.settings.get(name)
        return None if found is None else found.value

    def number(self, name: str) -> float | None:
        """A setting as a number, None where it is unknown or not a number."""
        value = self.setting(name)
        if isinstance(value, bool) or value is None:
            return None
        try:
            return float(value)
        except ValueError:
            return None

    def until(self, step: int) -> Run:
        """The run as it was known at `step`: signals cut, nothing known of the end."""
        cut = {name: signal.until(step) for name, signal in self.signals.items()}
        return replace(self, signals=cut, reached_step=step, finished=None, early_stopped=False, events=(), evidence_beyond_state=False)

    def eval_losses(self) -> Iterator[Signal]:
        """The eval loss, or the losses of several eval sets where there is no common one."""
        if (main := self.signal("eval/loss")) is not None:
            yield main
            return
        for name in sorted(self.signals):
            if name.startswith("eval/") and name.endswith("/loss") and len(self.signals[name]):
                yield self.signals[name]

    def loss_candidates(self) -> tuple[Signal, ...]:
        """The training losses under names that no table knows, totals first: what may be meant where there is no `train/loss`."""
        from lossdoctor.run.candidates import candidates

        return candidates(self.signals)

    def loss_like(self) -> tuple[Signal, ...]:
        """Every signal whose name says loss, of training or evaluation, known or not: NaN in any of them is a finding."""
        from lossdoctor.run.candidates import loss_like

        return loss_like(self.signals)

    @cached_property
    def loss_parts(self) -> LossParts | None:
        """The losses of training that add up to another one; None where none do. Two networks that play against each other do not."""
        from lossdoctor.run.candidates import parts

        return parts(self.signals)

    @cached_property
    def first_step(self) -> int:
        return min((int(s.steps.min()) for s in self.signals.values() if len(s)), default=0)

    @cached_property
    def window(self) -> bool:
        """Whether the log begins in the middle of a run: its first row lies further from step 0 than ten of its own intervals."""
        loss = self.signal("train/loss") or self.signal("eval/loss")
        if loss is None or len(loss) < 2:
            return False
        interval = float(np.median(np.abs(np.diff(loss.steps))))
        return bool(loss.steps[0] > 10 * max(interval, 1.0))

    @cached_property
    def last_step(self) -> int:
        logged = max(
            (int(s.steps.max()) for name, s in self.signals.items() if len(s) and not name.startswith(("gpu/", "host/"))), default=0
        )
        return max(logged, self.reached_step or 0)

    @property
    def unit(self) -> str:
        """What the x axis counts, in words."""
        return "log call" if self.step_is == "call" else self.step_is

    @cached_property
    def points(self) -> int:
        return sum(len(s) for s in self.signals.values())

    @cached_property
    def history(self) -> pd.DataFrame:
        """All signals as one tidy DataFrame: signal (category), step, epoch, time, value, segment; grouped by signal, in logging order."""
        from lossdoctor.run.frame import tidy

        return tidy(self.signals)
