"""From a path to its runs: every source read, the logs of one run joined, names, settings and checkpoints where they belong."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lossdoctor.errors import PathMissing, Unreadable, UsageError
from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.sources.load import Choices, Loaded, load, require

ROWS = [(step, round(2.5 / (1 + step / 80) + 0.0137 * (step * 7 % 11), 4)) for step in range(10, 210, 10)]


def put(root: Path, name: str, content: str | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def state(rows: list[tuple[int, float]] | None = None, shift: float = 0.0, **more: Any) -> str:
    rows = ROWS if rows is None else rows
    history = [{"loss": loss + shift, "learning_rate": 1e-4, "step": step} for step, loss in rows]
    return json.dumps({"global_step": rows[-1][0] if rows else 0, "max_steps": 200, "log_history": history} | more)


def table(shift: float = 0.0) -> str:
    return "step,loss\n" + "".join(f"{step},{loss + shift}\n" for step, loss in ROWS)


def names(loaded: Loaded) -> list[str]:
    return [run.name for run in loaded.runs]


def kinds(loaded: Loaded) -> list[list[str]]:
    return [sorted(source.kind for source in run.sources) for run in loaded.runs]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(content: str | bytes) -> Loaded:
        raw = content.encode() if isinstance(content, str) else content
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii"))
        return load("-")

    return give


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (state(), "trainer_state"),
        (table(), "csv"),
        ("".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in ROWS), "jsonl"),
        ("".join(f"Step {step}: loss={loss}, lr=6.67e-05\n" for step, loss in ROWS), "text"),
    ],
)
def test_standard_input_of_any_format(stdin: Any, content: str, kind: str) -> None:
    loaded = stdin(content)
    assert names(loaded) == ["stdin"]
    assert kinds(loaded) == [[kind]]
    loss = loaded.runs[0].signal("train/loss")
    assert loss.steps.tolist() == [step for step, _ in ROWS]
    assert loss.values.tolist() == [loss for _, loss in ROWS]


def test_standard_input_longer_than_its_head_and_of_odd_bytes(stdin: Any) -> None:
    noise = "".join(f"downloading \xff shard {row}\n" for row in range(9000)).encode("latin-1")
    loaded = stdin(b"Step 10: loss=2.5, lr=1e-4\n" + noise + b"Step 20: loss=2.25, lr=1e-4\n")
    assert loaded.runs[0].signals["train/loss"].values.tolist() == [2.5, 2.25]


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"nothing of note\n"])
def test_standard_input_that_is_no_log(stdin: Any, content: bytes) -> None:
    with pytest.raises(Unreadable):
        stdin(content)


@pytest.mark.parametrize("path", ["not-there", "with\x00nul", "x" * 5000])
def test_a_path_that_does_not_exist(path: str) -> None:
    with pytest.raises(PathMissing):
        require(path)


def test_a_checkpoint_its_output_directory_and_its_file_give_the_same_curve(tmp_path: Path) -> None:
    file = put(tmp_path, "out/checkpoint-200/trainer_state.json", state())
    put(tmp_path, "out/checkpoint-100/trainer_state.json", state(ROWS[:10]))
    for path in (tmp_path / "out", file.parent, file):
        (run,) = load(str(path)).runs
        assert len(run.signals["train/loss"]) == 20
    (run,) = load(str(tmp_path / "out")).runs
    assert run.sources[0].remark == "read; 1 older checkpoint of this run beside it"
    assert [checkpoint.step for checkpoint in run.checkpoints] == [100, 200]


def test_interleaved_checkpoints_go_to_the_run_whose_they_are(tmp_path: Path) -> None:
    for step in (100, 200):
        put(tmp_path, f"checkpoint-{step}/trainer_state.json", state(ROWS[: step // 10]))
        put(tmp_path, f"checkpoint-{step - 50}/trainer_state.json", state(ROWS[: step // 10 - 5], shift=1.0))
    loaded = load(str(tmp_path))
    assert len(set(names(loaded))) == 2
    assert sorted([c.step for c in run.checkpoints] for run in loaded.runs) == [[50, 150], [100, 200]]


def test_two_trainings_in_sibling_directories_have_readable_names(tmp_path: Path) -> None:
    put(tmp_path, "one/checkpoint-200/trainer_state.json", state())
    put(tmp_path, "two/checkpoint-200/trainer_state.json", state(shift=0.5))
    assert names(load(str(tmp_path))) == ["one", "two"]


def test_like_named_runs_are_told_apart_by_their_place(tmp_path: Path) -> None:
    put(tmp_path, "a/model/trainer_state.json", state())
    put(tmp_path, "b/model/trainer_state.json", state(shift=0.5))
    assert names(load(str(tmp_path))) == ["model (a/model)", "model (b/model)"]


def test_a_copy_of_a_state_elsewhere_is_the_same_run(tmp_path: Path) -> None:
    put(tmp_path, "checkpoint-200/trainer_state.json", state())
    put(tmp_path, "final/trainer_state.json", state())
    (run,) = load(str(tmp_path)).runs
    assert run.name == tmp_path.name
    assert "1 older checkpoint" in run.sources[0].remark


def test_state_table_and_console_of_one_run_are_one(tmp_path: Path) -> None:
    put(tmp_path, "checkpoint-200/trainer_state.json", state())
    put(tmp_path, "metrics.csv", table())
    lines = "".join(str({"loss": str(loss), "learning_rate": "0.0001", "epoch": "1.0"}) + "\n" for _, loss in ROWS)
    put(tmp_path, "train.log", lines + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n")
    loaded = load(str(tmp_path))
    assert kinds(loaded) == [["csv", "text", "trainer_state"]]
    assert [event.kind for event in loaded.runs[0].events] == ["oom"]
    assert len(loaded.runs[0].signals["train/loss"]) == 20


def test_one_bad_file_never_costs_the_others(tmp_path: Path) -> None:
    put(tmp_path, "good/trainer_state.json", state())
    put(tmp_path, "foreign/trainer_state.json", '{"epoch": 3, "best_metric": 1}')
    put(tmp_path, "pointer/trainer_state.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    put(tmp_path, "deep/trainer_state.json", '{"log_history": ' + "[" * 100_000)
    put(tmp_path, "events.out.tfevents.1", b"no event file")
    os.mkfifo(tmp_path / "train.log")
    loaded = load(str(tmp_path))
    assert [len(run.signals["train/loss"]) for run in loaded.runs if run.signals] == [20]
    told = [*loaded.faults, *(fault for run in loaded.runs for fault in run.faults)]
    assert sum(fault.loss is Loss.FATAL for fault in told) == 4
    assert (str(tmp_path / "train.log"), "not a regular file") in loaded.ignored


def test_limits_reach_every_reader(tmp_path: Path) -> None:
    put(tmp_path, "a/trainer_state.json", state())
    put(tmp_path, "b/metrics.csv", table(1.0))
    put(tmp_path, "c/trainer_log.jsonl", "".join(json.dumps({"step": step, "loss": loss + 2}) + "\n" for step, loss in ROWS))
    put(tmp_path, "d/train.log", "".join(f"Step {step}: loss={loss + 3}, lr=6.67e-05\n" for step, loss in ROWS))
    assert len(load(str(tmp_path)).runs) == 4
    bounded = load(str(tmp_path), limits=Limits(points=5))
    assert not [run for run in bounded.runs if run.signals]
    assert len(bounded.faults) == 4
    assert all("limit" in fault.detail for fault in bounded.faults)


def test_chosen_settings_and_columns_come_first(tmp_path: Path) -> None:
    path = put(tmp_path, "run.csv", "step,my_loss,loss\n1,5.5,2.5\n2,5.25,2.25\n3,5.125,2.125\n")
    (run,) = load(str(path), Choices({"learning_rate": 0.5}, {"train/loss": "my_loss"})).runs
    assert run.signals["train/loss"].values.tolist() == [5.5, 5.25, 5.125]
    assert (run.settings["learning_rate"].value, run.settings["learning_rate"].source) == (0.5, "--set")


def test_lightning_runs_have_their_own_settings_and_checkpoints(tmp_path: Path) -> None:
    for version, shift in enumerate((0.0, 1.0)):
        home = f"lightning_logs/version_{version}"
        put(tmp_path, f"{home}/metrics.csv", table(shift))
        put(tmp_path, f"{home}/hparams.yaml", f"learning_rate: {0.1 + version}\n")
        put(tmp_path, f"{home}/checkpoints/epoch=0-step={100 + version}.ckpt", b"PK\x03\x04 not whole")
    loaded = load(str(tmp_path))
    assert names(loaded) == ["version_0", "version_1"]
    assert [run.setting("learning_rate") for run in loaded.runs] == [0.1, 1.1]
    assert [[c.step for c in run.checkpoints] for run in loaded.runs] == [[100], [101]]
    assert all(c.whole is False for run in loaded.runs for c in run.checkpoints)
    (alone,) = load(str(tmp_path / "lightning_logs/version_0")).runs
    assert [c.step for c in alone.checkpoints] == [100]


def test_a_wandb_run_without_its_file_is_read_from_what_is_left(tmp_path: Path) -> None:
    files = "wandb/run-20240101_120000-abc/files"
    put(tmp_path, f"{files}/wandb-summary.json", json.dumps({"train/loss": ROWS[-1][1], "train/global_step": 200, "_step": 19}))
    put(tmp_path, f"{files}/config.yaml", "learning_rate:\n  value: 0.25\n")
    (run,) = load(str(tmp_path)).runs
    assert kinds(load(str(tmp_path))) == [["wandb"]]
    assert run.setting("learning_rate") == 0.25
    put(tmp_path, f"{files}/output.log", "".join(f"Step {step}: loss={loss}, lr=6.67e-05\n" for step, loss in ROWS))
    (run,) = load(str(tmp_path)).runs
    assert run.signals["train/loss"].values.tolist() == [loss for _, loss in ROWS] or len(run.signals["loss"]) == 20
    assert any("printed" in note for note in run.notes)
    put(tmp_path, "checkpoint-200/trainer_state.json", state())
    assert kinds(load(str(tmp_path))) == [["trainer_state", "wandb"]]


def test_nothing_here(tmp_path: Path) -> None:
    put(tmp_path, "notes.rst", "notes")
    assert load(str(tmp_path)) == Loaded()


def test_output_that_was_pasted_into_a_note(tmp_path: Path) -> None:
    put(tmp_path, "post.md", "Worse after step 40:\n\n```\n" + "".join(f"step={step} loss={loss}\n" for step, loss in ROWS) + "```\n")
    (run,) = load(str(tmp_path)).runs
    assert run.signals["train/loss"].values.tolist() == [loss for _, loss in ROWS]
    put(tmp_path, "train.log", "Step 10: loss=2.5\nStep 20: loss=2.25\n")
    (run,) = load(str(tmp_path)).runs
    assert len(run.signals["train/loss"]) == 2


def test_empty_states_are_runs_without_a_verdict_not_silence(tmp_path: Path) -> None:
    put(tmp_path, "trainer_state.json", state([]))
    (run,) = load(str(tmp_path)).runs
    assert not run.signals


def test_a_metric_that_was_not_logged_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,my_loss\n" + "".join(f"{i},{2 - i / 20}\n" for i in range(1, 20)))
    found = load(str(tmp_path), Choices(metric={"train/loss": "my_loss"}))
    assert found.runs[0].signals["train/loss"].raw_name == "my_loss"
    with pytest.raises(UsageError, match="did you mean 'my_loss'"):
        load(str(tmp_path), Choices(metric={"train/loss": "my_los"}))
