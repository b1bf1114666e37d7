from __future__ import annotations

from math import log

import numpy as np
import pytest

from .runs import ROWS, cosine, learned, level, make, noisy, onset, outcome

UP = np.linspace(0.2, 0.9, ROWS)
HEALTHY = {
    "reward": noisy(UP, 0.03),
    "reward_std": noisy(np.full(ROWS, 0.2), 0.02),
    "kl": noisy(np.linspace(0.01, 0.3, ROWS), 0.01),
    "entropy": noisy(np.linspace(2.5, 1.5, ROWS), 0.02),
    "completions/clipped_ratio": np.clip(noisy(np.linspace(0.4, 0.1, ROWS), 0.02), 0, 1),
    "loss": noisy(np.zeros(ROWS), 1e-3),
}
RULES = ("reward-collapse", "reward-flat", "kl-blowup", "entropy-collapse", "completions-clipped")


@pytest.mark.parametrize("rule", RULES)
def test_a_healthy_run_is_silent(rule: str):
    assert level(make(HEALTHY), rule) == "healthy"


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_is_no_reinforcement_learning_is_not_judged(rule: str):
    assert level(make({"loss": learned()}), rule) == "skipped"


def test_reward_collapse_begins_where_the_reward_leaves_its_best():
    fallen = UP.copy()
    fallen[130:] = np.maximum(0.05, 0.65 - 0.02 * np.arange(ROWS - 130))
    run = make({**HEALTHY, "reward": noisy(fallen, 0.02)})
    assert level(run, "reward-collapse") == "error"
    assert abs((onset(run, "reward-collapse") or 0) - 650) <= 30


def test_a_dip_that_comes_back_and_a_noisy_reward_are_no_collapse():
    dip = UP.copy()
    dip[100:115] -= 0.5
    assert level(make({**HEALTHY, "reward": noisy(dip, 0.02)}), "reward-collapse") == "healthy"
    assert level(make({**HEALTHY, "reward": noisy(np.full(ROWS, 0.5), 0.2)}), "reward-collapse") == "healthy"


def test_sparse_rewards_of_zero_or_one_do_not_collapse():
    values = (np.random.default_rng(1).random(ROWS) < 0.1).astype(float)
    assert level(make({**HEALTHY, "reward": values}), "reward-collapse") == "healthy"


def test_a_reward_that_never_differs_is_an_error_a_solved_task_a_note():
    flat = {**HEALTHY, "reward": np.zeros(ROWS), "reward_std": np.zeros(ROWS)}
    assert level(make(flat), "reward-flat") == "error"
    spread = np.where(np.arange(ROWS) > 60, 0.0, 0.2)
    solved = {**HEALTHY, "reward": noisy(np.minimum(1.0, np.linspace(0.1, 2.5, ROWS)), 0.005), "reward_std": spread}
    assert level(make(solved), "reward-flat") == "note"


def test_a_reward_without_trend_is_a_note_only():
    assert level(make({**HEALTHY, "reward": noisy(np.full(ROWS, 0.5), 0.05, seed=3)}), "reward-flat") == "note"


def test_kl_must_stay_up():
    assert level(make({**HEALTHY, "kl": noisy(np.linspace(0.01, 6, ROWS), 0.05)}), "kl-blowup") == "warning"
    spikes = np.full(ROWS, 0.1)
    spikes[::20] = 50.0
    assert level(make({**HEALTHY, "kl": spikes}), "kl-blowup") == "healthy"


def test_kl_summed_over_the_answer_has_its_own_limit():
    run = {k: v for k, v in HEALTHY.items() if k != "kl"}
    assert level(make({**run, "objective/kl": noisy(np.full(ROWS, 12.0), 0.5)}), "kl-blowup") == "healthy"
    assert level(make({**run, "objective/kl": noisy(np.linspace(1, 900, ROWS), 0.5)}), "kl-blowup") == "warning"


def test_entropy_collapse_but_not_the_entropy_of_continuous_actions():
    assert level(make({**HEALTHY, "entropy": 2.5 * np.exp(-np.linspace(0, 9, ROWS))}), "entropy-collapse") == "warning"
    assert level(make({**HEALTHY, "entropy": np.linspace(1.4, -2.0, ROWS)}), "entropy-collapse") == "healthy"
    assert level(make({**HEALTHY, "entropy": np.full(ROWS, 0.004)}), "entropy-collapse") == "healthy"


def test_completions_that_learn_to_end_are_fine():
    falling = np.linspace(1.0, 0.1, ROWS)
    assert level(make({**HEALTHY, "completions/clipped_ratio": falling}), "completions-clipped") == "healthy"
    assert level(make({**HEALTHY, "completions/clipped_ratio": falling[::-1].copy()}), "completions-clipped") == "warning"


def preference(loss: object, margin: object, accuracy: object, **more: object) -> dict[str, object]:
    return {"loss": loss, "rewards/margins": margin, "rewards/accuracies": accuracy, "learning_rate": cosine(), **more}


def test_dpo_that_stays_at_chance_is_an_error():
    ranked = preference(noisy(np.full(ROWS, log(2) - 0.002), 1e-3), noisy(np.full(ROWS, 0.005), 1e-3), np.full(ROWS, 1.0))
    assert level(make(ranked), "dpo-not-learning") == "error"
    found = outcome(make(ranked), "dpo-not-learning").evidence
    assert found is not None
    assert found.numbers["accuracy_late"] == 1
    mixed = preference(noisy(np.full(ROWS, 0.71), 0.01), noisy(np.full(ROWS, -0.02), 0.02), noisy(np.full(ROWS, 0.5), 0.03))
    assert level(make(mixed), "dpo-not-learning") == "error"


def test_dpo_that_learns_or_has_only_begun_is_fine():
    fall = noisy(np.maximum(0.1, log(2) - np.linspace(0, 0.8, ROWS)), 0.01)
    assert level(make(preference(fall, np.linspace(0, 4, ROWS), np.linspace(0.5, 0.95, ROWS))), "dpo-not-learning") == "healthy"
    early = preference(np.full(40, log(2)), np.zeros(40), np.full(40, 0.5))
    early["learning_rate"] = np.linspace(0, 1e-6, 40)
    assert level(make(early, planned_steps=5000), "dpo-not-learning") == "skipped"


def test_other_preference_losses_are_judged_by_margin_and_accuracy():
    orpo = preference(noisy(np.full(ROWS, 1.9), 0.02), noisy(np.full(ROWS, 0.3), 0.02), noisy(np.full(ROWS, 0.8), 0.02))
    assert level(make(orpo), "dpo-not-learning") == "healthy"
    orpo["rewards/margins"], orpo["rewards/accuracies"] = noisy(np.full(ROWS, -0.1), 0.01), noisy(np.full(ROWS, 0.48), 0.02)
    assert level(make(orpo), "dpo-not-learning") == "error"


@pytest.mark.parametrize(
    ("reward", "spread", "kind"), [(0.0, 0.0, "constant"), (None, 0.0, "no spread within the groups"), (0.5, 0.2, "no trend")]
)
def test_a_flat_reward_says_in_which_way(reward: float | None, spread: float, kind: str):
    values = UP if reward is None else np.full(ROWS, reward) if not spread else noisy(np.full(ROWS, reward), 0.05, seed=3)
    found = outcome(make({**HEALTHY, "reward": values, "reward_std": np.full(ROWS, spread)}), "reward-flat").evidence
    assert found is not None
    assert found.numbers["kind"] == kind


@pytest.mark.parametrize(
    ("rewards", "found"),
    [
        ([22.6, 20.3, 17.0, 14.9, 14.1, 14.1, 13.8, 14.1], True),
        ([22.6, 14.3, 21.0, 13.9, 24.1, 14.1, 23.8, 14.1], False),  # noise
        ([14.1, 14.9, 17.0, 20.3, 21.1, 22.0, 22.2, 22.6], False),  # it climbs
    ],
)
def test_a_few_rewards_that_fall_all_along(rewards, found):
    assert (level(make({"reward": rewards}, every=50), "reward-collapse") == "error") == found
