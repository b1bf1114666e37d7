"""Two networks that play against each other, and one has won."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run.candidates import opponents
from lossdoctor.shapes.curve import curve_of

FEWEST, THIRD = 20, 3  # rows; part of them that tells how it ends


def discriminator_wins(run: Run, *, sure: float, fooled: float) -> Evidence | Skip | None:
    """The discriminator's loss ends at `sure` or below, and the generator's at `fooled`, or at twice its lowest.

    A discriminator that is never wrong gives its generator no gradient (Arjovsky and Bottou 2017). The losses of a Wasserstein critic,
    which fall below 0, mean something else.
    """
    pair = opponents(run.signals)
    if pair is None:
        return Skip("no losses of a discriminator and a generator were logged", "log both, as d_loss and g_loss")
    mine, other = map(curve_of, pair)
    if min(len(mine), len(other)) < FEWEST:
        return Skip(f"fewer than {FEWEST} values of both losses", "log more often")
    end, theirs = mine.tail(1 / THIRD), other.tail(1 / THIRD)
    if mine.values.min() < 0 or end > sure or theirs < min(fooled, 2 * max(0.0, float(other.values.min()))):
        return None
    since = int(mine.steps[min(int(np.flatnonzero(np.append(True, mine.values > sure))[-1]), len(mine) - 1)])
    numbers: dict[str, Scalar] = {
        "what": pair[0].raw_name, "level": end, "since": since, "other": pair[1].raw_name, "other_level": theirs,
        "other_lowest": float(other.values.min()), "rows": len(mine),
    }  # fmt: skip
    margin = fooled * theirs / max(end, sure)
    return Evidence.between(numbers, (pair[0].name, pair[1].name), since, mine.steps[-1], margin=margin, points=len(mine))
