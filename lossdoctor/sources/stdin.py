"""Standard input as a source: a trainer state, JSON lines, a table, or the text that a training printed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, TextIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.run import Log
from lossdoctor.sources import json_lines, tabular, text_log, trainer_state

NAME = Path("-")
_HEAD = 1 << 16


def read(stream: TextIO, metric: dict[str, str] | None = None, limits: Limits = LIMITS) -> list[Log]:
    """Read a stream to its end, told by its first 64 KiB; `metric` maps columns to signals. Raises `Unreadable` where it is no log.

    Text is read line by line, so a log may be long; the other formats are held in memory up to the limits.
    """
    binary = getattr(stream, "buffer", None) or io.BytesIO(stream.read().encode("utf-8", "surrogateescape"))
    head = _up_to(binary, _HEAD)
    if not head:
        raise Unreadable("standard input is empty")
    table, rows = tabular.looks_like(NAME, head), json_lines.looks_like(NAME, head)
    state = trainer_state.looks_like(head)
    if not (table or rows or state):
        return text_log.read(io.TextIOWrapper(io.BufferedReader(_Again(head, binary))), limits)
    data = head + _up_to(binary, limits.json_bytes - len(head) + 1)
    if len(data) > limits.json_bytes:
        raise Unreadable(f"standard input: more than {limits.json_bytes} bytes, over the limit")
    if state:
        return [trainer_state.read(NAME, limits, data)]
    return json_lines.read(NAME, limits, data) if rows and not table else tabular.read(NAME, metric, limits, data)


def _up_to(stream: BinaryIO, count: int) -> bytes:
    """Read until `count` bytes or the end: a pipe gives less at a time."""
    parts = []
    while count > 0 and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class _Again(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        part = self._head[: len(target)] or self._rest.read(len(target)) or b""
        self._head = self._head[len(part) :]
        target[: len(part)] = part
        return len(part)
