"""What kind of training this is, told by the signals and settings that only that kind logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lossdoctor.model import Setting
from lossdoctor.run.candidates import adversaries

RL = "rl"
GAN = "gan"
PREFERENCE = "preference"
CLASSIFICATION = "classification"
SPEECH = "speech"
LANGUAGE_MODEL = "language-model"
UNKNOWN = "unknown"

_PREFERENCE_SIGNALS = ("rewards/margins", "rewards/chosen", "logps/chosen", "rewards/accuracies")
_RL_SIGNALS = (
    "reward_std",
    "completions/",
    "completion_length",
    "objective/kl",
    "policy/approxkl",
    "rollout/",
    "train/approx_kl",
    "Environment/",
    "frac_reward_zero_std",
    "Losses/Policy Loss",
    "train/policy_gradient_loss",
    "train/value_loss",
    "train/loss_actor",
    "train/clip_fraction",
    "Policy/",
    "actor/",
    "critic/",
)


# What is logged of language models only: nanoGPT and Megatron measure the use of the hardware by their tokens.
_OF_LANGUAGE = re.compile(r"^num_tokens$|^perf/mfu$|(?:^|[/_ ])(?:ppl|perplexity|bpc|bits_per_(?:char|byte))$", re.IGNORECASE)


_ADAPTED_CLASSES = re.compile(r"\b(?:seq|token)_cls\b")  # PEFT's words


def task_of(signals: Iterable[str], settings: Mapping[str, Setting]) -> str:
    """Return one of rl, preference, gan, speech, classification, language-model, unknown."""
    names = tuple(signals)
    if any(name in _PREFERENCE_SIGNALS for name in names):
        return PREFERENCE
    if any(name.endswith("min_reward") for name in names) and "train/accuracy" in names:
        return CLASSIFICATION  # a reward model: which of two answers is the better one
    if any(name.startswith(_RL_SIGNALS) or (name.startswith("reward") and not name.startswith("rewards/")) for name in names):
        return RL
    if adversaries(names):
        return GAN
    if any(name in {"eval/wer", "eval/cer"} for name in names):
        return SPEECH
    kind = " ".join(str(settings[key].value) for key in ("architectures", "model_type", "task_type") if key in settings).lower()
    if (
        "classification" in kind
        or _ADAPTED_CLASSES.search(kind)
        or ("num_labels" in settings and not any(word in kind for word in ("causallm", "lmhead", "conditionalgeneration")))
    ):
        return CLASSIFICATION
    if any(word in kind for word in ("causallm", "lmhead", "maskedlm")) or "lora_r" in settings or any(map(_OF_LANGUAGE.search, names)):
        return LANGUAGE_MODEL
    if any(name in {"eval/accuracy", "eval/f1"} for name in names) and "vocab_size" not in settings:
        return CLASSIFICATION
    return UNKNOWN
