"""`training_args.bin`: the TrainingArguments (or SFTConfig, DPOConfig, ...) that `transformers.Trainer` pickles beside a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings import deepspeed
from lossdoctor.sources.settings.keep import keep
from lossdoctor.sources.settings.pickle_values import Stub


def settings(value: Any, source: str) -> tuple[Setting, ...] | None:
    """The settings in the object that was saved; None where it does not look like training arguments of any era.

    An object's attributes, a plain dict and an argparse Namespace are taken.
    """
    attributes = _attributes(value)
    if attributes is None:
        return None
    raw: dict[Any, Any] = dict(attributes)
    processes = _attributes(raw.get("distributed_state")) or {}
    if "num_processes" in processes:
        raw.setdefault("num_processes", processes["num_processes"])
    if isinstance(count := raw.get("_n_gpu"), int) and count < 0:
        del raw["_n_gpu"]  # not set up when it was saved
    kept = keep(raw, source)
    engine = deepspeed.settings(_deepspeed_config(raw), source)
    known = {setting.name for setting in kept}
    return kept + tuple(setting for setting in engine if setting.name not in known) if kept else None


def _attributes(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Stub):
        return value.state if isinstance(value.state, dict) else value.contents if isinstance(value.contents, dict) else None
    return value if isinstance(value, dict) else None


def _deepspeed_config(raw: Mapping[Any, Any]) -> Any:
    """The DeepSpeed configuration itself, where the arguments carry it and not only the name of its file."""
    if isinstance(raw.get("deepspeed"), dict):
        return raw["deepspeed"]
    for holder in ("hf_deepspeed_config", "deepspeed_plugin"):
        inside = _attributes(raw.get(holder)) or {}
        inside = _attributes(inside.get("hf_ds_config")) or inside
        if isinstance(inside.get("config"), dict):
            return inside["config"]
    return {}
