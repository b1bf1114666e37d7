"""Directories as real runs leave them -> one Log a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.run.log import Log
from lossdoctor.sources.tensorboard import framing, read, read_file

from .writer import START, event, field, record, scalar, series, simple, text, varint, write

HOUR = 3600.0
ARGS = {
    "max_steps": -1,
    "num_train_epochs": 3.0,
    "learning_rate": 5e-5,
    "logging_steps": 10,
    "seed": 42,
    "hub_token": "<HUB_TOKEN>",
    "fsdp": [],
}


def args(**changes: object) -> bytes:
    return record(event(START, 0, field(5, text(b"args/text_summary", json.dumps(ARGS | changes).encode()))))


def model(**config: object) -> bytes:
    return record(event(START, 0, field(5, text(b"model_config/text_summary", json.dumps(config).encode()))))


def hparams(**values: float | str) -> bytes:
    """A record of the hparams plugin: a map of string to google.protobuf.Value."""
    entries = b""
    for key, value in values.items():
        inner = field(3, value.encode()) if isinstance(value, str) else b"\x11" + np.float64(value).tobytes()
        entries += field(1, field(1, key.encode()) + field(2, inner))
    content = field(3, entries)
    metadata = field(9, field(1, field(1, b"hparams") + field(2, content)))
    return record(event(START, 0, field(5, field(1, field(1, b"_hparams_/session_start_info") + field(8, b"\x08\x01") + metadata))))


def name(start: float, process: int = 100, number: int = 0) -> str:
    return f"events.out.tfevents.{int(start)}.host.{process}.{number}"


def by_tag(log: Log) -> dict[str, list[int]]:
    return {one.name: one.steps.tolist() for one in log.series}


def test_a_huggingface_run(tmp_path: Path) -> None:
    """Train file, evaluation file of the same process, old-style hparams directory: one run with plan, settings and epochs."""
    epochs = b"".join(scalar(START + s, s, "train/epoch", s / 100) for s in (10, 20, 30, 30))
    final = scalar(START + 90, 30, "train/train_runtime", 90.0) + scalar(START + 90, 30, "train/train_loss", 0.7)
    config = model(vocab_size=32000, id2label={"0": "a", "1": "b"}, bos_token_id=1, architectures=["X"])
    write(tmp_path / "runs" / "Jan" / name(START), args(), config, series("train/loss", (10, 20, 30)), epochs, final)
    write(
        tmp_path / "runs" / "Jan" / "1700000000.5" / name(START, number=1),
        hparams(learning_rate=5e-5, extra="yes", seed=42.0),
        start=START + 1,
    )
    write(
        tmp_path / "runs" / "Jan" / name(START + 99, number=2),
        series("eval/loss", [30], START + 99),
        scalar(START + 99, 30, "train/epoch", 0.3),
        start=START + 99,
    )
    (log,) = read(tmp_path)
    assert (log.kind, log.name, log.framework, log.finished, log.reached_step) == ("tensorboard", "runs/Jan", "transformers", True, 30)
    assert by_tag(log) == {
        "train/loss": [10, 20, 30],
        "train/epoch": [10, 20, 30, 30, 30],
        "train/train_runtime": [30],
        "train/train_loss": [30],
        "eval/loss": [30],
    }
    assert (log.planned_steps, log.planned_epochs, log.started) == (None, 3.0, START)
    known = {s.name: (s.value, s.source) for s in log.settings}
    assert known["learning_rate"] == (5e-5, "events args/text_summary")
    assert known["vocab_size"] == (32000, "events model_config/text_summary")
    assert known["num_labels"] == (2, "events model_config/text_summary")
    assert known["extra"] == ("yes", "events hparams")
    assert not known.keys() & {"hub_token", "fsdp", "bos_token_id"}
    assert all(not s.conflicts for s in log.settings)
    loss = log.series[0]
    assert loss.epochs.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert loss.times.tolist() == [START, START + 10, START + 20]


def test_max_steps_is_the_plan_where_it_is_set(tmp_path: Path) -> None:
    write(tmp_path / name(START), args(max_steps=500), series("train/loss", (10, 20)))
    (log,) = read(tmp_path)
    assert (log.planned_steps, log.planned_epochs, log.finished) == (500, None, None)


def test_absurd_plans_are_ignored(tmp_path: Path) -> None:
    write(tmp_path / name(START), args(num_train_epochs=9223372036854775807), series("train/loss", (10, 20)))
    assert read(tmp_path)[0].planned_epochs is None


def test_separate_trainings_in_one_directory(tmp_path: Path) -> None:
    for day in range(3):
        write(
            tmp_path / name(START + day * HOUR, 100 + day),
            series("train/loss", range(10, 60, 10), START + day * HOUR),
            start=START + day * HOUR,
        )
    logs = read(tmp_path)
    assert [by_tag(log)["train/loss"] for log in logs] == [[10, 20, 30, 40, 50]] * 3
    assert [log.name.removeprefix(tmp_path.name) for log in logs] == [
        " 2023-11-14 22:13:20",
        " 2023-11-14 23:13:20",
        " 2023-11-15 00:13:20",
    ]
    assert len({log.path for log in logs}) == 3


def test_a_continued_run_is_one(tmp_path: Path) -> None:
    write(tmp_path / name(START), args(), series("train/loss", range(10, 60, 10)))
    write(tmp_path / name(START + HOUR, 101), args(), series("train/loss", range(60, 100, 10), START + HOUR), start=START + HOUR)
    (log,) = read(tmp_path)
    assert by_tag(log) == {"train/loss": list(range(10, 100, 10))}


def test_a_run_resumed_before_its_last_log_keeps_both_accounts(tmp_path: Path) -> None:
    write(tmp_path / name(START), args(), series("train/loss", range(10, 110, 10)))
    write(tmp_path / name(START + HOUR, 101), args(), series("train/loss", range(60, 150, 10), START + HOUR), start=START + HOUR)
    (log,) = read(tmp_path)
    assert by_tag(log) == {"train/loss": [*range(10, 110, 10), *range(60, 150, 10)]}


def test_a_run_resumed_in_a_new_directory(tmp_path: Path) -> None:
    """As HuggingFace does it; a run that starts anew beside it is another one."""
    plan = args(output_dir="out")
    write(tmp_path / "runs" / "Jan" / name(START), plan, series("train/loss", range(10, 110, 10)))
    write(
        tmp_path / "runs" / "Feb" / name(START + HOUR, 101),
        plan,
        series("train/loss", range(60, 150, 10), START + HOUR),
        start=START + HOUR,
    )
    anew = START + 2 * HOUR
    write(tmp_path / "runs" / "Mar" / name(anew, 102), plan, series("train/loss", range(10, 70, 10), anew), start=anew)
    assert {log.name: by_tag(log)["train/loss"] for log in read(tmp_path)} == {
        "runs/Jan": [*range(10, 110, 10), *range(60, 150, 10)],
        "runs/Mar": list(range(10, 70, 10)),
    }


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"logging_steps": 5}], ids=str)
def test_another_plan_is_another_run(tmp_path: Path, change: dict[str, float]) -> None:
    write(tmp_path / name(START), args(), series("train/loss", range(10, 60, 10)))
    write(tmp_path / name(START + HOUR, 101), args(**change), series("train/loss", range(60, 100, 10), START + HOUR), start=START + HOUR)
    assert len(read(tmp_path)) == 2


def test_a_finished_training_is_not_continued(tmp_path: Path) -> None:
    write(tmp_path / name(START), series("train/loss", range(10, 60, 10)), series("train/train_runtime", [50]))
    write(tmp_path / name(START + HOUR, 100, 1), series("train/loss", [500], START + HOUR), start=START + HOUR)
    assert len(read(tmp_path)) == 2


def test_settings_of_attempts_that_died_first_are_not_this_runs(tmp_path: Path) -> None:
    write(tmp_path / name(START - HOUR, 99), args(learning_rate=1.0), start=START - HOUR)
    write(tmp_path / name(START), args(), series("train/loss", (10, 20)))
    (log,) = read(tmp_path)
    assert {s.name: s.value for s in log.settings}["learning_rate"] == 5e-5
    assert any("without scalars" in note for note in log.notes)


def test_keras_train_and_validation(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "train" / name(START), series("epoch_loss", range(5)))
    write(tmp_path / "logs" / "validation" / name(START + 1), series("epoch_loss", range(5)), start=START + 1)
    (log,) = read(tmp_path)
    assert by_tag(log) == {"train/epoch_loss": [0, 1, 2, 3, 4], "validation/epoch_loss": [0, 1, 2, 3, 4]}
    assert (log.name, log.step_is, log.framework) == ("logs", "epoch", "keras")


def test_two_keras_runs_in_one_directory_are_paired_by_time(tmp_path: Path) -> None:
    for i, start in enumerate((START, START + HOUR)):
        write(tmp_path / "train" / name(start, i), series("epoch_loss", range(3 + i), start), start=start)
        write(tmp_path / "validation" / name(start + 5, i + 10), series("epoch_loss", range(3 + i), start), start=start + 5)
    assert [{k: len(v) for k, v in by_tag(log).items()} for log in read(tmp_path)] == [
        {"train/epoch_loss": 3, "validation/epoch_loss": 3},
        {"train/epoch_loss": 4, "validation/epoch_loss": 4},
    ]


def test_estimator_eval_directory(tmp_path: Path) -> None:
    write(tmp_path / name(START), series("loss", range(1, 100, 10)), series("global_step/sec", range(11, 100, 10)))
    write(tmp_path / "eval" / name(START + 9), series("loss", (50, 90)), start=START + 9)
    (log,) = read(tmp_path)
    assert {k: len(v) for k, v in by_tag(log).items()} == {"loss": 10, "global_step/sec": 9, "eval/loss": 2}


def test_distinct_tags_of_siblings_keep_their_names(tmp_path: Path) -> None:
    write(tmp_path / "train" / name(START), series("loss", range(5)))
    write(tmp_path / "val" / name(START), series("val_loss", range(5)))
    (log,) = read(tmp_path)
    assert set(by_tag(log)) == {"loss", "val_loss"}


def test_a_lone_validation_directory_says_so(tmp_path: Path) -> None:
    write(tmp_path / "validation" / name(START), series("loss", range(5)))
    write(tmp_path / "other" / name(START), series("loss", range(5)))
    assert sorted((log.name, *by_tag(log)) for log in read(tmp_path)) == [("other", "loss"), ("validation", "validation/loss")]


def test_runs_that_are_called_train_and_test(tmp_path: Path) -> None:
    for run in ("train", "test"):
        write(tmp_path / "a" / run / name(START), series("train/loss", range(5)), series("eval/loss", range(5)))
    write(tmp_path / "b" / "test" / name(START), series("loss", range(5)), series("lr", range(5)))
    assert [(log.name, *by_tag(log)) for log in read(tmp_path)] == [
        ("a/test", "train/loss", "eval/loss"),
        ("a/train", "train/loss", "eval/loss"),
        ("b/test", "loss", "lr"),
    ]


def test_torch_add_scalars(tmp_path: Path) -> None:
    """writer.add_scalars("run/loss", {"train": .., "val": ..}) writes one directory a key."""
    write(tmp_path / name(START), series("lr", range(5)))
    for i, key in enumerate(("train", "val")):
        write(tmp_path / f"run_loss_{key}" / name(START, number=i + 1), series("run/loss", range(5)))
    (log,) = read(tmp_path)
    assert set(by_tag(log)) == {"lr", "run/loss/train", "run/loss/val"}


def test_runs_in_directories_of_their_own(tmp_path: Path) -> None:
    for run in ("a", "b/c"):
        write(tmp_path / run / name(START), series("loss", range(5)))
    write(tmp_path / "b" / "dead" / name(START))
    assert [(log.name, log.points) for log in read(tmp_path)] == [("a", 5), ("b/c", 5), ("b/dead", 0)]


def test_whole_epochs_hold_until_the_next(tmp_path: Path) -> None:
    epochs = b"".join(scalar(START, s, "epoch", s // 10) for s in (9, 19, 29))
    write(tmp_path / name(START), series("train_loss_step", (4, 9, 14, 19, 40)), epochs)
    log = read(tmp_path)[0]
    np.testing.assert_array_equal(log.series[0].epochs, [np.nan, 0, 0, 1, np.nan])


def test_session_starts_become_events(tmp_path: Path) -> None:
    start = record(event(START + 5, 40, b"\x3a\x02\x08\x01"))
    write(tmp_path / name(START), series("loss", range(40)), start, series("loss", range(30, 60)))
    (log,) = read(tmp_path)
    assert [(e.kind, e.step, e.time) for e in log.events] == [("session-start", 40, START + 5)]
    assert by_tag(log)["loss"] == [*range(40), *range(30, 60)]


def test_names_that_occur_in_the_wild(tmp_path: Path) -> None:
    write(tmp_path / "a" / "events.out.tfevents.1.host.5.6.v2", series("loss", [1]))
    write(tmp_path / "b" / "journal", series("loss", [1]))
    write(tmp_path / "c" / name(START), series("loss", [1]))
    (tmp_path / "c" / ("._" + name(START))).write_bytes(b"\x00\x05\x16\x07macos")
    (tmp_path / "d.txt").write_text("no events")
    logs = read(tmp_path)
    assert [log.name for log in logs] == ["a", "b", "c"]
    assert any("macOS" in note for log in logs for note in log.notes)
    assert all(not log.faults for log in logs)


def test_what_cannot_be_read_is_told_and_costs_no_other(tmp_path: Path) -> None:
    write(tmp_path / "good" / name(START), series("loss", [1]))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / name(START)).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    (tmp_path / "bad" / name(START + 1)).write_bytes(bytes(100))
    good, *bad = read(tmp_path)
    assert good.points == 1
    assert [(fault.kind, fault.loss) for log in bad for fault in log.faults] == [("lfs-pointer", Loss.FATAL), ("unreadable", Loss.FATAL)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_only_regular_files_inside_are_opened(tmp_path: Path) -> None:
    write(tmp_path / "run" / name(START), series("loss", [1]))
    outside = write(tmp_path / "outside" / name(START), series("loss", [1]))
    os.mkfifo(tmp_path / "run" / name(START + 1))
    (tmp_path / "run" / name(START + 2)).symlink_to(outside)
    (tmp_path / "run" / name(START + 3)).symlink_to(tmp_path / "nowhere")
    (tmp_path / "run" / "loop").symlink_to(tmp_path / "run")
    (log,) = read(tmp_path / "run")
    assert log.points == 1
    assert len(log.notes) == 3
    with pytest.raises(Unreadable, match="regular"):
        read_file(tmp_path / "run" / name(START + 1))


def test_depth_and_number_of_entries_are_bounded(tmp_path: Path) -> None:
    write(tmp_path / name(START), series("loss", [1]))
    write(tmp_path / "a" / "b" / "c" / name(START), series("loss", [1]))
    (log,) = read(tmp_path, Limits(directory_depth=2))
    assert [fault.kind for fault in log.faults] == ["too-deep"]
    for entries in (0, 2):
        (log,) = read(tmp_path, Limits(directory_entries=entries))
        assert [fault.kind for fault in log.faults] == ["too-many-entries"]
        assert log.points == min(entries, 1)


def test_a_single_file_a_given_list_nothing_and_nowhere(tmp_path: Path) -> None:
    one = write(tmp_path / "a" / name(START), series("loss", [1, 2]))
    write(tmp_path / "b" / name(START), series("loss", [1]))
    (log,) = read(one)
    assert (log.path, log.points) == (one, 2)
    assert [log.points for log in read(tmp_path, files=[one])] == [2]
    (tmp_path / "empty").mkdir()
    assert read(tmp_path / "empty") == []
    with pytest.raises(PathMissing):
        read(tmp_path / "nowhere")


def test_windows_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file read in small pieces gives what it gives in one, damage included."""
    tags = [f"tag{'x' * (i % 7)}{i}" for i in range(20)]
    parts = [scalar(START + s, s, tag, s + i) for s in range(150) for i, tag in enumerate(tags)]
    broken = bytearray(b"".join(parts))
    for place in range(5000, len(broken), 9973):
        broken[place] ^= 32
    path = write(tmp_path / name(START), bytes(broken[:60_000]), bytes(300), bytes(broken[60_000:]), args())
    whole = read_file(path)
    for window in (1500, 4096, 30_001):
        monkeypatch.setattr(framing, "WINDOW", window)
        split = read_file(path, Limits(record_bytes=1400))
        assert split.faults == whole.faults
        assert split.records == whole.records
        assert split.scalars.keys() == whole.scalars.keys()
        for tag, column in split.scalars.items():
            np.testing.assert_array_equal(column.steps, whole.scalars[tag].steps)
            np.testing.assert_array_equal(column.values, whole.scalars[tag].values)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / name(START), series("loss", range(2000)))
    hop = framing.hop

    def shrink(*given: object) -> object:
        os.truncate(path, 30_000)
        return hop(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(framing, "WINDOW", 20_000)
    monkeypatch.setattr(framing, "hop", shrink)
    file = read_file(path, Limits(record_bytes=1000))
    assert 500 < file.points < 2000
    assert [(fault.kind, fault.loss) for fault in file.faults] == [("torn-record", Loss.BENIGN)]


def test_texts_are_bounded(tmp_path: Path) -> None:
    note = record(event(START, 0, field(5, text(b"note/text_summary", b"x" * 1000))))
    file = read_file(write(tmp_path / name(START), note * 20), Limits(text_bytes=5500))
    assert len(file.texts["note/text_summary"]) == 5
    assert {fault.kind for fault in file.faults} == {"too-much-text"}
    assert {fault.loss for fault in file.faults} == {Loss.BENIGN}


def test_settings_that_are_no_json_are_told(tmp_path: Path) -> None:
    bad = record(event(START, 0, field(5, text(b"args/text_summary", b"{" * 100_000))))
    write(tmp_path / name(START), bad, series("loss", [1]))
    (log,) = read(tmp_path)
    assert [(fault.kind, fault.loss) for fault in log.faults] == [("bad-settings", Loss.BENIGN)]


def test_a_varint_of_more_bytes_than_needed_is_still_a_step(tmp_path: Path) -> None:
    padded = b"\x10\x85\x80\x00"
    body = field(5, simple(b"loss", 1.0))
    records = [record(b"\x09" + np.float64(START).tobytes() + padded + body) for _ in range(100)]
    assert varint(5) == b"\x05"
    assert read_file(write(tmp_path / name(START), *records)).scalars["loss"].steps.tolist() == [5] * 100
