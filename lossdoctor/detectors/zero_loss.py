"""The training loss sits at zero, or far too low far too early."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import loss_curve, named_curve


def zero_loss(run: Run, *, zero: float, too_good: float, early_share: float, early_epochs: float) -> Evidence | None:
    """The median of the last third is below `zero`, and the loss came below it early: before `early_share` of the run and `early_epochs`
    epochs. For language models `too_good` nats a token that early counts too: padding or the answer itself is being predicted.

    A set that is memorised gets there late; a hidden NaN is the NaN rule's matter.
    """
    curve = loss_curve(run)
    if len(curve) < 3:
        return None
    end = float(np.median(np.abs(curve.values[-max(3, len(curve) // 3) :])))
    norm = named_curve(run, "train/grad_norm")
    # Rounded to 4 digits a loss of 4e-5 reads 0: what counts is that it is there early.
    bound = zero if end <= zero else too_good
    if end > bound or (bound > zero and not _language_model(run)):
        return None
    below = np.flatnonzero(np.abs(curve.level) <= 1.2 * max(bound, 2 * curve.quantum))
    if not len(below):
        return None
    at = int(curve.at[below[0]])
    share = (at - int(curve.steps[0])) / max(curve.span, 1)
    epochs = _epoch_at(run, at)
    if share > early_share or (epochs is not None and epochs > early_epochs and share > 0.05):
        return None
    nonfinite = run.signal("train/grad_norm")
    zero_norm = bool(len(norm)) and float(np.median(norm.values)) == 0.0
    numbers = {
        "level": end, "reached_step": at, "reached_share": share, "reached_epoch": epochs,
        "exactly_zero": float(np.max(np.abs(curve.values[-max(3, len(curve) // 3) :]))) == 0.0, "norm_is_zero": zero_norm,
        "norm_median": float(np.median(norm.values)) if len(norm) else None,
        "norm_is_nan": bool(nonfinite is not None and len(nonfinite) and not np.isfinite(nonfinite.values).any()), "bound": bound,
        "start": float(curve.values[0]),
    }  # fmt: skip
    return Evidence(
        numbers,
        ("train/loss", "train/grad_norm") if len(norm) else ("train/loss",),
        at,
        ((at, int(curve.steps[-1])),),
        margin=min(10.0, bound / max(end, bound / 10)),
        points=len(curve),
    )


def _language_model(run: Run) -> bool:
    if run.task == tasks.LANGUAGE_MODEL:
        return True
    size = run.number("vocab_size")
    return run.task == tasks.UNKNOWN and size is not None


def _epoch_at(run: Run, step: int) -> float | None:
    loss = run.signal("train/loss")
    if loss is None or run.step_is == "epoch":
        return None
    near = loss.epochs[loss.steps <= step]
    value = float(near[-1]) if len(near) else np.nan
    return value if np.isfinite(value) else None
