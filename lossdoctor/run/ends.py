"""Which messages in a log are the end of a run, the one that tells most first.

A rank that is lost makes the others complain, and a launcher then ends them by a signal: what stands further up is the reason, what
stands further down its echo.
"""

from __future__ import annotations

from lossdoctor.model import LogEvent

FATAL = (
    "oom",
    "host-oom",
    "device-assert",
    "no-space",
    "preempted",
    "time-limit",
    "cuda-error",
    "dataloader-killed",
    "nccl-timeout",
    "watchdog",
    "nccl-error",
    "hangup",
    "interrupt",
    "killed",
    "sigterm",
    "crash",
    "traceback",
)
"""The kinds of events after which a process is gone, unless its log goes on."""


def ends_a_run(event: LogEvent) -> bool:
    """Whether the message is one after which a process is gone: of a fatal kind, or an exception of any kind that nobody caught."""
    return event.kind in FATAL or bool(event.numbers.get("raised"))


def rank(event: LogEvent) -> int:
    """How little a fatal message tells of the reason: the lowest is the one to quote."""
    return FATAL.index(event.kind) if event.kind in FATAL else len(FATAL)
