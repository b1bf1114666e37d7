"""`scheduler.pt` and `optimizer.pt` of a checkpoint: the values that were really in use when it was saved."""

from __future__ import annotations

from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings.keep import keep


def scheduler(value: Any, source: str) -> tuple[Setting, ...] | None:
    """`last_lr` (the learning rate at the save), `scheduler_step` and the peak as `learning_rate`, from a torch LR scheduler's state;
    None where it is not one. Of several parameter groups the highest rate is taken.
    """
    if not isinstance(value, dict) or not ("_last_lr" in value or "last_epoch" in value):
        return None
    return keep(
        {
            "last_lr": _highest(value.get("_last_lr")),
            "learning_rate": _highest(value.get("base_lrs")),
            "scheduler_step": value.get("last_epoch"),
        },
        source,
    )


def optimizer(value: Any, source: str) -> tuple[Setting, ...] | None:
    """`optimizer_lr`, the peak as `learning_rate`, weight decay and Adam's constants, from `param_groups`; None where there are none.

    Of several groups (with and without weight decay) the highest value is taken.
    """
    groups = value.get("param_groups") if isinstance(value, dict) else None
    if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
        return None
    betas = groups[0].get("betas")
    return keep(
        {
            "optimizer_lr": _highest([group.get("lr") for group in groups]),
            "learning_rate": _highest([group.get("initial_lr") for group in groups]),
            "optimizer_weight_decay": _highest([group.get("weight_decay") for group in groups]),
            "adam_epsilon": groups[0].get("eps"),
            "betas": betas if isinstance(betas, list | tuple) else None,
            "momentum": groups[0].get("momentum"),
        },
        source,
    )


def _highest(values: Any) -> float | None:
    if not isinstance(values, list | tuple):
        return None
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return max(numbers, default=None)
