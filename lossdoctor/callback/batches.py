"""The batch log: which samples every step read, as lines of JSON.

A line is written when a batch begins, `{"step": 7, "samples": [812, 4], "lengths": [913, 88], "labels": 640}`, so that the batch that
killed a run is in it; the losses of the finished steps follow when the Trainer logs, `{"losses": {"7": 2.31}}`. `{"start": 0}` opens each
training, so that a resumed one appends. The name ends in .ndjson: analyze takes it for no training log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

NAME = "lossdoctor-batches-{rank}.ndjson"


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of one rank.

    `step` counts optimizer steps from 1, `samples` are indices in the data set (empty where its rows have none), `lengths` are in tokens,
    `loss` is the step's on this rank (NaN where it was never logged: the run died before).
    """

    step: int
    samples: tuple[int, ...]
    lengths: tuple[int, ...]
    loss: float = math.nan
    rank: int = 0


class BatchLog:
    """Appends to the log of one rank. A disk that cannot be written ends the log, never the training."""

    def __init__(self, directory: Path, rank: int, start: int = 0) -> None:
        self._file: TextIO | None = None
        self.trouble = ""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = (directory / NAME.format(rank=rank)).open("a", encoding="utf-8")
        except OSError as error:
            self._give_up(error)
        self._write({"start": start})

    def begins(self, step: int, told: Mapping[str, Any]) -> None:
        self._write({"step": step, **told})

    def losses(self, losses: Mapping[int, float]) -> None:
        """Losses by step. Values that are not finite are written as strings, as JSON has none."""
        self._write({"losses": {str(step): value if math.isfinite(value) else str(value) for step, value in losses.items()}})

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()  # a training that died has no end to close it at

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._file.flush()  # a killed process loses nothing that was flushed
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.trouble = f"the batch log cannot be written: {error.strerror or error}"
        self._file = None


def read_batches(directory: str | Path, first: int = 0, last: int | None = None) -> list[Batch]:
    """The batches of the steps `first` to `last` that the batch logs in `directory` tell, by step and rank.

    A step that was done twice (after a resume) is there twice. A line that was cut off when the process died is left out. Raises
    FileNotFoundError where there is no batch log.
    """
    paths = sorted(Path(directory).glob(NAME.format(rank="*")))
    if not paths:
        raise FileNotFoundError(f"{directory}: no {NAME.format(rank='N')}; was the run trained under lossdoctor.callback.monitor?")
    found = [batch for path in paths for batch in _of_rank(path)]
    return sorted((b for b in found if first <= b.step and (last is None or b.step <= last)), key=lambda b: (b.step, b.rank))


def _of_rank(path: Path) -> list[Batch]:
    rank = int(path.stem.rpartition("-")[2])
    begun: list[dict[str, Any]] = []
    waiting = 0  # batches from here on have no loss yet
    for line in _lines(path):
        if "step" in line:
            begun.append(line)
            continue
        for batch in begun[waiting:] if "losses" in line else ():
            batch["loss"] = float(line["losses"].get(str(batch["step"]), math.nan))
        waiting = len(begun)
    return [Batch(b["step"], tuple(b["samples"]), tuple(b["lengths"]), b.get("loss", math.nan), rank) for b in begun]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue
