"""What is in this path: every file that may hold a training log, told by its content where the name does not say."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss
from lossdoctor.sources.files import LFS_HEADER, head
from lossdoctor.sources.trainer_state import looks_like as looks_like_state

_SKIPPED = {".git", "__pycache__", "node_modules", ".venv", "site-packages", ".ipynb_checkpoints"}
_WANDB_MARKS = ("wandb-summary.json", "wandb-metadata.json")
_CONSOLE = "output.log"
_CATBOOST = "catboost_training.json"
_NOT_LOGS = {
    "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "special_tokens_map.json", "added_tokens.json",
    "generation_config.json", "adapter_config.json", "all_results.json",
    "train_results.json", "eval_results.json", "training_args.json", "args.json", "requirements.txt",
    "merges.txt", "vocab.txt", "preprocessor_config.json",
    "expected.toml",
}  # fmt: skip
_LOG_NAMES = (".csv", ".tsv", ".jsonl", ".log", ".out", ".err", ".info")  # the last is of glog: Caffe
_OF_A_QUEUE = re.compile(r"\.[oe]\d{1,12}(?:[.-]\d{1,6})?$")  # `job.o4711`: PBS, SGE
_PLAIN = (".txt", ".text", ".json", ".dat", ".md", "")  # opened where no name in a directory says log
_SMALL = 16 << 20  # bytes; a data set is larger
_WORDS_OF_LOGS = ("log", "output", "train", "stdout", "stderr", "score", "loss", "history", "progress")
_HEAD = 1 << 16
_SNIFF = 64
_MOST_DOCUMENTS = 20
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_REPORT = re.compile(rb'\s*(?:\{\s*"schema_version":\s*\d|<!doctype html>.{0,4000}<title>[^<]*lossdoctor</title>)', re.DOTALL)


@dataclass(slots=True)
class Found:
    """Paths by the source that reads them, and what was left aside with the reason."""

    states: list[Path] = field(default_factory=list)
    events: list[Path] = field(default_factory=list)
    wandb: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    json_lines: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    documents: list[Path] = field(default_factory=list)
    ignored: list[tuple[Path, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def any_log(self) -> bool:
        """Whether anything was found that holds a training log."""
        return bool(self.states or self.events or self.wandb or self.tables or self.json_lines or self.texts)


def discover(path: Path, limits: Limits = LIMITS) -> Found:
    """Classify the regular files at or below `path`; symbolic links that lead out of it are listed, never followed."""
    found = Found()
    if path.is_dir():
        documents, others = [], []
        for one in _walk(path, found, limits):
            if one.name != _CATBOOST and any((home / _CATBOOST).is_file() for home in (one.parent, one.parent.parent)):
                found.ignored.append((one, f"CatBoost's {_CATBOOST} beside it says the same"))
                continue
            _file(one, found, named=False)
            if one.name.lower() == "readme.md" or one.suffix.lower() == ".ipynb":
                documents.append(one)
            elif _may_be_a_log(one):
                others.append(one)
        for one in others[:_MOST_DOCUMENTS] if not found.any_log else ():
            _by_content(one, one.name.lower(), found, named=False)
        if not found.any_log:
            _only_documents(documents, found, limits)
    else:
        _file(path, found, named=True)
    return found


def _only_documents(documents: Sequence[Path], found: Found, limits: Limits) -> None:
    """Model cards and notebooks tell of a training where nothing else does."""
    from lossdoctor.sources import embedded

    found.documents += [one for one in documents[:_MOST_DOCUMENTS] if embedded.looks_like(one, limits)]


def wandb_home(path: Path) -> Path:
    """What WandB's reader is to be given for a path: the run's directory for a file that stands beside a `.wandb` file."""
    if path.is_dir() or not (path.name in _WANDB_MARKS or _is_wandb_config(path)):
        return path
    return path.parent.parent if path.parent.name == "files" else path.parent


def _walk(root: Path, found: Found, limits: Limits) -> Iterator[Path]:
    base = os.path.realpath(root)
    stack: list[tuple[str, int]] = [(str(root), 0)]
    seen = 0
    while stack:
        directory, depth = stack.pop()
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            found.faults.append(Fault("unreadable", _short(directory, root), f"cannot be listed: {error.strerror}", Loss.LOSSY))
            continue
        below: list[tuple[str, int]] = []
        for entry in entries:
            seen += 1
            if seen > limits.directory_entries:
                detail = f"more than {limits.directory_entries} entries; the rest was not looked at"
                found.faults.append(Fault("too-many-files", _short(directory, root), detail, Loss.LOSSY))
                return
            if entry.is_symlink():
                if _link(entry, base, found):
                    yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                if entry.name in _SKIPPED:
                    found.ignored.append((Path(entry.path), "a directory that holds no logs by its name"))
                elif depth < limits.directory_depth:
                    below.append((entry.path, depth + 1))
                else:
                    detail = f"more than {limits.directory_depth} directories deep: not looked into"
                    found.faults.append(Fault("too-deep", _short(entry.path, root), detail, Loss.LOSSY))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                found.ignored.append((Path(entry.path), "not a regular file"))
        stack += reversed(below)


def _link(entry: os.DirEntry[str], base: str, found: Found) -> bool:
    """Whether to read a link: one to a file of the same tree whose own name tells nothing, as in the cache of HuggingFace's hub."""
    target = os.path.realpath(entry.path)
    inside = target == base or target.startswith(base.rstrip(os.sep) + os.sep)
    if not inside:
        reason = "a link that leads out of the directory"
    elif not Path(target).exists():
        reason = "a link to nothing"
    elif Path(target).is_file() and not Path(target).suffix:
        return True
    else:
        reason = "a link to a place that is read anyway"
    found.ignored.append((Path(entry.path), reason))
    return False


def _short(path: str, root: Path) -> str:
    return os.path.relpath(path, root.parent)


def _file(path: Path, found: Found, *, named: bool) -> None:
    name = path.name.lower()
    if name.startswith("._"):
        found.ignored.append((path, "a macOS resource fork"))
    elif "tfevents" in name or name.endswith(".v2"):
        found.events.append(path)
    elif name.endswith(".wandb") or name == "wandb-history.jsonl" or name in _WANDB_MARKS or _is_wandb_config(path):
        found.wandb.append(path)
    elif name.endswith(_ARCHIVES):
        _archive(path, found, named=named)
    elif named or _worth_opening(name.removesuffix(".gz")):
        _by_content(path, name, found, named=named)
    elif "." not in name and _is_event_file(path):
        found.events.append(path)


def _is_wandb_config(path: Path) -> bool:
    """config.yaml in the directory of a WandB run: often all that is left of it."""
    home = path.parent.parent if path.parent.name == "files" else path.parent
    return path.name == "config.yaml" and home.name.startswith(("run-", "offline-run-"))


def _is_event_file(path: Path) -> bool:
    from lossdoctor.sources.tensorboard.discover import looks_like

    return looks_like(path.name, head(path, _SNIFF))


def _worth_opening(name: str) -> bool:
    """Names under which logs occur; opening every file of a model directory would be slow and find nothing."""
    if name in _NOT_LOGS:
        return False
    if "trainer_state" in name or name.endswith(_LOG_NAMES) or _OF_A_QUEUE.search(name):
        return True
    if name.endswith(".json"):
        return any(word in name for word in ("state", "log", "metrics", "history", "loss", _CATBOOST))
    return name.endswith(".txt") and any(word in name for word in _WORDS_OF_LOGS)


def _may_be_a_log(path: Path) -> bool:
    """Whether a file whose name says nothing is small enough, and of a kind, to be opened where no other file is a log."""
    name = path.name.lower()
    plain = path.suffix.lower() in _PLAIN and name not in _NOT_LOGS and not _worth_opening(name)
    return plain and path.is_file() and path.stat().st_size <= _SMALL


def _by_content(path: Path, name: str, found: Found, *, named: bool) -> None:
    first = head(path, _HEAD)
    if not first:
        _nothing(path, found, wanted=named or "trainer_state" in name)
    elif first.startswith(LFS_HEADER):
        found.faults.append(Fault("lfs-pointer", path.name, "a git-lfs pointer stands in place of the file: run git lfs pull", Loss.FATAL))
    elif _REPORT.match(first):
        _report(path, found, named=named)
    elif "trainer_state" in name or (not name.endswith((".jsonl", ".csv", ".tsv")) and looks_like_state(first)):
        found.states.append(path)
    else:
        _tabular_or_text(path, first, found, named=named)


def _archive(path: Path, found: Found, *, named: bool) -> None:
    if named:
        found.faults.append(Fault("archive", path.name, "an archive, no log: unpack it and give the directory", Loss.FATAL))
    else:
        found.ignored.append((path, "an archive: unpack it to have its logs read"))


def _report(path: Path, found: Found, *, named: bool) -> None:
    """A report of ours beside the run it is about holds no log; its rows would look like a healthy run."""
    if named:
        told = "a saved report, no training log: `lossdoctor show` prints it"
        found.faults.append(Fault("saved-report", path.name, told, Loss.FATAL))
    else:
        found.ignored.append((path, "a saved report of lossdoctor"))


def _nothing(path: Path, found: Found, *, wanted: bool) -> None:
    """A file that gave no byte: damage where it was asked for or cannot be read, else an empty log, which loses nothing."""
    reason, empty = _why_unreadable(path)
    if wanted or not empty:
        kind, loss = ("empty-file" if empty else "unreadable"), (Loss.FATAL if wanted else Loss.LOSSY)
        found.faults.append(Fault(kind, path.name, reason, loss))
    else:
        found.ignored.append((path, reason))


def _tabular_or_text(path: Path, first: bytes, found: Found, *, named: bool) -> None:
    from lossdoctor.sources import json_lines, tabular, tensorboard, text_log

    # The bar of a progress bar is no column of a table.
    printed = path.name.lower() == _CONSOLE or b"%|" in first
    if tensorboard.looks_like(path.name.lower(), first):
        found.events.append(path)
    elif not printed and tabular.looks_like(path, first):
        found.tables.append(path)
    elif json_lines.looks_like(path, first):
        found.json_lines.append(path)
    elif text_log.looks_like(path, first):
        found.texts.append(path)
    elif (named or text_log.is_plain(path, first) or path.suffix.lower() == ".json") and _holds_a_curve(path):
        found.documents.append(path)
    elif (named or _is_printed_output(path, first)) and text_log.looks_like(path, first, named=True):
        found.texts.append(path)
    elif named:
        known = "trainer_state.json, event file, .wandb, CSV, JSON lines, text log"
        detail = f"not a training log that lossdoctor knows ({known})"
        found.faults.append(Fault("unknown-format", path.name, detail, Loss.FATAL))
    else:
        found.ignored.append((path, "no training log"))


def _is_printed_output(path: Path, first: bytes) -> bool:
    """Whether a file calls itself a table and begins with a line that is none, output that was sent there; or is a document that holds
    rows of the Trainer among other results; or a note that output was pasted into, other than a README."""
    if path.suffix.lower() == ".md":
        return not path.name.lower().startswith("readme")
    if path.suffix.lower() == ".json":
        return b'"loss": ' in first and b'"step": ' in first
    return path.suffix.lower() in (".csv", ".tsv") and not any(mark in first.partition(b"\n")[0] for mark in b",;\t|")


def _holds_a_curve(path: Path) -> bool:
    from lossdoctor.sources import embedded

    return embedded.looks_like(path)


def _why_unreadable(path: Path) -> tuple[str, bool]:
    """Why a file gave no byte, and whether it is merely empty."""
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}", False
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file", False
    return ("the file is empty", True) if status.st_size == 0 else ("cannot be read", False)
