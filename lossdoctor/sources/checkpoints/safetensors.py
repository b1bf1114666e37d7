"""safetensors files without the library: the header against the file's size, and a scan of the weights for NaN and Inf.

Format: 8 bytes little-endian header length N, N bytes of JSON (name -> dtype, shape, [begin, end) behind the header), then the data
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import msgspec
import numpy as np

from lossdoctor.errors import Unreadable

_MAX_HEADER = 16 << 20
_CHUNK = 8 << 20
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}
# A float with all exponent bits set is Inf or NaN. As a signed integer a positive one is at least the first number, as an unsigned
# integer a negative one is at least the second: two reductions, no temporary array.
_NON_FINITE: dict[str, tuple[str, int, int]] = {
    "BF16": ("2", 0x7F80, 0xFF80),
    "F16": ("2", 0x7C00, 0xFC00),
    "F32": ("4", 0x7F800000, 0xFF800000),
    "F64": ("8", 0x7FF0 << 48, 0xFFF0 << 48),
}
Progress = Callable[[int], None]


class Truncated(Unreadable):
    """The file ends before its header's last tensor: the save was cut off."""


class _Entry(msgspec.Struct):
    dtype: str = ""
    shape: tuple[int, ...] = ()
    data_offsets: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its dtype and the byte range of its data in the file."""

    name: str
    dtype: str
    begin: int
    end: int


def header(file: BinaryIO) -> tuple[Tensor, ...]:
    """The tensors of the file, ordered by position. No tensor data is read; nothing is allocated before the declared length is checked.

    Raises Truncated where the file is shorter than its header says, Unreadable where the header itself is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 10:
        raise Truncated(f"only {size} bytes")
    if length == 0:
        raise Unreadable("the header is empty (the file may hold only zeros)")
    if length > _MAX_HEADER:
        raise Unreadable(f"the header declares {length} bytes, more than the limit of {_MAX_HEADER}")
    if 8 + length > size:
        raise Truncated(f"the file ends inside its header ({size} of {8 + length} bytes)")
    try:
        entries = msgspec.json.decode(file.read(length), type=dict[str, _Entry])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the header is damaged ({str(error)[:120]})") from error
    entries.pop("__metadata__", None)
    tensors = sorted((_tensor(name, entry, 8 + length) for name, entry in entries.items()), key=lambda tensor: tensor.begin)
    _check_layout(tensors, 8 + length, size)
    return tuple(tensors)


def _tensor(name: str, entry: _Entry, base: int) -> Tensor:
    begin, end = entry.data_offsets
    bits = _BITS.get(entry.dtype)
    if not 0 <= begin <= end or min(entry.shape, default=0) < 0:
        raise Unreadable(f"the header is damaged (the place of {name[:80]})")
    if bits is not None and math.prod(entry.shape) * bits != (end - begin) * 8:
        raise Unreadable(f"the header is damaged (the size of {name[:80]} does not fit its shape)")
    return Tensor(name, entry.dtype, base + begin, base + end)


def _check_layout(tensors: list[Tensor], base: int, size: int) -> None:
    """The format allows neither holes nor overlaps, and nothing behind the last tensor."""
    at = base
    for tensor in tensors:
        if tensor.begin != at:
            raise Unreadable(f"the header is damaged (a hole or an overlap before {tensor.name[:80]})")
        at = tensor.end
    if at > size:
        raise Truncated(f"cut off: {size} of {at} bytes are there")
    if at < size:
        raise Unreadable(f"{size - at} bytes more than the header tells of")


def non_finite(file: BinaryIO, tensors: tuple[Tensor, ...], progress: Progress | None = None) -> tuple[str, ...]:
    """The names of the float tensors (F64, F32, F16, BF16) that hold a NaN or an Inf, read in chunks of 8 MiB.

    Tensors named `...mask` are passed over: attention masks hold -Inf on purpose. `progress` is called with the bytes of each chunk.
    """
    bad = []
    buffer = bytearray(_CHUNK)
    for tensor in tensors:
        kind = _NON_FINITE.get(tensor.dtype)
        if kind is None or tensor.name.endswith("mask"):
            continue
        if not _is_finite(file, tensor, kind, memoryview(buffer), progress):
            bad.append(tensor.name)
    return tuple(bad)


def is_scannable(tensors: tuple[Tensor, ...]) -> bool:
    """Whether `non_finite` can judge every float tensor; 8-bit floats it cannot."""
    return all(tensor.dtype in _NON_FINITE or not tensor.dtype.startswith(("F", "BF")) for tensor in tensors)


def _is_finite(file: BinaryIO, tensor: Tensor, kind: tuple[str, int, int], buffer: memoryview, progress: Progress | None) -> bool:
    width, positive, negative = kind
    file.seek(tensor.begin)
    left = tensor.end - tensor.begin
    finite = True
    while left > 0:
        chunk = buffer[: min(left, len(buffer))]
        if file.readinto(chunk) != len(chunk):  # type: ignore[attr-defined]
            raise Truncated(f"the file shrank while {tensor.name[:80]} was read")
        left -= len(chunk)
        if finite:
            finite = np.frombuffer(chunk, f"<i{width}").max() < positive and np.frombuffer(chunk, f"<u{width}").max() < negative
        if progress is not None:
            progress(len(chunk))
    return bool(finite)
