"""Writes `.wandb` files with WandB's own protobuf, framed as its writers do."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

BLOCK = 32 * 1024
MAGIC = b":W&B\xe1\xbe\x00"


def framed(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """LevelDB framing: chunks that never cross a block of 32 KiB."""
    yield MAGIC
    position = len(MAGIC)
    for payload in payloads:
        rest, first = payload, True
        while True:
            room = BLOCK - position % BLOCK
            if room < 7:
                yield bytes(room)
                position += room
                continue
            body, rest = rest[: room - 7], rest[room - 7 :]
            yield chunk(body, {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest])
            position += 7 + len(body)
            first = False
            if not rest:
                break


def chunk(body: bytes, kind: int) -> bytes:
    return struct.pack("<IHB", zlib.crc32(body, zlib.crc32(bytes([kind]))), len(body), kind) + body


def wandb_file(records: Iterable[Any], *, numbered: bool = True) -> bytes:
    """A whole file of records; their running numbers are set unless `numbered` is False."""
    records = list(records)
    if numbered:
        for number, record in enumerate(records, 1):
            record.num = number
    return b"".join(framed(record.SerializeToString() for record in records))


def history(values: Mapping[Any, object], step: int | None = None, *, nested: bool = True) -> Any:
    """A history record; a tuple as key is a nested key of several parts, `nested=False` writes as WandB did up to 0.17."""
    record = pb.Record()
    for key, value in values.items():
        path = list(key) if isinstance(key, tuple) else [key]
        text = json.dumps(value)
        if nested or len(path) > 1:
            record.history.item.add(nested_key=path, value_json=text)
        else:
            record.history.item.add(key=path[0], value_json=text)
    if step is not None:
        record.history.item.add(**({"nested_key": ["_step"]} if nested else {"key": "_step"}), value_json=str(step))
        record.history.step.num = step
    return record


def run(config: Mapping[str, object] | None = None, *, start: float = 1_780_000_000.0, name: str = "") -> Any:
    record = pb.Record()
    record.run.run_id = "abc12345"
    record.run.display_name = name
    record.run.start_time.FromNanoseconds(int(start * 1e9))
    for key, value in (config or {}).items():
        record.run.config.update.add(key=key, value_json=json.dumps(value))
    return record


def config(values: Mapping[str, object]) -> Any:
    record = pb.Record()
    for key, value in values.items():
        record.config.update.add(key=key, value_json=json.dumps(value))
    return record


def summary(values: Mapping[str, object], removed: Iterable[str] = ()) -> Any:
    record = pb.Record()
    for key, value in values.items():
        record.summary.update.add(nested_key=[key], value_json=json.dumps(value))
    for key in removed:
        record.summary.remove.add(nested_key=[key])
    return record


def stats(time: float, values: Mapping[str, object]) -> Any:
    record = pb.Record()
    record.stats.timestamp.FromNanoseconds(int(time * 1e9))
    for key, value in values.items():
        record.stats.item.add(key=key, value_json=json.dumps(value))
    return record


def output(line: str) -> Any:
    record = pb.Record()
    record.output_raw.line = line
    return record


def exit_record(code: int, runtime: int = 0) -> Any:
    record = pb.Record()
    record.exit.exit_code = code
    record.exit.runtime = runtime
    return record
