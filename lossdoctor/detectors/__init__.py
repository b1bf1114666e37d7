"""Run -> Evidence | Skip | None. One pattern a file; this table is all that a rule can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lossdoctor.detectors.cliff import cliff
from lossdoctor.detectors.divergence import divergence
from lossdoctor.detectors.evaluation import eval_flat, eval_missing, eval_sparse
from lossdoctor.detectors.gradients import constant_clipping, exploding_gradients, vanishing_gradients
from lossdoctor.detectors.learning_rate import lr_restart, lr_zero, no_warmup, schedule_ended_early, warmup_too_long
from lossdoctor.detectors.memory import memory_leak
from lossdoctor.detectors.nan_loss import nan_loss
from lossdoctor.detectors.overfitting import hockey_stick, overfitting
from lossdoctor.detectors.plateau import plateau
from lossdoctor.detectors.resume import resume_discontinuity
from lossdoctor.detectors.sawtooth import sawtooth
from lossdoctor.detectors.slow import slow_convergence, underfitting
from lossdoctor.detectors.spike import loss_spike
from lossdoctor.detectors.throughput import stall, throughput_drop
from lossdoctor.detectors.zero_loss import zero_loss

DETECTORS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        cliff, constant_clipping, divergence, eval_flat, eval_missing, eval_sparse, exploding_gradients, hockey_stick, loss_spike,
        lr_restart, lr_zero, memory_leak, nan_loss, no_warmup, overfitting, plateau,
        resume_discontinuity, sawtooth, schedule_ended_early, slow_convergence, stall, throughput_drop, underfitting, vanishing_gradients,
        warmup_too_long, zero_loss,
    )
}  # fmt: skip


def discovered() -> dict[str, Callable[..., Any]]:
    """Detectors that installed packages offer under the entry-point group lossdoctor.detectors."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="lossdoctor.detectors")}
