"""What a process uses of its machine: its own memory and that of its GPUs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FIELDS = ("memory", "memory_peak", "memory_reserved", "memory_utilization", "utilization", "temperature")


def gpus(cuda: Any, indices: range) -> list[list[float]]:
    """`FIELDS` of each GPU: bytes, bytes, bytes, percent, percent, degrees Celsius; NaN where it cannot be read.

    Allocated, peak and reserved memory are PyTorch's own of this process; the peak is of the time since the last call, which resets it
    (torch.cuda.reset_peak_memory_stats). memory_utilization is that peak in percent of the GPU: what the caching allocator merely keeps
    gives way under pressure. Utilisation and temperature need nvidia-ml-py.
    """
    found = []
    for index in indices:
        peak, total = cuda.max_memory_allocated(index), cuda.get_device_properties(index).total_memory
        memory = [cuda.memory_allocated(index), peak, cuda.memory_reserved(index), 100 * peak / total]
        found.append([*map(float, memory), _sensor(cuda.utilization, index), _sensor(cuda.temperature, index)])
        cuda.reset_peak_memory_stats(index)
    return found


def _sensor(read: Any, index: int) -> float:
    try:
        return float(read(index))
    except Exception:  # no nvidia-ml-py, or a GPU that does not tell (MIG, vGPU): NVML's errors share no base but Exception
        return float("nan")


def process_memory() -> float:
    """Resident memory of this process in bytes; NaN where the system does not tell (other than Linux)."""
    try:
        return float(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return float("nan")
