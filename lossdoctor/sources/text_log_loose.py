"""Lines that hold a loss and no counter: they belong to the epoch or step that was named before them, else they are counted.

`train Loss: 0.52 Acc: 0.81` under `Epoch 3/24`, `DEV : loss 0.168`, `Validation perplexity: 8.5`, or a script that prints nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lossdoctor.run.candidates import is_loss, is_of_evaluation
from lossdoctor.run.names import canonical
from lossdoctor.sources.text_log_line import pairs

_HINTS = ("loss", "ppl", "perplexity", "reward")
_STAMP = r"\[?(?:\d{2,4}[-/]\d\d[-/]\d{2,4}[ T,]{1,2})?\d\d:\d\d:\d\d[.,\d]{0,8}\]?"
_PREFIX = re.compile(rf"^\s{{0,20}}(?:{_STAMP}|[-|:]|\[?(?:INFO|DEBUG|WARNING)\]?:?|\s){{0,12}}")
_HELD_OUT = re.compile(r"(?:val(?:id(?:ation)?)?|eval(?:uation)?|test(?:ing)?|dev)\b", re.IGNORECASE)
_OWN = re.compile(r"(?:train|val|valid|validation|eval|test|dev)", re.IGNORECASE)
_LEAD = 24
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Loose:
    """The values of such a line, and the step (of a counter) or epoch (of a header, counted from 1) that was named last before it."""

    line: int
    values: Mapping[str, float]
    step: int | None
    epoch: int | None
    time: float

    @property
    def held_out(self) -> bool:
        return all(is_of_evaluation(name) for name in self.values)


def read(text: str) -> dict[str, float]:
    """The values of a line that begins with a loss or a reward, its names with the split that it begins with; empty for any other."""
    if len(text) > _LONGEST or not any(map(text.lower().__contains__, _HINTS)):
        return {}
    said = text[_PREFIX.match(text).end() :]  # type: ignore[union-attr]
    found = pairs(said)
    first = next(iter(found), "")
    if (
        not first
        or said.find(first.removeprefix("val/")) > _LEAD
        or not any(is_loss(name) or canonical(name)[0] == "reward" for name in found)
    ):
        return {}
    if _HELD_OUT.match(said):
        return {name if _OWN.match(name) else f"val/{name}": value for name, value in found.items()}
    return found


def placed(lines: Iterable[Loose], *, counted: bool) -> list[tuple[Loose, int]] | None:
    """The step of each line; None where they name none and rows have to be counted.

    Where rows with counters hold the losses (`counted`), only evaluations are taken: a summary would be a second row of the same step.
    """
    kept = [one for one in lines if one.held_out or not counted]
    if not counted and any(one.step is None and one.epoch is None for one in kept):
        return None
    found: dict[tuple[int, tuple[str, ...]], tuple[Loose, int]] = {}
    for one in kept:
        at = one.step if one.step is not None else one.epoch
        if at is not None:
            found[at, tuple(one.values)] = (one, at)  # the last line of a step is its result
    if not counted and 2 * len(found) <= len(kept):
        return None  # many lines an epoch: each is a row
    return list(found.values())
