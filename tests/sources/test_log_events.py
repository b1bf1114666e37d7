"""What a log says in words: one real wording per case, and the traps beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.model import LogEvent
from lossdoctor.sources import log_events
from lossdoctor.sources.log_event_kinds import KINDS, hinted, kind_of

WORDINGS = [
    ("resume", "Resuming from checkpoint runs/gru/last.ckpt (global step 600)"),
    ("resume", "Restoring weights from epoch 12 to resume"),
    ("resume", "Continuing training from global step 1200"),
    ("resume", "$ python train.py --data text --resume ckpt/last.pt"),
    ("oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.91 GiB. GPU 0 has a total capacity of 15.77 GiB"),
    ("oom", "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes."),
    ("oom", "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ("host-oom", "MemoryError"),
    ("host-oom", "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.2 GiB for an array with shape (3,)"),
    ("host-oom", "slurmstepd: error: Detected 1 oom_kill event in StepId=123.batch. Some of the step tasks have been OOM Killed."),
    ("host-oom", "[12345.678] Out of memory: Killed process 4242 (python) total-vm:1kB"),
    ("killed", "Killed"),
    ("killed", "/var/spool/slurmd/job123/slurm_script: line 12: 12345 Killed                  python train.py"),
    (
        "killed",
        "ERROR:torch.distributed.elastic.multiprocessing.api:failed (exitcode: -9) local_rank: 0 (pid: 12) of binary: /usr/bin/python",
    ),
    ("killed", "[2024-05-01 12:00:00,123] [ERROR] [launch.py:322:sigkill_handler] ['python'] exits with return code = -9"),
    ("killed", "subprocess.CalledProcessError: Command '['python']' died with <Signals.SIGKILL: 9>."),
    ("sigterm", "torch.distributed.elastic.multiprocessing.api.SignalException: Process 1234 got signal: 15"),
    ("sigterm", "2024-01-01 12:00:00 received signal SIGTERM, shutting down"),
    ("hangup", "torch.distributed.elastic.multiprocessing.api.SignalException: Process 1234 got signal: 1"),
    ("hangup", "WARNING:torch.distributed.elastic.agent.server.api:Received 1 death signal, shutting down workers"),
    (
        "nccl-timeout",
        "[E ProcessGroupNCCL.cpp:475] [Rank 3] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12) ran for 5 milliseconds",
    ),
    ("nccl-error", "RuntimeError: NCCL error in: ../torch/csrc/ProcessGroupNCCL.cpp:1970, unhandled system error, NCCL version 2.18.1"),
    ("device-assert", "RuntimeError: CUDA error: device-side assert triggered"),
    ("cuda-error", "RuntimeError: CUDA error: an illegal memory access was encountered"),
    ("no-space", "OSError: [Errno 28] No space left on device"),
    (
        "no-space",
        "RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/5: file write failed",
    ),
    ("interrupt", "KeyboardInterrupt"),
    ("dataloader-killed", "RuntimeError: DataLoader worker (pid 1234) is killed by signal: Killed. "),
    ("preempted", "slurmstepd: error: *** JOB 123 ON n1 CANCELLED AT 2024-01-01T00:00:00 DUE TO PREEMPTION ***"),
    ("time-limit", "slurmstepd: error: *** JOB 123 ON n1 CANCELLED AT 2024-01-01T00:00:00 DUE TO TIME LIMIT ***"),
    ("crash", "Segmentation fault (core dumped)"),
    ("nan-message", "Warning: NaN or Inf found in input tensor."),
    ("nan-message", "Loss is nan, stopping training"),
    ("nan-message", "Batch 12: Invalid loss, terminating training"),
    ("nan-message", "RuntimeError: Function 'MulBackward0' returned nan values in its 0th output."),
    ("nan-message", "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0"),
    ("loss-scale", "[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768"),
    ("loss-scale", "Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 1024.0"),
    (
        "loss-scale",
        "2024-01-01 12:00:00 | INFO | fairseq.trainer | NOTE: gradient overflow detected, ignoring gradient, setting loss scale to: 64.0",
    ),
    ("traceback", "ValueError: bad value"),
    ("watchdog", "Watchdog timed out after 600 s without a step, killing the process"),
    ("watchdog", "Heartbeat monitor timed out! Process will be terminated after dumping debug info."),
    ("crash", "terminate called after throwing an instance of 'c10::Error'"),
    ("crash", "Aborted (core dumped)"),
    ("crash", "./run.sh: line 3:  4242 Aborted                 python train.py"),
    ("oom", "  what():  Error while calling cudaMalloc(&data, n) in file gpu_data.cpp:190. code: 2, reason: out of memory"),
    ("labels-masked", "WARNING: tokenization mismatch: 312 vs. 313. (ignored)"),
    ("labels-masked", "UserWarning: Could not find response key `### Answer:` in the following instance: ..."),
    ("labels-masked", "This instance will be ignored in loss calculation. Note, if this happens often, ..."),
    ("labels-masked", "Warning: all labels are -100, the loss of this batch is 0"),
    ("labels-masked", "Batch 12 has no valid labels, skipping"),
]

HARMLESS = [
    "W0705 torch/distributed/elastic/multiprocessing/api.py:858] Sending process 123 closing signal SIGTERM",
    " iteration 5426/ 250000 | lm loss: 2.3E+00 | loss scale: 1.0 | grad norm: nan | number of nan iterations:   0 |",
    "{'loss': 'nan', 'grad_norm': 'nan', 'learning_rate': '2.448', 'epoch': '0.5467'}",
    "logging_nan_inf_filter=True,",
    "        except KeyboardInterrupt:",
    'raise RuntimeError("CUDA out of memory")',
    "[deepspeed] OVERFLOW! Skipping step. Attempted loss scale: 4294967296, but hysteresis is 2. Reducing hysteresis to 1",
    "NCCL version 2.18.1+cuda12.1",
    "memory:  8.44GiB(13.20%)",
    "Process finished with exit code 0",
    "FutureWarning: this will raise an error in the future",
    "The attention mask and the pad token id were not set.",
    "Setting `ignore_index=-100` in the cross entropy loss",
    "`use_cache=True` is incompatible with gradient checkpointing. Setting `use_cache=False`...",
    "Some weights are ignored: all keys matched",
]


@pytest.mark.parametrize(("kind", "line"), WORDINGS)
def test_wording(kind: str, line: str) -> None:
    (event,) = log_events.find(["start", line], "train.log")
    assert (event.kind, event.where) == (kind, "train.log:2")
    assert event.text == line.strip()


@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_lines_are_no_events(line: str) -> None:
    assert log_events.find([line], "train.log") == ()


def test_every_wording_passes_the_quick_test() -> None:
    assert {kind for kind, _ in KINDS} <= {kind for kind, _ in WORDINGS}
    for _, line in WORDINGS:
        assert hinted(line), line


@given(st.text(alphabet="abcdefNaInCUDAsigkmoy .:'[]()-0129\n", max_size=60))
def test_the_quick_test_never_hides_an_event(text: str) -> None:
    assert hinted(text) or kind_of(text) is None


def test_numbers_of_new_and_old_memory_messages() -> None:
    new = (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.91 GiB. GPU 0 has a total capacity of 15.77 GiB of which "
        "2.14 GiB is free. Including non-PyTorch memory, this process has 13.62 GiB memory in use. Of the allocated memory 12.70 GiB is "
        "allocated by PyTorch, and 552.31 MiB is reserved by PyTorch but unallocated."
    )
    old = (
        "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 1; 15.90 GiB total capacity; 14.01 GiB already allocated; "
        "19.75 MiB free; 14.75 GiB reserved in total by PyTorch)"
    )
    first, second = log_events.find([new, old], "log")
    assert first.numbers == {
        "tried_mib": 4003.84,
        "total_gib": 15.77,
        "free_mib": 2191.36,
        "process_gib": 13.62,
        "allocated_gib": 12.7,
        "reserved_gib": 13.239,
        "gpu": 0.0,
    }
    assert second.numbers == {
        "tried_mib": 20.0,
        "total_gib": 15.9,
        "free_mib": 19.75,
        "allocated_gib": 14.01,
        "reserved_gib": 14.75,
        "gpu": 1.0,
    }


def test_numbers_of_a_host_allocation_and_a_timeout() -> None:
    enforce = "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: "
    lines = [
        enforce + "can't allocate memory: you tried to allocate 6272000000 bytes.",
        "[Rank 3] Watchdog caught collective operation timeout: WorkNCCL(Timeout(ms)=1800000) ran for 1800123 milliseconds.",
    ]
    memory, timeout = log_events.find(lines, "log")
    assert memory.numbers == {"tried_mib": 5981.445}
    assert timeout.numbers == {"timeout_s": 1800.0, "waited_s": 1800.123}


def test_a_traceback_keeps_its_last_line_and_its_frames_are_not_read() -> None:
    lines = [
        "[rank0]: Traceback (most recent call last):",
        '[rank0]:   File "train.py", line 3, in <module>',
        '[rank0]:     raise RuntimeError("CUDA out of memory")',
        "[rank0]:     ~~~~^^^^",
        "  7%|7         | 70/1000 [00:10<02:00, 7.0it/s]",
        "[rank0]: ValueError: bad thing",
        "after the end",
    ]
    (event,) = log_events.find(lines, "log")
    assert event == LogEvent("traceback", "ValueError: bad thing", "log:6", 70, numbers={"raised": 1.0})


def test_a_chained_exception_gives_both() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in <module>',
        "torch.OutOfMemoryError: CUDA out of memory.",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
        "Traceback (most recent call last):",
        '  File "b.py", line 1, in <module>',
        "omegaconf.errors.Missing: no key",
    ]
    assert [event.kind for event in log_events.find(lines, "log")] == ["oom", "traceback"]


def test_like_messages_are_counted() -> None:
    lines = [f"step {step}: loss=1.0\nWarning: NaN or Inf found in input tensor." for step in range(5)]
    (event,) = log_events.find("\n".join(lines).split("\n"), "log")
    assert event.step == 0
    assert event.numbers == {"count": 5.0, "last_line": 10.0, "last_step": 4.0}


def test_loss_scale_is_followed_to_its_end() -> None:
    lines = ["step 10", *(f"Reducing dynamic loss scale from {2.0**power} to {2.0 ** (power - 1)}" for power in range(12, 2, -1))]
    lines += ["step 60", "Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run."]
    (event,) = log_events.find(lines, "log")
    assert event.kind == "loss-scale"
    assert event.step == 10
    assert event.numbers == {"from": 4096.0, "to": 4.0, "lowest": 4.0, "count": 11.0, "last_line": 13.0, "last_step": 60.0}


def test_steps_come_from_the_training_bar_not_from_others() -> None:
    lines = [
        "Loading weights: 100%|##########| 28/28 [00:00<00:00, 19764.48it/s]",
        "\r 26%|##7       | 263/1000 [00:10<00:29, 25.00it/s]\r 30%|###       | 3/10 [00:01<00:02, 3.0it/s]\rKeyboardInterrupt",
    ]
    (event,) = log_events.find(lines, "log")
    assert event.step == 263


def test_different_messages_are_bounded_and_the_rest_is_counted() -> None:
    lines = [f"ValueError: {''.join(chr(97 + int(digit)) for digit in str(index))}" for index in range(250)]
    events = log_events.find(lines, "log")
    assert len(events) == 201
    assert (events[-1].kind, events[-1].numbers["count"]) == ("more-events", 50.0)


def test_wall_times_and_colours() -> None:
    (event,) = log_events.find(["\x1b[31m[2024-05-01 12:00:00,500] Loss is nan, stopping training\x1b[0m"], "log")
    assert event.time == 1714564800.5
    assert "\x1b" not in event.text
