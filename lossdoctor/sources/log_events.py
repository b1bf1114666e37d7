"""What a log says in words: memory exhausted, a lost rank, a signal, a full disk, an exception, an overflow.

| kind | said by |
|---|---|
| oom | the accelerator's allocator; numbers tried_mib, total_gib, free_mib, allocated_gib, reserved_gib, process_gib, gpu |
| host-oom | the host's allocator or its out-of-memory killer; tried_mib where given |
| killed | SIGKILL without a word on memory: bare `Killed`, exit code -9 or 137 (kernel, scheduler or user) |
| dataloader-killed, sigterm, hangup, interrupt, preempted, time-limit, crash | a worker, SIGTERM, SIGHUP, Ctrl-C, the scheduler, SIGSEGV |
| nccl-timeout (timeout_s, waited_s), nccl-error, watchdog, device-assert, cuda-error | collectives, a watchdog, an assertion, the driver |
| resume | a trainer that goes on from a checkpoint |
| labels-masked | a data loader whose rows hold no label that is learned from |
| no-space | the disk or the quota |
| nan-message | a library's words on NaN or Inf |
| loss-scale | reductions of the loss scale: from (the first), to (the last), lowest |
| traceback | the final line of a Python exception of none of these kinds |
| more-events | there were more different messages than are kept |

Like messages (equal up to their digits) become one event with `count`, and the step and line of the last one in `last_step`, `last_line`.
`raised` is 1 where the message is the exception that a traceback ends with, `went_on` is 1 where training moved on after the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lossdoctor.model import LogEvent
from lossdoctor.sources.axes import wall_time
from lossdoctor.sources.log_event_kinds import hinted, kind_of
from lossdoctor.sources.log_event_numbers import numbers
from lossdoctor.sources.progress_bar import ProgressBar
from lossdoctor.sources.text_lines import plain

_MOST_EVENTS = 200
_TEXT_CHARS = 500
# A message says what it is in its first characters; scans stay short on hostile lines.
_READ_CHARS = 4096
_TRACE_LINES = 500
_RANK = re.compile(r"^(?:\[(?:rank|default)?\d+\]:? ?|\(\w+ pid=\d+[^)]*\) |\d{1,4}: )+")
# Logs may hold the program itself; a line of Python or of a boxed traceback is no message.
_SOURCE_CODE = (
    "raise ",
    "except ",
    "except:",
    "#",
    "if ",
    "elif ",
    "assert ",
    "def ",
    "class ",
    "import ",
    "from ",
    "return ",
    '"""',
    "|",
    "\u2502",
    "\u2503",
)
_EXCEPTION = re.compile(r"(?:\w+\.)*_?[A-Za-z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Expired)\b(?::|$)")
_TRACED_EXCEPTION = re.compile(
    _EXCEPTION.pattern + r"|(?:\w+\.)+[A-Z]\w+(?::|$)|(?:StopIteration|StopAsyncIteration|GeneratorExit|\w*Warning)(?::|$)"
)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?")
_COUNTER = re.compile(
    r"\b(?:global_step|step|iteration|iter|num_updates)\b['\"]?\s{0,20}[:=#]?\s{0,20}\[?\s{0,20}(\d{1,15})\b", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+(?:\.\d+)?")


def find(lines: Iterable[str], where: str) -> tuple[LogEvent, ...]:
    """The events in the lines of a log, in order; `where` is the name of the log, each event's own is `where:line`.

    Steps come from the Trainer's progress bar or from the last `step N`, `iteration N`, `iter N` before the event, else they are None.
    """
    events, bar = LogEvents(where), ProgressBar()
    step: int | None = None
    moves = 0
    for number, line in enumerate(lines, 1):
        for segment in plain(line.rstrip("\r\n")).split("\r"):
            if not segment:
                continue
            before = step
            if bar.feed(segment):
                step = bar.step
            elif "step" in segment or "iter" in segment or "Step" in segment or "num_updates" in segment:
                counter = _COUNTER.search(segment)
                step = int(counter[1]) if counter else step
            event = events.feed(segment, number, step)
            moves = 0 if event else moves + (step != before)
            # A bar that is closed by an exception is drawn once more.
            if moves > 1:
                events.progress(number)
    return events.found()


@dataclass(slots=True)
class _Seen:
    """The first event of a group of like ones, and what is counted over the group."""

    kind: str
    text: str
    where: str
    step: int | None
    time: float | None
    numbers: dict[str, float]
    count: int = 1
    last_line: int = 0
    last_step: int | None = None

    @property
    def line(self) -> int:
        """The line of the last one."""
        return self.last_line or int(self.where.rpartition(":")[2])

    def event(self, moved: int = 0) -> LogEvent:
        """The event of the group; `moved` is the last line at which training moved on."""
        given = dict(self.numbers)
        if moved > self.line:
            given["went_on"] = 1.0
        if self.count > 1:
            given |= {"count": float(self.count), "last_line": float(self.last_line)}
            if self.last_step is not None:
                given["last_step"] = float(self.last_step)
        return LogEvent(self.kind, self.text, self.where, self.step, self.time, given)


@dataclass(slots=True)
class LogEvents:
    """Collects the events of one log, line by line; at most 200 different ones."""

    where: str
    _groups: dict[tuple[str, str], _Seen] = field(default_factory=dict)
    _dropped: int = 0
    _trace: int = 0
    _moved: int = 0

    def feed(self, line: str, number: int, step: int | None) -> LogEvent | None:
        """Look at one plain line; returns the event it holds, already counted."""
        if not self._trace and not hinted(line):
            return None
        text = _RANK.sub("", line[:_READ_CHARS].rstrip())
        if "Traceback (most recent call last)" in text:
            self._trace = _TRACE_LINES
            return None
        if self._trace:
            return self._traced(text, number, step)
        start = text.lstrip().removeprefix("| WARNING: ")  # fairseq before 0.9
        if start.startswith(_SOURCE_CODE):
            return None
        kind = kind_of(text)
        if kind is None and text[:1] not in (" ", "") and _EXCEPTION.match(text):
            kind = "traceback"
        return self._add(kind, start, number, step) if kind else None

    def progress(self, number: int) -> None:
        """Training moved on at this line: nothing that was said before it was the end."""
        self._moved = number

    def found(self) -> tuple[LogEvent, ...]:
        """All events, in the order of their first line."""
        events = tuple(seen.event(self._moved) for seen in self._groups.values())
        if self._dropped:
            text = f"{self._dropped} further messages of other wordings"
            events += (LogEvent("more-events", text, self.where, numbers={"count": float(self._dropped)}),)
        return events

    def _traced(self, text: str, number: int, step: int | None) -> LogEvent | None:
        """Inside a traceback: frames are indented, the exception is not; other ranks and progress bars may write in between."""
        self._trace -= 1
        if text[:1] in ("", " ", "\t", "|", "+", "^"):
            return None
        kind = kind_of(text)
        if kind is None and not _TRACED_EXCEPTION.match(text):
            return None
        self._trace = 0
        return self._add(kind or "traceback", text, number, step, raised=True)

    def _add(self, kind: str, text: str, number: int, step: int | None, *, raised: bool = False) -> LogEvent:
        key = (kind, "" if kind == "loss-scale" else _DIGITS.sub("0", _STAMP.sub("", text))[:120])
        given = numbers(kind, text) | ({"raised": 1.0} if raised else {})
        stamp = _STAMP.search(text)
        new = _Seen(kind, text[:_TEXT_CHARS], f"{self.where}:{number}", step, wall_time(stamp[0]) if stamp else None, given)
        seen = self._groups.get(key)
        if seen:
            seen.count, seen.last_line, seen.last_step = seen.count + 1, number, step
            if raised:
                seen.numbers["raised"] = 1.0
            if kind == "loss-scale" and "to" in given:
                seen.numbers |= {"to": given["to"], "lowest": min(given["to"], seen.numbers.get("lowest", given["to"]))}
        elif len(self._groups) < _MOST_EVENTS:
            self._groups[key] = new
        else:
            self._dropped += 1
        return new.event()
