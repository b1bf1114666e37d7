"""The policy and the baseline as the command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lossdoctor.errors import PathMissing, UsageError
from lossdoctor.model import Diagnosis

if TYPE_CHECKING:
    from lossdoctor.policy import Policy
    from lossdoctor.rulebook import Rule


def policy_given(
    path: Path | None,
    rules: Sequence[Rule],
    *,
    fail_on: str | None,
    baselines: Sequence[Path],
    allow_damage: bool,
    allow_inconclusive: bool,
) -> Policy:
    """The policy file with the options on top. Raises UsageError where it is wrong or --fail-on new-error has nothing to compare with."""
    from lossdoctor.policy import FailOn, load

    policy = load(path, Path.cwd(), rules).with_gate(
        fail_on=None if fail_on is None else FailOn(fail_on), allow_damage=allow_damage, allow_inconclusive=allow_inconclusive
    )
    if baselines:
        policy = replace(policy, gate=replace(policy.gate, baseline=tuple(baselines)))
    if policy.gate.fail_on is FailOn.NEW_ERROR and not policy.gate.baseline:
        raise UsageError("--fail-on new-error needs a baseline: --baseline FILE, or gate.baseline in the policy")
    return policy


def baselines_of(policy: Policy) -> list[Diagnosis]:
    """The diagnoses in the policy's baseline files. Raises UsageError for a file that is not there or no report."""
    from lossdoctor.reporters import json_report

    return [diagnosis for path in policy.gate.baseline for diagnosis in json_report.load(_text(path))]


def _text(path: Path) -> str:
    if not path.exists():
        raise PathMissing(f"{path}: there is no such baseline")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the baseline cannot be read: {error}") from error
