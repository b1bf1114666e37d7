"""What was found at a path, before any diagnosis: sources, signals, settings, checkpoints, events, damage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from lossdoctor.model import Checkpoint, Fault
from lossdoctor.numerals import number
from lossdoctor.reporters.prepare import inert
from lossdoctor.reporters.safe_text import clean
from lossdoctor.reporters.terminal.console import ascii_only
from lossdoctor.run import Run, Signal

FORMATS = ("text", "json")


def render(
    argument: str,
    runs: Sequence[Run],
    faults: Sequence[Fault],
    ignored: Sequence[tuple[str, str]],
    form: str = "text",
    *,
    unicode: bool = True,
) -> str:
    """The inventory as tables or as one JSON object; `ignored` holds (path, reason). Secrets are redacted, text is inert."""
    argument, faults, ignored, runs = inert(argument), inert(tuple(faults)), inert(tuple(ignored)), [_inert(run) for run in runs]
    if form == "json":
        whole = {
            "schema_version": 1,
            "argument": argument,
            "runs": [_plain(run) for run in runs],
            "faults": [msgspec.to_builtins(fault) for fault in faults],
            "ignored": [{"path": path, "reason": reason} for path, reason in ignored],
        }
        return msgspec.json.format(msgspec.json.encode(_strict(whole)), indent=2).decode() + "\n"
    lines = [line for run in runs for line in _run(run)]
    lines += _section("could not be read" if not runs else "beside the runs", [(f.kind, f.where, f.detail) for f in faults])
    lines += _section("left aside", [(path, reason) for path, reason in ignored[:50]])
    if len(ignored) > 50:
        lines.append(f"    and {len(ignored) - 50} more")
    text = "\n".join(lines or [f"{clean(argument)}: no training log was found here"]).rstrip() + "\n"
    return text if unicode else ascii_only(text)


def _run(run: Run) -> Iterator[str]:
    plan = f" of {run.planned_steps} planned" if run.planned_steps else ""
    yield clean(f"{run.name}: {run.step_is}s {run.first_step} to {run.last_step}{plan}, {run.points} values, {run.task or 'unknown task'}")
    yield from _section("sources", [(s.kind, str(s.points), s.path, s.remark) for s in run.sources])
    yield from _section("signals", [_signal_row(signal) for _, signal in sorted(run.signals.items())])
    settings = [(s.name, _value(s.value), s.source, _conflicts(s.conflicts)) for s in run.settings.values()]
    yield from _section("settings", settings)
    yield from _section("checkpoints", [_checkpoint_row(c) for c in run.checkpoints])
    yield from _section("log events", [(e.kind, "" if e.step is None else f"step {e.step}", e.where, e.text) for e in run.events])
    yield from _section("damage", [(f.kind, f.loss.value, f.where, f.detail) for f in run.faults])


def _section(title: str, rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A heading and its rows in aligned columns; nothing where there is none."""
    if not rows:
        return []
    shown = [[clean(cell) for cell in row] for row in rows]
    widths = [min(max(len(row[i]) for row in shown), 48) for i in range(len(shown[0]) - 1)]
    body = ["    " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in shown]
    return [f"  {title}", *body, ""]


def _signal_row(signal: Signal) -> tuple[str, ...]:
    finite = signal.values[np.isfinite(signal.values)]
    lost = len(signal) - len(finite)
    span = f"{signal.steps.min()} to {signal.steps.max()}" if len(signal) else ""
    reach = f"{number(float(finite.min()))} to {number(float(finite.max()))}" if len(finite) else "no finite value"
    raw = "" if signal.raw_name == signal.name else f"logged as {signal.raw_name}"
    return (signal.name, str(len(signal)), span, reach, f"{lost} not finite" if lost else "", raw)


def _checkpoint_row(checkpoint: Checkpoint) -> tuple[str, ...]:
    whole = {True: "whole", False: "damaged", None: "not checked"}[checkpoint.whole]
    resumable = {True: "resumable", False: "not resumable", None: ""}[checkpoint.resumable]
    return (f"step {checkpoint.step}", whole, resumable, checkpoint.path, checkpoint.problem or "")


def _conflicts(conflicts: Sequence[tuple[str, Any]]) -> str:
    return "; ".join(f"{source} says {_value(value)}" for source, value in conflicts)


def _value(value: Any) -> str:
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _plain(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "path": run.path,
        "task": run.task,
        "framework": run.framework,
        "step_is": run.step_is,
        "planned_steps": run.planned_steps,
        "reached_step": run.reached_step,
        "finished": run.finished,
        "sources": [msgspec.to_builtins(source) for source in run.sources],
        "signals": {name: _signal(signal) for name, signal in sorted(run.signals.items())},
        "settings": {s.name: {"value": s.value, "source": s.source, "conflicts": s.conflicts} for s in run.settings.values()},
        "checkpoints": [msgspec.to_builtins(checkpoint) for checkpoint in run.checkpoints],
        "log_events": [msgspec.to_builtins(event) for event in run.events],
        "faults": [msgspec.to_builtins(fault) for fault in run.faults],
        "notes": list(run.notes),
    }


def _signal(signal: Signal) -> dict[str, Any]:
    finite = signal.values[np.isfinite(signal.values)]
    return {
        "logged_as": signal.raw_name,
        "values": len(signal),
        "not_finite": len(signal) - len(finite),
        "first_step": int(signal.steps.min()) if len(signal) else None,
        "last_step": int(signal.steps.max()) if len(signal) else None,
        "minimum": float(finite.min()) if len(finite) else None,
        "maximum": float(finite.max()) if len(finite) else None,
        "segments": int(signal.segments.max()) + 1 if len(signal) else 0,
    }


def _inert(run: Run) -> Run:
    """The run with every word of it safe to show."""
    words = (run.name, run.path, run.sources, tuple(run.settings.values()), run.checkpoints, run.events, run.faults, run.notes)
    name, path, sources, settings, checkpoints, events, faults, notes = inert(words)
    signals = [replace(signal, name=inert(signal.name), raw_name=inert(signal.raw_name)) for signal in run.signals.values()]
    return replace(
        run,
        name=name,
        path=path,
        sources=sources,
        settings={s.name: s for s in settings},
        checkpoints=checkpoints,
        events=events,
        faults=faults,
        notes=notes,
        signals={s.name: s for s in signals},
    )


def _strict(value: Any) -> Any:
    """Numbers that JSON has no word for become one."""
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return [_strict(item) for item in value] if isinstance(value, list | tuple) else value
