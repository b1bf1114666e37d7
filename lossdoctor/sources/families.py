"""Several trainings in one directory of event files or one WandB history -> one Log each, named together; short attempts are only told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lossdoctor.run.log import Log, Series
from lossdoctor.sources.merge import Group
from lossdoctor.sources.trainings import main_series, starts

STUB = 2  # rows at most: an attempt that was started and stopped
_FOLLOWING = ("tensorboard", "wandb", "wandb_api")


def split(log: Log) -> list[Log]:
    """The trainings of a log whose rows were written one after the other, each a Log; the log itself where it holds one."""
    loss = main_series(log.series) if log.kind in _FOLLOWING else None
    found = starts(loss.steps, loss.values, loss.epochs, np.full(len(loss.steps), np.nan)) if loss is not None else []
    if loss is None or not found:
        return [log]
    times = loss.times[found]
    owners = [_owners(one, times, len(found)) for one in log.series]
    pieces = []
    for number in range(len(found) + 1):
        series = tuple(_rows(one, of == number) for one, of in zip(log.series, owners, strict=True) if (of == number).any())
        last = number == len(found)
        pieces.append(
            replace(
                log,
                series=series,
                events=log.events if last else (),
                finished=log.finished if last else None,
                early_stopped=log.early_stopped and last,
                reached_step=max(int(one.steps.max()) for one in series),
                started=_first_time(series),
            )
        )
    return pieces


def is_stub(log: Log) -> bool:
    """Whether a log holds a row or two of its loss and nothing went wrong in reading it."""
    return bool(log.series) and _extent(log) <= STUB and not log.faults


@dataclass(frozen=True, slots=True)
class Family:
    """The trainings that were written into one directory of event files, or into one log, and the attempts beside them that are no more
    than a row or two."""

    groups: tuple[Group, ...]
    stubs: tuple[Log, ...] = ()

    @property
    def one_log(self) -> bool:
        """Whether everything was written into the same files."""
        return len({log.path for group in self.groups for log in group.members[:1]}) == 1 and not self.stubs

    def notes(self, kind: str) -> tuple[str, ...]:
        """What is said of the others with each training."""
        count, found = len(self.groups), []
        if count > 1:
            found.append(f"the {kind} holds {count} trainings, one after the other: each has a diagnosis of its own")
        if self.stubs:
            told = "; ".join(_told(stub) for stub in self.stubs[:3]) + ("; and others" if len(self.stubs) > 3 else "")
            found.append(f"short attempts beside it, which are not judged: {told}")
        return tuple(found)


def families(groups: Sequence[Group]) -> list[Family]:
    """Put the trainings of one directory of event files, and those of one log, together, in the order of their first ones."""
    homes: dict[object, list[Group]] = {}
    for number, one in enumerate(groups):
        homes.setdefault(_home(one, number), []).append(one)
    found = []
    for members in homes.values():
        stubs = [one for one in members if len(one.members) == 1 and is_stub(one.members[0])]
        real = [one for one in members if one not in stubs]
        found.append(Family(tuple(real), tuple(one.members[0] for one in stubs)) if real else Family(tuple(members)))
    return found


def named(families: Sequence[Family], names: Sequence[str]) -> list[tuple[Group, str, tuple[str, ...]]]:
    """Each training with its name, given those of the families, and with what is said of its siblings."""
    found = []
    for family, name in zip(families, names, strict=True):
        count = len(family.groups)
        notes = family.notes("directory" if family.groups[0].members[0].kind == "tensorboard" else "log")
        for number, one in enumerate(family.groups, 1):
            found.append((one, f"{name} (training {number} of {count})" if count > 1 else name, notes))
    return found


def _home(one: Group, number: int) -> object:
    """What trainings of one family have in common; the run's own number where it shares nothing."""
    if len({member.kind for member in one.members}) > 1:
        return number
    first = one.members[0]
    if first.kind == "tensorboard":
        return first.kind, first.path.parent if first.path.suffix or "tfevents" in first.path.name else first.path
    return (first.kind, first.path, first.name) if first.kind in ("text", *_FOLLOWING) else number


def _extent(log: Log) -> int:
    """The rows of the loss, or of whatever was logged most where there is none."""
    loss = main_series(log.series)
    return len(loss.steps) if loss is not None else max(len(one.steps) for one in log.series)


def _told(log: Log) -> str:
    """A short attempt in words: its file where it has one of its own, its rows and its last step."""
    rows, last = _extent(log), max(int(one.steps.max()) for one in log.series)
    return f"{log.name}: {rows} row{'s' if rows > 1 else ''} until {log.step_is} {last}"


def _owners(one: Series, times: npt.NDArray[np.float64], last: int) -> npt.NDArray[np.int64]:
    """The training of each row of a series: by the wall times at which they began, else one more wherever its own steps do not rise."""
    if np.isfinite(times).all() and np.isfinite(one.times).all():
        return np.asarray(np.searchsorted(times, one.times, side="right"), dtype=np.int64)
    falls = np.cumsum(np.concatenate(([0], np.diff(one.steps) <= 0)))
    return np.asarray(np.minimum(falls, last), dtype=np.int64)


def _rows(one: Series, own: npt.NDArray[np.bool_]) -> Series:
    return Series(one.name, one.steps[own], one.values[own], one.epochs[own], one.times[own])


def _first_time(series: Iterable[Series]) -> float | None:
    known = [float(np.nanmin(one.times)) for one in series if np.isfinite(one.times).any()]
    return min(known, default=None)
