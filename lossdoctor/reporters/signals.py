"""How the canonical signals are called and in which unit they are shown."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lossdoctor.numerals import number


@dataclass(frozen=True, slots=True)
class Look:
    """The title of a signal, its unit as shown, and what a logged value is divided by to be in that unit."""

    title: str
    unit: str = ""
    divisor: float = 1.0


_LOOKS = {
    "train/loss": Look("train loss"),
    "eval/loss": Look("eval loss"),
    "train/grad_norm": Look("gradient norm"),
    "train/learning_rate": Look("learning rate"),
    "train/loss_scale": Look("loss scale"),
    "train/kl": Look("KL"),
    "perf/tokens_per_second": Look("throughput", "tokens/s"),
    "perf/samples_per_second": Look("throughput", "samples/s"),
    "perf/step_seconds": Look("step time", "s"),
    "perf/mfu": Look("MFU"),
    "host/memory": Look("host memory", "GiB", float(1 << 30)),
    "process/memory": Look("process RAM", "GiB", float(1 << 30)),
}
_GPU = re.compile(r"gpu/(\d+)/(memory|memory_utilization|utilization|temperature)")
_GPU_LOOKS = {
    "memory": Look("memory", "GiB", float(1 << 30)),
    "memory_utilization": Look("memory use", "%"),
    "utilization": Look("utilization", "%"),
    "temperature": Look("temperature", "°C"),
}


def look(signal: str) -> Look:
    """How to show a signal; one that is not canonical keeps its name and has no unit."""
    gpu = _GPU.fullmatch(signal)
    if gpu:
        base = _GPU_LOOKS[gpu[2]]
        return Look(f"GPU {gpu[1]} {base.title}", base.unit, base.divisor)
    known = _LOOKS.get(signal)
    return known if known is not None else Look(signal.removeprefix("train/").replace("_", " "))


def family(signal: str) -> str:
    """The chart a signal belongs to: all losses share one, so do the same readings of all GPUs; the rest stand alone."""
    if signal in {"train/loss", "eval/loss"} or (signal.startswith("eval/") and signal.endswith("/loss")):
        return "loss"
    gpu = _GPU.fullmatch(signal)
    return f"gpu/{gpu[2]}" if gpu else signal


def amount(signal: str, value: float, digits: int = 4) -> str:
    """A value of a signal in its unit: `41.2 GiB`, `3150 tokens/s`, `0.37`."""
    shown = look(signal)
    text = number(value / shown.divisor, digits)
    return f"{text} {shown.unit}" if shown.unit else text
