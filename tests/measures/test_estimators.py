"""Our own estimators against SciPy's, and the laws that they must obey."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage, signal, stats

from lossdoctor.measures.extremes import tail_chance
from lossdoctor.measures.level import binned_medians, noise, quantum, rolling_median, sigma
from lossdoctor.measures.oscillation import autocorrelation, strongest_period
from lossdoctor.measures.trend import mann_kendall, theil_sen

Floats = npt.NDArray[np.float64]
values = arrays.arrays(np.float64, st.integers(4, 200), elements=st.floats(-1e3, 1e3, width=32))


def random(seed: int, n: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(n)


@given(values)
def test_theil_sen_is_scipys(y: Floats) -> None:
    x = np.arange(len(y), dtype=np.float64)
    assert theil_sen(x, y) == pytest.approx(stats.theilslopes(y, x).slope, abs=1e-9)


@given(values)
def test_mann_kendall_has_the_sign_and_order_of_kendalls_tau(y: Floats) -> None:
    tau = stats.kendalltau(np.arange(len(y)), y).statistic
    z = mann_kendall(y)
    assert np.isnan(tau) or abs(tau) < 1e-12 or np.sign(z) in (0, np.sign(tau))


def test_mann_kendall_is_a_z_score() -> None:
    scores = [mann_kendall(random(seed, 60)) for seed in range(400)]
    assert np.std(scores) == pytest.approx(1.0, abs=0.1)
    assert abs(np.mean(scores)) < 0.15


@given(values)
def test_sigma_is_scipys_normal_mad(y: Floats) -> None:
    assert sigma(y) == pytest.approx(1.4826 * float(stats.median_abs_deviation(y)), rel=1e-9, abs=1e-12)


@given(values, st.sampled_from((3, 5, 9, 25)))
def test_rolling_median_is_ndimages(y: Floats, window: int) -> None:
    width = min(window, (len(y) - 1) | 1)
    assert rolling_median(y, window) == pytest.approx(ndimage.median_filter(y, width, mode="mirror"))


def test_a_wide_rolling_median_keeps_the_level() -> None:
    y = np.exp(-np.linspace(0, 4, 5000)) + 0.05 * random(1, 5000)
    exact = ndimage.median_filter(y, 501, mode="mirror")
    assert np.max(np.abs(rolling_median(y, 501) - exact)[300:-300]) < 0.02


def test_noise_ignores_a_trend_and_a_jump() -> None:
    y = random(2, 2000)
    tilted = y + np.linspace(0, 50, 2000) + np.where(np.arange(2000) > 1000, 30.0, 0.0)
    assert noise(tilted) == pytest.approx(noise(y), rel=0.02)
    assert noise(y) == pytest.approx(1.0, rel=0.1)


@given(st.integers(1, 5000), st.integers(1, 200))
def test_bins_cover_every_row_once(n: int, bins: int) -> None:
    medians = binned_medians(np.arange(n, dtype=np.float64), bins)
    assert len(medians) == min(n, bins)
    assert np.all(np.diff(medians) > 0)


@pytest.mark.parametrize(("digits", "expected"), [(1, 0.1), (2, 0.01), (4, 1e-4), (9, 0.0)])
def test_quantum(digits: int, expected: float) -> None:
    assert quantum(np.round(random(3, 300) + 2, digits)) == expected


def test_the_strongest_period_is_the_periodograms() -> None:
    n, period = 600, 37.0
    y = np.sin(2 * np.pi * np.arange(n) / period) + 0.5 * random(4, n)
    frequencies, power = signal.periodogram(y, window="hann", detrend="constant")
    found = strongest_period(y)
    assert found is not None
    assert found.period == pytest.approx(1 / frequencies[np.argmax(power)], rel=0.05)
    assert found.chance < 1e-6
    assert found.share > 0.5


def test_white_noise_reaches_a_chance_of_one_in_a_hundred_about_that_often() -> None:
    chances = [peak.chance for seed in range(600) if (peak := strongest_period(random(seed, 200))) is not None]
    assert 0 < np.mean(np.asarray(chances) < 0.05) < 0.12
    assert np.mean(np.asarray(chances) < 1e-4) < 0.01


def test_correlated_noise_has_no_line_of_its_own() -> None:
    rows = [signal.lfilter([1.0], [1.0, -0.6], random(seed, 300)) for seed in range(200)]
    peaks = [peak for y in rows if (peak := strongest_period(y, 6)) is not None]
    local = np.mean([peak.local_chance < 1e-2 for peak in peaks])
    white = np.mean([peak.chance < 1e-2 for peak in peaks])
    assert local < 0.1
    assert local < white / 2


def test_autocorrelation_of_an_autoregression() -> None:
    y = signal.lfilter([1.0], [1.0, -0.6], random(5, 20_000))
    assert autocorrelation(y) == pytest.approx(0.6, abs=0.02)
    assert autocorrelation(random(6, 20_000)) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("freedom", [3, 5, 50])
def test_an_extreme_of_the_same_tail_is_no_surprise(freedom: int) -> None:
    """The highest of a heavy-tailed sample must seldom look impossible, ten times the highest of a light one always."""
    surprises = 0
    for seed in range(200):
        y = stats.t.rvs(freedom, size=500, random_state=seed)
        top = int(np.argmax(y))
        surprises += tail_chance(float(y[top]), np.delete(y, top)) <= 0.01
    assert surprises <= 12
    light = random(7, 500)
    assert tail_chance(10 * float(light.max()), light) <= 0.01
