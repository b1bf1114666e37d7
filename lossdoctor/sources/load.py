"""PATH -> runs: discover, read every source, join the logs of one run, add settings and checkpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoctor.errors import LossdoctorError, PathMissing
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss, Scalar, Setting, SourceNote
from lossdoctor.run import Log, Run, build
from lossdoctor.sources import trainer_state
from lossdoctor.sources.discover import Found, discover
from lossdoctor.sources.merge import Group, group


@dataclass(frozen=True, slots=True)
class Loaded:
    """The runs of one path, what went wrong where no run could be made, and what was left aside with the reason."""

    runs: tuple[Run, ...] = ()
    faults: tuple[Fault, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller knows better: settings (--set), names of metrics (--metric), whether to scan weights."""

    settings: Mapping[str, Scalar] = field(default_factory=dict)
    metric: Mapping[str, str] = field(default_factory=dict)
    check_weights: bool = False


def require(argument: str) -> None:
    """Raise `PathMissing` where the argument is a local path that does not exist: a typing error must not cost a long analysis."""
    if argument != "-" and not argument.startswith(("wandb://", "https://", "http://")) and not Path(argument).exists():
        raise PathMissing(f"{argument}: no such file or directory")


def load(argument: str, choices: Choices | None = None, limits: Limits = LIMITS) -> Loaded:
    """Read everything at `argument` (a path, wandb://entity/project/run, a run URL, or - for standard input)."""
    choices = choices or Choices()
    if argument.startswith(("wandb://", "https://", "http://")):
        from lossdoctor.sources import wandb_api

        return _runs([(log, ()) for log in wandb_api.read(argument)], Path(argument), choices, limits)
    if argument == "-":
        import sys

        from lossdoctor.sources import text_log

        return _runs([(log, ()) for log in text_log.read(sys.stdin)], Path("-"), choices, limits)
    require(argument)
    path = Path(argument)
    found = discover(path, limits)
    faults = list(found.faults)
    logs = list(_states(path, found, faults, limits))
    logs += [(log, ()) for log in _others(path, found, faults, choices, limits)]
    loaded = _runs(logs, path, choices, limits)
    return replace(loaded, faults=tuple(faults), ignored=(*((str(p), why) for p, why in found.ignored), *loaded.ignored))


def _states(path: Path, found: Found, faults: list[Fault], limits: Limits) -> Iterable[tuple[Log, tuple[Log, ...]]]:
    """The newest state of each run; older checkpoints of the same run only tell where checkpoints are."""
    logs = []
    for state in found.states:
        logs += _try(lambda state=state: [trainer_state.read(state, limits)], state, faults)  # type: ignore[misc]
    homes: dict[Path, list[Log]] = {}
    for log in logs:
        homes.setdefault(_home(log.path, path), []).append(log)
    for members in homes.values():
        yield from trainer_state.newest_of_each_run(members)


_CHECKPOINT_NAME = re.compile(r"(che[a-z]{1,2}point|ckpt|step|global_step|epoch)[-_ ]?\d+", re.IGNORECASE)


def _home(state: Path, root: Path) -> Path:
    """The output directory a state belongs to: checkpoints beside each other share it. Never a place above `root`: what lies there may
    be other runs."""
    parent = state.parent
    inside = parent != root and root in parent.parents
    return parent.parent if inside and _CHECKPOINT_NAME.match(parent.name) else parent


def _others(path: Path, found: Found, faults: list[Fault], choices: Choices, limits: Limits) -> list[Log]:
    logs: list[Log] = []
    if found.events:
        from lossdoctor.sources import tensorboard

        logs += _try(lambda: tensorboard.read(path, limits), path, faults)
    if found.wandb:
        from lossdoctor.sources import wandb_local

        logs += _try(lambda: wandb_local.read(path, limits), path, faults)
    beside_wandb = {p.parent for p in found.wandb}
    if found.tables or found.json_lines or found.texts:
        from lossdoctor.sources import json_lines, tabular, text_log

        columns = {raw: signal for signal, raw in choices.metric.items()}
        for table in found.tables:
            logs += _try(lambda table=table: tabular.read(table, metric=columns, limits=limits), table, faults)  # type: ignore[misc]
        for lines in found.json_lines:
            logs += _try(lambda lines=lines: json_lines.read(lines), lines, faults)  # type: ignore[misc]
        for text in found.texts:
            if not any(home == text.parent or home in text.parents for home in beside_wandb):  # wandb reads its own output.log
                logs += _try(lambda text=text: text_log.read(text), text, faults)  # type: ignore[misc]
    return logs


def _try(read: Callable[[], list[Log]], path: Path, faults: list[Fault]) -> list[Log]:
    """One bad file never costs the others."""
    try:
        return read()
    except PathMissing:
        faults.append(Fault("vanished", path.name, "the file vanished while it was being read", Loss.LOSSY))
    except LossdoctorError as error:
        faults.append(Fault("unreadable", path.name, str(error), Loss.FATAL))
    return []


def _runs(logs: Iterable[tuple[Log, tuple[Log, ...]]], path: Path, choices: Choices, limits: Limits) -> Loaded:
    pairs = list(logs)
    older = {id(log): states for log, states in pairs}
    groups, left = group([log for log, _ in pairs])
    alone = len(groups) == 1
    runs = tuple(_run(one, older, path, choices, limits, alone=alone) for one in groups)
    return Loaded(runs, ignored=tuple((str(log.path), "holds no values and belongs to no run here") for log in left))


def _run(one: Group, older: Mapping[int, tuple[Log, ...]], path: Path, choices: Choices, limits: Limits, *, alone: bool) -> Run:
    from lossdoctor.sources import checkpoints, settings

    log = one.joined
    chosen = tuple(Setting(name, value, "--set") for name, value in choices.settings.items())
    faults: list[Fault] = list(log.faults)
    from_files: list[tuple[Setting, ...]] = []
    for home in _directories(one, path, alone=alone):
        values, problems = settings.find(home, limits)
        from_files.append(values)
        faults += problems
    found_checkpoints = list(log.checkpoints)
    for home in dict.fromkeys(_home(member.path, path) for member in one.members if member.kind == "trainer_state"):
        more, problems = checkpoints.find(home, check_weights=choices.check_weights, limits=limits)
        found_checkpoints += more
        faults += problems
    ranked = sorted(one.members, key=lambda m: _TRUST.index(m.kind) if m.kind in _TRUST else len(_TRUST))
    groups = [
        chosen,
        *[m.settings for m in ranked if m.kind != "trainer_state"],
        *from_files,
        *[m.settings for m in ranked if m.kind == "trainer_state"],
    ]
    notes = tuple(
        SourceNote(
            m.kind,
            str(m.path),
            m.points,
            one.remark(m) + (f"; {len(older[id(m)])} older checkpoints of this run beside it" if older.get(id(m)) else ""),
        )
        for m in one.members
    )
    joined = replace(log, faults=tuple(dict.fromkeys(faults)), checkpoints=tuple(sorted(found_checkpoints, key=lambda c: c.step)))
    return build(
        joined,
        settings=settings.merge(groups),
        path=str(path if alone else log.path),
        name=one.name(path),
        metric=choices.metric,
        notes=notes,
    )


_TRUST = ("tensorboard", "wandb", "wandb_api", "jsonl", "csv", "text")


def _directories(one: Group, path: Path, *, alone: bool) -> list[Path]:
    """Where settings of this run may lie: beside its states, and in the path itself if it holds only this run."""
    places = [member.path.parent for member in one.members if member.kind == "trainer_state"]
    if alone and path.is_dir():
        places.append(path)
    return list(dict.fromkeys(places))
