"""The names that frameworks log signals under, as data: `names` reads them."""

from __future__ import annotations

from collections.abc import Mapping

GIB = float(1 << 30)
MIB = float(1 << 20)
GB = 1e9
MB = 1e6
MILLI = 1e-3
PERCENT = 1e-2

TABLE: Mapping[str, tuple[str, ...]] = {
    "train/loss": (
        "train/loss", "loss", "train_loss", "train_loss_step", "train/loss_step", "training_loss", "loss/train",
        "training/loss", "train/total_loss", "causal_lm_loss", "lm_loss", "total_loss", "loss/total_loss",
        "loss/total", "train/epoch_loss", "epoch_loss", "train_loss_epoch", "train/loss_epoch", "logloss",
        "trainiterstats/loss", "learn/loss", "train/mlm_loss", "train/ce_loss", "trainepochstats/avg_loss",
        "train/train_loss_step", "train/gpt_loss", "gpt_loss",
    ),
    "eval/loss": (
        "eval/loss", "eval_loss", "val/loss", "val_loss", "valid_loss", "valid/loss", "validation_loss",
        "validation/loss", "ptl/val_loss", "lm_loss_validation", "evalstats/avg_loss",
    ),
    "train/learning_rate": (
        "train/learning_rate", "learning_rate", "train/lr", "lr", "lr_adamw", "lr_adam", "lr_sgd", "lr_adamw/pg1",
        "lr_adam/pg1", "lr_sgd/pg1", "x/lr0", "lr/pg0", "policy/learning_rate", "current_lr", "batch_lr",
        "lr/group_0", "epoch_learning_rate", "train/epoch_learning_rate", "trainiterstats/lr", "learn/lr",
        "optim/learning_rate", "optimizer/lr", "train_lr", "actor/lr", "actor_lr", "lr_0", "optim0_lr0", "lr_abs",
        "lr/unet", "learningrate", "train/train_lr", "base_learning_rate",
    ),
    "train/grad_norm": (
        "train/grad_norm", "grad_norm", "gnorm", "norm", "total_grad_norm", "gradient_norm", "train/gradient_norm",
        "trainepochstats/avg_grad_norm", "gradnorm", "train/gnorm", "grad/norm", "optim/total_grad_norm",
        "global_grad_norm", "train/global_grad_norm", "train/total_grad_norm", "actor/grad_norm", "grad",
        "global_norm", "optim/grad_norm", "train/grads_norm", "grads_norm", "grad_l2", "grad_norm_preclip", "grad_norm_pre_clip",
        "grad_norm_before_clip", "grad_norm_raw", "grad_norm_unclipped", "pre_clip_grad_norm", "preclip_grad_norm",
    ),
    "train/loss_scale": ("train/loss_scale", "loss_scale", "scale", "train/scale", "grad_scale", "train/grad_scale"),
    "train/epoch": ("train/epoch", "epoch"),
    "train/accuracy": (
        "train/accuracy", "train_accuracy", "train_acc", "train/acc", "accuracy", "acc", "training_accuracy",
        "accuracy/train", "train/epoch_accuracy", "mean_token_accuracy", "train/mean_token_accuracy",
        "train_acc_epoch", "train_acc_step", "sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy",
        "acc_seg", "decode.acc_seg", "decode_0.acc_seg",
    ),
    "eval/accuracy": (
        "eval/accuracy", "eval_accuracy", "eval_acc", "val_accuracy", "val_acc", "val/accuracy", "val/acc",
        "valid_acc", "valid_accuracy", "validation_accuracy", "accuracy/validation", "accuracy/val", "test_acc",
        "test_accuracy", "test/accuracy", "validation/epoch_accuracy", "eval_mean_token_accuracy",
        "eval/mean_token_accuracy", "val_sparse_categorical_accuracy", "val_categorical_accuracy", "val_binary_accuracy", "top1",
    ),
    "perf/tokens_per_second": (
        "tokens_per_second", "train/tokens_per_second", "perf/tokens_per_second", "tok/sec", "tokens/sec", "tok_s",
        "tps", "wps", "train_tokens_per_second", "train/tokens_per_sec", "tokens_per_sec", "perf/tps",
        "throughput/tokens_per_sec", "throughput(tps)",
    ),
    "perf/samples_per_second": (
        "samples_per_second", "train/samples_per_second", "samples_per_sec", "samples/sec",
        "train_samples_per_second", "train_samples/sec", "throughput/samples_per_sec", "time/fps", "throughput",
    ),
    "perf/steps_per_second": (
        "steps_per_sec", "steps_per_second", "global_step/sec", "it/s", "train/steps_per_second",
        "train_speed(iter/s)", "it/sec",
    ),
    "perf/step_seconds": (
        "step_time", "train/step_time", "iteration_time", "iter_time", "step_seconds", "time/iteration",
        "seconds_per_step", "train/step_seconds", "time_per_iteration", "batch_time", "train/batch_time", "batch_(t)",
        "batch_cost", "avg_batch_cost", "train_speed(s/it)", "timing_s/step", "train_step_timing_in_s", "sec/step",
        "sec/iter", "time/step", "step_s", "time_this_epoch", "epoch_time", "time_per_epoch",
        "epoch_seconds", "epoch_duration", "seconds_per_epoch",
    ),
    "perf/mfu": ("mfu", "train/mfu", "perf/mfu", "running_mfu", "throughput/mfu"),
    "host/memory": ("host/memory", "cpu_memory_bytes"),
    # What lossdoctor.callback adds to the Trainer's rows: TensorBoard and WandB hold the same numbers under train/.
    "perf/data_wait_seconds": (
        "data_wait_seconds", "train/data_wait_seconds", "data_time", "train/data_time", "data_(t)", "reader_cost",
        "avg_reader_cost", "data_loading_time", "dataloader_time", "time/data", "data_wait_s", "time/data_wait",
    ),
    "train/step_loss_max": ("step_loss_max", "train/step_loss_max"),
    "train/nonfinite_losses": ("nonfinite_losses", "train/nonfinite_losses"),
    "train/nonfinite_inputs": ("nonfinite_inputs", "train/nonfinite_inputs"),
    "train/skipped_steps": ("skipped_steps", "train/skipped_steps"),
}  # fmt: skip

# Reinforcement learning: the words of verl, OpenRLHF and others for what TRL calls reward, kl, entropy and completions/...
TABLE_OF_RL: Mapping[str, tuple[str, ...]] = {
    "reward": (
        "reward",
        "train/reward",
        "rollout/return_history",  # baselines: of the last 100 episodes, where rollout/return is of all
        "critic/rewards/mean",
        "critic/score/mean",
        "rollout/ep_rew_mean",
        "reward/mean",
        "eprewmean",
        "averagereturn",
        "evaluation/averagereturn",
        "avgepret",
        "averageepret",
    ),
    "kl": ("kl", "train/kl", "meankl", "actor/kl_loss", "critic/kl", "actor/reward_kl_penalty"),
    "entropy": ("entropy", "train/entropy", "actor/entropy", "actor/entropy_loss"),
    "completions/clipped_ratio": ("completions/clipped_ratio", "train/completions/clipped_ratio", "response_length/clip_ratio"),
    "completions/mean_length": ("completions/mean_length", "train/completions/mean_length", "response_length/mean"),
}

SCALED: Mapping[str, tuple[str, float]] = {
    "entropy_loss": ("entropy", -1.0),  # stable-baselines3
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

# Words that are too common to mean anything alone: (all of these, one of them, its signal).
COMPANY: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset(("data_time", "time")), "time", "perf/step_seconds"),  # mmengine, detectron2
    (frozenset(("data", "time")), "time", "perf/step_seconds"),  # torchvision, timm, the ImageNet example of PyTorch, CycleGAN
    (frozenset(("data", "time")), "data", "perf/data_wait_seconds"),
    (frozenset(("forward_time", "iter_time", "train_time")), "iter_time", "perf/data_wait_seconds"),  # ESPnet
    (frozenset(("forward_time", "iter_time", "train_time")), "train_time", "perf/step_seconds"),
    (frozenset(("episodes", "mean", "stdev")), "mean", "reward"),  # PFRL's scores.txt
    (frozenset(("eit", "le")), "le", "train/loss"),  # VSE++
    (frozenset(("t_loss", "v_loss")), "t_loss", "train/loss"),
    (frozenset(("t_loss", "v_loss")), "v_loss", "eval/loss"),
)

GPU_WHAT: Mapping[str, tuple[str, float]] = {
    "memoryallocatedbytes": ("memory", 1.0), "memory_allocated_bytes": ("memory", 1.0), "memory_allocated_gb": ("memory", GB),
    "memory_allocated_mb": ("memory", MB), "memory_allocated": ("memory", 1.0),
    "memory_allocated_gib": ("memory", GIB), "memory_allocated_mib": ("memory", MIB), "memory": ("memory", 1.0),
    "memory_utilization_pct": ("memory_utilization", 1.0),
    **{f"memory_{kind}_{unit}": (f"memory_{kind}", size) for kind in ("total", "reserved") for unit, size in
       (("gb", GB), ("mb", MB), ("gib", GIB), ("mib", MIB))},
    "memoryallocated": ("memory_utilization", 1.0), "memory_utilization": ("memory_utilization", 1.0),
    "utilization_pct": ("utilization", 1.0), "gpu": ("utilization", 1.0),
    "utilization": ("utilization", 1.0), "temperature_c": ("temperature", 1.0), "temp": ("temperature", 1.0),
    "temperature": ("temperature", 1.0), "memory_peak": ("memory_peak", 1.0), "memory_reserved": ("memory_reserved", 1.0),
}  # fmt: skip
