"""The records of one `.wandb` file, sorted by what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from lossdoctor.model import Fault, Loss
from lossdoctor.sources.wandb_local import framing, messages
from lossdoctor.sources.wandb_local.history import decode

_HISTORY, _SUMMARY = 2, 3
# First bytes of the fields that may follow history or summary: control (16), uuid (19), _info (200).
_BEHIND = (0x82, 0x9A, 0xC2)
_NAMED_DAMAGE = 20
_WORDS = {
    "torn-record": (Loss.BENIGN, "the file ends inside a record: its writer was cut off; all records before it are read"),
    "bad-crc": (Loss.LOSSY, "the bytes do not match their checksum and were left out"),
    "orphan-chunk": (Loss.LOSSY, "part of a record without the rest, left out"),
    "bad-record": (Loss.LOSSY, "a record whose checksum holds but which is no WandB record, left out"),
}


@dataclass(slots=True)
class Records:
    """What a `.wandb` file holds: serialised history and summary records, decoded config, stats, output and the records that come once."""

    history: list[bytes] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    summary: list[bytes] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    stats: list[tuple[float, dict[str, object]]] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    run_id: str = ""
    display_name: str = ""
    started: float | None = None
    resumed: bool = False
    exit_code: int | None = None
    runtime: int | None = None
    writer: str = ""
    gpu: str = ""
    gpu_count: int | None = None
    count: int = 0
    missing: int = 0
    repeated: int = 0
    damage: list[framing.Damage] = field(default_factory=list)

    def faults(self, where: str) -> tuple[Fault, ...]:
        """One fault a damaged place with its byte offset (the first 20 one by one), and one for records missing by their numbers."""
        found = []
        for damage in sorted(self.damage, key=lambda d: d.start)[:_NAMED_DAMAGE]:
            loss, words = _WORDS[damage.kind]
            found.append(Fault(damage.kind, f"{where}:{damage.start}", f"bytes {damage.start} to {damage.stop}: {words}", loss))
        if len(self.damage) > _NAMED_DAMAGE:
            more = len(self.damage) - _NAMED_DAMAGE
            found.append(Fault("bad-crc", where, f"{more} more damaged places in this file; copy it again from where the run was written"))
        if self.missing:
            found.append(
                Fault(
                    "missing-records",
                    where,
                    f"{self.missing} records are missing by their running numbers; each may be a row of the history",
                )
            )
        if self.repeated:
            found.append(
                Fault("repeated-records", where, f"{self.repeated} records come a second time by their running numbers and were left out")
            )
        return tuple(found)


def read(data: bytes) -> Records:
    """Sort the records of a file; raises `Unreadable` where it is not WandB's."""
    found = Records()
    previous = 0
    for offset, payload in framing.records(data, found.damage):
        head = _head(payload)
        if head is None:
            found.damage.append(framing.Damage("bad-record", offset, offset + len(payload)))
            continue
        number, kind, start, stop = head
        if 0 < number <= previous:
            found.repeated += 1
            continue
        found.missing += max(0, number - previous - 1)
        previous = number
        found.count += 1
        if kind == _HISTORY:
            found.history.append(payload[start:stop])
            found.offsets.append(offset)
        elif kind == _SUMMARY:
            # Two thirds of the bytes of a long run; only wanted where the history is empty.
            if not found.history:
                found.summary.append(payload[start:stop])
        else:
            try:
                _take(found, messages.Record.FromString(payload))
            except DecodeError:
                found.damage.append(framing.Damage("bad-record", offset, offset + len(payload)))
    if not previous:
        _drop_repeated(found)
    return found


def _drop_repeated(found: Records) -> None:
    """Some writers leave the numbers out; as every row has its own time, an equal row is a copy of a piece of the file."""
    once: dict[bytes, int] = {}
    for row, offset in zip(found.history, found.offsets, strict=True):
        once.setdefault(row, offset)
    found.repeated = len(found.history) - len(once)
    found.history, found.offsets = list(once), list(once.values())


def summary(found: Records) -> dict[str, object]:
    """The run's summary: each record updates and removes keys of the ones before."""
    merged: dict[str, object] = {}
    for payload in found.summary:
        try:
            _update(merged, messages.Update.FromString(payload))
        except DecodeError:
            continue
    return merged


def _head(payload: bytes) -> tuple[int, int, int, int] | None:
    """(running number, field number, start, stop) of the message that follows a record's number; None where it does not fit."""
    try:
        at, number = 0, 0
        if payload[0] == 0x08:
            number, at = _varint(payload, 1)
        tag, at = _varint(payload, at)
        length, at = _varint(payload, at)
    except IndexError:
        return None
    kind, stop = tag >> 3, at + length
    if tag & 7 != 2 or stop > len(payload):
        return None
    if kind in {_HISTORY, _SUMMARY} and stop < len(payload) and payload[stop] not in _BEHIND:
        return None
    return number, kind, at, stop


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    byte = payload[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, at + 1
        shift += 7


def _take(found: Records, record: Any) -> None:
    """File a record of any kind; history and summary come here only from a writer that orders the fields in another way."""
    if record.HasField("history"):
        found.history.append(record.history.SerializeToString())
        found.offsets.append(-1)
    elif record.HasField("summary"):
        found.summary.append(record.summary.SerializeToString())
    elif record.HasField("stats"):
        found.stats.append((_seconds(record.stats.timestamp), {item.key: decode(item.value_json) for item in record.stats.item}))
    elif record.HasField("output_raw"):
        found.output.append(record.output_raw.line)
    elif record.HasField("output"):
        found.output.append(record.output.line)
    elif record.HasField("config"):
        _update(found.config, record.config)
    elif record.HasField("run"):
        run = record.run
        _update(found.config, run.config)
        found.run_id, found.display_name, found.resumed = run.run_id, run.display_name, run.resumed
        found.started = _seconds(run.start_time) or found.started
    elif record.HasField("exit"):
        found.exit_code, found.runtime = record.exit.exit_code, record.exit.runtime
    elif record.HasField("header"):
        found.writer = record.header.version_info.producer.partition("+")[0]
    elif record.HasField("environment"):
        found.gpu, found.gpu_count = record.environment.gpu_type, record.environment.gpu_count or None


def _seconds(stamp: Any) -> float:
    return float(stamp.seconds + stamp.nanos * 1e-9)


def _update(target: dict[str, Any], update: Any) -> None:
    for item in update.update:
        path = list(item.nested_key) or [item.key]
        place: dict[str, Any] = target
        for part in path[:-1]:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        place[path[-1]] = decode(item.value_json)
    for item in update.remove:
        path = list(item.nested_key) or [item.key]
        holder: Mapping[str, Any] | Any = target
        for part in path[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder.pop(path[-1], None)
