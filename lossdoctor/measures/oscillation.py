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
    the variance between the phases, `chance` the tail of its F test, times the periods tried (epoch folding, Leahy et al. 1983). None
    where no fold holds half of the variance: correlated noise may hold as much as that. Longer periods are a periodogram's matter.
    """
    n, centred = len(values), values - values.mean()
    total, tried = float(np.sum(centred * centred)), LONGEST - SHORTEST + 2
    place = np.floor(places).astype(np.intp)
    sums = [np.pad(centred, (0, -n % period)).reshape(-1, period).sum(axis=0) for period in range(SHORTEST, LONGEST + 1)]
    sizes = [n // len(one) + (np.arange(len(one)) < n % len(one)) for one in sums]
    counts = np.bincount(place)
    folds = [*zip(sums, sizes, strict=True), (np.bincount(place, centred)[counts > 0], counts[counts > 0])]
    fitting = [(one, size) for one, size in folds if total > 0 and SHORTEST <= len(size) <= n // least_cycles]
    held = [(len(size), share) for one, size in fitting if (share := float(np.sum(one**2 / size)) / total) >= 1 / 2]
    if not held:
        return None
    from scipy.special import fdtrc  # costs more than most runs need

    chances = [fdtrc(k - 1, n - k, share / (k - 1) * (n - k) / max(1 - share, np.finfo(np.float64).tiny)) for k, share in held]
    peaks = [Peak(float(k), share, min(1.0, tried * float(chance)), 0.0) for (k, share), chance in zip(held, chances, strict=True)]
    return min(peaks, key=lambda peak: peak.chance)


def _around(power: Floats, best: int) -> Floats:
    """The ordinates between half and twice the frequency of the line, the line and its overtone left out, with two neighbours on each side
    (teeth have overtones); all where there are none."""
    near = np.arange(max(1, best // 2), min(len(power), 2 * best - 2))
    near = near[np.abs(near - best) > 2]
    return power[near] if len(near) else power[1:]
