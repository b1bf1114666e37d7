"""The files that stand beside a `.wandb` file: files/output.log, files/config.yaml, files/wandb-summary.json, files/wandb-metadata.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import LogEvent
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.log_events import find as find_events

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
    """The values of a `config.yaml`; refused as a whole where it uses aliases, which is how YAML bombs are made."""
    if path is None:
        return {}
    import yaml  # type: ignore[import-untyped, unused-ignore]

    class Loader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
        """Takes `5e-05` for a number, as JSON and YAML 1.2 do; YAML 1.1 wants a dot there, and WandB writes none."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), list("-+0123456789"))
    try:
        source = read_bytes(path, _SMALL).decode(errors="replace")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(source, Loader)):
            return {}
        value = yaml.load(source, Loader)  # noqa: S506 - a SafeLoader with one more spelling of a number
    except (Unreadable, PathMissing, yaml.YAMLError, RecursionError, ValueError, TypeError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {str(key): entry["value"] for key, entry in value.items() if isinstance(entry, dict) and "value" in entry}


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
