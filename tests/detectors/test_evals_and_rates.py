"""Evaluations, gradients and learning-rate schedules: a case of each rule and what looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from .runs import EVERY, ROWS, cosine, learned, level, make, noisy, onset

LOUD = ("error", "warning")
AT = np.linspace(0, 1, ROWS)
EVALS = np.arange(50, 1001, 50)
SHARE = EVALS / 1000
BASE = {"loss": noisy(2.5 - 2.0 * AT**0.5, 0.01), "learning_rate": cosine()}


def evals(values: np.ndarray) -> dict[str, object]:  # type: ignore[type-arg]
    return {**BASE, "eval_loss": (EVALS, values)}


def turned(at: float, rise: float) -> np.ndarray:  # type: ignore[type-arg]
    """Falls to its minimum at a share of the run, then rises by a share of it."""
    return np.where(at >= SHARE, 1.5 - 0.5 * SHARE / at, 1.0 + rise * (SHARE - at) / (1 - at))


def test_hockey_stick_early_overfitting_late():
    early = make(evals(noisy(turned(0.25, 0.4), 0.003)), per_epoch=250)
    assert level(early, "hockey-stick") in LOUD
    assert abs((onset(early, "hockey-stick") or 0) - 250) <= 50
    late = make(evals(noisy(turned(0.6, 0.3), 0.003)), per_epoch=100)
    assert level(late, "overfitting") in LOUD
    assert level(late, "hockey-stick") == "healthy"


@pytest.mark.parametrize("rule", ["hockey-stick", "overfitting"])
def test_noise_of_a_small_eval_set_and_a_single_late_rise_are_no_overfitting(rule: str):
    assert level(make(evals(noisy(1.5 - 0.5 * SHARE, 0.03)), per_epoch=250), rule) not in LOUD
    last = 1.5 - 0.5 * SHARE
    last[-1] *= 1.08
    assert level(make(evals(last), per_epoch=250), rule) not in LOUD


def test_eval_that_never_moves_while_train_falls():
    assert level(make(evals(np.full(20, 2.2))), "eval-flat") in LOUD
    assert level(make(evals(noisy(2.3 - 0.9 * SHARE, 0.01))), "eval-flat") == "healthy"
    assert level(make({**BASE, "eval_loss": ([500, 1000], [2.0, 2.0])}), "eval-flat") == "skipped"


def test_evals_missing_or_few():
    assert level(make(BASE), "eval-missing") == "note"
    assert level(make(evals(turned(0.9, 0))), "eval-missing") == "healthy"
    assert level(make({**BASE, "eval_loss": ([500, 1000], [2.0, 1.9])}), "eval-sparse") == "note"
    assert level(make(evals(turned(0.9, 0))), "eval-sparse") == "healthy"


NORM = noisy(0.7 + 3.0 * np.exp(-40 * AT), 0.05)


def test_gradients_that_climb_and_warmup_norms():
    climbing = np.abs(noisy(0.7 * np.exp(np.maximum(0, AT - 0.5) * 9), 0.03))
    assert level(make({**BASE, "grad_norm": climbing}, settings={"max_grad_norm": 1.0}), "exploding-gradients") in LOUD
    assert level(make({**BASE, "grad_norm": NORM}, settings={"max_grad_norm": 1.0}), "exploding-gradients") == "healthy"
    burst = NORM.copy()
    burst[120] = 300
    assert level(make({**BASE, "grad_norm": burst}), "exploding-gradients") not in LOUD


def test_a_norm_needs_less_growth_where_the_loss_grows_with_it():
    grown = np.abs(noisy(0.5 + 5 * AT**2, 0.05))
    assert level(make({**BASE, "grad_norm": grown}), "exploding-gradients") == "healthy"
    rising = noisy(np.concatenate([np.linspace(3, 1, 50), np.linspace(1, 4, len(AT) - 50)]), 0.02)
    assert level(make({**BASE, "loss": rising, "grad_norm": grown}), "exploding-gradients") in LOUD


def test_a_rate_that_steps_down_from_a_level_has_not_ended():
    steps = np.repeat([1e-2, 1e-3, 1e-4, 1e-5], ROWS // 4)
    assert level(make({**BASE, "learning_rate": steps}), "schedule-ended-early") == "healthy"
    decayed = np.concatenate([np.linspace(1e-2, 1e-5, ROWS // 2), np.full(ROWS // 2, 1e-5)])
    assert level(make({**BASE, "learning_rate": decayed}), "schedule-ended-early") in LOUD
    assert level(make({**BASE, "learning_rate": np.repeat([1e-2, 0.0], ROWS // 2)}), "schedule-ended-early") in LOUD


def test_a_large_norm_of_a_huge_loss_has_not_vanished():
    huge = {"loss": noisy(np.full(ROWS, 4e8), 1e8), "grad_norm": noisy(np.full(ROWS, 9e5), 1e5)}
    assert level(make(huge), "vanishing-gradients") == "healthy"


def test_gradients_that_vanish_while_the_loss_is_high():
    gone = np.maximum(1.0 * np.exp(-60 * AT), 1e-6)
    assert (
        level(make({"loss": noisy(np.full(ROWS, 2.3), 0.005), "grad_norm": gone, "learning_rate": cosine()}), "vanishing-gradients") in LOUD
    )
    assert level(make({**BASE, "grad_norm": NORM}), "vanishing-gradients") == "healthy"


def test_clipping_on_a_healthy_run_is_a_note_at_most():
    high = noisy(np.full(ROWS, 3.0), 0.2)
    assert level(make({**BASE, "grad_norm": high}, settings={"max_grad_norm": 1.0}), "constant-clipping") == "note"
    assert level(make({**BASE, "grad_norm": NORM}, settings={"max_grad_norm": 1.0}), "constant-clipping") == "healthy"
    assert level(make({**BASE, "grad_norm": high}), "constant-clipping") != "warning"


def test_no_warmup_matters_where_the_loss_jumped():
    flat = {"learning_rate": np.full(ROWS, 2e-2)}
    jumped = learned(start=4.0, end=2.6)
    jumped[0] = 1.5
    assert level(make({"loss": jumped, **flat}), "no-warmup") in LOUD
    assert level(make({"loss": learned(), **flat}), "no-warmup") not in LOUD
    assert level(make({"loss": jumped, "learning_rate": cosine()}), "no-warmup") == "healthy"


def test_a_first_step_thrown_far_is_judged_where_adam_is_known():
    thrown = {"loss": learned(), "learning_rate": np.full(ROWS, 5e-2), "grad_norm": np.where(np.arange(ROWS) == 0, 20.0, 1.0)}
    assert level(make(thrown, settings={"optim": "adamw_torch"}), "no-warmup") in LOUD
    assert level(make(thrown, framework="transformers"), "no-warmup") in LOUD
    assert level(make(thrown, settings={"optim": "sgd"}), "no-warmup") not in LOUD
    assert level(make(thrown), "no-warmup") not in LOUD


def test_a_schedule_that_ends_before_the_run():
    short = np.where(AT < 0.35, 1e-3 * (1 - AT / 0.35), 0.0)
    short[:10] = np.linspace(0, 1e-3, 10)
    run = make({"loss": learned(), "learning_rate": short}, planned_steps=1000)
    assert level(run, "schedule-ended-early") in LOUD
    assert abs((onset(run, "schedule-ended-early") or 0) - 350) <= 20
    whole = 1e-3 * (1 - AT)
    assert level(make({"loss": learned(), "learning_rate": whole}, planned_steps=1000), "schedule-ended-early") not in LOUD


def test_a_rate_of_zero_throughout():
    assert level(make({"loss": noisy(np.full(ROWS, 2.3), 0.01), "learning_rate": np.zeros(ROWS)}), "lr-zero") in LOUD
    assert level(make(BASE), "lr-zero") == "healthy"


def test_a_rate_that_starts_again():
    again = cosine(peak=1e-3)
    again[120:] = cosine(peak=1e-3)[: ROWS - 120]
    assert level(make({"loss": learned(), "learning_rate": again}), "lr-restart") in LOUD
    planned = np.concatenate([cosine(50, peak=1e-3, warmup=0.02)] * 4)
    assert (
        level(make({"loss": learned(), "learning_rate": planned}, settings={"lr_scheduler_type": "cosine_with_restarts"}), "lr-restart")
        not in LOUD
    )


def test_a_warmup_as_long_as_the_run():
    rising = 1e-3 * np.minimum(1, AT / 0.9)
    assert level(make({"loss": learned(), "learning_rate": rising}, planned_steps=1000), "warmup-too-long") in LOUD
    assert level(make(BASE, planned_steps=1000), "warmup-too-long") == "healthy"


def test_a_restart_that_lost_its_weights():
    values = learned()
    values[120:] += 0.8
    at = np.arange(1, ROWS + 1) * EVERY
    at[120:] -= 10 * EVERY
    run = make({"loss": (at, values)})
    assert level(run, "resume-discontinuity") in LOUD
    assert level(make(BASE), "resume-discontinuity") == "healthy"


def test_a_cosine_of_restarts_is_no_resume():
    planned = np.concatenate([cosine(50, peak=1e-3, warmup=0.02)] * 4)
    run = make({"loss": learned(), "learning_rate": planned}, settings={"lr_scheduler_type": "cosine_with_restarts"})
    assert level(run, "resume-discontinuity") == "healthy"
