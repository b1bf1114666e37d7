"""Which checkpoints lie under a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lossdoctor.errors import LossdoctorError, Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Checkpoint, Fault, Loss
from lossdoctor.sources.checkpoints.audit import (
    NUMBERED,
    SHARDED_OPTIMIZER,
    STATE,
    STEP_IN_FILE_NAME,
    Scan,
    audit,
    audit_file,
    file_sizes,
    weight_names,
)
from lossdoctor.sources.regular_file import stays_inside

_DEPTH = 3
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def find(
    directory: Path,
    *,
    check_weights: bool = False,
    limits: Limits = LIMITS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[Checkpoint, ...], tuple[Fault, ...]]:
    """The checkpoints at and below an output directory, ordered by step, and what could not be looked at.

    Numbered directories (checkpoint-500, global_step500, epoch_3), directories with a trainer_state.json, and single files with a step in
    their name (Lightning's epoch=3-step=400.ckpt) count, three levels deep; the directory itself where it is one, or where it holds
    weights beside its state. Links are followed only to what lies under the directory. Weights are read only with `check_weights`;
    `progress` is then called with (bytes read, bytes to read).
    """
    faults: list[Fault] = []
    homes = list(_homes(directory, limits, faults))
    scan = Scan(directory, check_weights, _counter(homes, directory, progress) if check_weights and progress else None, limits)
    found = []
    for home in homes:
        try:
            found.append(audit_file(home, scan) if STEP_IN_FILE_NAME.search(home.name) else audit(home, scan))
        except (LossdoctorError, OSError) as error:
            faults.append(Fault("unreadable-checkpoint", str(home), f"{error}. Whether it can be used is unknown.", Loss.BENIGN))
    if directory not in homes:
        faults += _final_model(directory, scan)
    pointers = [checkpoint for checkpoint in found if "git-lfs pointer" in (checkpoint.problem or "")]
    faults += [Fault("lfs-pointer", checkpoint.path, str(checkpoint.problem), Loss.BENIGN) for checkpoint in pointers]
    return tuple(sorted(found, key=lambda checkpoint: (checkpoint.step, checkpoint.path))), tuple(faults)


def _final_model(directory: Path, scan: Scan) -> Iterator[Fault]:
    """Damage to weights that lie in the output directory without a trainer state: of an unknown step, so they are no checkpoint."""
    try:
        if weight_names(file_sizes(directory, directory)):
            model = audit(directory, scan)
            if model.whole is False or model.weights_finite is False:
                detail = f"the model in the output directory cannot be used: {model.problem}"
                yield Fault("damaged-weights", str(directory), detail, Loss.BENIGN)
    except (LossdoctorError, OSError):
        return  # the walk has reported the directory already


def newest_whole(checkpoints: Sequence[Checkpoint], before_step: int | None = None) -> Checkpoint | None:
    """The newest checkpoint whose weights are whole and not known to hold NaN or Inf, saved before `before_step` where one is given."""
    usable = [
        checkpoint
        for checkpoint in checkpoints
        if checkpoint.whole is True and checkpoint.weights_finite is not False and (before_step is None or checkpoint.step < before_step)
    ]
    return max(usable, key=lambda checkpoint: checkpoint.step, default=None)


def _homes(root: Path, limits: Limits, faults: list[Fault]) -> Iterator[Path]:
    left = limits.directory_entries
    pending = [(root, 0)]
    while pending:
        directory, depth = pending.pop()
        try:
            names = file_sizes(directory, root)
            inner = _subdirectories(directory, root, faults) if depth < _DEPTH else []
        except Unreadable as error:
            faults.append(Fault("unreadable-directory", str(directory), f"{error}. Checkpoints in it are unknown.", Loss.BENIGN))
            continue
        left -= len(names) + len(inner)
        if left < 0:
            detail = f"more than {limits.directory_entries} entries: checkpoints beyond them were not looked for"
            faults.append(Fault("too-many-files", str(root), detail, Loss.LOSSY))
            return
        is_numbered = NUMBERED.search(directory.name) is not None
        has_weights = bool(weight_names(names))
        below = [child for child in inner if NUMBERED.search(child.name)]
        is_home = not below or has_weights if STATE in names else is_numbered and not below
        if is_home:
            yield directory
        else:
            yield from (directory / name for name in sorted(names) if STEP_IN_FILE_NAME.search(name))
        # DeepSpeed's global_step500 inside a checkpoint is a part of it; alone it is a checkpoint itself.
        pending.extend((child, depth + 1) for child in inner if not (is_home and SHARDED_OPTIMIZER.fullmatch(child.name)))


def _subdirectories(directory: Path, root: Path, faults: list[Fault]) -> list[Path]:
    """Directories below, hidden ones and links passed over; every link out of the root is named in a fault."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                path = directory / entry.name
                if entry.is_symlink():
                    if not stays_inside(path, root):
                        faults.append(Fault("link-out-of-root", str(path), "a link out of the directory was not followed", Loss.BENIGN))
                elif entry.is_dir() and not entry.name.startswith("."):
                    found.append(path)
    except OSError as error:
        raise Unreadable(f"{directory.name}: {error.strerror or error}") from error
    return sorted(found)


def _counter(homes: list[Path], root: Path, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    total = sum(_weight_bytes(home, root) for home in homes)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done = min(total, done + count)
        progress(done, total)

    return advance


def _weight_bytes(home: Path, root: Path) -> int:
    try:
        sizes = {home.name: home.stat().st_size} if home.is_file() else file_sizes(home, root)
    except (LossdoctorError, OSError):
        return 0  # the audit reports it
    return sum(size for name, size in sizes.items() if name.endswith(_WEIGHT_SUFFIXES))
