"""What a record that is too large to be read holds, told from its first bytes: a graph or an image is no loss to a diagnosis."""

from __future__ import annotations

from typing import BinaryIO

HEAD = 4096
EVENT_GRAPHS = {4: "a graph", 9: "a graph", 8: "run metadata"}
SUMMARY = 5
VALUE = 1
MEDIA = {4: "an image", 5: "a histogram", 6: "audio"}
TENSOR = 8
STRING_VAL = 8
WIDTHS = {1: 8, 5: 4}


def describe(file: BinaryIO, start: int, length: int) -> str:
    """Name the content of the payload at `start` if one graph, image, histogram, sound or text fills it to its end, else ''."""
    file.seek(start)
    head = file.read(min(HEAD, length))
    number, inner = _last_field(head, 0)
    if number in EVENT_GRAPHS:
        return EVENT_GRAPHS[number]
    if number != SUMMARY:
        return ""
    number, inner = _last_field(head, inner)
    if number != VALUE:
        return ""
    number, inner = _last_field(head, inner)
    if number == TENSOR:
        number, inner = _last_field(head, inner)
        return "text or an encoded image" if number == STRING_VAL else ""
    return MEDIA.get(number, "")


def _last_field(head: bytes, position: int) -> tuple[int, int]:
    """Walk fields from `position` to the one that reaches beyond `head`: its number and the start of its content, else (0, 0)."""
    while position < len(head):
        key, position = _varint(head, position)
        wire = key & 7
        if wire == 0:
            _, position = _varint(head, position)
        elif wire in WIDTHS:
            position += WIDTHS[wire]
        elif wire == 2:
            length, position = _varint(head, position)
            if position + length > len(head):
                return key >> 3, position
            position += length
        else:
            return 0, 0
    return 0, 0


def _varint(head: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(head) and shift < 64:
        byte = head[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    return value, position
