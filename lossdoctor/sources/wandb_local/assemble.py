"""The one place where columns, config, system metrics and the end of a run become a Log; the local readers and the service's share it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault, LogEvent
from lossdoctor.run.log import Log
from lossdoctor.sources.wandb_local import stats
from lossdoctor.sources.wandb_local.config import SOURCE, planned, settings
from lossdoctor.sources.wandb_local.history import STEP_KEYS, Columns, axis, series

Samples = Iterable[tuple[float, Mapping[str, object]]]
Extra = dict[str, float | int | str | None]


def log(
    path: Path,
    name: str,
    columns: Columns,
    limits: Limits,
    *,
    kind: str = "wandb",
    config: Mapping[str, Any] | None = None,
    samples: Samples = (),
    events: tuple[LogEvent, ...] = (),
    faults: tuple[Fault, ...] = (),
    started: float | None = None,
    ended: bool | None = None,
    extra: Extra | None = None,
    notes: tuple[str, ...] = (),
    config_source: str = SOURCE,
) -> Log:
    """Build the Log of one run; raises `Unreadable` where it has more series or points than the limits allow.

    `started` is in seconds since the epoch, `samples` are system metrics by the clock. `ended` says whether the process ended without an
    error. That is a finished run, unless it is short of its planned steps: interrupted notebooks end without an error, too.
    """
    _check(columns, limits, path.name)
    place = axis(columns, started)
    given = settings(config or {}, config_source)
    steps, epochs = planned(config or {})
    found = series(columns, place)
    reached = int(place.steps.max()) if columns.rows and place.step_is == "step" else None
    short = steps is not None and reached is not None and reached < steps
    return Log(
        kind=kind,
        path=path,
        name=name,
        series=found + stats.series(samples, place),
        settings=given,
        events=events,
        faults=faults,
        planned_steps=steps,
        planned_epochs=epochs,
        finished=None if ended and short else ended,
        started=started,
        step_is=place.step_is,
        framework=_framework(columns, config or {}),
        reached_step=reached,
        notes=notes + _left_out(columns),
        extra=extra or {},
    )


def _check(columns: Columns, limits: Limits, name: str) -> None:
    if len(columns.cells) > limits.tags:
        raise Unreadable(f"{name}: {len(columns.cells)} series, over the limit of {limits.tags}")
    if columns.points > limits.points:
        raise Unreadable(f"{name}: {columns.points} points, over the limit of {limits.points}")


def _framework(columns: Columns, config: Mapping[str, Any]) -> str:
    if STEP_KEYS[0] in columns.cells or "transformers_version" in config:
        return "transformers"
    return "lightning" if STEP_KEYS[1] in columns.cells else ""


def _left_out(columns: Columns) -> tuple[str, ...]:
    if not columns.left_out:
        return ()
    names = ", ".join(sorted(columns.left_out)[:5]) + (", ..." if len(columns.left_out) > 5 else "")
    return (f"{columns.left_out.total()} history values are no numbers (text, images, tables) and were left out: {names}",)
