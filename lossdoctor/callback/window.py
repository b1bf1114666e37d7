"""What happened between two rows of the Trainer's log, in time and in losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Window:
    """Sums since the last row. Losses stay on their device, pending, until `settle`: reading one stalls the GPU."""

    steps: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    samples: int = 0
    tokens: int = 0
    labels: int = 0
    nonfinite_inputs: int = 0
    skipped: int = 0
    pending: list[tuple[int, Any]] = field(default_factory=list)
    losses: dict[int, float] = field(default_factory=dict)

    def add_batch(self, told: Mapping[str, Any]) -> None:
        self.samples += max(len(told["samples"]), len(told["lengths"]))
        self.tokens += sum(told["lengths"])
        self.labels += max(0, told["labels"])
        self.nonfinite_inputs += told["nonfinite"]

    def settle(self) -> dict[int, float]:
        """Read the pending losses; return those of the steps they belong to, which are the sums over the batches of a step: the Trainer has
        divided each by the number of batches already."""
        for step, loss in self.pending:
            self.losses[step] = self.losses.get(step, 0.0) + float(loss)
        settled = {step: self.losses[step] for step, _ in self.pending}
        self.pending = []
        return settled


def of_time(window: Window) -> dict[str, float]:
    """Seconds of a step, and those of it that the loader was waited for. Evals and saves do not count."""
    if not window.steps:
        return {}
    return {"step_seconds": window.seconds / window.steps, "data_wait_seconds": window.waited / window.steps}


def of_losses(losses: Mapping[int, float]) -> dict[str, float]:
    """How many steps had a loss that is NaN or Inf, and the highest of the others: an average over the window hides both."""
    if not losses:
        return {}
    finite = [loss for loss in losses.values() if math.isfinite(loss)]
    highest = {"step_loss_max": max(finite)} if finite else {}
    return {"nonfinite_losses": float(len(losses) - len(finite)), **highest}
