"""The exit code of the command line, decided by the policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

from lossdoctor.model import Diagnosis
from lossdoctor.policy.gate import failures, incomplete
from lossdoctor.policy.model import Policy


class Exit(IntEnum):
    """What a caller may rely on."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    NO_VERDICT = 3


WORST_FIRST = (Exit.USAGE, Exit.NO_VERDICT, Exit.FAILED, Exit.PASSED)


def exit_code(policy: Policy, diagnoses: Sequence[Diagnosis], *, exit_zero: bool = False, report_failed: bool = False) -> Exit:
    """The code for diagnoses that went through `apply`: the worst in the order 2, 3, 1, 0. No diagnosis at all is no verdict.

    `exit_zero` turns 1 into 0 and touches nothing else; `report_failed` says that a report could not be written.
    """
    codes = [code_of(policy, diagnosis) for diagnosis in diagnoses] or [Exit.NO_VERDICT]
    if report_failed:
        codes.append(Exit.NO_VERDICT)
    code = worst(codes)
    return Exit.PASSED if exit_zero and code is Exit.FAILED else code


def code_of(policy: Policy, diagnosis: Diagnosis) -> Exit:
    if incomplete(policy, diagnosis):
        return Exit.NO_VERDICT
    return Exit.FAILED if failures(policy, diagnosis) else Exit.PASSED


def worst(codes: Iterable[Exit]) -> Exit:
    return min(codes, key=WORST_FIRST.index)
