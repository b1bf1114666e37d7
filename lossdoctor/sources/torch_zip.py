"""The zip archives that `torch.save` writes, opened within bounds."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import BinaryIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits

ZIP_MAGIC = b"PK\x03\x04"
# What zipfile raises for damaged archives (found by flipping bits), beyond BadZipFile.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, LookupError, OverflowError, RuntimeError)
_END = struct.Struct("<4s4H2LH")
_END_64_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY_BYTES = 512


class ZipRefused(Unreadable):
    """Not a readable zip archive, or one beyond the limits."""


def open_zip(file: BinaryIO, limits: Limits = LIMITS) -> zipfile.ZipFile:
    """Open the archive after its directory's declared size was checked: `zipfile` reads the whole directory into memory.

    Raises ZipRefused for a missing or damaged directory (the usual mark of a save that was cut off) or one beyond the limits.
    """
    entries, size = _directory(file)
    if entries > limits.directory_entries or size > limits.directory_entries * _ENTRY_BYTES:
        raise ZipRefused(f"the archive declares {entries} entries, more than the limit of {limits.directory_entries}")
    try:
        return zipfile.ZipFile(file)
    except ZIP_ERRORS as error:
        raise ZipRefused(f"damaged zip directory ({error})") from error


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Number of entries and size in bytes of the central directory, from the end record (APPNOTE 4.3.14 to 4.3.16)."""
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - _END.size - 0xFFFF)
    file.seek(start)
    tail = file.read(_END.size + 0xFFFF)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise ZipRefused("the zip directory is missing: the file was cut off while it was written")
    _, _, _, _, entries, size, offset, _ = _END.unpack_from(tail, at)
    if entries == 0xFFFF or 0xFFFFFFFF in (size, offset):
        return _directory_64(file, start + at, entries, size)
    return entries, size


def _directory_64(file: BinaryIO, end: int, entries: int, size: int) -> tuple[int, int]:
    file.seek(max(0, end - _END_64_LOCATOR.size))
    locator = file.read(_END_64_LOCATOR.size)
    if len(locator) < _END_64_LOCATOR.size or locator[:4] != b"PK\x06\x07":
        return entries, size
    file.seek(max(0, end - _END_64_LOCATOR.size - _END_64.size))
    record = file.read(_END_64.size)
    if record[:4] != b"PK\x06\x06":
        raise ZipRefused("damaged zip64 directory record")
    return _END_64.unpack(record)[7], _END_64.unpack(record)[8]
