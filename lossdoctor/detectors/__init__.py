"""Run -> Evidence | Skip | None. One pattern a file; this table is all that a rule can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lossdoctor.detectors.adversarial import discriminator_wins
from lossdoctor.detectors.checkpoints import corrupt_checkpoint, sparse_checkpoints
from lossdoctor.detectors.cliff import cliff
from lossdoctor.detectors.divergence import divergence
from lossdoctor.detectors.evaluation import eval_flat, eval_missing, eval_sparse
from lossdoctor.detectors.generic import drop, ratio_to_baseline, share_above, threshold, trend
from lossdoctor.detectors.gradients import constant_clipping, exploding_gradients, vanishing_gradients
from lossdoctor.detectors.leakage import eval_leakage
from lossdoctor.detectors.learning_rate import lr_restart, lr_zero, no_warmup, schedule_ended_early, warmup_too_long
from lossdoctor.detectors.level_shift import epoch_stairs, level_shift
from lossdoctor.detectors.log_quality import duplicate_steps, eval_never, missing_signal, mixed_runs, sparse_logging
from lossdoctor.detectors.memory import memory_leak
from lossdoctor.detectors.memory_limits import memory_imbalance, memory_near_limit, out_of_memory
from lossdoctor.detectors.nan_loss import nan_loss
from lossdoctor.detectors.overfitting import hockey_stick, overfitting
from lossdoctor.detectors.plateau import plateau
from lossdoctor.detectors.precision import fp16_where_bf16, loss_scale_collapse
from lossdoctor.detectors.preference import dpo_not_learning
from lossdoctor.detectors.reinforcement import completions_clipped, entropy_collapse, kl_blowup, reward_collapse, reward_flat
from lossdoctor.detectors.resume import resume_discontinuity
from lossdoctor.detectors.sawtooth import sawtooth
from lossdoctor.detectors.slow import slow_convergence, underfitting
from lossdoctor.detectors.spike import loss_spike
from lossdoctor.detectors.throughput import stall, throughput_drop
from lossdoctor.detectors.utilization import low_mfu, low_utilization
from lossdoctor.detectors.zero_loss import zero_loss

DETECTORS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        cliff, constant_clipping, divergence, eval_flat, eval_missing, eval_sparse, exploding_gradients, hockey_stick, loss_spike,
        lr_restart, lr_zero, memory_leak, nan_loss, no_warmup, overfitting, plateau, resume_discontinuity, sawtooth,
        schedule_ended_early, slow_convergence, stall, throughput_drop, underfitting, vanishing_gradients, warmup_too_long,
        zero_loss, discriminator_wins, level_shift, epoch_stairs, eval_leakage, eval_never, fp16_where_bf16, loss_scale_collapse,
        low_utilization, low_mfu, memory_imbalance, memory_near_limit, out_of_memory, corrupt_checkpoint, sparse_checkpoints,
        reward_collapse, reward_flat, kl_blowup, entropy_collapse, completions_clipped, dpo_not_learning, duplicate_steps,
        sparse_logging, missing_signal, mixed_runs,
        threshold, trend, drop, ratio_to_baseline, share_above,
    )
}  # fmt: skip


def discovered() -> dict[str, Callable[..., Any]]:
    """Detectors that installed packages offer under the entry-point group lossdoctor.detectors."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="lossdoctor.detectors")}
