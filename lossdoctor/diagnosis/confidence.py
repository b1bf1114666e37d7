"""How sure a finding is: a logistic model of how far the evidence lies beyond its limit, and how much of it there is."""

from __future__ import annotations

import math
import tomllib
from functools import lru_cache
from pathlib import Path

from lossdoctor.model import Evidence

FILE = Path(__file__).with_name("confidence.toml")
MOST = 100  # margins and thousands of points beyond this tell nothing more


def confidence(evidence: Evidence) -> float:
    """The share of findings with such evidence that were right on labelled runs (see `tests/benchmarks/calibrate.py`), in hundredths."""
    intercept, *slopes = _weights()
    score = intercept + sum(slope * value for slope, value in zip(slopes, features(evidence), strict=True))
    return round(1 / (1 + math.exp(-score)), 2)


def features(evidence: Evidence) -> tuple[float, float]:
    """Logarithms of the margin and of the number of points, each within bounds; a test that rests on no count counts as one point."""
    margin = min(max(evidence.margin, 1.0), float(MOST)) if math.isfinite(evidence.margin) else float(MOST)
    return math.log(margin), math.log(min(max(evidence.points, 1), 1000 * MOST))


@lru_cache(maxsize=1)
def _weights() -> tuple[float, ...]:
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))["weights"]
    return float(table["intercept"]), float(table["log_margin"]), float(table["log_points"])
