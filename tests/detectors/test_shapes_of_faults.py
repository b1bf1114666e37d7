"""Classes of faults that once were passed as healthy, and their nearest healthy neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from lossdoctor.diagnosis import diagnose
from tests.detectors.runs import BOUND, RULES, Floats, cosine, learned, level, make, noisy

RISING = ["warning", "error"]


def test_a_loss_that_stood_and_is_zero_in_the_next_row():
    stood = np.concatenate((np.full(10, 2.3), np.zeros(30)))
    assert level(make({"loss": stood}), "zero-loss") == "error"
    tiny = np.concatenate((np.full(10, 2.3), np.full(30, 2e-4) + np.arange(30) * 1e-6))
    assert level(make({"loss": tiny}), "zero-loss") == "error"
    gradually = 2.3 * np.exp(-np.arange(40) / 4.0)  # memorised
    assert level(make({"loss": gradually}), "zero-loss") == "healthy"


def test_an_accuracy_denies_a_loss_of_zero():
    falls = 2.3 * np.exp(-np.arange(40) / 4.0)
    assert level(make({"loss": falls, "accuracy": np.full(40, 0.4)}), "zero-loss") == "error"
    assert level(make({"loss": falls, "accuracy": np.linspace(0.4, 1, 40)}), "zero-loss") == "healthy"


def test_right_in_every_answer_from_the_first_epoch_on():
    falls = 0.05 / np.arange(1, 41) ** 2
    evals = (np.arange(1, 7) * 40, np.ones(6))
    assert level(make({"loss": falls, "val_acc": evals}, per_epoch=40), "zero-loss") == "error"
    nearly = (np.arange(1, 7) * 40, np.linspace(0.93, 1, 6))
    assert level(make({"loss": falls, "val_acc": nearly}, per_epoch=40), "zero-loss") == "healthy"


@pytest.mark.parametrize(("evals", "found"), [((0.32, 0.32, 0.44), True), ((0.32, 0.32, 0.33), False), ((0.9, 0.5, 0.45), False)])
def test_three_evals_tell_overfitting_where_it_is_plain(evals: tuple[float, ...], found: bool):
    run = make({"train_loss": [0.39, 0.2, 0.11], "val_loss": list(evals)}, every=1, step_is="epoch")
    loud = {level(run, name) for name in ("overfitting", "hockey-stick")}
    assert bool(loud & set(RISING)) == found


def test_few_evals_that_fall_and_then_rise_one_by_one():
    ordered = [0.70, 0.48, 0.42, 0.43, 0.445, 0.46]
    train = [0.67, 0.36, 0.20, 0.11, 0.06, 0.03]
    assert level(make({"train_loss": train, "val_loss": ordered}, every=1, step_is="epoch"), "overfitting") in RISING
    wiggly, rests = [0.70, 0.48, 0.42, 0.46, 0.43, 0.46], [0.67, 0.50, 0.42, 0.40, 0.39, 0.38]
    assert level(make({"train_loss": rests, "val_loss": wiggly}, every=1, step_is="epoch"), "overfitting") == "healthy"


def test_all_that_was_won_is_lost_and_more():
    rises = np.concatenate((np.linspace(1.46, 1.41, 6), np.linspace(1.41, 1.64, 30)))
    assert level(make({"loss": noisy(rises, 0.01)}), "divergence") == "error"


def test_training_and_evals_that_rise_from_the_first_row_on():
    rises = np.array([0.713, 0.732, 0.752, 0.771])
    assert level(make({"training loss": rises, "valid loss": rises - 0.001}), "divergence") == "error"
    assert level(make({"training loss": rises}), "divergence") == "healthy"  # four rows of one curve are too few


def test_none_of_many_rows_comes_near_the_best_again():
    values = [2.13, 2.38, 2.68, 2.54, 2.95, 3.38, 3.78, 6.13, 5.86, 5.3, 6.32, 5.56, 6.96, 7.49, 4.69, 4.33, 4.44]
    assert level(make({"loss": values}), "divergence") == "error"
    lucky = [2.13, 0.5, 3.1, 1.73, 0.95, 1.7, 1.41, 1.01, 2.08, 2.32, 0.84, 1.22, 2.03, 1.46, 1.19]
    assert level(make({"loss": lucky}), "divergence") == "healthy"


def test_an_accuracy_at_chance_and_a_loss_that_only_fell_from_a_wild_start():
    loss = noisy(np.concatenate(([7.6], np.full(11, 2.55))), 0.05)
    assert level(make({"loss": loss, "acc": noisy(np.full(12, 0.09), 0.005)}, every=1, step_is="epoch"), "plateau") == "error"
    assert level(make({"loss": loss, "acc": np.linspace(0.1, 0.3, 12)}, every=1, step_is="epoch"), "plateau") == "healthy"


def test_a_second_half_without_any_movement():
    stuck = np.concatenate(([1.9114], np.full(9, 1.9107)))
    assert level(make({"loss": stuck}, every=1, step_is="epoch"), "plateau") == "error"


def test_a_layer_that_gets_no_gradient():
    flat = {"loss": noisy(np.full(40, 2.303), 0.005), "grad_norm/layer_9": noisy(np.full(40, 0.5), 0.02)}
    assert level(make({**flat, "grad_norm/layer_0": np.full(40, 3e-8) + np.arange(40) * 1e-10}), "vanishing-gradients") == "error"
    assert level(make({**flat, "grad_norm/layer_0": np.zeros(40)}), "vanishing-gradients") == "healthy"  # frozen on purpose
    assert level(make({**flat, "loss": learned(40), "grad_norm/layer_0": np.full(40, 3e-8)}), "vanishing-gradients") == "healthy"


def test_a_schedule_that_never_rises_again_rises():
    lost = np.concatenate((np.linspace(1e-3, 3e-4, 100), np.linspace(1e-3, 3e-4, 100)))
    settings = {"lr_scheduler_type": "linear"}
    assert level(make({"loss": learned(), "learning_rate": lost}, settings=settings), "resume-discontinuity") in RISING
    assert (
        level(make({"loss": learned(), "learning_rate": cosine()}, settings={"lr_scheduler_type": "cosine"}), "resume-discontinuity")
        == "healthy"
    )


def test_a_window_of_a_warmup_says_nothing_of_its_length():
    rate = np.linspace(1e-5, 1e-3, 20)
    assert level(make({"loss": learned(20), "learning_rate": rate}), "warmup-too-long") == "healthy"
    assert level(make({"loss": learned(20), "learning_rate": rate}, planned_steps=100), "warmup-too-long") in RISING
    three = {"loss": [1.1, 1.08, 1.03], "learning_rate": [3.6e-6, 7.6e-6, 1.16e-5]}
    assert level(make(three, every=10, planned_steps=30), "warmup-too-long") in RISING


def test_stairs_of_memorising_are_no_waves():
    stairs = np.repeat([4.0, 3.1, 2.7, 2.3, 1.95, 1.65, 1.4, 1.2, 1.05, 0.95], 10)
    assert level(make({"loss": noisy(stairs, 0.05)}, per_epoch=50), "sawtooth") == "healthy"


def test_a_jump_over_a_few_rows_is_one():
    shifted = np.concatenate((2.2 * np.exp(-np.arange(150) / 30.0) + 0.25, [0.6, 1.1], np.full(148, 1.55)))
    assert level(make({"loss": noisy(shifted, 0.1)}), "level-shift") in RISING


def test_a_spike_in_a_short_quiet_log():
    values: Floats = noisy(np.full(40, 1.11), 0.012)
    values[18:21] = [7.8, 4.6, 2.9]
    assert level(make({"loss": values}), "loss-spike") in RISING


@pytest.mark.parametrize("extra", [{}, {"accuracy": noisy(np.full(15, 0.2), 0.004)}])
def test_a_quiet_loss_at_what_a_guess_scores_is_never_passed(extra: dict[str, Floats]):
    loss = noisy(np.log(5) * (1 + 0.05 * np.exp(-np.arange(15) / 2.0)), 0.004)
    found = diagnose(make({"loss": loss, **extra}), list(RULES.values()), BOUND)
    assert found.verdict.value != "pass"


def test_a_reward_model_is_judged_by_its_loss():
    flat = {"loss": noisy(np.full(40, 0.693), 0.003), "accuracy": noisy(np.full(40, 0.5), 0.02)}
    rewards = {
        "mean_reward": noisy(np.zeros(40), 0.01),
        "min_reward": noisy(np.full(40, -0.3), 0.01),
        "max_reward": noisy(np.full(40, 0.3), 0.01),
    }
    assert level(make({**flat, **rewards}, planned_steps=200), "plateau") == "error"


def test_speeds_under_any_name():
    speed = np.concatenate((noisy(np.full(15, 55e3), 2e3), noisy(np.full(25, 5e3), 200)))
    for name in ("tok/s", "tokens per second", "imgs/sec", "it/s"):
        assert level(make({"loss": learned(40), name: speed}), "throughput-drop") in RISING
    assert level(make({"loss": learned(40), "ms/step": 1e6 / speed}), "throughput-drop") in RISING


def test_evals_that_follow_from_epoch_to_epoch_are_not_flat():
    train = [0.689, 0.386, 0.352, 0.338, 0.343, 0.335, 0.328, 0.330]
    evals = [0.387, 0.368, 0.364, 0.360, 0.356, 0.354, 0.351, 0.349]
    assert level(make({"train_loss": train, "val_loss": evals}, every=1, step_is="epoch"), "eval-flat") == "healthy"


def test_a_reward_that_has_fallen_for_good():
    up_and_down = np.concatenate((noisy(np.full(40, 0.55), 0.05), noisy(np.linspace(0.55, 0.1, 60), 0.05)))
    assert (
        level(
            make({"reward": up_and_down, "reward_std": noisy(np.full(100, 0.4), 0.01), "loss": noisy(np.zeros(100), 0.01)}),
            "reward-collapse",
        )
        in RISING
    )


def test_a_detector_that_never_matches_a_box():
    falls = 0.7 * np.exp(-np.arange(40) / 10.0) + 0.02
    parts = {"loss": falls, "loss_cls": falls, "loss_bbox": np.zeros(40)}
    assert level(make(parts), "zero-loss") == "error"
    parts["loss_bbox"] = np.concatenate((np.zeros(30), np.full(10, 0.01)))
    assert level(make(parts), "zero-loss") == "healthy"
    assert level(make({"loss": falls[:10], "loss_cls": falls[:10], "loss_bbox": np.zeros(10)}), "zero-loss") == "healthy"


def test_a_loss_of_zero_with_wrong_answers_needs_one_row():
    assert level(make({"loss": [0.0, 0.0], "accuracy": [0.42, 0.42]}), "zero-loss") == "error"
    assert level(make({"loss": [0.0, 0.0], "accuracy": [1.0, 1.0]}), "zero-loss") != "error"


def test_all_later_rows_at_many_times_the_first():
    assert level(make({"loss": [184.4, 1746.7, 1746.7, 1746.7]}), "divergence") == "error"
    assert level(make({"loss": [184.4, 1746.7, 190.0, 170.0]}), "divergence") != "error"


def test_a_loss_that_rises_from_the_first_epoch_on():
    rising = [1.453, 1.406, 1.4152, 1.426, 1.4592, 1.4357, 1.4684, 1.5027, 1.5133, 1.5651, 1.562, 1.6139]
    assert level(make({"loss": rising}), "divergence") in RISING
    assert level(make({"loss": rising[::-1]}), "divergence") == "healthy"


def test_whole_epochs_of_one_value_are_no_repeated_bar():
    run = make({"train_loss": (np.arange(85, 91), [6.2739] * 6)}, step_is="epoch")
    assert level(run, "plateau") == "error"


def test_a_gradient_of_zero_needs_three_rows():
    still = {"loss": [12.1, 12.06, 12.0, 12.07], "grad_norm": [0.0] * 4}
    assert level(make(still), "vanishing-gradients") in RISING


def test_every_answer_right_from_the_first_round_of_boosting():
    perfect = {"train_binary_logloss": 0.3 * np.exp(-np.arange(100) / 2.0), "valid_auc": np.ones(100)}
    assert level(make(perfect), "zero-loss") == "error"


def test_warm_restarts_in_ever_longer_cycles_are_a_plan():
    rate = np.concatenate([1e-5 * (1 + np.cos(np.pi * np.arange(n) / n)) / 2 + 1e-8 for n in (3, 6, 12, 24, 48)])
    run = make({"loss": learned(len(rate)), "learning_rate": rate})
    assert level(run, "lr-restart") == "healthy"
    assert level(run, "resume-discontinuity") == "healthy"


def test_a_placeholder_before_the_warmup_is_no_restart():
    rate = np.concatenate(([2e-4, 5e-5, 1e-4, 1.5e-4], cosine(96, warmup=0.0)))
    run = make({"loss": learned(100), "learning_rate": rate})
    assert level(run, "lr-restart") == "healthy"
    assert level(run, "resume-discontinuity") == "healthy"


def test_a_loss_at_the_logarithm_of_the_smallest_float_needs_few_rows():
    assert level(make({"loss": [87.3365] * 3}), "plateau") == "error"
    assert level(make({"loss": [87.3, 87.9, 87.3]}), "plateau") != "error"


@pytest.mark.parametrize(
    ("values", "found"),
    [([1.72, 1.74, 12.6, 1.76], True), ([1.72, 1.74, 3.1, 1.76], False), ([1.7, 0.2, 12.6, 1.8], False), ([1.72, 1.74, 1.76, 12.6], False)],
)
def test_one_row_far_above_a_few_that_lie_close_together(values: list[float], found: bool):
    assert (level(make({"loss": values}), "loss-spike") in RISING) == found


def test_evals_show_a_slow_fall_that_the_noise_of_training_hides():
    rows, evals = np.arange(100), np.arange(1, 41)
    hidden = {"train_loss": noisy(1.0 - 0.001 * rows, 0.15), "val_loss": (evals * 12, noisy(1.0 - 0.0027 * evals, 0.001))}
    assert level(make(hidden), "slow-convergence") in RISING
    hidden["val_loss"] = (evals * 12, noisy(0.9 + 0.1 * np.exp(-evals / 4), 0.001))
    assert level(make(hidden), "slow-convergence") == "healthy"


def test_the_norm_of_a_first_layer_under_its_short_name():
    stuck = {"train_loss": noisy(np.full(60, 2.3), 0.01), "gnorm_first_layer": np.full(60, 1e-9), "gnorm_last_layer": np.full(60, 0.1)}
    assert level(make(stuck), "vanishing-gradients") in RISING
    stuck["gnorm_first_layer"] = np.full(60, 0.1)
    assert level(make(stuck), "vanishing-gradients") == "healthy"


def test_steps_that_go_down_and_down_are_an_end():
    fifteen = 0.25 * 10.0 ** -(np.arange(150) // 10)
    assert level(make({"loss": learned(150), "learning_rate": fifteen}), "schedule-ended-early") in RISING
    three = 0.25 * 10.0 ** -np.minimum(np.arange(150) // 30, 3)
    assert level(make({"loss": learned(150), "learning_rate": three}), "schedule-ended-early") == "healthy"
