"""Records one at a time through protobuf: whatever is not a plain scalar, and whatever the fast path declined."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from lossdoctor.limits import Limits
from lossdoctor.model import Loss, Scalar
from lossdoctor.sources.tensorboard import tensors
from lossdoctor.sources.tensorboard.damage import Damage
from lossdoctor.sources.tensorboard.proto import messages

VERSION = b"brain.Event:"
START = 1
MEDIA = {"old_histogram": "histogram", "image": "image", "histogram": "histogram", "audio": "audio"}


@dataclass(frozen=True, slots=True)
class Start:
    """A SessionLog.START: TensorFlow wrote it when it began or resumed at `step`, at `time` (seconds since the Unix epoch)."""

    step: int
    time: float


@dataclass(frozen=True, slots=True)
class Point:
    """One scalar of one record; `record` is its index in the batch."""

    record: int
    tag: bytes
    step: int
    time: float
    value: float


@dataclass(slots=True)
class Events:
    """What the records of one file held beside the columns of scalars; `others` counts by kind what a diagnosis has no use for."""

    damage: Damage
    limits: Limits
    version: str = ""
    valid: int = 0
    first_time: float | None = None
    texts: dict[str, list[str]] = field(default_factory=dict)
    text_bytes: int = 0
    hparams: dict[str, Scalar] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def read(self, payload: bytes, record: int, offset: int) -> list[Point]:
        """Take in one record whose CRC is right; returns its scalars. `offset` is where the record starts in the file."""
        schema = messages()
        try:
            event = schema.event.FromString(payload)
        except schema.error:
            self.damage.add("bad-record", offset, f"{len(payload):,} bytes that are no protobuf event")
            return []
        what = event.WhichOneof("what")
        if what is None and event.wall_time == 0 and event.step == 0 and payload:
            self.damage.add("bad-record", offset, f"{len(payload):,} bytes that hold none of an event's fields")
            return []
        self.valid += 1
        if self.first_time is None:
            self.first_time = event.wall_time
        if what == "summary":
            return [point for value in event.summary.value for point in self._value(event, value, record, offset)]
        if what == "file_version":
            self.version = event.file_version.decode("utf-8", "replace")
        elif what == "session_log" and event.session_log.status == START:
            self.starts.append(Start(event.step, event.wall_time))
        elif what is not None:
            self.others[what.replace("_", " ")] += 1
        return []

    def probe(self, payload: bytes) -> list[Point] | None:
        """The scalars of a payload without taking it in; None if it holds anything else."""
        scratch = Events(Damage(self.damage.path), self.limits)
        points = scratch.read(payload, 0, 0)
        return None if scratch.damage.counts or scratch.others or scratch.texts or scratch.hparams or scratch.starts else points

    def _value(self, event: Any, value: Any, record: int, offset: int) -> list[Point]:
        kind = value.WhichOneof("value")
        if kind in MEDIA:
            self.others[MEDIA[kind]] += 1
            return []
        if kind == "simple_value":
            return [Point(record, value.tag, event.step, event.wall_time, value.simple_value)]
        plugin = value.metadata.plugin_data.plugin_name
        if plugin == b"hparams":
            self._hparams(value.metadata.plugin_data.content, offset)
        elif kind is None:
            self.others["empty summary"] += 1
        elif value.tensor.dtype == tensors.STRING and plugin in (b"text", b""):
            self._text(value, offset)
        elif plugin not in (b"scalars", b"") or (plugin == b"" and tensors.elements(value.tensor) != 1):
            self.others[plugin.decode("utf-8", "replace") or "tensor"] += 1
        else:
            number = tensors.number(value.tensor)
            if number is not None and tensors.elements(value.tensor) == 1:
                return [Point(record, value.tag, event.step, event.wall_time, number)]
            self.damage.add("bad-record", offset, "a scalar summary whose tensor does not hold exactly one number")
        return []

    def _text(self, value: Any, offset: int) -> None:
        try:
            tag = value.tag.decode("utf-8")
        except UnicodeDecodeError:
            self.damage.add("bad-record", offset, "a text under a tag that is not UTF-8")
            return
        for raw in value.tensor.string_val:
            self.text_bytes += len(raw) + len(value.tag)
            if self.text_bytes > self.limits.text_bytes:
                detail = f"texts beyond {self.limits.text_bytes:,} bytes in one file are not kept"
                self.damage.add("too-much-text", offset, detail, Loss.BENIGN)
                return
            self.texts.setdefault(tag, []).append(raw.decode("utf-8", "backslashreplace"))

    def _hparams(self, content: bytes, offset: int) -> None:
        try:
            session = messages().hparams.FromString(content).session_start_info
        except messages().error:
            self.damage.add("bad-record", offset, "hyperparameters that cannot be decoded", Loss.BENIGN)
            return
        for entry in session.hparams:
            kind = entry.value.WhichOneof("kind")
            if kind in ("number", "string", "truth"):
                value = getattr(entry.value, kind)
                name = entry.key.decode("utf-8", "replace")
                self.hparams[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
