"""Files that `torch.save` wrote, checked without loading anything: the zip directory against the file, on request every CRC."""

from __future__ import annotations

import os
import zipfile
from typing import BinaryIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.sources.checkpoints.safetensors import Progress
from lossdoctor.sources.torch_zip import ZIP_ERRORS, ZIP_MAGIC, open_zip

_LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_CHUNK = 4 << 20


def looks_like(file: BinaryIO) -> bool:
    """Whether the file starts as torch.save starts one, zip or legacy."""
    file.seek(0)
    return file.read(len(_LEGACY_START)).startswith((ZIP_MAGIC, _LEGACY_START))


def check(file: BinaryIO, limits: Limits = LIMITS, *, crc: bool = False, progress: Progress | None = None) -> bool:
    """True where the archive is whole; False where the format (torch < 1.6) does not tell.

    Raises Unreadable, with the reason, for a file that is cut off, damaged, or was never written by torch. The contents are read only
    with `crc`.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(len(_LEGACY_START))
    if start == _LEGACY_START:
        return False
    if not start.startswith(ZIP_MAGIC):
        raise Unreadable("empty file" if not size else "starts with zeros" if not any(start) else "not a file of torch.save")
    with open_zip(file, limits) as archive:
        entries = archive.infolist()
        if not any(entry.filename.endswith("data.pkl") for entry in entries):
            raise Unreadable("a zip archive without data.pkl: not a file of torch.save")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise Unreadable("compressed, which torch.save never does")
            if entry.header_offset + entry.compress_size > size:
                raise Unreadable(f"cut off: {entry.filename[:80]} lies behind the end of the file")
        if crc:
            _check_crc(archive, entries, progress)
    return True


def _check_crc(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], progress: Progress | None) -> None:
    for entry in entries:
        try:
            with archive.open(entry) as stream:
                while chunk := stream.read(_CHUNK):
                    if progress is not None:
                        progress(len(chunk))
        except ZIP_ERRORS as error:
            raise Unreadable(f"damaged: {str(error)[:120]}") from error
