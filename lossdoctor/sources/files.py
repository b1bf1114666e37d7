"""Opening files that nobody vouched for: regular files only, bounded, with the size fixed when they are opened."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import BinaryIO

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.sources.regular_file import open_regular

LFS_HEADER = b"version https://git-lfs.github.com/spec/"
GZIP = b"\x1f\x8b\x08"


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
            data = file.read(size if count is None else min(count, size))
            if not data.startswith(GZIP):
                return data
            file.seek(0)
            return Unpacked(file, path.name, limit).read(-1 if count is None else count)
        except OSError as error:
            raise Unreadable(f"{path.name}: {error.strerror}") from None


class Unpacked(io.BufferedReader):
    """A gzip file as a stream of at most `limit` bytes, beyond which reading raises Unreadable; where it is cut or damaged it ends."""

    def __init__(self, file: BinaryIO, name: str, limit: int) -> None:
        super().__init__(_Inflating(file, name, limit))


class _Inflating(io.RawIOBase):
    def __init__(self, file: BinaryIO, name: str, limit: int) -> None:
        self._file, self._name, self._left = file, name, limit
        self._inflate = zlib.decompressobj(31)
        self._packed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        while True:
            if self._inflate.eof:  # gzip files may follow each other in one
                self._packed, self._inflate = self._inflate.unused_data, zlib.decompressobj(31)
            packed = self._packed or self._inflate.unconsumed_tail or self._file.read(1 << 16)
            self._packed = b""
            if not packed:
                return 0
            try:
                part = self._inflate.decompress(packed, len(target))
            except zlib.error:
                return 0
            if part:
                break
        self._left -= len(part)
        if self._left < 0:
            raise Unreadable(f"{self._name}: unpacks to more than the limit")
        target[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()
