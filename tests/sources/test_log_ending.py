"""The end of a log, as frameworks and people print it: ended by itself, stopped by its own rule, or dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.run import Log
from lossdoctor.run.ends import ends_a_run
from lossdoctor.sources import text_log
from lossdoctor.sources.log_ending import says_finished, says_stopped

STOPPED = [
    "Epoch 00012: early stopping",
    "Epoch 12: early stopping",
    "EarlyStopping: no improvement, stopping training",
    "Training finished after not improving. Early Stop!",
    "Monitored metric val_loss did not improve in the last 3 records. Best score: 0.123. Signaling Trainer to stop.",
    "Time limit reached. Elapsed time is 2:00:00. Signaling Trainer to stop.",
    "EarlyStopping: Training stopped early as no improvement observed in last 50 epochs. Best results observed at epoch 7",
    "early stop since valid performance hasn't improved for last 10 runs",
    "Ran out of patience. Stopping training.",
    "INFO - learning rate too small - quitting training!",
    "Early stopping, best iteration is:",
    "Stopping. Best iteration:",
    "Stopped by overfitting detector  (50 iterations wait)",
    "EarlyStopping counter: 5 out of 5",
    "No improvement for 7 epochs, stopping.",
    "stopping_early: wallclock_cap train_time:599941ms step:5953/20000",
    "Patience reached at epoch 33",
]
FINISHED = [
    "Training completed. Do not forget to share your model on huggingface.co/models =)",
    "`Trainer.fit` stopped: `max_epochs=10` reached.",
    "100 epochs completed in 0.345 hours.",
    "Training complete in 12m 3s",
    "[08/01 12:00:00 d2.engine.hooks]: Total training time: 1:02:03 (0:00:12 on hooks)",
    "Training time 1:02:03",
    "2024-01-01 12:00:00 | INFO | fairseq_cli.train | done training in 1234.5 seconds",
    "[after training is done] datetime: 2024-01-01 12:00:00",
    "Finished Training",
    "Training took 812.3 seconds",
    "=> training finished",
]
NEITHER = [
    "early_stopping_patience: 5",
    "Early stopping patience: 5",
    "early stopping = True",
    "EarlyStopping counter: 4 out of 5",
    "Early stopping is enabled",
    "training will stop early if val_loss does not improve",
    "callbacks: EarlyStopping, ModelCheckpoint, EarlyStoppingCallback",
    "Epoch 3 training took 12.3 s",
    "Starting training",
    "Training done: 45%",
    "Loading finished",
    "Running without early stopping",
    "Loss is nan, stopping training",
]


@pytest.mark.parametrize("line", STOPPED)
def test_stopped_by_its_own_rule(line: str) -> None:
    assert says_stopped(line)


@pytest.mark.parametrize("line", FINISHED)
def test_finished(line: str) -> None:
    assert says_finished(line)
    assert not says_stopped(line)


@pytest.mark.parametrize("line", NEITHER)
def test_settings_counters_and_epochs_are_no_end(line: str) -> None:
    assert not says_stopped(line)
    assert not says_finished(line)


def rows(first: int, last: int) -> list[str]:
    return [f"step {step}/300 loss: {3 / step**0.2:.4f} lr: 1e-4" for step in range(first, last + 1)]


def bars(first: int, last: int) -> list[str]:
    return [f" {step // 3}%|##  | {step}/300 [00:{step:02}<05:00,  1.00it/s]" for step in range(first, last + 1)]


def read(tmp_path: Path, *lines: str) -> Log:
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    (log,) = text_log.read(path)
    return log


@pytest.mark.parametrize("line", STOPPED)
def test_an_early_stop_after_the_last_row(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, *rows(1, 20), line)
    assert (log.finished, log.early_stopped) == (True, True)


@pytest.mark.parametrize("line", FINISHED)
def test_an_end_after_the_last_row(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, *rows(1, 20), line, "test loss: 0.4")
    assert (log.finished, log.early_stopped) == (True, False)


def test_words_that_training_went_on_after_are_no_end(tmp_path: Path) -> None:
    assert read(tmp_path, *rows(1, 20), "Early stopping triggered", *rows(21, 30)).finished is None
    repeated = [line for step in range(1, 20) for line in (*rows(step, step), f"Training took {step}.3 seconds")]
    assert read(tmp_path, *repeated).finished is None


def test_a_dying_process_has_not_finished(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        *rows(1, 20),
        "Traceback (most recent call last):",
        '  File "train.py", line 10, in <module>',
        "KeyboardInterrupt",
        "Training took 812.3 seconds",
    )
    assert log.finished is None
    assert [(e.kind, e.numbers) for e in log.events] == [("interrupt", {"raised": 1.0})]


def test_what_fails_after_the_end_is_no_death(tmp_path: Path) -> None:
    log = read(tmp_path, *rows(1, 20), "Finished Training", "Traceback (most recent call last):", "requests.exceptions.HTTPError: 503")
    assert log.finished


def test_a_traceback_in_the_middle_is_marked(tmp_path: Path) -> None:
    log = read(tmp_path, *rows(1, 10), "Traceback (most recent call last):", "ValueError: bad row", *rows(11, 20))
    assert [(e.kind, e.numbers) for e in log.events] == [("traceback", {"raised": 1.0, "went_on": 1.0})]


def test_a_bar_that_is_drawn_once_more_by_an_exception_is_no_progress(tmp_path: Path) -> None:
    printed = "{'loss': 2.5, 'grad_norm': 0.7, 'learning_rate': 2e-05, 'epoch': 0.1}"
    dead = (*bars(1, 20), printed, "Traceback (most recent call last):", "ValueError: bad row")
    (event,) = read(tmp_path, *dead, *bars(21, 21)).events
    assert "went_on" not in event.numbers
    (event,) = read(tmp_path, *dead, *bars(21, 30)).events
    assert event.numbers["went_on"] == 1


DEATHS = [
    ("time-limit", "slurmstepd: error: *** JOB 123 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT ***"),
    ("sigterm", "slurmstepd: error: *** STEP 77.0 ON n1 CANCELLED AT 2025-01-01T00:00:00 ***"),
    ("preempted", "slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***"),
    ("crash", "Segmentation fault (core dumped)"),
    ("crash", "terminate called after throwing an instance of 'std::runtime_error'"),
    ("crash", "Aborted (core dumped)"),
    ("crash", "run.sh: line 3:  4242 Aborted                 python train.py"),
    ("oom", "  what():  Error while calling cudaMalloc(&data, n) in file gpu_data.cpp:190. code: 2, reason: out of memory"),
    ("watchdog", "Watchdog timed out after 600 s without a step, killing the process"),
    ("hangup", "torch.distributed.elastic.multiprocessing.api.SignalException: Process 77 got signal: 1"),
    ("traceback", "ValueError: operands could not be broadcast together"),
    ("killed", "Killed"),
]


@pytest.mark.parametrize(("kind", "line"), DEATHS)
def test_a_death_in_the_last_line(tmp_path: Path, kind: str, line: str) -> None:
    log = read(tmp_path, *rows(1, 20), line)
    (event,) = log.events
    assert event.kind == kind
    assert ends_a_run(event)
    assert not event.numbers.get("went_on")
    assert log.finished is None
