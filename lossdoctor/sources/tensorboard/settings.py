"""Hyperparameters that event files hold: TrainingArguments and the model config as JSON texts, and the hparams plugin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lossdoctor.model import Fault, Loss, Scalar, Setting
from lossdoctor.sources.tensorboard.eventfile import EventFile

ARGS = "args/text_summary"
MODEL = "model_config/text_summary"
MODEL_SETTINGS = (
    "vocab_size",
    "num_labels",
    "model_type",
    "hidden_size",
    "n_embd",
    "d_model",
    "num_hidden_layers",
    "n_layer",
    "max_position_embeddings",
    "problem_type",
    "torch_dtype",
    "dtype",
    "_name_or_path",
)
SOURCES = ("args/text_summary", "model_config/text_summary", "hparams")
"""In the order of trust: what the hparams plugin holds went through str() and float()."""
SECRET = re.compile(r"secret|passw|api_?key|access_?key|private_?key|credential", re.IGNORECASE)
TOKEN = re.compile("token", re.IGNORECASE)


def of(files: Iterable[EventFile]) -> tuple[tuple[Setting, ...], tuple[Fault, ...]]:
    """The settings of the files of one run, oldest file first: of one source the last file wins, and what it contradicts is a conflict."""
    found: dict[str, dict[str, Setting]] = {source: {} for source in SOURCES}
    faults: list[Fault] = []
    for file in files:
        for source, values in zip(SOURCES, (_parsed(file, ARGS, faults), _model(file, faults), file.hparams), strict=True):
            for name, value in _kept(values).items():
                _put(found[source], Setting(name, value, f"events {source}"))
    merged: dict[str, Setting] = {}
    for source in SOURCES:
        merged = found[source] | merged
    return tuple(merged.values()), tuple(faults)


def args(file: EventFile) -> Mapping[str, Any]:
    """The TrainingArguments of a file; empty if it holds none that can be read."""
    return _parsed(file, ARGS, [])


def _model(file: EventFile, faults: list[Fault]) -> dict[str, Any]:
    model = _parsed(file, MODEL, faults)
    kept = {name: model[name] for name in MODEL_SETTINGS if name in model}
    if "num_labels" not in kept and isinstance(model.get("id2label"), dict):
        kept["num_labels"] = len(model["id2label"])
    return kept


def _put(found: dict[str, Setting], setting: Setting) -> None:
    before = found.get(setting.name)
    if before is not None and before.value != setting.value:
        setting = replace(setting, conflicts=(*before.conflicts, (before.source, before.value)))
    elif before is not None:
        setting = before
    found[setting.name] = setting


def _parsed(file: EventFile, tag: str, faults: list[Fault]) -> dict[str, Any]:
    texts = file.texts.get(tag)
    if not texts:
        return {}
    try:
        parsed = json.loads(texts[-1])
    except (ValueError, RecursionError) as error:
        faults.append(Fault("bad-settings", file.path.name, f"{tag} is no JSON ({error!s:.80}); its settings are unknown", Loss.BENIGN))
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _kept(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """The plain values, without those whose name says that they are credentials."""
    plain = {name: value for name, value in values.items() if value is None or isinstance(value, bool | int | float | str)}
    return {name: value for name, value in plain.items() if not _is_secret(name, value)}


def _is_secret(name: str, value: Scalar) -> bool:
    """`eos_token_id` and `include_num_input_tokens_seen` are numbers and switches; a token that is text is a credential."""
    return bool(SECRET.search(name)) or (isinstance(value, str) and bool(TOKEN.search(name)))
