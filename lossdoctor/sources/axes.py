"""Which key of a row is the step, the epoch, the time, the planned total: the names that training scripts use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

# In order of preference: a trainer's own counter before a logger's counter of calls.
STEP = (
    "global_step",
    "trainer/global_step",
    "train/global_step",
    "step",
    "steps",
    "current_steps",
    "current_step",
    "train_step",
    "training_step",
    "optimizer_step",
    "num_updates",
    "train_num_updates",
    "valid_num_updates",
    "test_num_updates",
    "iteration",
    "iterations",
    "iter",
    "iters",
    "it",
    "update",
    "updates",
    "_step",
    "time/total_timesteps",
    "total_timesteps",
    "timesteps_total",
    "timesteps",
    "timestepssofar",
    "total_timesteps_so_far",
    "time/iterations",
    "itr",
    "n_iter",
    "num_iter",
    "i",
    "total/steps",
    "episode",
    "episodes",
)
EPOCH = ("epoch", "epochs", "train/epoch", "current_epoch", "trainer/epoch")
TIME = ("_timestamp", "timestamp", "wall_time", "walltime", "datetime", "date", "time")
TOTAL = ("total_steps", "max_steps", "total_iters", "max_iters", "total_iterations", "num_steps", "train_iters")
# 1990 and 5138: smaller numbers are durations, larger ones milliseconds.
_SINCE, _LATEST = 631_152_000.0, 1e11


def folded(name: str) -> str:
    """A key as the tables above write it."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def first(names: Iterable[str], table: tuple[str, ...]) -> str | None:
    """The name that comes first in a table of preference, in its own spelling."""
    spelling = {folded(name): name for name in reversed(list(names))}
    return next((spelling[wanted] for wanted in table if wanted in spelling), None)


def wall_time(value: float | str) -> float | None:
    """Seconds since the Unix epoch of a number (s or ms) or an ISO date; None for a duration or anything else.

    Dates without a zone are read as UTC.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip().replace(",", "."))
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not _SINCE <= value < _LATEST * 1e3:
        return None
    seconds = value / 1e3 if value >= _LATEST else value
    return seconds if seconds >= _SINCE else None
