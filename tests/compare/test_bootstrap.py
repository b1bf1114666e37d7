"""The error of a tail's level: right on average, blind to the trend, silent where nothing can be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lossdoctor.compare.bootstrap import Level, block_error, half_width, prediction, student, tail_level


def curve(n: int, rho: float, rng: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    noise = rng.normal(0, 1, n)
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return 1 + shift + np.exp(-np.arange(n) / (n / 4)) + 0.02 * math.sqrt(1 - rho**2) * noise


def beyond(n: int, rho: float, shift: float, pairs: int = 100) -> float:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(pairs):
        one, other = tail_level(curve(n, rho, rng), 0.1), tail_level(curve(n, rho, rng, shift), 0.1)
        assert one is not None
        assert other is not None
        hits += abs(one.value - other.value) > half_width(one, other)
    return hits / pairs


@pytest.mark.parametrize(("n", "rho"), [(20, 0.0), (400, 0.0), (400, 0.5), (1500, 0.5)])
def test_equal_runs_seldom_differ_and_unlike_ones_do(n: int, rho: float) -> None:
    assert beyond(n, rho, 0.0) <= 0.12
    assert beyond(n, rho, 0.1) >= 0.95 if n > 20 else beyond(n, rho, 0.2) >= 0.9


def test_blocks_of_one_are_the_plain_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert block_error(values, 1) == pytest.approx(values.std() / math.sqrt(50) * math.sqrt(50 / 48))


def test_a_steep_straight_line_has_no_error() -> None:
    level = tail_level(np.linspace(5, 1, 200), 0.5)
    assert level is not None
    assert level.error == pytest.approx(0, abs=1e-12)


def test_too_few_rows_tell_a_level_and_no_error() -> None:
    assert tail_level(np.array([]), 0.5) is None
    level = tail_level(np.array([1.0, 2.0, 3.0]), 0.5)
    assert level == Level(2.0, 3)
    assert half_width(level, level) is None
    assert math.isnan(block_error(np.array([1.0, 2.0]), 2))


def test_prediction_and_student_against_printed_tables() -> None:
    assert student(2, 0.95) == pytest.approx(4.3027, abs=1e-4)
    assert prediction(np.array([1.0, 2.0, 3.0])) == pytest.approx(4.3027 * math.sqrt(4 / 3), abs=1e-3)
    assert prediction(np.array([1.0, 2.0])) is None
