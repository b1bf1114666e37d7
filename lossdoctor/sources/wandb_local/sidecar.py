"""The files that stand beside a `.wandb` file: files/output.log, files/config.yaml, files/wandb-summary.json, files/wandb-metadata.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import LogEvent
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.log_events import find as find_events
from lossdoctor.sources.settings import yaml_subset

_SMALL = 16 << 20


def find(directory: Path, name: str) -> Path | None:
    """The regular file of this name in files/ or, as writers to 0.9 had it, in the run directory itself; links are not followed."""
    return next((path for path in (directory / "files" / name, directory / name) if not path.is_symlink() and path.is_file()), None)


def text(path: Path | None, limits: Limits) -> str:
    """The text of a file, empty where there is none; bytes that are no UTF-8 become U+FFFD."""
    if path is None:
        return ""
    try:
        return read_bytes(path, limits.file_bytes).decode(errors="replace")
    except (Unreadable, PathMissing):
        return ""


def json_object(path: Path | None) -> dict[str, Any]:
    """A small JSON file that holds an object; empty where there is none or it cannot be read."""
    if path is None:
        return {}
    try:
        value = json.loads(read_bytes(path, _SMALL))
    except (Unreadable, PathMissing, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def config(path: Path | None) -> dict[str, Any]:
    """The values of a `config.yaml`: every key of it holds a mapping with `value`. Empty where it cannot be read."""
    if path is None:
        return {}
    try:
        found = yaml_subset.load(read_bytes(path, _SMALL).decode(errors="replace"))
    except (Unreadable, PathMissing):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): entry["value"] for key, entry in found.items() if isinstance(entry, dict) and "value" in entry}


def events(directory: Path, limits: Limits) -> tuple[LogEvent, ...]:
    """What the run's console output says in words, from files/output.log."""
    path = find(directory, "output.log")
    return log_events(text(path, limits), str(path))


def log_events(content: str, where: str) -> tuple[LogEvent, ...]:
    """Log events in a text, with their line numbers."""
    return find_events(content.split("\n"), where) if content else ()


def hardware(metadata: Mapping[str, Any]) -> dict[str, float | int | str | None]:
    """GPU name and count from wandb-metadata.json."""
    gpu, count = metadata.get("gpu"), metadata.get("gpu_count")
    return ({"gpu": gpu} if isinstance(gpu, str) else {}) | ({"gpu_count": count} if isinstance(count, int) else {})


def summary(directory: Path | None) -> dict[str, Any]:
    """files/wandb-summary.json; writers from 0.31 leave none for an offline run."""
    return json_object(find(directory, "wandb-summary.json")) if directory else {}
