"""Find, read and check a policy file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from lossdoctor.errors import PathMissing, UsageError
from lossdoctor.policy.check import find_rule, flat_limits, rule_faults, shape_faults
from lossdoctor.policy.file import Limits, OverrideTable, PolicyFile, SuppressTable
from lossdoctor.policy.model import FailOn, GateRules, Layer, Policy, Suppression
from lossdoctor.policy.presets import PRESETS
from lossdoctor.rulebook import Rule

FILE_NAME = "lossdoctor.toml"
MAX_BYTES = 1 << 20


def load(path: Path | None, start: Path, rules: Sequence[Rule]) -> Policy:
    """Read the policy at `path`; without one, the nearest lossdoctor.toml or pyproject.toml with [tool.lossdoctor] from `start` upwards.

    Where there is none, the preset finetune holds. Raises PathMissing for a path that does not exist, UsageError for a file that cannot be
    read or that is wrong, with every mistake as `file: dotted key: what is wrong; did you mean ...?`.
    """
    if path is not None:
        if not path.exists():
            raise PathMissing(f"{path}: there is no such policy file")
        table = _table(path)
        if table is None:
            raise UsageError(f"{path}: there is no table [tool.lossdoctor] in it")
        return parse(table, rules, path)
    for folder in (start, *start.resolve().parents):
        for candidate in (folder / FILE_NAME, folder / "pyproject.toml"):
            if candidate.is_file() and (table := _table(candidate)) is not None:
                return parse(table, rules, candidate)
    return parse({}, rules, None)


def parse(table: Mapping[str, object], rules: Sequence[Rule], path: Path | None) -> Policy:
    """Make a policy of a parsed table; `path` is the file it stands in, None for the built-in defaults."""
    where = str(path) if path is not None else "built-in policy"
    faults = shape_faults(table)
    if not faults:
        file = msgspec.convert(table, PolicyFile)
        faults = list(rule_faults(file, rules))
    if faults:
        raise UsageError("\n".join(f"{where}: {fault}" for fault in faults))
    preset = msgspec.convert(PRESETS[file.preset], PolicyFile)
    return Policy(
        source="" if path is None else str(path),
        preset=file.preset,
        gate=_gate(preset, file, path, where),
        layers=(_layer(preset, rules), _layer(file, rules), *(_layer(o, rules) for o in file.override)),
        suppressions=tuple(_suppression(s, f"{path.name if path else where}: suppress[{i}]") for i, s in enumerate(file.suppress)),
    )


def _suppression(table: SuppressTable, where: str) -> Suppression:
    return Suppression(table.rule, table.reason.strip(), table.run, None if table.until is UNSET else table.until, where)


def _gate(preset: PolicyFile, file: PolicyFile, path: Path | None, where: str) -> GateRules:
    own, base = file.gate, preset.gate
    paths = [] if own.baseline is UNSET else [own.baseline] if isinstance(own.baseline, str) else own.baseline
    folder = path.parent if path is not None else Path()
    fail_on = next((v for v in (own.fail_on, base.fail_on) if v is not UNSET), FailOn.ERROR)
    if fail_on is FailOn.NEW_ERROR and own.baseline is not UNSET and not paths:
        raise UsageError(f"{where}: gate.baseline: new-error needs at least one report here")
    return GateRules(fail_on, tuple(folder / p for p in paths), own.allow_inconclusive is True, own.allow_damage is True)


def _layer(table: PolicyFile | OverrideTable, rules: Sequence[Rule]) -> Layer:
    asks = table if isinstance(table, OverrideTable) else table.gate
    return Layer(
        run=table.run if isinstance(table, OverrideTable) else "*",
        levels=table.rules,
        limits=_limits(table.limits, rules),
        require_signals=None if asks.require_signals is UNSET else tuple(asks.require_signals),
        min_evals=None if asks.min_evals is UNSET else asks.min_evals,
    )


def _limits(limits: Limits, rules: Sequence[Rule]) -> dict[str, float]:
    """The limits by rule name, whatever spelling the file has."""
    found: dict[str, float] = {}
    for _, (rule, threshold), value in flat_limits(limits):
        known = find_rule(rule, rules)
        found[f"{known.name if known else rule}.{threshold}"] = value
    return found


def _table(path: Path) -> Mapping[str, Any] | None:
    """The policy's table in a file; None for a pyproject.toml without one, even a broken one: it is not ours to judge."""
    try:
        if not path.is_file():
            raise UsageError(f"{path}: not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than {MAX_BYTES >> 20} MiB, this is no policy file")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    foreign = path.name == "pyproject.toml"
    if foreign and "tool.lossdoctor" not in text.replace(" ", ""):
        return None
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    if not foreign:
        return table
    tool = table.get("tool", {})
    found = tool.get("lossdoctor") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else None
