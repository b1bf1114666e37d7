"""CRC-32C as TFRecord stores it: masked, one for the length and one for the payload of every record.

Source of the mask: tensorflow/core/lib/hash/crc32c.h (rotate right by 15 bits, add 0xa282ead8), so that a CRC of data that holds CRCs
stays useful.
"""

from __future__ import annotations

import struct

import google_crc32c

HEADER = 12
FOOTER = 4
FRAME = HEADER + FOOTER
DELTA = 0xA282EAD8


def masked(data: bytes) -> int:
    """The masked CRC-32C of `data`."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + DELTA) & 0xFFFFFFFF


def declared_length(header: bytes) -> int | None:
    """The payload length (bytes) that a 12-byte record header declares; None where the header is short or its CRC is wrong."""
    if len(header) < HEADER:
        return None
    length, crc = struct.unpack("<QI", header)
    return length if masked(header[:8]) == crc else None


def is_whole(payload: bytes, data: bytes, end: int) -> bool:
    """Whether a payload agrees with the CRC behind it, which stands at `end` of `data`."""
    return masked(payload) == int.from_bytes(data[end : end + FOOTER], "little")
