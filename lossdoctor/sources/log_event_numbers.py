"""The numbers in a log event's text: sizes in an allocator's message, a collective's timeout, the loss scale before and after."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

_SIZE = r"(?<![\d.])([\d.]{1,20}) ?([KMGT]?i?B|bytes)"
_SIZES: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (name, unit, re.compile(pattern))
    for name, unit, pattern in (
        ("tried_mib", "MiB", rf"(?:[Tt]ried|trying|[Uu]nable) to allocate {_SIZE}|memory allocating {_SIZE}"),
        ("total_gib", "GiB", rf"total capacity of {_SIZE}|{_SIZE} total capacity|max allowed: {_SIZE}"),
        ("free_mib", "MiB", rf"of which {_SIZE} is free|{_SIZE} free"),
        ("process_gib", "GiB", rf"this process has {_SIZE} memory in use"),
        ("allocated_gib", "GiB", rf"{_SIZE} is allocated by PyTorch|{_SIZE} already allocated|MPS allocated: {_SIZE}"),
        ("reserved_gib", "GiB", rf"{_SIZE} reserved in total"),
        ("unused_gib", "GiB", rf"{_SIZE} is reserved by PyTorch but unallocated"),
    )
)
# PyTorch means binary units where it writes MB or GB.
_BYTES = {"bytes": 1, "B": 1} | {unit: 1 << 10 * power for power, prefix in enumerate("KMGT", 1) for unit in (f"{prefix}B", f"{prefix}iB")}
_GPU = re.compile(r"GPU (\d+)")
_TIMEOUT = re.compile(r"Timeout\(ms\)=(\d+)")
_WAITED = re.compile(r"ran for (\d+) milliseconds|Timed out waiting (\d+) ?ms")
_BEFORE = re.compile(r"(?:from|[Aa]ttempted loss scale:) (\d[\d.e+-]*)")
_AFTER = re.compile(r"(?:\bto:?|reached) \(?(\d[\d.e+-]*)")


def numbers(kind: str, text: str) -> dict[str, float]:
    """The numbers that the text of an event of this kind gives; sizes in MiB or GiB, times in seconds."""
    reader = _READERS.get(kind)
    return reader(text) if reader else {}


def _memory(text: str) -> dict[str, float]:
    """Sizes; reserved_gib is what PyTorch holds in total, as old messages say, computed where a new one gives the unused part."""
    found: dict[str, float] = {}
    for name, unit, pattern in _SIZES:
        if match := pattern.search(text):
            size, given = (group for group in match.groups() if group)
            if (value := _float(size)) is not None and given in _BYTES:
                found[name] = round(value * _BYTES[given] / _BYTES[unit], 3)
    unused = found.pop("unused_gib", None)
    if unused is not None and "allocated_gib" in found:
        found["reserved_gib"] = round(found["allocated_gib"] + unused, 3)
    if gpu := _GPU.search(text):
        found["gpu"] = float(gpu[1])
    return found


def _waiting(text: str) -> dict[str, float]:
    limit, waited = _TIMEOUT.search(text), _WAITED.search(text)
    found = {"timeout_s": int(limit[1]) / 1e3} if limit else {}
    return found | ({"waited_s": int(waited[1] or waited[2]) / 1e3} if waited else {})


def _scale(text: str) -> dict[str, float]:
    before, after = (_float(match[1]) if match else None for match in (_BEFORE.search(text), _AFTER.search(text)))
    if before is None and after is not None:
        before = 2 * after  # fairseq names the new scale only; it halves
    found = {} if before is None else {"from": before}
    return found | ({} if after is None else {"to": after, "lowest": after})


def _float(text: str) -> float | None:
    try:
        value = float(text.rstrip(".,"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_READERS: Mapping[str, Callable[[str], dict[str, float]]] = {
    "oom": _memory,
    "host-oom": _memory,
    "nccl-timeout": _waiting,
    "loss-scale": _scale,
}
