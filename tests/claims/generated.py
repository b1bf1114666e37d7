"""Runs with random curves, faults, lengths, settings and gaps: nobody looked at them, and no rule was written with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.model import Checkpoint, Scalar
from lossdoctor.run import Run
from tests.detectors.runs import make
from tests.shapes.simulated import NOISES

Floats = npt.NDArray[np.float64]
Made = tuple[dict[str, tuple[Floats, Floats]], dict[str, Scalar]]
Rng = np.random.Generator


def _shape(rng: Rng, x: Floats) -> Floats:
    """A loss that falls in one of the usual ways, or does not."""
    top = float(10 ** rng.uniform(-3, 2))
    fall = float(rng.choice([0, 0.02, 0.2, 0.7, 0.99]))
    ways: tuple[Callable[[], Floats], ...] = (
        lambda: 1 - fall * (1 - np.exp(-6 * x)),
        lambda: 1 - fall * x,
        lambda: 1 - fall * np.maximum(0, 2 * x - 1),
        lambda: np.where(x > 0.05, 1 - fall, 1.0),
    )
    return top * ways[rng.integers(len(ways))]()


def _fault(rng: Rng, x: Floats, loss: Floats) -> Floats:
    at, size = float(rng.uniform(0.1, 0.9)), float(rng.choice([0.3, 1, 5, 100]))
    level, row = float(np.median(loss)), int(rng.integers(len(x)))
    spike = np.where(np.arange(len(x)) == row, size * level, 0.0)
    faults: tuple[Callable[[], Floats], ...] = (
        lambda: loss,
        lambda: loss,
        lambda: loss + spike,
        lambda: np.where(x > at, loss + size * level, loss),
        lambda: loss + np.maximum(0, x - at) * size * level,
        lambda: loss * (1 + 0.3 * np.sin(x * 60)),
        lambda: np.where((x > at) & (x < at + 0.3), loss + size * level, loss),
        lambda: np.where(x > at, np.nan, loss),
        lambda: np.where(x > at, 0.0, loss),
        lambda: loss * (1 + size * ((x * 6) % 1)),
    )
    return faults[rng.integers(len(faults))]()


def _language(rng: Rng, x: Floats, steps: Floats) -> Made:
    clean = _shape(rng, x)
    noise = NOISES[str(rng.choice(list(NOISES)))](rng, len(x)) * float(rng.choice([0, 0.01, 0.1])) * np.abs(clean)
    loss = _fault(rng, x, clean + noise)
    signals = {"loss": (steps, np.round(loss, 4) if rng.random() < 0.4 else loss)}
    evals = int(rng.choice([0, 1, 3, 6, 12, 30]))
    if evals:
        own = np.linspace(0, len(x) - 1, min(evals, len(x))).astype(int)
        turn = np.interp(np.linspace(0, 1, len(own)), [0, rng.uniform(0.1, 0.9), 1], [1, rng.uniform(0.3, 1), rng.uniform(0.3, 2)])
        kinds = (
            clean[own],
            clean[own] * 0.8,
            clean[0] * turn,
            np.full(len(own), clean[0]),
            clean[0] * turn + rng.normal(0, 0.05, len(own)) * clean[0],
        )
        signals["eval_loss"] = (steps[own], kinds[rng.integers(len(kinds))])
    rates = (
        np.minimum(1, x / 0.1) * (1 - x), np.ones_like(x), x, np.where(x > 0.5, 0, 1 - x), np.abs(np.cos(x * 9)), np.zeros_like(x),
        np.where(x > 0.6, 1.6 - x, 1 - x),
    )  # fmt: skip
    if rng.random() < 0.7:
        signals["learning_rate"] = (steps, float(10 ** rng.uniform(-6, 0)) * rates[rng.integers(len(rates))])
    if rng.random() < 0.6:
        norm = np.exp(rng.normal(0, float(rng.choice([0.1, 0.5, 1.5])), len(x))) * float(10 ** rng.uniform(-9, 3))
        signals["grad_norm"] = (steps, norm * np.exp(x * float(rng.choice([0, 0, 6]))))
    settings: dict[str, Scalar] = {}
    if rng.random() < 0.6:
        settings = {"max_grad_norm": float(rng.choice([0.3, 1.0, 5.0])), "vocab_size": 32000, "num_train_epochs": 3.0}
    if not evals:
        settings |= {"eval_strategy": "steps", "eval_steps": 10 ** int(rng.integers(1, 7))}
    return signals, settings


def _reinforcement(rng: Rng, x: Floats, steps: Floats) -> Made:
    level = np.interp(x, [0, rng.uniform(0.1, 0.9), 1], rng.uniform(-1, 1, 3))
    n = len(x)
    return {
        "loss": (steps, rng.normal(0, 0.01, n)),
        "reward": (steps, level + rng.normal(0, float(rng.choice([0.0, 0.02, 0.2])), n)),
        "reward_std": (steps, np.abs(rng.normal(0, 0.2, n)) * float(rng.integers(2))),
        "kl": (steps, np.abs(rng.normal(0.1, 0.02, n)) * np.exp(x * float(rng.choice([0, 5])))),
        "entropy": (steps, np.exp(-x * float(rng.choice([0, 8]))) + np.abs(rng.normal(0, 0.01, n))),
        "completions/clipped_ratio": (steps, np.clip(x + rng.normal(0, 0.05, n), 0, 1)),
    }, {}


def _preference(rng: Rng, x: Floats, steps: Floats) -> Made:
    learned = float(rng.choice([0, 0.5]))
    return {
        "loss": (steps, np.log(2) - learned * x + rng.normal(0, 0.01, len(x))),
        "rewards/margins": (steps, 4 * learned * x + rng.normal(0, 0.02, len(x))),
        "rewards/accuracies": (steps, np.clip(0.5 + learned * x + rng.normal(0, 0.05, len(x)), 0, 1)),
    }, {}


def _machine(rng: Rng, x: Floats, steps: Floats) -> Made:
    slow = np.where((x > 0.5) & (x < rng.uniform(0.6, 1.1)), float(rng.choice([0.3, 1.0])), 1.0)
    return {
        "loss": (steps, 3 * np.exp(-3 * x) + rng.normal(0, 0.01, len(x))),
        "tokens_per_second": (steps, 9000 * slow * rng.normal(1, 0.02, len(x))),
        "gpu/0/memory": (steps, 2.0**33 * (1 + float(rng.choice([0, 0.5])) * x)),
        "gpu/1/memory": (steps, 2.0**33 * float(rng.choice([0.6, 1])) * np.ones_like(x)),
        "gpu/0/utilization": (steps, np.clip(rng.normal(float(rng.choice([30, 95])), 3, len(x)), 0, 100)),
        "perf/mfu": (steps, np.abs(rng.normal(float(rng.choice([0.02, 0.4])), 0.01, len(x)))),
        "loss_scale": (steps, np.maximum(1.0, 2.0 ** np.round(16 - float(rng.choice([0, 30])) * x))),
    }, {}


_KINDS: Mapping[str, Callable[[Rng, Floats, Floats], Made]] = {
    "language": _language,
    "reinforcement": _reinforcement,
    "preference": _preference,
    "machine": _machine,
}


def generated(seed: int) -> Run:
    """The run of a seed; two in three are losses with everything that may lie beside them."""
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([2, 5, 9, 14, 30, 60, 200, 450]))
    every = int(rng.choice([1, 5, 50]))
    x = np.linspace(0, 1, rows)
    steps = (np.arange(1, rows + 1) + int(rng.choice([0, 0, 0, 4000]))) * every
    if rows > 20 and rng.random() < 0.15:  # a restart that repeats a third of the steps
        steps = np.where(np.arange(rows) < rows // 2, steps, steps - rows // 3 * every)
    kind = str(rng.choice(list(_KINDS), p=[0.64, 0.12, 0.12, 0.12]))
    signals, settings = _KINDS[kind](rng, x, steps)
    kept = tuple(Checkpoint(int(step), f"out/checkpoint-{step}") for step in steps[rows // 4 :: max(1, rows // 3)][: int(rng.integers(4))])
    each = np.full(rows, float(rng.choice([0.2, 30])))
    each[rows // 2] += float(rng.choice([0, 9000]))  # a stall
    return make(
        signals, settings=settings, every=every, per_epoch=float(rng.choice([rows * every / 3, rows * every])),
        seconds=each if kind == "machine" else float(each[0]), checkpoints=kept, kind=str(rng.choice(["text", "trainer_state"])),
        planned_steps=int(steps.max() * float(rng.choice([1, 1, 2]))),
    )  # fmt: skip
