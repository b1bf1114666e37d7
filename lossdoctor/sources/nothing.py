"""What to say of a place that holds no training log: what lies there instead, and where logs usually are."""

from __future__ import annotations

import os
from pathlib import Path

from lossdoctor.model import Fault, Loss

LOOKED_FOR = "trainer_state.json, TensorBoard event files, WandB runs, CSV, JSON lines and text logs"
_LIGHTNING, _WEIGHTS = (".ckpt",), (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".onnx")
_MOST = 2_000  # entries that are looked at
_NAMED = 3


def nothing_at(path: Path) -> Fault:
    """The fault of a path where no log was found; never raises."""
    name = path.name or str(path)
    return Fault("no-log", name, f"no training log, {_instead(path)}", Loss.FATAL)


def _instead(path: Path) -> str:
    if not path.is_dir():
        return f"the file is none of {LOOKED_FOR}. Give the output directory of the run, or its log"
    files = _files(path)
    if not files:
        return f"and no other file. Looked for {LOOKED_FOR} in it and below"
    weights = [file for file in files if file.lower().endswith((*_LIGHTNING, *_WEIGHTS))]
    if weights and all(file in weights or file.lower().endswith((".json", ".txt", ".md", ".model")) for file in files):
        if any(file.lower().endswith(_LIGHTNING) for file in weights):
            return (
                f"only checkpoints ({_listed(weights)}). Lightning writes its logs beside their directory, usually as "
                "lightning_logs/version_N/metrics.csv or event files: give that directory"
            )
        return (
            f"only weights and their settings ({_listed(weights)}). The log of their training is elsewhere: trainer_state.json in a "
            "checkpoint-N directory, runs/ (TensorBoard) or wandb/ of the output directory"
        )
    return f"only {len(files)} other files ({_listed(files)}). Looked for {LOOKED_FOR} in it and below"


def _files(directory: Path) -> list[str]:
    """The names of the files at and below a directory, as far as they can be listed."""
    found: list[str] = []
    for _, _, names in os.walk(directory):
        found += names
        if len(found) >= _MOST:
            break
    return sorted(found)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
