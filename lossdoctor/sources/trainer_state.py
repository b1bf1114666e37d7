"""HuggingFace `trainer_state.json`: one file -> one Log.

msgspec decodes strictly; real files hold bare NaN and Infinity (105 of 1,172 surveyed), which only the standard library takes, so it is
the second try. A file cut short is salvaged entry by entry. Entries are grouped by their keys and turned into columns group by group.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss, Setting
from lossdoctor.run.log import Log, Series
from lossdoctor.sources.files import read_bytes

Entry = dict[str, Any]
_STATE_SETTINGS = ("max_steps", "num_train_epochs", "logging_steps", "eval_steps", "save_steps", "train_batch_size")
_SALVAGE_KEYS = ("global_step", "max_steps", "num_train_epochs", "epoch")


def looks_like(head: bytes) -> bool:
    """Whether the first bytes of a JSON file can be a trainer state: its keys are sorted, so log_history may come late."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"{") and any(key in head for key in (b'"log_history"', b'"best_metric"', b'"best_global_step"', b'"best_model_checkpoint"'))


def read(path: Path, limits: Limits = LIMITS) -> Log:
    """Read one state file; raises `Unreadable` where it is no trainer state at all."""
    data = read_bytes(path, limits.json_bytes)
    state, faults = _decode(data, path)
    history = state.get("log_history")
    if not isinstance(history, list) or not isinstance(state.get("global_step", 0), int | float):
        raise Unreadable(f"{path.name}: not a HuggingFace trainer state (no log_history list)")
    series, notes = columns(history)
    step = _whole(state.get("global_step"))
    planned = _whole(state.get("max_steps"))
    stopped, early = _ending(state, step, planned)
    return Log(
        kind="trainer_state", path=path, name=path.parent.name or path.name, series=series, settings=_settings(state), faults=faults, planned_steps=planned,
        planned_epochs=_number(state.get("num_train_epochs")), finished=stopped, early_stopped=early, reached_step=step, best_step=_best_step(state), framework="transformers", notes=notes,
    )  # fmt: skip


def columns(history: Sequence[Any]) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """Turn log_history into one Series a key, in logging order, and say what was left out."""
    groups: dict[tuple[str, ...], tuple[list[int], list[Entry]]] = {}
    odd = 0
    for index, entry in enumerate(history):
        if not isinstance(entry, dict):
            odd += 1
            continue
        rows = groups.setdefault(tuple(entry), ([], []))
        rows[0].append(index)
        rows[1].append(entry)
    pieces: dict[str, list[tuple[Any, Any, Any, Any]]] = {}
    left_out: dict[str, int] = {}
    for keys, (indexes, entries) in groups.items():
        if "step" not in keys:
            odd += len(entries)
            continue
        steps, good = _column(entries, "step")
        # A step beyond int64 or fractional is no place on the axis.
        good &= np.abs(np.where(good, steps, 0)) < 2**62
        order = np.asarray(indexes, dtype=np.int64)
        epochs = _column(entries, "epoch")[0] if "epoch" in keys else np.full(len(entries), np.nan)
        for key in keys:
            if key in {"step", "epoch"}:
                continue
            values, numeric = _column(entries, key)
            rows_kept = good & numeric
            if not rows_kept.all():
                left_out[key] = left_out.get(key, 0) + int((~rows_kept).sum())
            if rows_kept.any():
                pieces.setdefault(key, []).append((order[rows_kept], steps[rows_kept], values[rows_kept], epochs[rows_kept]))
    series = tuple(_join(key, parts) for key, parts in pieces.items())
    notes = [f"{count} values of {key} are not numbers or have no usable step" for key, count in left_out.items()]
    if odd:
        notes.append(f"{odd} log entries without a step were left out")
    return series, tuple(notes)


def _join(key: str, parts: list[tuple[Any, Any, Any, Any]]) -> Series:
    order, steps, values, epochs = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(parts) > 1:
        rank = np.argsort(order, kind="stable")
        steps, values, epochs = steps[rank], values[rank], epochs[rank]
    return Series.of(key, steps.astype(np.int64), values, epochs)


def _column(entries: list[Entry], key: str) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.bool_]]]:
    """One key of like entries as float64, and which of them are numbers."""
    raw = list(map(itemgetter(key), entries))
    if set(map(type, raw)) <= {float, int}:
        try:
            return np.array(raw, dtype=np.float64), np.ones(len(raw), dtype=bool)
        except (OverflowError, ValueError):
            pass
    numbers = [_number(value) for value in raw]
    known = np.array([n is not None for n in numbers], dtype=bool)
    return np.array([math.nan if n is None else n for n in numbers], dtype=np.float64), known


def _number(value: Any) -> float | None:
    """A logged value as a float; booleans, containers and words are no numbers, '12.5%' and '1e-4' are."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        try:
            return float(value.strip().removesuffix("%"))
        except ValueError:
            return None
    return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and math.isfinite(number) and 0 <= number < 2**62 else None


def _decode(data: bytes, path: Path) -> tuple[Mapping[str, Any], tuple[Fault, ...]]:
    faults: list[Fault] = []
    stripped = data.rstrip(b"\x00")
    if len(stripped) < len(data):
        faults.append(Fault("nul-tail", path.name, f"{len(data) - len(stripped)} NUL bytes at the end were stripped", Loss.BENIGN))
    text = stripped.removeprefix(b"\xef\xbb\xbf")
    try:
        state = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        state, more = _decode_tolerant(text, path)
        faults += more
    if not isinstance(state, dict):
        raise Unreadable(f"{path.name}: JSON, but not a HuggingFace trainer state")
    return state, tuple(faults)


def _decode_tolerant(data: bytes, path: Path) -> tuple[Any, list[Fault]]:
    """The standard library's parser takes NaN and Infinity; what even it refuses is salvaged."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", "replace")
        fault = Fault("bad-utf8", f"{path.name}:{error.start}", "bytes that are not UTF-8 were replaced", Loss.LOSSY)
        return _decode_tolerant(text.encode(), path)[0], [fault]
    try:
        return json.loads(text), []
    except RecursionError:
        raise Unreadable(f"{path.name}: JSON nested too deeply") from None
    except ValueError as error:
        place = error.pos if isinstance(error, json.JSONDecodeError) else 0
        return _salvage(text, path, place)


def _salvage(text: str, path: Path, place: int) -> tuple[Any, list[Fault]]:
    """Read the log entries that are whole out of a file that was cut or damaged."""
    start = text.find('"log_history"')
    bracket = text.find("[", start) if start >= 0 else -1
    if bracket < 0:
        raise Unreadable(f"{path.name}: not valid JSON (byte {place}) and no log_history to salvage")
    decoder, entries, position = json.JSONDecoder(), [], bracket + 1
    while True:
        position = _skip(text, position)
        if text[position : position + 1] != "{":
            break
        try:
            entry, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        entries.append(entry)
    state: dict[str, Any] = {"log_history": entries}
    for key in _SALVAGE_KEYS:
        found = text.find(f'"{key}":', 0, start)
        if found >= 0:
            try:
                state[key], _ = decoder.raw_decode(text, _skip(text, found + len(key) + 3))
            except ValueError:
                continue
    detail = f"the file breaks off or is damaged at byte {place}; {len(entries)} whole log entries were recovered, use an earlier checkpoint's trainer_state.json for the rest"
    return state, [Fault("truncated-json", f"{path.name}:{place}", detail, Loss.LOSSY)]


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n,":
        position += 1
    return position


def _settings(state: Mapping[str, Any]) -> tuple[Setting, ...]:
    found = []
    for name in _STATE_SETTINGS:
        value = state.get(name)
        number = _number(value)
        if number is not None and math.isfinite(number) and abs(number) < 1e15 and not isinstance(value, str):
            found.append(Setting(name, value, "trainer_state.json"))
    return tuple(found)


def _ending(state: Mapping[str, Any], step: int | None, planned: int | None) -> tuple[bool | None, bool]:
    """(finished, early stopped): the control's should_training_stop before the plan's end is an early stop."""
    callbacks = state.get("stateful_callbacks")
    control = callbacks.get("TrainerControl") if isinstance(callbacks, dict) else None
    args = control.get("args") if isinstance(control, dict) else None
    stop = args.get("should_training_stop") if isinstance(args, dict) else None
    at_end = step is not None and planned is not None and 0 < planned <= step
    if at_end:
        return True, False
    return (True, True) if stop is True else (None, False)


def _best_step(state: Mapping[str, Any]) -> int | None:
    step = _whole(state.get("best_global_step"))
    if step:
        return step
    name = state.get("best_model_checkpoint")
    tail = name.replace("\\", "/").rstrip("/").rpartition("-")[2] if isinstance(name, str) else ""
    return int(tail) if tail.isdigit() and len(tail) < 16 else None


def is_prefix(shorter: Log, longer: Log) -> bool:
    """Whether one log_history is the beginning of the other: then both are states of the same run."""
    if _length(shorter) > _length(longer) or not shorter.series:
        return not shorter.series
    others = {s.name: s for s in longer.series}
    return all(_is_prefix(series, others.get(series.name)) for series in shorter.series)


def _is_prefix(one: Series, other: Series | None) -> bool:
    n = len(one.steps)
    return other is not None and len(other.steps) >= n and bool(np.array_equal(one.steps, other.steps[:n]) and np.array_equal(one.values, other.values[:n], equal_nan=True))


def _length(log: Log) -> int:
    return max((len(s.steps) for s in log.series), default=0)


def newest_of_each_run(logs: Iterable[Log]) -> list[tuple[Log, tuple[Log, ...]]]:
    """Group the states of one output directory into runs; return each run's longest state with the older ones."""
    runs: list[tuple[Log, list[Log]]] = []
    for log in sorted(logs, key=lambda one: (-_length(one), -one.points, -(one.reached_step or 0), str(one.path))):
        home = next((run for run in runs if is_prefix(log, run[0])), None)
        if home is None:
            runs.append((log, []))
        else:
            home[1].append(log)
    return [(newest, tuple(older)) for newest, older in runs]
