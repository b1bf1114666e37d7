"""A path -> the Logs of the runs whose event files lie there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.run.log import Log
from lossdoctor.sources.tensorboard import runs
from lossdoctor.sources.tensorboard.assemble import log
from lossdoctor.sources.tensorboard.discover import Found, discover
from lossdoctor.sources.tensorboard.eventfile import EventFile, read_file


def read(path: Path, limits: Limits = LIMITS, files: Sequence[Path] | None = None) -> list[Log]:
    """Read an event file, or all event files below a directory; one Log a run, none where there are none.

    `files` are the event files below the directory where the caller has looked for them already. A file that cannot be read at all gives
    a Log of its own, without series and with a fatal fault. Raises `PathMissing`, and `Unreadable` for a single file that is no event file.
    """
    if not path.is_dir():
        file = read_file(path, limits)
        return _logs([file], path.parent, Found(files=[path]))
    found = discover(path, limits) if files is None else Found(files=list(files))
    held, refused = [], []
    for place in found.files:
        try:
            held.append(read_file(place, limits))
        except Unreadable as error:
            kind = "lfs-pointer" if "git-lfs" in str(error) else "unreadable"
            refused.append(Log("tensorboard", place, _name(place, path), faults=(Fault(kind, place.name, str(error), Loss.FATAL),)))
    logs = [*_logs(held, path, found), *refused]
    return logs if logs or not found.faults else [Log("tensorboard", path, _name(path, path), faults=tuple(found.faults))]


def _logs(files: list[EventFile], root: Path, found: Found) -> list[Log]:
    drafts = runs.group(files, root)
    crowded = Counter(draft.directory for draft in drafts)
    logs = []
    for draft in drafts:
        alone = crowded[draft.directory] == 1
        place = draft.files[0].path if len(draft.files) == 1 else draft.directory
        name = _name(draft.directory, root)
        logs.append(log(draft, place, name if alone else f"{name} {_clock(draft.start)}"))
    if logs and (found.faults or found.notes):
        logs[0] = replace(logs[0], faults=(*logs[0].faults, *found.faults), notes=(*logs[0].notes, *found.notes))
    return logs


def _name(place: Path, root: Path) -> str:
    return place.relative_to(root).as_posix() if place != root else root.name or str(root)


def _clock(start: float) -> str:
    """When a run began, in UTC, to tell the runs of one directory apart."""
    try:
        return datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return f"at {start:g}"
