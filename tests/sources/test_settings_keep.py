"""Names, types and values of settings through the eras; secrets; joining several accounts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.model import Scalar, Setting
from lossdoctor.sources.settings import keep, merge
from lossdoctor.sources.settings.merge import same
from lossdoctor.sources.settings.names import ALIASES, KINDS, NESTED, PATHS, canonical
from lossdoctor.sources.settings.pickle_values import Stub


def values(raw: dict[Any, Any], *, nested: bool = False) -> dict[str, Scalar]:
    return {setting.name: setting.value for setting in keep(raw, "test", nested=nested)}


def test_the_tables_agree() -> None:
    assert set(ALIASES.values()) <= set(KINDS)
    assert not set(ALIASES) & set(KINDS)
    assert set(KINDS) >= NESTED
    assert {name for name, kind in KINDS.items() if kind is str} >= PATHS


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"evaluation_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"evaluate_during_training": True}, {"eval_strategy": "steps"}),
        ({"eval_strategy": False}, {"eval_strategy": "no"}),
        ({"per_gpu_train_batch_size": 4, "per_device_train_batch_size": 8}, {"per_device_train_batch_size": 4}),
        ({"per_gpu_train_batch_size": None, "per_device_train_batch_size": 8}, {"per_device_train_batch_size": 8}),
        ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}),
        ({"group_by_length": False, "train_sampling_strategy": "sequential"}, {"train_sampling_strategy": "sequential"}),
        ({"warmup_steps": 0.03}, {"warmup_ratio": 0.03}),
        ({"warmup_steps": 0.0, "warmup_ratio": 0.1}, {"warmup_steps": 0, "warmup_ratio": 0.1}),
        ({"warmup_steps": 500.0}, {"warmup_steps": 500}),
        ({"adafactor": True, "optim": "adamw_hf"}, {"optim": "adafactor"}),
        ({"max_grad_norm": None}, {"max_grad_norm": 0.0}),
        ({"gradient_clip_val": 0.5}, {"max_grad_norm": 0.5}),
        ({"max_seq_length": 2048}, {"max_length": 2048}),
        ({"max_length": 20, "num_beams": 1}, {}),
        ({"max_length": 20}, {"max_length": 20}),
        ({"betas": [0.9, 0.95]}, {"adam_beta1": 0.9, "adam_beta2": 0.95}),
        ({"mixed_precision": "bf16"}, {"bf16": True, "fp16": False, "mixed_precision": "bf16"}),
        ({"precision": "16-mixed"}, {"bf16": False, "fp16": True}),
        ({"precision": 32}, {"bf16": False, "fp16": False}),
        ({"fp16": True, "mixed_precision": "no"}, {"bf16": False, "fp16": True, "mixed_precision": "no"}),
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, {"num_labels": 3}),
        ({"lr_scheduler_type": "SchedulerType.COSINE"}, {"lr_scheduler_type": "cosine"}),
        ({"optim": "OptimizerNames.ADAMW_TORCH_FUSED"}, {"optim": "adamw_torch_fused"}),
        ({"lr_scheduler_kwargs": {"num_cycles": 2, "min_lr": 1e-6}}, {"lr_scheduler_kwargs": "num_cycles=2,min_lr=1e-06"}),
        ({"torch_dtype": Stub("torch", "bfloat16")}, {"dtype": "bfloat16"}),
        ({"save_strategy": Stub("transformers.trainer_utils", "SaveStrategy", ("EPOCH",))}, {"save_strategy": "epoch"}),
        ({"gradient_checkpointing": (True,)}, {"gradient_checkpointing": True}),
        ({"target_modules": ["q_proj", "v_proj"]}, {"target_modules": "2 modules"}),
        ({"report_to": ["tensorboard", "wandb"]}, {"report_to": "tensorboard,wandb"}),
        ({"learning-rate": "5e-5", "--seed": "7"}, {"learning_rate": 5e-5, "seed": 7}),
        ({"warmup_ratio": "3%"}, {"warmup_ratio": 0.03}),
        ({"output_dir": "/home/me/out-7/", "deepspeed": "C:\\x\\ds_z3.json"}, {"output_dir": "out-7", "deepspeed": "ds_z3.json"}),
        ({"base_model_name_or_path": "meta-llama/Llama-3.2-1B"}, {"base_model": "Llama-3.2-1B"}),
        ({"trainer.max_epochs": 3, "model/optimizer/lr": 0.1}, {}),
    ],
)  # fmt: skip
def test_a_setting_under_its_canonical_name(raw: dict[str, Any], expected: dict[str, Scalar]) -> None:
    assert values(raw) == expected


def test_nested_configurations_are_searched_for_unmistakable_names() -> None:
    hydra = {
        "trainer": {"max_epochs": 5, "gradient_clip_val": 0.5, "accumulate_grad_batches": 2},
        "model": {"optimizer": {"lr": 1e-4, "betas": [0.9, 0.99]}, "max_length": 77, "seed": 3},
        "lr": 2e-4,
    }
    assert values(hydra, nested=True) == {
        "num_train_epochs": 5,
        "max_grad_norm": 0.5,
        "gradient_accumulation_steps": 2,
        "learning_rate": 2e-4,
        "adam_beta1": 0.9,
        "adam_beta2": 0.99,
        "seed": 3,
    }
    assert values({"trainer.max_epochs": 3, "model/optimizer/lr": 0.1}, nested=True) == {"num_train_epochs": 3, "learning_rate": 0.1}


@pytest.mark.parametrize(
    "value",
    [
        "auto",
        "",
        None,
        [],
        {},
        "fast",
        float("nan"),
        float("inf"),
        2**80,
        9223372036854775807,
        "9" * 5000,
        b"3",
        Stub("a", "b", ({},)),
        True,
    ],
)
def test_what_carries_no_number_is_left_out(value: object) -> None:
    assert values({"max_steps": value, "num_train_epochs": value}) == {}


CANARY = "hf_abcDEFghiJKLmnoPQRstuVWXyz012345"


@pytest.mark.parametrize(
    "raw",
    [
        {"hub_token": CANARY, "push_to_hub_token": CANARY, "wandb_api_key": CANARY, "password": CANARY, "aws": {"secret": CANARY}},
        {"run_name": CANARY, "optim_args": f"token={CANARY}", "metric_for_best_model": f"https://me:{CANARY}@host/x"},
        {"report_to": [CANARY], "architectures": CANARY, "lr_scheduler_kwargs": {"key": CANARY}, CANARY: 3},
        {"dataset_text_field": "a" * 40, "model_type": "sk-ant-REDACTED", "loss_type": "password: hunter2"},
    ],
)
def test_no_secret_is_kept(raw: dict[str, Any]) -> None:
    text = repr(keep(raw, "x", nested=True))
    assert not any(secret in text for secret in (CANARY, "a" * 40, "hunter2", "sk-ant"))


def test_names_that_look_a_little_like_secrets_stay() -> None:
    names = {
        "base_model": "mask-transformer-large-v2",
        "run_name": "tokenizer-2_monkey-key",
        "metric_for_best_model": "eval_token_accuracy",
    }
    assert values(names) == names


@given(st.dictionaries(st.sampled_from([*KINDS, *ALIASES, "id2label", "precision", "betas"]), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6)))  # fmt: skip
def test_whatever_comes_in_scalars_of_the_right_type_come_out(raw: dict[str, Any]) -> None:
    kept = keep(raw, "x", nested=True)
    assert [setting.name for setting in kept] == sorted({setting.name for setting in kept})
    for setting in kept:
        kind = KINDS[setting.name]
        assert isinstance(setting.value, int | float if kind is float else kind)
        assert not isinstance(setting.value, float) or math.isfinite(setting.value)
        assert not isinstance(setting.value, str) or len(setting.value) <= 200
    assert merge([kept]) == kept


def test_the_first_account_decides_and_the_others_stay_visible() -> None:
    merged = merge(
        [
            (Setting("learning_rate", 1e-4, "--set"), Setting("my_own", 3, "--set")),
            (Setting("lr", 2e-4, "events"), Setting("seed", 1, "events", (("older events", 2),)), Setting("hub_id", "x", "events")),
            (Setting("learning_rate", 1e-4, "training_args.bin"), Setting("seed", 3, "training_args.bin"), Setting("fp16", False, "a")),
        ]
    )
    assert merged == (
        Setting("fp16", False, "a"),
        Setting("learning_rate", 1e-4, "--set", (("events", 2e-4),)),
        Setting("my_own", 3, "--set"),
        Setting("seed", 1, "events", (("older events", 2), ("training_args.bin", 3))),
    )


def test_merging_makes_the_names_of_other_sources_canonical() -> None:
    hparams = (
        Setting("trainer.max_epochs", 4, "wandb config"),
        Setting("id", "x", "wandb config"),
        Setting("max_grad_norm", None, "events"),
    )
    assert merge([hparams]) == (Setting("max_grad_norm", 0.0, "events"), Setting("num_train_epochs", 4, "wandb config"))


STATE = "trainer_state.json"


@pytest.mark.parametrize(
    ("arguments", "state", "expected"),
    [
        ({"max_steps": -1}, {"max_steps": 480}, {"max_steps": 480}),
        ({"max_steps": 480, "num_train_epochs": 3.0}, {"num_train_epochs": 7}, {"max_steps": 480, "num_train_epochs": 7}),
        ({"num_train_epochs": 3.0}, {"num_train_epochs": 3}, {"num_train_epochs": 3.0}),
        ({"eval_steps": 0.1, "eval_strategy": "steps"}, {"eval_steps": 48}, {"eval_steps": 48, "eval_strategy": "steps"}),
        ({"eval_strategy": "no"}, {"eval_steps": 500}, {"eval_strategy": "no"}),
        ({"save_strategy": "epoch"}, {"save_steps": 500}, {"save_strategy": "epoch"}),
        ({}, {"eval_steps": 500, "logging_steps": 10}, {"eval_steps": 500, "logging_steps": 10}),
    ],
)  # fmt: skip
def test_what_the_trainer_computed_is_no_conflict(arguments: dict[str, Any], state: dict[str, Any], expected: dict[str, Scalar]) -> None:
    merged = merge([keep(arguments, "training_args.bin"), tuple(Setting(name, value, STATE) for name, value in state.items())])
    assert {setting.name: setting.value for setting in merged} == expected
    assert not any(setting.conflicts for setting in merged)


def test_a_real_disagreement_with_the_state_stays() -> None:
    merged = merge([(Setting("logging_steps", 5, "args.json"),), (Setting("logging_steps", 10, STATE),)])
    assert merged == (Setting("logging_steps", 5, "args.json", ((STATE, 10),)),)
    chosen = merge([(Setting("num_train_epochs", 9, "--set"), Setting("max_steps", 5, "a")), (Setting("num_train_epochs", 2, STATE),)])
    assert chosen[1] == Setting("num_train_epochs", 9, "--set", ((STATE, 2),))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (3, 3.0, True),
        (2e-4, 0.00019999999494757503, True),
        (2e-4, 2.01e-4, False),
        ("Linear", "linear", True),
        (True, 1, True),
        (False, "no", False),
        (None, 0, False),
    ],
)
def test_sameness(one: Scalar, other: Scalar, equal: bool) -> None:
    assert same(one, other) is equal


def test_canonical_names_stand_for_themselves() -> None:
    assert all(canonical(name) == name for name in KINDS)
    assert canonical("hub_token") is None
