"""Opening files that nobody vouched for: regular files only, bounded, with the size fixed when they are opened."""

from __future__ import annotations

import os
from pathlib import Path

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.sources.regular_file import open_regular

LFS_HEADER = b"version https://git-lfs.github.com/spec/"


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file; raises `Unreadable` for anything else, an empty file, a git-lfs pointer, too many bytes."""
    data = _read(path, limit)
    if not data:
        raise Unreadable(f"{path.name}: empty file")
    if data.startswith(LFS_HEADER):
        raise Unreadable(f"{path.name}: a git-lfs pointer, not the file itself: run git lfs pull")
    return data


def head(path: Path, count: int = 4096) -> bytes:
    """The first bytes of a regular file, empty where it cannot be read."""
    try:
        return _read(path, 1 << 62, count)
    except (Unreadable, PathMissing):
        return b""


def _read(path: Path, limit: int, count: int | None = None) -> bytes:
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise PathMissing(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path.name}: {getattr(error, 'strerror', None) or error}") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise Unreadable(f"{path.name}: {size} bytes, over the limit of {limit}")
        try:
            return file.read(size if count is None else min(count, size))
        except OSError as error:
            raise Unreadable(f"{path.name}: {error.strerror}") from None
