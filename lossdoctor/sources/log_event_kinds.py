"""The wordings of each kind of log event; the first kind that matches wins.

They are those of PyTorch 1.7 to 2.9, DeepSpeed, apex, fairseq, Keras, JAX, numpy, torchrun, Slurm and the Linux kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_EXIT = r"(?:exit ?code|return code|exit status)\s{0,9}[:=]?\s{0,9}"
_NOT_FINITE = r"(?:an? |become )?(?:nan|NaN|NAN|inf|Inf|infinite|not finite|non-?finite)\b"
_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "dataloader-killed": (
        r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal|exited unexpectedly)",
        r"insufficient shared memory \(shm\)",
    ),
    "loss-scale": (
        r"[Rr]educ\w+ (?:dynamic )?loss scale",
        r"[Aa]ttempted loss scale: [\d.e+]+, reducing",
        r"setting loss scale to",
        r"loss scale already at minimum",
        r"[Mm]inimum loss scale reached",
    ),
    "host-oom": (
        r"(?<!OutOf)MemoryError\b",
        r"std::bad_alloc",
        r"DefaultCPUAllocator",
        r"[Cc]annot allocate memory",
        r"can't allocate memory",
        r"oom[-_]?kill",
        r"OOM ?Killed",
        r"oom_reaper",
        r"Out of memory: Kill",
        r"cgroup out-of-memory",
        r"[Ee]xceeded (?:job |step )?memory limit",
        r"Unable to allocate [\d.]+ [KMGT]iB for an array",
    ),
    "oom": (
        r"OutOfMemoryError",
        r"\b(?:CUDA|HIP|MPS|XPU|NPU)\b.{0,40}out of memory",
        r"out of memory\. Tried to allocate",
        r"(?:CUDA|HIP)_ERROR_OUT_OF_MEMORY",
        r"cudaErrorMemoryAllocation",
        r"hipErrorOutOfMemory",
        r"(?:CUBLAS|CUDNN)_STATUS_ALLOC_FAILED",
        r"RESOURCE_EXHAUSTED",
        r"ResourceExhausted",
        r"OOM when allocating",
        r"cudaMalloc.{0,200}out of memory",
    ),
    "device-assert": (
        r"device-side assert",
        r"\.cu:\d+.{0,200}Assertion `",
        r"block: \[\d+,\d+,\d+\].{0,100}Assertion `",
    ),
    "nccl-timeout": (
        r"collective operation timeout",
        r"NCCL (?:operation|communicator|watchdog)s?.{0,120}(?:timed out|timeout)",
        r"Timed out waiting \d+ ?ms",
        r"\[Rank \d+\].{0,80}(?:timed out|[Tt]imeout at)",
        r"wait timeout after \d+ ?ms",
        r"TCPStore.{0,80}timed out",
    ),
    "nccl-error": (
        r"\bnccl(?:UnhandledCuda|System|Internal|Remote|InvalidUsage|InvalidArgument)Error",
        r"NCCL [Ee]rror",
    ),
    "cuda-error": (
        r"CUDA error\b",
        r"CUDA driver error",
        r"\bcudaError[A-Z]\w+",
        r"CUDA_ERROR_\w+",
        r"CUBLAS_STATUS_(?!SUCCESS)\w+",
        r"CUDNN_STATUS_(?!SUCCESS)\w+",
        r"cuDNN error",
        r"HIP error",
        r"illegal memory access",
        r"unspecified launch failure",
        r"NVRM: Xid",
        r"uncorrectable ECC",
        r"fallen off the bus",
    ),
    "no-space": (
        r"No space left on device",
        r"\[Errno 28\]",
        r"\[Errno 122\]",
        r"[Dd]isk quota exceeded",
        r"PytorchStreamWriter failed writing",
    ),
    "preempted": (
        r"DUE TO PREEMPTION",
        r"\b(?:instance|node|job|vm|VM|machine|worker)\b.{0,40}\b(?:was|been|being|got) preempted",
        r"[Pp]reemption (?:notice|signal|request) (?:was )?received",
        r"[Ss]pot (?:instance )?(?:interruption|termination) notice",
    ),
    "time-limit": (
        r"DUE TO TIME LIMIT",
        r"[Ww]all ?time.{0,20} exceeded",
        r"[Ee]xceeded (?:the |its )?(?:wall ?time|time limit)",
    ),
    "hangup": (r"SIGHUP\b", r"got signal: 1\b", r"Received 1 death signal", r"^Hangup\b"),
    "interrupt": (r"KeyboardInterrupt\b", r"\bSIGINT\b", r"got signal: 2\b", r"Received 2 death signal", r"^\^C"),
    "sigterm": (
        r"(?:[Rr]eceived|[Gg]ot|[Cc]aught|by|with) .{0,20}SIGTERM",
        r"got signal: 15\b",
        r"Received 15 death signal",
        r"^Terminated$",
        r"CANCELLED AT",
        _EXIT + r"(?:-15|143)\b",
    ),
    "killed": (
        r"\bSIGKILL\b",
        r"[Kk]illed by signal:? ?9",
        r"\b[Ss]ignal:? 9\b",
        r"^(?:\S+: line \d+:\s+\d+ )?Killed(?:\s|$)",
        r": Killed$",
        _EXIT + r"(?:-9|137)\b",
    ),
    "crash": (
        r"[Ss]egmentation fault",
        r"\bSIG(?:SEGV|BUS|ABRT|ILL|FPE)\b",
        r"[Bb]us error",
        r"core dumped",
        r"\bterminate called (?:after|without|recursively)",
        r"^(?:\S+: line \d+:\s+\d+ )?Aborted$",
        r"\b[Ww]atchdog\b.{0,60}(?:lockup|bit(?:e|ten)?\b|expired)",
        r"pure virtual method called",
        r"Fatal Python error",
        _EXIT + r"-(?:11|6|7)\b",
    ),
    "nan-message": (
        r"\b(?:[Nn]a[Nn]|[Ii]nf|[Nn]on-?finite)s?\b[^|:=,\d]{0,40}\b(?:detected|found|encountered|stopping|terminating|skipp|values? in)",
        rf"\b(?:[Ll]oss|[Gg]rad\w*|norm|[Oo]utput|[Ii]nput|[Ww]eight|[Aa]ctivation)s? (?:is|are|was|became|contains?|has) {_NOT_FINITE}",
        r"[Ii]nvalid loss, terminating",
        r"returned nan values",
        r"contains either `?inf`?, `?nan`?",
        r"\b(?:nan|NaN) loss (?:during|detected|encountered)",
    ),
}
KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple((kind, re.compile("|".join(wordings))) for kind, wordings in _WORDINGS.items())

# Every line with an event holds one of these; most lines of a log hold none and end there. A test holds them against the wordings.
HINTS = (
    "rror",
    "xception",
    "Interrupt",
    "xit",
    "return code",
    "Traceback",
    "of memory",
    "alloc",
    "OOM",
    "oom",
    "EXHAUSTED",
    "xhausted",
    "memory access",
    "memory limit",
    "shared memory",
    "illed",
    "SIG",
    "ignal",
    "^C",
    "Terminated",
    "Hangup",
    "CANCELLED",
    "DUE TO",
    "reempt",
    "pot ",
    "xceeded",
    "imed out",
    "imeout",
    "NCCL",
    "ssert",
    "CUDA",
    "STATUS_",
    "launch failure",
    "NVRM",
    "ECC",
    "off the bus",
    "PytorchStreamWriter",
    "space left",
    "quota",
    "Errno",
    "oss scal",
    "nan",
    "NaN",
    "Nan",
    "NAN",
    "inf",
    "Inf",
    "finite",
    "nvalid loss",
    "fault",
    "core dumped",
    "terminate called",
    "Aborted",
    "atchdog",
    "pure virtual",
    "us error",
    "DataLoader",
)


def kind_of(text: str) -> str | None:
    """The kind of event that one line of a log reports, None where it reports none that is known."""
    return next((kind for kind, pattern in KINDS if pattern.search(text)), None)


def hinted(line: str) -> bool:
    """A cheap test that every line with an event passes."""
    return any(map(line.__contains__, HINTS))
