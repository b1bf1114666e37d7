"""Lines that hold a loss and no counter: they belong to the epoch or step that was named before them, else they are counted.

`train Loss: 0.52 Acc: 0.81` under `Epoch 3/24`, `DEV : loss 0.168`, `Validation perplexity: 8.5`, or a script that prints nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lossdoctor.run.candidates import is_loss, is_of_evaluation
from lossdoctor.run.names import canonical
from lossdoctor.sources.text_log_line import pairs, so_far

_HINTS = ("loss", "ppl", "perplexity", "reward")
_STAMP = r"\[?(?:\d{2,4}[-/]\d\d[-/]\d{2,4}[ T,]{1,2})?\d\d:\d\d:\d\d[.,\d]{0,8}\]?"
_GLOG = r"[IWEF]\d{4,8} [\d:.]{8,20}\s{1,8}\d{1,10}\s\S{1,80}\]"
_PREFIX = re.compile(rf"^\s{{0,20}}(?:{_GLOG}|{_STAMP}|[-|:]|\[?(?:INFO|DEBUG|WARNING)\]?:?|\s){{0,12}}")
_HELD_OUT = re.compile(r"(?:val(?:id(?:ation)?)?|eval(?:uation)?|test(?:ing)?|dev)\b", re.IGNORECASE)
_OWN = re.compile(r"(?:train|val|valid|validation|eval|test|dev)", re.IGNORECASE)
# `Processing |######| (391/391) Data: 0.002s | Batch: 0.31s | ETA: 0:00:01 | Loss: 0.52 | top1: 81.0`: the package `progress`.
_BAR = re.compile(r"^\s{0,8}[^|]{0,40}\|[# ]{1,200}\|\s{0,4}\(?\d{1,12}/(?P<size>\d{1,12})\)?")
# `-> val 0.3801 nats`: what is evaluated is told by the set alone.
_ALONE = re.compile(
    r"\W{0,12}(?:val(?:id\w{0,10})?|eval|dev)\b[\s:=]{0,8}(\d{1,9}\.\d{1,12}(?:[eE][-+]?\d{1,3})?)(?!\s{0,4}%|\w)", re.IGNORECASE
)
# `time this epoch= 1.75`, `Epoch time: 12.3s`, `Time taken for 1 epoch 41.5 sec`: nothing but words of time and one number.
_TOOK = re.compile(
    r"\W{0,12}(?!.{0,60}\b(?:eta|remaining|left|total|overall|start|end|inference|sav\w*|load\w*|test\w*|val\w*|eval\w*)\b)"
    r"(?=.{0,60}?\b(?:time|took|elapsed|duration)\b)[A-Za-z_][\w ()#]{1,60}?\s{0,4}[:=]?\s{0,4}"
    r"(?<![\d.])(\d{1,9}(?:\.\d{1,12})?)\s{0,3}(?:s|secs?|seconds?)?\.?\s{0,4}$",
    re.IGNORECASE,
)
EPOCH_TIME = "epoch_time"
_LEAD = 24
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Loose:
    """The values of such a line, the step (of a counter) or epoch (of a header, counted from 1) that was named last before it, and how
    many batches the bar counts that it stands behind."""

    line: int
    values: Mapping[str, float]
    step: int | None
    epoch: int | None
    time: float
    size: int | None = None

    @property
    def held_out(self) -> bool:
        return all(is_of_evaluation(name) for name in self.values)


def read(text: str, *, held_out: bool = False) -> tuple[dict[str, float], int | None]:
    """The values of a line that begins with a loss or a reward, its names with the split that it begins with (or that a heading above it
    named: `held_out`), and the batches that a bar before it counts; empty for any other line."""
    if len(text) > _LONGEST or not any(map(text.lower().__contains__, _HINTS)):
        alone = _ALONE.match(text[:_LONGEST])
        return ({"val": float(alone[1])} if alone else {}), None
    if "|" in text and (bar := _BAR.match(text)):
        found = pairs(text[bar.end() :])
        return (found, int(bar["size"])) if any(map(is_loss, found)) else ({}, None)
    said = text[_PREFIX.match(text).end() :]  # type: ignore[union-attr]
    held_out = held_out or _HELD_OUT.match(said) is not None
    found = pairs(so_far(said) if held_out else said)
    first = next(iter(found), "")
    if (
        not first
        or said.find(first.removeprefix("val/")) > _LEAD
        or not any(is_loss(name) or canonical(name)[0] == "reward" for name in found)
    ):
        return {}, None
    return (of_evaluation(found) if held_out else found), None


def seconds(text: str) -> float | None:
    """The seconds that a line tells of and nothing else; None for any other line."""
    took = _TOOK.match(text[:_LONGEST])
    return float(took[1]) if took else None


def of_evaluation(values: Mapping[str, float]) -> dict[str, float]:
    """The values, named as those of an evaluation where their names tell no split."""
    return {name if _OWN.match(name) else f"val/{name}": value for name, value in values.items()}


def by_size(lines: Iterable[Loose]) -> list[Loose]:
    """The lines, those of evaluations said to be so: where bars count batches, training is the first of an epoch."""
    told = list(lines)
    training = next((one.size for one in told if one.size is not None), None)
    return [one if one.size in (None, training) else replace(one, values=of_evaluation(one.values)) for one in told]


def placed(lines: Iterable[Loose], *, counted: bool) -> list[tuple[Loose, int]] | None:
    """The step of each line; None where they name none and rows have to be counted.

    Where rows with counters hold the losses (`counted`), only evaluations and times are taken: a summary would be a second row of the
    same step.
    """
    kept = [one for one in lines if one.held_out or EPOCH_TIME in one.values or not counted]
    named = [row for row, one in enumerate(kept) if one.step is not None or one.epoch is not None]
    first = (kept[named[0]].epoch or 0) if named and not counted else 0
    if first > 1:  # a window: what precedes the first header is of the epoch before
        kept[: named[0]] = [replace(one, epoch=first - 1) for one in kept[: named[0]]]
    if not counted and any(one.step is None and one.epoch is None for one in kept):
        return None
    found: dict[tuple[int, int, tuple[str, ...]], tuple[Loose, int]] = {}
    lap, last = 0, 0
    for one in kept:
        at = one.step if one.step is not None else one.epoch
        if at is not None:
            lap, last = lap + (at < last), at
            found[lap, at, tuple(one.values)] = (one, at)  # the last line of a step is its result
    if not counted and 2 * len(found) <= len(kept):
        return None  # many lines an epoch: each is a row
    return list(found.values())
