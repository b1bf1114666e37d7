"""WandB runs on disk, in files made with WandB's own protobuf."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as pb

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import LIMITS
from lossdoctor.model import Loss
from lossdoctor.run.log import Log
from lossdoctor.sources import wandb_local
from lossdoctor.sources.wandb_local import lockstep

from .wandb_files import config, exit_record, history, output, run, stats, summary, wandb_file


def write(folder: Path, *records: Any, name: str = "run-abc12345.wandb", numbered: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(wandb_file(records, numbered=numbered))
    return folder / name


def read(path: Path) -> Log:
    (log,) = wandb_local.read(path)
    return log


def columns(log: Log) -> dict[str, list[tuple[int, float]]]:
    return {s.name: list(zip(s.steps.tolist(), s.values.tolist(), strict=True)) for s in log.series}


KEYS = st.one_of(
    st.sampled_from(["loss", "train/loss", "lr", "_runtime"]), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
)
PATHS = st.one_of(KEYS, st.tuples(KEYS, KEYS))
VALUES = st.one_of(
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "text", "1.5", "x" * 300]),
    st.booleans(),
    st.none(),
    st.dictionaries(st.sampled_from(["a", "b", "_type"]), st.one_of(st.floats(), st.text(max_size=3)), max_size=3),
    st.lists(st.floats(), max_size=2),
)


def expected(record: Any, step: int) -> dict[str, float]:
    """What a history record says, through WandB's own message and the standard library."""
    row: dict[str, float] = {}
    parents = {item.nested_key[0] for item in record.history.item if len(item.nested_key) > 1 and item.nested_key[-1] == "_type"}

    def put(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items() if "_type" not in value else ():
                put(f"{name}.{key}", inner)
        elif (isinstance(value, int | float) and not isinstance(value, bool)) or value in ("NaN", "Infinity", "-Infinity"):
            row[name] = float(value)

    for item in record.history.item:
        if not (item.nested_key and item.nested_key[0] in parents):
            put(".".join(item.nested_key) or item.key, json.loads(item.value_json))
    return {"_step": float(step)} | row


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.dictionaries(PATHS, VALUES, max_size=6), st.booleans()), max_size=12), st.integers(1, 3))
def test_columns_are_what_wandbs_own_messages_say(rows: list[tuple[dict[Any, Any], bool]], times: int) -> None:
    records = [history(values, step, nested=nested) for step, (values, nested) in enumerate(rows * times)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lockstep, "_FEW", 0)
        found, refused = lockstep.columns([record.history.SerializeToString() for record in records])
    got: list[dict[str, float]] = [{} for _ in records]
    for name in found.cells:
        for row, value in zip(*found.column(name), strict=True):
            got[row][name] = value
    wanted = [expected(record, step) for step, record in enumerate(records)]
    assert refused == []
    assert [{k: repr(float(v)) for k, v in row.items()} for row in got] == [{k: repr(v) for k, v in row.items()} for row in wanted]


def test_thousands_of_rows_with_keys_in_any_order_and_one_odd_row() -> None:
    draw = random.Random(3)
    records, wanted = [], []
    for step in range(3000):
        values: dict[Any, Any] = {f"metric {i}": draw.gauss(0, 1) for i in range(draw.randrange(1, 9))}
        if step == 1717:
            values |= {"note": "x" * 500, ("media", "deep"): 3, "gone": math.nan}
        records.append(history(dict(draw.sample(sorted(values.items(), key=str), len(values))), step))
        wanted.append(values)
    found, _ = lockstep.columns([record.history.SerializeToString() for record in records])
    for name in found.cells.keys() - {"_step", "media.deep", "gone"}:
        rows, values_ = found.column(name)
        assert rows.tolist() == [i for i, row in enumerate(wanted) if name in row]
        assert values_.tolist() == [row[name] for row in wanted if name in row]
    assert found.column("media.deep")[0].tolist() == [1717]
    assert np.isnan(found.column("gone")[1]).all()
    assert found.left_out == {"note": 1}


def test_a_row_with_thirty_thousand_keys_takes_no_time_to_speak_of() -> None:
    wide = [history({f"k{i}": i for i in range(30_000)}, 0)]
    begin = time.process_time()
    found, _ = lockstep.columns([record.history.SerializeToString() for record in wide])
    assert found.points == 30_001
    assert time.process_time() - begin < 1


def test_steps_are_the_trainers_own_and_rows_without_them_take_the_last(tmp_path: Path) -> None:
    rows = [
        history({"setup": 1.0}, 0),
        history({"train/loss": 2.0, "train/global_step": 10, "train/epoch": 0.5, "_timestamp": 1000.0}, 1),
        history({"profile": 3.0}, 2),
        history({"train/loss": 1.0, "train/global_step": 20, "train/epoch": 1.0, "_timestamp": 1010.0}, 3),
    ]
    log = read(write(tmp_path, run(), *rows, exit_record(0)))
    found = columns(log)
    assert found["train/loss"] == [(10, 2.0), (20, 1.0)]
    assert found["setup"] == [(10, 1.0)]
    assert found["profile"] == [(10, 3.0)]
    assert "train/global_step" not in found
    assert (log.step_is, log.framework, log.reached_step, log.finished) == ("step", "transformers", 20, True)
    loss = next(s for s in log.series if s.name == "train/loss")
    assert (loss.epochs.tolist(), loss.times.tolist()) == ([0.5, 1.0], [1000.0, 1010.0])


@pytest.mark.parametrize(("steps", "meaning"), [([0, 1, 2, 3], "call"), ([50, 100, 150, 200], "step")])
def test_the_step_of_wandb_counts_calls_unless_the_program_gave_it(tmp_path: Path, steps: list[int], meaning: str) -> None:
    log = read(write(tmp_path, run(), *(history({"loss": 1.0}, step) for step in steps)))
    assert columns(log)["loss"] == [(step, 1.0) for step in steps]
    assert log.step_is == meaning


@pytest.mark.parametrize(("code", "reached", "finished"), [(0, 400, True), (0, 300, None), (1, 300, False), (1, 400, False)])
def test_an_exit_without_error_short_of_the_plan_is_not_the_end(tmp_path: Path, code: int, reached: int, finished: bool | None) -> None:
    rows = [history({"train/loss": 1.0, "train/global_step": step}, i) for i, step in enumerate([100, reached])]
    assert read(write(tmp_path, run({"max_steps": 400}), *rows, exit_record(code))).finished is finished


def test_times_without_a_timestamp_come_from_the_start(tmp_path: Path) -> None:
    log = read(write(tmp_path, run(start=5000.0), history({"loss": 1.0, "_runtime": 2.5}, 0), history({"loss": 1.0}, 1)))
    assert log.series[0].times[0] == 5002.5
    assert math.isnan(log.series[0].times[1])
    assert log.started == 5000.0


def test_settings_lose_their_secrets_and_say_the_plan(tmp_path: Path) -> None:
    first = {
        "_wandb": {},
        "learning_rate": 1e-4,
        "max_steps": -1,
        "hub_token": "hf_canary0123456789",
        "password": "canary",
        "api_key": "canary",
    }
    second = {
        "max_steps": 500,
        "num_train_epochs": 3,
        "vocab_size": 32000,
        "include_num_input_tokens_seen": True,
        "lora": {"r": 8, "secret": "canary"},
    }
    log = read(write(tmp_path, run(first), config(second), history({"loss": 1.0}, 0), exit_record(1, 60)))
    known = {s.name: s.value for s in log.settings}
    assert known["learning_rate"] == 1e-4
    assert known["max_steps"] == 500
    assert known["vocab_size"] == 32000
    assert {s.source for s in log.settings} == {"wandb config"}
    assert "canary" not in repr(log)
    assert (log.planned_steps, log.planned_epochs, log.finished) == (500, 3.0, False)
    assert log.extra["exit_code"] == 1


def test_a_config_key_can_be_removed_and_be_nested(tmp_path: Path) -> None:
    change = pb.Record()
    change.config.update.add(nested_key=["trainer", "max_epochs"], value_json="7")
    change.config.remove.add(key="learning_rate")
    log = read(write(tmp_path, run({"learning_rate": 1.0, "trainer": {"max_steps": 40}}), change, history({"loss": 1.0}, 0)))
    assert "learning_rate" not in {s.name for s in log.settings}
    assert (log.planned_steps, log.planned_epochs) == (40, 7.0)


def test_system_metrics_lie_between_the_rows(tmp_path: Path) -> None:
    rows = [history({"train/loss": 1.0, "train/global_step": 10 * i, "_timestamp": 1000.0 + 100 * i}, i) for i in range(5)]
    gpu = {
        "gpu.0.memoryAllocatedBytes": 8e9,
        "gpu.0.memoryAllocated": 50.0,
        "gpu.0.memory": 99,
        "gpu.0.gpu": 97,
        "gpu.0.temp": 61,
        "gpu.1.gpu": 3,
    }
    host = {"memory_percent": 12.5, "proc.memory.rssMB": 100, "cpu": 3.0, "gpu.process.0.gpu": 1}
    log = read(write(tmp_path, run(), *rows, stats(900, gpu), stats(1150, gpu | host), stats(9000, gpu)))
    found = columns(log)
    assert found["gpu/0/memory"] == [(0, 8e9), (15, 8e9), (40, 8e9)]
    assert found["gpu/0/memory_utilization"][0] == (0, 50.0)
    assert found["gpu/0/utilization"][1] == (15, 97.0)
    assert found["gpu/0/temperature"][1] == (15, 61.0)
    assert found["gpu/1/utilization"][2] == (40, 3.0)
    assert found["process/memory"] == [(15, 100.0 * 2**20)]
    assert found["host/memory_utilization"] == [(15, 12.5)]
    assert {name.split("/")[0] for name in found} == {"train", "gpu", "process", "host"}


def test_media_and_text_are_left_out_and_counted(tmp_path: Path) -> None:
    image = {"_type": "image-file", "width": 10, "height": 10}
    row = {"loss": 1.0, "picture": image, "note": "hello", "a": {"b": 2.0}, ("figure", "_type"): "image-file", ("figure", "width"): 5}
    log = read(write(tmp_path, run(), history(row, 0)))
    assert set(columns(log)) == {"loss", "a.b"}
    assert any("are no numbers" in note for note in log.notes)


@pytest.mark.parametrize("nested", [True, False])
def test_non_finite_values_are_data(tmp_path: Path, nested: bool) -> None:
    log = read(
        write(
            tmp_path, run(), *(history({"loss": v}, i, nested=nested) for i, v in enumerate([1.0, math.nan, math.inf, -math.inf, "NaN", 2]))
        )
    )
    assert [str(v) for _, v in columns(log)["loss"]] == ["1.0", "nan", "inf", "-inf", "nan", "2.0"]


def test_a_run_without_rows_keeps_its_last_values_and_its_traceback(tmp_path: Path) -> None:
    words = "Traceback (most recent call last):\n  File 'x'\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    path = write(
        tmp_path,
        run(),
        summary({"loss": 3.0, "x": 1}),
        summary({"loss": "NaN", "_step": 7}, removed=["x"]),
        output(words[:50]),
        output(words[50:]),
        exit_record(1),
    )
    log = read(path)
    assert list(columns(log)) == ["loss"]
    assert math.isnan(log.series[0].values[0])
    assert any("last values" in note for note in log.notes)
    assert "oom" in {event.kind for event in log.events}


def test_a_killed_writer_is_no_crash_but_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, run(), *(history({"loss": i}, i) for i in range(100)))
    path.write_bytes(path.read_bytes()[:-5])
    log = read(path)
    assert log.finished is None
    assert [(fault.kind, fault.loss) for fault in log.faults] == [("torn-record", Loss.BENIGN)]
    assert len(columns(log)["loss"]) == 99
    assert any("no exit record" in note for note in log.notes)


def test_a_bad_byte_is_a_fault_with_its_offset(tmp_path: Path) -> None:
    path = write(tmp_path, run(), *(history({"loss": i}, i) for i in range(100)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    log = read(path)
    kinds = {fault.kind: fault for fault in log.faults}
    assert set(kinds) == {"bad-crc", "missing-records"}
    assert len(data) // 2 - 100 < int(kinds["bad-crc"].where.rpartition(":")[2]) <= len(data) // 2
    assert len(columns(log)["loss"]) == 99


def test_random_damage_gives_no_wrong_value_no_exception_and_no_silence(tmp_path: Path) -> None:
    draw = random.Random(11)
    rows = [
        history({"loss": draw.random(), "train/global_step": i * 5, "_timestamp": 1e9 + i, "text": "t" * draw.randrange(900)}, i)
        for i in range(150)
    ]
    path = write(tmp_path, run({"learning_rate": 0.5}), *rows, exit_record(0))
    data = path.read_bytes()
    whole = set(columns(read(path))["loss"])
    for _ in range(250):
        broken, at, length = bytearray(data), draw.randrange(7, len(data)), draw.choice([1, 3, 50, 2000, 32768])
        damage = draw.choice(["flip", "cut", "insert", "delete", "zero", "copy"])
        if damage == "flip":
            broken[at] ^= 1 << draw.randrange(8)
        elif damage == "cut":
            del broken[at:]
        elif damage in {"insert", "copy"}:
            broken[at:at] = draw.randbytes(length) if damage == "insert" else broken[at : at + length]
        else:
            broken[at : at + length] = b"" if damage == "delete" else bytes(len(broken[at : at + length]))
        if broken == data:
            continue
        path.write_bytes(broken)
        log = read(path)
        points = columns(log).get("loss", [])
        assert set(points) <= whole
        assert len(points) == len(set(points))
        assert log.faults or any("no exit record" in note for note in log.notes), (damage, at, length)


def test_a_directory_of_runs(tmp_path: Path) -> None:
    root = tmp_path / "out" / "wandb"
    first = write(root / "run-20260101_000000-aaaaaaaa", run(name="first"), history({"loss": 1.0}, 0), name="run-aaaaaaaa.wandb").parent
    write(root / "offline-run-20260102_000000-bbbbbbbb", run(), history({"loss": 2.0}, 0), name="run-bbbbbbbb.wandb")
    (root / "latest-run").symlink_to(first.name)
    outside = write(tmp_path / "elsewhere" / "run-cccccccc", run(), history({"loss": 9.0}, 0))
    (root / "run-linked").symlink_to(outside.parent)
    os.mkfifo(root / "run-x.wandb")
    logs = wandb_local.read(root)
    assert [(log.name, log.series[0].values[0]) for log in logs] == [("offline-run-20260102_000000-bbbbbbbb", 2.0), ("first", 1.0)]
    assert len(wandb_local.read(tmp_path / "out")) == 2
    assert wandb_local.read(root / "latest-run")[0].name == "first"


def test_what_stands_beside_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "run-20260101_000000-abc12345"
    path = write(folder, run(), history({"loss": 1.0}, 0))
    (folder / "files").mkdir()
    (folder / "files" / "output.log").write_text("fine\nKeyboardInterrupt\n")
    (folder / "files" / "wandb-metadata.json").write_text('{"gpu": "NVIDIA H100", "gpu_count": 8}')
    (folder / "files" / "config.yaml").write_text("learning_rate:\n  value: 5e-05\nwandb_version: 1\n_wandb:\n  value: {}\n")
    for log in (read(path), read(folder)):
        assert [(event.kind, event.where.rpartition("/")[2]) for event in log.events] == [("interrupt", "output.log:2")]
        assert (log.extra["gpu"], log.extra["gpu_count"]) == ("NVIDIA H100", 8)
        assert [(s.name, s.value, s.source) for s in log.settings] == [("learning_rate", 5e-5, "wandb config.yaml")]


def test_the_writers_of_old(tmp_path: Path) -> None:
    folder = tmp_path / "run-20190506_200000-abc12345"
    folder.mkdir()
    lines = [
        '{"_step": 0, "loss": 2.5, "_timestamp": 100.0, "_runtime": 1}',
        '{"_step": 1, "loss": NaN, "_timestamp": 110.0}',
        "broken",
        '{"_step": 2, "loss"',
    ]
    (folder / "wandb-history.jsonl").write_text("\n".join(lines))
    (folder / "wandb-events.jsonl").write_text('{"system.gpu.0.gpu": 80, "_timestamp": 110.0}\n')
    (folder / "config.yaml").write_text("epochs:\n  desc: null\n  value: 4\n")
    (folder / "wandb-metadata.json").write_text('{"exitcode": 1}')
    for place in (folder, folder / "wandb-history.jsonl", tmp_path):
        log = read(place)
        assert [str(v) for _, v in columns(log)["loss"]] == ["2.5", "nan"]
        assert columns(log)["gpu/0/utilization"] == [(1, 80.0)]
        assert [fault.kind for fault in log.faults] == ["bad-line", "torn-record"]
        assert (log.finished, log.planned_epochs) == (False, 4.0)


def test_a_run_directory_that_lost_its_file(tmp_path: Path) -> None:
    files = tmp_path / "run-20240101_000000-abc12345" / "files"
    files.mkdir(parents=True)
    (files / "wandb-summary.json").write_text('{"train/loss": NaN, "train/global_step": 120, "_wandb": {"runtime": 3}}')
    log = read(tmp_path)
    assert columns(log).keys() == {"train/loss"}
    assert log.series[0].steps.tolist() == [120]
    assert any("not here" in note for note in log.notes)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"hello" * 50, "not a WandB file"),
        (wandb_file([]), "no readable record"),
    ],
)
def test_files_that_hold_no_run(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "run-abc12345.wandb"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=word):
        wandb_local.read(path)
    write(tmp_path / "run-2", run(), history({"loss": 1.0}, 0))
    (tmp_path / "run-1").mkdir()
    path.rename(tmp_path / "run-1" / path.name)
    bad, good = wandb_local.read(tmp_path)
    assert [fault.loss for fault in bad.faults] == [Loss.FATAL]
    assert good.faults == ()


def test_places_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no WandB run"):
        wandb_local.read(tmp_path)
    with pytest.raises(PathMissing):
        wandb_local.read(tmp_path / "nowhere.wandb")


@pytest.mark.parametrize("limit", [{"tags": 3}, {"points": 5}, {"file_bytes": 100}])
def test_beyond_the_limits(tmp_path: Path, limit: Mapping[str, int]) -> None:
    path = write(tmp_path, run(), *(history({f"m{i}": 1.0, "loss": 1.0}, i) for i in range(6)))
    with pytest.raises(Unreadable, match=f"limit of {next(iter(limit.values()))}"):
        wandb_local.read(path, replace(LIMITS, **limit))


def test_nothing_of_wandb_is_imported(tmp_path: Path) -> None:
    path = write(tmp_path, run({"lr": 1}), history({"loss": 1.0}, 0))
    code = (
        "import sys; from pathlib import Path; from lossdoctor.sources import wandb_local; wandb_local.read(Path(sys.argv[1]));"
        "print([m for m in ('wandb', 'pandas', 'requests', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
