"""Joining the logs of one run: the same training often lies in a directory two or three times (state, events, WandB, stdout)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lossdoctor.model import LogEvent
from lossdoctor.run import Log, Series
from lossdoctor.run.candidates import is_loss
from lossdoctor.run.log import Floats, Ints
from lossdoctor.run.names import canonical
from lossdoctor.sources.same_run import agreeing, beside, is_copy, named, same_ending, same_run

_OWN_RUN = ("wandb", "wandb_api", "trainer_state", "tensorboard")
_OF_TRAINING = ("train/loss", "eval/loss", "reward")
_STREAMS = ("tensorboard", "wandb")


@dataclass(frozen=True)
class Group:
    """The logs of one run; `joined` is the one Log made of them."""

    members: tuple[Log, ...]

    @cached_property
    def joined(self) -> Log:
        return join(self.members)

    def remark(self, member: Log) -> str:
        if len(self.members) == 1:
            return "read"
        if any(is_copy(member, before) for before in self.members[: self.members.index(member)] if before.kind == member.kind):
            return "a copy"
        return "knows most" if member is _richest(self.members) else "joined: the same run"


def group(logs: Sequence[Log]) -> tuple[list[Group], list[Log]]:
    """Put logs of the same run together; return the runs, in the order of their first logs, and the logs that tell of none.

    A log without a curve of the training (a traceback, settings alone, the readings of a machine, samples that were scored) goes to the
    run it lies beside, or to the only run there is. A WandB run, a state or a log with anything in it that belongs to no other is a run of
    its own.
    """
    homes: list[list[Log]] = []
    telling = [one for one in logs if _has_curve(one) and _tells(one)] or [one for one in logs if _has_curve(one)]
    for log in sorted(telling, key=lambda one: -one.points):
        _put(log, homes, lambda member, log=log: not _siblings(log, member) and same_run(log, member))  # type: ignore[misc]
    left: list[Log] = []
    curves = len(homes)
    for log in logs:
        if any(log is one for one in telling):
            continue
        own = log.kind in _OWN_RUN
        if log.kind.startswith("wandb") and any(same_ending(log, member) for members in homes[:curves] for member in members):
            _put(log, homes, lambda member, log=log: same_ending(log, member))  # type: ignore[misc]
        elif not log.kind.startswith("wandb") and (home := _only(homes, log)) is not None:
            home.append(log)
        elif own or log.faults or log.events or log.points:
            homes.append([log])
        else:
            left.append(log)
    order = {id(log): index for index, log in enumerate(logs)}
    homes = [sorted(members, key=lambda one: order[id(one)]) for members in homes]
    return [Group(tuple(members)) for members in sorted(homes, key=lambda members: order[id(members[0])])], left


def _put(log: Log, homes: list[list[Log]], belongs: Callable[[Log], bool]) -> None:
    """Add a log to the home it belongs to, the one it lies beside where there are several; open a new one where there is none."""
    fitting = [members for members in homes if any(belongs(member) for member in members)]
    fitting.sort(key=lambda members: not any(beside(log, member) for member in members))
    if fitting:
        fitting[0].append(log)
    else:
        homes.append([log])


def _siblings(one: Log, other: Log) -> bool:
    """Whether two logs are trainings of one file: never the same one, however alike their losses are."""
    return one.path == other.path and one.kind == other.kind and one.kind != "tensorboard"


def _has_curve(log: Log) -> bool:
    """Whether there is more than the last values of a WandB summary."""
    return bool(log.points) and not (log.kind == "wandb" and all(len(series.steps) <= 1 for series in log.series))


def _tells(log: Log) -> bool:
    """Whether there is a loss, or a reward."""
    return any(is_loss(one.name) or canonical(one.name)[0] in _OF_TRAINING for one in log.series)


def _only(homes: list[list[Log]], log: Log) -> list[Log] | None:
    """The home of a log without a curve: the only one there is, or the only one that it lies beside."""
    if len(homes) == 1:
        return homes[0]
    near = [members for members in homes if any(beside(log, member) for member in members)]
    return near[0] if len(near) == 1 else None


def _richest(members: Sequence[Log]) -> Log:
    return max(members, key=lambda m: (m.points, m.kind == "tensorboard"))


def join(members: Sequence[Log]) -> Log:
    """One Log of several: of each signal the account with most points; steps from any; everything else from whoever knows it."""
    if len(members) == 1:
        return members[0]
    members = _in_sequence(members)
    base = _richest([m for m in members if m.step_is == "step"] or members)
    series: dict[str, Series] = {}
    for log in sorted((_on_steps_of(base, m) for m in members), key=lambda m: (-m.points, m.kind != "tensorboard", m.kind)):
        for one in log.series:
            key = canonical(one.name)[0]
            series[key] = _richer(series[key], one) if key in series else one
    finished = [m.finished for m in members if m.finished is not None]
    return replace(
        base,
        kind="merged" if len({m.kind for m in members}) > 1 else base.kind,
        series=tuple(series.values()),
        checkpoints=tuple(dict.fromkeys(c for m in members for c in m.checkpoints)),
        events=_events(members, base),
        faults=tuple(dict.fromkeys(f for m in members for f in m.faults)),
        planned_steps=next((m.planned_steps for m in members if m.planned_steps and m.planned_steps > 0), None),
        planned_epochs=next((m.planned_epochs for m in members if m.planned_epochs), None),
        finished=any(finished) if finished else None,
        early_stopped=any(m.early_stopped for m in members),
        reached_step=max((m.reached_step for m in members if m.reached_step is not None and m.step_is == base.step_is), default=None),
        best_step=next((m.best_step for m in members if m.best_step), None),
        started=min((m.started for m in members if m.started is not None), default=None),
        framework=next((m.framework for m in members if m.framework), ""),
        notes=tuple(dict.fromkeys(n for m in members for n in m.notes)),
    )


def _events(members: Sequence[Log], base: Log) -> tuple[LogEvent, ...]:
    """The events of all logs, each once: a console log and WandB's copy of it hold the same lines."""
    found: dict[tuple[str, str, str], LogEvent] = {}
    for member in members:
        for event in member.events:
            line = event.where.rpartition(":")[2]
            found.setdefault((event.kind, event.text, line), _placed(event, member, base))
    return tuple(found.values())


def _placed(event: LogEvent, log: Log, base: Log) -> LogEvent:
    """An event whose step counts printed rows, moved to the real step of that row."""
    loss = named(base, "train/loss")
    if log.step_is != "call" or event.step is None or base.step_is == "call" or loss is None or not len(loss.steps):
        return event
    return replace(event, step=int(loss.steps[min(max(event.step, 1), len(loss.steps)) - 1]))


def _on_steps_of(base: Log, log: Log) -> Log:
    """A log that counts rows, epochs or calls, placed on the steps of one that knows them, by the losses that both hold."""
    if log.step_is == base.step_is or base.step_is != "step":
        return log
    mine, theirs = (next(filter(None, (named(one, s) for s in ("train/loss", "eval/loss"))), None) for one in (log, base))
    n = 0 if mine is None or theirs is None else min(len(mine.steps), len(theirs.steps))
    if mine is None or theirs is None or n < 2 or agreeing(mine, theirs, 1e-3, ordered=True) is None:
        return replace(log, series=())
    counted, steps = mine.steps[:n], theirs.steps[:n]
    if not (np.diff(counted) > 0).all():
        return replace(log, series=())
    moved = (replace(s, steps=np.round(np.interp(s.steps, counted, steps)).astype(np.int64)) for s in log.series)
    return replace(log, series=tuple(moved))


def _in_sequence(members: Sequence[Log]) -> Sequence[Log]:
    """Event logs (or WandB runs) of one run that follow each other, a resume, become one, in the order in which they were written."""
    joined = list(members)
    for kind in _STREAMS:
        streams: list[Log] = []
        for member in sorted((m for m in members if m.kind == kind and m.points), key=lambda m: m.started or 0.0):
            if not any(is_copy(member, one) for one in streams):
                streams.append(member)
        if len(streams) > 1:
            names = dict.fromkeys(s.name for log in streams for s in log.series)
            series = tuple(_concatenated(name, streams) for name in names)
            one = replace(streams[-1], series=series, started=streams[0].started)
            joined = [one, *[m for m in joined if m.kind != kind or not m.points]]
    return joined


def _concatenated(name: str, logs: Sequence[Log]) -> Series:
    parts = [s for log in logs for s in log.series if s.name == name]
    steps, values, epochs, times = (np.concatenate([getattr(p, field) for p in parts]) for field in ("steps", "values", "epochs", "times"))
    return Series(name, steps, values, epochs, times, parts[0].unit)


def _richer(one: Series, other: Series) -> Series:
    """The account with more points; what it lacks in epochs or wall times is taken from the other at the same steps."""
    more, less = (one, other) if len(one.steps) >= len(other.steps) else (other, one)
    epochs, times = (_filled(more.steps, getattr(more, field), less.steps, getattr(less, field)) for field in ("epochs", "times"))
    return replace(more, epochs=epochs, times=times)


def _filled(steps: Ints, values: Floats, at: Ints, known: Floats) -> Floats:
    if not np.isnan(values).all() or np.isnan(known).all():
        return values
    _, last = np.unique(at[::-1], return_index=True)
    unique, of = np.unique(at), known[::-1][last]
    place = np.clip(np.searchsorted(unique, steps), 0, len(unique) - 1)
    return np.where(unique[place] == steps, of[place], np.nan)
