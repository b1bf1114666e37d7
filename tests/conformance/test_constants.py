"""What decides stands in `rules/*.toml`, with its reason and range: few decimals are left in the code, and none in a detector.

Counted are the float literals of the syntax tree, whatever their sign, and quotients of two literals, which are decimals written another
way. 0, 0.5, 1 and 2 are free: nothing, a half, a whole and twice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossdoctor
from lossdoctor.rulebook import shipped

HOME = Path(lossdoctor.__file__).parent
JUDGING = ("detectors", "measures", "shapes", "vitals", "diagnosis", "run")
FREE = frozenset({0.0, 0.5, 1.0, 2.0})
MOST = 35  # constants of statistics, units, and what vitals and causes ask, each once and with its reason
MOST_THRESHOLDS = 130
MOST_LINES = 4_140  # of detectors and measures together


def decimals(package: str) -> Iterator[str]:
    """Where a package holds a decimal constant, as path:line."""
    for path in sorted((HOME / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            value = constant(node)
            if value is not None and value not in FREE:
                yield f"{path.relative_to(HOME)}:{node.lineno}"  # type: ignore[attr-defined]


def constant(node: ast.AST) -> float | None:
    """The value of a float literal or of a quotient of two literals."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, float) else None
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return None
    above, below = node.left, node.right
    if not (isinstance(above, ast.Constant) and isinstance(below, ast.Constant)):
        return None
    return above.value / below.value if isinstance(above.value, int) and isinstance(below.value, int) else None


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x > 0.3", [0.3]),
        ("x > -0.3", [0.3]),
        ("x * 1e-9", [1e-9]),
        ("x > 3 / 10", [0.3]),
        ("x / 10", []),
        ("2 * x > 0.5", []),
        ("x > 3", []),
    ],
)
def test_what_counts(code: str, found: list[float]):
    assert [v for node in ast.walk(ast.parse(code)) if (v := constant(node)) is not None and v not in FREE] == found


def test_detectors_hold_none():
    assert list(decimals("detectors")) == []


def test_few_in_all_that_judges():
    found = [place for package in JUDGING for place in decimals(package)]
    assert len(found) <= MOST, found


def test_thresholds_are_few():
    assert sum(len(rule.thresholds) for rule in shipped()) <= MOST_THRESHOLDS


def test_detectors_and_measures_are_short():
    lines = sum(
        len(path.read_text(encoding="utf-8").splitlines()) for name in ("detectors", "measures") for path in (HOME / name).rglob("*.py")
    )
    assert lines < MOST_LINES
