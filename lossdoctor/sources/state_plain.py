"""Log entries of known keys and plain numbers, decoded into columns without a dict for each: twice as fast, half the memory.

What holds anything else (a new key, a word, null, bare NaN, a key twice) is left to the general way. Strict JSON knows no NaN, so NaN can
stand for a key that an entry does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from lossdoctor.run.log import Floats

MOST_KEYS = 64


class PlainEntries:
    """Knows the keys met so far, and reads the pieces of an array whose entries hold no others."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}
        self._decode: Any = None

    def learn(self, entries: Iterable[Any]) -> None:
        """Take note of the keys of entries."""
        known = len(self._keys)
        for keys in {tuple(entry): None for entry in entries if isinstance(entry, dict)}:
            self._keys.update(dict.fromkeys(keys))
        if known == len(self._keys):
            return
        self._decode = None
        if "step" in self._keys and len(self._keys) <= MOST_KEYS:
            fields: list[Any] = [(f"f{place}", float, msgspec.field(default=math.nan, name=key)) for place, key in enumerate(self._keys)]
            entry_type = msgspec.defstruct("Entry", fields, forbid_unknown_fields=True, gc=False)
            self._decode = msgspec.json.Decoder(list[entry_type]).decode  # type: ignore[valid-type]

    def columns(self, piece: bytes) -> Mapping[str, Floats] | None:
        """A JSON array as float64 columns of shape (n,), NaN where an entry has no such key; None where its entries are not plain."""
        if self._decode is None:
            return None
        try:
            entries = self._decode(piece)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        columns = {
            key: np.fromiter(map(attrgetter(f"f{place}"), entries), np.float64, len(entries)) for place, key in enumerate(self._keys)
        }
        logged = sum(int(np.count_nonzero(~np.isnan(column))) for column in columns.values())
        return columns if colons(piece) == logged else None


def colons(piece: bytes) -> int:
    """How many colons: more than keys where a key stands twice. Three times as fast as bytes.count where every 30th byte is one."""
    return int(np.count_nonzero(np.frombuffer(piece, np.uint8) == ord(":")))
