"""The monitor against a stand-in of the Trainer's protocol; numpy arrays stand for tensors."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lossdoctor
from lossdoctor.callback import Monitor, monitor, read_batches
from lossdoctor.callback.devices import FIELDS, gpus, process_memory
from lossdoctor.callback.tag import Numbered, tag
from lossdoctor.run.names import canonical

from .stand_in import Loader, Loss, Trainer

ORDER = [[3, 0], [1, 2], [4, 5], [7, 6]]
LENGTHS = [5, 9, 3, 7, 4, 8, 6, 2]


def collate(rows: list[list[int]]) -> dict[str, Any]:
    width = max(map(len, rows))
    ids = np.array([row + [0] * (width - len(row)) for row in rows])
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": np.where(mask == 1, ids, -100)}


def loader() -> Loader:
    return Loader([[7] * length for length in LENGTHS], ORDER, collate)


def trained(home: Path, losses: list[float], accumulation: int = 1, **options: Any) -> Trainer:
    trainer = Trainer(home, loader(), losses)
    monitor(trainer, **options)
    trainer.train(accumulation)
    return trainer


def test_the_rows_reach_the_state_and_the_reporters_alike(tmp_path):
    trainer = trained(tmp_path, [2.0, 3.0, 1.0, math.nan])
    rows = trainer.state.log_history
    assert [{k: v for k, v in row.items() if k != "step"} for row in rows] == trainer.reporter.rows
    first, second, evaluated = rows
    assert (first["step_loss_max"], first["nonfinite_losses"]) == (3.0, 0)
    assert (second["step_loss_max"], second["nonfinite_losses"]) == (1.0, 1)
    assert first["tokens_per_second"] / first["samples_per_second"] == pytest.approx(sum(LENGTHS[:4]) / 4)
    assert 0 <= first["data_wait_seconds"] <= first["step_seconds"]
    assert evaluated["eval_perplexity"] == pytest.approx(3)
    assert "step_seconds" not in evaluated


def test_losses_are_read_only_where_a_row_is_due(tmp_path):
    Loss.reads = 0
    trainer = Trainer(tmp_path, loader(), [1.0] * 4, logging_steps=0)
    monitor(trainer)
    trainer.train()
    assert Loss.reads == 0


def test_every_name_means_the_same_under_every_reporter(tmp_path):
    trainer = trained(tmp_path, [2.0] * 4)
    trainer.accelerator.scaler = SimpleNamespace(is_enabled=lambda: True, get_scale=lambda: 1024.0)
    names = {*trainer.state.log_history[0], *(f"gpu/0/{field}" for field in FIELDS), "loss_scale", "mfu"} - {"step"}
    for name in names:
        assert canonical(name)[0] == canonical(f"train/{name}")[0], name


def test_the_batch_log_says_what_each_step_read(tmp_path):
    trained(tmp_path, [1.0, 2.0, 0.5, 0.25], accumulation=2)
    found = read_batches(tmp_path)
    assert [list(batch.samples) for batch in found] == ORDER
    assert [batch.step for batch in found] == [1, 1, 2, 2]
    assert [batch.loss for batch in found] == [3.0, 3.0, 0.75, 0.75]
    assert found[0].lengths == (LENGTHS[3], LENGTHS[0])
    assert read_batches(tmp_path, 2, 2) == found[2:]


def test_the_batch_that_killed_the_run_is_in_the_log_and_a_resume_appends(tmp_path):
    trainer = Trainer(tmp_path, loader(), [1.0] * 4)
    monitor(trainer)
    trainer.dies_at = 3
    with pytest.raises(MemoryError):
        trainer.train()
    last = read_batches(tmp_path)[-1]
    assert (last.step, list(last.samples)) == (3, ORDER[2])
    assert math.isnan(last.loss)

    trained(tmp_path, [4.0] * 4)
    twice = [batch.loss for batch in read_batches(tmp_path, 3, 3)]
    assert math.isnan(twice[0])
    assert twice[1] == 4.0


def test_a_line_cut_off_by_the_death_of_the_process_is_left_out(tmp_path):
    trained(tmp_path, [1.0] * 4)
    path = tmp_path / "lossdoctor-batches-0.ndjson"
    path.write_text(path.read_text(encoding="utf-8") + '{"step": 5, "sam', encoding="utf-8")
    assert len(read_batches(tmp_path)) == 4


def test_no_batch_log_is_an_error_that_names_the_way(tmp_path):
    trained(tmp_path, [1.0] * 4, batch_log=False)
    with pytest.raises(FileNotFoundError, match="monitor"):
        read_batches(tmp_path)


def test_a_directory_that_cannot_be_written_ends_the_log_not_the_training(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    trainer = Trainer(tmp_path, loader(), [1.0] * 4)
    monitor(trainer)
    begin = trainer.callback_handler.callbacks[1].on_train_begin
    begin(SimpleNamespace(output_dir=str(tmp_path / "file" / "below")), trainer.state, trainer.control)
    assert "batch log cannot be written" in caplog.text
    assert trainer.training_step(None, {"input_ids": np.ones((1, 4))}) == 1.0


def test_evals_and_saves_are_not_steps(tmp_path):
    ticks = itertools.count()
    trainer = Trainer(tmp_path, loader(), [1.0] * 4)
    watch = Monitor(trainer, clock=lambda: float(next(ticks)))
    trainer.callback_handler.callbacks.insert(1, watch)
    trainer.call("on_train_begin")
    for pause in (0, 100):
        for _ in range(pause):
            next(ticks)
        trainer.call("on_evaluate")
        trainer.call("on_step_begin")
        trainer.state.global_step += 1
        trainer.call("on_step_end")
    trainer.log({"loss": 1.0})
    assert trainer.state.log_history[0]["step_seconds"] == 2


def test_skipped_steps_and_the_loss_scale_are_counted(tmp_path):
    trainer = Trainer(tmp_path, loader(), [1.0] * 4)
    monitor(trainer)
    trainer.accelerator = SimpleNamespace(
        optimizer_step_was_skipped=True, scaler=SimpleNamespace(is_enabled=lambda: True, get_scale=lambda: 512.0)
    )
    trainer.train()
    assert (trainer.state.log_history[0]["skipped_steps"], trainer.state.log_history[0]["loss_scale"]) == (2, 512)


def test_values_that_are_not_finite_in_the_data_are_counted(tmp_path):
    class Tensor(np.ndarray):
        def is_floating_point(self) -> bool:
            return self.dtype.kind == "f"

        def isfinite(self) -> Any:
            return np.isfinite(self)

    rows = np.ones((8, 3))
    rows[1, 2] = np.inf
    trainer = Trainer(tmp_path, Loader(rows, ORDER, lambda found: {"pixels": np.array(found).view(Tensor)}), [1.0] * 4)
    monitor(trainer)
    trainer.train()
    assert [row["nonfinite_inputs"] for row in trainer.state.log_history[:2]] == [1, 0]


def test_batches_that_cannot_be_tagged_pass_unchanged():
    rows = iter([1, 2])
    assert not tag(SimpleNamespace(dataset=rows, batch_sampler=None, collate_fn=list))
    listed = Loader([1, 2], [[0, 1]], list)
    assert tag(listed)
    assert tag(listed), "twice is once"
    assert list(listed) == [[1, 2]]
    assert not isinstance(listed.dataset.rows, Numbered)  # type: ignore[attr-defined]


def test_a_data_set_keeps_its_attributes():
    numbered = Numbered(SimpleNamespace(epoch=3))
    assert numbered.epoch == 3
    with pytest.raises(AttributeError):
        numbered.nothing  # noqa: B018


def test_gpu_readings_and_a_sensor_that_does_not_tell():
    def missing(_: int) -> int:
        raise ModuleNotFoundError("pynvml does not seem to be installed")

    reset: list[int] = []
    cuda = SimpleNamespace(
        memory_allocated=lambda i: 10 * i, max_memory_allocated=lambda i: 50, memory_reserved=lambda i: 60,
        get_device_properties=lambda i: SimpleNamespace(total_memory=100), utilization=missing, temperature=lambda i: 40 + i,
        reset_peak_memory_stats=reset.append,
    )  # fmt: skip
    first, second = gpus(cuda, range(1, 3))
    assert dict(zip(FIELDS, second, strict=True)) | {"utilization": 0} == {
        "memory": 20, "memory_peak": 50, "memory_reserved": 60, "memory_utilization": 50, "utilization": 0, "temperature": 42,
    }  # fmt: skip
    assert math.isnan(first[FIELDS.index("utilization")])
    assert reset == [1, 2]


def test_process_memory_is_the_resident_size():
    assert process_memory() > 1e6 or not Path("/proc/self/statm").exists()


def test_what_was_not_evaluated_before_is_evaluated(tmp_path):
    """The same training without and with the monitor."""
    many = [list(range(8))] * 40
    for name, watched in (("plain", False), ("monitored", True)):
        (tmp_path / name).mkdir()
        trainer = Trainer(tmp_path / name, Loader([[7] * length for length in LENGTHS], many, collate), [1.0] * 40, logging_steps=1)
        if watched:
            monitor(trainer)
        trainer.train()
    plain, monitored = (lossdoctor.diagnose(tmp_path / name) for name in ("plain", "monitored"))
    gained = {note.rule for note in plain.not_evaluated} - {note.rule for note in monitored.not_evaluated}
    assert {"throughput-drop", "memory-leak"} <= gained
    assert not monitored.faults
    assert len(json.loads((tmp_path / "monitored/trainer_state.json").read_text())["log_history"]) == 41


def test_importing_the_callback_imports_neither_torch_nor_numpy():
    code = "import sys, lossdoctor.callback; print([m for m in ('torch', 'transformers', 'numpy', 'click') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"
