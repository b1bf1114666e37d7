"""The one gate before every reporter: a diagnosis comes out with inert text, plain numbers, no secrets and, if asked, stable.

Redaction comes first (a secret cut in half would no longer be recognised), then cleaning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar, cast

import numpy as np

from lossdoctor.model import Diagnosis, SeriesView, Setting
from lossdoctor.reporters.redact import REDACTED, is_secret_name, redact
from lossdoctor.reporters.safe_text import clean, clean_block

T = TypeVar("T")

_BLOCKS = frozenset({"snippet", "samples", "text"})
_SENTENCES = frozenset(
    {"message", "headline", "detail", "reason", "why", "why_it_matters", "verify", "looks_like", "how_to_log", "remark", "found", "limit",
     "test", "problem", "resume_command", "path", "argument", "where", "reasons", "speaks_for", "against", "notes", "says", "wanted"}
)  # fmt: skip
_SENTENCE_CHARS = 1_000


def prepare(diagnosis: Diagnosis, *, stable: bool = False) -> Diagnosis:
    """Return a copy that is safe to show; with `stable` also without versions and with relative paths.

    No number is rounded here: a sentence rounds it once, from the value itself.
    """
    bases = _bases(diagnosis) if stable else ()
    prepared = _walk(diagnosis, "", _rewriter(bases))
    return dataclasses.replace(prepared, versions={}) if stable else prepared


def inert(value: T) -> T:
    """The same for any tree of frozen dataclasses, tuples and mappings, such as a comparison."""
    return _walk(value, "", _rewriter(()))


def _rewriter(bases: tuple[str, ...]) -> Callable[[str, str], str]:
    def rewrite(text: str, field: str) -> str:
        for base in bases:
            text = text.replace(base, "")
        text = redact(text)
        if field in _BLOCKS:
            return clean_block(text)
        return clean(text, _SENTENCE_CHARS) if field in _SENTENCES else clean(text)

    return rewrite


def _bases(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The absolute directories whose names say where the reader's disk is, not what was read; longest first."""
    path, argument = diagnosis.path, diagnosis.argument
    found = {_parent(text) for text in (path, argument) if PurePath(text).is_absolute()}
    if argument and not PurePath(argument).is_absolute() and argument in path:
        found.add(path[: path.index(argument)])
    return tuple(sorted((base for base in found if len(base) > 1), key=len, reverse=True))


def _parent(path: str) -> str:
    parent = str(PurePath(path).parent)
    return parent if parent.endswith("/") else parent + "/"


def _walk(value: T, field: str, rewrite: Callable[[str, str], str]) -> T:
    result: Any = value
    if isinstance(value, Enum) or value is None:
        return value
    if isinstance(value, str):
        result = rewrite(value, field)
    elif isinstance(value, np.generic):  # numpy's scalars look like Python's but cannot be written as JSON
        result = _walk(value.item(), field, rewrite)
    elif isinstance(value, SeriesView):
        result = _series(value, rewrite)
    elif isinstance(value, Setting) and is_secret_name(value.name) and value.value is not None:
        hidden = dataclasses.replace(value, value=REDACTED, conflicts=())
        result = _fields(hidden, rewrite)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = _fields(value, rewrite)
    elif isinstance(value, tuple):
        result = tuple(_walk(item, field, rewrite) for item in value)
    elif isinstance(value, Mapping):
        result = {rewrite(str(key), ""): _walk(item, field, rewrite) for key, item in value.items()}
    return cast("T", result)


def _fields(value: Any, rewrite: Callable[[str, str], str]) -> Any:
    walked = {f.name: _walk(getattr(value, f.name), f.name, rewrite) for f in dataclasses.fields(value)}
    return type(value)(**walked)


def _series(view: SeriesView, rewrite: Callable[[str, str], str]) -> SeriesView:
    return SeriesView(
        signal=rewrite(view.signal, ""),
        raw_name=rewrite(view.raw_name, ""),
        steps=tuple(map(int, view.steps)),
        values=tuple(None if v is None else float(v) for v in view.values),
        nonfinite=tuple(map(int, view.nonfinite)),
        points=int(view.points),
    )
