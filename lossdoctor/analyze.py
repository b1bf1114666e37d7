"""PATH -> diagnoses: joins the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from lossdoctor.detectors import DETECTORS, discovered
from lossdoctor.diagnosis import diagnose, unreadable
from lossdoctor.diagnosis.diagnose import Options
from lossdoctor.errors import LossdoctorError, UsageError
from lossdoctor.limits import LIMITS
from lossdoctor.model import Diagnosis, Fault, Loss
from lossdoctor.policy import Policy, apply
from lossdoctor.policy.baseline import mark
from lossdoctor.policy import Policy
from lossdoctor.rulebook import Rule, bind, load_directory, shipped
from lossdoctor.run import Run
from lossdoctor.sources.load import Choices, Loaded, load, require


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read and which rules to apply."""

    choices: Choices = field(default_factory=Choices)
    options: Options = field(default_factory=Options)
    rules: tuple[Rule, ...] = ()
    policy: Policy | None = None
    baselines: tuple[Path, ...] = ()
    policy: Policy = field(default_factory=Policy)


def rulebook(extra: Sequence[Path] = (), select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The shipped rules with those of extra directories (which replace a shipped rule of the same name), filtered by name, code, family or ALL."""
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
        return [diagnosis for found in pool.map(partial(analyze, plan=plan), arguments, chunksize=max(1, len(arguments) // (4 * jobs))) for diagnosis in found]


def analyze(argument: str, plan: Plan) -> list[Diagnosis]:
    """Diagnose every run at `argument`; always at least one result. Raises `UsageError` for a path that does not exist."""
    try:
        loaded = load(argument, plan.choices, LIMITS)
    except UsageError:
        raise
    except LossdoctorError as error:
        loaded = Loaded(faults=(Fault("unreadable", Path(argument).name or argument, str(error), Loss.FATAL),))
    return [_under_policy(diagnosis, plan) for diagnosis in examine_loaded(argument, loaded, plan)]


def examine_loaded(argument: str, loaded: Loaded, plan: Plan) -> list[Diagnosis]:
    """Diagnose what was loaded; faults of files that gave no run are reported with the first run."""
    detectors = bind(plan.rules, _detectors(plan.rules))
    name = Path(argument).name or argument
    if not loaded.runs:
        faults = loaded.faults or (Fault("no-log", name, "no training log was found here", Loss.FATAL),)
        return [unreadable(argument, argument, name, faults)]
    first = replace(loaded.runs[0], faults=(*loaded.runs[0].faults, *loaded.faults))
    return [diagnose(run, plan.rules, detectors, argument, _options(run.name, run.path, plan)) for run in (first, *loaded.runs[1:])]


def _options(name: str, path: str, plan: Plan) -> Options:
    return plan.options if plan.policy is None else replace(plan.options, limits=plan.policy.limits_for(name, path))


def _under_policy(diagnosis: Diagnosis, plan: Plan) -> Diagnosis:
    """Mark against the baseline, then apply levels, suppressions and the gate."""
    if plan.policy is None:
        return diagnosis
    from datetime import UTC, datetime

    from lossdoctor.policy import apply

    if files := plan.baselines or plan.policy.gate.baseline:
        from lossdoctor.policy.baseline import mark

        diagnosis = mark(diagnosis, *(one for file in files for one in _report(file)))
    return apply(plan.policy, diagnosis, datetime.now(UTC).date())


def _report(file: Path) -> list[Diagnosis]:
    from lossdoctor.reporters.json_report import load as load_report

    try:
        return list(load_report(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"baseline {file}: {error}") from None


def _detectors(rules: Sequence[Rule]) -> Mapping[str, Callable[..., Any]]:
    """The table, and installed third-party detectors only where a rule names one."""
    return DETECTORS if all(rule.detector in DETECTORS for rule in rules) else {**discovered(), **DETECTORS}
