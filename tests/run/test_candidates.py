"""Which columns are losses, which of them add up, and what stands in for a loss that nobody logs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossdoctor.run import Log, Run, Series, build
from lossdoctor.run.candidates import LossParts, adversaries, is_loss, is_of_evaluation
from lossdoctor.run.resolution import resolution

ROWS = np.arange(1, 9)
FALLING = np.round(2.0 / ROWS, 4)


def run_of(**columns: object) -> Run:
    return build(Log("csv", Path("x.csv"), "x", tuple(Series.of(name, ROWS, values) for name, values in columns.items())))  # type: ignore[arg-type]


LOSSES = (
    "loss", "ret loss", "train/box_loss", "d_loss", "D_A", "cycle_B", "l_g_pix", "loss_vae", "xent", "valid ppl", "Train-perplexity",
    "update/loss/critic", "full_loss", "mse", "elbo", "cross_entropy", "BCE", "cost", "G_L1",
)  # fmt: skip
NO_LOSSES = (
    "loss_scale", "train/loss_scale", "lr", "loss_time", "best_val_loss", "grad_norm", "accuracy", "train/train_loss", "gpu/0/memory",
    "perf/step_seconds", "train/nonfinite_losses", "loss/Std", "num_losses_seen_count", "epoch", "lossless_ratio", "D_model", "TimeLoss",
)  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_the_name_says_loss(name: str) -> None:
    assert is_loss(name)


@pytest.mark.parametrize("name", NO_LOSSES)
def test_the_name_says_something_else(name: str) -> None:
    assert not is_loss(name)


def test_candidates_are_of_training_and_totals_come_first() -> None:
    run = run_of(**{"ret loss": FALLING, "full_loss": FALLING, "sum_loss": FALLING, "val_g_loss": FALLING, "lr": FALLING})
    assert [one.name for one in run.loss_candidates()] == ["full_loss", "sum_loss", "ret loss"]
    assert [one.name for one in run.loss_like()] == ["ret loss", "full_loss", "sum_loss", "val_g_loss"]
    assert not run.assumed_loss
    assert is_of_evaluation("val_g_loss")


def test_the_known_loss_is_loss_like_and_no_candidate() -> None:
    run = run_of(loss=FALLING, val_loss=FALLING, loss_ce=FALLING)
    assert {one.name for one in run.loss_like()} == {"train/loss", "eval/loss", "loss_ce"}
    assert [one.name for one in run.loss_candidates()] == ["loss_ce"]


@pytest.mark.parametrize("name", ["contrastive_loss", "triplet loss", "dice_loss", "train_fancy_loss"])
def test_the_name_of_a_method_says_what_is_minimised(name: str) -> None:
    assert run_of(**{name: FALLING}).signal("train/loss") is not None
    assert not run_of(**{name: FALLING}).assumed_loss
    assert run_of(fancy_loss=FALLING).assumed_loss


MANY = np.arange(1, 65)
KL = np.sqrt(MANY / 64)


@pytest.mark.parametrize(
    ("columns", "lead", "held_out"),
    [
        ({"fancy_loss": FALLING, "lr": FALLING}, "fancy_loss", None),
        ({"mlm_loss": FALLING, "valid_mlm_loss": FALLING}, "mlm_loss", "valid_mlm_loss"),
        ({"ret loss": FALLING, "full_loss": FALLING}, "full_loss", None),
        ({"ret loss": FALLING, "ctc_loss": FALLING}, None, None),
        ({"d_loss": FALLING, "g_loss": FALLING, "total_loss_g": FALLING}, None, None),
    ],
)
def test_the_only_loss_or_the_only_total_is_taken(columns: dict[str, object], lead: str | None, held_out: str | None) -> None:
    run = run_of(**columns)
    assert run.assumed_loss == (lead is not None and held_out is None)
    for name, raw in (("train/loss", lead), ("eval/loss", held_out)):
        signal = run.signal(name)
        assert (signal.raw_name if signal else None) == raw
        assert raw not in run.signals


def test_a_weighted_sum_of_the_others_is_taken() -> None:
    parts = {"loss_recon": np.exp(-MANY / 9), "loss_kl": KL, "loss_mmd": np.cos(MANY)}
    total = parts["loss_recon"] + 0.05 * np.linspace(0.9, 1, 64) * KL  # the weight is annealed
    logged = {**parts, "loss_vae": total}
    run = build(Log("csv", Path("x.csv"), "x", tuple(Series.of(name, MANY, values) for name, values in logged.items())))
    found = run.signal("train/loss")
    assert found is not None
    assert found.raw_name == "loss_vae"
    few = build(Log("csv", Path("x.csv"), "x", tuple(Series.of(name, MANY[:9], values[:9]) for name, values in logged.items())))
    assert few.signal("train/loss") is None


def test_parts_add_up_to_the_last_printed_digit() -> None:
    run = run_of(total_loss=FALLING + 0.5, loss_cls=FALLING, loss_box=np.full(8, 0.5))
    assert run.loss_parts == LossParts(("loss_cls", "loss_box"), "train/loss")
    assert run_of(total_loss=FALLING + 0.7, loss_cls=FALLING, loss_box=np.full(8, 0.5)).loss_parts is None


def test_two_networks_that_play_against_each_other_are_no_parts() -> None:
    run = run_of(d_loss=FALLING, g_loss=FALLING, total_loss=2 * FALLING)
    assert run.loss_parts is None
    assert run.task == "gan"
    assert adversaries(["D_A", "G_A", "cycle_A"])
    assert not adversaries(["train/box_loss", "train/dfl_loss", "grad_d"])


def test_ultralytics_minimises_the_sum_of_its_parts() -> None:
    parts = {f"{split}/{part}_loss": FALLING * k for split in ("train", "val") for k, part in enumerate(("box", "cls", "dfl"), 1)}
    run = run_of(**parts)
    for name, split in (("train/loss", "train"), ("eval/loss", "val")):
        loss = run.signal(name)
        assert loss is not None
        np.testing.assert_allclose(loss.values, 6 * FALLING)
        assert run.signal(f"{split}/box_loss") is not None
        assert loss.raw_name == f"{split}/box_loss + {split}/cls_loss + {split}/dfl_loss"
    assert run.loss_parts == LossParts(("train/box_loss", "train/cls_loss", "train/dfl_loss"), "train/loss")


def test_a_perplexity_becomes_its_logarithm_where_no_loss_is_logged() -> None:
    run = run_of(ppl=np.exp(FALLING), valid_ppl=np.exp(FALLING + 1))
    train, held_out = run.signal("train/loss"), run.signal("eval/loss")
    assert train is not None
    assert held_out is not None
    np.testing.assert_allclose(train.values, FALLING)
    np.testing.assert_allclose(held_out.values, FALLING + 1)
    assert train.raw_name == "ln(ppl)"
    assert run.signal("ppl") is not None


def test_cross_entropy_is_preferred_to_perplexity_and_a_known_loss_to_both() -> None:
    both = run_of(ppl=np.exp(FALLING), xent=FALLING).signal("train/loss")
    assert both is not None
    assert both.raw_name == "xent"
    known = run_of(ppl=np.exp(FALLING), loss=FALLING).signal("train/loss")
    assert known is not None
    assert known.raw_name == "loss"


def test_another_measure_of_the_evaluation_is_no_loss() -> None:
    assert run_of(loss=FALLING, val_mae=FALLING).signal("eval/loss") is None
    assert run_of(**{"train-rmse": FALLING, "eval-rmse": FALLING}).signal("eval/loss") is not None
    assert run_of(**{"training's binary_logloss": FALLING}).signal("train/loss") is not None


@pytest.mark.parametrize(
    ("printed", "unit"),
    [((0.00002, 0.00001, 0.0), 1e-5), ((2.0, 1.5, 1.25), 0.01), ((3.0, 2.0, 1.0), 1.0), ((1 / 3, 2 / 7, 0.1), 0.0), ((0.0, 0.0, 0.0), 0.0)],
)
def test_resolution_is_the_last_printed_decimal(printed: tuple[float, ...], unit: float) -> None:
    run = build(Log("csv", Path("x"), "x", (Series.of("lr", (1, 2, 3), printed),)))
    assert resolution(run.signals["train/learning_rate"]) == pytest.approx(unit)


def test_companions_get_their_meaning_from_each_other() -> None:
    run = run_of(loss=FALLING, time=FALLING, data_time=FALLING / 2)
    assert run.signal("perf/step_seconds") is not None
    assert run.signal("perf/data_wait_seconds") is not None
    assert run_of(loss=FALLING, time=FALLING).signal("perf/step_seconds") is None


@pytest.mark.parametrize(
    ("logged", "signal"),
    [
        ("critic/rewards/mean", "reward"), ("rollout/ep_rew_mean", "reward"), ("charts/episodic_return", "reward"),
        ("episode_reward_mean", "reward"), ("Reward moyen (100 ep)", "reward"), ("actor/grad_norm", "train/grad_norm"),
        ("actor/lr", "train/learning_rate"), ("response_length/clip_ratio", "completions/clipped_ratio"), ("actor/entropy", "entropy"),
        ("rewards/chosen", "rewards/chosen"), ("reduced_train_loss", "train/loss"), ("avr_loss", "train/loss"),
        ("train_lr", "train/learning_rate"),
    ],
)  # fmt: skip
def test_names_of_frameworks(logged: str, signal: str) -> None:
    assert run_of(**{logged: FALLING}).signal(signal) is not None
