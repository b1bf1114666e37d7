"""Runs written by the real WandB client, offline: what was logged is what is read."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lossdoctor.model import Loss
from lossdoctor.run.log import Log
from lossdoctor.sources import wandb_local

ROWS = 120
WHOLE = f"""
import math, random, sys, wandb
random.seed(5)
config = {{"learning_rate": 3e-4, "max_steps": {ROWS}, "hub_token": "hf_canarycanarycanary", "vocab_size": 77}}
run = wandb.init(project="p", name="real run", config=config)
run.define_metric("train/global_step")
run.define_metric("*", step_metric="train/global_step", step_sync=True)
for i in range({ROWS}):
    row = {{"train/loss": 2 - i / 100, "train/global_step": (i + 1) * 5, "train/epoch": i / 40, "nested": {{"deep": i}}}}
    if i % 50 == 7:
        row |= {{"train/grad_norm": [math.nan, math.inf, -math.inf][i // 50], "hist": wandb.Histogram([1, 2, 3]), "word": "hello"}}
    run.log(row)
    if i == 60:
        run.log({{"eval/loss": 1.25}})
print("KeyboardInterrupt")
run.finish(exit_code=int(sys.argv[1]))
"""
ENDLESS = """
import wandb
run = wandb.init(project="p")
step = 0
while True:
    run.log({"train/loss": 1.0 / (step + 1), "train/global_step": step})
    step += 1
    if step == 2000:
        print("ready", flush=True)
"""


def start(folder: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    settings = {
        "MODE": "offline",
        "DIR": str(folder),
        "CACHE_DIR": str(folder / "cache"),
        "ERROR_REPORTING": "false",
        "X_DISABLE_STATS": "true",
    }
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=os.environ | {"HOME": str(folder)} | {f"WANDB_{name}": value for name, value in settings.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Log:
    folder = tmp_path_factory.mktemp("whole")
    with start(folder, WHOLE, "3") as process:
        process.communicate(timeout=120)
    (log,) = wandb_local.read(folder / "wandb")
    return log


def values(log: Log, name: str) -> list[tuple[int, float]]:
    found = next(s for s in log.series if s.name == name)
    return list(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def test_every_value_and_step_of_a_real_run(whole: Log) -> None:
    steps = [(i + 1) * 5 for i in range(ROWS)]
    assert values(whole, "train/loss") == [(step, 2 - i / 100) for i, step in enumerate(steps)]
    assert values(whole, "nested.deep") == [(step, float(i)) for i, step in enumerate(steps)]
    assert values(whole, "eval/loss") == [(305, 1.25)]
    (nan_step, nan), *infinite = values(whole, "train/grad_norm")
    assert (nan_step, math.isnan(nan)) == (40, True)
    assert infinite == [(290, math.inf), (540, -math.inf)]
    assert {s.name for s in whole.series if "/" not in s.name} == {"nested.deep"}


def test_times_epochs_settings_and_end_of_a_real_run(whole: Log) -> None:
    loss = next(s for s in whole.series if s.name == "train/loss")
    assert all(0 <= later - earlier < 60 for earlier, later in zip(loss.times[:-1], loss.times[1:], strict=True))
    assert abs(loss.times[0] - time.time()) < 600
    assert loss.epochs.tolist() == [i / 40 for i in range(ROWS)]
    known = {s.name: s.value for s in whole.settings}
    assert (known["learning_rate"], known["vocab_size"], whole.planned_steps) == (3e-4, 77, ROWS)
    assert "canary" not in repr(whole)
    assert (whole.name, whole.finished, whole.extra["exit_code"], whole.faults) == ("real run", False, 3, ())
    assert "interrupt" in {event.kind for event in whole.events}


def test_a_writer_that_was_killed(tmp_path: Path) -> None:
    with start(tmp_path, ENDLESS) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGKILL)
    (log,) = wandb_local.read(tmp_path / "wandb")
    loss = values(log, "train/loss")
    assert loss == [(step, 1.0 / (step + 1)) for step in range(len(loss))]
    assert len(loss) > 100
    assert log.finished is None
    assert all(fault.loss is Loss.BENIGN for fault in log.faults)
    assert any("no exit record" in note for note in log.notes)
