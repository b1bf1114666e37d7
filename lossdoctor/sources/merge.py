"""Joining the logs of one run: the same training often lies in a directory two or three times (state, events, WandB, stdout)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lossdoctor.model import LogEvent
from lossdoctor.run import Log, Series
from lossdoctor.run.names import canonical

ROUNDED = 1.01e-4  # transformers rounds losses to 4 digits after the point through 4.57
PRINTED = 6e-4  # and prints 4 significant digits from 5.0 on
SAME_SHARE = 0.9  # of the steps that both logs have, this share must hold the same loss


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
        return "knows most" if member is _richest(self.members) else "joined: the same run"

    def name(self, path: Path) -> str:
        """A readable name: the directory of the run, never just checkpoint-N or a file name that every run has."""
        named = next((m for m in self.members if m.kind.startswith("wandb") and m.name), None)
        if named is not None:
            return named.name
        first = self.members[0].path
        place = first.parent if (first.is_file() and first.suffix in {".json", ""}) or "tfevents" in first.name else first
        while place.name.lower().startswith(("checkpoint-", "runs", "logs")) and place not in (path, place.parent):
            place = place.parent
        if first.is_file() and first.suffix in {".csv", ".tsv", ".jsonl", ".log", ".txt"}:
            place = first
        return place.name or path.resolve().name


def group(logs: Sequence[Log]) -> list[Group]:
    """Put logs of the same run together: same losses at the same steps; a log without any curve goes to the only run there is."""
    curves = [log for log in logs if _loss(log) is not None or log.points]
    rest = [log for log in logs if not (_loss(log) is not None or log.points)]
    homes: list[list[Log]] = []
    for log in sorted(curves, key=lambda one: -one.points):
        home = next((members for members in homes if any(same_run(log, member) for member in members)), None)
        if home is None:
            homes.append([log])
        else:
            home.append(log)
    if not homes:
        homes = [[log] for log in rest[:1]]
        rest = rest[1:]
    for log in rest:
        if len(homes) == 1:
            homes[0].append(log)
        elif log.faults or log.events:
            homes.append([log])
    order = {id(log): index for index, log in enumerate(logs)}
    return [
        Group(tuple(sorted(members, key=lambda m: order[id(m)]))) for members in sorted(homes, key=lambda ms: min(order[id(m)] for m in ms))
    ]


def same_run(one: Log, other: Log) -> bool:
    """Whether two logs tell of the same run: of the steps that both hold, nearly all have the same loss (to 4 digits, as HF rounds)."""
    if one.kind == other.kind and one.kind in {"trainer_state", "wandb"}:
        return False
    if one.kind == other.kind == "tensorboard":
        return _resumes(one, other) or _resumes(other, one)
    a, b = _loss(one), _loss(other)
    if a is None or b is None:
        return _same_evals(one, other)
    return _agree(a, b, other, one)


def _resumes(first: Log, second: Log) -> bool:
    """Whether the second event log goes on where the first left off or earlier: in the same place, later, and not from the start."""
    a, b = _loss(first), _loss(second)
    if (
        a is None
        or b is None
        or first.path.parent != second.path.parent
        or first.started is None
        or second.started is None
        or second.started <= first.started
    ):
        return False
    interval = int(np.median(np.diff(a.steps))) if len(a.steps) > 1 else 1
    begins = int(b.steps[0])
    return bool(begins > a.steps[0] + 2 * interval and begins <= a.steps[-1] + 2 * max(interval, 1) and b.steps[-1] >= a.steps[-1])


def _agree(a: Series, b: Series, *logs: Log) -> bool:
    if any(log.step_is == "call" or log.kind == "text" for log in logs) and _same_sequence(a, b):
        return True  # log calls and printed lines have no step of their own
    shared, i, j = np.intersect1d(a.steps, b.steps, return_indices=True)
    if len(shared) < min(3, len(a.steps), len(b.steps)) or len(shared) == 0:
        return False
    return _share_equal(a.values[i], b.values[j], a, b, shared)


def _share_equal(x: np.ndarray, y: np.ndarray, a: Series, b: Series, shared: np.ndarray) -> bool:
    """A restart logs steps twice: then either row may be the one that the other log kept."""
    equal = _close(x, y)
    if not equal.all():
        for k in np.flatnonzero(~equal):
            equal[k] = _close(a.values[a.steps == shared[k]][:, None], b.values[b.steps == shared[k]][None, :]).any()
    return bool(equal.mean() >= SAME_SHARE)


def _same_sequence(a: Series, b: Series) -> bool:
    n = min(len(a.values), len(b.values))
    return n >= 3 and bool(_close(a.values[:n], b.values[:n], relative=PRINTED).mean() >= SAME_SHARE)


def _close(x: np.ndarray, y: np.ndarray, relative: float = 1e-4) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        near = np.abs(x - y) <= ROUNDED + relative * np.abs(y)
        return np.asarray(near | (np.isnan(x) & np.isnan(y)) | (x == y))


def _same_evals(one: Log, other: Log) -> bool:
    a, b = _named(one, "eval/loss"), _named(other, "eval/loss")
    return a is not None and b is not None and _agree(a, b, one, other)


def _loss(log: Log) -> Series | None:
    return _named(log, "train/loss")


def _named(log: Log, signal: str) -> Series | None:
    ranked = [(canonical(s.name)[1], index, s) for index, s in enumerate(log.series) if canonical(s.name)[0] == signal and len(s.steps)]
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _richest(members: Sequence[Log]) -> Log:
    return max(members, key=lambda m: (m.points, m.kind == "tensorboard"))


def join(members: Sequence[Log]) -> Log:
    """One Log of several: of each signal the account with most points; steps from any; everything else from whoever knows it."""
    if len(members) == 1:
        return members[0]
    members = _in_sequence(members)
    base = _richest([m for m in members if m.step_is != "call"] or members)
    series: dict[str, Series] = {}
    placed = [m for m in members if m.step_is != "call"] or list(members)  # counted rows are no steps where somebody knows the real ones
    for log in sorted(placed, key=lambda m: (-m.points, m.kind)):
        for one in log.series:
            key = canonical(one.name)[0]
            series[key] = _richer(series[key], one) if key in series else one
    finished = [m.finished for m in members if m.finished is not None]
    return replace(
        base,
        kind="merged" if len({m.kind for m in members}) > 1 else base.kind,
        series=tuple(series.values()),
        checkpoints=tuple(dict.fromkeys(c for m in members for c in m.checkpoints)),
        events=tuple(_placed(e, m, base) for m in members for e in m.events),
        faults=tuple(dict.fromkeys(f for m in members for f in m.faults)),
        planned_steps=next((m.planned_steps for m in members if m.planned_steps and m.planned_steps > 0), None),
        planned_epochs=next((m.planned_epochs for m in members if m.planned_epochs), None),
        finished=any(finished) if finished else None,
        early_stopped=any(m.early_stopped for m in members),
        reached_step=max((m.reached_step for m in members if m.reached_step is not None), default=None),
        best_step=next((m.best_step for m in members if m.best_step), None),
        started=min((m.started for m in members if m.started is not None), default=None),
        framework=next((m.framework for m in members if m.framework), ""),
        notes=tuple(dict.fromkeys(n for m in members for n in m.notes)),
    )


def _placed(event: LogEvent, log: Log, base: Log) -> LogEvent:
    """An event whose step counts printed rows, moved to the real step of that row."""
    loss = _loss(base)
    if log.step_is != "call" or event.step is None or base.step_is == "call" or loss is None or not len(loss.steps):
        return event
    return replace(event, step=int(loss.steps[min(max(event.step, 1), len(loss.steps)) - 1]))


def _in_sequence(members: Sequence[Log]) -> Sequence[Log]:
    """Event logs of one run that follow each other (a resume) become one, in the order in which they were written."""
    events = sorted((m for m in members if m.kind == "tensorboard" and m.points), key=lambda m: m.started or 0.0)
    if len(events) < 2:
        return members
    names = dict.fromkeys(s.name for log in events for s in log.series)
    joined = replace(
        events[-1], series=tuple(_concatenated(name, events) for name in names), started=events[0].started, settings=events[-1].settings
    )
    return [joined, *[m for m in members if m not in events]]


def _concatenated(name: str, logs: Sequence[Log]) -> Series:
    parts = [s for log in logs for s in log.series if s.name == name]
    return Series(name, *(np.concatenate([getattr(p, field) for p in parts]) for field in ("steps", "values", "epochs", "times")))


def _richer(one: Series, other: Series) -> Series:
    """The account with more points; what it lacks in epochs or wall times is taken from the other at the same steps."""
    more, less = (one, other) if len(one.steps) >= len(other.steps) else (other, one)
    return Series(
        more.name,
        more.steps,
        more.values,
        _filled(more.steps, more.epochs, less.steps, less.epochs),
        _filled(more.steps, more.times, less.steps, less.times),
    )


def _filled(steps: np.ndarray, values: np.ndarray, at: np.ndarray, known: np.ndarray) -> np.ndarray:
    if not np.isnan(values).all() or np.isnan(known).all():
        return values
    _, last = np.unique(at[::-1], return_index=True)
    unique, of = np.unique(at), known[::-1][last]
    place = np.clip(np.searchsorted(unique, steps), 0, len(unique) - 1)
    return np.where(unique[place] == steps, of[place], np.nan)
