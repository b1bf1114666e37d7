"""The description of a curve against SciPy, ruptures and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import ruptures
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, signal, stats
from statsmodels.tsa.arima_process import ArmaProcess
from statsmodels.tsa.stattools import acf

from lossdoctor.measures.noise import Noise, correlation, correlation_around, noise_of, smooth_fall
from lossdoctor.measures.oscillation import TAPERED, strongest_period
from lossdoctor.measures.pieces import Piece, straight_pieces
from lossdoctor.measures.trend import contrasts, inflation, normal, smooth_trend
from lossdoctor.shapes.jumps import jumps
from tests.shapes.simulated import Floats, bend, curve_of_rows, exponential, step, values


def alike(r: float, n: int) -> Floats:
    return np.asarray(linalg.toeplitz(r ** np.arange(n)))


def breaks(pieces: tuple[Piece, ...]) -> list[int]:
    return [piece.last + 1 for piece in pieces]


def optimal(rows: Floats, count: int) -> list[int]:
    """The partition of ruptures' exact search, with a least-squares line a piece."""
    t = np.arange(len(rows), dtype=np.float64) - len(rows) / 2
    search = ruptures.Dynp(model="linear", min_size=3, jump=1).fit(np.column_stack((rows, np.ones(len(rows)), t)))
    return list(search.predict(n_bkps=count - 1))


# Trends.


@given(st.floats(0, 40), st.floats(1, 1000))
def test_normal_is_as_rare_as_students_t(t: float, freedom: float) -> None:
    exact, ours = stats.norm.isf(stats.t.sf(t, freedom)), normal(t, freedom)
    assert ours <= exact + 0.02
    assert freedom < 4 or exact > 3 or ours == pytest.approx(exact, abs=0.035)
    assert normal(-t, freedom) == -ours


@pytest.mark.parametrize("n", [5, 7, 11])
def test_a_short_trend_is_the_better_of_two_regressions(n: int) -> None:
    for seed in range(20):
        rows, x = values("white", n, seed, exponential(0.1)), np.arange(1, n + 1)
        best = min((stats.linregress(along, rows) for along in (x, np.log(x))), key=lambda fit: fit.pvalue)
        z = smooth_trend(rows)
        exact = stats.norm.isf(best.pvalue / 2)
        assert abs(z) == pytest.approx(exact, abs=0.04, rel=0.04)
        assert np.sign(z) == np.sign(best.slope)


def test_a_trend_in_correlated_noise_is_that_of_a_regression_with_such_noise() -> None:
    n, x = 120, np.arange(1.0, 121.0)
    ours, theirs = [], []
    for seed in range(60):
        rows = values("r=.5", n, seed, lambda at: -0.03 * at)
        theirs.append(sm.GLSAR(rows, sm.add_constant(x), rho=1).iterative_fit(maxiter=4).tvalues[1])
        ours.append(smooth_trend(rows))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert np.mean(np.abs(ours)) == pytest.approx(np.mean(np.abs(theirs)), rel=0.2)


@pytest.mark.parametrize("r", [0.2, 0.5, 0.9])
def test_inflation_is_the_quadratic_form(r: float) -> None:
    for weights in contrasts(40):
        assert inflation(weights, r) == pytest.approx(max(1.0, weights @ alike(r, 40) @ weights))


# Noise.


@pytest.mark.parametrize("r", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("rows", [2, 3, 12, 100])
def test_the_error_of_a_level_is_that_of_a_mean_of_such_rows(r: float, rows: int) -> None:
    exact = np.sqrt(np.pi / 2 * alike(r, rows).sum()) / rows
    assert Noise(1.0, r).error(rows) == pytest.approx(min(1.0, exact))


@pytest.mark.parametrize("r", [0.0, 0.3, 0.6, 0.8])
def test_noise_of_an_autoregression(r: float) -> None:
    process = ArmaProcess([1, -r])
    rng = np.random.default_rng(5)
    rows = process.generate_sample(20_000, distrvs=rng.standard_normal, burnin=200) + np.linspace(0, 40, 20_000)
    found = noise_of(rows)
    assert found.correlation == pytest.approx(r, abs=0.05)
    assert found.sigma == pytest.approx(np.sqrt(process.acovf(1)[0]), rel=0.06 if r < 0.8 else 0.2)


def test_what_neighbours_share_is_the_autocorrelation_of_the_residuals() -> None:
    rows = values("r=.5", 300, 1, exponential(0.5))
    x = np.arange(1.0, 301.0)
    residuals = sm.OLS(rows, np.column_stack((np.ones(300), x, np.log(x)))).fit().resid
    assert correlation_around(rows, smooth_fall(300)) == pytest.approx(acf(residuals, nlags=1)[1], abs=0.03)


def test_correlations_of_200_rows_scatter_around_those_of_a_fitted_autoregression() -> None:
    x = np.arange(1.0, 201.0)
    columns = np.column_stack((np.ones(200), x, np.log(x)))
    samples = [values("r=.5", 200, seed, exponential(0.5)) for seed in range(30)]
    theirs = [sm.GLSAR(rows, columns, rho=1).iterative_fit(maxiter=4).model.rho[0] for rows in samples]
    assert np.mean([correlation(rows) for rows in samples]) == pytest.approx(np.mean(theirs), abs=0.1)


# Pieces and jumps.


@pytest.mark.parametrize(("shape", "count"), [(step(0.5), 2), (bend(0.5), 2), (exponential(0.8), 3), (exponential(0.8), 4)])
def test_the_partition_is_ruptures(shape: object, count: int) -> None:
    rows = values("white", 48, 3, shape)  # type: ignore[arg-type]
    prices = np.geomspace(200, 0.5, 60)  # some price asks for as many pieces
    found = next((p for price in prices if len(p := straight_pieces(rows, np.ones(48), price=price)) == count), None)
    assert found is not None
    assert breaks(found) == optimal(rows, count)


def test_the_lines_of_the_pieces_are_scipys() -> None:
    rows = values("white", 90, 4, bend(0.6))
    for piece in straight_pieces(rows, np.ones(90)):
        x = np.arange(piece.first, piece.last + 1)
        fit = stats.linregress(x, rows[x])
        assert piece.begins == pytest.approx(fit.intercept + fit.slope * piece.first)
        assert piece.ends == pytest.approx(fit.intercept + fit.slope * piece.last)


@pytest.mark.parametrize("n", [36, 90, 200])
def test_a_jump_is_where_ruptures_sees_the_mean_change(n: int) -> None:
    for seed in range(5):
        rows = values("white", n, seed, step(0.6))
        (row,) = ruptures.Dynp(model="l2", min_size=3, jump=1).fit(rows).predict(n_bkps=1)[:-1]
        assert [jump.row for jump in jumps(curve_of_rows(rows))] == [row]


# Waves.


@pytest.mark.parametrize("n", [30, 80, 300])
def test_the_local_chance_is_scipys_f_tail(n: int) -> None:
    for seed in range(10):
        rows = values("white", n, seed)
        power = signal.periodogram(rows, window=np.hanning(n), detrend="constant", scaling="spectrum")[1]
        power[1 : (n + 1) // 2] /= 2  # one-sided: all but the first and, of an even number, the last are doubled
        found = strongest_period(rows, 6)
        assert found is not None
        best = round(n / found.period)
        near = [k for k in range(max(1, best // 2), min(len(power), 2 * best - 2)) if abs(k - best) > 2]
        independent, tried = max(len(near) / TAPERED, 1), max((n // 3 - 6 + 1) / TAPERED, 1)
        chance = tried * stats.f.sf(power[best] / power[near].mean(), 2, 2 * independent)
        assert found.local_chance == pytest.approx(min(1.0, chance), rel=1e-6)
