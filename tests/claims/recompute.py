"""The claims of a diagnosis, recomputed from the raw history with pandas alone: none of the product's statistics is used here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from lossdoctor.model import Claim, Finding, State, Vital
from lossdoctor.run import Run

# Numbers that a claim may say without a row to look them up in.
ELSEWHERE = {"estimate", "setting", "log", "files", "limit", "reference", "plan"}
EXACT = 1e-9


@dataclass(frozen=True)
class History:
    """Raw rows (columns signal, step, value, time, segment, in logging order) and what is known of the run's length."""

    rows: pd.DataFrame
    ordered_by_signal: Mapping[str, pd.Series]
    last_step: int
    planned_steps: int | None

    @classmethod
    def of(cls, run: Run) -> History:
        ordered = {name: pd.Series(s.in_order.values, index=s.in_order.steps) for name, s in run.signals.items()}
        return cls(run.history, ordered, run.last_step, run.planned_steps)

    def raw(self, signal: str) -> pd.DataFrame:
        return self.rows[self.rows["signal"] == signal]

    def ordered(self, signal: str) -> pd.Series:
        """Finite values by step."""
        return self.ordered_by_signal.get(signal, pd.Series(dtype=float))


def wrong(finding: Finding, history: History) -> Iterator[str]:
    """Every claim of a finding that the history does not bear out."""
    for name, claim in finding.claims.items():
        value = finding.numbers.get(name)
        if isinstance(value, bool | str) or value is None:
            continue
        problem = check(claim, float(value), finding, history)
        if problem:
            yield f"{finding.rule}.{name} = {value!r} is said to be {claim}: {problem}"


def check(claim: Claim, value: float, finding: Finding | None, history: History) -> str:
    """Why a number is not what it claims to be; empty where it is."""
    kind = claim.statistic
    if kind in ELSEWHERE:
        return "" if kind != "plan" or value == history.planned_steps else f"the plan is {history.planned_steps}"
    if kind == "last step":
        return _equal(value, history.last_step)
    if kind == "formula":
        return _formula(claim.formula, value, finding, history)
    raw = history.raw(claim.signal)
    counted = _counted(kind, raw, claim)
    if counted is not None:
        return _equal(value, counted)
    every = history.ordered(claim.signal)
    rows = every if claim.first is None else every.loc[claim.first : claim.last]
    rows = rows / 2**30 if claim.formula == "in GiB" else rows
    if kind == "step":
        return "" if value in set(raw["step"]) else "no row has that step"
    if not len(rows):
        return f"no row between {claim.first} and {claim.last}"
    if kind == "level":
        return (
            ""
            if rows.min() * (1 - EXACT) <= value <= rows.max() * (1 + EXACT) or rows.min() <= value <= rows.max()
            else f"rows {rows.min()} to {rows.max()}"
        )
    if kind == "occurs":
        return "" if (rows == value).any() else "no row has that value"
    return _equal(value, _statistic(kind, rows, claim.limit))


def _statistic(kind: str, rows: pd.Series, limit: float | None) -> float:
    statistic, _, side = kind.partition(" ")
    if statistic in ("rows", "share"):
        held = {
            "": rows.notna,
            "above": lambda: (rows > limit) & ~((rows - limit).abs() <= 1e-5 * abs(limit)),
            "below": lambda: rows < limit,
            "at most": lambda: rows <= limit,
            "at least": lambda: rows >= limit,
        }[side]()
        return float(held.sum() if statistic == "rows" else held.mean())
    eighth = max(1, len(rows) // 8)
    return {
        "value": lambda: float(rows.iloc[0]),
        "lowest": lambda: float(rows.min()),
        "highest": lambda: float(rows.max()),
        "median": lambda: float(rows.median()),
        "fall": lambda: (rows.iloc[:eighth].median() - rows.iloc[-eighth:].median()) / (abs(rows.iloc[:eighth].median()) or 1.0),
    }[statistic]()


def _counted(kind: str, raw: pd.DataFrame, claim: Claim) -> float | None:
    times = raw["step"].value_counts()
    counts = {
        "all rows": lambda: len(raw),
        "logged steps": raw["step"].nunique,
        "repeated steps": lambda: int((times > 1).sum()),
        "extra rows": lambda: len(raw) - raw["step"].nunique(),
        "most rows of a step": lambda: int(times.max()),
        "backward jumps": lambda: int((raw["step"].diff() < 0).sum()),
        "share not finite": lambda: float((~raw["value"].map(math.isfinite)).mean()),
        "wait": lambda: float(raw[raw["step"] == claim.last]["time"].iloc[0] - raw[raw["step"] == claim.first]["time"].iloc[-1]),
    }
    return counts[kind]() if kind in counts else None


def _formula(text: str, value: float, finding: Finding | None, history: History) -> str:
    assert finding is not None
    known: dict[str, object] = {name: number for name, number in finding.numbers.items() if number is not None}
    known |= {"last_step": history.last_step, "planned_steps": history.planned_steps or 0}
    for index, signal in enumerate(finding.signals):
        rows = history.ordered(signal)
        if len(rows):
            known |= {f"s{index}_first": int(rows.index[0]), f"s{index}_last": int(rows.index[-1])}
    functions = {"abs": abs, "max": max, "min": min, "round": round, "log2": math.log2}
    try:
        expected = eval(text, {"__builtins__": {}}, functions | known)
    except ZeroDivisionError:
        return "" if not math.isfinite(value) or value >= 1e9 else "a division by 0"
    return _equal(value, expected, 1e-6)


def _equal(value: float, expected: float | None, within: float = EXACT) -> str:
    if expected is None or (math.isinf(value) and math.isinf(expected)) or (value >= 1e6 and expected > value):
        return ""
    return "" if math.isclose(value, expected, rel_tol=within, abs_tol=1e-12) else f"it is {expected}"


def wrong_vital(vital: Vital, history: History) -> Iterator[str]:
    """Every claim of a vital sign that the history does not bear out; a sentence taken over from a finding is that finding's matter."""
    if vital.state is State.BAD:
        return
    for name, claim in vital.claims.items():
        value = vital.numbers.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            problem = check(claim, float(value), None, history)
            if problem:
                yield f"{vital.name}.{name} = {value!r} is said to be {claim}: {problem}"
