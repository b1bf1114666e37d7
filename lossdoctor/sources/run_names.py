"""Readable names for the runs of a path, each different: a report of several runs is of no use where two are called the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lossdoctor.run import Log
from lossdoctor.sources.text_lines import run_name

_PLACES = ("checkpoint-", "runs", "logs", "files", "wandb", "lightning_logs")
_MADE_UP = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-|wandb$|files$|$")
_OUTPUTS = {"out", "output", "outputs", "results", "tmp"}
_NAMED_FILES = {".csv", ".tsv", ".jsonl", ".log", ".txt", ".out", ".err"}
STDIN = Path("-")


def names(runs: Sequence[Sequence[Log]], root: Path) -> list[str]:
    """One name a run, given the logs of each: its own; where several share one, with where it lies, what its log is called, or a number.

    The only run of a directory is called like the directory.
    """
    if len(runs) == 1 and root.is_dir() and not _is_vague(root.resolve().name):
        return [root.resolve().name]
    own = [_own(members, root) for members in runs]
    found = list(own)
    for name in dict.fromkeys(own):
        places = [place for place, other in enumerate(own) if other == name]
        if len(places) > 1:
            for place, told in zip(places, _told([runs[place] for place in places], root), strict=True):
                found[place] = f"{name} ({told})"
    return found


def _is_vague(name: str) -> bool:
    return name.lower().startswith(_PLACES) or name.lower() in _OUTPUTS or _MADE_UP.match(name) is not None


def _told(runs: Sequence[Sequence[Log]], root: Path) -> list[str]:
    """What tells runs of one name apart."""
    for tell in (_training, _where, _called):
        told = [tell(members, root) for members in runs]
        if len(set(told)) == len(told):
            return told
    return [f"{number} of {len(runs)}" for number in range(1, len(runs) + 1)]


def _own(members: Sequence[Log], root: Path) -> str:
    """The name that WandB knows, else the directory or the file of the first log; never checkpoint-N or a name that every run has."""
    known = next((m for m in members if m.kind.startswith("wandb") and not _MADE_UP.match(m.name)), None)
    if known is not None:
        return known.name.replace("\\", "/").rstrip("/").rpartition("/")[2]  # transformers calls it like the output directory
    first = members[0].path
    if first == STDIN:
        return "stdin"
    if first.is_file() and first.suffix in _NAMED_FILES:
        return first.name if first == root else run_name(first)
    place = first.parent if first.is_file() else first
    while _is_vague(place.name) and place not in {root, place.parent}:
        place = place.parent
    return place.name or place.resolve().name


def _where(members: Sequence[Log], root: Path) -> str:
    """The place of the first log below the root."""
    first = members[0].path
    place = first.parent if first.is_file() else first
    return place.relative_to(root).as_posix() if place.is_relative_to(root) and place != root else first.name


def _training(members: Sequence[Log], _: Path) -> str:
    """Which of the trainings of one log it is."""
    return str(members[0].extra.get("training", ""))


def _called(members: Sequence[Log], _: Path) -> str:
    return members[0].name
