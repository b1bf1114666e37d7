"""Which files of a directory hold settings, and what they say together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossdoctor.errors import LossdoctorError, Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss, Setting
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.regular_file import stays_inside
from lossdoctor.sources.settings import config_files, model_card, pickle_scalars, torch_states, training_args, yaml_subset
from lossdoctor.sources.settings.merge import merge

_JSON_BYTES = 8 << 20
_CARD_BYTES = 1 << 20
_MAX_FILES = 32
_NUMBERED = re.compile(r"(?i)(?:^|[-_.])(?:ch\w*point|ckpt|global_step|step|epoch|iter)[-_=]?(\d{1,18})$")
_CONFIG_NAME = re.compile(
    r"(?i)(?!generation_|tokenizer|special_|preprocessor_|processor_|quantize_|adapter_config|model\.)(?:.*[_.-])?"
    r"(?:hparams|hyperparameters|hyp|config|args|arguments|opt|params|recipe|overrides|finetune|deepspeed|zero\d?|ds)(?:[_.-][\w.-]*)?"
    r"\.(?:json|ya?ml)"
)
Reader = Callable[[Path, str, Limits], tuple[Setting, ...] | Fault]


@dataclass(frozen=True, slots=True)
class _Candidate:
    rank: int
    path: Path
    read: Reader


def find(directory: Path, limits: Limits = LIMITS) -> tuple[tuple[Setting, ...], tuple[Fault, ...]]:
    """The settings in the files of an output or checkpoint directory, joined, and what could not be read.

    Looked at are the directory itself, its newest checkpoint, and, where it is itself a numbered checkpoint, the directory above. The
    order of trust: training_args.bin; adapter_config.json and config.json; scheduler.pt and optimizer.pt; the model card; JSON and YAML
    configurations. A file that is damaged, hostile or a git-lfs pointer costs only its own settings and gives a benign Fault.
    """
    root = directory.parent if _NUMBERED.search(directory.name) else directory
    groups: list[tuple[Setting, ...]] = []
    faults: list[Fault] = []
    candidates = sorted(_candidates(directory), key=lambda candidate: candidate.rank)
    if len(candidates) > _MAX_FILES:
        detail = f"{len(candidates)} files look like settings, only the first {_MAX_FILES} were read."
        faults.append(Fault("too-many-files", str(directory), detail, Loss.BENIGN))
    for candidate in candidates[:_MAX_FILES]:
        source = candidate.path.relative_to(directory if candidate.path.is_relative_to(directory) else root).as_posix()
        found = _read(candidate, source, root, limits)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            groups.append(found)
    return merge(groups), tuple(faults)


def _read(candidate: _Candidate, source: str, root: Path, limits: Limits) -> tuple[Setting, ...] | Fault:
    path = candidate.path
    try:
        if path.is_symlink() and not stays_inside(path, root):
            raise Unreadable("it is a link out of the directory")
        return candidate.read(path, source, limits)
    except (LossdoctorError, OSError, RuntimeError) as error:
        kind = "lfs-pointer" if "git-lfs" in str(error) else "unreadable-settings"
        return Fault(kind, str(path), f"{path.name} was not read: {error}. The settings in it are unknown.", Loss.BENIGN)


def _candidates(directory: Path) -> Iterator[_Candidate]:
    places = [directory]
    if (newest := _newest_checkpoint(directory)) is not None:
        places.append(newest)
    if _NUMBERED.search(directory.name):
        places.append(directory.parent)
    for place in places:
        names = _names(place)
        for name, (rank, read) in _NAMED.items():
            if name in names and not (rank == _STATE_RANK and place == directory.parent):
                yield _Candidate(rank, place / name, read)
        for name in sorted(names - _NAMED.keys()):
            if _CONFIG_NAME.fullmatch(name):
                yield _Candidate(_CONFIG_RANK, place / name, _config)
    hydra = directory / ".hydra"
    if "config.yaml" in _names(hydra):
        yield _Candidate(_CONFIG_RANK, hydra / "config.yaml", _config)


def _names(place: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in place.iterdir() if not entry.is_dir())
    except OSError:
        return frozenset()


def _newest_checkpoint(directory: Path) -> Path | None:
    try:
        numbered = [
            (int(match[1]), entry)
            for entry in directory.iterdir()
            if (match := _NUMBERED.search(entry.name)) and entry.is_dir() and not entry.is_symlink()
        ]
    except OSError:
        return None
    return max(numbered, default=(0, None))[1]


def _pickled(settings: Callable[[Any, str], tuple[Setting, ...] | None]) -> Reader:
    def read(path: Path, source: str, limits: Limits) -> tuple[Setting, ...] | Fault:
        value = pickle_scalars.read(path, limits)
        if isinstance(value, Fault):
            return value
        found = settings(value, source)
        if found is None:
            raise Unreadable("it does not hold what its name says")
        return found

    return read


def _parsed(settings: Callable[[Mapping[str, Any], str], tuple[Setting, ...]]) -> Reader:
    def read(path: Path, source: str, limits: Limits) -> tuple[Setting, ...]:
        value = _json(path, limits) if path.suffix.lower() == ".json" else yaml_subset.load(_text(path, yaml_subset.MAX_BYTES))
        return settings(value, source) if isinstance(value, dict) else ()

    return read


def _card(path: Path, source: str, _: Limits) -> tuple[Setting, ...]:
    return model_card.settings(_text(path, _CARD_BYTES), source)


def _text(path: Path, limit: int) -> str:
    return read_bytes(path, limit).decode("utf-8-sig", errors="replace")


def _json(path: Path, limits: Limits) -> Any:
    try:
        return json.loads(_text(path, min(_JSON_BYTES, limits.json_bytes)))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"broken JSON ({str(error)[:120]})") from error


_config = _parsed(config_files.general)
_STATE_RANK, _CONFIG_RANK = 3, 5
_NAMED: dict[str, tuple[int, Reader]] = {
    "training_args.bin": (0, _pickled(training_args.settings)),
    "adapter_config.json": (1, _parsed(config_files.adapter)),
    "config.json": (2, _parsed(config_files.general)),
    "scheduler.pt": (_STATE_RANK, _pickled(torch_states.scheduler)),
    "optimizer.pt": (_STATE_RANK, _pickled(torch_states.optimizer)),
    "README.md": (4, _card),
}
