"""Where the numbers of a scalar record lie: one record is walked, all records with the same structure are then read by position.

The wire format (protobuf.dev/programming-guides/encoding): a field is a varint key, number << 3 | wire type, and its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
LONGEST_STEP = 8


class Field(NamedTuple):
    """One field: number, wire type, and where its content starts and ends."""

    number: int
    wire: int
    start: int
    end: int


class Slot(NamedTuple):
    """One scalar of a record: where its tag starts and ends, where its value starts, and how many bytes it has (4 or 8)."""

    tag: int
    tag_end: int
    value: int
    width: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in a payload of `length` bytes; `wall` and `step` are -1 where the field is absent, that is zero."""

    length: int
    wall: int
    step: int
    step_end: int
    slots: tuple[Slot, ...]

    def mask(self) -> bytearray:
        """The bits that are equal in all records of this layout: all but those of wall time, step, values and a single scalar's tag.

        Of a step's varint the continuation bits must be equal, so that it has the same size.
        """
        mask = bytearray(b"\xff" * self.length)
        if self.wall >= 0:
            mask[self.wall : self.wall + 8] = bytes(8)
        if self.step >= 0:
            mask[self.step : self.step_end] = b"\x80" * (self.step_end - self.step)
        for slot in self.slots:
            mask[slot.value : slot.value + slot.width] = bytes(slot.width)
        if len(self.slots) == 1:
            slot = self.slots[0]
            mask[slot.tag : slot.tag_end] = bytes(slot.tag_end - slot.tag)
        return mask


def walk(payload: bytes) -> Layout | None:
    """The layout of an event that holds nothing but scalars; None for any other, and for anything unusual.

    It does not judge plugins, types or shapes: compare what it finds in this payload with what protobuf finds.
    """
    try:
        wall = step = step_end = -1
        slots: tuple[Slot, ...] = ()
        for number, wire, start, end in _once(payload, 0, len(payload)):
            if (number, wire) == (1, FIXED64):
                wall = start
            elif (number, wire) == (2, VARINT) and end - start <= LONGEST_STEP:
                step, step_end = start, end
            elif (number, wire) == (5, LENGTH):
                slots = tuple(_slot(payload, *place) for place in _values(payload, start, end))
            else:
                return None
    except (ValueError, IndexError):
        return None
    return Layout(len(payload), wall, step, step_end, slots) if slots else None


def _values(payload: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    for field in _fields(payload, start, end):
        if (field.number, field.wire) != (1, LENGTH):
            raise ValueError
        yield field.start, field.end


def _slot(payload: bytes, start: int, end: int) -> Slot:
    tag = tag_end = value = width = -1
    for number, wire, first, last in _once(payload, start, end):
        if (number, wire) == (1, LENGTH):
            tag, tag_end = first, last
        elif (number, wire) == (2, FIXED32) and value < 0:
            value, width = first, 4
        elif (number, wire) == (8, LENGTH) and value < 0:
            value, width = _number(payload, first, last)
        elif (number, wire) != (9, LENGTH):
            raise ValueError
    if tag < 0 or value < 0:
        raise ValueError
    return Slot(tag, tag_end, value, width)


def _number(payload: bytes, start: int, end: int) -> tuple[int, int]:
    """The one float or double in a tensor: tensor_content, or a packed float_val or double_val."""
    found = (-1, -1)
    for number, wire, first, last in _once(payload, start, end):
        if number in (4, 5, 6) and wire == LENGTH and found[0] < 0 and last - first == (4, 8)[payload[start + 1] == 2]:
            found = first, last - first
        elif (number, wire) not in ((1, VARINT), (2, LENGTH), (3, VARINT)):
            raise ValueError
    return found


def _once(payload: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of a message in which none is repeated (of a repeated one the last wins, which protobuf may sort out)."""
    seen = set()
    for field in _fields(payload, start, end):
        if field.number in seen:
            raise ValueError
        seen.add(field.number)
        yield field


def _fields(payload: bytes, position: int, end: int) -> Iterator[Field]:
    while position < end:
        key, start = _varint(payload, position)
        wire = key & 7
        if wire == LENGTH:
            length, start = _varint(payload, start)
            position = start + length
        elif wire in (FIXED64, FIXED32):
            position = start + (8 if wire == FIXED64 else 4)
        elif wire == VARINT:
            position = _varint(payload, start)[1]
        else:
            raise ValueError
        if position > end:
            raise ValueError
        yield Field(key >> 3, wire, start, position)


def _varint(payload: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = payload[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError
