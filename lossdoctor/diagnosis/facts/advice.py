"""Values to propose, and values that the snippets need in any run."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lossdoctor.diagnosis.checkpoint import best_eval_step, clean
from lossdoctor.diagnosis.dialects import OF_TRANSFORMERS, dialect_of
from lossdoctor.diagnosis.estimate import savings
from lossdoctor.diagnosis.progress import batch, row_before, steps_per_epoch
from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.model import Scalar
from lossdoctor.run import Run, cadence

DEFAULT_SEED = 42  # of HuggingFace TrainingArguments
DEFAULT_LENGTH = 2048

FACTS: Mapping[str, str] = {
    "warmup_steps_suggested": "6 % of the plan, at least 10 steps",
    "eval_steps_suggested": "so that the run is evaluated ten times",
    "evals_suggested": "how often that evaluates the run",
    "save_steps_suggested": "a tenth of the run, at most 100 steps",
    "logging_steps_suggested": "so that the run gives about 200 rows",
    "rows_suggested": "how many rows that gives",
    "epochs_suggested": "the epoch of the lowest eval loss, rounded up: to a quarter below three epochs, else to a whole one",
    "steps_suggested": "the step of the lowest eval loss, as the finding has it",
    "length_suggested": "the same, where a run of that length makes sense: not where the eval loss turned before any row was seen twice",
    "length_is_in_steps": "the length of the run is set, or known, in steps only",
    "turns_within_first_epoch": "the eval loss is lowest before 0.7 epochs: before any row was seen twice",
    "unseen_drop": "fall of the training loss in the first epoch, on rows never seen before, where the eval loss turned within it",
    "lr_suggested": "a third of the highest learning rate up to the onset; the usual one where the peak is absurd from the first row on",
    "lr_suggested_low": "the same with a fifth",
    "lr_suggested_why": "why that learning rate, in words",
    "checkpoint_said": "name of the newest checkpoint from before the onset, in words; the beginning where none was found",
    "retry_said": "from where to go on, in words; for the next run where this one recovered and finished",
    "retry_steps": "twice the steps to the onset, at most the run",
    "has_clean_checkpoint": "a checkpoint from before the onset was found",
    "has_checkpoint": "a checkpoint that can be loaded was found",
    "best_is_kept": "the checkpoint of the lowest eval loss was found",
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
    "positions_known": "the batch and the epoch are known, so that the samples of a step can be found, and HuggingFace's sampler read them",
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
    total = cadence.length(run)
    best = best_eval_step(run)
    model = run.setting("base_model")
    seed = run.number("data_seed") if run.number("data_seed") is not None else run.number("seed")
    norm = run.signal("train/grad_norm")
    limit = float(np.quantile(norm.finite.values, USUAL.clipping.quantile)) if norm is not None and len(norm.finite) >= 5 else None
    size = run.number("max_length")
    evals, rows = cadence.eval_every(run), cadence.log_every(run)
    return {
        "warmup_steps_suggested": min(max(10, round(USUAL.warmup.share * total)), max(1, total // 4)),
        "eval_steps_suggested": evals,
        "evals_suggested": total // evals,
        "save_steps_suggested": cadence.save_every(run),
        "logging_steps_suggested": rows,
        "rows_suggested": total // rows,
        "clip_limit_suggested": float(f"{limit:.2g}") if limit else None,
        "seed": DEFAULT_SEED if seed is None else int(seed),
        "seed_is_known": seed is not None,
        "model_quoted": repr(str(model)) if model else "'your/base-model'",
        "max_length_or_default": int(size) if size and size >= 1 else DEFAULT_LENGTH,
        **savings(run),
        **_turn(run, best),
    }


def _rounded(epoch: float) -> float:
    unit = 4 if epoch <= 3 else 1
    return max(1, math.ceil(round(epoch * unit, ndigits=6))) / unit


def at(run: Run, onset: int | None, spoiled: int | None = None) -> dict[str, Scalar]:
    step = onset if onset is not None else run.last_step
    usable = clean(run.checkpoints, None)
    kept = clean(run.checkpoints, step if spoiled is None else min(step, spoiled))
    return {
        "step": step,
        "checkpoint_quoted": repr(kept[-1].path if kept else NO_PATH),
        "last_checkpoint_quoted": repr(usable[-1].path if usable else NO_PATH),
        "checkpoint_said": f"checkpoint-{kept[-1].step}" if kept else "the beginning",
        "has_clean_checkpoint": bool(kept),
        "has_checkpoint": bool(usable),
        "retry_steps": min(2 * max(1, step), cadence.length(run)),
        **_positions(run, step),
    }


def proposed(run: Run, found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Values that depend on what the detector measured: they win over those from the whole run."""
    best = found.get("best_step")
    turn = _turn(run, int(best)) if isinstance(best, int | float) and not isinstance(best, bool) else {}
    drop = found.get("first_epoch_drop") if turn.get("turns_within_first_epoch") else None
    return turn | {"unseen_drop": drop, "retry_said": _retry(run, found)} | _lower_rate(found)


def _turn(run: Run, best: int | None) -> dict[str, Scalar]:
    """The length that the eval loss asks for, in steps, and in epochs where the plan is in epochs."""
    length = steps_per_epoch(run)
    in_steps = (run.number("max_steps") or 0) > 0 or not length
    found: dict[str, Scalar] = {"length_is_in_steps": in_steps}
    if best is None:
        return found
    epoch = best / length if length else None
    early = epoch is not None and epoch <= WITHIN
    found |= {
        "steps_suggested": best,
        "length_suggested": None if early or not best else best,
        "epochs_suggested": None if epoch is None or early or in_steps else _rounded(epoch),
        "best_is_kept": any(c.step == best for c in clean(run.checkpoints, None)),
    }
    if epoch is None:
        return found
    share = best / max(1, run.last_step)
    return found | {"eval_min_epoch": epoch, "eval_min_share": share, "turns_within_first_epoch": early}


def _retry(run: Run, found: Mapping[str, Scalar]) -> str:
    after = found.get("after_ratio")
    healed = found.get("recovery") == "fast" or (isinstance(after, float) and 10 * after <= 11)
    if healed and run.finished is not False and not found.get("ended_before_plan"):
        return "for the next run, as this one recovered"
    return f"restart from {found['checkpoint_said']}" if found.get("has_clean_checkpoint") else "start again from the beginning"


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
    known = run.step_is == "step" and not batch(run).unknown and bool(length) and dialect_of(run) in OF_TRANSFORMERS
    return {
        "epoch_index": epoch,
        "position_low": (max(first, start) - start) * size,
        "position_high": (last - start + 1) * size,
        "positions_known": known,
    }
