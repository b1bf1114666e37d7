"""Run directories without a `.wandb` file.

Writers to 0.9 kept `wandb-history.jsonl` and `wandb-events.jsonl`; of newer runs often only files/ is left.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.run.log import Log
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.wandb_local import assemble, sidecar
from lossdoctor.sources.wandb_local.history import from_rows, last_values, number

HISTORY = "wandb-history.jsonl"
_EVENTS = "wandb-events.jsonl"
_NAMED_FAULTS = 20
_CUT = "the last line is cut off: its writer was killed; all lines before it are read"


def read(directory: Path, limits: Limits) -> Log:
    """Read what is there; a run without any history keeps its settings, its log text and its summary."""
    metadata = sidecar.json_object(sidecar.find(directory, "wandb-metadata.json"))
    path = sidecar.find(directory, HISTORY)
    rows, faults = _rows(path, limits)
    events, event_faults = _rows(sidecar.find(directory, _EVENTS), limits)
    samples = [(time, row) for row in events if (time := number(row.get("_timestamp"))) is not None]
    notes: tuple[str, ...] = ()
    if path is None:
        notes = ("the .wandb file of this run is not here: only its settings, last values and console output could be read",)
    exit_code = metadata.get("exitcode")
    return assemble.log(
        path or directory,
        directory.name,
        from_rows(rows) if rows else last_values(sidecar.summary(directory)),
        limits,
        config=sidecar.config(sidecar.find(directory, "config.yaml")),
        samples=samples,
        events=sidecar.events(directory, limits),
        faults=faults + event_faults,
        ended=exit_code == 0 if isinstance(exit_code, int) else None,
        notes=notes,
        extra=sidecar.hardware(metadata) | ({"exit_code": exit_code} if isinstance(exit_code, int) else {}),
        config_source="wandb config.yaml",
    )


def _rows(path: Path | None, limits: Limits) -> tuple[list[dict[str, Any]], tuple[Fault, ...]]:
    """The objects of a file of JSON lines; lines that are none are faults, a last one without its end is a cut tail."""
    rows: list[dict[str, Any]] = []
    faults: list[Fault] = []
    if path is None:
        return rows, ()
    try:
        lines = read_bytes(path, limits.json_bytes).split(b"\n")
    except Unreadable as error:
        return rows, (Fault("unreadable-wandb", str(path), str(error), Loss.FATAL),)
    bad = 0
    for index, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif index == len(lines):
            faults.append(Fault("torn-record", f"{path}:{index}", _CUT, Loss.BENIGN))
        else:
            bad += 1
            if bad <= _NAMED_FAULTS:
                faults.append(Fault("bad-line", f"{path}:{index}", "a line that is no JSON object, left out"))
    if bad > _NAMED_FAULTS:
        faults.append(Fault("bad-line", str(path), f"{bad - _NAMED_FAULTS} more lines that are no JSON objects"))
    return rows, tuple(faults)
