"""Structure in what is left when the trend is taken away: autocorrelation, the strongest period, the phase mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.measures.level import Floats

SHORTEST, LONGEST = 3, 10  # rows of a period that is looked for phase by phase
TAPERED = 35 / 18  # ordinates of a Hann taper that tell as much as one: neighbours correlate by 2/3 and 1/6 (Percival and Walden 1993)


@dataclass(frozen=True, slots=True)
class Peak:
    """The strongest line of a periodogram: its period in rows, its share of the variance, and the chance of noise to reach it, of white
    noise (`chance`) and of noise that is as strong as the ordinates around the line (`local_chance`)."""

    period: float
    share: float
    chance: float
    local_chance: float


def autocorrelation(values: Floats, lag: int = 1) -> float:
    """Correlation of the values with themselves `lag` rows later; 0 where there is too little or no variance."""
    if len(values) <= lag + 2:
        return 0.0
    centred = values - values.mean()
    power = float((centred * centred).sum())  # not @: BLAS wakes its threads for long vectors, which costs more than the sum
    return float((centred[lag:] * centred[:-lag]).sum()) / power if power > 0 else 0.0


def strongest_period(values: Floats, least_cycles: int = 4) -> Peak | None:
    """Find the strongest period with at least `least_cycles` cycles in the values and at least 3 rows a cycle.

    `chance` is Fisher's g test (1929): the probability that the largest of m ordinates of white noise holds this share; `local_chance` is
    the same against the mean ordinate around the line, since correlated noise is strong at low frequencies anyway: that ratio is an F of
    2 and 2 k degrees of freedom, whose tail is (1 + x / k)^-k, k the independent ordinates in the mean.
    """
    n = len(values)
    if n < 4 * least_cycles:
        return None
    tapered = (values - values.mean()) * np.hanning(n)
    power = np.abs(np.fft.rfft(tapered)) ** 2
    frequencies = np.arange(len(power))
    allowed = (frequencies >= least_cycles) & (frequencies <= n // 3)
    total = float(power[1:].sum())
    if not allowed.any() or total <= 0:
        return None
    best = int(np.argmax(np.where(allowed, power, -1.0)))
    # The taper spreads one line over its two neighbours.
    share = float(power[max(best - 1, 1) : best + 2].sum()) / total
    ordinates = len(power) - 1
    single = float(power[best]) / total
    chance = min(1.0, ordinates * (1.0 - single) ** (ordinates - 1))
    around = _around(power, best)
    apart = max(len(around) / TAPERED, 1.0)
    height = float(power[best]) / max(float(around.mean()), np.finfo(np.float64).tiny)
    local = min(1.0, max(float(allowed.sum()) / TAPERED, 1.0) * float((1 + height / apart) ** -apart))
    return Peak(n / best, share, chance, local)


def folded_period(values: Floats, least_cycles: int, places: Floats) -> Peak | None:
    """Find the period of 3 to 10 rows whose phases differ most, or that of `places`, shape (n,): how many rows into an epoch each row lies.

    A periodogram cannot tell it in a few dozen rows, since teeth spread over its overtones. Of at least `least_cycles` cycles, `share` is
    the variance between the phases, `chance` the tail of its F test, times the periods tried (epoch folding, Leahy et al. 1983); of half
    the variance and more it holds for correlated noise too. Longer periods are a periodogram's matter.
    """
    from scipy.special import fdtrc  # costs more than most runs need

    n, found = len(values), []
    centred = values - values.mean()
    total = float(np.sum(centred * centred))
    folds = [np.arange(n) % period for period in range(SHORTEST, LONGEST + 1)] + [np.floor(places).astype(np.intp)]
    for fold in folds if total > 0 else ():
        counts = np.bincount(fold)
        counts = counts[counts > 0]
        if not SHORTEST <= len(counts) <= n // least_cycles:
            continue
        between = float(np.sum(np.bincount(fold, centred)[np.bincount(fold) > 0] ** 2 / counts))
        ratio = between / (len(counts) - 1) * (n - len(counts)) / max(total - between, np.finfo(np.float64).tiny)
        chance = min(1.0, len(folds) * float(fdtrc(len(counts) - 1, n - len(counts), ratio)))
        found.append(Peak(float(len(counts)), between / total, chance, 0.0))
    return min(found, key=lambda peak: peak.chance, default=None)


def _around(power: Floats, best: int) -> Floats:
    """The ordinates between half and twice the frequency of the line, the line and its overtone left out, with two neighbours on each side
    (teeth have overtones); all where there are none."""
    near = np.arange(max(1, best // 2), min(len(power), 2 * best - 2))
    near = near[np.abs(near - best) > 2]
    return power[near] if len(near) else power[1:]
