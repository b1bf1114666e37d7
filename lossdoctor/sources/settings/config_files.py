"""Configurations in JSON and YAML: the model's, the adapter's, DeepSpeed's, and whatever a training script was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings import deepspeed
from lossdoctor.sources.settings.keep import keep
from lossdoctor.sources.settings.names import canonical

# A model config has many more names; some of them ("dropout", "max_length") mean another thing than the trainer's.
_MODEL_NAMES = (
    "vocab_size num_labels hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings model_type "
    "architectures dtype problem_type base_model attn_implementation transformers_version use_cache hidden_dropout_prob "
    "attention_dropout is_encoder_decoder tie_word_embeddings decoder_start_token_id quant_method load_in_4bit load_in_8bit"
)
_MODEL = frozenset(_MODEL_NAMES.split())
_ADAPTER = {"r": "lora_r", "bias": "lora_bias"}
_TEXT_PARTS = ("text_config", "llm_config", "language_config", "decoder")


def model(raw: Mapping[str, Any], source: str) -> tuple[Setting, ...]:
    """The settings in a model's config.json; of a composed model (image and text) the sizes are those of the text part."""
    flat = dict(raw)
    for part in _TEXT_PARTS:
        if isinstance(inner := raw.get(part), Mapping):
            flat = {**inner, **flat}
    if isinstance(quantized := raw.get("quantization_config"), Mapping):
        flat |= {key: quantized[key] for key in ("quant_method", "load_in_4bit", "load_in_8bit") if key in quantized}
    return keep({key: value for key, value in flat.items() if canonical(key) in _MODEL or key == "id2label"}, source)


def adapter(raw: Mapping[str, Any], source: str) -> tuple[Setting, ...]:
    """The settings in PEFT's adapter_config.json: lora_r, lora_alpha, lora_dropout, target modules (their number), base model and class."""
    mapped = raw.get("auto_mapping")
    base = {"architectures": mapped["base_model_class"]} if isinstance(mapped, Mapping) and "base_model_class" in mapped else {}
    return keep({**base, **{_ADAPTER.get(key, key): value for key, value in raw.items()}}, source)


def general(raw: Mapping[str, Any], source: str) -> tuple[Setting, ...]:
    """The settings in any other configuration: a model's, an adapter's, DeepSpeed's or WandB's by their marks, else a script's own."""
    if "_wandb" in raw or "wandb_version" in raw:
        raw = {key: item["value"] for key, item in raw.items() if isinstance(item, Mapping) and "value" in item}
    if deepspeed.is_config(raw):
        return deepspeed.settings(raw, source)
    if "peft_type" in raw:
        return adapter(raw, source)
    if "architectures" in raw or ("model_type" in raw and "transformers_version" in raw):
        return model(raw, source)
    return keep(raw, source, nested=True)
