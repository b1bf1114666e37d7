"""What kind of run this is: which words, tests and settings make sense to whoever made it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lossdoctor.diagnosis.dialects import OF_TRANSFORMERS, dialect_of
from lossdoctor.model import Scalar
from lossdoctor.run import Run
from lossdoctor.run.task import LANGUAGE_MODEL, PREFERENCE, RL

_NO_LANGUAGE_MODEL = re.compile(
    r"image|vision|\bvit|swin|convnext|resnet|audio|speech|wav2vec|whisper|classif|seq_cls|token_cls", re.IGNORECASE
)
_OF_COMPLETIONS = ("completions/", "completion_length", "objective/kl", "num_generations")
_BIG = 1000  # words; below it a vocabulary is a toy's, and prompts in English mean nothing to it

FACTS: Mapping[str, str] = {
    "dialect": "in which words the run's tool is configured: transformers, yaml, axolotl, llamafactory, lightning, or words",
    "has_trainer": "HuggingFace's Trainer, or a tool on top of it, runs the training",
    "reads_text": "a language model is trained: prompts, templates, tokens and masked labels exist",
    "labels_text": "a language model learns to say labels, of which -100 are masked",
    "is_preference": "preference training",
    "is_rl_of_text": "reinforcement learning of a language model",
    "is_classic_rl": "reinforcement learning of anything else",
    "speaks": "a language model with a vocabulary of its own size of word: it can be asked in English",
    "has_base_model": "a pretrained model is trained further",
    "unit": "what a step is, in words",
    "step_is_epoch": "a row is a whole epoch",
    "optimizer_steps": "steps made, where a step is one of the optimizer",
}


def whole(run: Run) -> dict[str, Scalar]:
    dialect, completions = dialect_of(run), _has_completions(run)
    text = run.task in {LANGUAGE_MODEL, PREFERENCE} and not _is_something_else(run)
    text = text or (run.task == RL and completions)
    trainer = dialect in OF_TRANSFORMERS
    vocabulary = run.number("vocab_size")
    return {
        "dialect": dialect,
        "has_trainer": trainer,
        "reads_text": text,
        "labels_text": text and run.task == LANGUAGE_MODEL,
        "is_preference": run.task == PREFERENCE,
        "is_rl_of_text": run.task == RL and completions,
        "is_classic_rl": run.task == RL and not completions,
        "speaks": text and run.setting("base_model") is not None and (vocabulary is None or vocabulary >= _BIG),
        "has_base_model": run.setting("base_model") is not None or None,
        "unit": run.unit,
        "step_is_epoch": run.step_is == "epoch" or None,
        "optimizer_steps": run.last_step if run.step_is == "step" else None,
    }


def _has_completions(run: Run) -> bool:
    names = [*run.signals, *run.settings]
    return any(name.startswith(_OF_COMPLETIONS) for name in names)


def _is_something_else(run: Run) -> bool:
    """The task may be guessed from adapters; what the configuration says of the model wins."""
    said = " ".join(str(run.setting(name) or "") for name in ("architectures", "model_type", "task_type", "base_model", "problem_type"))
    return _NO_LANGUAGE_MODEL.search(said) is not None
