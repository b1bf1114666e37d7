"""The event files below a directory, told by name or by their first bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from lossdoctor.limits import Limits
from lossdoctor.model import Fault
from lossdoctor.sources.files import head
from lossdoctor.sources.tensorboard.crc import HEADER, declared_length
from lossdoctor.sources.tensorboard.events import VERSION

NAME = "tfevents"
SNIFF = 64
SKIPPED = {".git", "__pycache__", "node_modules", ".venv", "site-packages", ".ipynb_checkpoints"}


@dataclass(slots=True)
class Found:
    """Event files in a stable order, with what was passed over and why (`notes`) and what could not be looked into (`faults`)."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    entries: int = 0


def looks_like(name: str, first: bytes) -> bool:
    """Whether a file of this name and these first bytes (64 suffice) is an event file: a version record, or `tfevents` in the name."""
    return NAME in name or (declared_length(first[:HEADER]) is not None and VERSION in first[HEADER:])


def discover(root: Path, limits: Limits) -> Found:
    """Walk `root`; links are not followed, only regular files are opened."""
    found = Found()
    _walk(root, limits, found, 0)
    return found


def _walk(directory: Path, limits: Limits, found: Found, depth: int) -> None:
    try:
        with os.scandir(directory) as listing:
            entries = sorted(listing, key=lambda entry: (entry.is_dir(follow_symlinks=False), entry.name))
    except OSError as error:
        found.faults.append(Fault("unreadable-directory", str(directory), f"the directory cannot be listed: {error.strerror}"))
        return
    for entry in entries:
        found.entries += 1
        if found.entries > limits.directory_entries:
            detail = f"more than {limits.directory_entries:,} files; the rest was not looked at"
            _once(found, Fault("too-many-entries", str(directory), detail))
            return
        if entry.is_dir(follow_symlinks=False):
            if entry.name in SKIPPED:
                continue
            if depth >= limits.directory_depth:
                _once(found, Fault("too-deep", entry.path, f"more than {limits.directory_depth} directories deep; not looked into"))
            else:
                _walk(Path(entry.path), limits, found, depth + 1)
        else:
            _take(entry, found)


def _once(found: Found, fault: Fault) -> None:
    if fault.kind not in {known.kind for known in found.faults}:
        found.faults.append(fault)


def _take(entry: os.DirEntry[str], found: Found) -> None:
    named = NAME in entry.name
    if not entry.is_file(follow_symlinks=False):
        if named:
            found.notes.append(f"{entry.name}: ignored, not a regular file (links are not followed)")
    elif entry.name.startswith("._"):
        if named:
            found.notes.append(f"{entry.name}: ignored, a macOS companion file")
    elif named or looks_like(entry.name, head(Path(entry.path), SNIFF)):
        found.files.append(Path(entry.path))
