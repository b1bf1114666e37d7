"""JSON documents that hold the whole course of a training: one list a name, or one object an epoch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lossdoctor.run import Run
from lossdoctor.sources.load import load

KERAS = {"loss": [2.0, 1.5, 1.2], "accuracy": [0.4, 0.5, 0.6], "val_loss": [2.1, 1.7, 1.6], "lr": [0.001, 0.001, 0.0005]}
SHAPES = {
    "keras": KERAS,
    "under history": {"history": KERAS, "params": {"epochs": 3}},
    "a list an epoch beside settings": {"train_losses": KERAS["loss"], "val_losses": KERAS["val_loss"], "config": {"learning_rate": 0.1}},
    "pandas": {name: {str(row): value for row, value in enumerate(values)} for name, values in KERAS.items()},
    "rows without a step": [dict(zip(KERAS, row, strict=True)) for row in zip(*KERAS.values(), strict=True)],
    "train and val": {"train": {"loss": KERAS["loss"]}, "val": {"loss": KERAS["val_loss"]}},
}


def read(tmp_path: Path, document: object, name: str = "training_history.json") -> Run:
    (tmp_path / name).write_text(json.dumps(document, indent=2))
    (run,) = load(str(tmp_path)).runs
    return run


@pytest.mark.parametrize("shape", SHAPES)
def test_every_value_is_an_epoch(tmp_path: Path, shape: str) -> None:
    run = read(tmp_path, SHAPES[shape])
    for signal, values in (("train/loss", KERAS["loss"]), ("eval/loss", KERAS["val_loss"])):
        found = run.signal(signal)
        assert found is not None
        assert found.steps.tolist() == [1, 2, 3]
        assert found.values.tolist() == values
    assert run.step_is == "epoch"


def test_a_list_of_steps_is_the_axis(tmp_path: Path) -> None:
    run = read(tmp_path, {"step": [10, 20, 30], "loss": [2.0, 1.5, 1.2]})
    assert run.signals["train/loss"].steps.tolist() == [10, 20, 30]


def test_lists_of_another_length_are_of_something_else(tmp_path: Path) -> None:
    run = read(tmp_path, {**KERAS, "classes": [0, 1, 2, 3, 4]})
    assert "classes" not in run.signals


def test_it_says_that_it_stopped_early(tmp_path: Path) -> None:
    assert read(tmp_path, {**KERAS, "stopped_early": True}).early_stopped
    assert not read(tmp_path, {**KERAS, "stopped_early": False}).early_stopped


def test_an_epoch_may_hold_a_list_of_batches(tmp_path: Path) -> None:
    loss = read(tmp_path, [{"loss": [3.0, 2.5]}, {"loss": [2.0, 1.5]}]).signals["train/loss"]
    assert loss.values.tolist() == [3.0, 2.5, 2.0, 1.5]
    assert loss.steps.tolist() == [1, 2, 3, 4]


def test_settings_and_vocabularies_are_no_history(tmp_path: Path) -> None:
    (tmp_path / "loss_config.json").write_text(json.dumps({"weights": [1.0, 2.0], "name": "x"}))
    assert not load(str(tmp_path)).runs


def test_the_string_of_ms_swift_holds_step_and_plan(tmp_path: Path) -> None:
    rows = [
        {"loss": 2.0 - k / 100, "epoch": k / 100, "global_step/max_steps": f"{k}/200", "train_speed(iter/s)": 0.02} for k in (5, 10, 200)
    ]
    rows += [{"train_runtime": 1000.0, "train_loss": 1.0, "epoch": 1.0, "global_step/max_steps": "200/200"}]
    (tmp_path / "logging.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (run,) = load(str(tmp_path)).runs
    assert run.signals["train/loss"].steps.tolist() == [5, 10, 200]
    assert run.planned_steps == 200
    assert run.finished
