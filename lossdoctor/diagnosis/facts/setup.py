"""What was trained, and with what."""

from __future__ import annotations

from collections.abc import Mapping

from lossdoctor.diagnosis.progress import batch, gpu_count, row_interval
from lossdoctor.model import Scalar
from lossdoctor.run import Run

FACTS: Mapping[str, str] = {
    "task": "rl, preference, speech, classification, language-model, unknown",
    "framework": "what wrote the log",
    "last_step": "the newest evidence of a step",
    "planned_steps": "what the run set out to do",
    "first_step": "the first logged step",
    "ended_before_plan": "the run ended more than a row before its plan",
    "points": "logged values in all",
    "precision": "fp16, bf16 or fp32, where the settings tell",
    "is_fp16": "trained in fp16",
    "is_bf16": "trained in bf16",
    "is_lora": "only adapters are trained",
    "is_full_finetune": "a pretrained base model, all weights trained",
    "is_quantized": "the base model is loaded in 4 or 8 bits",
    "gpus": "GPUs of the run",
    "batch_samples": "samples per optimizer step",
    "batch_is_small": "at most 8 samples per optimizer step",
    "deepspeed_zero_2": "DeepSpeed ZeRO stage 2",
    "packs_without_varlen": "packing with an attention kernel that lets packed samples see each other",
    "clipping_is_off": "max_grad_norm is 0 or absent in the settings",
}


def whole(run: Run) -> dict[str, Scalar]:
    precision = _precision(run)
    lora = any(run.setting(name) is not None for name in ("lora_r", "peft_type")) or run.setting("use_peft") is True
    factors = batch(run)
    limit = run.number("max_grad_norm")
    samples = None if "per_device_train_batch_size" in factors.unknown else factors.samples
    return {
        "task": run.task,
        "framework": run.framework or None,
        "last_step": run.last_step,
        "planned_steps": run.planned_steps,
        "first_step": run.first_step,
        "ended_before_plan": None if not run.planned_steps else run.planned_steps - run.last_step > _interval(run),
        "points": run.points,
        "precision": precision,
        "is_fp16": None if precision is None else precision == "fp16",
        "is_bf16": None if precision is None else precision == "bf16",
        "is_lora": lora or None,
        "is_full_finetune": (not lora and run.setting("base_model") is not None) or None,
        "is_quantized": run.setting("load_in_4bit") is True or run.setting("load_in_8bit") is True or None,
        "gpus": gpu_count(run),
        "batch_samples": samples,
        "batch_is_small": None if samples is None else samples <= 8,
        "deepspeed_zero_2": None if run.number("deepspeed_zero_stage") is None else run.number("deepspeed_zero_stage") == 2,
        "packs_without_varlen": _packs_without_varlen(run),
        "clipping_is_off": None if limit is None else limit == 0,
    }


def _interval(run: Run) -> float:
    loss = run.signal("train/loss")
    return row_interval(loss) if loss is not None else 0.0


def _precision(run: Run) -> str | None:
    """The precision of the computation; `fp16`/`bf16` flags win over the dtype of the weights."""
    for name in ("fp16", "bf16"):
        if run.setting(name) is True:
            return name
    said = " ".join(str(run.setting(name) or "") for name in ("mixed_precision", "dtype")).lower()
    for word, name in (
        ("bf16", "bf16"),
        ("bfloat16", "bf16"),
        ("fp16", "fp16"),
        ("float16", "fp16"),
        ("fp32", "fp32"),
        ("float32", "fp32"),
    ):
        if word in said:
            return name
    return "fp32" if run.setting("fp16") is False and run.setting("bf16") is False else None


def _packs_without_varlen(run: Run) -> bool | None:
    attention = str(run.setting("attn_implementation") or "").lower()
    if run.setting("packing") is not True or not attention:
        return None
    return "flash" not in attention
