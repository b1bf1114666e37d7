"""A fix in the words of the tool that the run was made with."""

from __future__ import annotations

import pytest

from lossdoctor.diagnosis.companions import COMPANIONS
from lossdoctor.diagnosis.dialects import DIALECTS, dialect_of, spoken
from lossdoctor.model import Change, Fix, Scalar, Setting, SourceNote
from lossdoctor.reporters.advice import setting_code
from lossdoctor.run import Run
from lossdoctor.sources.settings.names import KINDS

from .samples import run

RATE = Fix("learning_rate", 0.001, 5e-6, "smaller updates")
BATCH = Fix("per_device_train_batch_size", 8, 4, "saves memory", (Change("gradient_accumulation_steps", 1, 2),))
BF16 = Fix("bf16", False, True, "no overflow", (Change("fp16", True, False),))


def said(fix: Fix, dialect: str, **facts: Scalar) -> Fix:
    found = spoken(fix, {"dialect": dialect, "unit": "step", **facts})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("dialect", "fix", "code"),
    [
        ("transformers", RATE, "learning_rate=5e-6,  # was 0.001"),
        ("transformers", BF16, "bf16=True,  # was False\nfp16=False,  # was True"),
        ("yaml", RATE, "learning_rate: 5.0e-6  # was 0.001"),
        ("yaml", BF16, "bf16: true  # was False\nfp16: false  # was True"),
        ("axolotl", BATCH, "micro_batch_size: 4  # was 8\ngradient_accumulation_steps: 2  # was 1"),
        ("llamafactory", Fix("max_length", 2048, 1024, ""), "cutoff_len: 1024  # was 2048"),
        ("lightning", BATCH, "batch_size=4,  # was 8\naccumulate_grad_batches=2,  # was 1"),
        ("lightning", BF16, "precision='bf16-mixed',"),
        ("lightning", Fix("eval_strategy", None, "steps", "", (Change("eval_steps", None, 40),)), "val_check_interval=40,"),
        ("words", RATE, ""),
    ],
)
def test_lines_to_copy(dialect: str, fix: Fix, code: str):
    assert setting_code(said(fix, dialect)) == code


def test_where_no_tool_is_known_a_fix_is_plain_words():
    assert said(RATE, "words").setting == "learning rate"
    half = said(BATCH, "words")
    assert (half.setting, half.current, half.proposed) == ("batch size", 8, 4)
    assert half.why == "saves memory; together with batches accumulated for each step 1 -> 2"
    epochs = said(Fix("max_steps", 200, 54, ""), "words", unit="epoch")
    assert (epochs.setting, epochs.style) == ("epochs", "words")
    evals = said(Fix("eval_strategy", None, "steps", "", (Change("eval_steps", 500, 40),)), "words", unit="step")
    assert (evals.setting, evals.proposed, evals.together) == ("steps between evaluations", 40, ())


def test_a_setting_that_the_tool_does_not_have_is_not_proposed():
    assert spoken(Fix("logging_nan_inf_filter", True, False, ""), {"dialect": "words", "unit": "step"}) is None
    assert said(Fix("learning_rate", None, "your value / 3", ""), "transformers").proposed == "your value / 3"


def test_what_must_change_together_is_said_in_every_dialect():
    assert said(BATCH, "transformers").why == "saves memory; together with gradient_accumulation_steps 1 -> 2"


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "words"])
def test_names_on_the_left_are_settings(name: str):
    for left in DIALECTS[name].names:
        assert left.partition("=")[0] in KINDS, left


def test_companions_are_settings():
    assert {c.setting for group in COMPANIONS.values() for c in group} | set(COMPANIONS) <= set(KINDS)


def of(signals: tuple[str, ...] = ("loss",), source: str = "", files: tuple[str, ...] = (), **more: object) -> Run:
    made = run({name: ([1, 2, 3], [3.0, 2.0, 1.0]) for name in signals}, **more)
    settings = {"learning_rate": Setting("learning_rate", 1e-4, source)} if source else {}
    sources = tuple(SourceNote("file", name, 3) for name in files)
    return Run(made.name, made.path, made.signals, settings, sources=sources, framework=made.framework)


@pytest.mark.parametrize(
    ("one", "dialect"),
    [
        (of(), "words"),
        (of(framework="detectron2"), "words"),
        (of(source="opt.yaml"), "words"),
        (of(framework="transformers"), "transformers"),
        (of(source="training_args.bin"), "transformers"),
        (of(source="config.yaml", framework="transformers"), "yaml"),
        (of(source="axolotl_config.yaml", framework="transformers"), "axolotl"),
        (of(("loss", "memory/max_active (GiB)"), framework="transformers"), "axolotl"),
        (of(files=("out/trainer_log.jsonl",), framework="transformers"), "llamafactory"),
        (of(framework="lightning"), "lightning"),
        (of(("train_loss_step", "train_loss_epoch")), "lightning"),
    ],
)
def test_how_the_tool_is_known(one: Run, dialect: str):
    assert dialect_of(one) == dialect
