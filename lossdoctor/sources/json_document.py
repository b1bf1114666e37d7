"""One JSON document as rows: a list of rows, a history, Megatron's golden values, the metrics files of AllenNLP and CatBoost.

Results of a whole run (`all_results.json`) hold no course of anything and are no log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lossdoctor.sources import axes, json_history

Entry = Mapping[str, Any]
_MEGATRON = re.compile(r'\{\s*"[^"]{1,200}"\s*:\s*\{\s*"(?:start_step|end_step|step_interval|values)"\s*:')
# A list of rows that name no step: each is an epoch.
_LOSSES = re.compile(r'\[\s*\{[^\[{]{0,2000}"[^"]{0,40}loss[^"]{0,40}"\s*:\s*(?:-?[\d.]|NaN|\[)', re.IGNORECASE)
_LIST = re.compile(r'\[\s*\{[^\[{]{0,2000}"(?:step|global_step|iteration|iter|epoch)"\s*:')


def looks_like(text: str) -> bool:
    """Whether a document starts like one of these kinds."""
    start = text.lstrip("\ufeff \t\r\n")
    return (
        bool(_MEGATRON.match(start) or _LIST.match(start) or _LOSSES.match(start))
        or json_history.looks_like(start)
        or (start.startswith("{") and '"training_epochs"' in text and '"training_loss"' in text)
        or is_boosted(start)
    )


def is_boosted(text: str) -> bool:
    """Whether a document starts like CatBoost's, whose lines look like rows of their own."""
    return text.lstrip().startswith("{") and '"learn_metrics"' in text


def rows(text: str) -> list[Entry] | None:
    """The rows of a document in order; None where it is none of these kinds. Raises ValueError where it is no JSON."""
    document = parse(text)
    if isinstance(document, list):
        return list(_counted([row for row in document if isinstance(row, dict)]))
    if not isinstance(document, dict):
        return None
    if all(isinstance(curve, dict) and isinstance(curve.get("values"), dict) for curve in document.values()):
        return list(_golden(document))
    if "training_epochs" in document and "epoch" in document:
        return [{**document, "epoch": document["epoch"] + 1} if isinstance(document["epoch"], int) else document]
    if isinstance(document.get("meta"), dict) and isinstance(document.get("iterations"), list):
        return list(_boosted(document["meta"], document["iterations"]))
    return json_history.rows(document)


def _boosted(meta: Mapping[str, Any], iterations: list[Any]) -> Iterator[Entry]:
    """CatBoost's catboost_training.json: metrics by their place in a list; the first that is minimised is the loss."""
    told_of = [metric for metric in meta.get("learn_metrics") or () if isinstance(metric, dict)]
    loss = next((metric.get("name") for metric in told_of if metric.get("best_value") == "Min"), None)
    for row in iterations:
        if not isinstance(row, dict):
            continue
        told: dict[str, Any] = {"iteration": row.get("iteration")}
        for sets, metrics, split in (("learn_sets", "learn_metrics", "train"), ("test_sets", "test_metrics", "eval")):
            names = [metric.get("name") for metric in meta.get(metrics) or () if isinstance(metric, dict)]
            for one in (meta.get(sets) or ())[:1]:
                values = zip(names, row.get(one) or (), strict=False)
                told |= {f"{split}/loss" if name == loss else f"{split}/{name}": value for name, value in values}
        yield told


def parse(text: str) -> Any:
    """The document. Raises ValueError where it is no JSON."""
    try:
        return json.loads(text.strip("\x00\ufeff \t\r\n"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _counted(entries: list[Entry]) -> Iterator[Entry]:
    """Rows as they are; where they name neither step nor epoch each is an epoch, and lists in it are the rows of that epoch."""
    if any(axes.first(row, axes.STEP) or axes.first(row, axes.EPOCH) for row in entries):
        yield from entries
        return
    count = 0
    for row in entries:
        several = json_history.rows(row) if any(isinstance(value, list) for value in row.values()) else None
        for one in several or (row,):
            count += 1
            yield {**one, "epoch": count} if several is None else {**{k: v for k, v in one.items() if k != "epoch"}, "step": count}


def _golden(document: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    """Megatron's `{"lm loss": {"values": {"1": 10.8, "5": 10.7}}}`, one point a row."""
    for name, curve in document.items():
        for step, value in curve["values"].items():
            yield {"step": step, name: value}
