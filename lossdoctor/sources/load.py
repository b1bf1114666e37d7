"""PATH -> runs: discover, read every source, join the logs of one run, add settings and checkpoints."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoctor.errors import LossdoctorError, PathMissing, UsageError
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault, Loss, Scalar, Setting, SourceNote
from lossdoctor.run import Log, Run, build
from lossdoctor.run.names import canonical
from lossdoctor.sources import families, trainer_state
from lossdoctor.sources.discover import Found, discover, wandb_home
from lossdoctor.sources.merge import Group, group
from lossdoctor.sources.run_names import names
from lossdoctor.sources.same_run import place

_ADDRESSES = ("wandb://", "https://", "http://")
_STDIN = "-"
_TRUST = ("tensorboard", "wandb", "wandb_api", "jsonl", "csv", "text")
_CHECKPOINT_NAME = re.compile(r"(?:tmp-)?(che[a-z]{1,2}point|ckpt|step|global_step|epoch)[-_ ]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The runs of one path, what went wrong where no run could be made, and what was left aside with the reason."""

    runs: tuple[Run, ...] = ()
    faults: tuple[Fault, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


_OF_HUB = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller knows better: settings (--set), names of metrics (--metric), whether to scan weights."""

    settings: Mapping[str, Scalar] = field(default_factory=dict)
    metric: Mapping[str, str] = field(default_factory=dict)
    check_weights: bool = False


def require(argument: str) -> None:
    """Raise `PathMissing` where the argument is a local path that does not exist: a typing error must not cost a long analysis."""
    if argument == _STDIN or argument.startswith(_ADDRESSES):
        return
    try:
        found = Path(argument).exists()
    except (OSError, ValueError):  # a name too long, a NUL in it
        found = False
    if not found:
        hub = f"; for a model on the Hugging Face Hub, fetch its log first: hf download {argument} --include '*trainer_state.json'"
        raise PathMissing(f"{argument}: no such file or directory{hub if _OF_HUB.fullmatch(argument) else ''}")


def load(argument: str, choices: Choices | None = None, limits: Limits = LIMITS) -> Loaded:
    """Read everything at `argument` (a path, wandb://entity/project/run, a run URL, or - for standard input).

    Raises `PathMissing` for a path that does not exist, and `SourceError` where the only source there is cannot be read.
    """
    choices = choices or Choices()
    if argument.startswith(_ADDRESSES):
        from lossdoctor.sources import wandb_api

        return _loaded(wandb_api.read(argument), {}, Path(argument), choices, limits)
    if argument == _STDIN:
        import sys

        from lossdoctor.sources import stdin

        return _loaded(stdin.read(sys.stdin, _columns(choices), limits), {}, Path(_STDIN), choices, limits)
    require(argument)
    path = Path(argument)
    found = discover(path, limits)
    faults = list(found.faults)
    states = _states(path, found, faults, limits)
    older = {id(newest): before for newest, before in states}
    logs = [*(newest for newest, _ in states), *_others(path, found, faults, choices, limits)]
    loaded = _loaded(logs, older, path, choices, limits)
    _check_metrics(loaded.runs, choices.metric)
    return replace(loaded, faults=tuple(faults), ignored=(*((str(p), why) for p, why in found.ignored), *loaded.ignored))


def _check_metrics(runs: Sequence[Run], metric: Mapping[str, str]) -> None:
    """A column that nobody logged is a typing error, not a reason to diagnose something else."""
    logged = sorted({signal.raw_name for run in runs for signal in run.signals.values()})
    for name, column in metric.items():
        if runs and column not in logged:
            near = difflib.get_close_matches(column, logged, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; logged are {', '.join(logged[:8])}" if logged else ""
            raise UsageError(f"--metric {name}={column}: no such column{hint}")


def _columns(choices: Choices) -> dict[str, str]:
    """--metric by column, as the readers of tables want it."""
    return {raw: signal for signal, raw in choices.metric.items()}


def _states(path: Path, found: Found, faults: list[Fault], limits: Limits) -> list[tuple[Log, tuple[Log, ...]]]:
    """The newest state of each run; older checkpoints of the same run only tell where checkpoints are."""
    logs = [log for state in found.states for log in _try(lambda: [trainer_state.read(state, limits)], state, faults)]  # noqa: B023
    homes: dict[Path, list[Log]] = {}
    for log in logs:
        homes.setdefault(_home(log.path, path), []).append(log)
    return trainer_state.joined_copies(run for members in homes.values() for run in trainer_state.newest_of_each_run(members))


def _home(state: Path, root: Path) -> Path:
    """The output directory a state belongs to: checkpoints beside each other share it. Never a place above `root`: what lies there may
    be other runs."""
    parent = state.parent
    inside = parent != root and root in parent.parents
    return parent.parent if inside and _CHECKPOINT_NAME.match(parent.name) else parent


def _others(path: Path, found: Found, faults: list[Fault], choices: Choices, limits: Limits) -> list[Log]:
    """The logs of every other source."""
    logs: list[Log] = []
    if found.events:
        from lossdoctor.sources import tensorboard

        logs += [_of_validation(log, path) for log in _try(lambda: tensorboard.read(path, limits), path, faults)]
    runs: list[Log] = []
    if found.wandb:
        from lossdoctor.sources import wandb_local

        runs = _try(lambda: wandb_local.read(wandb_home(path), limits), path, faults)
    if found.tables or found.json_lines or found.texts:
        from lossdoctor.sources import json_lines, tabular, text_log

        columns = _columns(choices)
        for table in found.tables:
            logs += _try(lambda: tabular.read(table, columns, limits), table, faults)  # noqa: B023
        for lines in found.json_lines:
            logs += _try(lambda: json_lines.read(lines, limits), lines, faults)  # noqa: B023
        for text in found.texts:
            said = _try(lambda: text_log.read(text, limits), text, faults)  # noqa: B023
            logs += said if _run_of(text, runs) is None else []
            runs = [_with_console(run, said) if run is _run_of(text, runs) else run for run in runs]
    if found.documents:
        from lossdoctor.sources import embedded

        for document in found.documents:
            logs += _try(lambda: embedded.read(document, limits), document, faults)  # noqa: B023
    return [*logs, *runs]


_VALIDATION = re.compile(r"(?:.*[_.-])?(?:val|valid|validation|eval|dev)", re.IGNORECASE)


def _of_validation(log: Log, path: Path) -> Log:
    """AllenNLP and Keras log validation into a directory of its own, under the names of training: given alone, its name tells."""
    if not _VALIDATION.fullmatch(path.name) or any(canonical(s.name)[0] == "eval/loss" for s in log.series):
        return log
    renamed = tuple(replace(s, name=f"validation/{s.name}") if canonical(s.name)[0] == "train/loss" else s for s in log.series)
    return replace(log, series=renamed)


def _run_of(text: Path, runs: Sequence[Log]) -> Log | None:
    """The WandB run in whose directory a console log lies."""
    return next((run for run in runs if place(run.path) in text.parents), None)


def _with_console(run: Log, console: Sequence[Log]) -> Log:
    """A WandB run with what its console says of its end, and with what it printed where its history is not there. The messages in it
    WandB's reader has read already."""
    stopped = run.early_stopped or any(log.early_stopped for log in console)
    ended = True if run.finished is None and any(log.finished for log in console) else run.finished
    run = replace(run, early_stopped=stopped, finished=ended)
    printed = [log for log in console if log.points]
    if not printed or any(len(series.steps) > 1 for series in run.series):
        return run
    whole = max(printed, key=lambda log: log.points)
    known = {series.name for series in whole.series}
    note = "the history of this run is not here: its curves are read from what it printed"
    rest = tuple(series for series in run.series if series.name not in known)
    return replace(
        run,
        series=(*whole.series, *rest),
        step_is=whole.step_is,
        notes=(*run.notes, note),
        planned_steps=run.planned_steps or whole.planned_steps,
    )


def _try(read: Callable[[], list[Log]], path: Path, faults: list[Fault]) -> list[Log]:
    """One bad file never costs the others."""
    try:
        return read()
    except PathMissing:
        faults.append(Fault("vanished", path.name, "the file vanished while it was being read", Loss.LOSSY))
    except LossdoctorError as error:
        faults.append(Fault("unreadable", path.name, str(error), Loss.FATAL))
    return []


def _loaded(logs: Sequence[Log], older: Mapping[int, tuple[Log, ...]], path: Path, choices: Choices, limits: Limits) -> Loaded:
    groups, left = group([piece for log in logs for piece in families.split(log)])
    together = families.families(groups)
    called = families.named(together, names([family.groups[0].members for family in together], path))
    alone = len(together) == 1 and together[0].one_log
    states = [{state.path.parent for state in _state_files(one, older)} for one, _, _ in called]
    runs = []
    for (one, name, notes), own in zip(called, states, strict=True):
        foreign = set().union(*states) - own
        run = _run(one, name, older, path, choices, limits, alone=alone, foreign=foreign)
        runs.append(replace(run, notes=(*run.notes, *notes)))
    return Loaded(tuple(runs), ignored=tuple((str(log.path), "holds no values and belongs to no run here") for log in left))


def _state_files(one: Group, older: Mapping[int, tuple[Log, ...]]) -> list[Log]:
    """The states of a run, the older ones included."""
    return [state for member in one.members if member.kind == "trainer_state" for state in (member, *older.get(id(member), ()))]


def _run(
    one: Group,
    name: str,
    older: Mapping[int, tuple[Log, ...]],
    path: Path,
    choices: Choices,
    limits: Limits,
    *,
    alone: bool,
    foreign: Set[Path],
) -> Run:
    """The Run of a group, with the settings and checkpoints on disk; `foreign` are the checkpoints of other runs."""
    from lossdoctor.sources import checkpoints, settings

    log = one.joined
    faults: list[Fault] = list(log.faults)
    from_files: list[tuple[Setting, ...]] = []
    for home in _directories(one, path, alone=alone):
        values, problems = settings.find(home, limits)
        from_files.append(values)
        faults += problems
    found, others = list(log.checkpoints), set()
    for home in _checkpoint_homes(one, older, path, alone=alone):
        more, problems = checkpoints.find(home, check_weights=choices.check_weights, limits=limits)
        found += [checkpoint for checkpoint in more if Path(checkpoint.path) not in foreign]
        others |= {checkpoint.step for checkpoint in more if Path(checkpoint.path) in foreign}
        faults += problems
    joined = replace(log, faults=tuple(dict.fromkeys(faults)), checkpoints=tuple(sorted(dict.fromkeys(found), key=lambda c: c.step)))
    run = build(
        joined,
        settings=settings.merge(_by_trust(one, choices, from_files)),
        path=str(path if alone else log.path),
        name=name,
        metric=choices.metric,
        notes=tuple(_notes(one, older)),
    )
    return replace(run, foreign_checkpoints=tuple(sorted(others)))


def _by_trust(one: Group, choices: Choices, from_files: Sequence[tuple[Setting, ...]]) -> list[tuple[Setting, ...]]:
    """The settings of a run in order of trust."""
    chosen = tuple(Setting(name, value, "--set") for name, value in choices.settings.items())
    ranked = sorted(one.members, key=lambda m: _TRUST.index(m.kind) if m.kind in _TRUST else len(_TRUST))
    logged = [m.settings for m in ranked if m.kind != "trainer_state"]
    return [chosen, *logged, *from_files, *[m.settings for m in ranked if m.kind == "trainer_state"]]


def _notes(one: Group, older: Mapping[int, tuple[Log, ...]]) -> Iterable[SourceNote]:
    for member in one.members:
        before = len(older.get(id(member), ()))
        beside = f"; {before} older checkpoint{'s' if before > 1 else ''} of this run beside it" if before else ""
        yield SourceNote(member.kind, str(member.path), member.points, one.remark(member) + beside)


def _directories(one: Group, path: Path, *, alone: bool) -> list[Path]:
    """Where settings of this run may lie: beside its states, and in the path itself if it holds only this run."""
    places = [member.path.parent for member in one.members if member.kind == "trainer_state"]
    if alone and path.is_dir():
        places.append(path)
    elif path.is_dir():
        # Lightning and yolov5 keep hparams.yaml and opt.yaml beside the log of each run.
        places += [place(m.path) for m in one.members if m.kind in {"tensorboard", "csv", "jsonl"} and path in place(m.path).parents]
    return list(dict.fromkeys(places))


def _checkpoint_homes(one: Group, older: Mapping[int, tuple[Log, ...]], path: Path, *, alone: bool) -> list[Path]:
    """Where checkpoints of this run may lie: the output directories of its states, else the path itself if it holds only this run."""
    homes = [_home(state.path, path) for state in _state_files(one, older)]
    if not path.is_dir():
        return list(dict.fromkeys(homes)) if path.name != _STDIN else []
    if alone:
        homes = [home for home in homes if path not in {home, *home.parents}]
        return [path, *homes]
    homes += [place(m.path) for m in one.members if m.kind in {"tensorboard", "csv"} and path in place(m.path).parents]
    outermost = [home for home in homes if not any(other in home.parents for other in homes)]
    return list(dict.fromkeys(outermost))
