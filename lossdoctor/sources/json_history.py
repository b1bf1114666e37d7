"""Histories: one JSON object with a list of values a name, one value an epoch. Keras, ultralytics and hand-made scripts write them.

`{"loss": [...], "val_loss": [...]}`, the same under `history` or under `train` and `val`, there also as `{"train": [{"loss": 1.2}, ...]}`,
and pandas' `{"loss": {"0": 1.2, "1": 1.1}}`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lossdoctor.sources import axes

Entry = Mapping[str, Any]
_LISTED = re.compile(
    r'"[^"]{0,80}(?:loss|rmse|acc|reward|return|ppl|perplexity)[^"]{0,80}"\s{0,20}:\s{0,20}'
    r'(?:\[\s{0,40}-?(?:\d|NaN|Infinity|null)|-?\d[^{}\[]{0,2000}\}\s{0,40},\s{0,40}\{|\{\s{0,40}"\d{1,9}"\s{0,20}:\s{0,20}-?(?:\d|NaN))',
    re.IGNORECASE,
)
_DEPTH = 3
_STOPPED = ("stopped_early", "early_stopped", "early_stopping_triggered")


def looks_like(text: str) -> bool:
    """Whether a document starts like a history; what names no loss, accuracy or reward is none."""
    return text.startswith("{") and _LISTED.search(text) is not None


def rows(document: Mapping[str, Any]) -> list[Entry] | None:
    """The rows of a history, under its own step or epoch list or counted as epochs from 1; None where it holds no such lists.

    Lists of another length than most are of something else and are left out.
    """
    columns = dict(_columns(document))
    if not columns:
        return None
    lengths = Counter(len(values) for values in columns.values())
    length = max(lengths, key=lambda n: (lengths[n], n))
    columns = {name: values for name, values in columns.items() if len(values) == length}
    counted = axes.first(columns, axes.STEP) or axes.first(columns, axes.EPOCH)
    given = {name: columns[name] for name in columns if name != counted}
    steps = columns[counted] if counted else range(1, length + 1)
    label = "epoch" if counted is None else counted
    return [{label: step, **{name: values[row] for name, values in given.items()}} for row, step in enumerate(steps)]


def stopped_early(document: Mapping[str, Any]) -> bool:
    """Whether a history says that early stopping ended the training."""
    return any(document.get(name) is True for name in _STOPPED)


def _columns(document: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Sequence[Any]]]:
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and value and all(_is_number(one) for one in value):
            yield name, value
        elif isinstance(value, dict) and value and all(str(one).isdecimal() for one in value) and all(map(_is_number, value.values())):
            yield name, list(value.values())
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for inner in dict.fromkeys(key for one in value for key in one):
                if all(_is_number(one.get(inner)) for one in value):
                    yield inner if key == "history" and not prefix else f"{name}/{inner}", [one.get(inner) for one in value]
        elif isinstance(value, dict) and depth < _DEPTH:
            yield from _columns(value, "" if key == "history" else f"{name}/", depth + 1)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
