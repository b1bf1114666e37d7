"""trainer_state.json: what real files hold, what damage costs, and the columns that come of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.run.log import Log, Series
from lossdoctor.sources import state_json, trainer_state


def entry(step: int, /, **more: Any) -> dict[str, Any]:
    return {"epoch": step / 100, "grad_norm": 1.5, "learning_rate": 2e-4, "loss": round(2.5 - step / 1000, 4), "step": step, **more}


def state(history: list[Any], **more: Any) -> dict[str, Any]:
    return {"best_metric": None, "epoch": 1.0, "global_step": 100, "log_history": history, "logging_steps": 10, "max_steps": 200} | more


def write(tmp_path: Path, content: Any, name: str = "trainer_state.json") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=2).encode())
    return path


def read(tmp_path: Path, content: Any, limits: Limits | None = None) -> Log:
    return trainer_state.read(write(tmp_path, content), limits or Limits())


def series(log: Log, name: str) -> Series:
    return next(one for one in log.series if one.name == name)


def names(log: Log) -> set[str]:
    return {one.name for one in log.series}


def kinds(log: Log) -> list[str]:
    return [fault.kind for fault in log.faults]


def test_a_plain_state(tmp_path: Path) -> None:
    log = read(tmp_path, state([entry(10), entry(20), {"epoch": 0.2, "eval_loss": 2.6, "step": 20}, entry(30)], num_train_epochs=2))
    loss = series(log, "loss")
    assert loss.steps.tolist() == [10, 20, 30]
    assert loss.values.tolist() == [2.49, 2.48, 2.47]
    assert loss.epochs.tolist() == [0.1, 0.2, 0.3]
    assert series(log, "eval_loss").steps.tolist() == [20]
    assert (log.planned_steps, log.planned_epochs, log.reached_step, log.finished) == (200, 2.0, 100, None)
    assert {s.name: s.value for s in log.settings} == {"max_steps": 200, "num_train_epochs": 2, "logging_steps": 10}
    assert not log.faults
    assert not log.notes


def test_bare_nan_and_infinity_are_data(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        state([entry(1, loss=math.nan), entry(2, loss=math.inf), entry(3, loss=-math.inf), entry(4, loss=0.0, grad_norm=math.nan)]),
    )
    np.testing.assert_array_equal(series(log, "loss").values, [math.nan, math.inf, -math.inf, 0.0])
    np.testing.assert_array_equal(series(log, "grad_norm").values, [1.5, 1.5, 1.5, math.nan])
    assert not log.faults


def test_a_word_that_looks_like_a_bare_nan_inside_a_string(tmp_path: Path) -> None:
    log = read(tmp_path, state([entry(1, remark='he said: NaN", "x": NaN'), entry(2, loss=math.nan, remark="loss: NaN")]))
    np.testing.assert_array_equal(series(log, "loss").values, [2.499, math.nan])
    assert "remark" not in names(log)


def test_numbers_in_strings_and_what_is_no_number(tmp_path: Path) -> None:
    history = [
        entry(
            1,
            loss="2.5",
            grad_norm="nan",
            learning_rate="1e-4",
            share="12.5%",
            flag=True,
            words="abc",
            nothing=None,
            several=[1, 2],
            inner={"a": 1},
        ),
        entry(2, loss=2, grad_norm=1, learning_rate=0, share="50%", flag=False, words="", nothing=None, several=[], inner={}),
    ]
    log = read(tmp_path, state(history))
    assert series(log, "loss").values.tolist() == [2.5, 2.0]
    assert math.isnan(series(log, "grad_norm").values[0])
    assert series(log, "learning_rate").values.tolist() == [1e-4, 0.0]
    assert series(log, "share").values.tolist() == [12.5, 50.0]
    assert names(log) == {"loss", "grad_norm", "learning_rate", "share"}
    assert sorted(note.split()[3] for note in log.notes) == ["flag", "inner", "nothing", "several", "words"]


def test_numbers_beyond_a_float(tmp_path: Path) -> None:
    text = json.dumps(state([entry(1, loss=11.25), entry(2, loss=22.25), entry(3), entry(4, num_tokens=10**30)]))
    log = read(tmp_path, text.replace("11.25", "1e400").replace("22.25", "9" * 5000).encode())
    assert series(log, "loss").values.tolist() == [math.inf, math.inf, 2.497, 2.496]
    assert series(log, "num_tokens").values.tolist() == [1e30]
    (fault,) = log.faults
    assert (fault.kind, fault.loss) == ("number-too-large", Loss.BENIGN)
    assert fault.detail.startswith("2 numbers")


@pytest.mark.parametrize("step", [2**63, 1e300, 2.5, math.nan, -math.inf, "word", True, None])
def test_a_step_that_is_no_place_costs_its_row_alone(tmp_path: Path, step: Any) -> None:
    log = read(tmp_path, state([entry(1), entry(2, step=step), entry(3)]))
    assert series(log, "loss").steps.tolist() == [1, 3]
    assert any(note.startswith("1 values of loss") for note in log.notes)


def test_steps_stay_as_they_are_logged(tmp_path: Path) -> None:
    steps = [5, 5, 3, -1, 2**53 - 1, 0]
    assert series(read(tmp_path, state([entry(step) for step in steps])), "loss").steps.tolist() == steps


def test_entries_without_a_step_are_counted(tmp_path: Path) -> None:
    log = read(tmp_path, state([entry(1), {"predict_loss": 2.0, "predict_runtime": 3.0}, None, 7, "words", [entry(2)], entry(3)]))
    assert series(log, "loss").steps.tolist() == [1, 3]
    assert "5 log entries without a step were left out" in log.notes


@pytest.mark.parametrize("history", [[], [entry(1)], [{"eval_loss": 1.0, "step": 5}]])
def test_little_data_is_no_damage(tmp_path: Path, history: list[Any]) -> None:
    log = read(tmp_path, state(history))
    assert not log.faults
    assert max((len(one.steps) for one in log.series), default=0) == len(history)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"log_history": 5, "global_step": 1}',
        b'{"log_history": {"a": []}}',
        b'{"state": {"log_history": []}}',
        b"\x00\x00",
        b"not json",
    ],
)
def test_another_tools_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(tmp_path, content)


def test_global_step_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="global_step"):
        read(tmp_path, state([entry(1)], global_step={"a": 1}))


def test_a_git_lfs_pointer_and_an_empty_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="git lfs pull"):
        read(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(Unreadable, match="empty"):
        read(tmp_path, b"")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: b"\xef\xbb\xbf" + t,
        lambda t: t.replace(b"\n", b"\r\n"),
        lambda t: b"\n\t " + t + b"\n\n",
        lambda t: json.dumps(json.loads(t)).encode(),
    ],
)
def test_bom_line_ends_and_blanks_do_not_matter(tmp_path: Path, change: Any) -> None:
    text = json.dumps(state([entry(step) for step in range(20)]), indent=2).encode()
    log = read(tmp_path, change(text))
    assert series(log, "loss").steps.tolist() == list(range(20))
    assert log.planned_steps == 200
    assert not log.faults


def test_a_tail_of_zeros_is_stripped_and_said(tmp_path: Path) -> None:
    log = read(tmp_path, json.dumps(state([entry(1), entry(2)])).encode() + b"\x00" * 512)
    assert kinds(log) == ["nul-tail"]
    assert log.faults[0].loss is Loss.BENIGN
    assert len(series(log, "loss").steps) == 2


def test_of_like_keys_the_last_counts_and_it_is_said(tmp_path: Path) -> None:
    text = (
        json.dumps(state([entry(1), entry(2)]))
        .replace('"loss": 2.499', '"loss": 9, "loss": 8, "loss": 7')
        .replace('"max_steps"', '"max_steps": 5, "max_steps"')
    )
    log = read(tmp_path, text.encode())
    assert series(log, "loss").values.tolist() == [7.0, 2.498]
    assert log.planned_steps == 200
    assert kinds(log) == ["duplicate-key"]
    assert "loss (2 times)" in log.faults[0].detail
    assert "max_steps (1 times)" in log.faults[0].detail


def test_a_second_log_history_is_told_apart(tmp_path: Path) -> None:
    inner = {"trial": {"log_history": [{"loss": 99.0, "step": 1}]}}
    assert series(read(tmp_path, {**inner, **state([entry(1)])}), "loss").values.tolist() == [2.499]
    assert series(read(tmp_path, state([entry(1)], **inner)), "loss").values.tolist() == [2.499]


@pytest.mark.parametrize("where", ["entry", "field", "bare"])
def test_depth_bombs_are_refused(tmp_path: Path, where: str) -> None:
    bomb = b"[" * 100_000
    text = (
        json.dumps(state([entry(1, x="BOMB" if where == "entry" else 1)], y="BOMB" if where == "field" else 1))
        .encode()
        .replace(b'"BOMB"', bomb)
    )
    with pytest.raises(Unreadable):
        read(tmp_path, bomb if where == "bare" else text)


def test_absurd_plans_are_kept_out_of_the_settings(tmp_path: Path) -> None:
    log = read(tmp_path, state([entry(1)], num_train_epochs=9223372036854775807, max_steps=-1))
    assert "num_train_epochs" not in {s.name for s in log.settings}
    assert log.planned_steps is None


@pytest.mark.parametrize(
    ("more", "best"),
    [
        ({"best_global_step": 40}, 40),
        ({"best_model_checkpoint": "C:\\out\\checkpoint-60\\"}, 60),
        ({"best_model_checkpoint": "/x/checkpoint-²"}, None),
        ({"best_model_checkpoint": 5}, None),
    ],
)
def test_the_best_step(tmp_path: Path, more: dict[str, Any], best: int | None) -> None:
    assert read(tmp_path, state([entry(1)], **more)).best_step == best


@pytest.mark.parametrize(
    ("step", "stop", "expected"),
    [(200, False, (True, False)), (100, True, (True, True)), (100, False, (None, False)), (100, None, (None, False))],
)
def test_how_it_ended(tmp_path: Path, step: int, stop: bool | None, expected: tuple[bool | None, bool]) -> None:
    control = {"TrainerControl": {"args": {"should_training_stop": stop}}}
    log = read(tmp_path, state([entry(1)], global_step=step, stateful_callbacks=control))
    assert (log.finished, log.early_stopped) == expected


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """Everything before the cut is kept, nothing that was not written appears, and the fault is named."""
    text = json.dumps(state([entry(step) for step in range(1, 19)]), indent=2).encode()
    whole = series(read(tmp_path, text), "loss")
    ends = [place + 1 for place, byte in enumerate(text) if byte == ord("}")]
    for cut in range(len(text)):
        try:
            log = trainer_state.read(tmp_path, data=text[:cut])
        except Unreadable:
            assert cut <= text.index(b"[")
            continue
        count = sum(end <= cut for end in ends)
        found = series(log, "loss") if count else Series.of("loss", [], [])
        assert found.steps.tolist() == whole.steps[:count].tolist()
        assert found.values.tolist() == whole.values[:count].tolist()
        assert kinds(log) == ["truncated-json"]
        assert f"{count} whole log entries" in log.faults[0].detail
        assert log.reached_step == 100


def test_damage_in_the_middle_costs_one_entry(tmp_path: Path) -> None:
    text = json.dumps(state([entry(step) for step in range(100, 120)]), indent=2).encode()
    place = text.index(b'"loss"', text.index(b'"step": 107'))
    log = read(tmp_path, text[: place + 5] + b"\xff" + text[place + 6 :])
    assert series(log, "loss").steps.tolist() == [step for step in range(100, 120) if step != 108]
    assert log.planned_steps == 200
    assert sorted(kinds(log)) == ["bad-utf8", "truncated-json"]
    assert all(fault.loss is Loss.LOSSY for fault in log.faults)


@pytest.mark.parametrize("piece", [64, 300, 5000])
@pytest.mark.parametrize("damaged", [False, True])
def test_pieces_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, damaged: bool) -> None:
    """However the array is split, the columns are those of the whole."""
    history = [
        entry(1, note="}, {"),
        entry(2, inner=[{"a": 1}, {"b": [2]}]),
        entry(3, loss=math.nan),
        entry(4, loss="1.5"),
        *map(entry, range(5, 60)),
    ]
    text = json.dumps(state(history), indent=2).encode()
    text = text[:-700] if damaged else text
    expected = read(tmp_path, text)
    monkeypatch.setattr(state_json, "PIECE", piece)
    found = read(tmp_path, text)
    assert found.faults == expected.faults
    assert found.notes == expected.notes
    assert names(found) == names(expected)
    for one in expected.series:
        for column in ("steps", "values", "epochs"):
            np.testing.assert_array_equal(getattr(series(found, one.name), column), getattr(one, column))


def test_limits_are_told_with_the_figures(tmp_path: Path) -> None:
    history = [entry(step) for step in range(10)]
    with pytest.raises(Unreadable, match="more than 20 points"):
        read(tmp_path, state(history), Limits(points=20))
    with pytest.raises(Unreadable, match="more than 2 names"):
        read(tmp_path, state(history), Limits(tags=2))
    with pytest.raises(Unreadable, match="over the limit of 100"):
        read(tmp_path, state(history), Limits(json_bytes=100))


_VALUES = st.one_of(st.floats(), st.integers(-(2**62), 2**62))
_ENTRIES = st.fixed_dictionaries(
    {"step": st.integers(-(2**52), 2**52)},
    optional={"epoch": st.floats(0, 1e6), "loss": _VALUES, "eval_loss": _VALUES, "grad_norm": st.floats()},
)


@settings(max_examples=150, deadline=None)
@given(history=st.lists(_ENTRIES, max_size=12), indent=st.sampled_from([None, 2]))
def test_written_is_read(tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, Any]], indent: int | None) -> None:
    path = tmp_path_factory.mktemp("state") / "trainer_state.json"
    path.write_text(json.dumps(state(history), indent=indent))
    log = trainer_state.read(path)
    for key in ("loss", "eval_loss", "grad_norm"):
        rows = [row for row in history if key in row]
        found = next((one for one in log.series if one.name == key), Series.of(key, [], []))
        assert found.steps.tolist() == [row["step"] for row in rows]
        np.testing.assert_array_equal(found.values, [float(row[key]) for row in rows])
        np.testing.assert_array_equal(found.epochs, [row.get("epoch", math.nan) for row in rows])
    assert not log.faults


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bits_never_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = bytearray(json.dumps(state([entry(step) for step in range(8)]), indent=2).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("state") / "trainer_state.json"
    path.write_bytes(text)
    try:
        log = trainer_state.read(path)
    except Unreadable:
        return
    assert all(len(one.steps) == len(one.values) == len(one.epochs) == len(one.times) <= 8 for one in log.series)


def logs(tmp_path: Path, *histories: list[Any]) -> list[Log]:
    found = []
    for number, history in enumerate(histories):
        (tmp_path / f"checkpoint-{number}").mkdir()
        found.append(trainer_state.read(write(tmp_path / f"checkpoint-{number}", state(history, global_step=len(history)))))
    return found


def test_states_of_one_run_are_prefixes(tmp_path: Path) -> None:
    rows = [entry(step) for step in range(10)]
    ((newest, older),) = trainer_state.newest_of_each_run(logs(tmp_path, rows[:3], rows, rows[:7], []))
    assert newest.path.parent.name == "checkpoint-1"
    assert {log.path.parent.name for log in older} == {"checkpoint-0", "checkpoint-2", "checkpoint-3"}


def test_interleaved_checkpoints_of_two_runs_are_two(tmp_path: Path) -> None:
    one, two = [entry(step) for step in range(10)], [entry(step, loss=9 - step / 10) for step in range(12)]
    runs = trainer_state.newest_of_each_run(logs(tmp_path, one[:5], two[:6], one, two))
    assert [(newest.path.parent.name, len(older)) for newest, older in runs] == [("checkpoint-3", 1), ("checkpoint-2", 1)]
