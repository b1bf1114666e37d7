"""Which settings are kept, under which name, as which type: an allow-list, so that what a config holds beside them never travels on.

The canonical names are those of HuggingFace TrainingArguments 5.x (and TRL, PEFT, DeepSpeed and model configs where they have none).
"""

from __future__ import annotations

_NUMBERS = (
    "learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm warmup_ratio num_train_epochs label_smoothing_factor "
    "eval_delay logging_steps eval_steps save_steps warmup_steps neftune_noise_alpha dropout hidden_dropout_prob attention_dropout "
    "lora_alpha lora_dropout beta temperature epsilon epsilon_high label_smoothing desirable_weight undesirable_weight gamma "
    "early_stopping_threshold last_lr optimizer_lr optimizer_weight_decay momentum min_lr deepspeed_loss_scale "
    "deepspeed_initial_scale_power"
)
_INTEGERS = (
    "per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps max_steps save_total_limit seed data_seed "
    "train_batch_size eval_batch_size total_train_batch_size eval_accumulation_steps dataloader_num_workers dataloader_prefetch_factor "
    "n_gpu world_size lora_r vocab_size num_labels hidden_size num_hidden_layers num_attention_heads intermediate_size "
    "max_position_embeddings max_length max_prompt_length max_completion_length num_generations num_iterations num_of_sequences "
    "deepspeed_zero_stage early_stopping_patience scheduler_step torch_empty_cache_steps pad_to_multiple_of decoder_start_token_id"
)
_FLAGS = (
    "fp16 bf16 tf32 fp16_full_eval bf16_full_eval gradient_checkpointing logging_nan_inf_filter logging_first_step load_best_model_at_end "
    "greater_is_better dataloader_pin_memory dataloader_drop_last dataloader_persistent_workers ignore_data_skip full_determinism "
    "save_only_model save_safetensors auto_find_batch_size average_tokens_across_devices packing eval_packing padding_free "
    "completion_only_loss assistant_only_loss train_on_inputs prediction_loss_only predict_with_generate eval_on_start torch_compile "
    "use_liger_kernel use_cpu use_rslora use_dora use_cache load_in_4bit load_in_8bit use_vllm use_peft mask_truncated_completions "
    "disable_dropout remove_unused_columns deepspeed_overlap_comm is_encoder_decoder tie_word_embeddings activation_offloading "
    "group_by_modality_length do_eval"
)
_WORDS = (
    "lr_scheduler_type optim optim_args logging_strategy eval_strategy save_strategy metric_for_best_model train_sampling_strategy "
    "mixed_precision deepspeed fsdp report_to run_name output_dir model_type architectures dtype problem_type base_model loss_type "
    "scale_rewards lr_scheduler_kwargs target_modules peft_type task_type lora_bias distributed_type quant_method attn_implementation "
    "transformers_version truncation_mode ddp_backend accelerator dataset_text_field framework deepspeed_offload gpu_name chat_template"
)

KINDS: dict[str, type[float] | type[int] | type[bool] | type[str]] = {
    **dict.fromkeys(_NUMBERS.split(), float),
    **dict.fromkeys(_INTEGERS.split(), int),
    **dict.fromkeys(_FLAGS.split(), bool),
    **dict.fromkeys(_WORDS.split(), str),
}

# The same setting as earlier transformers, Lightning, DeepSpeed, Megatron, axolotl, LLaMA-Factory, nanoGPT, mmcv, yolov5 and model
# configs call it.
_ALSO_CALLED: dict[str, str] = {
    "learning_rate": "lr base_lr lr0 max_lr initial_lr peak_lr base_learning_rate",
    "weight_decay": "wd",
    "adam_epsilon": "eps adam_eps",
    "adam_beta1": "beta1",
    "adam_beta2": "beta2",
    "max_grad_norm": "gradient_clip_val clip_grad grad_clip gradient_clipping clip_norm max_norm clip_grad_norm gradient_clip",
    "warmup_ratio": "lr_scheduler_warmup_ratio lr_warmup_fraction warmup_fraction",
    "warmup_steps": "num_warmup_steps warmup_iters lr_warmup_iters lr_scheduler_warmup_steps warmup_num_steps warmup_updates",
    "num_train_epochs": "num_epochs epochs max_epochs n_epochs max_epoch total_epochs",
    "max_steps": "max_iters max_iter train_iters training_steps total_steps max_update num_training_steps num_train_steps",
    "gradient_accumulation_steps": "accumulate_grad_batches grad_accum_steps gradient_accumulation accumulation_steps",
    "per_device_train_batch_size": "micro_batch_size train_micro_batch_size_per_gpu per_gpu_train_batch_size",
    "per_device_eval_batch_size": "per_gpu_eval_batch_size",
    "train_batch_size": "batch_size",
    "eval_batch_size": "val_batch_size",
    "total_train_batch_size": "global_batch_size",
    "lr_scheduler_type": "lr_scheduler lr_decay_style lr_schedule scheduler_type",
    "optim": "optimizer optimizer_name optimizer_type",
    "eval_strategy": "evaluation_strategy",
    "eval_steps": "eval_interval eval_every",
    "logging_steps": "log_interval log_every_n_steps log_every",
    "save_steps": "save_interval save_every",
    "seed": "random_seed manual_seed",
    "dataloader_num_workers": "num_workers workers",
    "dataloader_pin_memory": "pin_memory",
    "max_length": "max_seq_length sequence_len seq_length seq_len cutoff_len block_size max_seq_len model_max_length",
    "packing": "sample_packing",
    "dtype": "torch_dtype",
    "n_gpu": "_n_gpu",
    "world_size": "num_devices num_gpus num_processes",
    "label_smoothing_factor": "label_smoothing_rate",
    "lora_r": "lora_rank lora_dim",
    "base_model": "base_model_name_or_path model_name_or_path _name_or_path pretrained_model_name_or_path model_name",
    "hidden_size": "n_embd d_model",
    "num_hidden_layers": "n_layer num_layers",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
    "num_labels": "num_classes",
    "attn_implementation": "_attn_implementation",
    "use_cpu": "no_cuda",
    "mixed_precision": "mixed_precision_training",
    "use_liger_kernel": "use_liger",
    "beta": "kl_coef init_kl_coef kl_loss_coef kl_beta",  # the weight of the KL term
}
ALIASES = {alias: name for name, aliases in _ALSO_CALLED.items() for alias in aliases.split()}

# Set by users of old transformers beside the new name's default: there the deprecated name decided.
DECISIVE_ALIASES = frozenset({"per_gpu_train_batch_size", "per_gpu_eval_batch_size"})

# Values of these are file system paths or may be: only the last part is kept.
PATHS = frozenset({"output_dir", "run_name", "base_model", "deepspeed", "report_to"})

# Names that mean the same wherever in a nested configuration they stand (trainer.max_epochs, model.optimizer.lr).
_NESTED = (
    "learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm warmup_ratio warmup_steps num_train_epochs max_steps "
    "gradient_accumulation_steps per_device_train_batch_size train_batch_size logging_steps eval_steps save_steps seed lora_alpha lora_r "
    "lora_dropout"
)
NESTED = frozenset(_NESTED.split())


def canonical(name: str) -> str | None:
    """The canonical name of a setting, None where it is not one that is kept. Dashes and case do not matter."""
    if name in KINDS:
        return name
    plain = name.strip().lstrip("-").replace("-", "_").lower()
    plain = plain if plain in KINDS else ALIASES.get(name) or ALIASES.get(plain, "")
    return plain or None
