"""A run's config -> settings, without its secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.wandb_local.history import leaves

SOURCE = "wandb config"
_SECRET = re.compile(r"secret|passw|api_?key|access_?key|private_?key|credential", re.IGNORECASE)
_TOKEN = re.compile(r"token", re.IGNORECASE)
# Longer texts are prompts and file lists, no hyperparameters.
_LONGEST = 1000
_PLANNED_EPOCHS = ("num_train_epochs", "max_epochs", "num_epochs", "epochs", "trainer.max_epochs")
# Streaming datasets put 2^63 - 1 there.
_ABSURD = 1e9


def settings(config: Mapping[str, Any], source: str = SOURCE) -> tuple[Setting, ...]:
    """The scalars of a config under their own names, those inside nested dictionaries with dots.

    Lists and WandB's own entries are left out.
    Names with secret, password, api_key and the like are dropped here, so are those with token unless the value is a number or a switch
    (`eos_token_id`, `include_num_input_tokens_seen`).
    """
    found = []
    for key, value in config.items():
        if key == "_wandb":
            continue
        for name, leaf in leaves(str(key), value):
            if (
                isinstance(leaf, str | int | float | bool)
                and not secret(name, leaf)
                and not (isinstance(leaf, str) and len(leaf) > _LONGEST)
            ):
                found.append(Setting(name, leaf, source))
    return tuple(found)


def secret(name: str, value: object) -> bool:
    """Whether a setting may hold a credential, by its name."""
    return bool(_SECRET.search(name)) or (isinstance(value, str) and bool(_TOKEN.search(name)))


def planned(found: tuple[Setting, ...]) -> tuple[int | None, float | None]:
    """(steps, epochs) that the run set out to do: `max_steps` above 0, and the first of the usual names for epochs."""
    values = {setting.name: setting.value for setting in found}
    steps, epochs = _amount(values.get("max_steps", values.get("trainer.max_steps"))), None
    for name in _PLANNED_EPOCHS:
        epochs = epochs or _amount(values.get(name))
    return (None if steps is None else int(steps)), epochs


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 < value < _ABSURD:
        return None
    return float(value)
