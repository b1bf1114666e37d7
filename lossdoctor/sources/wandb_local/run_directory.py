"""Run directories -> Logs."""

from __future__ import annotations

import os
from pathlib import Path

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, LogEvent, Loss
from lossdoctor.run.log import Log
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.wandb_local import assemble, legacy, lockstep, records, sidecar
from lossdoctor.sources.wandb_local.config import SOURCE
from lossdoctor.sources.wandb_local.history import last_values

_MARKS = (legacy.HISTORY, "wandb-summary.json", "wandb-metadata.json")


def read(path: Path, limits: Limits = LIMITS) -> list[Log]:
    """Read a `.wandb` file, a run directory or a directory that holds runs at any depth: one Log a run, in the order of names.

    Links among the runs (`latest-run`) are not followed. A file that holds no run is a fatal fault on its Log; raises `Unreadable` where
    not one run could be read, `PathMissing` where the path does not exist.
    """
    logs = [_read_run(source, limits) for source in _sources(path, limits)]
    if not logs:
        raise Unreadable(f"{path.name}: no WandB run in this directory")
    if all(any(fault.loss is Loss.FATAL for fault in log.faults) and not (log.settings or log.events or log.extra) for log in logs):
        raise Unreadable("; ".join(fault.detail for log in logs[:3] for fault in log.faults if fault.loss is Loss.FATAL))
    return logs


def _sources(path: Path, limits: Limits) -> list[Path]:
    """The `.wandb` files at or below a path, and the run directories that have none; nothing below a run directory, no links."""
    if path.name == legacy.HISTORY:
        return [path.parent.parent if path.parent.name == "files" else path.parent]
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    seen = 0
    for parent, directories, files in os.walk(path):
        directory = Path(parent)
        seen += len(directories) + len(files)
        own = [directory / name for name in sorted(files) if name.endswith(".wandb") and _regular(directory / name)]
        if own or _is_run(directory):
            found += own or [directory]
            directories.clear()
        elif len(directory.relative_to(path).parts) >= limits.directory_depth or seen > limits.directory_entries:
            directories.clear()
        directories.sort()
    return found[: limits.runs]


def _regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_run(directory: Path) -> bool:
    if any(sidecar.find(directory, name) for name in _MARKS):
        return True
    return directory.name.startswith(("run-", "offline-run-")) and sidecar.find(directory, "config.yaml") is not None


def _read_run(source: Path, limits: Limits) -> Log:
    if source.is_dir():
        return legacy.read(source, limits)
    directory = source.parent
    beside = (directory / "files").is_dir() or directory.name.startswith(("run-", "offline-run-"))
    faults: list[Fault] = []
    try:
        found = records.read(read_bytes(source, limits.file_bytes))
    except Unreadable as error:
        found = records.Records()
        faults.append(Fault("unreadable-wandb", str(source), str(error), Loss.FATAL))
    else:
        if not found.count:
            faults.append(Fault("no-records", str(source), f"{source.name}: no readable record in this file", Loss.FATAL))
    columns, refused = lockstep.columns(found.history)
    notes: tuple[str, ...] = ("this run was resumed",) if found.resumed else ()
    if found.count and found.exit_code is None:
        notes += ("no exit record: the run was killed, was still running, or its notebook was closed",)
    if not found.history:
        columns = last_values(records.summary(found) or sidecar.summary(directory if beside else None))
        notes += ("no history row was written: the series hold the last values of the summary",) if columns.cells else ()
    faults += found.faults(str(source))
    faults += [
        Fault("bad-record", f"{source}:{found.offsets[row]}", "a history row that is no WandB record, left out") for row in refused[:20]
    ]
    config, config_source = found.config, SOURCE
    if beside and not any(key != "_wandb" for key in config):
        config, config_source = sidecar.config(sidecar.find(directory, "config.yaml")), "wandb config.yaml"
    return assemble.log(
        source,
        found.display_name or (directory.name if beside else source.stem),
        columns,
        limits,
        config=config,
        samples=found.stats,
        faults=tuple(faults),
        events=_events(found, source, directory if beside else None, limits),
        started=found.started,
        ended=None if found.exit_code is None else found.exit_code == 0,
        extra=_extra(found, directory if beside else None),
        notes=notes,
        config_source=config_source,
    )


def _events(found: records.Records, source: Path, directory: Path | None, limits: Limits) -> tuple[LogEvent, ...]:
    """Log events from output.log, else from the output records, which hold the same text."""
    events = sidecar.events(directory, limits) if directory else ()
    return events or sidecar.log_events("".join(found.output), str(source))


def _extra(found: records.Records, directory: Path | None) -> assemble.Extra:
    values: assemble.Extra = sidecar.hardware(sidecar.json_object(sidecar.find(directory, "wandb-metadata.json"))) if directory else {}
    values |= {key: value for key, value in (("run_id", found.run_id), ("wandb_version", found.writer), ("gpu", found.gpu)) if value}
    values |= {
        key: value
        for key, value in (("exit_code", found.exit_code), ("runtime_seconds", found.runtime), ("gpu_count", found.gpu_count))
        if value is not None
    }
    return values
