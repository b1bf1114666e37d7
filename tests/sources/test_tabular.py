"""CSV and TSV: the axes, the values, the dialects, damage, and a round trip."""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.run.log import Log, Series
from lossdoctor.sources import tabular


def write(tmp_path: Path, text: str, name: str = "metrics.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def one(path: Path, metric: dict[str, str] | None = None) -> Log:
    (log,) = tabular.read(path, metric)
    return log


def series(log: Log, name: str) -> Series:
    return next(series for series in log.series if series.name == name)


def kinds(log: Log) -> list[str]:
    return [fault.kind for fault in log.faults]


def test_lightning_rows_are_sparse(tmp_path: Path) -> None:
    path = write(tmp_path, "epoch,step,train_loss,val_loss\n0,49,2.6,\n0,99,2.5,\n0,99,,2.4\n1,149,nan,\n")
    log = one(path)
    assert tabular.looks_like(path, path.read_bytes())
    assert series(log, "train_loss").steps.tolist() == [49, 99, 149]
    assert math.isnan(series(log, "train_loss").values[2])
    assert series(log, "val_loss").values.tolist() == [2.4]
    assert series(log, "train_loss").epochs.tolist() == [0.0, 0.0, 1.0]
    assert (log.step_is, log.reached_step, log.kind, log.faults, log.name) == ("step", 149, "csv", (), tmp_path.name)


def test_keras_epochs_count_from_one(tmp_path: Path) -> None:
    log = one(write(tmp_path, "epoch,loss,val_loss\n0,0.7,0.8\n1,0.6,0.7\n2,0.5,0.9\n0,0.7,0.8\n", "training.csv"))
    assert log.step_is == "epoch"
    assert series(log, "loss").steps.tolist() == [1, 2, 3, 1]
    assert series(log, "loss").epochs.tolist() == [1.0, 2.0, 3.0, 1.0]
    assert log.notes == ("no step column: epochs are counted from 1",)


def test_epochs_from_one_and_fractions(tmp_path: Path) -> None:
    assert series(one(write(tmp_path, "epoch,loss\n1,0.7\n2,0.6\n")), "loss").steps.tolist() == [1, 2]
    log = one(write(tmp_path, "epoch,loss\n0.1,0.7\n0.2,0.6\n"))
    assert log.step_is == "call"
    assert series(log, "loss").steps.tolist() == [1, 2]
    assert series(log, "loss").epochs.tolist() == [0.1, 0.2]


def test_rows_without_an_axis(tmp_path: Path) -> None:
    both = one(write(tmp_path, "val_loss,val_accuracy,loss,accuracy\n0.7,0.5,0.8,0.5\n0.6,0.5,0.7,0.5\n"))
    assert (both.step_is, series(both, "loss").epochs.tolist()) == ("epoch", [1.0, 2.0])
    train = one(write(tmp_path, "loss,accuracy\n0.7,0.5\n0.6,0.5\n"))
    assert (train.step_is, series(train, "loss").steps.tolist()) == ("call", [1, 2])


def test_a_step_that_is_the_epoch_says_so(tmp_path: Path) -> None:
    assert one(write(tmp_path, "step,epoch,train_loss\n2,2,1.0\n4,4,0.9\n")).step_is == "epoch"


def test_yolov5_pads_its_cells(tmp_path: Path) -> None:
    path = write(
        tmp_path, "     epoch,   train/box_loss,   x/lr0\n        0,          0.12402,   8e-05\n        1,          0.12157,  0.0001,\n"
    )
    log = one(path)
    assert series(log, "train/box_loss").values.tolist() == [0.12402, 0.12157]
    assert [s.name for s in log.series] == ["train/box_loss", "x/lr0"]
    assert kinds(log) == []


def test_wandb_export_of_two_runs(tmp_path: Path) -> None:
    header = ["Step"]
    for run in ("red - 1", "blue - 2"):
        header += [f"{run} - train/loss", f"{run} - train/loss__MIN", f"{run} - train/loss__MAX"]
    rows = [header, [1, 2.5, 2.5, 2.5, "", "", ""], [2, 2.25, 2.25, 2.25, 3.5, 3.5, 3.5]]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    logs = tabular.read(write(tmp_path, text.getvalue(), "wandb_export.csv"))
    assert [log.name for log in logs] == ["red - 1", "blue - 2"]
    assert [[s.name for s in log.series] for log in logs] == [["train/loss"], ["train/loss"]]
    assert logs[0].series[0].steps.tolist() == [1, 2]
    assert logs[1].series[0].values.tolist() == [3.5]


def test_a_long_table_of_two_runs(tmp_path: Path) -> None:
    told = (
        '"Run","Run ID","metric","step","timestamp","value"\n'
        '"calm-fox","a1","loss","10","1761884192934","2.5"\n'
        '"calm-fox","a1","val_loss","10","1761884192935","2.6"\n'
        '"calm-fox","a1","loss","20","1761884246039","1.5"\n'
        '"wise-owl","b2","loss","10","1761884192934","3.5"\n'
        '"wise-owl","b2","loss","x","1761884192934","3.5"\n'
    )
    path = tmp_path / "loss.csv"
    path.write_text(told)
    first, second = tabular.read(path)
    assert {s.name: (s.steps.tolist(), s.values.tolist()) for s in first.series} == {
        "loss": ([10, 20], [2.5, 1.5]),
        "val_loss": ([10], [2.6]),
    }
    assert [s.times.tolist() for s in second.series] == [[1761884192.934]]
    assert kinds(second) == ["bad-row"]


def test_a_long_table_that_is_damaged(tmp_path: Path) -> None:
    damaged = f'metric,step,value\nloss,1,2.0\n"{"x" * 200_000}",2,1.0\nloss,3,1.5\nloss,4'
    log = one(write(tmp_path, damaged))
    assert series(log, "loss").steps.tolist() == [1, 3]
    assert sorted(kinds(log)) == ["bad-row", "unterminated-line"]


def test_a_line_unlike_the_first_is_counted_and_no_number_is_invented(tmp_path: Path) -> None:
    log = one(write(tmp_path, "1 2.0\n2 1.5\n3 1.2\n4\n5 1_0\n6 1.0\n", "loss.txt"))
    assert series(log, "loss").steps.tolist() == [1, 2, 3, 6]
    assert series(log, "loss").values.tolist() == [2.0, 1.5, 1.2, 1.0]
    assert [fault.detail for fault in log.faults] == ["2 lines are no row of numbers like the first and were left out"]


def test_numbers_alone_in_a_file_whose_name_says_loss(tmp_path: Path) -> None:
    log = one(write(tmp_path, "2.5\n2.25\n\nnan\nx\n2.0\n", "val_loss.txt"))
    assert log.step_is == "call"
    assert series(log, "val_loss").steps.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(series(log, "val_loss").values, [2.5, 2.25, np.nan, 2.0])
    assert kinds(log) == ["not-a-number"]
    assert not tabular.looks_like(tmp_path / "ids.txt", b"1\n2\n3\n")


def test_tensorboard_export_is_named_by_its_file(tmp_path: Path) -> None:
    log = one(write(tmp_path, "Wall time,Step,Value\n1714564800.5,10,2.5\n1714564801.5,20,2.25\n", "run-3-tag-train_loss.csv"))
    assert series(log, "train_loss").times.tolist() == [1714564800.5, 1714564801.5]
    assert log.started == 1714564800.5


@pytest.mark.parametrize(
    "name", ["global_step", "Step", "iter", "current_steps", "trainer/global_step", "time/total timesteps", "Iteration"]
)
def test_names_of_the_step(tmp_path: Path, name: str) -> None:
    assert series(one(write(tmp_path, f"loss,{name},total_steps\n2.5,10,90\n2.0,20,90\n")), "loss").steps.tolist() == [10, 20]
    assert one(write(tmp_path, f"loss,{name},total_steps\n2.5,10,90\n")).planned_steps == 90


def test_a_trainer_step_wins_over_a_count_of_calls(tmp_path: Path) -> None:
    assert series(one(write(tmp_path, "_step,train/global_step,loss\n0,100,2.5\n1,200,2.4\n")), "loss").steps.tolist() == [100, 200]


def test_metric_names_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "when,what\n5,1.5\n10,1.25\n")
    with pytest.raises(Unreadable, match="--metric"):
        tabular.read(path)
    log = one(path, {"when": "step", "what": "train/loss"})
    assert series(log, "what").steps.tolist() == [5, 10]
    with pytest.raises(Unreadable, match="no column 'whenn'; there are: when, what"):
        tabular.read(path, {"whenn": "step", "what": "train/loss"})


@pytest.mark.parametrize(("delimiter", "comma"), [("\t", "."), (";", "."), (";", ","), ("|", ".")])
def test_dialects(tmp_path: Path, delimiter: str, comma: str) -> None:
    rows = [["step", "loss", "lr"], ["10", "2.5", "1e-4"], ["20", "2.25", "1e-5"]]
    text = "\r\n".join(delimiter.join(cell.replace(".", comma) for cell in row) for row in rows) + "\r\n"
    path = write(tmp_path, "\ufeff" + text)
    log = one(path)
    assert series(log, "loss").values.tolist() == [2.5, 2.25]
    assert series(log, "lr").steps.tolist() == [10, 20]
    assert tabular.looks_like(path, path.read_bytes())


def test_values_as_they_are_written(tmp_path: Path) -> None:
    log = one(
        write(tmp_path, "step,loss\n1,inf\n2,-Infinity\n3,NaN\n4,1e400\n5,12.5%\n6,\"tensor(2.5, device='cuda:0')\"\n7,None\n8,oops\n")
    )
    loss = series(log, "loss")
    np.testing.assert_array_equal(loss.values, [math.inf, -math.inf, math.nan, math.inf, 12.5, 2.5])
    assert loss.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert [(fault.kind, fault.where, fault.detail) for fault in log.faults] == [
        ("not-a-number", "metrics.csv: loss", "1 cells are not numbers and were left out")
    ]


def test_columns_of_words_are_noted(tmp_path: Path) -> None:
    log = one(write(tmp_path, "step,phase,loss\n1,warm,2.5\n2,main,2.25\n"))
    assert log.notes == ("column phase holds no numbers and was left out",)
    assert log.faults == ()


def test_rows_without_a_step_are_named(tmp_path: Path) -> None:
    log = one(write(tmp_path, "step,loss\n1,2.5\n,2.4\n1.5,2.3\n9223372036854775808,2.2\nnan,2.1\n5,2.0\n"))
    assert series(log, "loss").steps.tolist() == [1, 5]
    assert [(fault.kind, fault.detail) for fault in log.faults] == [
        ("row-without-step", "4 of 6 rows have no usable step and were left out")
    ]


def test_order_duplicates_and_backward_steps_stay(tmp_path: Path) -> None:
    assert series(one(write(tmp_path, "step,loss\n10,1\n20,2\n20,3\n-5,4\n15,5\n")), "loss").steps.tolist() == [10, 20, 20, -5, 15]


def test_damage(tmp_path: Path) -> None:
    log = one(write(tmp_path, "step,loss,lr\n1,2.5,0.1\n2,2.4\n3,2.3,0.1,9,9\nstep,loss,lr\n4,2.2,0.1\n5,2.1"))
    assert series(log, "loss").steps.tolist() == [1, 2, 3, 4, 5]
    assert series(log, "lr").steps.tolist() == [1, 3, 4]
    assert sorted(kinds(log)) == ["ragged-row", "unterminated-line"]
    assert any("header stands 1 more" in note for note in log.notes)


def test_an_open_quote_does_not_take_the_file_silently(tmp_path: Path) -> None:
    log = one(write(tmp_path, "step,loss\n1,2.5\n" + '2,"2.4\n' + "".join(f"{step},2.0\n" for step in range(3, 30_000))))
    assert log.faults
    assert series(log, "loss").steps[0] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("step,loss\n", "no rows"),
        ("1,2\n3,4\n", "no table with a header"),
        ("words and words\nmore words\n", "no table with a header"),
        ("text,label\nhello,1\n", "no step, epoch or loss column"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("", "empty"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Unreadable, match=reason):
        tabular.read(path)
    if "\n" in text and text != "step,loss\n":
        assert not tabular.looks_like(path, path.read_bytes())


@pytest.mark.parametrize(
    "text", ['{"step": 1, "loss": 2}\n', "[1,\n2]\n", "<html>,loss\n1,2\n", "step 1, loss 2.5\nstep 2, loss 2.4\n", "epoch,name\nfirst,a\n"]
)
def test_sniffing_refuses(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert not tabular.looks_like(path, path.read_bytes())


def test_limits(tmp_path: Path) -> None:
    path = write(tmp_path, "step,loss\n" + "1,2\n" * 50)
    with pytest.raises(Unreadable, match="more than 20 cells"):
        tabular.read(path, limits=Limits(points=20))
    with pytest.raises(Unreadable, match="2 columns, over the limit of 1"):
        tabular.read(path, limits=Limits(tags=1))
    with pytest.raises(Unreadable, match="over the limit of 9"):
        tabular.read(path, limits=Limits(file_bytes=9))
    with pytest.raises(PathMissing):
        tabular.read(tmp_path / "none.csv")
    os.mkfifo(tmp_path / "fifo.csv")
    with pytest.raises(Unreadable, match="not a regular file"):
        tabular.read(tmp_path / "fifo.csv")


NAMES = st.lists(st.from_regex(r"[a-z]{1,5}[/_ ]m[0-9]{1,2}", fullmatch=True), min_size=1, max_size=4, unique=True)


@settings(max_examples=80, deadline=None)
@given(st.data(), NAMES, st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=30), st.sampled_from([",", "\t", ";"]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, names: list[str], steps: list[int], delimiter: str
) -> None:
    cell = st.none() | st.floats()
    rows = [[data.draw(cell) for _ in names] for _ in steps]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["step", *names])
    writer.writerows([step, *("" if value is None else repr(value) for value in row)] for step, row in zip(steps, rows, strict=True))
    logs = tabular.read(write(tmp_path_factory.mktemp("round"), text.getvalue()))  # one of each training, where steps fall back
    assert not any(log.faults for log in logs)
    for index, name in enumerate(names):
        expected = [(step, row[index]) for step, row in zip(steps, rows, strict=True) if row[index] is not None]
        found = [s for log in logs for s in log.series if s.name == name]
        assert bool(found) == bool(expected)
        if expected:
            assert np.concatenate([s.steps for s in found]).tolist() == [step for step, _ in expected]
            np.testing.assert_array_equal(np.concatenate([s.values for s in found]), [value for _, value in expected])
