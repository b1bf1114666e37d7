"""What one source tells of one run, before names are made canonical and several logs are joined."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.model import Checkpoint, Fault, LogEvent, Setting

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One logged series under its raw name, in logging order, nothing dropped.

    `steps` int64, `values` float64 (NaN and Inf are data), `epochs` and `times` (seconds since the Unix epoch) float64 with NaN where
    unknown; all of shape (n,). `unit` is that of the last decimal in which its zeros were printed, NaN where unknown.
    """

    name: str
    steps: Ints
    values: Floats
    epochs: Floats
    times: Floats
    unit: float = math.nan

    @classmethod
    def of(
        cls, name: str, steps: npt.ArrayLike, values: npt.ArrayLike, epochs: npt.ArrayLike | None = None, times: npt.ArrayLike | None = None
    ) -> Series:
        """Build a series from any sequences; a missing epochs or times becomes all NaN."""
        where = np.asarray(steps, dtype=np.int64)
        unknown = np.full(where.shape, np.nan)
        return cls(
            name,
            where,
            np.asarray(values, dtype=np.float64),
            unknown if epochs is None else np.asarray(epochs, dtype=np.float64),
            unknown if times is None else np.asarray(times, dtype=np.float64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """One source's account of one run.

    `kind` is trainer_state, tensorboard, wandb, wandb_api, jsonl, csv or text. `planned_steps` and `planned_epochs` are what the run set
    out to do; `finished` is True or False only where the source itself says so (an end row, should_training_stop, an exit code), else None.
    `started` is the first wall time. `step_is` names the x axis: step, epoch or call (a counter of log calls).
    """

    kind: str
    path: Path
    name: str
    series: tuple[Series, ...] = ()
    settings: tuple[Setting, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    events: tuple[LogEvent, ...] = ()
    faults: tuple[Fault, ...] = ()
    planned_steps: int | None = None
    planned_epochs: float | None = None
    finished: bool | None = None
    early_stopped: bool = False
    reached_step: int | None = None
    best_step: int | None = None
    started: float | None = None
    step_is: str = "step"
    framework: str = ""
    notes: tuple[str, ...] = ()
    extra: dict[str, float | int | str | None] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return sum(len(s.steps) for s in self.series)
