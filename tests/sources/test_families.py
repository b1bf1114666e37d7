"""Several trainings in one log or one directory: a diagnosis each, by name, with what belongs to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lossdoctor.run import Run, Series
from lossdoctor.run.log import Log
from lossdoctor.sources import families
from lossdoctor.sources.load import load

from .event_files import writer


def epochs(run: str, scale: float = 1.0, last: int = 10) -> list[str]:
    rows = [
        f"Epoch {epoch}/10 | Time: 274.14s | Loss: {scale * 0.42 / epoch**0.8:.4f} | Acc: {80 + epoch}.5%" for epoch in range(1, last + 1)
    ]
    return [f"Running: {run}", *rows]


def runs_of(tmp_path: Path, *lines: str) -> tuple[Run, ...]:
    path = tmp_path / "bench.log"
    path.write_text("\n".join(lines) + "\n")
    return load(str(path)).runs


def test_a_benchmark_that_trains_one_model_after_another(tmp_path: Path) -> None:
    lines = [*epochs("sgd"), "New best model saved", *epochs("adam", 1.2), "Training finished", *epochs("big", 0.9, 6), "Killed"]
    first, second, third = runs_of(tmp_path, *lines)
    assert [run.name for run in (first, second, third)] == [f"bench.log (training {n} of 3)" for n in (1, 2, 3)]
    assert [len(run.signals["train/loss"]) for run in (first, second, third)] == [10, 10, 6]
    assert [run.finished for run in (first, second, third)] == [None, True, None]
    assert [[e.kind for e in run.events] for run in (first, second, third)] == [[], [], ["killed"]]
    assert [run.last_step for run in (first, second, third)] == [10, 10, 6]
    assert "3 trainings" in first.notes[-1]


def test_an_exception_belongs_to_the_training_that_it_ended(tmp_path: Path) -> None:
    dead = ["Traceback (most recent call last):", '  File "t.py", line 3, in <module>', "ValueError: bad row"]
    middle = [*epochs("sgd")[:5], *dead, *epochs("sgd")[5:]]
    first, second, third = runs_of(tmp_path, *middle, *epochs("adam", last=7), *dead, *epochs("big"))
    assert [[e.numbers.get("went_on") for e in run.events] for run in (first, second, third)] == [[1.0], [None], []]


def test_one_training_keeps_its_name_and_has_no_note(tmp_path: Path) -> None:
    (run,) = runs_of(tmp_path, *epochs("sgd"))
    assert run.name == "bench.log"
    assert not any("trainings" in note for note in run.notes)


def test_a_history_of_two_trainings_is_split_with_all_of_its_columns() -> None:
    steps = np.tile(np.arange(1, 31), 2)
    loss = np.tile(3 / np.arange(1, 31) ** 0.5, 2)
    evals = Series.of("eval_loss", [10, 20, 30, 10, 20, 30], [2.0, 1.5, 1.2, 2.1, 1.6, 1.3])
    log = Log("wandb", Path("run.wandb"), "history", (Series.of("loss", steps, loss), evals, Series.of("lr", steps, loss)), reached_step=30)
    first, second = families.split(log)
    for piece in (first, second):
        assert [(one.name, len(one.steps)) for one in piece.series] == [("loss", 30), ("eval_loss", 3), ("lr", 30)]
    assert second.series[1].values.tolist() == [2.1, 1.6, 1.3]


def test_a_series_without_falling_steps_goes_by_the_clock() -> None:
    steps = np.tile(np.arange(1, 31), 2)
    times = 1.7e9 + np.arange(60.0)
    loss = Series.of("loss", steps, np.tile(3 / np.arange(1, 31) ** 0.5, 2), times=times)
    late = Series.of("test_loss", [25, 30], [1.3, 1.2], times=[1.7e9 + 55, 1.7e9 + 60])
    first, second = families.split(Log("wandb", Path("run.wandb"), "history", (loss, late)))
    assert [one.name for one in first.series] == ["loss"]
    assert [one.name for one in second.series] == ["loss", "test_loss"]


def events(directory: Path, *rows: int) -> tuple[Run, ...]:
    """One event file a training, with that many rows of the loss, a thousand seconds apart."""
    for number, count in enumerate(rows):
        start = writer.START + 1000 * number
        part = writer.series("train/loss", range(10, 10 * count + 1, 10), start, 3.0)
        writer.write(directory / f"events.out.tfevents.{start:.0f}.host.1.{number}", part, start=start)
    return load(str(directory)).runs


def test_event_files_of_several_trainings_in_one_directory(tmp_path: Path) -> None:
    runs = events(tmp_path, 30, 30)
    assert [run.name for run in runs] == [f"{tmp_path.name} (training {n} of 2)" for n in (1, 2)]
    assert all("2 trainings" in run.notes[-1] for run in runs)


def test_an_attempt_of_one_row_is_named_and_not_judged(tmp_path: Path) -> None:
    (run,) = events(tmp_path, 1, 30)
    assert (run.name, run.last_step) == (tmp_path.name, 300)
    assert "1 row until step 10" in run.notes[-1]


def test_an_attempt_alone_is_judged(tmp_path: Path) -> None:
    assert len(events(tmp_path, 1)) == 1


def test_a_table_with_gaps_that_two_trainings_were_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    rows = [f"{step},{4 / step:.4f},{3.5 / step if step % 20 == 0 else ''}" for last in (100, 160) for step in range(10, last + 1, 10)]
    path.write_text("step,train_loss,val_loss\n" + "\n".join(rows) + "\n")
    first, second = load(str(path)).runs
    assert (first.last_step, second.last_step) == (100, 160)
    assert [len(run.signals["eval/loss"]) for run in (first, second)] == [5, 8]
