"""Reference levels: what a model that knows nothing scores."""

from __future__ import annotations

from math import log

from lossdoctor.detectors.curve import Curve
from lossdoctor.run import Run
from lossdoctor.run import task as tasks

COMMON_CLASSES = (2, 3, 4, 5, 6, 8, 10)  # what an unknown number of classes is looked for among


def log_vocabulary(run: Run) -> float | None:
    """ln of the vocabulary size, the loss of an untrained language model (nats a token); None where it is unknown."""
    size = run.number("vocab_size")
    return log(size) if size and size > 1 and run.task not in (tasks.CLASSIFICATION, tasks.RL, tasks.PREFERENCE) else None


def log_classes(run: Run) -> float | None:
    """ln of the number of labels, the loss of guessing; None for anything but classification."""
    labels = run.number("num_labels")
    return log(labels) if labels and labels > 1 and run.task == tasks.CLASSIFICATION else None


def chance_level(run: Run, level: float, tolerance: float) -> tuple[float, str] | None:
    """The chance level that `level` lies within `tolerance` (relative) of: ln of classes or vocabulary, with its name."""
    vocabulary, classes = log_vocabulary(run), log_classes(run)
    if classes is not None:
        return (classes, f"ln {round(2.718281828459045**classes)}") if abs(level / classes - 1) <= tolerance else None
    if vocabulary is not None and level >= (1 - tolerance) * vocabulary:
        return vocabulary, f"ln {round(2.718281828459045**vocabulary)}"
    if run.task in (tasks.LANGUAGE_MODEL, tasks.SPEECH, tasks.RL, tasks.PREFERENCE) or vocabulary is not None:
        return None
    return next(((log(k), f"ln {k}") for k in COMMON_CLASSES if abs(level / log(k) - 1) <= tolerance), None)


def relative_fall(curve: Curve) -> float:
    """Fall of the level from the first rows to the last, against the level at the start."""
    start = curve.head(min(5, max(2, len(curve) // 10)))
    return (start - curve.tail()) / abs(start) if start else 0.0
