"""Precision, utilisation, memory, checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.model import Checkpoint, LogEvent

from .runs import EVERY, ROWS, cosine, learned, level, make, noisy, onset, outcome, steps

GIB = float(1 << 30)
BASE = {"loss": learned(), "grad_norm": noisy(np.full(ROWS, 0.8), 0.05), "learning_rate": cosine()}


@pytest.mark.parametrize(
    "gpu", ["Tesla T4", "Tesla V100-SXM2-32GB", "Tesla P100-PCIE-16GB", "NVIDIA GeForce RTX 2080 Ti", "Quadro RTX 6000", "NVIDIA TITAN RTX"]
)
def test_fp16_is_right_on_gpus_without_bf16(gpu: str):
    assert level(make(BASE, settings={"fp16": True, "gpu_name": gpu}), "fp16-where-bf16") == "healthy"


@pytest.mark.parametrize(
    "gpu",
    [
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA GeForce RTX 3090",
        "NVIDIA RTX 6000 Ada Generation",
        "NVIDIA L4",
        "NVIDIA A10G",
    ],
)
def test_fp16_on_gpus_with_bf16_is_a_note_until_it_overflows(gpu: str):
    given = {"fp16": True, "gpu_name": gpu}
    assert level(make(BASE, settings=given), "fp16-where-bf16") == "note"
    norm = BASE["grad_norm"].copy()
    norm[100:] = np.inf
    assert level(make({**BASE, "grad_norm": norm}, settings=given), "fp16-where-bf16") == "warning"


def test_fp16_on_an_unknown_gpu_without_harm_is_not_judged():
    assert level(make(BASE, settings={"fp16": True}), "fp16-where-bf16") == "skipped"
    assert level(make(BASE, settings={"bf16": True}), "fp16-where-bf16") == "healthy"
    assert level(make(BASE), "fp16-where-bf16") == "skipped"


def scale(*parts: tuple[float, int]) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([np.full(rows, value) for value, rows in parts])


def test_a_window_that_begins_below_the_floor_is_judged_by_what_the_log_says():
    falls = tuple(
        LogEvent(
            "loss-scale",
            "| WARNING: overflow detected",
            f"x:{n}",
            n,
            numbers={"from": 2.0**-n, "to": 2.0 ** (-n - 1), "lowest": 2.0 ** (-n - 1)},
        )
        for n in range(3, 9)
    )
    low = 2.0 ** -np.arange(4, 10)
    assert level(make({"loss": 14 - np.arange(6.0), "loss_scale": low}, events=falls), "loss-scale-collapse") == "warning"
    assert level(make({"loss": 14 - np.arange(6.0), "loss_scale": low}, events=falls[:2]), "loss-scale-collapse") == "healthy"


def test_a_loss_scale_at_its_floor_is_a_warning_from_its_first_fall():
    falling = 65536.0 / 2.0 ** np.arange(1, 17)
    values = np.concatenate((np.full(100, 65536.0), falling, np.full(ROWS - 116, 1.0)))
    run = make({**BASE, "loss_scale": values}, settings={"fp16": True})
    assert level(run, "loss-scale-collapse") == "warning"
    assert onset(run, "loss-scale-collapse") == 101 * EVERY


def test_the_search_a_dip_and_a_constant_scale_are_normal():
    search = np.concatenate((65536.0 / 2.0 ** np.arange(12), np.full(ROWS - 12, 32.0)))
    assert level(make({**BASE, "loss_scale": search}, every=1), "loss-scale-collapse") == "healthy"
    dip = scale((65536.0, 100), (16.0, 3), (65536.0, ROWS - 103))
    assert level(make({**BASE, "loss_scale": dip}), "loss-scale-collapse") == "healthy"
    assert level(make({**BASE, "loss_scale": np.ones(ROWS)}), "loss-scale-collapse") == "healthy"
    assert level(make({**BASE, "loss_scale": scale((65536.0, 100), (32768.0, 100))}), "loss-scale-collapse") == "healthy"


def test_a_log_that_says_that_the_scale_is_at_its_minimum():
    said = LogEvent("loss-scale", "Current loss scale already at minimum - cannot decrease scale anymore.", "train.log", step=700)
    run = make(BASE, settings={"fp16": True}, events=(said,))
    assert level(run, "loss-scale-collapse") == "warning"
    assert onset(run, "loss-scale-collapse") == 700
    assert level(make(BASE, settings={"fp16": True}), "loss-scale-collapse") == "skipped"
    assert level(make(BASE, settings={"bf16": True}), "loss-scale-collapse") == "healthy"


def test_only_the_busiest_gpu_tells_utilisation():
    lazy = np.clip(noisy(np.full(ROWS, 38), 8), 0, 100)
    busy = np.clip(noisy(np.full(ROWS, 93), 2), 0, 100)
    busy[::10] = 5
    assert level(make({**BASE, "gpu.0.gpu": lazy}), "low-utilization") == "warning"
    assert level(make({**BASE, "gpu.0.gpu": lazy, "gpu.1.gpu": busy}), "low-utilization") == "healthy"
    assert level(make({**BASE, "gpu.0.gpu": np.zeros(ROWS)}), "low-utilization") == "healthy"
    assert level(make(BASE), "low-utilization") == "skipped"


@pytest.mark.parametrize(("values", "said"), [(0.04, "note"), (0.34, "healthy"), (34.0, "healthy"), (4.0, "note"), (-1.0, "skipped")])
def test_mfu_as_fraction_and_as_percent(values: float, said: str):
    assert level(make({**BASE, "mfu": np.full(ROWS, values)}), "low-mfu") == said


def memory(*gib: float) -> dict[str, object]:
    return {f"gpu_{i}/memory_allocated_GB": np.full(ROWS, g) for i, g in enumerate(gib)}


@pytest.mark.parametrize(
    ("gib", "said"),
    [
        ((71, 48, 48, 48), "warning"),
        ((50, 44, 44, 44), "note"),
        ((50, 49, 48, 49), "healthy"),
        ((50, 50, 0.5, 0.5), "healthy"),
        ((50,), "skipped"),
    ],
)
def test_imbalance_counts_the_gpus_in_use(gib: tuple[float, ...], said: str):
    assert level(make({**BASE, **memory(*gib)}), "memory-imbalance") == said


def test_memory_near_its_limit():
    def percent(value: float) -> object:
        return make({**BASE, "gpu.0.memoryAllocated": np.full(ROWS, value)})

    assert [level(percent(v), "memory-near-limit") for v in (98.5, 96.0, 90.0)] == ["warning", "note", "healthy"]  # type: ignore[arg-type]
    peak = np.full(ROWS, 85.0)
    peak[50:55] = 99
    assert level(make({**BASE, "gpu.0.memoryAllocated": peak}), "memory-near-limit") == "healthy"
    assert level(make({**BASE, **memory(70)}), "memory-near-limit") == "skipped"
    told = LogEvent("oom", "CUDA out of memory", "log", numbers={"total_gib": 72e9 / GIB})
    assert level(make({**BASE, **memory(71)}, events=(told,)), "memory-near-limit") == "warning"


def test_out_of_memory_ends_a_run_or_is_a_note():
    died = LogEvent("oom", "CUDA out of memory. Tried to allocate 2.00 GiB", "log", step=ROWS * EVERY, numbers={"tried_mib": 2048.0})
    assert level(make(BASE, events=(died,)), "out-of-memory") == "error"
    early = LogEvent("oom", "CUDA out of memory", "log", step=20)
    assert level(make(BASE, events=(early,)), "out-of-memory") == "note"
    assert level(make(BASE, events=(died,), finished=True), "out-of-memory") == "note"
    assert level(make(BASE, events=(LogEvent("killed", "Killed", "log"),)), "out-of-memory") == "healthy"


def test_damaged_checkpoints():
    whole, cut = Checkpoint(200, "checkpoint-200", whole=True), Checkpoint(400, "checkpoint-400", whole=False, problem="cut off")
    poisoned, unknown = Checkpoint(600, "checkpoint-600", whole=True, weights_finite=False), Checkpoint(800, "checkpoint-800")
    assert level(make(BASE, checkpoints=(whole, cut)), "corrupt-checkpoint") == "warning"
    assert level(make(BASE, checkpoints=(cut,)), "corrupt-checkpoint") == "error"
    assert level(make(BASE, checkpoints=(whole, poisoned)), "corrupt-checkpoint") == "warning"
    assert level(make(BASE, checkpoints=(whole, unknown)), "corrupt-checkpoint") == "healthy"
    assert level(make(BASE, checkpoints=(unknown,)), "corrupt-checkpoint") == "skipped"


def test_checkpoints_far_apart_matter_where_work_was_lost_or_is_at_risk():
    saved = (Checkpoint(200, "checkpoint-200"),)
    given = {"save_steps": 200, "save_strategy": "steps"}
    lost = make(BASE, settings=given, checkpoints=saved, planned_steps=2000)
    assert level(lost, "sparse-checkpoints") == "note"
    evidence = outcome(lost, "sparse-checkpoints").evidence
    assert evidence is not None
    assert evidence.numbers["lost_steps"] == 800
    assert level(make(BASE, settings=given, checkpoints=saved, planned_steps=1000, finished=True), "sparse-checkpoints") == "healthy"
    slow = make(BASE, settings={"save_steps": 500, "save_strategy": "steps"}, planned_steps=1000, finished=True, seconds=10.0)
    assert level(slow, "sparse-checkpoints") == "note"
    assert (
        level(make(BASE, settings=given, checkpoints=saved, planned_steps=1000, finished=True, seconds=0.1), "sparse-checkpoints")
        == "healthy"
    )
    state = make(BASE, settings=given, checkpoints=saved, planned_steps=2000, kind="trainer_state")
    assert level(state, "sparse-checkpoints") == "healthy"


def test_a_memory_leak_climbs_to_the_end_a_cache_levels_off():
    at = steps()
    leak = {**BASE, "process_memory_mb": 2000 + 2.0 * at}
    cache = {**BASE, "process_memory_mb": 2000 + 1000 * np.minimum(1, at / 150)}
    assert level(make(leak), "memory-leak") in ("warning", "error")
    assert level(make(cache), "memory-leak") == "healthy"
    assert level(make(BASE), "memory-leak") == "skipped"


def test_throughput_drop_and_jitter():
    rate = noisy(np.full(ROWS, 3000.0), 150)
    slow = rate.copy()
    slow[120:] *= 0.4
    assert level(make({**BASE, "tokens_per_second": slow}), "throughput-drop") == "warning"
    assert abs((onset(make({**BASE, "tokens_per_second": slow}), "throughput-drop") or 0) - 121 * EVERY) <= 3 * EVERY
    pauses = rate.copy()
    pauses[::25] *= 0.2
    assert level(make({**BASE, "tokens_per_second": pauses}), "throughput-drop") == "healthy"


def test_a_stall_is_a_gap_without_rows():
    waits = np.full(ROWS, 60.0)
    waits[90] = 9000.0
    assert level(make(BASE, seconds=waits), "stall") == "warning"
    waits[90] = 400.0
    assert level(make(BASE, seconds=waits), "stall") == "healthy"
    assert level(make(BASE), "stall") == "skipped"
