"""Canonical signal names, their units, and the names that frameworks log them under.

| signal | unit |
|---|---|
| train/loss, eval/loss, eval/<set>/loss | as logged (nats a token for language models) |
| train/learning_rate, train/grad_norm, train/loss_scale | - |
| train/epoch | epochs |
| perf/tokens_per_second, perf/samples_per_second, perf/steps_per_second | 1/s |
| perf/step_seconds, perf/data_wait_seconds (a step's, of these) | s |
| perf/mfu | fraction |
| gpu/<i>/{memory, memory_peak, memory_reserved}, host/memory, process/memory | bytes |
| train/step_loss_max | as train/loss |
| train/{nonfinite_losses, nonfinite_inputs, skipped_steps} | count since the row before |
| gpu/<i>/memory_utilization, gpu/<i>/utilization | percent |
| gpu/<i>/temperature | degrees Celsius |
| eval/<metric>, train/accuracy, reward, reward_std, kl, entropy, rewards/..., logps/..., completions/... | as logged |

Where two logged names map to one signal, the first in the table wins and the other keeps its raw name. Unknown names stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

GIB = float(1 << 30)
MIB = float(1 << 20)
GB = 1e9
MB = 1e6
MILLI = 1e-3
PERCENT = 1e-2

_TABLE: Mapping[str, tuple[str, ...]] = {
    "train/loss": (
        "train/loss",
        "loss",
        "train_loss",
        "train_loss_step",
        "train/loss_step",
        "training_loss",
        "loss/train",
        "training/loss",
        "train/total_loss",
        "causal_lm_loss",
        "lm_loss",
        "total_loss",
        "loss/total_loss",
        "loss/total",
        "train/epoch_loss",
        "epoch_loss",
        "train_loss_epoch",
        "train/loss_epoch",
        "logloss",
        "trainiterstats/loss",
        "learn/loss",
        "train/mlm_loss",
        "train/ce_loss",
        "batch_loss",
        "trainepochstats/avg_loss",
        "loss_train",
        "train/train_loss_step",
        "running_loss",
        "global_avg_loss",
        "loss_metrics/global_avg_loss",
        "reduced_train_loss",
        "train/reduced_train_loss",
        "avr_loss",
        "loss/average",
        "loss/avg",
        "avg_loss",
        "average_loss",
        "ave_loss",
        "train/avg_loss",
        "avg_train_loss",
        "average_train_loss",
        "mean_train_loss",
        "trainloss",
        "train_losses",
        "training_losses",
        "training/total_loss",
        "loss_total",
        "losses/total_loss",
        "losses/total",
        "train/gpt_loss",
        "gpt_loss",
        "mean_loss",
    ),
    "eval/loss": (
        "eval/loss",
        "eval_loss",
        "val/loss",
        "val_loss",
        "valid_loss",
        "valid/loss",
        "validation_loss",
        "validation/loss",
        "test/loss",
        "test_loss",
        "loss/validation",
        "loss/val",
        "loss/valid",
        "loss/test",
        "loss/eval",
        "ptl/val_loss",
        "lm_loss_validation",
        "evalstats/avg_loss",
        "val_loss_epoch",
        "val/loss_epoch",
        "validation/epoch_loss",
        "val/epoch_loss",
        "eval/epoch_loss",
        "test/epoch_loss",
        "dev_loss",
        "dev/loss",
        "validation_validation/loss",
        "loss_val",
        "eval/eval_loss",
        "valloss",
        "validloss",
        "testloss",
        "val_losses",
        "valid_losses",
        "validation_losses",
        "eval_losses",
        "test_losses",
        "valid._loss",
        "val._loss",
        "avg_val_loss",
        "average_val_loss",
        "avg_valid_loss",
        "average_validation_loss",
        "val/total_loss",
        "val/avg_loss",
        "validation/total_loss",
        "dev_losses",
    ),
    "train/learning_rate": (
        "train/learning_rate",
        "learning_rate",
        "train/lr",
        "lr",
        "lr_adamw",
        "lr_adam",
        "lr_sgd",
        "lr_adamw/pg1",
        "lr_adam/pg1",
        "lr_sgd/pg1",
        "x/lr0",
        "lr/pg0",
        "policy/learning_rate",
        "current_lr",
        "batch_lr",
        "lr/group_0",
        "epoch_learning_rate",
        "train/epoch_learning_rate",
        "trainiterstats/lr",
        "learn/lr",
        "optim/learning_rate",
        "optimizer/lr",
        "train_lr",
        "actor/lr",
        "actor_lr",
        "lr_0",
        "optim0_lr0",
        "lr_abs",
        "lr/unet",
        "learningrate",
        "train/train_lr",
    ),
    "train/grad_norm": (
        "train/grad_norm",
        "grad_norm",
        "gnorm",
        "norm",
        "total_grad_norm",
        "gradient_norm",
        "train/gradient_norm",
        "trainepochstats/avg_grad_norm",
        "gradnorm",
        "train/gnorm",
        "grad/norm",
        "optim/total_grad_norm",
        "global_grad_norm",
        "train/global_grad_norm",
        "train/total_grad_norm",
        "actor/grad_norm",
        "grad",
        "global_norm",
        "optim/grad_norm",
        "train/grads_norm",
        "grads_norm",
    ),
    "train/loss_scale": ("train/loss_scale", "loss_scale", "scale", "train/scale", "grad_scale", "train/grad_scale"),
    "train/epoch": ("train/epoch", "epoch"),
    "train/accuracy": (
        "train/accuracy",
        "train_accuracy",
        "train_acc",
        "train/acc",
        "accuracy",
        "acc",
        "training_accuracy",
        "accuracy/train",
        "train/epoch_accuracy",
        "mean_token_accuracy",
        "train/mean_token_accuracy",
        "train_acc_epoch",
        "train_acc_step",
    ),
    "eval/accuracy": (
        "eval/accuracy",
        "eval_accuracy",
        "eval_acc",
        "val_accuracy",
        "val_acc",
        "val/accuracy",
        "val/acc",
        "valid_acc",
        "valid_accuracy",
        "validation_accuracy",
        "accuracy/validation",
        "accuracy/val",
        "test_acc",
        "test_accuracy",
        "test/accuracy",
        "validation/epoch_accuracy",
        "eval_mean_token_accuracy",
        "eval/mean_token_accuracy",
        "top1",
    ),
    "perf/tokens_per_second": (
        "tokens_per_second",
        "train/tokens_per_second",
        "perf/tokens_per_second",
        "tok/sec",
        "tokens/sec",
        "tok_s",
        "tps",
        "wps",
        "train_tokens_per_second",
        "train/tokens_per_sec",
        "tokens_per_sec",
        "perf/tps",
        "throughput/tokens_per_sec",
        "throughput(tps)",
    ),
    "perf/samples_per_second": (
        "samples_per_second",
        "train/samples_per_second",
        "samples_per_sec",
        "samples/sec",
        "train_samples_per_second",
        "train_samples/sec",
        "throughput/samples_per_sec",
        "time/fps",
        "throughput",
    ),
    "perf/steps_per_second": (
        "steps_per_sec",
        "steps_per_second",
        "global_step/sec",
        "it/s",
        "train/steps_per_second",
        "train_speed(iter/s)",
        "it/sec",
    ),
    "perf/step_seconds": (
        "step_time",
        "train/step_time",
        "iteration_time",
        "iter_time",
        "step_seconds",
        "time/iteration",
        "seconds_per_step",
        "train/step_seconds",
        "time_per_iteration",
        "batch_time",
        "train/batch_time",
        "batch_(t)",
        "batch_cost",
        "avg_batch_cost",
        "train_speed(s/it)",
        "timing_s/step",
        "train_step_timing_in_s",
        "sec/step",
        "sec/iter",
    ),
    "perf/mfu": ("mfu", "train/mfu", "perf/mfu", "running_mfu", "throughput/mfu"),
    "host/memory": ("host/memory", "cpu_memory_bytes"),
    # What lossdoctor.callback adds to the Trainer's rows: TensorBoard and WandB hold the same numbers under train/.
    "perf/data_wait_seconds": (
        "data_wait_seconds",
        "train/data_wait_seconds",
        "data_time",
        "train/data_time",
        "data_(t)",
        "reader_cost",
        "avg_reader_cost",
        "data_loading_time",
        "dataloader_time",
        "time/data",
    ),
    "train/step_loss_max": ("step_loss_max", "train/step_loss_max"),
    "train/nonfinite_losses": ("nonfinite_losses", "train/nonfinite_losses"),
    "train/nonfinite_inputs": ("nonfinite_inputs", "train/nonfinite_inputs"),
    "train/skipped_steps": ("skipped_steps", "train/skipped_steps"),
}

# Reinforcement learning: the words of verl, OpenRLHF and others for what TRL calls reward, kl, entropy and completions/...
_TABLE_OF_RL: Mapping[str, tuple[str, ...]] = {
    "reward": ("reward", "train/reward", "critic/rewards/mean", "critic/score/mean", "rollout/ep_rew_mean"),
    "kl": ("kl", "train/kl", "actor/kl_loss", "critic/kl", "actor/reward_kl_penalty"),
    "entropy": ("entropy", "train/entropy", "actor/entropy", "actor/entropy_loss"),
    "completions/clipped_ratio": ("completions/clipped_ratio", "train/completions/clipped_ratio", "response_length/clip_ratio"),
    "completions/mean_length": ("completions/mean_length", "train/completions/mean_length", "response_length/mean"),
}
_REWARD = re.compile(
    r"(?:(?:train|rollout|charts|critic|environment|env_runners)/)?"
    r"(?:(?:mean|avg|average|episod\w{1,4}|ep|cumulative|total|running)_){0,4}(?:rewards?|returns?|rew)(?:_(?:mean|moyen|avg|average)){0,2}"
    r"(?:_\(.{1,40}\)|_\d{1,6})?"
)

_SCALED: Mapping[str, tuple[str, float]] = {
    "elapsed_time_per_iteration_ms": ("perf/step_seconds", MILLI), "elapsed_time_per_iteration_(ms)": ("perf/step_seconds", MILLI),
    "train/step_avg_ms": ("perf/step_seconds", MILLI), "step_avg": ("perf/step_seconds", MILLI),
    "step_avg_ms": ("perf/step_seconds", MILLI),
    "dt_ms": ("perf/step_seconds", MILLI), "time_ms": ("perf/step_seconds", MILLI), "iter_time_(s)": ("perf/step_seconds", 1.0),
    "time_ms_per_step": ("perf/step_seconds", MILLI),
    "mfu_percent": ("perf/mfu", PERCENT), "mfu(%)": ("perf/mfu", PERCENT), "mfu_pct": ("perf/mfu", PERCENT),
    "process_memory_mb": ("process/memory", MB), "process_memory_mib": ("process/memory", MIB),
    "process_memory_gb": ("process/memory", GB),
    **dict.fromkeys(("memory_rss_mb", "system/memory_rss_mb", "system/rss_mb", "process/rss_mb", "rss_mb"), ("process/memory", MB)),
    **dict.fromkeys(("memory_rss_gb", "system/memory_rss_gb", "process/rss_gb", "rss_gb"), ("process/memory", GB)),
    "cpu_mem_gb": ("host/memory", GB), "cpu_memory_gb": ("host/memory", GB), "cpu_memory_mb": ("host/memory", MB),
    "ram_gb": ("host/memory", GB), "ram_mb": ("host/memory", MB),
    "memory_gib": ("gpu/0/memory", GIB), "memory_mib": ("gpu/0/memory", MIB), "mem_mib": ("gpu/0/memory", MIB),
    "memory(gib)": ("gpu/0/memory", GIB), "max_mem": ("gpu/0/memory", MIB), "memory": ("gpu/0/memory", MIB),
    "memory_gb": ("gpu/0/memory", GB), "gpu_memory_gb": ("gpu/0/memory", GB), "gpu_memory_mb": ("gpu/0/memory", MB),
    "gpu_mem_gb": ("gpu/0/memory", GB), "gpu_mem_mb": ("gpu/0/memory", MB),
    "gpu_memory_allocated_gb": ("gpu/0/memory", GB), "memory_allocated_gb": ("gpu/0/memory", GB),
    "memory_allocated_mb": ("gpu/0/memory", MB),
    "system/peak_mem_allocated_mib": ("gpu/0/memory", MIB), "memory/max_active_gib": ("gpu/0/memory", GIB),
    "memory/max_active(gib)": ("gpu/0/memory", GIB), "vram_gb": ("gpu/0/memory", GB),
}  # fmt: skip

_FLAT: Mapping[str, tuple[str, int]] = {
    alias: (signal, rank) for table in (_TABLE, _TABLE_OF_RL) for signal, aliases in table.items() for rank, alias in enumerate(aliases)
}
# Words that are too common to mean anything alone: (all of these, one of them, its signal).
_COMPANY: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset(("data_time", "time")), "time", "perf/step_seconds"),  # mmengine, detectron2
    (frozenset(("data", "time")), "time", "perf/step_seconds"),  # torchvision, timm, the ImageNet example of PyTorch, CycleGAN
    (frozenset(("data", "time")), "data", "perf/data_wait_seconds"),
    (frozenset(("forward_time", "iter_time", "train_time")), "iter_time", "perf/data_wait_seconds"),  # ESPnet
    (frozenset(("forward_time", "iter_time", "train_time")), "train_time", "perf/step_seconds"),
    (frozenset(("episodes", "mean", "stdev")), "mean", "reward"),  # PFRL's scores.txt
)
_GPU = re.compile(r"(?:system[./])?gpu[._/]?(\d+)[./_](.+)")
_GPU_WHAT: Mapping[str, tuple[str, float]] = {
    "memoryallocatedbytes": ("memory", 1.0), "memory_allocated_bytes": ("memory", 1.0), "memory_allocated_gb": ("memory", GB),
    "memory_allocated_mb": ("memory", MB), "memory_allocated": ("memory", 1.0),
    "memory_allocated_gib": ("memory", GIB), "memory_allocated_mib": ("memory", MIB), "memory": ("memory", 1.0),
    "memory_utilization_pct": ("memory_utilization", 1.0),
    "memoryallocated": ("memory_utilization", 1.0), "memory_utilization": ("memory_utilization", 1.0),
    "utilization_pct": ("utilization", 1.0), "gpu": ("utilization", 1.0),
    "utilization": ("utilization", 1.0), "temperature_c": ("temperature", 1.0), "temp": ("temperature", 1.0),
    "temperature": ("temperature", 1.0), "memory_peak": ("memory_peak", 1.0), "memory_reserved": ("memory_reserved", 1.0),
}  # fmt: skip
_PREFERENCE = (
    "reward",
    "rewards/",
    "kl",
    "entropy",
    "logps/",
    "logits/",
    "completions/",
    "completion_length",
    "frac_reward_zero_std",
    "clip_ratio",
    "objective/",
    "policy/",
    "val/ratio",
    "num_tokens",
)
_EVAL_SET_LOSS = re.compile(
    r"eval_([A-Za-z0-9_.-]+)_loss$|eval/([A-Za-z0-9_.-]+?)[_/]loss$|(?:val|valid|validation)_loss/(?:dataloader_idx_)?([A-Za-z0-9_.-]+)$"
)
# Words that only group: `epoch/train_loss`, `metrics/val_loss`.
_GROUPS = frozenset(("epoch", "epochs", "metric", "metrics", "scalars", "losses", "stats", "history"))
_SPLITS = ("train", "val", "eval", "test", "dev")
_RUN_STATISTICS = {
    "train_loss",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "total_flos",
    "train_tokens_per_second",
}
# What HF writes once in its closing row: an average over the run, never part of a curve.
CLOSING = frozenset(f"train/{name}" for name in _RUN_STATISTICS)


def plain(raw: str) -> str:
    """Lower-case a logged name and fold blanks and hyphens into underscores."""
    return re.sub(r"[\s-]+", "_", raw.strip().lower())


def is_epoch_mean(raw: str) -> bool:
    """Whether a raw name is that of the training loss of a whole epoch: Lightning logs `train_loss_epoch` beside `train_loss_step`."""
    name = plain(raw)
    return "epoch" in name and _FLAT.get(name, ("", 0))[0] == "train/loss"


def in_company(logged: Iterable[str]) -> dict[str, str]:
    """Raw name -> signal for the names that mean something only beside others of the same log: `data` and `time` of torchvision."""
    folded: dict[str, str] = {}
    for raw in logged:
        folded.setdefault(plain(raw).removeprefix("train/"), raw)
    return {folded[name]: signal for others, name, signal in _COMPANY if others <= folded.keys()}


@lru_cache(maxsize=8192)
def canonical(raw: str) -> tuple[str, int, float]:
    """Return (signal, rank, scale) for a logged name: lower ranks win, values are multiplied by `scale` to reach the signal's unit."""
    name = plain(raw)
    if name in CLOSING:
        return name, 99, 1.0
    if name in _FLAT:
        signal, rank = _FLAT[name]
        return signal, rank, 1.0
    if _REWARD.fullmatch(name):
        return "reward", 20, 1.0
    bare = name.removeprefix("train/")
    if bare in _SCALED:
        signal, scale = _SCALED[bare]
        return signal, 0, scale
    gpu = _GPU.fullmatch(bare)
    if gpu and gpu[2] in _GPU_WHAT:
        what, scale = _GPU_WHAT[gpu[2]]
        return f"gpu/{gpu[1]}/{what}", 0, scale
    if bare.startswith(_PREFERENCE):
        return bare, 0 if bare == name else 1, 1.0
    per_set = _EVAL_SET_LOSS.fullmatch(name)
    if per_set:
        return f"eval/{next(g for g in per_set.groups() if g)}/loss", 0, 1.0
    group, _, inner = name.partition("/")
    if group in _GROUPS and inner in _FLAT and inner.startswith(_SPLITS):
        return _FLAT[inner][0], 1000 + _FLAT[inner][1], 1.0
    if name.startswith("eval_"):
        return f"eval/{name[5:]}", 1, 1.0
    if name.startswith("eval/"):
        return name, 0, 1.0
    return raw, 50, 1.0
