"""Reference levels: what a model that knows nothing scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from lossdoctor.run import task as tasks
from lossdoctor.run.run import Run

HUNDRED = 100
COMMON_CLASSES = (2, 3, 4, 5, 6, 8, 10)  # what an unknown number of classes is looked for among


@dataclass(frozen=True, slots=True)
class Reference:
    """The loss of a guess, in nats, and whether the log names the number of classes or words (else it is a common one)."""

    value: float
    kind: str
    certain: bool

    @property
    def choices(self) -> int:
        """The classes or words among which it is a guess."""
        return round(exp(self.value))

    @property
    def name(self) -> str:
        return f"ln {self.choices}"


def log_vocabulary(run: Run) -> float | None:
    """ln of the vocabulary size, the loss of an untrained language model (nats a token); None where it is unknown."""
    size = run.number("vocab_size")
    return log(size) if size and size > 1 and run.task not in (tasks.CLASSIFICATION, tasks.RL, tasks.PREFERENCE) else None


def log_classes(run: Run) -> float | None:
    """ln of the number of labels, the loss of guessing; None for anything but classification."""
    labels = run.number("num_labels")
    return log(labels) if labels and labels > 1 and run.task == tasks.CLASSIFICATION else None


def references(run: Run) -> tuple[Reference, ...]:
    """What guessing may score here; none for a task whose loss has other scales."""
    classes, vocabulary = log_classes(run), log_vocabulary(run)
    if classes is not None:
        return (Reference(classes, "classes", True),)
    if vocabulary is not None:
        return (Reference(vocabulary, "vocabulary", True),)
    if run.task in (tasks.CLASSIFICATION, tasks.UNKNOWN):
        return tuple(Reference(log(k), "classes", False) for k in COMMON_CLASSES)
    return ()


def nearest(run: Run, level: float) -> Reference | None:
    """The reference next to a level; None where there is none."""
    return min(references(run), key=lambda reference: abs(reference.value - level), default=None)


def classes_of(accuracy: float) -> int | None:
    """How many balanced classes an accuracy is the chance of, to two digits; None where it is that of none."""
    classes = round(1 / accuracy) if 0 < accuracy <= 1 / 2 else 0
    return classes if classes and abs(accuracy * classes - 1) <= 1 / HUNDRED else None


def knows_more(run: Run, reference: Reference) -> bool:
    """Whether an accuracy contradicts guessing among this many classes: it ends at twice what guessing reaches, or more."""
    signal = run.signal("eval/accuracy") or run.signal("train/accuracy")
    if signal is None or reference.kind != "classes" or not len(signal.finite):
        return False
    return 1 >= float(signal.finite.values[-1]) >= 2 * exp(-reference.value)
