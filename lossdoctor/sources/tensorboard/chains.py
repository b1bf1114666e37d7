"""Which event files of one directory belong to one run.

A directory is often not one run: 9 of 12 surveyed directories with several training files held separate trainings in one `./logs`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from lossdoctor.sources.tensorboard import settings
from lossdoctor.sources.tensorboard.eventfile import EventFile

FINAL = ("train/train_runtime", "train/train_loss", "train/total_flos", "train/train_samples_per_second")
"""What HuggingFace logs once, at the end of training."""
CANDIDATES = 20
"""How many of the runs that began last a file may belong to: thousands of files in one directory must not take quadratic time."""
PLAN = (
    "max_steps",
    "num_train_epochs",
    "learning_rate",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "logging_steps",
    "seed",
)
EVALUATION = re.compile(r"(eval|test|predict|validation|val)[/_]|train/epoch$")
PROCESS = re.compile(r"tfevents\.\d+\.(.+\.\d+)\.\d+(?:\.v2)?$")


def span(file: EventFile) -> tuple[int, int]:
    """The smallest first and the largest last step over the tags of a file that holds scalars."""
    return min(int(c.steps[0]) for c in file.scalars.values()), max(int(c.steps[-1]) for c in file.scalars.values())


def process(file: EventFile) -> str:
    """Host and process id in the name that the writers give, '' where the name has none."""
    match = PROCESS.search(file.path.name)
    return match.group(1) if match else ""


def chains(files: Sequence[EventFile]) -> list[list[EventFile]]:
    """Join files with scalars, in the order of their first wall time, into runs.

    A file continues a run if it starts after the last step of it, if it is the short file of an evaluation after training, or if it
    starts in the middle of it with the same plan (a run resumed from a checkpoint older than the last log).
    """
    runs: list[list[EventFile]] = []
    for file in files:
        host = next((run for run in reversed(runs[-CANDIDATES:]) if _continues(run, file)), None)
        if host is None:
            runs.append([file])
        else:
            host.append(file)
    return runs


def resumes(run: list[EventFile], file: EventFile) -> bool:
    """Whether a file in another directory goes on with a run: HuggingFace opens a new one under runs/ when it resumes from a checkpoint.

    Both must hold the same plan and output directory, and the file must start in the middle of the run or right behind it.
    """
    (begin, end), (first, _) = (min(span(f)[0] for f in run), max(span(f)[1] for f in run)), span(file)
    if not (begin < first <= end + 2 * _interval(file) and _starts_inside(file, first) and _shares_tags(run[-1], file)):
        return False
    plans = [settings.args(one).get("output_dir") for one in (run[-1], file)]
    return plans[0] is not None and plans[0] == plans[1] and not _is_finished(run) and _same_plan(run[-1], file)


def _continues(run: list[EventFile], file: EventFile) -> bool:
    first, last = span(file)
    begin, end = min(span(f)[0] for f in run), max(span(f)[1] for f in run)
    if all(EVALUATION.match(tag) for tag in file.scalars):
        return first >= end and (first == last or first > end)
    if _is_finished(run) or not _same_plan(run[-1], file):
        return False
    return first > end or (begin < first and _starts_inside(file, first) and _shares_tags(run[-1], file))


def _starts_inside(file: EventFile, first: int) -> bool:
    """Whether the first point lies beyond two logging intervals: a training that starts anew logs its first point after one."""
    interval = _interval(file)
    return interval > 0 and first > 2 * interval


def _interval(file: EventFile) -> int:
    """The median distance in steps of the points of the longest column; 0 if it has only one."""
    longest = max(file.scalars.values(), key=lambda column: len(column.steps)).steps
    return int(np.median(np.diff(longest))) if len(longest) > 1 else 0


def _is_finished(run: list[EventFile]) -> bool:
    return any(tag in file.scalars for file in run for tag in FINAL)


def _shares_tags(one: EventFile, other: EventFile) -> bool:
    common = len(one.scalars.keys() & other.scalars.keys())
    return 2 * common >= min(len(one.scalars), len(other.scalars))


def _same_plan(one: EventFile, other: EventFile) -> bool:
    a, b = settings.args(one), settings.args(other)
    return all(a[name] == b[name] for name in PLAN if name in a and name in b)
