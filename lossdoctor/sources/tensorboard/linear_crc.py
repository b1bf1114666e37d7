"""CRC-32C of many equal-sized payloads at once.

A CRC is linear over GF(2): for payloads of one length, crc(a) ^ crc(b) is the XOR of one table entry for each byte in which they differ.
Source: P. Koopman, "Cyclic redundancy codes"; polynomial 0x1EDC6F41 (reversed 0x82F63B78), Castagnoli et al. 1993, doi:10.1109/26.231911.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lossdoctor.sources.tensorboard.crc import DELTA

Words = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.uint32]
POLYNOMIAL = 0x82F63B78


def _first_table() -> Codes:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    return table


_TABLES: list[Codes] = [_first_table()]


def table(distance: int) -> Codes:
    """What each value of a byte adds to the CRC if `distance` more bytes follow it: uint32 of shape (256,)."""
    while len(_TABLES) <= distance:
        last = _TABLES[-1]
        _TABLES.append((last >> np.uint32(8)) ^ _TABLES[0][last & np.uint32(0xFF)])
    return _TABLES[distance]


def contribution(words: list[Words], places: list[int], length: int) -> Codes:
    """The XOR of what the bytes at `places` add to the CRC of payloads of `length` bytes, up to a constant for the bytes that never vary.

    `words` holds the payloads column by column: words[j][i] is the little-endian word of bytes 8j .. 8j+7 of payload i.
    """
    total = np.zeros(len(words[0]), dtype=np.uint32)
    varying: dict[int, int] = {}
    for place in places:
        word, byte = divmod(place, 8)
        if word not in varying:
            varying[word] = int(np.bitwise_or.reduce(words[word] ^ words[word][0]))
        if varying[word] >> (8 * byte) & 0xFF:
            # mode="clip" halves the time: a byte cannot be out of the bounds of 256 entries
            total ^= table(length - 1 - place).take(words[word].view(np.uint8)[byte::8], mode="clip")
    return total


def mask(codes: Codes) -> Codes:
    """The masked form in which TFRecord stores CRCs."""
    return ((codes >> np.uint32(15)) | (codes << np.uint32(17))) + np.uint32(DELTA)
