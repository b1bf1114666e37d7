"""Values to propose, and values that the snippets need in any run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossdoctor.diagnosis.checkpoint import best_eval_step
from lossdoctor.diagnosis.estimate import savings
from lossdoctor.diagnosis.progress import batch, row_before, steps_per_epoch
from lossdoctor.model import Scalar
from lossdoctor.run import Run

DEFAULT_SEED = 42  # of HuggingFace TrainingArguments
DEFAULT_LENGTH = 2048

FACTS: Mapping[str, str] = {
    "warmup_steps_suggested": "6 % of the plan, at least 10 steps",
    "eval_steps_suggested": "a tenth of the run, at least 10 and at most 500 steps",
    "save_steps_suggested": "a tenth of the run, at most 100 steps",
    "logging_steps_suggested": "so that the run gives about 200 rows",
    "epochs_suggested": "the epoch of the lowest eval loss, rounded up: to a quarter below three epochs, else to a whole one",
    "steps_suggested": "the step of the lowest eval loss",
    "clip_limit_suggested": "90th percentile of the gradient norm, to two digits",
    "saving_half_batch": "memory that half the batch saves, in words",
    "saving_checkpointing": "memory that gradient checkpointing saves, in words",
    "saving_half_length": "memory that half the length saves, in words",
    "step": "onset, else the last step",
    "seed": "seed of the sampler: data_seed, seed, else HF's default 42",
    "seed_is_known": "the seed was logged",
    "checkpoint_quoted": "path of the newest checkpoint from before the onset, as a Python string",
    "model_quoted": "name of the base model, as a Python string",
    "max_length_or_default": "max_length, else 2048",
    "position_low": "first sampler position of the row of the onset within its epoch",
    "position_high": "last sampler position of that row within its epoch",
    "epoch_index": "epoch of the onset, from 0",
}
ALWAYS = ("step", "seed", "checkpoint_quoted", "model_quoted", "max_length_or_default", "position_low", "position_high", "epoch_index")


def whole(run: Run) -> dict[str, Scalar]:
    total = run.planned_steps or run.last_step
    length, best = steps_per_epoch(run), best_eval_step(run)
    epoch = best / length if best and length else None
    model = run.setting("base_model")
    seed = run.number("data_seed") if run.number("data_seed") is not None else run.number("seed")
    norm = run.signal("train/grad_norm")
    limit = float(np.quantile(norm.finite.values, 0.9)) if norm is not None and len(norm.finite) >= 20 else None
    size = run.number("max_length")
    return {
        "warmup_steps_suggested": min(max(10, round(0.06 * total)), max(1, total // 4)),
        "eval_steps_suggested": min(500, max(10, round(total / 10))),
        "save_steps_suggested": min(100, max(10, round(total / 10))),
        "logging_steps_suggested": max(1, round(total / 200)),
        "epochs_suggested": None if epoch is None else _rounded(epoch),
        "steps_suggested": best,
        "clip_limit_suggested": float(f"{limit:.2g}") if limit else None,
        "seed": DEFAULT_SEED if seed is None else int(seed),
        "seed_is_known": seed is not None,
        "model_quoted": repr(str(model)) if model else "'your/base-model'",
        "max_length_or_default": int(size) if size and size >= 1 else DEFAULT_LENGTH,
        **savings(run),
    }


def _rounded(epoch: float) -> float:
    unit = 4 if epoch <= 3 else 1
    return max(0.25, float(np.ceil(epoch * unit - 1e-6) / unit))


def at(run: Run, onset: int | None) -> dict[str, Scalar]:
    step = onset if onset is not None else run.last_step
    kept = [c for c in run.checkpoints if c.step < step and c.whole is not False and c.weights_finite is not False]
    path = max(kept, key=lambda c: c.step).path if kept else "path/to/checkpoint"
    return {"step": step, "checkpoint_quoted": repr(path), **_positions(run, step)}


def _positions(run: Run, step: int) -> dict[str, Scalar]:
    """Sampler positions of the row at `step`, cut to its own epoch."""
    loss = run.signal("train/loss")
    before = row_before(loss, step) if loss is not None else None
    size, length = batch(run).samples, steps_per_epoch(run)
    last = max(0, step - 1)
    first = min(last, before if before is not None else last)
    whole_epoch = max(1, round(length)) if length else 0
    epoch = last // whole_epoch if whole_epoch else 0
    start = epoch * whole_epoch
    return {"epoch_index": epoch, "position_low": (max(first, start) - start) * size, "position_high": (last - start + 1) * size}
