from __future__ import annotations

import pytest

from lossdoctor.diagnosis.estimate import lora_parameters, memory, of_run, savings
from lossdoctor.run.aliases import GB

from .samples import run


def test_a_7b_model_in_bf16():
    full = memory(7e9, bits=16)
    assert full.weights == pytest.approx(14 * GB)
    assert full.optimizer == pytest.approx(28 * GB)
    assert full.recommended == pytest.approx(full.total * 1.2 + 4 * GB)


def test_8b_in_4_bits_with_lora_fits_a_t4():
    adapters = lora_parameters(16, 4096, 32, matrices=2)
    small = memory(
        8e9, bits=4, trainable=adapters, batch=1, length=512, hidden=4096, layers=32, gradient_checkpointing=True, flash_attention=True
    )
    assert 4 * GB < small.weights < 6 * GB
    assert small.total < 15 * GB


def test_checkpointing_flash_attention_batch_and_length():
    plain = memory(7e9, batch=4, length=2048)
    assert memory(7e9, batch=4, length=2048, gradient_checkpointing=True).activations < 0.1 * plain.activations
    assert memory(7e9, batch=2, length=2048).activations == pytest.approx(plain.activations / 2)
    assert memory(7e9, batch=4, length=1024).activations < plain.activations / 2
    assert memory(7e9, batch=4, length=1024, flash_attention=True).activations == pytest.approx(
        memory(7e9, batch=4, length=2048, flash_attention=True).activations / 2
    )


def test_optimizers():
    states = [memory(1e9, optimizer=name).optimizer for name in ("sgd", "adafactor", "adamw-8bit", "lion", "adamw")]
    assert states == sorted(states)
    assert states[0] == 0


@pytest.mark.parametrize("wrong", [{"parameters": 0}, {"parameters": 1e9, "batch": 0}, {"parameters": 1e9, "bits": 5}])
def test_senseless_sizes_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="must be at least 1"):
        memory(**wrong)


def test_savings_of_a_known_run_are_numbers_and_of_an_unknown_one_words():
    sizes = {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "per_device_train_batch_size": 8,
        "max_length": 4096,
        "vocab_size": 128_256,
        "dtype": "bfloat16",
    }
    known = run({"loss": ([1], [1])}, settings=sizes)
    half = {**sizes, "per_device_train_batch_size": 4}
    before, after = of_run(known), of_run(run({"loss": ([1], [1])}, settings=half))
    assert before is not None
    assert after is not None
    assert f"{(before.total - after.total) / GB:.1f} GB" in str(savings(known)["saving_half_batch"])
    assert of_run(run({"loss": ([1], [1])})) is None
    assert "does not tell" in str(savings(run({"loss": ([1], [1])}))["saving_half_batch"])
