"""JSON lines and the JSON documents that stand for them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.run.log import Log, Series
from lossdoctor.sources import json_lines
from lossdoctor.sources.interleaved import interleaved


def write(tmp_path: Path, rows: list[Any], name: str = "trainer_log.jsonl", tail: str = "") -> Path:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return path


def one(path: Path, limits: Limits | None = None) -> Log:
    (log,) = json_lines.read(path, limits or Limits())
    return log


def series(log: Log, name: str) -> Series:
    return next(series for series in log.series if series.name == name)


def llama(step: int, loss: float | None, total: int = 60) -> dict[str, Any]:
    progress = {
        "epoch": step / 20,
        "percentage": round(100 * step / total, 2),
        "elapsed_time": "1 day, 0:02:32",
        "remaining_time": "0:00:10",
    }
    return (
        {"current_steps": step, "total_steps": total} | ({} if loss is None else {"loss": loss, "lr": 1e-4, "eval_loss": None}) | progress
    )


def test_llamafactory(tmp_path: Path) -> None:
    rows = [llama(step, 2.0) for step in range(10, 60, 10)] + [llama(59, None)]
    log = one(write(tmp_path, rows))
    assert series(log, "loss").steps.tolist() == [10, 20, 30, 40, 50]
    assert series(log, "loss").epochs.tolist() == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert series(log, "elapsed_time").values[0] == 86400 + 152
    assert (log.planned_steps, log.reached_step, log.finished, log.framework) == (60, 59, True, "llamafactory")
    assert log.name == tmp_path.name
    assert one(write(tmp_path, rows[:-1])).finished is None


def test_two_runs_in_one_file_are_told_apart_and_their_restart_is_not_a_third(tmp_path: Path) -> None:
    steps = [*range(10, 210, 10), *range(160, 310, 10)]
    rows = [llama(step, run + step / 1000, 400) for step in steps for run in (1.0, 2.0)]
    rows += [llama(305, None, 400)] * 2
    logs = json_lines.read(write(tmp_path, rows))
    assert [log.name for log in logs] == [f"{tmp_path.name} (1 of 2)", f"{tmp_path.name} (2 of 2)"]
    for run, log in enumerate(logs, 1):
        np.testing.assert_allclose(series(log, "loss").values, [run + step / 1000 for step in steps])
        assert series(log, "loss").steps.tolist() == steps
        assert log.reached_step == 305


@pytest.mark.parametrize("steps", [[10, 20, 30, 20, 30, 40], [10, 20, 30, 40], [1, 2, 3, 1, 2, 3, 1, 2, 3], [5] * 4])
def test_restarts_are_one_run(steps: list[int]) -> None:
    assert interleaved(steps, [True] * len(steps)) == [0] * len(steps)


@given(st.integers(2, 4), st.integers(10, 40))
def test_runs_that_write_in_turns_are_told_apart(runs: int, count: int) -> None:
    steps = [step for step in range(count) for _ in range(runs)]
    assert interleaved(steps, [True] * len(steps)) == [index % runs for index in range(len(steps))]


def test_mmcv_counts_on_where_iter_starts_again(tmp_path: Path) -> None:
    rows: list[Any] = [{"env_info": "sys.platform: linux", "seed": 0}]
    for epoch in (1, 2, 3):
        rows += [{"mode": "train", "epoch": epoch, "iter": at, "lr": 0.01, "loss": 1.0, "time": 0.5} for at in (50, 100, 150)]
        rows += [{"mode": "val", "epoch": epoch, "iter": 40, "loss": 2.0, "bbox_mAP": math.nan}]
    path = write(tmp_path, rows, "20210601_120000.log.json")
    log = one(path)
    assert series(log, "loss").steps.tolist() == list(range(50, 451, 50))
    assert series(log, "val/loss").steps.tolist() == [150, 300, 450]
    assert np.isnan(series(log, "val/bbox_mAP").values).all()
    assert series(log, "time").values[0] == 0.5
    assert any("starts again" in note for note in log.notes)
    assert any("1 lines without a step" in note for note in log.notes)
    assert json_lines.looks_like(path, path.read_bytes()[:40])


def test_nested_objects_words_and_odd_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"step": 1, "train": {"loss": 2.5, "deep": {"er": {"still": {"more": 1}}}}, "note": "warm", "ok": true, "list": [1]}\n'
        '{"step": "2", "train": {"loss": "2.25"}, "tokens": "6,677", "huge": 1e400, "low": -Infinity, "timestamp": 1714564800.5}\n'
    )
    log = one(path)
    assert series(log, "train/loss").values.tolist() == [2.5, 2.25]
    assert series(log, "tokens").values.tolist() == [6677.0]
    assert series(log, "huge").values.tolist() == [math.inf]
    assert series(log, "low").values.tolist() == [-math.inf]
    assert series(log, "train/loss").times[1] == log.started == 1714564800.5
    assert log.notes == ("values that are no numbers were left out: train/deep/er/still (1), note (1), ok (1), list (1)",)


def test_epochs_where_there_is_no_step(tmp_path: Path) -> None:
    log = one(write(tmp_path, [{"epoch": epoch, "train_loss": 1.0 / epoch} for epoch in (1, 2, 3)], "stats.jsonl"))
    assert (log.step_is, log.name) == ("epoch", "stats")
    assert series(log, "train_loss").epochs.tolist() == [1.0, 2.0, 3.0]


def test_damage_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 1.0} for step in range(1, 5)]
    path = write(tmp_path, rows, tail='}}not json\n[1]\n\n\x00\x00\n{"step": 6, "loss": 1.0}\n{"step": 7, "lo')
    log = one(path)
    assert series(log, "loss").steps.tolist() == [1, 2, 3, 4, 6]
    assert {(fault.kind, fault.where) for fault in log.faults} == {
        ("torn-line", "trainer_log.jsonl:10"),
        ("bad-json", "trainer_log.jsonl:5"),
    }
    assert "2 lines" in next(fault.detail for fault in log.faults if fault.kind == "bad-json")


def test_times(tmp_path: Path) -> None:
    times = [1714564800, 1714564800.5e3, "2024-05-01T12:00:00+00:00", "2024-05-01 12:00:00,500", 10**400, math.inf, 12.5, "soon"]
    log = one(write(tmp_path, [{"step": step, "loss": 1.0, "timestamp": time} for step, time in enumerate(times)]))
    np.testing.assert_array_equal(series(log, "loss").times, [1714564800, 1714564800.5, 1714564800, 1714564800.5, *[math.nan] * 4])


@pytest.mark.parametrize("step", [1.5, "x", None, 2**63, -(2**70), True, [1]])
def test_a_row_without_a_usable_step_is_counted(tmp_path: Path, step: Any) -> None:
    log = one(write(tmp_path, [{"step": 1, "loss": 1.0}, {"step": step, "loss": 2.0}]))
    assert series(log, "loss").values.tolist() == [1.0]
    assert any("1 lines without a step" in note for note in log.notes)


def test_megatron_golden_values(tmp_path: Path) -> None:
    path = tmp_path / "golden_values.json"
    golden = {
        name: {"start_step": 1, "end_step": 9, "step_interval": 5, "values": {"1": 10.8, "5": first}}
        for name, first in (("lm loss", 10.7), ("num-zeros", 3))
    }
    path.write_text(json.dumps(golden, indent=1))
    assert json_lines.looks_like(path, path.read_bytes()[:100])
    log = one(path)
    assert series(log, "lm loss").steps.tolist() == [1, 5]
    assert series(log, "num-zeros").values.tolist() == [10.8, 3.0]
    assert log.faults == ()


def test_a_list_of_rows_and_allennlp(tmp_path: Path) -> None:
    path = tmp_path / "log_history.json"
    path.write_text(json.dumps([{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}], indent=2))
    assert json_lines.looks_like(path, path.read_bytes())
    assert series(one(path), "loss").steps.tolist() == [10, 20]
    path = tmp_path / "metrics_epoch_3.json"
    path.write_text(json.dumps({"best_epoch": 1, "training_epochs": 3, "epoch": 3, "training_loss": 1.5, "validation_loss": 2.5}, indent=2))
    assert json_lines.looks_like(path, path.read_bytes())
    log = one(path)
    assert (log.step_is, series(log, "validation_loss").steps.tolist()) == ("epoch", [4])


@pytest.mark.parametrize(
    "text",
    [
        '{"epoch": 3.0, "train_loss": 1.5, "train_runtime": 12.0}'.replace(", ", ",\n    "),
        '{"text": "a step", "label": 1}\n',
        '{"step": "first", "answer": 4}\n',
        "[1, 2, 3]",
        "[" * 100_000,
        '{"a":' * 100_000,
        "step,loss\n1,2\n",
    ],
    ids=["all-results", "data-set", "worded-step", "numbers", "deep-list", "deep-object", "csv"],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    assert not json_lines.looks_like(path, path.read_bytes()[:4096])
    with pytest.raises(Unreadable):
        json_lines.read(path)


def test_limits(tmp_path: Path) -> None:
    path = write(tmp_path, [{"step": step, "loss": 1.0} for step in range(9)])
    with pytest.raises(Unreadable, match="more than 5 points"):
        json_lines.read(path, Limits(points=5))
    with pytest.raises(PathMissing):
        json_lines.read(tmp_path / "none.jsonl")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8).map("m_{}".format)
VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**53), 2**53)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=20), st.integers(0, 2**40))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float]], first: int) -> None:
    path = tmp_path_factory.mktemp("round") / "log.jsonl"
    path.write_text("".join(json.dumps({"step": first + index} | row) + "\n" for index, row in enumerate(rows)), encoding="utf-8")
    assert json_lines.looks_like(path, path.read_bytes())
    log = one(path)
    assert log.faults == ()
    for name in {name for row in rows for name in row}:
        expected = [(first + index, row[name]) for index, row in enumerate(rows) if name in row]
        assert series(log, name).steps.tolist() == [step for step, _ in expected]
        np.testing.assert_array_equal(series(log, name).values, [float(value) for _, value in expected])
