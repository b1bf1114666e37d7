"""Text that nobody vouched for, line by line: any encoding and line end that real logs have, bounded in length.

A carriage return alone ends a line too: that is how progress bars redraw themselves.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.sources.files import GZIP, LFS_HEADER, Unpacked
from lossdoctor.sources.regular_file import open_regular

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
# File names that say nothing of the run: the directory's name says more.
_GENERIC = frozenset(
    (
        "console",
        "history",
        "log",
        "logs",
        "loss",
        "losses",
        "metric",
        "metrics",
        "out",
        "output",
        "progress",
        "result",
        "results",
        "run",
        "scalars",
        "stderr",
        "stdout",
        "train",
        "train_log",
        "trainer",
        "trainer_log",
        "training",
    )
)


def open_text(path: Path, limits: Limits) -> TextIO:
    """Open a regular file as text, line ends untouched; bytes that are not UTF-8 (or UTF-16 with its mark) become U+FFFD.

    Raises PathMissing, or Unreadable for anything that is not a regular file, is empty, over the limit or a git-lfs pointer.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise PathMissing(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path.name}: {getattr(error, 'strerror', None) or error}") from None
    try:
        size = os.fstat(file.fileno()).st_size
        start = file.read(len(LFS_HEADER))
        file.seek(0)
        if not start:
            raise Unreadable(f"{path.name}: empty file")
        if start.startswith(LFS_HEADER):
            raise Unreadable(f"{path.name}: a git-lfs pointer, not the file itself: run git lfs pull")
        if size > limits.file_bytes:
            raise Unreadable(f"{path.name}: {size} bytes, over the limit of {limits.file_bytes}")
        if start.startswith(GZIP):
            packed = Unpacked(file, path.name, limits.file_bytes)
            return io.TextIOWrapper(packed, encoding=encoding(packed.peek(len(LFS_HEADER))), errors="replace", newline="")
    except BaseException:
        file.close()
        raise
    return io.TextIOWrapper(file, encoding=encoding(start), errors="replace", newline="")


def text_of(data: bytes) -> TextIO:
    """Bytes that were read already, as text like that of `open_text`."""
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding(data[: len(LFS_HEADER)]), errors="replace", newline="")


def encoding(head: bytes) -> str:
    """The encoding that the first bytes announce: UTF-16 (a PowerShell redirect writes it), else UTF-8."""
    return next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")


def decode_head(head: bytes) -> str:
    """The first bytes of a file as text, for sniffing."""
    return head.decode(encoding(head), errors="replace")


def lines(text: TextIO, longest: int) -> Iterator[tuple[int, str, bool]]:
    """Yield (1-based line number, segment, whole) for every segment; a line is cut into segments at carriage returns.

    A segment of more than `longest` characters is cut there and marked as not whole, so is a last line without an end. Blank ones are
    left out. Raises Unreadable where reading fails.
    """
    number, rest, skipping = 1, "", False
    while chunk := _chunk(text):
        pieces = (rest + chunk).split("\n")
        rest = pieces.pop()
        for piece in pieces:
            if skipping:
                skipping = False
            elif "\r" in piece:
                for segment in piece.split("\r"):
                    if segment:
                        yield number, segment[:longest], len(segment) <= longest
            elif piece:
                yield number, piece[:longest], len(piece) <= longest
            number += 1
        if len(rest) <= longest:
            continue
        *segments, rest = rest.split("\r")
        for segment in segments:
            if segment:
                yield number, segment[:longest], len(segment) <= longest
        if len(rest) > longest:
            if not skipping:
                yield number, rest[:longest], False
            rest, skipping = "", True
    if rest and not skipping:
        *segments, last = rest.split("\r")
        for segment in segments:
            if segment:
                yield number, segment, True
        if last:
            yield number, last, False


def _chunk(text: TextIO) -> str:
    try:
        return text.read(1 << 17)
    except OSError as error:
        raise Unreadable(f"{getattr(text, 'name', 'the log')} cannot be read: {error.strerror or error}") from None


def plain(line: str) -> str:
    """A line without ANSI escape sequences (colours, cursor moves, titles), backspaces and NUL bytes (a log that was cut at its start)."""
    if "\x00" in line:
        line = line.replace("\x00", "")
    if "\x08" in line:
        line = line.replace("\x08", "")
    return _ESCAPE.sub("", line) if "\x1b" in line else line


def run_name(path: Path) -> str:
    """What to call the run of a log file: its stem, or its directory where the file name is one of the usual ones."""
    stem = Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem
    return path.absolute().parent.name or stem if stem.lower() in _GENERIC else stem
