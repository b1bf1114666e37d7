"""Settings in the files of a directory: every era of training_args.bin, every kind of configuration, what is damaged or hostile."""

from __future__ import annotations

import enum
import json
import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lossdoctor.model import Loss, Scalar
from lossdoctor.sources.settings import find

OWED = (
    "max_grad_norm learning_rate fp16 bf16 per_device_train_batch_size gradient_accumulation_steps warmup_steps num_train_epochs "
    "logging_steps save_steps"
)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes under the module names that transformers pickles, for writing only: gone from sys.modules when `saved` has run."""
    args = type("TrainingArguments", (), {"__module__": "transformers.training_args"})
    interval = enum.Enum("IntervalStrategy", {"STEPS": "steps", "NO": "no"}, module="transformers.trainer_utils")
    scheduler = enum.Enum("SchedulerType", {"COSINE": "cosine"}, module="transformers.trainer_utils")
    optimizer = enum.Enum("OptimizerNames", {"ADAMW_TORCH": "adamw_torch"}, module="transformers.training_args")
    state = type("PartialState", (), {"__module__": "accelerate.state"})
    plugin = type("DeepSpeedPlugin", (), {"__module__": "accelerate.utils.dataclasses"})
    classes = {cls.__name__: cls for cls in (args, interval, scheduler, optimizer, state, plugin)}

    def saved(path: Path, attributes: dict[str, Any], *, protocol: int = 2) -> Path:
        value = args()
        value.__dict__.update(attributes)
        with monkeypatch.context() as context:
            for package in ("transformers", "accelerate", "accelerate.utils"):
                context.setitem(sys.modules, package, types.ModuleType(package))
            for cls in classes.values():
                module = types.ModuleType(cls.__module__)
                module.__dict__.update({name: c for name, c in classes.items() if c.__module__ == cls.__module__})
                context.setitem(sys.modules, cls.__module__, module)
            data = pickle.dumps(value, protocol=protocol)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("training_args/data.pkl", data)
        return path

    return types.SimpleNamespace(saved=saved, **classes)


def era_3(lib: Any) -> dict[str, Any]:
    return {"evaluate_during_training": True, "per_gpu_train_batch_size": 4, "per_device_train_batch_size": 8, "n_gpu": 2}


def era_4(lib: Any) -> dict[str, Any]:
    return {
        "evaluation_strategy": lib.IntervalStrategy.STEPS,
        "lr_scheduler_type": lib.SchedulerType.COSINE,
        "optim": lib.OptimizerNames.ADAMW_TORCH,
        "warmup_ratio": 0.1,
        "group_by_length": True,
        "per_device_train_batch_size": 4,
        "per_gpu_train_batch_size": None,
        "_n_gpu": 2,
        "hub_token": "hf_abcdefghijklmnopqrstuvwxyz0123",
    }


def era_5(lib: Any) -> dict[str, Any]:
    world = lib.PartialState()
    world.__dict__.update({"num_processes": 8, "backend": "nccl"})
    return {
        "eval_strategy": lib.IntervalStrategy.STEPS,
        "lr_scheduler_type": "cosine",
        "optim": lib.OptimizerNames.ADAMW_TORCH,
        "warmup_steps": 0.1,
        "train_sampling_strategy": "group_by_length",
        "per_device_train_batch_size": 4,
        "mixed_precision": "bf16",
        "bf16": True,
        "distributed_state": world,
        "_n_gpu": -1,
    }


COMMON: dict[str, Any] = {
    "max_grad_norm": 1.0,
    "learning_rate": 5e-5,
    "fp16": False,
    "bf16": False,
    "gradient_accumulation_steps": 2,
    "warmup_steps": 0,
    "num_train_epochs": 3.0,
    "logging_steps": 10,
    "save_steps": 500,
    "output_dir": "/home/somebody/out",
    "seed": 42,
}


def found(directory: Path) -> dict[str, Scalar]:
    settings, _ = find(directory)
    return {setting.name: setting.value for setting in settings}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("era", [era_3, era_4, era_5])
def test_every_era_of_training_arguments(tmp_path: Path, library: Any, era: Any, protocol: int) -> None:
    library.saved(tmp_path / "training_args.bin", COMMON | era(library), protocol=protocol)
    settings, faults = find(tmp_path)
    assert faults == ()
    assert {setting.source for setting in settings} == {"training_args.bin"}
    values = {setting.name: setting.value for setting in settings}
    assert {name for name in OWED.split() if name not in values} <= ({"warmup_steps"} if era is era_5 else set())
    assert values["per_device_train_batch_size"] == 4
    assert values["eval_strategy"] == "steps"
    assert values["output_dir"] == "out"
    assert "hf_" not in repr(settings)
    if era is era_4:
        assert (values["warmup_ratio"], values["train_sampling_strategy"], values["n_gpu"]) == (0.1, "group_by_length", 2)
    if era is era_5:
        assert (values["warmup_ratio"], values["world_size"], values["bf16"]) == (0.1, 8, True)
        assert "n_gpu" not in values


def test_deepspeed_inside_training_arguments(tmp_path: Path, library: Any) -> None:
    config = {"zero_optimization": {"stage": 2, "overlap_comm": True}, "gradient_clipping": "auto", "fp16": {"enabled": "auto"}}
    plugin = library.DeepSpeedPlugin()
    plugin.hf_ds_config = library.DeepSpeedPlugin()
    plugin.hf_ds_config.config = config
    library.saved(tmp_path / "training_args.bin", COMMON | {"deepspeed": "/x/ds_z2.json", "deepspeed_plugin": plugin})
    values = found(tmp_path)
    assert (values["deepspeed"], values["deepspeed_zero_stage"], values["deepspeed_overlap_comm"]) == ("ds_z2.json", 2, True)
    assert values["max_grad_norm"] == 1.0


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_pickle(path: Path, value: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(value, protocol=2))


CARD = """\
---
license: apache-2.0
learning_rate: 7
---
This model is a fine-tuned version of [org/base-1b](https://huggingface.co/org/base-1b) on the None dataset.

### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 2e-05
- train_batch_size: 16
- seed: 42
- distributed_type: multi-GPU
- num_devices: 4
- total_train_batch_size: 64
- optimizer: {optimizer}
- lr_scheduler_type: linear
- lr_scheduler_warmup_ratio: 0.1
- num_epochs: 3
- mixed_precision_training: Native AMP

### Training results

- learning_rate: 9
"""


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        ("Adam with betas=(0.9,0.98) and epsilon=1e-06", "adam"),
        ("Use adamw_torch with betas=(0.9,0.98) and epsilon=1e-06 and optimizer_args=No additional optimizer arguments", "adamw_torch"),
        ("Use OptimizerNames.ADAMW_TORCH_FUSED with betas=(0.9,0.98) and epsilon=1e-06 and optimizer_args=None", "adamw_torch_fused"),
    ],
)
def test_a_model_card(tmp_path: Path, optimizer: str, name: str) -> None:
    write(tmp_path / "README.md", CARD.format(optimizer=optimizer))
    assert found(tmp_path) == {
        "base_model": "base-1b",
        "learning_rate": 2e-5,
        "train_batch_size": 16,
        "seed": 42,
        "distributed_type": "multi-GPU",
        "world_size": 4,
        "total_train_batch_size": 64,
        "optim": name,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "adam_epsilon": 1e-6,
        "lr_scheduler_type": "linear",
        "warmup_ratio": 0.1,
        "num_train_epochs": 3,
        "mixed_precision": "Native AMP",
    }


def test_adapter_and_model_configs(tmp_path: Path) -> None:
    write(
        tmp_path / "adapter_config.json",
        {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "target_modules": ["q", "v"]},
    )
    write(tmp_path / "config.json", {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "bfloat16", "max_length": 20,
        "text_config": {"vocab_size": 262208, "hidden_size": 2560, "num_hidden_layers": 34}, "dropout": 0.1,
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}, "id2label": {"0": "x", "1": "y", "2": "z"},
    })  # fmt: skip
    assert found(tmp_path) == {
        "peft_type": "LORA",
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
        "target_modules": "2 modules",
        "architectures": "Gemma3ForConditionalGeneration",
        "model_type": "gemma3",
        "dtype": "bfloat16",
        "vocab_size": 262208,
        "hidden_size": 2560,
        "num_hidden_layers": 34,
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "num_labels": 3,
    }


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("hparams.yaml", "lr: 1e-3\nmax_epochs: 3\nloss: !!python/object:a.B {x: 1}\n", {"learning_rate": 1e-3, "num_train_epochs": 3}),
        (
            "axolotl_config.yml",
            "sequence_len: 4096\nmicro_batch_size: 2\nsample_packing: true\nlr_scheduler: cosine\n",
            {"max_length": 4096, "per_device_train_batch_size": 2, "packing": True, "lr_scheduler_type": "cosine"},
        ),
        (".hydra/config.yaml", "trainer:\n  max_epochs: 7\n", {"num_train_epochs": 7}),
        ("opt.yaml", "epochs: 15\nworkers: 8\n", {"num_train_epochs": 15, "dataloader_num_workers": 8}),
        ("args.json", {"learning_rate": 1, "n_layer": 2, "api_key": "x"}, {"learning_rate": 1, "num_hidden_layers": 2}),
        ("ds_config.json", {"zero_optimization": {"stage": 3}, "gradient_clipping": 1}, {"deepspeed_zero_stage": 3, "max_grad_norm": 1}),
        ("config.yaml", "wandb_version: 1\n_wandb: {value: {}}\nlr: {desc: null, value: 0.5}\n", {"learning_rate": 0.5}),
        ("generation_config.json", {"max_length": 5, "seed": 4}, {}),
        ("tokenizer_config.json", {"model_max_length": 5}, {}),
        ("targets.json", {"seed": 4}, {}),
        ("training_history.json", {"seed": 4}, {}),
        ("finetune.lora.yml", "seed: 4", {"seed": 4}),
        ("TRAINING_ARGS.YAML", "seed: 4", {"seed": 4}),
    ],
)  # fmt: skip
def test_configurations_of_other_tools(tmp_path: Path, name: str, content: object, expected: dict[str, Scalar]) -> None:
    write(tmp_path / name, content)
    settings, faults = find(tmp_path)
    assert {setting.name: setting.value for setting in settings} == expected
    assert {setting.source for setting in settings} <= {name}
    assert faults == ()


def test_the_values_really_in_use(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint-30"
    checkpoint.mkdir()
    (tmp_path / "checkpoint-4").mkdir()
    write_pickle(tmp_path / "checkpoint-4" / "scheduler.pt", {"_last_lr": [9.0], "last_epoch": 4})
    write_pickle(checkpoint / "scheduler.pt", {"base_lrs": [2e-4, 1e-4], "last_epoch": 30, "_last_lr": [1e-5, 5e-6]})
    groups = [{"lr": 1e-5, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1, "initial_lr": 2e-4}, {"lr": 5e-6, "weight_decay": 0.0}]
    write_pickle(checkpoint / "optimizer.pt", {"state": {0: {"step": 30}}, "param_groups": groups})
    expected = {
        "last_lr": 1e-5,
        "scheduler_step": 30,
        "learning_rate": 2e-4,
        "optimizer_lr": 1e-5,
        "optimizer_weight_decay": 0.1,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-8,
    }
    assert found(tmp_path) == expected
    assert found(checkpoint) == expected
    assert {setting.source for setting in find(tmp_path)[0]} == {"checkpoint-30/scheduler.pt", "checkpoint-30/optimizer.pt"}


def test_a_checkpoint_knows_what_lies_above_it(tmp_path: Path, library: Any) -> None:
    checkpoint = tmp_path / "out" / "checkpoint-9"
    checkpoint.mkdir(parents=True)
    library.saved(tmp_path / "out" / "training_args.bin", COMMON)
    write(tmp_path / "config.json", {"learning_rate": 77, "seed": 5})
    assert found(checkpoint)["learning_rate"] == 5e-5
    assert found(tmp_path / "out")["seed"] == 42


def test_trust_decides_and_conflicts_stay(tmp_path: Path, library: Any) -> None:
    library.saved(tmp_path / "training_args.bin", COMMON)
    write(tmp_path / "README.md", CARD.format(optimizer="Adam with betas=(0.9,0.98) and epsilon=1e-06"))
    write(tmp_path / "args.json", {"learning_rate": 5e-5, "logging_steps": 11})
    settings = {setting.name: setting for setting in find(tmp_path)[0]}
    assert settings["learning_rate"].source == "training_args.bin"
    assert settings["learning_rate"].conflicts == (("README.md", 2e-5),)
    assert settings["logging_steps"].conflicts == (("args.json", 11),)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("training_args.bin", b"cos\nsystem\n(S'true'\ntR.", "unreadable-settings"),
        ("training_args.bin", b"", "unreadable-settings"),
        ("training_args.bin", b"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"),
        ("scheduler.pt", pickle.dumps({"a": 1}), "unreadable-settings"),
        ("optimizer.pt", pickle.dumps({"param_groups": [3]}), "unreadable-settings"),
        ("config.json", b'{"vocab_size": 3', "unreadable-settings"),
        ("config.json", b"[" * 100_000, "unreadable-settings"),
        ("config.json", b"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"),
        ("hparams.yaml", b"a: &a {x: 1}\nb: {<<: *a}\n", "unreadable-settings"),
        ("hparams.yaml", b"a: [", "unreadable-settings"),
        ("args.json", b'{"a": ' + b"9" * 10_000 + b"}", "unreadable-settings"),
    ],
)
def test_a_bad_file_costs_only_its_own_settings(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    write(tmp_path / "my_args.json", {"seed": 3})
    (tmp_path / name).write_bytes(content)
    settings, faults = find(tmp_path)
    assert [(setting.name, setting.value) for setting in settings] == [("seed", 3)]
    assert [(fault.kind, fault.loss, fault.where) for fault in faults] == [(kind, Loss.BENIGN, str(tmp_path / name))]


def test_json_that_is_no_object_holds_nothing(tmp_path: Path) -> None:
    write(tmp_path / "config.json", [1, 2])
    assert find(tmp_path) == ((), ())


def test_odd_bytes_in_texts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(
        b'\xef\xbb\xbf{"model_type": "b\xffert", "vocab_size": NaN, "hidden_size": Infinity, "num_labels": 3}'
    )
    assert found(tmp_path) == {"model_type": "b\ufffdert", "num_labels": 3}


def test_links_out_of_the_directory_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "config.json", {"seed": 3})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").symlink_to(tmp_path / "elsewhere" / "config.json")
    settings, faults = find(tmp_path / "out")
    assert settings == ()
    assert "link out of the directory" in faults[0].detail


def test_too_many_configurations(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"args_{number}.json", {"seed": 1})
    assert [fault.kind for fault in find(tmp_path)[1]] == ["too-many-files"]


def test_nothing_there(tmp_path: Path) -> None:
    assert find(tmp_path) == ((), ())
    assert find(tmp_path / "absent") == ((), ())
