"""Faults of moderate size over few rows or in noise, each with the healthy run beside it that must stay quiet."""

from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.diagnosis import diagnose
from lossdoctor.model import LogEvent
from tests.detectors.runs import BOUND, RULES, Floats, learned, level, make, noisy

LOUD = ("warning", "error")


def falling(rows: int, first: float = 2.3, last: float = 0.4) -> Floats:
    return last + (first - last) * np.exp(-5 * np.arange(rows) / rows)


def test_a_loss_that_is_exactly_zero_from_one_row_to_the_next_wherever_it_stood():
    zero = falling(60)
    zero[25:] = 0.0
    assert level(make({"loss": zero}), "zero-loss") == "error"
    small = falling(60, last=0.0)
    small[small < 1e-2] = 0.0  # printed with two digits
    assert level(make({"loss": small}), "zero-loss") == "healthy"


def test_a_language_model_whose_evals_find_the_answer_too():
    sudden = np.concatenate((np.linspace(2.6, 2.4, 20), [0.7, 0.1], np.full(40, 0.04)))
    evals = (np.array([100, 300, 600]), np.array([2.5, 0.06, 0.045]))
    said = {"task_type": "CAUSAL_LM", "vocab_size": 65, "architectures": "GPT2LMHeadModel"}
    assert level(make({"loss": sudden, "eval_loss": evals}, settings=said), "zero-loss") == "error"
    learns = np.concatenate((np.linspace(2.6, 0.3, 40), np.linspace(0.3, 0.04, 22)))
    assert level(make({"loss": learns, "eval_loss": evals}, settings=said), "zero-loss") == "healthy"


@pytest.mark.parametrize(("rows", "period"), [(20, 3), (40, 5)])
def test_short_teeth(rows: int, period: int):
    teeth = falling(rows) * (0.7 + 0.6 * (np.arange(rows) % period) / (period - 1))
    assert level(make({"loss": teeth}), "sawtooth") in LOUD
    for seed in range(8):
        assert level(make({"loss": noisy(falling(rows), 0.1, seed)}), "sawtooth") == "healthy"


def test_the_same_pattern_in_every_epoch_is_data_that_are_not_shuffled():
    pattern = np.random.default_rng(5).normal(0, 0.35, 22)
    rows = np.arange(22 * 8)
    swings = 1.5 * np.exp(-rows / 400) + pattern[rows % 22]
    assert level(make({"loss": noisy(swings, 0.03)}, every=1, per_epoch=22), "sawtooth") in LOUD
    assert level(make({"loss": noisy(1.5 * np.exp(-rows / 400), 0.35)}, every=1, per_epoch=22), "sawtooth") == "healthy"


def test_a_step_up_that_stays_among_twenty_rows():
    shifted = falling(24)
    shifted[12:] += 0.4
    assert level(make({"loss": noisy(shifted, 0.01)}), "level-shift") in LOUD
    assert level(make({"loss": noisy(falling(24), 0.01)}), "level-shift") == "healthy"


def test_two_isolated_rows_prove_each_other():
    rows = noisy(np.full(50, 0.7), 0.12, 3)
    rows[25] = rows[38] = 3.6
    assert level(make({"loss": rows}), "loss-spike") in LOUD
    assert level(make({"loss": noisy(np.full(50, 0.7), 0.12, 3)}), "loss-spike") == "healthy"


def test_the_loss_after_a_restart_of_the_rate_is_no_spike():
    rate = np.concatenate((np.linspace(1, 0.4, 60), np.linspace(1, 0, 60))) * 2e-4
    loss = learned(120, sigma=0.01)
    loss[60:] += np.exp(-np.arange(60) / 6)
    run = make({"loss": loss, "learning_rate": rate})
    assert level(run, "lr-restart") in LOUD
    assert level(run, "loss-spike") == "healthy"
    assert level(make({"loss": loss}), "loss-spike") in LOUD


def test_a_restart_among_twenty_rows():
    rate = np.concatenate((np.linspace(1, 0.4, 13), np.linspace(1, 0, 7))) * 2e-4
    assert level(make({"loss": learned(20), "learning_rate": rate}), "lr-restart") in LOUD


def test_a_cosine_that_runs_on_past_its_end():
    steps = np.arange(120)
    cosine = 2e-3 * (1 + np.cos(np.pi * steps / 12)) / 2
    assert level(make({"loss": learned(120), "learning_rate": cosine}), "lr-restart") in LOUD
    triangles = 1e-4 + 2e-3 * np.abs(steps % 24 - 12) / 12
    assert level(make({"loss": learned(120), "learning_rate": triangles}), "lr-restart") == "healthy"


def test_train_falls_on_while_eval_stays():
    epochs = np.arange(40)
    train, held_out = 1.5 * np.exp(-epochs / 8), 0.6 + 0.9 * np.exp(-epochs / 3)
    assert level(make({"train_loss": train, "val_loss": held_out}, every=1, step_is="epoch"), "overfitting") in LOUD
    follows = train * 1.4 + 0.05
    assert level(make({"train_loss": train, "val_loss": follows}, every=1, step_is="epoch"), "overfitting") == "healthy"


def test_evals_that_rise_in_a_trend_are_believed_sooner():
    epochs = np.arange(60)
    train, rises = 2.0 * np.exp(-epochs / 25), np.where(epochs < 25, 1.5 - 0.02 * epochs, 1.0 + 0.0012 * (epochs - 25))
    assert level(make({"train_loss": train, "val_loss": rises}, every=1, step_is="epoch"), "overfitting") in LOUD
    stays = np.where(epochs < 25, 1.5 - 0.02 * epochs, 1.0 + 0.0004 * (epochs - 25))
    assert level(make({"train_loss": train + 0.5, "val_loss": stays}, every=1, step_is="epoch"), "overfitting") == "healthy"


def test_a_metric_that_gets_worse_speaks_for_a_small_rise():
    epochs = np.arange(40)
    train = 2.0 * np.exp(-epochs / 20)
    evals = noisy(np.where(epochs < 18, 1.8 * np.exp(-epochs / 6) + 0.6, 0.7 + 0.0005 * epochs), 0.03, 2)
    accuracy = np.where(epochs < 18, 0.7 + 0.01 * epochs, 0.88 - 0.006 * (epochs - 18))
    signals = {"train_loss": train, "val_loss": evals, "val_acc": noisy(accuracy, 0.005)}
    assert level(make(signals, every=1, step_is="epoch"), "overfitting") in LOUD


def test_flat_evals_with_noise_of_their_own():
    train = 2.0 * np.exp(-np.arange(40) / 10)
    flat = noisy(np.full(40, 2.3), 0.15)
    assert level(make({"train_loss": train, "val_loss": flat}, every=1, step_is="epoch"), "eval-flat") in LOUD
    learns = noisy(0.5 + 1.8 * np.exp(-np.arange(40) / 10), 0.15)
    assert level(make({"train_loss": train, "val_loss": learns}, every=1, step_is="epoch"), "eval-flat") == "healthy"


def test_no_eval_as_good_as_the_first_and_an_accuracy_at_chance():
    epochs = np.arange(30)
    signals = {"train_loss": 2.2 * np.exp(-epochs / 6), "val_loss": 2.4 + 0.1 * epochs}
    at_chance = {**signals, "val_acc": noisy(np.full(30, 0.1), 0.01)}
    assert level(make(at_chance, every=1, step_is="epoch"), "eval-flat") in LOUD
    knows = {**signals, "val_acc": np.linspace(0.6, 0.8, 30)}
    assert level(make(knows, every=1, step_is="epoch"), "eval-flat") == "healthy"


def test_a_straight_fall_under_heavy_noise_is_slow():
    straight = 8.0 - 3.5 * np.linspace(0, 1, 800)
    assert level(make({"loss": noisy(straight, 1.2)}), "slow-convergence") in LOUD
    assert level(make({"loss": noisy(falling(800, 8.0, 4.5), 1.2)}), "slow-convergence") == "healthy"


def test_a_run_that_died_was_not_slow():
    straight = 3.0 - 1.2 * np.linspace(0, 1, 60)
    died = LogEvent("oom", "CUDA out of memory", "log:61", step=600, time=None, numbers={})
    assert level(make({"loss": straight}), "slow-convergence") in LOUD
    assert level(make({"loss": straight}, events=(died,)), "slow-convergence") == "skipped"


def test_scores_that_no_row_brought_above_a_constant_answer():
    loss = falling(30, 2.0, 1.3)
    assert level(make({"loss": loss, "val/r2": noisy(np.full(30, -0.2), 0.05)}), "underfitting") in LOUD
    assert level(make({"loss": loss, "val/r2": np.linspace(-0.2, 0.7, 30)}), "underfitting") != "warning"
    assert level(make({"loss": loss, "rel_l2": np.full(30, 1.01)}), "underfitting") in LOUD


def test_a_slow_stretch_that_costs_little_is_a_note():
    step_time = noisy(np.full(200, 1.0), 0.02)
    for_good = step_time.copy()
    step_time[90:105] = for_good[90:] = 2.0
    assert level(make({"loss": learned(200), "step_time": step_time}), "throughput-drop") == "note"
    assert level(make({"loss": learned(200), "step_time": for_good}), "throughput-drop") in LOUD


def test_teeth_at_the_start_are_no_missing_warmup():
    rows = np.arange(150)
    teeth = 1.5 * (1 + 0.35 * (2 * (rows % 6) / 5 - 1))
    run = make({"loss": teeth, "learning_rate": np.full(150, 1e-3)})
    assert level(run, "sawtooth") in LOUD
    assert level(run, "no-warmup") == "healthy"


def test_an_epoch_that_blows_up_at_the_end():
    loss = falling(40)
    loss[-1] = 9.0
    assert level(make({"loss": loss}, every=1, step_is="epoch"), "divergence") == "error"
    assert level(make({"loss": loss}, every=10), "divergence") == "healthy"  # one batch is not the run


def test_three_rows_are_no_divergence():
    assert level(make({"loss": [0.124, 0.142, 0.157]}), "divergence") == "healthy"


def test_overflow_at_the_lowest_scale():
    words = "OVERFLOW! Skipping step. Attempted loss scale: 1, reducing to 1"
    stuck = LogEvent("loss-scale", words, "log:1", step=None, time=None, numbers={"from": 1.0, "to": 1.0, "lowest": 1.0, "count": 24.0})
    assert level(make({"loss": learned(10)}, events=(stuck,)), "loss-scale-collapse") in LOUD


def test_a_discriminator_that_has_won_and_one_that_has_not():
    rows = np.arange(60)
    won = {"d_loss": 1.3 * np.exp(-rows / 3), "g_loss": 0.7 + rows / 8}
    balanced = {"d_loss": noisy(np.full(60, 1.37), 0.05), "g_loss": noisy(np.full(60, 0.8), 0.1)}
    assert level(make(won), "discriminator-wins") == "error"
    assert level(make(balanced), "discriminator-wins") == "healthy"
    critic = {"d_loss": noisy(np.full(60, -0.01), 0.02), "g_loss": 0.7 + rows / 8}
    assert level(make(critic), "discriminator-wins") == "healthy"


def test_rewards_that_end_below_most_of_what_came_before():
    rng = np.random.default_rng(4)
    rewards = np.concatenate((np.linspace(20, 200, 10), rng.uniform(30, 200, 40), np.full(10, 9.3)))
    assert level(make({"reward": rewards}), "reward-collapse") in LOUD
    assert level(make({"reward": rewards[:50]}), "reward-collapse") == "healthy"


def test_a_policy_of_words_that_has_no_choice_left():
    entropy = np.concatenate((np.full(40, 4.3), 4.3 * np.exp(-np.arange(40) / 7), np.full(20, 0.02)))
    assert level(make({"reward": np.linspace(0, 1, 100), "entropy": entropy}), "entropy-collapse") in LOUD
    open_minded = np.maximum(entropy, 0.2)
    assert level(make({"reward": np.linspace(0, 1, 100), "entropy": open_minded}), "entropy-collapse") == "healthy"


def test_no_answer_was_ever_wrong_because_the_answer_is_among_the_features():
    loss = 0.4 * 0.7 ** np.arange(40)
    knows = {"loss": loss, "train/error": np.zeros(40), "val/error": np.zeros(40)}
    assert level(make(knows, every=1, step_is="epoch"), "zero-loss") == "error"
    learns = knows | {"train/error": np.where(np.arange(40) < 3, 0.02, 0.0), "val/error": np.full(40, 0.01)}
    assert level(make(learns, every=1, step_is="epoch"), "zero-loss") == "healthy"


def test_a_loss_that_saturates_at_several_times_its_start():
    saturated = np.full(50, 87.3365)
    saturated[0] = 21.4
    assert level(make({"loss": saturated}), "divergence") in LOUD
    assert level(make({"loss": noisy(np.full(50, 2.0), 0.1)}), "divergence") == "healthy"


def test_nothing_of_a_rare_class_was_ever_found():
    loss = falling(30, 0.6, 0.05)
    assert level(make({"loss": loss, "val/dice": np.zeros(30)}), "underfitting") in LOUD
    assert level(make({"loss": loss, "val/dice": np.maximum(0, np.linspace(-0.2, 0.7, 30))}), "underfitting") not in LOUD
    measured_wrongly = {"loss": loss, "val/f1": np.zeros(30), "val/accuracy": np.linspace(0.4, 0.9, 30)}
    assert level(make(measured_wrongly), "underfitting") not in LOUD


def test_of_a_rare_class_the_loss_must_weigh_more():
    run = make({"loss": falling(30, 0.6, 0.05), "val/dice": np.zeros(30)})
    (finding,) = [one for one in diagnose(run, list(RULES.values()), BOUND).findings if one.rule == "underfitting"]
    assert finding.causes[0].name == "rare-class"
    assert "nothing that it counts was ever found" in finding.message
