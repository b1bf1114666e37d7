"""Several trainings in one log are several runs; a resume, epochs that count anew and noise are one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.run import Run
from lossdoctor.sources.load import load

FALLING = [2.0, 1.6, 1.3, 1.1, 0.9, 0.8, 0.7, 0.65]


def read(path: Path, text: str) -> tuple[Run, ...]:
    path.write_text(text)
    return load(str(path)).runs


def lines(losses: list[float], *, first: int = 1, lr: float | None = None) -> str:
    rate = "" if lr is None else f", lr={lr}"
    return "".join(f"step {10 * k}: loss={loss}{rate}\n" for k, loss in enumerate(losses, first))


@pytest.mark.parametrize("count", [2, 3, 31])
def test_each_training_is_a_run_and_says_so(tmp_path: Path, count: int) -> None:
    runs = read(tmp_path / "all.log", lines(FALLING) * count)
    assert [run.signals["train/loss"].steps.tolist() for run in runs] == [list(range(10, 90, 10))] * count
    assert [run.name for run in runs] == [f"all.log (training {k} of {count})" for k in range(1, count + 1)]
    assert all(f"the log holds {count} trainings" in run.notes[-1] for run in runs)


def test_the_events_and_the_end_are_of_the_training_they_stand_in(tmp_path: Path) -> None:
    died = lines(FALLING) + "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    first, second = read(tmp_path / "x.log", died + lines(FALLING) + "Training complete\n")
    assert [event.kind for event in first.events] == ["oom"]
    assert first.finished is None
    assert not second.events
    assert second.finished


def test_a_resume_from_a_checkpoint_is_one_run(tmp_path: Path) -> None:
    (run,) = read(tmp_path / "x.log", lines(FALLING) + lines(FALLING[5:], first=6))
    assert run.signals["train/loss"].segments.max() == 1


def test_a_counter_that_starts_again_every_epoch_is_one_run(tmp_path: Path) -> None:
    losses = np.linspace(3.0, 1.0, 24).round(3).tolist()
    (run,) = read(tmp_path / "x.log", "".join(lines(losses[k : k + 8]) for k in (0, 8, 16)))
    assert len(run.signals["train/loss"]) == 24


def test_epochs_that_go_on_are_one_run(tmp_path: Path) -> None:
    text = "".join(f"Epoch [{epoch}/3], Step [{step}/40], Loss: {2 - step / 50}\n" for epoch in (1, 2, 3) for step in range(10, 50, 10))
    (run,) = read(tmp_path / "x.log", text)
    assert run.signals["train/loss"].steps.tolist() == list(range(10, 130, 10))


def test_noise_without_a_fall_is_one_run(tmp_path: Path) -> None:
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(1.0, 0.2, 60).round(4).tolist()
        runs = read(tmp_path / "x.log", "".join(lines(noise[k : k + 10]) for k in range(0, 60, 10)))
        assert len(runs) == 1, seed


def test_a_learning_rate_that_starts_again_tells_as_well(tmp_path: Path) -> None:
    def training() -> str:
        return "".join(f"step {10 * k}: loss={1.0 + 0.01 * (-1) ** k}, lr={1e-3 * (9 - k):.4f}\n" for k in range(1, 9))

    assert len(read(tmp_path / "x.log", training() * 2)) == 2


def test_json_lines_and_tables_hold_several_trainings_too(tmp_path: Path) -> None:
    rows = [{"iteration": 10 * k, "total_loss": loss} for k, loss in enumerate(FALLING, 1)] * 2
    assert len(read(tmp_path / "metrics.json", "\n".join(map(json.dumps, rows)))) == 2
    table = "epoch,loss,val_loss\n" + "".join(f"{k},{loss},{loss + 0.1}\n" for k, loss in enumerate(FALLING)) * 3
    assert len(read(tmp_path / "log.csv", table)) == 3


def test_trainings_that_begin_at_other_levels_are_told_by_their_first_epoch(tmp_path: Path) -> None:
    flat, high, again = [2.25, 2.13, 2.19, 2.07, 2.11, 2.22], [2.91, 2.38, 2.03, 1.81, 1.69], [2.41, 2.11, 1.93]
    text = "".join(f"Epoch {epoch}: Train Loss: {loss}\n" for losses in (flat, high, again) for epoch, loss in enumerate(losses))
    assert [len(run.signals["train/loss"]) for run in read(tmp_path / "x.log", text)] == [6, 5, 3]


def test_a_failed_fold_between_good_ones_is_a_training_too(tmp_path: Path) -> None:
    folds = [FALLING, FALLING, [10.0, 14.9, 8.9, 9.1, 8.0, 10.2, 9.5, 9.9], FALLING]
    text = "".join(f"Epoch {epoch}/8 - train_loss: {loss}\n" for losses in folds for epoch, loss in enumerate(losses, 1))
    assert [run.signals["train/loss"].values.tolist() for run in read(tmp_path / "x.log", text)] == folds


def test_few_rows_in_order_are_told_apart_by_two(tmp_path: Path) -> None:
    thinned = [(1, 2.2), (7, 1.65), (13, 1.14), (19, 0.8), (3, 2.0), (9, 1.48), (15, 1.04), (21, 0.76)]
    text = "".join(f"epoch {epoch} loss {loss}\n" for epoch, loss in thinned)
    assert [len(run.signals["train/loss"]) for run in read(tmp_path / "x.log", text)] == [4, 4]
