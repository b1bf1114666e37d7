"""Whole text logs: steps, plans, ends, blocks, events, damage, and a round trip."""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.errors import PathMissing, Unreadable
from lossdoctor.limits import Limits
from lossdoctor.run.log import Log, Series
from lossdoctor.sources import text_log

EPOCH_DIGITS = 4


def log_of(text: str, limits: Limits | None = None) -> Log:
    (log,) = text_log.read(io.StringIO(text), limits or Limits())
    return log


def series(log: Log, name: str) -> Series:
    return next(series for series in log.series if series.name == name)


def trainer(step: int, per_epoch: int, **values: object) -> str:
    """A row as transformers 5 prints it: strings of four significant digits."""
    row = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return str(row | {"epoch": f"{step / per_epoch:.{EPOCH_DIGITS}g}"})


def bar(at: int, total: int, title: str = "") -> str:
    return f"\r{title}{100 * at // total:3d}%|{'#' * (10 * at // total):10}| {at}/{total} [00:10<00:29, 25.00it/s]"


def test_trainer_rows_among_progress_bars_take_the_step_from_the_bar() -> None:
    text = bar(28, 28, "Loading weights: ") + "\n" + bar(0, 90)
    for step in range(10, 81, 10):
        # The bar before a row is stale, the one redrawn after it is right; an evaluation opens its own.
        text += bar(step - 3, 90) + "\r" + " " * 40 + "\r" + trainer(step, 30, loss=2.0 - step / 100) + "\n" + bar(step, 90)
        text += bar(5, 7) + "\r" + trainer(step, 30, eval_loss=3.0) + "\n" + bar(step, 90)
    log = log_of(text + "\nKeyboardInterrupt\n")
    assert series(log, "loss").steps.tolist() == list(range(10, 81, 10))
    assert series(log, "eval_loss").steps.tolist() == list(range(10, 81, 10))
    assert (log.planned_steps, log.reached_step, log.finished, log.step_is) == (90, 80, None, "step")
    assert [(event.kind, event.step) for event in log.events] == [("interrupt", 80)]
    assert log.notes == ("steps were read from the progress bar",)
    assert log.framework == "transformers"


def test_trainer_rows_without_a_bar_use_the_closing_row() -> None:
    rows = [trainer(step, 375, loss=1.5, learning_rate=1e-5) for step in range(5, 241, 5)]
    closing = "{'train_runtime': '3.796', 'train_steps_per_second': '63.23', 'train_loss': '1.5', 'epoch': '0.64'}"
    log = log_of("\n".join([*rows, closing]) + "\n")
    assert series(log, "loss").steps.tolist() == list(range(5, 241, 5))
    assert log.finished is True
    assert series(log, "train/train_loss").values.tolist() == [1.5]
    assert "375 steps an epoch" in log.notes[0]


def test_a_resumed_trainer_counts_from_where_it_went_on() -> None:
    rows = [trainer(step, 750, loss=1.5) for step in range(305, 601, 5)]
    closing = "{'train_runtime': '5.438', 'train_steps_per_second': '55.16', 'train_loss': '2.393', 'epoch': '0.8'}"
    log = log_of("\n".join([*rows, closing]) + "\n")
    assert series(log, "loss").steps.tolist() == list(range(305, 601, 5))


def test_trainer_rows_use_what_the_trainer_announced() -> None:
    head = "[INFO|trainer.py:1234] 2024-05-01 12:00:00,000 >>   Num Epochs = 3\n  Total optimization steps = 3,000\n"
    rows = [f"{{'loss': 2.0, 'epoch': {step / 1000:.2f}}}" for step in range(50, 1001, 50)]
    log = log_of(head + "\n".join(rows) + "\n")
    assert series(log, "loss").steps.tolist() == list(range(50, 1001, 50))
    assert (log.planned_steps, log.planned_epochs) == (3000, 3.0)


def test_trainer_rows_that_nothing_tells_are_counted_and_so_are_their_events() -> None:
    rows = [trainer(step, 625, loss=2.0, grad_norm=1.0) for step in range(10, 101, 10)]
    rows[5:5] = [trainer(50, 625, eval_loss=2.5)]
    text = "\n".join(rows) + '\nTraceback (most recent call last):\n  File "a.py", line 1, in f\nMemoryError\n'
    log = log_of(text)
    assert log.step_is == "call"
    assert series(log, "loss").steps.tolist() == list(range(1, 11))
    assert series(log, "eval_loss").steps.tolist() == [5]
    assert [(event.kind, event.step) for event in log.events] == [("host-oom", 10)]
    assert series(log, "loss").epochs[:2].tolist() == [0.016, 0.032]


def test_a_stopped_bar_tells_the_steps_of_a_log_that_kept_only_its_last_state() -> None:
    rows = [f"{{'loss': 0.66, 'epoch': {step / 1954:.2f}}}" for step in range(30, 811, 30)]
    log = log_of("\n".join(rows) + "\n" + bar(829, 1954) + "\nKeyboardInterrupt\n")
    assert log.step_is == "step"
    assert (log.planned_steps, log.reached_step) == (1954, 829)
    assert np.abs(series(log, "loss").steps - np.arange(30, 811, 30)).max() <= 10


def test_epochs_that_are_no_numbers_are_unknown() -> None:
    log = log_of("{'loss': 1.5, 'epoch': nan}\n{'loss': 1.0, 'epoch': inf, 'step': 7}\n")
    assert np.isnan(series(log, "loss").epochs).all()


def test_epoch_and_inner_counter() -> None:
    text = "".join(
        f"2021-06-01 12:0{epoch}:{inner // 10:02d},123 - mmdet - INFO - Epoch [{epoch}][{inner}/250]\tlr: 0.02, eta: 0:10:00, loss: 1.5\n"
        for epoch in (1, 2)
        for inner in (50, 100, 150, 200, 250)
    )
    text += "2021-06-01 12:09:00,123 - mmdet - INFO - Epoch(val) [2][40]\tbbox_mAP: 0.3, accuracy: 0.5\n"
    log = log_of(text)
    loss = series(log, "loss")
    assert loss.steps.tolist() == list(range(50, 501, 50))
    assert loss.epochs.tolist() == [step / 250 for step in range(50, 501, 50)]
    assert loss.times[0] == 1622548865.123
    assert log.started == loss.times[0]
    assert series(log, "val/accuracy").steps.tolist() == [500]


def test_a_step_that_starts_again_every_epoch_counts_on() -> None:
    text = "".join(f"Epoch [{epoch}/5], Step [{step}/600], Loss: 1.0\n" for epoch in (1, 2, 3) for step in (200, 400, 600))
    log = log_of(text)
    assert series(log, "Loss").steps.tolist() == list(range(200, 1801, 200))
    assert log.planned_steps == 3000


def test_a_step_that_goes_back_without_an_epoch_is_a_restart() -> None:
    log = log_of("".join(f"step {step}: loss=1.0\n" for step in (10, 20, 30, 20, 30, 40)))
    assert series(log, "loss").steps.tolist() == [10, 20, 30, 20, 30, 40]


@pytest.mark.parametrize("first", [0, 1])
def test_epochs_are_the_steps_where_there_is_none(first: int) -> None:
    log = log_of("".join(f"Epoch {epoch}/20: train_loss=0.5 val_loss=0.{epoch}\n" for epoch in range(first, first + 4)))
    assert series(log, "val_loss").steps.tolist() == [1, 2, 3, 4]
    assert series(log, "val_loss").epochs.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (log.step_is, log.planned_epochs, log.planned_steps) == ("epoch", 20.0, None)


def test_a_summary_of_an_epoch_lies_where_the_steps_stand() -> None:
    log = log_of("step 100: loss 2.0\nstep 200: loss 1.9\nEpoch 1 done, val_loss=1.8\nstep 300: loss 1.8\n")
    assert series(log, "val_loss").steps.tolist() == [200]
    assert log.step_is == "step"


def test_lines_under_a_counter_belong_to_it() -> None:
    rows = ((10, 8.9), (20, 8.1))
    text = "".join(f"[step={step}/1000,epoch=0]\n    optim/LR=0.0004\n    train/CE_loss={loss}\n" for step, loss in rows) + "next: thing\n"
    log = log_of(text)
    assert series(log, "train/CE_loss").steps.tolist() == [10, 20]
    assert series(log, "train/CE_loss").values.tolist() == [8.9, 8.1]


@pytest.mark.parametrize("shape", ["[==============================]", "\u2501" * 20])
def test_keras(shape: str) -> None:
    text = ""
    for epoch in (1, 2, 3):
        text += f"Epoch {epoch}/3\n\r   1/1875 {shape} - ETA: 5:00 - loss: 9.9\x08\x08"
        text += f"\r1875/1875 {shape} - 5s 2ms/step - loss: 0.{epoch} - accuracy: 0.9"
        text += f"\r1875/1875 {shape} - 5s 2ms/step - loss: 0.{epoch} - accuracy: 0.9 - val_loss: 0.{epoch}5\n"
    log = log_of(text)
    assert log.step_is == "epoch"
    assert series(log, "loss").values.tolist() == [0.1, 0.2, 0.3]
    assert series(log, "val_loss").steps.tolist() == [1, 2, 3]


def test_metrics_behind_a_progress_bar() -> None:
    text = ""
    for epoch in (0, 1):
        for at in (0, 25, 25, 50):
            text += f"\rEpoch {epoch}:  50%|#####     | {at}/50 [00:01<00:01, 20.0it/s, v_num=0, train_loss={epoch}.{at}]"
        text += "\rValidation DataLoader 0: 100%|##########| 9/9 [00:01<00:01, 20.0it/s, loss=9.9]"
    log = log_of(text + "\n")
    assert series(log, "train_loss").steps.tolist() == [25, 50, 75, 100]
    assert series(log, "train_loss").values.tolist() == [0.25, 0.5, 1.25, 1.5]


def test_metrics_in_the_title_of_a_progress_bar() -> None:
    text = "".join(
        f"\rEpoch: [{epoch}/400] Loss: {loss} Acc: 0.00: {percent}%|####| {at}/3 [00:01<00:01, 20.0it/s]"
        for epoch, loss in ((1, "4.2"), (2, "nan"))
        for percent, at in ((0, 0), (100, 3))
    )
    loss = series(log_of(text + "\n"), "Loss")
    assert loss.steps.tolist() == [1, 2]
    assert loss.values[0] == 4.2
    assert math.isnan(loss.values[1])


def test_allennlp_table() -> None:
    text = ""
    for epoch in (0, 1):
        prefix = "2019-06-03 12:20:19,724 - INFO - allennlp.training."
        text += f"{prefix}trainer - Epoch {epoch}/19\n"
        text += f"{prefix}tensorboard_writer -                     Training |  Validation\n"
        text += f"{prefix}tensorboard_writer - gpu_0_memory_MB |  1639.000  |       N/A\n"
        text += f"{prefix}tensorboard_writer - loss            |     4.5{epoch}  |     2.689\n"
    log = log_of(text)
    assert series(log, "training_loss").values.tolist() == [4.5, 4.51]
    assert series(log, "validation_loss").steps.tolist() == [1, 2]
    assert [s.name for s in log.series if "memory" in s.name] == ["training_gpu_0_memory_MB"]


def test_a_reduced_loss_scale_is_a_series_and_an_event() -> None:
    reduced = (10, 4096.0, 2048.0), (20, 2048.0, 1024.0)
    log = log_of("".join(f"step {step}: loss=1.0\nReducing dynamic loss scale from {old} to {new}\n" for step, old, new in reduced))
    assert series(log, "loss_scale").steps.tolist() == [10, 20]
    assert series(log, "loss_scale").values.tolist() == [2048.0, 1024.0]
    assert [event.kind for event in log.events] == ["loss-scale"]


def test_colours_and_foreign_bytes(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\x1b[31mstep: 1  \x1b[32mloss:  7.5\x1b[0m  caf\xe9\r\nstep: 2  loss:  7.25\r\n")
    (log,) = text_log.read(path)
    assert series(log, "loss").values.tolist() == [7.5, 7.25]
    assert log.name == tmp_path.name


def test_utf16_from_a_redirect(tmp_path: Path) -> None:
    path = tmp_path / "run7.txt"
    path.write_bytes("step 1: loss=2.5\r\nstep 2: loss=2.25\r\n".encode("utf-16"))
    (log,) = text_log.read(path)
    assert series(log, "loss").values.tolist() == [2.5, 2.25]
    assert log.name == "run7"
    assert text_log.looks_like(path, path.read_bytes()[:512])


def test_a_log_that_ends_inside_a_line_says_so() -> None:
    log = log_of("step 1: loss=2.5\nstep 2: loss=2.2")
    assert [(fault.kind, fault.where, fault.loss) for fault in log.faults] == [("unterminated-line", "-:2", "benign")]


def test_long_lines_are_cut_not_kept() -> None:
    log = log_of("step 1: loss=2.5\n" + "x" * 5000 + "\nstep 2: loss=2.25\n", Limits(text_line_bytes=1000))
    assert series(log, "loss").values.tolist() == [2.5, 2.25]
    assert [fault.kind for fault in log.faults] == ["long-line"]


def test_standard_input_may_hold_any_bytes() -> None:
    pipe = io.TextIOWrapper(io.BytesIO(b"caf\xe9\r\nstep 1: loss=2.5\r\n"), encoding="ascii")
    (log,) = text_log.read(pipe)
    assert (log.name, series(log, "loss").values.tolist()) == ("stdin", [2.5])
    assert not pipe.closed


def test_a_read_error_is_told() -> None:
    class Broken(io.StringIO):
        def read(self, size: int | None = -1, /) -> str:
            raise OSError(5, "Input/output error")

    with pytest.raises(Unreadable, match="Input/output error"):
        text_log.read(Broken())


def test_limits_on_points_and_names() -> None:
    with pytest.raises(Unreadable, match="more than 5 points"):
        log_of("".join(f"step {step}: loss=1.0\n" for step in range(9)), Limits(points=5))
    with pytest.raises(Unreadable, match="more than 3 names"):
        log_of("".join(f"step {step}: loss_{'abcdefg'[step]}=1.0\n" for step in range(7)), Limits(tags=3))


@pytest.mark.parametrize("text", ["", "nothing to see here\n", "Step 3 of the manual\n"])
def test_words_are_not_a_log(text: str) -> None:
    with pytest.raises(Unreadable):
        log_of(text)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        text_log.read(tmp_path / "none.log")
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "empty.log").touch()
    (tmp_path / "lfs.log").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    for name, reason in (("fifo.log", "not a regular file"), ("empty.log", "empty"), ("lfs.log", "git lfs pull")):
        with pytest.raises(Unreadable, match=reason):
            text_log.read(tmp_path / name)
        assert not text_log.looks_like(tmp_path / name, b"")
    (tmp_path / "a.log").write_text("step 1: loss=1\n")
    with pytest.raises(Unreadable, match="over the limit of 3"):
        text_log.read(tmp_path / "a.log", Limits(file_bytes=3))


def test_sniffing(tmp_path: Path) -> None:
    def looks(name: str, text: str) -> bool:
        path = tmp_path / name
        path.write_text(text)
        return text_log.looks_like(path, path.read_bytes()[:64])

    metric = "step 1: loss=2.5\n"
    assert looks("train.log", "preamble\n" * 2000 + metric)
    assert looks("slurm-1234.out", metric)
    assert looks("job.o12345", metric)
    assert looks("crash.err", "torch.OutOfMemoryError: CUDA out of memory.\n")
    assert not looks("notes.md", metric)
    assert not looks("train.py", metric)
    assert not looks("requirements.txt", "numpy>=2\n")


VALUES = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**9), VALUES, VALUES), min_size=1, max_size=20),
    st.sampled_from([": loss={!r}, lr={!r}", " | loss: {!r} | lr: {!r} |"]),
)
def test_what_is_written_as_pairs_is_read(rows: list[tuple[int, float, float]], form: str) -> None:
    text = "".join(f"step {step}" + form.format(loss, lr) + "\n" for step, loss, lr in rows)
    logs = text_log.read(io.StringIO(text))  # one of each training, where steps fall back
    for name, index in (("loss", 1), ("lr", 2)):
        told = [series(log, name) for log in logs]
        assert np.concatenate([one.steps for one in told]).tolist() == [row[0] for row in rows]
        np.testing.assert_array_equal(np.concatenate([one.values for one in told]), [row[index] for row in rows])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20), st.booleans(), st.integers(1, 50))
def test_what_the_trainer_prints_is_read(rows: list[tuple[float, float]], strings: bool, interval: int) -> None:
    total = interval * len(rows)
    text = ""
    for index, (loss, norm) in enumerate(rows, 1):
        row = {"loss": loss, "grad_norm": norm, "epoch": index / len(rows)}
        text += str({name: str(value) for name, value in row.items()} if strings else row) + "\n" + bar(index * interval, total)
    log = log_of(text + "\n")
    np.testing.assert_array_equal(series(log, "loss").values, [row[0] for row in rows])
    np.testing.assert_array_equal(series(log, "grad_norm").values, [row[1] for row in rows])
    assert series(log, "loss").steps.tolist() == [interval * index for index in range(1, len(rows) + 1)]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        log_of(data.decode("utf-8", errors="replace") + "\nstep 5: loss=1.0\n")
    except Unreadable:
        pytest.fail("the last line is a row")


@pytest.mark.parametrize(
    "atom", ["a", "a ", "1", "1,", "step ", "epoch [1]", "[", "'a': ", "- ", "| ", " ", "100%|", "a=", "a: 1 ", "1ms/", "nan ", "\x1b["]
)
def test_hostile_lines_take_linear_time(atom: str) -> None:
    hostile = atom * (100_000 // len(atom))
    began = time.process_time()
    log_of(f"step 1: loss=2.5\n{hostile}step 2: loss=2\n{(atom * 2000)[:16000]}| 5 | 6\n")
    assert time.process_time() - began < 2.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats() | st.integers(0, 99), VALUES, VALUES), min_size=1, max_size=12))
def test_a_table_below_a_header_is_read_whatever_its_numbers(rows: list[tuple[float, float, float]]) -> None:
    text = "epoch     train_loss  valid_loss\n" + "".join(f"{epoch!r}  {a!r}  {b!r}\n" for epoch, a, b in rows)
    logs = text_log.read(io.StringIO(text))
    told = np.concatenate([series(log, "train_loss").values for log in logs])
    np.testing.assert_array_equal(told, [a for _, a, _ in rows])
