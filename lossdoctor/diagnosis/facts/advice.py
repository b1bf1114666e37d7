"""Values to propose, and values that the snippets need in any run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lossdoctor.diagnosis.checkpoint import best_eval_step
from lossdoctor.diagnosis.estimate import savings
from lossdoctor.diagnosis.progress import batch, row_before, steps_per_epoch
from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.model import Checkpoint, Scalar
from lossdoctor.run import Run

DEFAULT_SEED = 42  # of HuggingFace TrainingArguments
DEFAULT_LENGTH = 2048

FACTS: Mapping[str, str] = {
    "warmup_steps_suggested": "6 % of the plan, at least 10 steps",
    "eval_steps_suggested": "a tenth of the run, at least 10 and at most 500 steps",
    "save_steps_suggested": "a tenth of the run, at most 100 steps",
    "logging_steps_suggested": "so that the run gives about 200 rows",
    "epochs_suggested": "the epoch of the lowest eval loss, rounded up: to a quarter below three epochs, else to a whole one",
    "steps_suggested": "the step of the lowest eval loss, as the finding has it",
    "turns_within_first_epoch": "the eval loss is lowest before 0.7 epochs: before any row was seen twice",
    "unseen_drop": "fall of the training loss in the first epoch, on rows never seen before, where the eval loss turned within it",
    "lr_suggested": "a third of the highest learning rate up to the onset; the usual one where the peak is absurd from the first row on",
    "lr_suggested_low": "the same with a fifth",
    "lr_suggested_why": "why that learning rate, in words",
    "checkpoint_said": "name of the newest checkpoint from before the onset, in words",
    "clip_limit_suggested": "90th percentile of the gradient norm, to two digits",
    "saving_half_batch": "memory that half the batch saves, in words",
    "saving_checkpointing": "memory that gradient checkpointing saves, in words",
    "saving_half_length": "memory that half the length saves, in words",
    "step": "onset, else the last step",
    "seed": "seed of the sampler: data_seed, seed, else HF's default 42",
    "seed_is_known": "the seed was logged",
    "checkpoint_quoted": "path of the newest checkpoint from before the onset, as a Python string",
    "last_checkpoint_quoted": "path of the newest checkpoint, as a Python string",
    "model_quoted": "name of the base model, as a Python string",
    "max_length_or_default": "max_length, else 2048",
    "position_low": "first sampler position of the row of the onset within its epoch",
    "position_high": "last sampler position of that row within its epoch",
    "epoch_index": "epoch of the onset, from 0",
}
ALWAYS = (
    "step", "seed", "checkpoint_quoted", "last_checkpoint_quoted", "model_quoted", "max_length_or_default", "position_low",
    "position_high", "epoch_index",
)  # fmt: skip
WITHIN = 0.7  # of the first epoch: evals after it may as well stand for its end
NO_PATH = "path/to/checkpoint"


def whole(run: Run) -> dict[str, Scalar]:
    total = run.planned_steps or run.last_step
    length, best = steps_per_epoch(run), best_eval_step(run)
    epoch = best / length if best and length else None
    model = run.setting("base_model")
    seed = run.number("data_seed") if run.number("data_seed") is not None else run.number("seed")
    norm = run.signal("train/grad_norm")
    limit = float(np.quantile(norm.finite.values, USUAL.clipping.quantile)) if norm is not None and len(norm.finite) >= 5 else None
    size = run.number("max_length")
    return {
        "warmup_steps_suggested": min(max(10, round(USUAL.warmup.share * total)), max(1, total // 4)),
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
    return max(1, math.ceil(round(epoch * unit, ndigits=6))) / unit


def at(run: Run, onset: int | None, spoiled: int | None = None) -> dict[str, Scalar]:
    step = onset if onset is not None else run.last_step
    usable = sorted((c for c in run.checkpoints if c.whole is not False and c.weights_finite is not False), key=lambda c: c.step)
    kept = [c for c in usable if c.step < (step if spoiled is None else min(step, spoiled))]
    return {
        "step": step,
        "checkpoint_quoted": repr(kept[-1].path if kept else NO_PATH),
        "last_checkpoint_quoted": repr(usable[-1].path if usable else NO_PATH),
        "checkpoint_said": _named(run, kept, step),
        **_positions(run, step),
    }


def _named(run: Run, kept: Sequence[Checkpoint], step: int) -> str:
    if kept:
        return f"checkpoint-{kept[-1].step}"
    return "the beginning" if run.checkpoints else f"a checkpoint from before step {step}, or from the beginning"


def proposed(run: Run, found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Values that depend on what the detector measured: they win over those from the whole run."""
    return _turn(run, found) | _lower_rate(found)


def _turn(run: Run, found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    best, length = found.get("best_step"), steps_per_epoch(run)
    if not isinstance(best, int | float) or isinstance(best, bool):
        return {}
    if not length:
        return {"steps_suggested": int(best)}
    epoch = best / length
    return {
        "steps_suggested": int(best),
        "epochs_suggested": _rounded(epoch),
        "eval_min_epoch": epoch,
        "eval_min_share": best / max(1, run.last_step),
        "turns_within_first_epoch": epoch <= WITHIN,
        "unseen_drop": found.get("first_epoch_drop") if epoch <= WITHIN else None,
    }


def _lower_rate(found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A learning rate from what this run bore: a third (fifth) of the highest one up to the onset, which may lie below the peak."""
    peak, typical = found.get("lr_peak"), found.get("lr_typical")
    reached = found.get("lr_reached", peak)
    if not isinstance(reached, float) or not isinstance(peak, float) or reached <= 0:
        return {}
    sgd, absurd = found.get("optimizer_is_sgd") is True, found.get("lr_is_high") is True
    if absurd and not sgd and (isinstance(typical, float) or found.get("nan_at_once") is True):
        usual = typical if isinstance(typical, float) else USUAL.learning_rate.safe
        why = f"{peak:.3g} is far above what Adam bears ({usual:.2g} is usual); under plain SGD take a third of {reached:.3g} instead"
        return {"lr_suggested": usual, "lr_suggested_low": usual, "lr_suggested_why": why}
    ramp = f", on the way to a peak of {peak:.3g}" if reached < peak else ""
    why = f"it went wrong at {reached:.3g}{ramp}"
    if absurd and not sgd:
        why += "; rates this high are for plain SGD: with Adam go to 0.001 or less"
    return {
        "lr_suggested": float(f"{reached / 3:.2g}"),
        "lr_suggested_low": float(f"{reached / 5:.2g}"),
        "lr_suggested_why": why,
    }


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
