"""Files written by `torch.save` (or plain pickles), read into plain values without running anything in them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.sources.files import LFS_HEADER
from lossdoctor.sources.regular_file import open_regular
from lossdoctor.sources.settings.pickle_machine import interpret
from lossdoctor.sources.settings.pickle_values import PickleRefused
from lossdoctor.sources.torch_zip import ZIP_ERRORS, ZIP_MAGIC, open_zip

# torch/serialization.py: a legacy file is the pickles of this number, the protocol, the system's sizes, the object, the storage keys.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read(path: Path, limits: Limits = LIMITS) -> Any | Fault:
    """The object saved in the file as plain values and `Stub`s, or a Fault that says why it was not read.

    Zip archives (torch >= 1.6) and legacy files are understood; of either no more than `limits.pickle_bytes` are read, so the weights
    beside the pickle are never loaded. Never raises for what is in the file.
    """
    try:
        with open_regular(path) as file:
            head = file.read(max(len(LFS_HEADER), len(ZIP_MAGIC)))
            if head.startswith(LFS_HEADER):
                detail = f"{path.name} is a git-lfs pointer, not the file: run git lfs pull. Its settings are unknown."
                return Fault("lfs-pointer", str(path), detail, Loss.BENIGN)
            if head.startswith(ZIP_MAGIC):
                return interpret(io.BytesIO(_pickle_entry(open_zip(file, limits), limits)), limits)
            file.seek(0)
            return _legacy(io.BytesIO(file.read(limits.pickle_bytes)), limits)
    except Unreadable as error:
        reason = str(error)
    except ZIP_ERRORS as error:
        reason = f"{type(error).__name__}: {str(error)[:160]}"
    return Fault("unreadable-settings", str(path), f"{path.name} was not read: {reason}. The settings in it are unknown.", Loss.BENIGN)


def _pickle_entry(archive: zipfile.ZipFile, limits: Limits) -> bytes:
    """The bytes of the one `data.pkl`; the declared and the real size are both held to the limit."""
    entries = [entry for entry in archive.infolist() if entry.filename.rsplit("/", 1)[-1] == "data.pkl"]
    if len(entries) != 1:
        raise PickleRefused(f"{len(entries)} data.pkl entries in the archive where torch writes one")
    entry = entries[0]
    if entry.file_size > limits.pickle_bytes:
        raise PickleRefused(f"data.pkl declares {entry.file_size} bytes, more than the limit of {limits.pickle_bytes}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PickleRefused("data.pkl is compressed in a way that torch never writes")
    with archive.open(entry) as stream:
        content = stream.read(limits.pickle_bytes + 1)
    if len(content) > limits.pickle_bytes:
        raise PickleRefused(f"data.pkl is larger than it declares, more than the limit of {limits.pickle_bytes}")
    return content


def _legacy(stream: io.BytesIO, limits: Limits) -> Any:
    value = interpret(stream, limits)
    if value == _LEGACY_MAGIC:
        interpret(stream, limits)
        interpret(stream, limits)
        value = interpret(stream, limits)
    return value
