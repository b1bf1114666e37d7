"""A run's config -> settings, and what the run set out to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings.keep import keep

SOURCE = "wandb config"
_PLANNED_EPOCHS = ("num_train_epochs", "max_epochs", "num_epochs", "epochs")
# Streaming datasets put 2^63 - 1 there.
_ABSURD = 1e9


def settings(config: Mapping[str, Any], source: str = SOURCE) -> tuple[Setting, ...]:
    """The hyperparameters of a config under their TrainingArguments names; others, secrets among them, are dropped."""
    return keep({key: value for key, value in config.items() if key != "_wandb"}, source, nested=True)


def planned(config: Mapping[str, Any]) -> tuple[int | None, float | None]:
    """(steps, epochs) that the run set out to do: `max_steps` above 0, and the first of the usual names for epochs.

    Lightning's `trainer` section is looked into as well.
    """
    trainer = config.get("trainer")
    values: dict[str, Any] = (dict(trainer) if isinstance(trainer, Mapping) else {}) | dict(config)
    steps = _amount(values.get("max_steps"))
    epochs = next((amount for name in _PLANNED_EPOCHS if (amount := _amount(values.get(name))) is not None), None)
    return (None if steps is None else int(steps)), epochs


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 < value < _ABSURD:
        return None
    return float(value)
