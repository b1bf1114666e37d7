"""The files of one run -> its Log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lossdoctor.model import LogEvent, Setting
from lossdoctor.run.log import Floats, Ints, Log, Series
from lossdoctor.sources.tensorboard import settings
from lossdoctor.sources.tensorboard.chains import FINAL
from lossdoctor.sources.tensorboard.eventfile import EventFile
from lossdoctor.sources.tensorboard.runs import Draft, age
from lossdoctor.sources.tensorboard.table import Column

ABSURD = 1e9
"""Plans beyond this are placeholders: num_train_epochs is 9223372036854775807 with streaming data."""
EPOCH_TAGS = ("train/epoch", "epoch")
FRAMEWORKS = (
    ("transformers", ("args/text_summary",)),
    ("transformers", ("train/epoch", "train/loss")),
    ("keras", ("epoch_loss",)),
    ("keras", ("train/epoch_loss",)),
    ("yolov5", ("x/lr0",)),
    ("stable-baselines3", ("time/fps",)),
    ("stable-baselines3", ("rollout/ep_rew_mean",)),
    ("ml-agents", ("Hyperparameters/text_summary",)),
    ("ml-agents", ("Environment/Cumulative Reward",)),
    ("rllib", ("ray/tune/training_iteration",)),
    ("detectron2", ("total_loss", "data_time")),
    ("megatron", ("iteration-time",)),
    ("lightning", ("epoch",)),
    ("tf-estimator", ("global_step/sec",)),
)
"""Tags that only one framework writes, the surest first."""


def log(draft: Draft, path: Path, name: str) -> Log:
    """The account that the event files of one run give of it."""
    files = draft.files
    found, faults = settings.of(draft.settled)
    columns = _columns(draft)
    epochs = _epochs(columns)
    series = tuple(Series(tag, c.steps, c.values, _epochs_of(c.steps, epochs), c.wall_times) for tag, c in columns.items())
    steps, planned = _plan(found)
    times = [file.first_time for file in files if file.first_time]
    framework = _framework(files, columns)
    return Log(
        kind="tensorboard",
        path=path,
        name=name,
        series=series,
        settings=found,
        events=_starts(files),
        faults=(*(fault for file in files for fault in file.faults), *faults),
        planned_steps=steps,
        planned_epochs=planned,
        finished=_finished(columns),
        reached_step=max((int(c.steps.max()) for c in columns.values()), default=None),
        started=min(times, default=None),
        step_is="epoch" if framework == "yolov5" or (columns and all("epoch_" in tag for tag in columns)) else "step",
        framework=framework,
        notes=_notes(draft),
        extra={"files": len(files)},
    )


def _columns(draft: Draft) -> dict[str, Column]:
    parts: dict[str, list[Column]] = {}
    for member in sorted(draft.members, key=lambda m: age(m.file)):
        for tag, name in member.names.items():
            parts.setdefault(name, []).append(member.file.scalars[tag])
    return {name: Column.joined(chunks) for name, chunks in parts.items()}


def _epochs(columns: Mapping[str, Column]) -> tuple[Ints, Floats, bool] | None:
    """Distinct steps in order, the epoch last logged for each, and whether epochs between them may be interpolated."""
    for tag in EPOCH_TAGS:
        column = columns.get(tag)
        if column is not None:
            known = np.isfinite(column.values)
            steps, place = np.unique(column.steps[known][::-1], return_index=True)
            return steps, column.values[known][::-1][place], tag == "train/epoch"
    return None


def _epochs_of(steps: Ints, table: tuple[Ints, Floats, bool] | None) -> Floats:
    """The epoch at each step: as logged, between two logged ones on the line (of whole epochs the earlier), else NaN."""
    if table is None or not len(table[0]):
        return np.full(steps.shape, np.nan)
    known, epochs, linear = table
    if linear:
        return np.interp(steps, known, epochs, left=np.nan, right=np.nan)
    place = np.searchsorted(known, steps, side="right") - 1
    return np.where((place >= 0) & (steps <= known[-1]), epochs[np.maximum(place, 0)], np.nan)


def _plan(found: Sequence[Setting]) -> tuple[int | None, float | None]:
    """Steps and epochs that the run set out to do; with max_steps, num_train_epochs is only the default that it overrides."""
    values = {s.name: s.value for s in found if isinstance(s.value, int | float) and math.isfinite(s.value) and 0 < s.value < ABSURD}
    steps, epochs = values.get("max_steps"), values.get("num_train_epochs")
    if steps is not None:
        return int(float(steps)), None
    return None, None if epochs is None else float(epochs)


def _finished(columns: Mapping[str, Column]) -> bool | None:
    """True where HuggingFace's summary of a completed training stands at or behind the last training step."""
    final = [int(columns[tag].steps[-1]) for tag in FINAL if tag in columns]
    loss = columns.get("train/loss")
    return True if final and (loss is None or max(final) >= int(loss.steps[-1])) else None


def _starts(files: Sequence[EventFile]) -> tuple[LogEvent, ...]:
    return tuple(
        LogEvent("session-start", f"TensorFlow session started at step {start.step}", file.path.name, start.step, start.time)
        for file in files
        for start in file.starts
    )


def _framework(files: Sequence[EventFile], columns: Mapping[str, Column]) -> str:
    tags = set(columns).union(*(file.texts for file in files))
    return next((name for name, needed in FRAMEWORKS if tags.issuperset(needed)), "")


def _notes(draft: Draft) -> tuple[str, ...]:
    others = Counter[str]()
    for file in draft.files:
        others.update(file.others)
    counts = ", ".join(f"{count:,} {kind[:40]}" for kind, count in others.most_common(8))
    notes = [f"passed over, as no diagnosis uses them: {counts}"] if others else []
    if draft.bare:
        named = ", ".join(file.path.name for file in draft.bare[:3])
        more = f" and {len(draft.bare) - 3} more" if len(draft.bare) > 3 else ""
        notes.append(f"without scalars: {named}{more}")
    return tuple(notes)
