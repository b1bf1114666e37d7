"""What a log's last lines say of its end, in the words of frameworks and scripts."""

from __future__ import annotations

from io import StringIO

import pytest

from lossdoctor.run import Run, build
from lossdoctor.sources import text_log
from lossdoctor.sources.log_ends import end_of

EARLY = (
    "EarlyStopping: no improvement, stopping training",
    "Training finished after not improving. Early Stop!",
    "Epoch 00012: early stopping",
    "Monitored metric val_loss did not improve in the last 3 records. Best score: 0.352. Signaling Trainer to stop.",
    "EarlyStopping: Training stopped early as no improvement observed in last 100 epochs. Best results observed at epoch 57",
    "2021-03-04 10:11:12 | INFO | fairseq_cli.train | early stop since valid performance hasn't improved for last 10 runs",
    "stopping_early: wallclock_cap train_time:600075ms step:6358/20000",
    "Early stopping triggered after 12 epochs",
    "Early stopping at epoch 14",
    "Validation loss has not improved for 5 epochs, stopping.",
    "[2023-01-01 10:00:00] Ran out of patience, best epoch 7",
)
FINISHED = (
    "Training completed. Do not forget to share your model on huggingface.co/models =)",
    "`Trainer.fit` stopped: `max_epochs=3` reached.",
    "Training complete in 3m 20s",
    "Finished Training",
    "finished training!",
    "100 epochs completed in 0.512 hours.",
    "2021-03-04 10:11:12 | INFO | fairseq_cli.train | done training in 7351.6 seconds",
    "[after training is done] datetime: 2021-03-04 10:11:12",
    "Training time 1:23:45",
    "total training time: 0:53:35",
    "INFO - root - Training finished.",
)
NEITHER = (
    "early_stopping: True",
    "early_stopping_patience=3",
    "Using early stopping with patience 5",
    "EarlyStopping callback is enabled",
    "EarlyStopping counter: 2 out of 5",
    "Epoch 3 training finished in 12 s",
    "The model will be saved after training is complete",
    "training not finished yet",
    "Saving model when training completes",
    "Finished loading the training data",
    "def training_complete(self):",
    "if early_stopped: stop()",
)


@pytest.mark.parametrize("line", EARLY)
def test_early_stopping(line: str) -> None:
    assert end_of(line) == "early"


@pytest.mark.parametrize("line", FINISHED)
def test_finished(line: str) -> None:
    assert end_of(line) == "finished"


@pytest.mark.parametrize("line", NEITHER)
def test_neither(line: str) -> None:
    assert not end_of(line)


ROWS = "".join(f"step {step}: loss={3 - step / 100}\n" for step in range(10, 90, 10))


def read(text: str) -> Run:
    (log,) = text_log.read(StringIO(text))
    return build(log)


def test_words_after_which_training_went_on_are_no_end() -> None:
    run = read("Finished Training of the tokenizer\n" + ROWS)
    assert run.finished is None
    assert read(ROWS + "Finished Training\nTest accuracy: 0.9\n").finished


def test_a_message_knows_how_many_rows_come_after_it() -> None:
    trace = "Traceback (most recent call last):\n  File 'a.py', line 3\nValueError: bad batch, skipped\n"
    (middle,) = read(ROWS + trace + ROWS.replace("step ", "step 1")).events
    assert middle.numbers["rows_after"] == 8
    (last,) = read(ROWS + trace).events
    assert last.numbers["rows_after"] == 0


LAST_WORDS = {
    "slurmstepd: error: *** JOB 123 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO TIME LIMIT ***": "time-limit",
    "slurmstepd: error: *** JOB 123 ON n1 CANCELLED AT 2025-01-01T00:00:00 DUE TO PREEMPTION ***": "preempted",
    "slurmstepd: error: *** STEP 123.0 ON n1 CANCELLED AT 2025-01-01T00:00:00 ***": "sigterm",
    "Segmentation fault (core dumped)": "crash",
    "Aborted (core dumped)": "crash",
    "terminate called after throwing an instance of 'std::runtime_error'": "crash",
    "Aborted": "crash",
    "  what():  Error while calling cudaMalloc(&data, n) in file gpu_data.cpp:190. code: 2, reason: out of memory": "oom",
    "KeyboardInterrupt": "interrupt",
    "Hangup": "hangup",
    "torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 15": "sigterm",
    "[E ProcessGroupNCCL.cpp:828] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=12)": "nccl-timeout",
    "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [python:123]": "crash",
    "Killed": "killed",
}


@pytest.mark.parametrize("line", LAST_WORDS)
def test_last_words(line: str) -> None:
    assert [event.kind for event in read(f"{ROWS}{line}\n").events] == [LAST_WORDS[line]]
