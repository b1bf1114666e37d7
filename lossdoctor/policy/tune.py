"""The rules of one run, with the limits that the policy sets for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from lossdoctor.policy.model import Limit, Policy
from lossdoctor.rulebook import Rule


def tuned(policy: Policy, rules: Sequence[Rule], run: str, path: str = "") -> tuple[Rule, ...]:
    """The same rules with the thresholds that the policy moves for this run.

    Limits were checked against the rules when the policy was read; a limit of a rule that is not among `rules` is left alone.
    """
    limits = policy.limits_for(run, path)
    return tuple(_moved(rule, limits[rule.name]) if rule.name in limits else rule for rule in rules)


def _moved(rule: Rule, values: Mapping[str, Limit]) -> Rule:
    moved = {name: replace(rule.thresholds[name], value=value) for name, value in values.items()}
    return replace(rule, thresholds={**rule.thresholds, **moved})
