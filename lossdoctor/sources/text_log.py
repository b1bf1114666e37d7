"""Plain text logs: what a training script printed, with the progress bars, colours and tracebacks between.

A line is a row where it holds a counter and a metric (see `text_log_line`), a dict that the HuggingFace Trainer printed
(`text_log_trainer`), or one of the block formats (`text_log_blocks`). Everything else is looked at for events (`log_events`).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TextIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.run.log import Log
from lossdoctor.sources.text_lines import decode_head, lines, open_text, run_name
from lossdoctor.sources.text_log_finish import logs
from lossdoctor.sources.text_log_reader import Reader

_OTHER_FORMATS = frozenset((".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".py", ".ipynb", ".md", ".html", ".xml"))
_SCANNED = 4 << 20


def is_plain(path: Path, head: bytes) -> bool:
    """Whether a file is text, and of no other format by its name."""
    return path.suffix.lower() not in _OTHER_FORMATS and "\x00" not in decode_head(head).lstrip("\x00")[:1024]


def looks_like(path: Path, head: bytes, limits: Limits = LIMITS, *, named: bool = False) -> bool:
    """Whether a text file, of no other format by its name (one that was asked for by `named` may be of any), holds a metric line or a log
    event in its first 4 MiB."""
    if not is_plain(path.with_suffix("") if named else path, head):
        return False
    try:
        with open_text(path, limits) as file:
            reader = Reader(path, limits)
            scanned = 0
            for number, line, _ in lines(file, limits.text_line_bytes):
                reader.feed(number, line)
                scanned += len(line)
                if reader.found_anything():
                    return True
                if scanned > _SCANNED:
                    return False
    except (Unreadable, OSError):
        return False
    return False


def read(source: Path | TextIO, limits: Limits = LIMITS) -> list[Log]:
    """Read a log from a file or a stream (standard input), one Log a training.

    Raises Unreadable where no line holds a metric or a known message.
    """
    if isinstance(source, Path):
        with open_text(source, limits) as text:
            return _read(text, source, run_name(source), limits)
    # A pipe may hold any bytes, which the interpreter's own stdin refuses to decode.
    buffer = getattr(source, "buffer", None)
    if buffer is None:
        return _read(source, Path("-"), "stdin", limits)
    text = io.TextIOWrapper(buffer, encoding="utf-8", errors="replace", newline="")
    try:
        return _read(text, Path("-"), "stdin", limits)
    finally:
        text.detach()


def _read(text: TextIO, path: Path, name: str, limits: Limits) -> list[Log]:
    reader = Reader(path, limits)
    whole, number = True, 0
    for number, line, whole in lines(text, limits.text_line_bytes):
        reader.feed(number, line)
        reader.cut += not whole
    if not whole:
        reader.unended = number
    return logs(reader, name)
