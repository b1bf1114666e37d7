"""DeepSpeed configurations: a file, or the dict that other settings carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossdoctor.model import Setting
from lossdoctor.sources.settings.keep import keep

_MARKS = ("zero_optimization", "train_micro_batch_size_per_gpu", "zero_allow_untested_optimizer")


def is_config(raw: Any) -> bool:
    """Whether a JSON object is a DeepSpeed configuration."""
    return isinstance(raw, Mapping) and any(mark in raw for mark in _MARKS)


def settings(raw: Any, source: str) -> tuple[Setting, ...]:
    """The settings in a DeepSpeed configuration (https://www.deepspeed.ai/docs/config-json/); "auto" leaves them to the trainer."""
    if not is_config(raw):
        return ()
    zero, fp16, bf16 = _part(raw, "zero_optimization"), _part(raw, "fp16"), _part(raw, "bf16")
    optimizer, scheduler = _part(_part(raw, "optimizer"), "params"), _part(_part(raw, "scheduler"), "params")
    flat = {
        "per_device_train_batch_size": raw.get("train_micro_batch_size_per_gpu"),
        "total_train_batch_size": raw.get("train_batch_size"),
        "gradient_accumulation_steps": raw.get("gradient_accumulation_steps"),
        "max_grad_norm": raw.get("gradient_clipping", "auto"),
        "fp16": fp16.get("enabled"),
        "bf16": bf16.get("enabled"),
        "deepspeed_loss_scale": fp16.get("loss_scale"),
        "deepspeed_initial_scale_power": fp16.get("initial_scale_power"),
        "deepspeed_zero_stage": zero.get("stage"),
        "deepspeed_overlap_comm": zero.get("overlap_comm"),
        "deepspeed_offload": _part(zero, "offload_optimizer").get("device"),
        "optim": _part(raw, "optimizer").get("type"),
        "lr_scheduler_type": _part(raw, "scheduler").get("type"),
        "learning_rate": optimizer.get("lr", scheduler.get("warmup_max_lr")),
        "weight_decay": optimizer.get("weight_decay"),
        "adam_epsilon": optimizer.get("eps"),
        "betas": optimizer.get("betas"),
        "warmup_steps": scheduler.get("warmup_num_steps"),
        "max_steps": scheduler.get("total_num_steps"),
    }
    return keep(flat, source)


def _part(raw: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    part = raw.get(key)
    return part if isinstance(part, Mapping) else {}
