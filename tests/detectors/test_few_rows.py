"""Effects so large that a few rows show them, and what looks like them over as few."""

from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.analyze import Options
from lossdoctor.diagnosis import diagnose
from lossdoctor.model import LogEvent, Verdict
from tests.detectors.runs import BOUND, RULES, Floats, learned, level, make, noisy

LOUD = ("warning", "error")


@pytest.mark.parametrize(
    ("norms", "found"),
    [
        ((2.1, 1.7, 2.8, 1.0e5), True),
        ((2.1, 1.7, 2.8, 1.0e5, 1.5e12, np.inf), True),
        ((2.1, 1.7, 2.8, 60.0), False),
        ((2.1, 1.7, 1.0e5, 2.2, 1.9), False),  # it comes back
        ((2e-4, 1e-4, 2e-4, 0.05), False),  # small all along
    ],
)
def test_a_few_norms_that_explode(norms: tuple[float, ...], found: bool):
    said = level(make({"loss": learned(len(norms)), "grad_norm": np.array(norms)}), "exploding-gradients")
    assert (said in LOUD) is found


def test_memory_that_doubles_row_by_row():
    gib = np.array([3.2, 6.3, 7.8, 9.2, 12.3, 13.8]) * 2**30
    assert level(make({"loss": learned(6), "gpu/0/memory": gib}), "memory-leak") in LOUD
    fills_up = np.array([3.2, 9.0, 9.3, 9.35, 9.36, 9.37]) * 2**30
    assert level(make({"loss": learned(6), "gpu/0/memory": fills_up}), "memory-leak") not in LOUD
    up_and_down = gib[[0, 2, 1, 4, 3, 5]]
    assert level(make({"loss": learned(6), "gpu/0/memory": up_and_down}), "memory-leak") not in LOUD


def test_a_speed_that_falls_all_along_under_jitter():
    jitter = np.exp(np.random.default_rng(2).normal(0, 0.3, 60))
    slows = 400 * np.exp(-np.linspace(0, 1.4, 60)) * jitter
    assert level(make({"loss": learned(60), "tokens_per_second": slows}), "throughput-drop") in LOUD
    assert level(make({"loss": learned(60), "tokens_per_second": 400 * jitter}), "throughput-drop") == "healthy"


def test_a_network_that_dies_after_it_had_learned():
    loss = np.concatenate((np.linspace(2.3, 0.4, 10), np.full(70, 2.303)))
    norm = np.concatenate((np.full(10, 1.5), np.zeros(70)))
    assert level(make({"loss": loss, "grad_norm": norm}), "vanishing-gradients") == "error"
    converged = np.concatenate((np.linspace(2.3, 0.4, 10), np.full(70, 0.3)))
    assert level(make({"loss": converged, "grad_norm": norm}), "vanishing-gradients") == "healthy"


def spiked(height: float, end: float = 4.1) -> Floats:
    loss = noisy(end + 2.1 * np.exp(-np.arange(140) / 12), 0.08, 4)
    loss[84] = height
    return loss


def test_one_row_above_the_start_of_training_is_a_spike():
    assert level(make({"loss": spiked(7.8)}), "loss-spike") in LOUD
    assert level(make({"loss": spiked(5.3)}), "loss-spike") == "healthy"  # harder rows, within what had been won
    assert level(make({"loss": spiked(8.2, end=6.0)}), "loss-spike") == "healthy"


def test_a_loss_that_came_down_from_its_own_bump_has_learned_nothing():
    bump = np.concatenate((np.full(6, 2.25), np.full(14, 2.6), np.linspace(2.6, 2.4, 136)))
    (run, fell) = (make({"loss": noisy(values, 0.02)}) for values in (bump, learned(156)))
    judged = [diagnose(one, list(RULES.values()), BOUND, options=Options(lead_time=False)) for one in (run, fell)]
    assert judged[0].verdict is not Verdict.PASS
    assert judged[1].verdict is Verdict.PASS
    learning = next(vital for vital in judged[0].vitals if vital.name == "learning")
    assert "no better than at first" in learning.says


def test_an_eval_that_rises_is_not_called_flat():
    losses = {"train_loss": [0.211, 0.170, 0.141, 0.122, 0.116, 0.096], "val_loss": [0.340, 0.361, 0.393, 0.458, 0.425, 0.485]}
    knows = make({**losses, "val_acc": [0.858, 0.857, 0.849, 0.845, 0.850, 0.844]}, every=1, step_is="epoch")
    assert level(knows, "hockey-stick") in LOUD
    assert level(knows, "eval-flat") not in LOUD


def test_overfitting_before_a_nan():
    at = np.arange(21, 31)
    evals = np.array([3.82, 3.85, 4.06, 4.01, 4.11, 4.23, 4.36, 4.32, 4.45, np.nan])
    run = make({"train_loss": (at, np.linspace(2.2, 1.79, 10)), "val_loss": (at, evals)}, step_is="epoch")
    assert level(run, "nan-loss") == "error"
    assert level(run, "hockey-stick") in LOUD or level(run, "overfitting") in LOUD


@pytest.mark.parametrize(
    ("name", "scores", "found"),
    [
        ("eval_wer", (1.0, 1.0, 1.0, 1.01, 1.0, 1.0), True),
        ("eval_wer", (100.0, 100.0, 99.8, 100.0, 100.0, 100.0), True),
        ("eval_wer", (1.0, 1.0, 0.9, 0.7, 0.5, 0.4), False),
        ("eval_wer", (4.1, 3.5, 2.9, 2.6, 2.4, 2.4), False),  # percent
        ("eval_exact_match", (0.0,) * 6, True),
        ("eval_exact_match", (0.0, 0.0, 0.0, 2.0, 5.0, 9.0), False),
        ("eval_bleu", (0.0,) * 6, True),
    ],
)
def test_no_word_was_ever_right(name: str, scores: tuple[float, ...], found: bool):
    run = make({"loss": learned(40), name: (np.arange(1, 7) * 30, scores)})
    assert (level(run, "underfitting") in LOUD) is found


def test_the_log_says_that_it_was_resumed_and_the_rate_starts_again():
    rate = np.concatenate((np.linspace(2e-3, 2e-4, 60), np.linspace(4e-2, 2e-2, 40)))
    event = LogEvent("resume", "python train.py --resume_from checkpoint-300", "train.log:61", step=300)
    signals = {"loss": learned(100), "learning_rate": rate}
    assert level(make(signals, events=(event,)), "resume-discontinuity") in LOUD
    steady = {"loss": learned(100), "learning_rate": np.linspace(2e-3, 2e-4, 100)}
    assert level(make(steady, events=(event,)), "resume-discontinuity") == "healthy"


def test_the_limit_of_the_norm_in_a_column_of_its_own():
    columns = {"mse": noisy(np.linspace(290, 30, 60), 5), "grad_norm_preclip": np.full(60, 50.0), "clip_value": np.full(60, 0.1)}
    assert level(make(columns, kind="csv"), "constant-clipping") in LOUD
    assert level(make({**columns, "clip_value": np.full(60, 60.0)}, kind="csv"), "constant-clipping") not in LOUD


def test_a_loss_scale_below_one_is_told_as_it_is():
    text = "WARNING: overflow detected, setting loss scale to: 0.25"
    event = LogEvent("loss-scale", text, "t.log:3", step=100, numbers={"from": 0.5, "lowest": 0.0001, "count": 12})
    run = make({"loss": learned(40)}, events=(event,))
    (found,) = [f for f in diagnose(run, list(RULES.values()), BOUND).findings if f.rule == "loss-scale-collapse"]
    assert "from 0.5 to 0.0001" in found.message


def test_a_climb_that_still_goes_on_counts_where_it_has_come_to():
    loss = np.concatenate((4.1 + 10.4 * np.exp(-np.arange(71) / 15), 4.1 * np.exp(np.arange(1, 13) * 0.038)))
    norm = np.concatenate((0.9 + 2.8 * np.exp(-np.arange(71) / 10), 0.9 * np.exp(np.arange(1, 13) * 0.29)))
    run = make({"loss": noisy(loss, 0.04), "grad_norm": noisy(norm, 0.02)})
    assert level(run, "divergence") == "error"
    assert level(run, "exploding-gradients") in LOUD
    turned = make({"loss": noisy(np.concatenate((loss, np.full(12, 4.15))), 0.04), "grad_norm": np.concatenate((norm, np.full(12, 0.9)))})
    assert level(turned, "divergence") == "healthy"


def test_both_losses_at_rest_far_above_what_the_task_could_give():
    epochs = np.arange(60)
    losses = {"loss": 1.57 + 0.72 * np.exp(-epochs / 10), "val_loss": 1.575 + 0.7 * np.exp(-epochs / 10)}
    scores = {"acc": 0.71 - 0.5 * np.exp(-epochs / 8), "val_acc": 0.71 - 0.5 * np.exp(-epochs / 8)}
    assert level(make({**losses, **scores}, every=1, step_is="epoch", settings={"num_labels": 10}), "underfitting") in LOUD
    low = {name: values - 1.1 for name, values in losses.items()}
    assert level(make({**low, **scores}, every=1, step_is="epoch", settings={"num_labels": 10}), "underfitting") == "healthy"


def test_preferences_that_are_learned_by_heart():
    at = np.arange(1, 11) * 20
    losses = {"loss": 0.7 * np.exp(-np.arange(40) / 5) + 0.004, "eval_loss": (at, 0.94 - 0.15 * np.exp(-at / 50))}
    losses |= {"rewards/margins": np.linspace(0, 5, 40), "rewards/accuracies": np.linspace(0.5, 1, 40)}
    rewards = {"eval_rewards/accuracies": (at, np.linspace(0.44, 0.48, 10)), "eval_rewards/margins": (at, np.linspace(-0.13, -0.12, 10))}
    assert level(make({**losses, **rewards}), "hockey-stick") in LOUD
    prefers = {"eval_rewards/accuracies": (at, np.linspace(0.55, 0.7, 10)), "eval_rewards/margins": (at, np.linspace(0.1, 2.0, 10))}
    assert level(make({**losses, **prefers}), "hockey-stick") == "healthy"


def test_a_score_that_never_got_anywhere_did_not_collapse():
    wanders = np.concatenate((np.full(30, 20.0), np.full(30, 24.0), np.full(40, 22.0)))
    assert level(make({"reward": noisy(wanders, 0.1)}), "reward-collapse") == "healthy"
    assert level(make({"reward": noisy(5 * (wanders - 19), 0.1)}), "reward-collapse") in LOUD


def test_accuracies_as_keras_names_them_tell_a_classifier():
    epochs = np.arange(50)
    stands = {"loss": 0.82 + 0.16 * np.exp(-epochs / 4), "val_loss": 0.822 + 0.08 * np.exp(-epochs / 4)}
    scores = {"sparse_categorical_accuracy": 0.55 - 0.1 * np.exp(-epochs / 9), "val_sparse_categorical_accuracy": np.full(50, 0.54)}
    assert level(make({**stands, **scores}, every=1, step_is="epoch"), "underfitting") in LOUD


def test_a_classifier_that_comes_down_to_a_guess():
    at = np.array([100, 200, 300])
    loss = noisy(0.70 + 0.1 * np.exp(-np.arange(30) / 8), 0.02, 1)
    collapsed = {"loss": loss, "eval_loss": (at, [0.703, 0.695, 0.699]), "eval_accuracy": (at, [0.49, 0.49, 0.49])}
    assert level(make(collapsed, every=10), "plateau") in LOUD
    learns = {**collapsed, "eval_accuracy": (at, [0.49, 0.55, 0.61])}
    assert level(make(learns, every=10), "plateau") == "healthy"


def test_a_swing_from_the_first_row_on_is_no_lack_of_warmup():
    rows = np.arange(75)
    swings = 2.8 - 1.2 * np.cos(2 * np.pi * rows / 15) * np.exp(-rows / 60)
    flat = np.full(75, 3e-4)
    assert level(make({"loss": noisy(swings, 0.05), "learning_rate": flat}), "no-warmup") == "healthy"
    bump = noisy(2.0 + 1.5 * np.exp(-rows / 20), 0.02)
    bump[1:5] += 3.0
    assert level(make({"loss": bump, "learning_rate": flat}), "no-warmup") in LOUD


def test_a_last_eval_far_above_the_lowest_is_not_signed():
    train = np.array([2.27, 1.55, 1.07, 0.87, 0.59, 0.52, 0.38, 0.32, 0.21, 0.2])
    evals = np.array([3.29, 0.92, 1.43, 1.85, 0.58, 2.30, 0.17, 1.52, 0.14, 2.81])
    (jumps, settles) = (make({"loss": train, "val_loss": held}, every=1, step_is="epoch") for held in (evals, evals[:9]))
    judged = [diagnose(one, list(RULES.values()), BOUND, options=Options(lead_time=False)) for one in (jumps, settles)]
    kept = [next(vital for vital in one.vitals if vital.name == "kept") for one in judged]
    assert "20 times the lowest" in kept[0].says
    assert judged[0].verdict is not Verdict.PASS
    assert "times the lowest" not in kept[1].says


def test_the_end_of_two_networks_one_row_before_their_plan():
    rows = np.arange(0, 252, 7)
    losses = {"Loss_D": (rows, np.full(36, 1.3)), "Loss_G": (rows, np.full(36, 0.8))}
    assert level(make(losses, planned_steps=252), "cliff") == "healthy"
    assert level(make(losses, planned_steps=500, kind="tensorboard"), "cliff") in LOUD


def test_a_time_per_iteration_that_grows_row_by_row_is_no_clock():
    seconds = 27.0 + 58.0 * np.arange(12)
    named = {"loss": learned(12), "elapsed time per iteration (ms)": 1000 * seconds}
    assert level(make(named), "throughput-drop") in LOUD
    since_the_start = {"loss": learned(12), "step_time": seconds}
    assert level(make(since_the_start), "throughput-drop") not in LOUD
