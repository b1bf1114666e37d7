"""PATH -> diagnoses: joins the stages."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from lossdoctor.detectors import DETECTORS, discovered
from lossdoctor.diagnosis import diagnose, unreadable
from lossdoctor.diagnosis.diagnose import Options
from lossdoctor.errors import LossdoctorError, PathMissing, UsageError
from lossdoctor.limits import LIMITS
from lossdoctor.model import Diagnosis, Fault, Loss
from lossdoctor.policy import Policy, apply
from lossdoctor.policy.baseline import mark
from lossdoctor.rulebook import Rule, bind, load_directory, shipped
from lossdoctor.run import Run
from lossdoctor.sources.load import Choices, Loaded, load, require
from lossdoctor.sources.nothing import nothing_at
from lossdoctor.version import VERSION

VERSIONS = {"lossdoctor": VERSION, "python": platform.python_version()}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read, which rules to apply, the policy, and the last good runs to compare with."""

    choices: Choices = field(default_factory=Choices)
    options: Options = field(default_factory=Options)
    rules: tuple[Rule, ...] = ()
    policy: Policy = field(default_factory=Policy)
    baselines: tuple[Diagnosis, ...] = ()


def rulebook(extra: Sequence[Path] = (), select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The shipped rules and those of extra directories (replacing shipped ones of the same name), filtered by name, code, family, ALL."""
    rules = {rule.name: rule for rule in shipped()}
    for directory in extra:
        rules.update({rule.name: rule for rule in load_directory(directory)})
    known = {key for rule in rules.values() for key in (rule.name, rule.code, rule.family)} | {"ALL"}
    for key in (*select, *ignore):
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(f"no rule, code or family {key!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))

    def named(rule: Rule, keys: Sequence[str]) -> bool:
        return any(key in (rule.name, rule.code, rule.family, "ALL") for key in keys)

    return tuple(sorted((r for r in rules.values() if (not select or named(r, select)) and not named(r, ignore)), key=lambda r: r.code))


def analyze_all(arguments: Sequence[str], plan: Plan, jobs: int = 1) -> list[Diagnosis]:
    """Diagnose every argument, in order; `jobs` of them at a time, each in a process of its own."""
    for argument in arguments:
        require(argument)
    if jobs == 1 or len(arguments) < 2:
        return [diagnosis for argument in arguments for diagnosis in analyze(argument, plan)]
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    with ProcessPoolExecutor(min(jobs, len(arguments)), mp_context=get_context("spawn")) as pool:
        batch = max(1, len(arguments) // (4 * jobs))
        return [diagnosis for found in pool.map(partial(analyze, plan=plan), arguments, chunksize=batch) for diagnosis in found]


def analyze(argument: str, plan: Plan) -> list[Diagnosis]:
    """Diagnose every run at `argument`; always at least one result. Raises `UsageError` for a path that does not exist."""
    try:
        loaded = load(argument, plan.choices, LIMITS)
    except UsageError:
        raise
    except LossdoctorError as error:
        loaded = Loaded(faults=(Fault("unreadable", Path(argument).name or argument, str(error), Loss.FATAL),))
    return [judged(diagnosis, plan) for diagnosis in examine_loaded(argument, loaded, plan)]


def examine_loaded(argument: str, loaded: Loaded, plan: Plan) -> list[Diagnosis]:
    """Diagnose what was loaded; faults of files that gave no run are reported with the first run."""
    detectors = bind(plan.rules, _detectors(plan.rules))
    name = Path(argument).name or argument
    if not loaded.runs:
        faults = loaded.faults or (nothing_at(Path(argument)),)
        return [replace(unreadable(argument, argument, name, faults), versions=VERSIONS)]
    first = replace(loaded.runs[0], faults=(*loaded.runs[0].faults, *loaded.faults))
    runs = (first, *loaded.runs[1:])
    return [replace(diagnose(run, plan.rules, detectors, argument, _options(run, plan)), versions=VERSIONS) for run in runs]


def judged(diagnosis: Diagnosis, plan: Plan, today: date | None = None) -> Diagnosis:
    """The diagnosis marked against the last good runs, where there are any, and under the policy: levels, suppressions, the gate."""
    marked = mark(diagnosis, *plan.baselines) if plan.baselines else diagnosis
    return apply(plan.policy, marked, today or datetime.now(UTC).date())


def read_reports(files: Iterable[Path]) -> tuple[Diagnosis, ...]:
    """The diagnoses in saved reports. Raises `PathMissing` for a file that is not there, `UsageError` for one that is no report."""
    from lossdoctor.reporters.json_report import load as load_report

    found: list[Diagnosis] = []
    for file in files:
        if not file.exists():
            raise PathMissing(f"{file}: no such report")
        try:
            found += load_report(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UsageError) as error:
            raise UsageError(f"{file}: {error}") from None
    return tuple(found)


def _options(run: Run, plan: Plan) -> Options:
    """The options with the limits that the policy sets for this run."""
    return replace(plan.options, limits={**plan.options.limits, **plan.policy.limits_for(run.name, run.path)})


def _detectors(rules: Sequence[Rule]) -> Mapping[str, Callable[..., Any]]:
    """The table, and installed third-party detectors only where a rule names one."""
    return DETECTORS if all(rule.detector in DETECTORS for rule in rules) else {**discovered(), **DETECTORS}
