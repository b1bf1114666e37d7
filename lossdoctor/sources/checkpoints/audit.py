"""One checkpoint directory: at which step it was saved, whether its weights are whole, whether a training can go on from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lossdoctor.errors import LossdoctorError, Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Checkpoint
from lossdoctor.sources.checkpoints import safetensors, torch_files
from lossdoctor.sources.files import LFS_HEADER, read_bytes
from lossdoctor.sources.regular_file import open_regular, stays_inside

STATE = "trainer_state.json"
NUMBERED = re.compile(r"(?i)(?:^|[-_.])(?:ch\w*point|ckpt|global_step|steps?|iter|epoch)[-_=]?(\d{1,18})$")
STEP_IN_FILE_NAME = re.compile(r"(?i)(?:^|[-_.])(?:global_step|step|iter)[-_=]?(\d{1,18})(?:-v\d+)?\.(?:ckpt|pt|pth)$")
_GLOBAL_STEP = re.compile(rb'"global_step"\s*:\s*(\d{1,18})\b')
_NOT_WEIGHTS = re.compile(
    r"(?i)(training_args|optimizer|scheduler|scaler|rng_state|random_states|sampler|lr_scheduler|zero_pp_rank|.*optim_states).*"
)
_WEIGHTS = re.compile(r"(?i).*\.(?:safetensors|bin|pt|pth|ckpt)")
_NAMED_WEIGHTS = re.compile(r"(?i)(?:pytorch_model|adapter_model|model|consolidated|diffusion_pytorch_model|optimizer|scheduler)\b")
_OF_SHARDS = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
_OPTIMIZERS = ("optimizer.pt", "optimizer.bin")
_SCHEDULERS = ("scheduler.pt", "scheduler.bin", "lr_scheduler.pt")
SHARDED_OPTIMIZER = re.compile(r"(?:global_step\d+|optimizer_\d+|pytorch_model_fsdp_\d+)")
_HEAD = 1 << 16
_INDEX_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Scan:
    """How an audit is done: links must stay under `root`; with `weights` every byte is read (NaN, Inf, the CRCs of torch archives)."""

    root: Path
    weights: bool = False
    progress: safetensors.Progress | None = None
    limits: Limits = LIMITS


class _Index(msgspec.Struct):
    weight_map: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Part:
    """What a file turned out to be: whole (None where it cannot be told), finite (None where not looked at), and what is wrong."""

    whole: bool | None
    problem: str | None = None
    finite: bool | None = None


def audit(directory: Path, scan: Scan) -> Checkpoint:
    """Check one checkpoint directory. Never raises for what is in it: a file that cannot be read is the checkpoint's `problem`.

    `whole` is about the weights: None where there are none, or where their format does not tell. `resumable` is True where optimizer,
    scheduler and trainer state lie beside whole weights.
    """
    sizes = file_sizes(directory, scan.root)
    weights = weight_names(sizes)
    parts = [part for name in weights if (part := _weights(directory / name, scan)) is not None]
    parts += list(_missing_shards(directory, sizes, weights))
    state_problem = _state_problem(directory, sizes)
    whole = _all(part.whole for part in parts) if parts else None
    problems = [part.problem for part in parts if part.problem]
    if not parts and STATE not in sizes:
        whole, problems = (
            False,
            ["the directory holds no weights and no trainer_state.json: the save was cut off or the files were deleted"],
        )
    if directory.name.startswith("tmp-"):
        whole, problems = False, ["the save never finished: transformers renames tmp-checkpoint-N when it is done", *problems]
    elif state_problem is None and whole is not False:
        state_problem = next(filter(None, (_training_state(directory / name, sizes, scan) for name in (*_OPTIMIZERS, *_SCHEDULERS))), None)
    finite = _all(part.finite for part in parts) if parts and scan.weights else None
    return Checkpoint(
        step=step_of(directory),
        path=str(directory),
        whole=whole,
        problem="; ".join([*problems, *filter(None, [state_problem])]) or None,
        resumable=_resumable(directory, sizes) and state_problem is None and whole is True,
        weights_finite=finite,
        has_weights=bool(parts),
    )


def audit_file(path: Path, scan: Scan) -> Checkpoint:
    """Check a checkpoint that is one file (Lightning's epoch=3-step=400.ckpt); what it holds beside weights is not looked at."""
    named = STEP_IN_FILE_NAME.search(path.name)
    part = _weights(path, scan) or _Part(None, f"{path.name}: not a file of torch.save")
    return Checkpoint(
        int(named[1]) if named else 0, str(path), part.whole, part.problem, weights_finite=part.finite if scan.weights else None
    )


def weight_names(sizes: Iterable[str]) -> list[str]:
    """Those of the file names that hold a model's weights, by name: states of optimizer, scheduler and random generators do not."""
    return sorted(name for name in sizes if _WEIGHTS.fullmatch(name) and not _NOT_WEIGHTS.fullmatch(name))


def file_sizes(directory: Path, root: Path) -> dict[str, int]:
    """Size in bytes of every regular file by name, links included where they stay under the root; raises Unreadable where the directory
    cannot be listed.
    """
    try:
        with os.scandir(directory) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if _is_file(entry, root)}
    except OSError as error:
        raise Unreadable(f"{directory.name}: {error.strerror or error}") from error


def _is_file(entry: os.DirEntry[str], root: Path) -> bool:
    try:
        return entry.is_file() and not entry.name.startswith("._") and (not entry.is_symlink() or stays_inside(Path(entry.path), root))
    except OSError:
        return False


def step_of(directory: Path) -> int:
    """The step: `global_step` of trainer_state.json, else the number in the name, else 0.

    transformers sorts the keys, so the number stands before `log_history`; only the file's two ends are read.
    """
    try:
        with open_regular(directory / STATE) as file:
            head = file.read(_HEAD).partition(b'"log_history"')[0]
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _HEAD))
            tail = file.read(_HEAD).rpartition(b"]")[2]
        if found := _GLOBAL_STEP.search(head) or _GLOBAL_STEP.search(tail):
            return int(found[1])
    except (OSError, LossdoctorError):
        pass
    named = NUMBERED.search(directory.name)
    return int(named[1]) if named else 0


def _weights(path: Path, scan: Scan) -> _Part | None:
    """Check one file; None where neither its name nor its start says that torch or safetensors wrote it (a vocabulary in a .bin)."""
    try:
        with open_regular(path) as file:
            if file.read(len(LFS_HEADER)) == LFS_HEADER:
                return _Part(None, f"{path.name} is a git-lfs pointer, the weights are not here: run git lfs pull")
            if path.suffix.lower() != ".safetensors":
                if not torch_files.looks_like(file) and not _NAMED_WEIGHTS.match(path.name):
                    return None
                told = torch_files.check(file, scan.limits, crc=scan.weights, progress=scan.progress)
                return _Part(True if told else None)
            tensors = safetensors.header(file)
            if not scan.weights:
                return _Part(True)
            bad = safetensors.non_finite(file, tensors, scan.progress)
            problem = f"{path.name}: {len(bad)} of {len(tensors)} tensors hold NaN or Inf (the first is {bad[0][:100]})" if bad else None
            return _Part(True, problem, False if bad else True if safetensors.is_scannable(tensors) else None)
    except OSError as error:
        return _Part(None, f"{path.name}: {error.strerror or error}")
    except LossdoctorError as error:
        return _Part(False, f"{path.name}: {error}")


def _missing_shards(directory: Path, sizes: Mapping[str, int], weights: list[str]) -> Iterator[_Part]:
    """Shards that an index or the names of the others promise and that are not there."""
    promised: set[str] = set()
    for index in sorted(name for name in sizes if name.endswith(".index.json")):
        try:
            promised |= set(msgspec.json.decode(read_bytes(directory / index, _INDEX_BYTES), type=_Index).weight_map.values())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LossdoctorError) as error:
            yield _Part(False, f"{index} is damaged ({str(error)[:80]})")
    for name in weights:
        if shard := _OF_SHARDS.fullmatch(name):
            stem, _, count, suffix = shard.groups()
            promised |= {f"{stem}-{number:05}-of-{count}{suffix}" for number in range(1, min(int(count), 10_000) + 1)}
    missing = sorted(promised.difference(weights))
    if missing:
        yield _Part(False, f"{len(missing)} of {len(promised)} shards are missing (the first is {missing[0][:100]})")


def _state_problem(directory: Path, sizes: Mapping[str, int]) -> str | None:
    if STATE not in sizes:
        return f"{STATE} is missing: it is written last, the save may have been cut off" if NUMBERED.search(directory.name) else None
    try:
        with open_regular(directory / STATE) as file:
            file.seek(max(0, sizes[STATE] - 64))
            end = file.read(64).rstrip(b" \t\r\n\0")
    except (OSError, LossdoctorError) as error:
        return f"{STATE}: {error}"
    return None if end.endswith(b"}") else f"{STATE} is cut off"


def _training_state(path: Path, sizes: Mapping[str, int], scan: Scan) -> str | None:
    """What is wrong with a file that a resume needs; None where nothing is, or where it is not there."""
    part = _weights(path, scan) if path.name in sizes else None
    return part.problem if part else None


def _resumable(directory: Path, sizes: Mapping[str, int]) -> bool:
    sharded = any(SHARDED_OPTIMIZER.fullmatch(entry.name) for entry in directory.iterdir() if entry.is_dir())
    optimizer = sharded or any(name in sizes for name in _OPTIMIZERS)
    scheduler = sharded or any(name in sizes for name in _SCHEDULERS)
    return STATE in sizes and optimizer and scheduler


def _all(answers: Iterable[bool | None]) -> bool | None:
    """False where one is False, else None where one is unknown, else True."""
    known = list(answers)
    return False if False in known else None if None in known else True
