"""lossdoctor estimate: sizes from options, from a run, from a model's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lossdoctor.diagnosis.remedies import remedies
from lossdoctor.model import Setting
from lossdoctor.run import Log, build

from .program import FIXTURES, lossdoctor


def sizes(*arguments: str | Path, cwd: Path) -> dict:
    done = lossdoctor("estimate", *arguments, "-f", "json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_seven_billion_weights_in_bf16(tmp_path):
    found = sizes("--parameters", "7B", cwd=tmp_path)
    assert found["weights_bytes"] == 14e9
    assert found["optimizer_bytes"] == 28e9
    assert found["recommended_bytes"] == pytest.approx(found["total_bytes"] * 1.2 + 4e9, abs=2)
    assert found["fits"] is None


def test_the_exit_code_says_whether_it_fits(tmp_path):
    small = ["estimate", "--parameters", "8B", "--bits", "4", "--lora-rank", "16", "--length", "512", "--gradient-checkpointing"]
    assert lossdoctor(*small, "--gpu-memory", "16", cwd=tmp_path).returncode == 0
    tight = lossdoctor(*small, "--gpu-memory", "6", cwd=tmp_path)
    assert tight.returncode == 1
    assert "does not fit" in tight.stdout


def test_a_config_json_is_enough_and_options_win(tmp_path):
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000}
    (tmp_path / "config.json").write_text(json.dumps({**config, "torch_dtype": "bfloat16"}))
    one, two = sizes(".", cwd=tmp_path), sizes(".", "--batch", "2", cwd=tmp_path)
    assert one["weights_bytes"] == pytest.approx(13.4e9, rel=0.02)
    assert two["activations_bytes"] == 2 * one["activations_bytes"]
    assert sizes(".", "--set", "hidden_size=2048", cwd=tmp_path)["weights_bytes"] < one["weights_bytes"] / 3


def test_a_run_tells_its_own_batch(tmp_path):
    run = FIXTURES / "hockey-stick-sft"
    assert sizes(run, cwd=tmp_path)["activations_bytes"] > sizes(run, "--batch", "1", cwd=tmp_path)["activations_bytes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--parameters 7B"),
        (["."], "does not tell the size"),
        (["nowhere"], "nowhere: no such file"),
        (["--parameters", "seven"], "expected a number of weights"),
        (["--parameters", "0"], "expected a number of weights"),
        (["--parameters", "7B", "--bits", "5"], "'5' is not one of"),
        (["--parameters", "7B", "--set", "vocab_size"], "KEY=VALUE"),
    ],
)
def test_what_cannot_be_estimated_is_a_usage_error(tmp_path, arguments, said):
    done = lossdoctor("estimate", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_every_remedy_saves_and_none_is_offered_that_is_in_place():
    def changes(**more: object) -> list[str]:
        told = {"per_device_train_batch_size": 4, **more}
        run = build(Log("options", Path(), ""), settings=[Setting(name, value, "") for name, value in told.items()])
        found = remedies(run, 7e9, 16)
        assert [r.saves for r in found] == sorted((r.saves for r in found), reverse=True)
        assert all(r.saves > 0 for r in found)
        return [r.change for r in found]

    assert any("LoRA" in change for change in changes())
    adapted = changes(lora_r=16, gradient_checkpointing=True, optim="adamw_8bit")
    assert not any("LoRA of" in c or "gradient_checkpointing =" in c or "optim" in c for c in adapted)
    assert "per_device_train_batch_size 4 -> 2, gradient_accumulation_steps 1 -> 2" in adapted
