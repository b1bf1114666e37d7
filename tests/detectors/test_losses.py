"""Divergence, plateau, sawtooth, cliff, spikes, slow convergence, NaN and zero losses: a case of each and what looks like it."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from .runs import EVERY, ROWS, cosine, learned, level, make, noisy, onset

RATE = {"learning_rate": cosine()}
LOUD = ("error", "warning")
AT = np.linspace(0, 1, ROWS)
SHAPES = (
    "divergence", "plateau", "sawtooth", "cliff", "loss-spike", "slow-convergence", "underfitting", "level-shift", "nan-loss",
    "zero-loss", "hockey-stick", "overfitting", "eval-flat", "exploding-gradients", "vanishing-gradients", "constant-clipping",
    "no-warmup", "schedule-ended-early", "lr-zero", "lr-restart", "warmup-too-long", "throughput-drop", "stall", "memory-leak",
    "resume-discontinuity", "eval-leakage", "loss-scale-collapse", "duplicate-steps", "mixed-runs", "missing-signal",
    "sparse-logging",
)  # fmt: skip


def healthy(seed: int = 0) -> dict[str, object]:
    """A good run with everything logged."""
    evals = np.arange(50, ROWS * EVERY + 1, 50)
    beside = np.interp(evals, np.arange(1, ROWS + 1) * EVERY, learned(sigma=0))
    return {
        "loss": learned(seed=seed), "eval_loss": (evals, noisy(beside + 0.05, 0.005, seed)), **RATE,
        "grad_norm": noisy(0.7 + 1.5 * np.exp(-30 * AT), 0.05, seed),
    }  # fmt: skip


@pytest.mark.parametrize("rule", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_run_alarms_no_rule(rule: str, seed: int):
    run = make(
        healthy(seed), settings={"max_grad_norm": 1.0, "vocab_size": 32000}, per_epoch=1000, planned_steps=1000, finished=True, seconds=1.0
    )
    assert level(run, rule) not in LOUD


def blown_up() -> np.ndarray:  # type: ignore[type-arg]
    values = learned()
    values[100:] = np.minimum(values[100:] + 0.15 * np.arange(100), 7.5)
    return values


def test_divergence_stays_up_and_a_spike_does_not():
    run = make({"loss": blown_up(), **RATE})
    assert level(run, "divergence") in LOUD
    assert abs((onset(run, "divergence") or 0) - 505) <= 60
    assert level(run, "loss-spike") == "healthy"
    values = learned()
    values[100:104] += 4
    spiked = make({"loss": values, **RATE})
    assert level(spiked, "loss-spike") in LOUD
    assert onset(spiked, "loss-spike") == 505
    assert level(spiked, "divergence") == "healthy"


def test_a_wiggle_near_zero_is_no_divergence():
    values = np.abs(noisy(2.0 * np.exp(-12 * AT), 5e-4))
    assert level(make({"loss": values, **RATE}), "divergence") not in LOUD


def test_stairs_that_rise_within_an_epoch_are_no_divergence():
    epoch = np.arange(ROWS) // 40
    stairs = noisy(0.7 * 0.62**epoch * (1 + 0.35 * (np.arange(ROWS) % 40) / 40 * (epoch > 0)), 0.004)
    assert level(make({"loss": stairs}, per_epoch=40 * EVERY), "divergence") not in LOUD
    stairs = stairs + np.where(np.arange(ROWS) < 160, 0, (np.arange(ROWS) - 160) / 80)
    assert level(make({"loss": stairs}, per_epoch=40 * EVERY), "divergence") in LOUD


def test_blocks_of_data_make_teeth_in_any_distance():
    begins = np.searchsorted(AT, [0.25, 0.4, 0.7, 0.85])
    since = np.arange(ROWS) - np.concatenate([[0], begins])[np.searchsorted(begins, np.arange(ROWS), side="right")]
    teeth = noisy(3.0 + 1.2 * np.exp(-since / 12), 0.05)
    assert level(make({"loss": teeth}), "sawtooth") in LOUD
    assert level(make({"loss": teeth, "learning_rate": 1e-4 * np.exp(-since / 12)}), "sawtooth") not in LOUD  # warm restarts


def test_the_short_last_batch_of_an_epoch_is_no_spike():
    values = learned()
    values[99] = 4.0
    assert level(make({"loss": values, **RATE}, every=1, per_epoch=50), "loss-spike") == "healthy"
    assert level(make({"loss": values, **RATE}, every=1, per_epoch=60), "loss-spike") in LOUD


def test_a_drop_is_no_spike():
    values = learned()
    values[100] = 0.2
    assert level(make({"loss": values, **RATE}), "loss-spike") == "healthy"


def test_plateau_at_chance_but_not_convergence():
    guessing = make({"loss": noisy(np.full(ROWS, log(10)), 0.02), "eval_accuracy": np.full(ROWS, 0.1), **RATE}, settings={"num_labels": 10})
    assert level(guessing, "plateau") in LOUD
    converged = make({"loss": noisy(0.3 + 2.0 * np.exp(-20 * AT), 0.02), **RATE}, settings={"vocab_size": 32000})
    assert level(converged, "plateau") not in LOUD


def test_few_epochs_or_a_window_need_every_row_at_the_level_of_guessing():
    few = [2.3086, 2.2973, 2.3083, 2.3027, 2.3045, 2.3057]
    assert level(make({"loss": few}, every=1, step_is="epoch"), "plateau") in LOUD
    assert level(make({"loss": few}), "plateau") not in LOUD  # the first rows of a run
    later = (np.arange(200, 206), few)
    assert level(make({"loss": later}), "plateau") in LOUD
    assert level(make({"loss": (later[0], [2.36, 2.30, 2.31, 2.28, 2.31, 2.3])}), "plateau") not in LOUD


def test_a_fall_at_once_and_nothing_since_takes_more_than_one_pass_over_the_data():
    values = noisy(1.25 + 0.2 * np.exp(-60 * AT), 0.01)
    assert level(make({"loss": values, **RATE}, per_epoch=ROWS * EVERY / 3), "plateau") in LOUD
    assert level(make({"loss": values, **RATE}, per_epoch=ROWS * EVERY * 1.01), "plateau") not in LOUD


def test_a_plateau_is_none_where_train_has_learned_and_the_evals_have_not():
    signals = {"loss": np.full(4, 0.0035), "eval_loss": [0.3, 1.1, 1.8, 4.3], "eval_accuracy": [0.0, 0.0, 0.0, 0.0]}
    assert level(make(signals, every=1, step_is="epoch"), "plateau") not in LOUD


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([15.5, 13.0, 3.8, 2.39, 1.43, 5.82, 7.05, 10.03], True),
        ([15.5, 13.0, 3.8, 2.39, 1.43, 5.82, 4.05, 10.03], False),  # out of order
        ([15.5, 13.0, 3.8, 2.39, 1.43, 1.5, 1.6, 1.7], False),  # hardly anything is lost
        ([3.8, 2.39, 1.43, 5.82, 7.05, 10.03], False),  # six rows come in such an order once in twenty
    ],
)
def test_few_rows_that_fall_and_then_rise_in_order_diverge(values, found):
    assert (level(make({"loss": values}, every=55), "divergence") in LOUD) == found


def test_a_level_that_no_cross_entropy_reaches_is_one_row_of_evidence():
    assert level(make({"loss": [1.77e11]}, framework="transformers"), "divergence") == "error"
    assert level(make({"loss": [1.77e11]}), "divergence") not in LOUD  # a squared error of who knows what
    assert level(make({"loss": [9000.0]}, framework="transformers"), "divergence") not in LOUD


def test_sawtooth_is_structure_not_batch_noise():
    waves = learned(sigma=0.01) + 0.4 * ((np.arange(ROWS) % 12) / 12 - 0.5) * (AT > 0.1)
    assert level(make({"loss": waves, **RATE}), "sawtooth") in LOUD
    assert level(make({"loss": learned(sigma=0.25), **RATE}), "sawtooth") not in LOUD


def test_slow_convergence_is_a_straight_line_and_a_decay_tail_is_not():
    slow = make({"loss": noisy(3.0 - 0.5 * AT, 0.01), "learning_rate": np.full(ROWS, 1e-6)}, per_epoch=1000, settings={"vocab_size": 32000})
    assert level(slow, "slow-convergence") in LOUD
    assert level(make({"loss": learned(), **RATE}), "slow-convergence") not in LOUD


def test_nan_is_named_at_its_step_and_a_skipped_fp16_step_is_none():
    values = learned()
    values[150:] = np.nan
    run = make({"loss": values, **RATE})
    assert level(run, "nan-loss") == "error"
    assert onset(run, "nan-loss") == 151 * EVERY
    norm = np.full(ROWS, 0.8)
    norm[[3, 90]] = np.inf
    assert level(make({"loss": learned(), "grad_norm": norm, **RATE}), "nan-loss") not in LOUD


def test_a_nan_that_the_trainer_filtered_reads_zero():
    values, norm = learned(), np.full(ROWS, 0.8)
    values[150:], norm[150:] = 0.0, np.nan
    assert level(make({"loss": values, "grad_norm": norm, **RATE}), "nan-loss") == "error"


def test_zero_loss_early_but_not_late():
    masked = np.concatenate((np.full(2, 0.4), np.zeros(ROWS - 2)))
    assert level(make({"loss": masked, "grad_norm": np.zeros(ROWS), **RATE}), "zero-loss") in LOUD
    late = np.maximum(2.0 * np.exp(-10 * AT), 1e-4)
    assert level(make({"loss": late, "grad_norm": np.full(ROWS, 0.1), **RATE}, per_epoch=100), "zero-loss") not in LOUD
    assert level(make({"loss": noisy(np.zeros(ROWS), 1e-5), "reward": AT, "kl": AT}), "zero-loss") == "skipped"
