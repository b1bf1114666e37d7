"""What `import lossdoctor` offers: the pipeline as two functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lossdoctor.analyze import Plan, examine_loaded, judged, rulebook
from lossdoctor.errors import LossdoctorError, Unreadable, UsageError
from lossdoctor.model import Diagnosis, Fault, Loss
from lossdoctor.policy import Policy
from lossdoctor.policy import load as load_policy
from lossdoctor.rulebook import Rule
from lossdoctor.run import Run, build
from lossdoctor.sources.data_frame import read_frame
from lossdoctor.sources.load import Loaded
from lossdoctor.sources.load import load as load_sources

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]


def load(path: PathLike) -> Run:
    """Read the one run at `path` (whatever `lossdoctor analyze` takes).

    >>> run = load("fixtures/healthy-table")
    >>> sorted(run.history)
    ['epoch', 'segment', 'signal', 'step', 'time', 'value']

    Raises PathMissing where there is nothing, Unreadable where nothing can be read, UsageError where several runs lie there (name one).
    """
    loaded = load_sources(os.fspath(path))
    if not loaded.runs:
        told = "; ".join(f"{fault.where}: {fault.detail}" for fault in loaded.faults)
        raise Unreadable(told or f"{path}: no training log was found here")
    _only_one([run.path for run in loaded.runs], path)
    return loaded.runs[0]


def diagnose(run: Run | pd.DataFrame | PathLike, policy: Policy | PathLike | None = None) -> Diagnosis:
    """Diagnose a run: one that was loaded, a path, or a DataFrame (tidy like `Run.history`, or a step column and a column a metric).

    `policy` is a `Policy` or the path of a lossdoctor.toml; without one the defaults apply and no file is looked for.

    >>> diagnosis = diagnose("fixtures/hockey-stick-sft")
    >>> diagnosis.verdict.value, diagnosis.findings[0].rule
    ('fail', 'hockey-stick')

    A path that cannot be read gives an inconclusive diagnosis with the faults, as on the command line. Raises PathMissing, UsageError.
    """
    rules = rulebook()
    plan = Plan(rules=rules, policy=_policy(policy, rules))
    argument, loaded = _loaded(run)
    diagnoses = examine_loaded(argument, loaded, plan)
    _only_one([diagnosis.path for diagnosis in diagnoses], argument)
    return judged(diagnoses[0], plan)


def _policy(policy: Policy | PathLike | None, rules: tuple[Rule, ...]) -> Policy:
    if policy is None:
        return Policy()
    return policy if isinstance(policy, Policy) else load_policy(Path(policy), Path.cwd(), rules)


def _loaded(run: Run | pd.DataFrame | PathLike) -> tuple[str, Loaded]:
    if isinstance(run, Run):
        return run.path, Loaded((run,))
    if not isinstance(run, str | os.PathLike):
        return "DataFrame", Loaded((build(read_frame(run)),))
    path = os.fspath(run)
    try:
        return path, load_sources(path)
    except UsageError:
        raise
    except LossdoctorError as error:
        return path, Loaded(faults=(Fault("unreadable", Path(path).name, str(error), Loss.FATAL),))


def _only_one(paths: list[str], asked: PathLike) -> None:
    if len(paths) > 1:
        raise UsageError(f"{asked} holds {len(paths)} runs; name one of them: {', '.join(paths[:5])}{', ...' if len(paths) > 5 else ''}")
