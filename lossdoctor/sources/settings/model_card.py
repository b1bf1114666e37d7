"""The README.md that `transformers.Trainer` writes beside a model: its list of training hyperparameters."""

from __future__ import annotations

import re
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings.keep import keep

_LINE = re.compile(r"[-*] ([A-Za-z_]{2,40}): (.{1,300})")
_OPTIMIZER = re.compile(r"(?:Use )?(\S+?) (?:and the args are:|with).{0,20}?betas=\(([\d.]+), ?([\d.]+)\) and epsilon=([-\d.eE+]+)")
_BASE = re.compile(r"fine-tuned version of \[([^\]\n]{1,200})\]\(")
_HEADING = re.compile(r"#+ ")


def settings(text: str, source: str) -> tuple[Setting, ...]:
    """The settings in the list under "Training hyperparameters", and the base model; nothing from any other card.

    The format is that of `transformers.modelcard.TrainingSummary`, 4.5 to 5.x.
    """
    raw: dict[str, Any] = {}
    if base := _BASE.search(text):
        raw["base_model"] = base[1]
    for key, value in _hyperparameters(text):
        if key == "optimizer" and (known := _OPTIMIZER.match(value)):
            raw |= {"optim": known[1], "adam_beta1": known[2], "adam_beta2": known[3], "adam_epsilon": known[4]}
        else:
            raw[key] = value
    return keep(raw, source)


def _hyperparameters(text: str) -> list[tuple[str, str]]:
    inside = False
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if _HEADING.match(line):
            inside = "training hyperparameters" in line.lower()
        elif inside and (item := _LINE.fullmatch(line.strip())):
            found.append((item[1], item[2].strip()))
    return found
