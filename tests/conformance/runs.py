"""Runs that no detector was written for: the same awkward series under every signal that a rule may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from lossdoctor.evaluate import labels
from lossdoctor.model import Setting
from lossdoctor.run import Log, Run, Series, build
from lossdoctor.run.log import Floats, Ints
from lossdoctor.sources.load import load

FIXTURES = Path(__file__).parents[2] / "fixtures"
SIGNALS = (
    "train/loss", "eval/loss", "train/learning_rate", "train/grad_norm", "train/loss_scale", "train/epoch", "train/accuracy",
    "eval/accuracy", "perf/tokens_per_second", "perf/step_seconds", "perf/mfu", "gpu/0/memory", "gpu/1/memory", "gpu/0/memory_utilization",
    "gpu/0/utilization", "host/memory", "reward", "reward_std", "kl", "entropy", "rewards/accuracies", "rewards/margins", "logps/chosen",
    "completions/clipped_ratio",
)  # fmt: skip
SETTINGS = {
    "max_grad_norm": 1.0, "learning_rate": 2e-4, "warmup_steps": 10, "warmup_ratio": 0.03, "num_train_epochs": 3, "max_steps": 400,
    "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "save_steps": 100, "fp16": True, "vocab_size": 32000,
    "num_labels": 4, "lr_scheduler_type": "cosine", "beta": 0.1,
}  # fmt: skip

_N = np.arange(200)
AWKWARD: Mapping[str, tuple[Sequence[int], Sequence[float]]] = {
    "empty": ([], []),
    "one point": ([10], [2.0]),
    "two points": ([10, 20], [2.0, 1.0]),
    "three points": ([10, 20, 30], [2.0, 1.0, 3.0]),
    "constant": (_N * 10, np.full(200, 2.5)),
    "zero": (_N * 10, np.zeros(200)),
    "negative": (_N * 10, -1 - np.exp(-_N / 40)),
    "crossing zero": (_N * 10, 1 - _N / 100),
    "all NaN": (_N * 10, np.full(200, np.nan)),
    "all Inf": (_N * 10, np.full(200, np.inf)),
    "NaN but one": (_N * 10, np.where(_N == 57, 2.0, np.nan)),
    "NaN here and there": (_N * 10, np.where(_N % 7 == 3, np.nan, 2 + np.exp(-_N / 40))),
    "Inf of both signs": (_N * 10, np.where(_N % 9 == 4, np.inf, np.where(_N % 9 == 5, -np.inf, 2.0 + 0.01 * _N))),
    "huge": (_N * 10, 1e300 * (2 + np.exp(-_N / 40))),
    "the largest": (_N * 10, np.where(_N % 2 == 0, 1.7e308, -1.7e308)),
    "tiny": (_N * 10, 1e-300 * (2 + np.exp(-_N / 40))),
    "denormal": (_N * 10, np.full(200, 5e-324)),
    "steps reversed": (_N[::-1] * 10, 2 + np.exp(-_N / 40)),
    "steps all equal": (np.full(200, 10), 2 + np.exp(-_N / 40)),
    "steps twice": (np.repeat(_N[:100] * 10, 2), 2 + np.exp(-_N / 40)),
    "steps negative": (_N * 10 - 1000, 2 + np.exp(-_N / 40)),
    "steps of 2^62": (_N.astype(np.int64) * ((1 << 62) // 200), 2 + np.exp(-_N / 40)),
    "steps at the edge": ([-(1 << 63), 0, (1 << 63) - 1], [3.0, 2.0, 1.0]),
    "a restart": (np.concatenate([_N[:120], _N[60:140]]) * 10, 2 + np.exp(-_N / 40)),
    "a spike": (_N * 10, np.where(_N == 120, 50.0, 2 + np.exp(-_N / 40))),
    "alternating": (_N * 10, 2 + 0.5 * (-1.0) ** _N),
}  # fmt: skip


def run_of(series: Mapping[str, tuple[Sequence[int], Sequence[float]]], *, settings: bool = True, planned: int | None = 2000) -> Run:
    """A run with these series (name -> steps, values) and, if asked, common settings."""
    told = [Setting(name, value, "test") for name, value in SETTINGS.items()] if settings else []
    made = tuple(_series(name, np.array(steps, np.int64), np.array(values, float)) for name, (steps, values) in series.items())
    return build(Log("tensorboard", Path("made"), "made", made, planned_steps=planned), settings=told)


def _series(name: str, steps: Ints, values: Floats) -> Series:
    return Series.of(name, steps, values, steps / 700, 1.7e9 + 3.0 * np.arange(len(steps)))


def everywhere(case: str, *, settings: bool = True) -> Run:
    """One awkward series under every signal."""
    return run_of(dict.fromkeys(SIGNALS, AWKWARD[case]), settings=settings)


@cache
def real() -> dict[str, Run]:
    """The runs in fixtures/, loaded once; only those that are one run."""
    loaded = {home.name: load(str(home)) for home in labels(FIXTURES)}
    return {name: found.runs[0] for name, found in loaded.items() if len(found.runs) == 1}


def scaled(run: Run, factor: float, names: tuple[str, ...] = ("train/loss", "eval/loss")) -> Run:
    """The same run with a loss in another unit."""
    signals = {
        name: replace(signal, values=signal.values * factor) if name in names or name.endswith("/loss") else signal
        for name, signal in run.signals.items()
    }
    return replace(run, signals=signals)


_COUNTED_IN_STEPS = ("max_steps", "warmup_steps", "eval_steps", "save_steps", "logging_steps")


def longer(run: Run, factor: int) -> Run:
    """The same run counted in smaller steps: `factor` times as many."""

    def more(steps: int | None) -> int | None:
        return None if steps is None else steps * factor

    def setting(one: Setting) -> Setting:
        whole = one.name in _COUNTED_IN_STEPS and isinstance(one.value, int) and one.value > 1
        return replace(one, value=int(one.value) * factor) if whole else one  # type: ignore[arg-type]

    return replace(
        run,
        signals={name: replace(signal, steps=signal.steps * factor) for name, signal in run.signals.items()},
        settings={name: setting(one) for name, one in run.settings.items()},
        checkpoints=tuple(replace(one, step=one.step * factor) for one in run.checkpoints),
        events=tuple(replace(one, step=more(one.step)) for one in run.events),
        planned_steps=more(run.planned_steps),
        reached_step=more(run.reached_step),
        best_step=more(run.best_step),
    )
