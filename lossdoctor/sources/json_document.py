"""One JSON document as rows: a list of rows, Megatron's golden values, the metrics file that AllenNLP writes after an epoch.

Results of a whole run (`all_results.json`) hold no course of anything and are no log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]
_MEGATRON = re.compile(r'\{\s*"[^"]{1,200}"\s*:\s*\{\s*"(?:start_step|end_step|step_interval|values)"\s*:')
_LIST = re.compile(r'\[\s*\{[^\[{]{0,2000}"(?:step|global_step|iteration|iter|epoch)"\s*:')


def looks_like(text: str) -> bool:
    """Whether a document starts like one of the three kinds."""
    start = text.lstrip("\ufeff \t\r\n")
    return bool(_MEGATRON.match(start) or _LIST.match(start)) or (
        start.startswith("{") and '"training_epochs"' in text and '"training_loss"' in text
    )


def rows(text: str) -> list[Entry] | None:
    """The rows of a document in order; None where it is none of the three kinds. Raises ValueError where it is no JSON."""
    try:
        document = json.loads(text.strip("\x00\ufeff \t\r\n"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if isinstance(document, list):
        return [row for row in document if isinstance(row, dict)]
    if not isinstance(document, dict):
        return None
    if all(isinstance(curve, dict) and isinstance(curve.get("values"), dict) for curve in document.values()):
        return list(_golden(document))
    if "training_epochs" in document and "epoch" in document:
        return [{**document, "epoch": document["epoch"] + 1} if isinstance(document["epoch"], int) else document]
    return None


def _golden(document: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    """Megatron's `{"lm loss": {"values": {"1": 10.8, "5": 10.7}}}`, one point a row."""
    for name, curve in document.items():
        for step, value in curve["values"].items():
            yield {"step": step, name: value}
