"""HuggingFace `trainer_state.json`: one file -> one Log, and the states of one output directory -> runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Setting
from lossdoctor.run.log import Log, Series
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.state_columns import Columns, number, whole
from lossdoctor.sources.state_json import decode

_TELLING = (b'"log_history"', b'"best_metric"', b'"best_global_step"', b'"best_model_checkpoint"')
_STATE_SETTINGS = ("max_steps", "num_train_epochs", "logging_steps", "eval_steps", "save_steps", "train_batch_size")


def looks_like(head: bytes) -> bool:
    """Whether the first bytes of a JSON file can be a trainer state: its keys are sorted, so log_history may come late."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"{") and any(key in head for key in _TELLING)


def read(path: Path, limits: Limits = LIMITS, data: bytes | None = None) -> Log:
    """Read one state file (or its `data`); raises `Unreadable` where it is no trainer state at all or beyond the limits."""
    columns = Columns(path.name, limits)
    state, faults = decode(read_bytes(path, limits.json_bytes) if data is None else data, path.name, columns)
    if not isinstance(state.get("global_step", 0), int | float):
        raise Unreadable(f"{path.name}: not a HuggingFace trainer state (global_step is no number)")
    step = whole(state.get("global_step"))
    planned = whole(state.get("max_steps"))
    stopped, early = _ending(state, step, planned)
    return Log(
        kind="trainer_state",
        path=path,
        name=path.parent.name or path.name,
        series=columns.series(),
        settings=_settings(state),
        faults=faults,
        planned_steps=planned,
        planned_epochs=number(state.get("num_train_epochs")),
        finished=stopped,
        early_stopped=early,
        reached_step=step,
        best_step=_best_step(state),
        framework="transformers",
        notes=columns.notes(),
    )


def _settings(state: Mapping[str, Any]) -> tuple[Setting, ...]:
    found = []
    for name in _STATE_SETTINGS:
        value = state.get(name)
        known = number(value)
        if known is not None and math.isfinite(known) and abs(known) < 1e15 and not isinstance(value, str):
            found.append(Setting(name, value, "trainer_state.json"))
    return tuple(found)


def _ending(state: Mapping[str, Any], step: int | None, planned: int | None) -> tuple[bool | None, bool]:
    """(finished, early stopped): the control's should_training_stop before the plan's end is an early stop."""
    callbacks = state.get("stateful_callbacks")
    control = callbacks.get("TrainerControl") if isinstance(callbacks, dict) else None
    args = control.get("args") if isinstance(control, dict) else None
    stop = args.get("should_training_stop") if isinstance(args, dict) else None
    at_end = step is not None and planned is not None and 0 < planned <= step
    if at_end:
        return True, False
    return (True, True) if stop is True else (None, False)


def _best_step(state: Mapping[str, Any]) -> int | None:
    step = whole(state.get("best_global_step"))
    if step:
        return step
    name = state.get("best_model_checkpoint")
    tail = name.replace("\\", "/").rstrip("/").rpartition("-")[2] if isinstance(name, str) else ""
    return int(tail) if tail.isdecimal() and len(tail) < 16 else None


def is_prefix(shorter: Log, longer: Log) -> bool:
    """Whether one log_history is the beginning of the other: then both are states of the same run."""
    if _length(shorter) > _length(longer) or not shorter.series:
        return not shorter.series
    others = {s.name: s for s in longer.series}
    return all(_is_prefix(series, others.get(series.name)) for series in shorter.series)


def _is_prefix(one: Series, other: Series | None) -> bool:
    n = len(one.steps)
    return (
        other is not None
        and len(other.steps) >= n
        and bool(np.array_equal(one.steps, other.steps[:n]) and np.array_equal(one.values, other.values[:n], equal_nan=True))
    )


def _length(log: Log) -> int:
    return max((len(s.steps) for s in log.series), default=0)


def newest_of_each_run(logs: Iterable[Log]) -> list[tuple[Log, tuple[Log, ...]]]:
    """Group the states of one output directory into runs; return each run's longest state with the older ones."""
    runs: list[tuple[Log, list[Log]]] = []
    for log in sorted(logs, key=lambda one: (-_length(one), -one.points, -(one.reached_step or 0), str(one.path))):
        home = next((run for run in runs if is_prefix(log, run[0])), None)
        if home is None:
            runs.append((log, []))
        else:
            home[1].append(log)
    return [(newest, tuple(older)) for newest, older in runs]


def joined_copies(runs: Iterable[tuple[Log, tuple[Log, ...]]]) -> list[tuple[Log, tuple[Log, ...]]]:
    """Make one of the runs of several directories of which one log_history is the beginning of the other: copies of one run.

    Less than three entries may be alike by accident.
    """
    found: list[tuple[Log, tuple[Log, ...]]] = []
    for newest, older in sorted(runs, key=lambda run: -_length(run[0])):
        host = next((place for place, (log, _) in enumerate(found) if _length(newest) >= 3 and is_prefix(newest, log)), None)
        if host is None:
            found.append((newest, older))
        else:
            found[host] = (found[host][0], (*found[host][1], newest, *older))
    return sorted(found, key=lambda run: str(run[0].path))
