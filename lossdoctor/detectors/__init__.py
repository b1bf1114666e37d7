"""Run -> Evidence | Skip | None. One pattern a file; this table is all that a rule can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lossdoctor.detectors.divergence import divergence
from lossdoctor.detectors.nan_loss import nan_loss
from lossdoctor.detectors.overfitting import hockey_stick, overfitting
from lossdoctor.detectors.spike import loss_spike

DETECTORS: Mapping[str, Callable[..., Any]] = {
    "divergence": divergence,
    "hockey_stick": hockey_stick,
    "loss_spike": loss_spike,
    "nan_loss": nan_loss,
    "overfitting": overfitting,
}


def discovered() -> dict[str, Callable[..., Any]]:
    """Detectors that installed packages offer under the entry-point group lossdoctor.detectors."""
    from importlib.metadata import entry_points

    return {point.name: point.load() for point in entry_points(group="lossdoctor.detectors")}
