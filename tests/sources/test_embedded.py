"""Curves inside a model card, a notebook, a pasted table; logs in gzip; archives are refused by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lossdoctor.run import Run
from lossdoctor.sources.load import load

CARD = """---
license: apache-2.0
---
# my-model

### Training results

| Training Loss | Epoch | Step | Validation Loss | Accuracy |
|:-------------:|:-----:|:----:|:---------------:|:--------:|
| No log        | 1.0   | 250  | 0.9231          | 0.71     |
| 1.1034        | 2.0   | 500  | 0.7344          | 0.78     |
| 0.6712        | 3.0   | 750  | 0.7012          | 0.80     |

### Framework versions
"""
HTML = (
    "<div><progress></progress></div><table border='1'><thead><tr><th>Step</th><th>Training Loss</th><th>Validation Loss</th></tr></thead>"
    "<tbody><tr><td>500</td><td>2.5</td><td>2.4</td></tr><tr><td>1000</td><td>2.1</td><td>2.2</td></tr></tbody></table>"
)
ROWS = "".join(f"step {10 * k}: loss={3 - k / 10}\n" for k in range(1, 9))


def one(path: Path) -> Run:
    (run,) = load(str(path)).runs
    return run


def notebook(*outputs: dict[str, object]) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": ["train()"], "outputs": list(outputs)}], "metadata": {}, "nbformat": 4})


@pytest.mark.parametrize("named", [True, False])
def test_the_table_of_a_model_card(tmp_path: Path, named: bool) -> None:
    card = tmp_path / "README.md"
    card.write_text(CARD)
    run = one(card if named else tmp_path)
    assert run.signals["train/loss"].steps.tolist() == [500, 750]
    assert run.signals["eval/loss"].values.tolist() == [0.9231, 0.7344, 0.7012]
    assert run.signals["eval/loss"].epochs.tolist() == [1.0, 2.0, 3.0]


def test_a_model_card_beside_a_log_is_no_second_run(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "train.log").write_text(ROWS)
    assert len(one(tmp_path).signals["train/loss"]) == 8


def test_the_table_that_the_trainer_shows_in_a_notebook(tmp_path: Path) -> None:
    path = tmp_path / "fine_tune.ipynb"
    path.write_text(notebook({"output_type": "display_data", "data": {"text/html": [HTML], "text/plain": ["<IPython.core.display.HTML>"]}}))
    run = one(path)
    assert run.signals["train/loss"].steps.tolist() == [500, 1000]
    assert run.signals["eval/loss"].values.tolist() == [2.4, 2.2]


def test_what_a_cell_printed(tmp_path: Path) -> None:
    path = tmp_path / "fine_tune.ipynb"
    path.write_text(
        notebook(
            {"output_type": "stream", "text": ROWS.splitlines(keepends=True)},
            {"output_type": "error", "traceback": ["KeyboardInterrupt: "]},
        )
    )
    run = one(path)
    assert len(run.signals["train/loss"]) == 8
    assert [event.kind for event in run.events] == ["interrupt"]


def test_a_table_that_was_pasted_into_a_log(tmp_path: Path) -> None:
    text = "Training Loss | Valid. Loss | F1\n-- | -- | --\n0.68 | 0.72 | 0.67\n0.65 | 0.74 | 0.67\n0.61 | 0.75 | 0.67\n"
    (tmp_path / "train.log").write_text(text)
    run = one(tmp_path)
    assert run.signals["train/loss"].values.tolist() == [0.68, 0.65, 0.61]
    assert run.signals["eval/loss"].values.tolist() == [0.72, 0.74, 0.75]


def test_text_without_a_curve_is_none(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("| Setting | Value |\n|---|---|\n| lr | 0.1 |\n\nThe loss is fine.\n")
    assert not load(str(tmp_path)).runs
    (tmp_path / "x.ipynb").write_text(notebook({"output_type": "stream", "text": ["hello\n"]}))
    assert not load(str(tmp_path / "x.ipynb")).runs


@pytest.mark.parametrize("name", ["train.log.gz", "log.csv.gz", "metrics.jsonl.gz"])
def test_logs_in_gzip(tmp_path: Path, name: str) -> None:
    rows = [{"step": 10 * k, "loss": 3 - k / 10} for k in range(1, 9)]
    text = {
        "train.log.gz": ROWS,
        "log.csv.gz": "step,loss\n" + "".join(f"{row['step']},{row['loss']}\n" for row in rows),
        "metrics.jsonl.gz": "\n".join(map(json.dumps, rows)) + "\n",
    }[name]
    packed = gzip.compress(text.encode())
    (tmp_path / name).write_bytes(packed)
    assert one(tmp_path).signals["train/loss"].steps.tolist() == list(range(10, 90, 10))
    (tmp_path / name).write_bytes(packed[: len(packed) - 12])
    assert len(one(tmp_path / name).signals["train/loss"]) >= 7


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    from lossdoctor.limits import Limits

    path = tmp_path / "train.log.gz"
    path.write_bytes(gzip.compress(ROWS.encode() * 1000))
    loaded = load(str(path), limits=Limits(file_bytes=5000, json_bytes=5000))
    assert not loaded.runs
    assert loaded.faults


@pytest.mark.parametrize("name", ["run.zip", "run.tar.gz", "run.tgz"])
def test_archives_are_refused_by_name_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"x"))
    (fault,) = load(str(tmp_path / name)).faults
    assert "unpack" in fault.detail
