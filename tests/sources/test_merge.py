"""Which logs are of one run: never two runs in one, one run never in two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.model import Fault, LogEvent
from lossdoctor.run.log import Log, Series
from lossdoctor.sources.merge import group, join

STEPS = list(range(10, 210, 10))
CURVE = [round(2.5 - 0.4 * math.log(step) + 0.013 * ((step * 7) % 11), 4) for step in STEPS]


def log(kind: str, losses: Sequence[float] = CURVE, place: str = "", *, steps: Sequence[int] | None = None, **more: Any) -> Log:
    times = more.pop("times", None)
    others = more.pop("others", {})
    where = list(steps or range(10, 10 + 10 * len(losses), 10))
    name = "loss" if kind in {"trainer_state", "text", "jsonl", "csv"} else "train/loss"
    series = [Series.of(name, where, losses, times=times)] if len(losses) else []
    series += [Series.of(other, where[: len(values)], values) for other, values in others.items()]
    suffix = {"trainer_state": "trainer_state.json", "text": "train.log", "csv": "metrics.csv", "wandb": "run-a.wandb"}.get(
        kind, "events.out.tfevents.1"
    )
    return Log(kind=kind, path=Path("/root", place, suffix), name=kind, series=tuple(series), **more)


def sizes(*logs: Log) -> list[int]:
    return sorted(len(one.members) for one in group(logs)[0])


def float32(values: Sequence[float]) -> list[float]:
    return [float(np.float32(value)) for value in values]


def loss_of(one: Log) -> Series:
    return next(series for series in one.series if series.name in {"loss", "train/loss"})


def test_state_events_wandb_and_console_of_one_run_are_one() -> None:
    printed = [float(f"{value:.4g}") for value in CURVE]
    logs = [
        log("trainer_state", place="checkpoint-200"),
        log("tensorboard", float32(CURVE), "runs/Nov21"),
        log("wandb", CURVE[:-1], "wandb/run-a", step_is="call", steps=range(19)),
        log("text", printed, step_is="call", steps=range(1, 21)),
    ]
    (run,), left = group(logs)
    assert len(run.members) == 4
    assert not left
    assert loss_of(run.joined).steps.tolist() == STEPS
    np.testing.assert_allclose(loss_of(run.joined).values, CURVE, rtol=1e-6)


def test_rounded_by_the_trainer_and_full_in_the_events() -> None:
    full = [value + 0.00003 * math.sin(step) for step, value in zip(STEPS, CURVE, strict=True)]
    assert sizes(log("trainer_state"), log("tensorboard", float32(full))) == [2]


def test_a_state_of_a_checkpoint_knows_less_than_the_events() -> None:
    (run,), _ = group([log("trainer_state", CURVE[:12]), log("tensorboard", CURVE)])
    assert len(loss_of(run.joined).steps) == 20
    assert [run.remark(member) for member in run.members] == ["joined: the same run", "knows most"]


@settings(max_examples=200, deadline=None)
@given(
    losses=st.lists(st.floats(0.1, 9.0), min_size=4, max_size=20),
    apart=st.lists(st.floats(0.004, 3.0), min_size=20, max_size=20),
    kinds=st.tuples(st.sampled_from(["trainer_state", "csv", "jsonl"]), st.sampled_from(["tensorboard", "wandb", "trainer_state"])),
)
def test_runs_with_different_losses_never_merge(losses: list[float], apart: list[float], kinds: tuple[str, str]) -> None:
    """More than the rounding to 3 decimals apart, in more than a tenth of the rows."""
    others = [value + more for value, more in zip(losses, apart, strict=False)]
    assert sizes(log(kinds[0], losses), log(kinds[1], others)) == [1, 1]


@settings(max_examples=100, deadline=None)
@given(losses=st.lists(st.floats(0.1, 9.0), min_size=4, max_size=20, unique_by=lambda x: round(x, 3)), count=st.integers(4, 20))
def test_one_run_in_two_precisions_is_always_one(losses: list[float], count: int) -> None:
    assert sizes(log("trainer_state", [round(x, 4) for x in losses[:count]]), log("tensorboard", float32(losses))) == [2]


@pytest.mark.parametrize("value", [0.0, 0.6931, math.nan])
def test_losses_that_say_nothing_are_told_apart_by_the_place(value: float) -> None:
    same = [value] * 20
    one = log("trainer_state", same, "a"), log("tensorboard", same, "a/runs")
    other = log("trainer_state", same, "b"), log("tensorboard", same, "b/runs")
    runs, _ = group([*one, *other])
    assert [{m.path.parts[2] for m in run.members} for run in runs] == [{"a"}, {"b"}]


def test_losses_that_say_nothing_are_joined_by_what_does() -> None:
    norms = [1 + step % 7 / 3 for step in STEPS]
    runtimes = {"eval_runtime": [11.2345, 11.3456]}
    state = log("trainer_state", [0.0] * 20, "a", others={"grad_norm": norms})
    assert sizes(state, log("wandb", [0.0] * 20, "wandb/run-a", others={"train/grad_norm": norms})) == [2]
    state = log("trainer_state", [math.nan] * 20, "a", others=runtimes)
    assert sizes(state, log("wandb", [math.nan] * 20, "wandb/run-a", others={"eval/runtime": runtimes["eval_runtime"]})) == [2]
    assert sizes(state, log("wandb", [math.nan] * 20, "wandb/run-a", others={"eval/runtime": [12.1234, 12.4321]})) == [1, 1]


def test_the_clock_tells_a_repeated_training_from_its_copy() -> None:
    now = [1.7e9 + step for step in STEPS]
    later = [time + 86_400 for time in now]
    assert sizes(log("tensorboard", times=now), log("wandb", times=[time + 0.2 for time in now])) == [2]
    assert sizes(log("tensorboard", times=now), log("wandb", times=later)) == [1, 1]
    assert sizes(log("tensorboard", times=now), log("tensorboard", place="copy", times=now)) == [2]
    assert sizes(log("tensorboard", times=now), log("tensorboard", place="again", times=later)) == [1, 1]


def test_a_copy_adds_no_point() -> None:
    now = [1.7e9 + step for step in STEPS]
    (run,), _ = group([log("tensorboard", times=now), log("trainer_state"), log("tensorboard", place="copy", times=now)])
    assert len(loss_of(run.joined).steps) == 20
    assert "a copy" in [run.remark(member) for member in run.members]


def test_a_resume_in_two_event_files_is_joined_in_the_order_of_writing() -> None:
    first = log("tensorboard", CURVE[:12], "runs/1", started=100.0)
    second = log("tensorboard", CURVE[9:], "runs/2", steps=STEPS[9:], started=200.0)
    joined = join([second, log("trainer_state"), first])
    assert loss_of(joined).steps.tolist() == STEPS[:12] + STEPS[9:]


def test_runs_without_a_loss_are_compared_by_their_curves() -> None:
    boxes = {"train/box_loss": [0.1116, 0.0987, 0.0855], "metrics/precision": [0.0012, 0.0034, 0.0123], "x/lr0": [0.1, 0.05, 0.01]}
    others = {**boxes, "train/box_loss": [0.1216, 0.1087, 0.0955]}
    table = log("csv", [], steps=[1, 2, 3], step_is="epoch", others=boxes)
    assert sizes(table, log("tensorboard", [], steps=[0, 1, 2], others=boxes)) == [2]
    assert sizes(table, log("tensorboard", [], steps=[0, 1, 2], others=others)) == [1, 1]
    schedule = {"x/lr0": boxes["x/lr0"]}
    assert sizes(log("csv", [], steps=[1, 2, 3], others=schedule), log("tensorboard", [], steps=[1, 2, 3], others=schedule)) == [1, 1]


def test_rows_counted_by_a_console_are_moved_to_real_steps() -> None:
    event = LogEvent("oom", "CUDA out of memory", "train.log:99", step=20)
    text = log("text", CURVE, steps=range(1, 21), step_is="call", others={"tps": [float(100 + row) for row in range(20)]}, events=(event,))
    joined = join([log("trainer_state"), text])
    assert next(s for s in joined.series if s.name == "tps").steps.tolist() == STEPS
    assert joined.events[0].step == 200


def test_a_traceback_goes_to_the_run_it_lies_beside() -> None:
    crash = (LogEvent("traceback", "KeyError", "out.log:5"),)
    one, two = log("trainer_state", place="a"), log("trainer_state", [value + 1 for value in CURVE], "b")
    words = log("text", [], "b", events=crash)
    runs, left = group([one, two, words])
    assert [[m.kind for m in run.members] for run in runs] == [["trainer_state"], ["trainer_state", "text"]]
    assert not left
    runs, left = group([one, two, log("text", [], "c")])
    assert [len(run.members) for run in runs] == [1, 1]
    assert [one.kind for one in left] == ["text"]


def test_a_wandb_run_that_died_before_its_first_row_is_its_own() -> None:
    dead = log("wandb", [], "wandb/run-dead", events=(LogEvent("oom", "CUDA out of memory", "output.log:5"),))
    assert sizes(log("trainer_state"), dead) == [1, 1]
    assert sizes(dead, log("wandb", [], "wandb/run-dead-too")) == [1, 1]


def test_a_summary_joins_the_run_it_ends_like() -> None:
    summary = log("wandb", CURVE[-1:], "wandb/run-a", steps=[200])
    assert sizes(log("trainer_state"), summary) == [2]
    assert sizes(log("trainer_state"), log("wandb", [CURVE[-1] + 0.5], "wandb/run-a", steps=[200])) == [1, 1]


def test_the_same_message_is_kept_once_and_all_faults_are() -> None:
    event = LogEvent("oom", "CUDA out of memory", "/a/output.log:7")
    faults = [Fault("bad-crc", f"file:{place}", "a record") for place in range(2)]
    joined = join([
        log("trainer_state", faults=(faults[0],)),
        log("wandb", events=(event,), faults=(faults[1],)),
        log("text", events=(LogEvent("oom", "CUDA out of memory", "output.log:7"),)),
    ])  # fmt: skip
    assert len(joined.events) == 1
    assert joined.faults == tuple(faults)


def test_long_logs_are_compared_in_linear_time() -> None:
    """Every second step differs and every step comes twice: no search for each of them."""
    count = 200_000
    steps = [step // 2 for step in range(count)]
    values = np.sin(np.arange(count)) + 2
    odd = values + (np.arange(count) % 4 < 2) * 0.5
    one, two = (Log("csv", Path("/a"), "a", (Series.of("loss", steps, v),)) for v in (values, odd))
    runs, _ = group([one, two])
    assert len(runs) == 2
