"""Event files of a directory tree -> runs: continued files, sibling train and validation directories, series and hparams subdirectories."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossdoctor.sources.tensorboard import settings
from lossdoctor.sources.tensorboard.chains import CANDIDATES, chains, process, resumes
from lossdoctor.sources.tensorboard.eventfile import EventFile

SPLITS = ("train", "training", "validation", "valid", "val", "eval", "evaluation", "test", "dev")
TRAIN = ("train", "training")
SPLIT_TAG = re.compile(r"(train|training|eval|val|valid|validation|test)[/_]", re.IGNORECASE)
TRAINING_TAG = re.compile(r"train|eval|val|test|dev|grad|learning|\blr\b", re.IGNORECASE)
"""Tags that say themselves what they are of, or that only a training logs."""
NUMBERED = re.compile(r"\d{9,}(\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a run, and the names that its tags have there; a tag without a name is left out."""

    file: EventFile
    names: Mapping[str, str]


@dataclass(slots=True)
class Draft:
    """A run in the making: the directory it is named after and its files. `bare` files hold no scalars."""

    directory: Path
    members: list[Member] = field(default_factory=list)
    bare: list[EventFile] = field(default_factory=list)

    @property
    def files(self) -> list[EventFile]:
        """All files, oldest first."""
        return sorted((*(m.file for m in self.members), *self.bare), key=age)

    @property
    def logged(self) -> list[EventFile]:
        """The files that hold scalars, oldest first."""
        return [file for file in self.files if file.scalars]

    @property
    def settled(self) -> list[EventFile]:
        """The files whose settings are those of this run, oldest first: not those of attempts that died before their first scalar."""
        held = [file for file in self.files if file.scalars or (file.hparams and settings.ARGS not in file.texts)]
        return held or self.files[-1:]

    @property
    def tags(self) -> set[str]:
        return {name for member in self.members for name in member.names.values()}

    @property
    def start(self) -> float:
        return min((file.first_time or 0.0 for file in self.files), default=0.0)


def age(file: EventFile) -> tuple[float, str]:
    """The sort key of files: first wall time, then path."""
    return file.first_time or 0.0, str(file.path)


def group(files: Iterable[EventFile], root: Path) -> list[Draft]:
    """All runs below `root`, in the order of their directories and, within one, of their start."""
    places: dict[Path, list[Draft]] = {}
    for directory, held in sorted(_by_directory(files).items()):
        places[directory] = _drafts(directory, held)
    for directory in sorted(places, key=lambda d: (-len(d.parts), d)):
        if directory != root:
            _attach_subdirectory(directory, places)
    for parent in sorted({d.parent for d in places if d != root and d.name.lower() in SPLITS}, key=lambda d: (-len(d.parts), d)):
        _join_splits(parent, places)
    return _joined_resumes([draft for directory in sorted(places) for draft in places[directory]])


def _by_directory(files: Iterable[EventFile]) -> dict[Path, list[EventFile]]:
    held: dict[Path, list[EventFile]] = {}
    for file in sorted(files, key=age):
        held.setdefault(file.path.parent, []).append(file)
    return held


def _drafts(directory: Path, files: Sequence[EventFile]) -> list[Draft]:
    """The runs of one directory; files without scalars become one run of their own only where no other is there."""
    bare = [file for file in files if not file.scalars]
    joined = chains([file for file in files if file.scalars])
    runs = [Draft(directory, [Member(file, {tag: tag for tag in file.scalars}) for file in run]) for run in joined]
    if not runs:
        return [Draft(directory, bare=bare)]
    for file in bare:
        runs[_nearest(runs, [file])].bare.append(file)
    return runs


def _nearest(runs: Sequence[Draft], files: Sequence[EventFile]) -> int:
    """The run that was written by the same process, else the one that started last before (or else first after) these files."""
    processes = {process(file) for file in files} - {""}
    start = min(file.first_time or 0.0 for file in files)
    return min(
        range(len(runs)),
        key=lambda i: (not processes & {process(file) for file in runs[i].files}, runs[i].start > start + 1, abs(runs[i].start - start), i),
    )


def _attach_subdirectory(directory: Path, places: dict[Path, list[Draft]]) -> None:
    """Move torch's add_scalars series and hparams-only subdirectories into the run of the directory above."""
    hosts = places.get(directory.parent)
    if not hosts:
        return
    left = []
    for draft in places[directory]:
        host = hosts[_nearest(hosts, draft.files)]
        series = _series_name(directory.name, draft)
        if series is not None:
            host.members += [Member(m.file, dict.fromkeys(m.names, series)) for m in draft.members]
            host.bare += draft.bare
        elif _is_settings(directory.name, draft) or (directory.name.lower() in SPLITS and not draft.members):
            known = host.tags
            host.members += [Member(m.file, {tag: name for tag, name in m.names.items() if name not in known}) for m in draft.members]
            host.bare += draft.bare
        else:
            left.append(draft)
    if left:
        places[directory] = left
    else:
        del places[directory]


def _series_name(directory: str, draft: Draft) -> str | None:
    """`tag/key` where torch's add_scalars(tag, {key: ...}) made this directory: it is named `tag_key` and holds `tag` alone."""
    tags = draft.tags
    if len(tags) != 1:
        return None
    tag = next(iter(tags))
    stem = tag.replace("/", "_") + "_"
    return f"{tag}/{directory[len(stem) :]}" if directory.startswith(stem) and len(directory) > len(stem) else None


def _is_settings(directory: str, draft: Draft) -> bool:
    """A directory named after the time, as torch's add_hparams makes it, or one that holds hyperparameters and no scalars."""
    return any(file.hparams for file in draft.files) and (not draft.members or NUMBERED.match(directory) is not None)


def _join_splits(parent: Path, places: dict[Path, list[Draft]]) -> None:
    """Make one run of the sibling directories train, validation, ... of `parent` and, where it has scalars of its own, of `parent`."""
    children = [d for d in places if d.parent == parent and d.name.lower() in SPLITS and any(draft.members for draft in places[d])]
    children.sort(key=lambda d: (d.name.lower() not in TRAIN, d))
    own = [draft for draft in places.get(parent, []) if draft.members]
    if not children:
        return
    tags = [set().union(*(draft.tags for draft in places[d])) for d in children]
    tags += [draft.tags for draft in own]
    shared = {tag for i, some in enumerate(tags) for other in tags[i + 1 :] for tag in some & other}
    if any(SPLIT_TAG.match(tag) for tag in shared):
        return  # runs that happen to be called train and test: each of them tells its own splits apart
    alone = len(children) == 1 and not own
    hosts = own
    for child in children:
        drafts = places.pop(child)
        silent = alone and child.name.lower() not in TRAIN and not any(TRAINING_TAG.search(tag) for tag in tags[0])
        if silent or any(draft.tags & shared for draft in drafts):
            for draft in drafts:
                draft.members = [Member(m.file, {t: f"{child.name}/{n}" for t, n in m.names.items()}) for m in draft.members]
        if hosts:
            _absorb(hosts, drafts)
        else:
            hosts = drafts
            places[parent] = [*places.get(parent, []), *drafts]
            for draft in drafts:
                draft.directory = child if alone else parent


def _joined_resumes(drafts: list[Draft]) -> list[Draft]:
    """Make one run of those in sibling directories of which one goes on where the other broke off."""
    siblings: dict[Path, list[Draft]] = {}
    joined = set()
    for draft in sorted((d for d in drafts if d.members), key=lambda d: d.start):
        before = siblings.setdefault(draft.directory.parent, [])
        latest = [one for one in reversed(before[-CANDIDATES:]) if one.directory != draft.directory]
        host = next((one for one in latest if resumes(one.logged, draft.logged[0])), None)
        if host is None:
            before.append(draft)
        else:
            _absorb([host], [draft])
            joined.add(id(draft))
    return [draft for draft in drafts if id(draft) not in joined]


def _absorb(hosts: list[Draft], drafts: Iterable[Draft]) -> None:
    for draft in drafts:
        host = hosts[_nearest(hosts, draft.files)]
        host.members += draft.members
        host.bare += draft.bare
