from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.diagnosis.facts import ALWAYS, FACTS, facts
from lossdoctor.model import Checkpoint, Evidence, LogEvent, Scalar
from lossdoctor.run import Run

from .samples import run

STEPS = np.arange(10, 1001, 10)
FLAT = np.full(100, 2.0)


def seen(one: Run, onset: int | None = None, **numbers: Scalar) -> dict[str, Scalar]:
    return facts(one, Evidence(numbers, (), onset))


def test_the_norm_leads_the_loss():
    norm = np.full(100, 1.0)
    norm[46:49] = [4, 20, 60]
    found = seen(run({"loss": (STEPS, FLAT), "grad_norm": (STEPS, norm)}), 500)
    assert found["grad_norm_lead"] == 60
    assert (found["grad_norm_led"], found["grad_norm_lead_rows"]) == (True, 3)
    quiet = seen(run({"loss": (STEPS, FLAT), "grad_norm": (STEPS, np.ones(100))}), 500)
    assert (quiet["grad_norm_led"], quiet["grad_norm_lead"]) == (False, 1)


def test_a_norm_that_grows_by_feedback_is_a_straight_line():
    norm = np.exp(np.linspace(0, 10, 100))
    assert float(seen(run({"grad_norm": (STEPS, norm)}), 900)["grad_norm_straight"]) > 0.99
    assert "grad_norm_straight" not in seen(run({"grad_norm": (STEPS, np.ones(100))}), 900)


@pytest.mark.parametrize(("value", "told"), [(1.0, True), (1.41421354, True), (0.7311, False)])
def test_the_signature_of_zero2(value: float, told: bool):
    norm = np.random.default_rng(0).uniform(0.2, 0.9, 100)
    norm[50:60] = value
    found = seen(run({"grad_norm": (STEPS, norm)}))
    assert (found["grad_norm_repeats"], found["zero2_signature"]) == (10, told)


def test_phases_of_the_learning_rate():
    rate = np.where(STEPS <= 100, STEPS / 100, 1 - (STEPS - 100) / 900) * 1e-3
    one = run({"lr": (STEPS, rate), "loss": (STEPS, FLAT)})
    assert [seen(one, at)["lr_phase"] for at in (50, 150, 600)] == ["warmup", "peak", "decay"]
    assert seen(one, 120)["onset_at_warmup_end"] is True
    assert seen(one, 500)["onset_at_warmup_end"] is False
    assert (seen(one)["warmup_end"], seen(one)["lr_repeats"]) == (100, 0)
    assert seen(run({"lr": (STEPS, np.full(100, 1e-4))}), 500)["lr_phase"] == "constant"


def test_skipped_steps_show_as_repeated_learning_rates():
    rate = np.linspace(1e-3, 1e-5, 100)
    rate[40:44] = rate[40]
    assert seen(run({"lr": (STEPS, rate)}))["lr_repeats"] == 3


def test_a_restarted_schedule_jumps():
    rate = np.concatenate((np.linspace(1e-3, 1e-4, 50), np.linspace(1e-3, 1e-5, 50)))
    found = seen(run({"lr": (STEPS, rate), "loss": (STEPS, FLAT)}), 510)
    assert found["lr_jump_at_onset"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("settings_", "rate", "ratio"),
    [
        ({"lora_r": 8}, 2e-4, 1), ({"lora_r": 8}, 2e-3, 4), ({"base_model": "x", "architectures": "XForCausalLM"}, 5e-7, 0.1),
        ({"vocab_size": 1000, "architectures": "XForCausalLM"}, 3e-5, 0.1), ({}, 3e-5, None),
    ],
)  # fmt: skip
def test_learning_rates_against_the_usual(settings_: dict, rate: float, ratio: float | None):
    found = seen(run({"loss": (STEPS, np.full(100, math.log(1000))), "lr": (STEPS, np.full(100, rate))}, settings=settings_))
    assert found.get("lr_vs_typical") == (None if ratio is None else pytest.approx(ratio))


def test_levels_against_chance():
    found = seen(run({"loss": (STEPS, np.full(100, 10.37))}, settings={"vocab_size": 32000, "architectures": "LlamaForCausalLM"}))
    assert found["end_is_chance"] is True
    assert found["start_vs_ln_vocab"] == pytest.approx(1, abs=0.01)
    classes = seen(
        run({"loss": (STEPS, np.full(100, 1.1))}, settings={"num_labels": 3, "vocab_size": 32000, "model_type": "x-classification"})
    )
    assert classes["end_is_chance"] is True


def test_zero_losses_and_their_norms():
    masked = seen(run({"loss": (STEPS, np.zeros(100)), "grad_norm": (STEPS, np.zeros(100))}))
    assert (masked["zero_loss_zero_norm"], masked["zero_loss_nan_norm"], masked["grad_norm_zero_share"]) == (True, False, 1.0)
    hidden = seen(run({"loss": (STEPS, np.zeros(100)), "grad_norm": (STEPS, np.full(100, np.nan))}))
    assert (hidden["zero_loss_zero_norm"], hidden["zero_loss_nan_norm"]) == (False, True)


def test_the_level_after_a_jump():
    back, stays = FLAT.copy(), FLAT.copy()
    back[50:55], stays[50:] = 6.0, 3.0
    assert seen(run({"loss": (STEPS, back)}), 510)["after_ratio"] == 1
    found = seen(run({"loss": (STEPS, stays)}), 510)
    assert found["after_ratio"] == 1.5


def test_data_in_the_same_order_every_epoch():
    draw = np.random.default_rng(1)
    wave, noise = np.tile(draw.normal(0, 0.3, 20), 10), draw.normal(0, 0.3, 200)
    steps = np.arange(1, 201)
    ordered = seen(run({"loss": (steps, 2 + wave + noise / 20)}, per_epoch=20))
    assert ordered["order_repeats"] is True
    shuffled = seen(run({"loss": (steps, 2 + noise)}, per_epoch=20))
    assert (shuffled["order_repeats"], abs(float(shuffled["residual_autocorrelation"])) < 0.3) == (False, True)


def test_a_swing_that_follows_the_learning_rate():
    draw = np.random.default_rng(2)
    rate = np.linspace(1, 0.01, 400)
    follows = seen(run({"loss": (range(400), 2 + rate * draw.normal(0, 0.3, 400)), "lr": (range(400), rate)}))
    steady = seen(run({"loss": (range(400), 2 + draw.normal(0, 0.3, 400)), "lr": (range(400), rate)}))
    assert float(follows["amplitude_follows_lr"]) > 0.8 > float(steady["amplitude_follows_lr"])


def test_weights_that_do_not_move_repeat_their_losses():
    values = np.tile(np.random.default_rng(3).uniform(2, 3, 20), 5)
    assert seen(run({"loss": (np.arange(1, 101), values)}, per_epoch=20))["repeats_each_epoch"] is True


def test_evals():
    found = seen(run({"loss": (STEPS, FLAT), "eval_loss": ([100, 500, 1000], [3.0, 3.0, 3.0])}))
    assert (found["eval_constant"], found["eval_over_train"], found["eval_points"]) == (True, 1.5, 3)
    broken = seen(run({"loss": (STEPS, FLAT), "eval_loss": ([100, 500], [math.nan, 1.0])}))
    assert (broken["eval_nonfinite"], broken["eval_last"]) == (1, 1.0)


def test_memory_and_its_end():
    rising = seen(run({"loss": (STEPS, FLAT), "gpu.0.memoryAllocatedBytes": (STEPS, np.linspace(1e9, 2e9, 100))}))
    assert (rising["memory_is_rising"], rising["memory_is_constant"], rising["memory_signal"]) == (True, False, "gpu/0/memory")
    event = LogEvent("oom", "CUDA out of memory", "log:9", numbers={"tried_mib": 512.0})
    found = seen(run({"loss": (STEPS, FLAT)}, events=(event,)))
    assert (found["event.oom"], found["tried_mib"], found["says_nothing"]) == (True, 512.0, False)
    assert seen(run({"loss": (STEPS, FLAT)}))["says_nothing"] is True


@pytest.mark.parametrize(
    ("settings_", "precision"),
    [({"fp16": True}, "fp16"), ({"bf16": True, "fp16": False}, "bf16"), ({"mixed_precision": "fp16"}, "fp16"),
     ({"dtype": "bfloat16"}, "bf16"), ({"fp16": False, "bf16": False}, "fp32"), ({}, None)],
)  # fmt: skip
def test_precision(settings_: dict, precision: str | None):
    assert seen(run({"loss": (STEPS, FLAT)}, settings=settings_)).get("precision") == precision


def test_what_the_snippets_need_is_always_there():
    assert set(ALWAYS) <= set(seen(run({})))
    kept = (Checkpoint(100, "a'b/checkpoint-100", whole=True), Checkpoint(600, "c", whole=True))
    found = seen(run({"loss": (STEPS, FLAT)}, checkpoints=kept, settings={"seed": 7, "per_device_train_batch_size": 4}, per_epoch=300), 500)
    assert (found["checkpoint_quoted"], found["seed"], found["epoch_index"]) == (repr("a'b/checkpoint-100"), 7, 1)
    assert (found["position_low"], found["position_high"]) == (190 * 4, 200 * 4)


def test_the_numbers_of_the_evidence_win():
    assert seen(run({"loss": (STEPS, FLAT)}), 10, lr_phase="mine", best=1.5)["lr_phase"] == "mine"


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)
COLUMNS = st.sampled_from(["loss", "eval_loss", "lr", "grad_norm", "gpu.0.memoryAllocatedBytes", "gpu.0.gpu", "eval_accuracy"])


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(COLUMNS, st.lists(st.tuples(st.integers(0, 60), NUMBERS), min_size=1, max_size=70)), st.none() | st.integers(0, 60),
    st.none() | st.floats(0.5, 40), st.none() | st.floats(0.1, 1e4),
)  # fmt: skip
def test_any_log_gives_facts_that_are_named_and_finite(columns: dict, onset: int | None, per_epoch: float | None, seconds: float | None):
    one = run(
        {name: ([s for s, _ in rows], [v for _, v in rows]) for name, rows in columns.items()},
        per_epoch=per_epoch, seconds=seconds, settings={"max_grad_norm": 1.0, "vocab_size": 50, "learning_rate": 1e-3},
    )  # fmt: skip
    found = seen(one, onset)
    assert {name for name in found if not name.startswith("setting.")} <= set(FACTS)
    assert all(not isinstance(v, float) or math.isfinite(v) for v in found.values())
    assert all(isinstance(v, bool | int | float | str) and not isinstance(v, np.generic) for v in found.values())


@pytest.mark.parametrize(("second", "again"), [(9.0, True), (math.nan, True), (2.0, False)])
def test_trouble_at_the_same_step_after_a_resume(second: float, again: bool):
    steps = [*range(10, 210, 10), *range(110, 310, 10)]
    values = np.full(40, 2.0)
    values[14], values[24] = 9.0, second
    assert seen(run({"loss": (steps, values)}), 150)["happens_again"] is again
    assert "happens_again" not in seen(run({"loss": (range(10, 310, 10), np.full(30, 2.0))}), 150)


@pytest.mark.parametrize(("accumulation", "ratio"), [(1, 0.25), (8, None), (None, None)])
def test_a_training_loss_that_may_be_a_sum_is_not_held_against_the_eval_loss(accumulation: int | None, ratio: float | None):
    given_ = {} if accumulation is None else {"gradient_accumulation_steps": accumulation}
    summed = run({"loss": (STEPS, np.full(100, 8.0)), "eval_loss": ([100, 500], [2.0, 1.9])}, settings=given_)
    assert seen(summed).get("eval_over_train") == ratio
    higher = run({"loss": (STEPS, FLAT), "eval_loss": ([100, 500], [4.0, 3.9])}, settings=given_)
    assert seen(higher)["eval_over_train"] == 2.0


def test_where_the_loss_fell():
    quick = np.where(STEPS <= 80, 4.0 - STEPS / 40, 2.0)
    assert float(seen(run({"loss": (STEPS, quick)}))["early_drop_share"]) > 0.8
    even = seen(run({"loss": (STEPS, np.linspace(4, 3, 100))}))
    assert 0.1 < float(even["late_drop_share"]) < 0.2
    assert "late_drop_share" not in seen(run({"loss": (STEPS, np.linspace(4, 3.999, 100))}))


def test_what_is_learned_in_the_first_epoch():
    found = seen(run({"loss": (STEPS, np.linspace(4, 2, 100))}, per_epoch=500))
    assert float(found["first_epoch_drop"]) == pytest.approx(0.25, abs=0.02)


def test_the_score_of_guessing_that_the_evidence_names():
    found = seen(run({"loss": (STEPS, np.concatenate(([9.0, 9.0, 9.0], np.full(97, 2.3))))}), None, chance=math.log(10))
    assert (found["end_is_chance"], round(float(found["start_vs_chance"]), 1)) == (True, 3.9)


def test_a_lower_rate_is_taken_from_where_a_ramp_had_come_not_from_its_peak():
    steps = range(10, 1001, 10)
    made = run({"loss": (steps, [1.0] * 100), "learning_rate": (steps, [0.001 * i for i in range(100)])})
    known = facts(made, Evidence({}, (), onset_step=500))
    assert known["lr_suggested"] == 0.016
    assert known["lr_suggested_low"] == 0.0098
    assert "it went wrong at 0.049, on the way to a peak of 0.099" in str(known["lr_suggested_why"])


def test_an_absurd_rate_from_the_first_row_on_gives_way_to_what_adam_bears():
    made = run({"loss": ([1, 2, 3, 4], [1.6, 10.0, 11.0, 10.0]), "learning_rate": ([1, 2, 3, 4], [5.0, 5.0, 5.0, 5.0])})
    known = facts(made, Evidence({}, (), onset_step=1))
    assert known["lr_suggested"] == 0.001
    assert "under plain SGD" in str(known["lr_suggested_why"])
    sgd = run({"loss": ([1, 2], [1.6, 10.0]), "learning_rate": ([1, 2], [5.0, 5.0])}, settings={"optim": "sgd"})
    assert facts(sgd, Evidence({}, (), onset_step=1))["lr_suggested"] == 1.7


def test_the_turn_that_a_detector_measured_wins_over_the_lowest_eval():
    made = run({"eval_loss": ([100, 200, 300], [1.0, 1.1, 1.2]), "epoch": ([100, 200, 300], [1.0, 2.0, 3.0])})
    known = facts(made, Evidence({"best_step": 200}, (), onset_step=200))
    assert known["steps_suggested"] == 200


def test_no_sentence_names_a_checkpoint_that_another_finding_spoils():
    kept = (Checkpoint(100, "checkpoint-100"), Checkpoint(200, "checkpoint-200"))
    made = run({"loss": (STEPS, FLAT)}, checkpoints=kept)
    seen_alone = facts(made, Evidence({}, (), onset_step=220))
    assert seen_alone["checkpoint_said"] == "checkpoint-200"
    assert facts(made, Evidence({}, (), onset_step=220), spoiled=191)["checkpoint_said"] == "checkpoint-100"
    assert facts(made, Evidence({}, (), onset_step=50))["checkpoint_said"] == "the beginning"


def resumed(rates: list[float]) -> dict[str, Scalar]:
    """Ten rows of a rate that is at 1 at step 0, the sixth after a resume."""
    steps = np.arange(100, 1001, 100)
    one = run({"loss": (steps, np.ones(10)), "learning_rate": (steps, rates)}, settings={"learning_rate": 1.0})
    return seen(one, 500)


def test_a_schedule_for_more_steps_is_told_from_one_that_began_anew():
    """At step 500 a line of 500 steps has ended; after it, the same peak on a line of 1000 steps is a longer plan, a new start is not."""
    steps = np.arange(100, 1001, 100)
    short, longer, anew = 1 - steps / 500, 1 - steps / 1000, 1 - (steps - 500) / 1000
    assert resumed([*short[:5], *longer[5:]])["lr_replanned"] is True
    assert resumed([*short[:5], *anew[5:]])["lr_replanned"] is False
    assert "lr_replanned" not in resumed([*longer])
    half, full = (1 + np.cos(np.pi * steps / 600)) / 2, (1 + np.cos(np.pi * steps / 1200)) / 2
    assert resumed([*half[:5], *full[5:]])["lr_replanned"] is True


@pytest.mark.parametrize(
    ("settings", "evals", "by_epoch", "in_use"),
    [
        ({"eval_steps": 500}, [2944, 5888], True, None),
        ({"eval_steps": 500}, [500, 1000, 1500, 1720], False, 500),
        ({"eval_steps": 500, "eval_strategy": "epoch"}, [500, 1000], True, None),
        ({"eval_strategy": "steps"}, [2944, 5888], False, None),
    ],
)
def test_eval_steps_count_only_where_the_evals_bear_them_out(
    settings: dict[str, Scalar], evals: list[int], by_epoch: bool, in_use: int | None
):
    known = seen(run({"eval_loss": (evals, np.ones(len(evals)))}, settings=settings, per_epoch=2944))
    assert known["evals_at_epochs"] is by_epoch
    assert known.get("eval_steps_in_use") == in_use
    assert known["eval_strategy_seen"] == ("epoch" if by_epoch else "steps")


def test_a_norm_that_stays_finite_speaks_for_whole_weights():
    norm = np.full(100, 30.0)
    loss = np.where(np.arange(100) > 50, np.nan, 2.0)
    assert seen(run({"loss": (STEPS, loss), "grad_norm": (STEPS, norm)}), 510)["nan_loss_finite_norm"] == 1
    assert (
        seen(run({"loss": (STEPS, loss), "grad_norm": (STEPS, np.where(np.isnan(loss), np.nan, norm))}), 510)["nan_loss_finite_norm"] == 0
    )
    assert "nan_loss_finite_norm" not in seen(run({"loss": (STEPS, FLAT), "grad_norm": (STEPS, norm)}))


def test_the_length_is_in_the_unit_of_the_plan():
    curve = {"loss": (STEPS, FLAT), "eval_loss": ([100, 200, 300, 1000], [3.0, 2.0, 1.0, 4.0])}
    in_steps = seen(run(curve, settings={"max_steps": 1000, "num_train_epochs": 3.0}, per_epoch=100))
    assert (in_steps.get("epochs_suggested"), in_steps["length_suggested"], in_steps["length_is_in_steps"]) == (None, 300, True)
    in_epochs = seen(run(curve, settings={"max_steps": -1, "num_train_epochs": 10.0}, per_epoch=100))
    assert (in_epochs["epochs_suggested"], in_epochs["length_is_in_steps"]) == (3, False)


@pytest.mark.parametrize(
    ("numbers", "finished", "checkpoints", "said"),
    [
        ({"recovery": "fast"}, True, (), "for the next run, as this one recovered"),
        ({"recovery": "fast"}, False, (), "start again from the beginning"),
        ({"recovery": "slow"}, True, (), "start again from the beginning"),
        ({"recovery": "slow"}, True, (Checkpoint(400, "c"),), "restart from checkpoint-400"),
    ],
)
def test_nobody_is_sent_back_for_what_healed_or_to_a_checkpoint_that_is_not_there(
    numbers: dict[str, Scalar], finished: bool, checkpoints: tuple[Checkpoint, ...], said: str
):
    up = np.where(np.arange(100) > 50, 3.0, 2.0)
    one = run({"loss": (STEPS, up)}, finished=finished, checkpoints=checkpoints)
    assert seen(one, 510, **numbers)["retry_said"] == said


@pytest.mark.parametrize(("onset", "steps"), [(50, 100), (900, 1000)])
def test_a_retry_is_not_longer_than_the_run(onset: int, steps: int):
    assert seen(run({"loss": (STEPS, FLAT)}), onset)["retry_steps"] == steps


@pytest.mark.parametrize(
    ("signals", "settings", "reads_text"),
    [
        (("loss",), {"lora_r": 8, "architectures": "LlamaForCausalLM"}, True),
        (("loss",), {"lora_r": 8, "base_model": "google/vit-base-patch16-224"}, False),
        (("loss",), {"lora_r": 8, "task_type": "SEQ_CLS"}, False),
        (("loss", "rewards/margins"), {}, True),
        (("reward", "reward_std", "completions/mean_length"), {}, True),
        (("rollout/ep_rew_mean",), {}, False),
        (("loss", "eval_wer"), {}, False),
        (("loss",), {}, False),
    ],
)
def test_who_reads_text(signals: tuple[str, ...], settings: dict[str, Scalar], reads_text: bool):
    one = run(dict.fromkeys(signals, (STEPS, FLAT)), settings=settings)
    assert seen(one)["reads_text"] is reads_text


@given(st.integers(1, 100_000))
def test_what_is_suggested_gives_the_number_of_evals_and_rows_that_is_said(length: int):
    known = seen(run({"loss": ([1, length], [2.0, 1.0])}))
    assert known["evals_suggested"] == length // int(str(known["eval_steps_suggested"]))
    assert 1 <= int(str(known["evals_suggested"])) <= 20
    assert 1 <= int(str(known["save_steps_suggested"])) <= 100
    assert int(str(known["rows_suggested"])) < 400
