"""Laws of the policy, on any input."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import UsageError
from lossdoctor.model import Diagnosis, Severity
from lossdoctor.policy import Policy, apply, exit_code
from lossdoctor.policy.load import parse
from lossdoctor.policy.schema import schema

from .samples import DAMAGE, RULES, diagnosis, finding, note

WORDS = [
    "preset",
    "rules",
    "limits",
    "gate",
    "suppress",
    "override",
    "fail_on",
    "min_evals",
    "require_signals",
    "baseline",
    "rule",
    "run",
    "reason",
    "until",
]
NAMES = [
    "hockey-stick",
    "LD201",
    "LD2",
    "ALL",
    "divergence",
    "hockey-stick.eval_rise",
    "LD101.rise",
    "eval_rise",
    "strict",
    "error",
    "off",
    "new-error",
    "*",
]
SCALARS = st.one_of(st.sampled_from(NAMES), st.integers(-2, 9), st.floats(), st.booleans(), st.dates(), st.text(max_size=3))
TABLES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(WORDS + NAMES), inner, max_size=3)),
    max_leaves=12,
)
CHECKER = jsonschema.Draft202012Validator(schema(RULES))
TODAY = date(2026, 11, 21)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


@given(st.dictionaries(st.sampled_from(WORDS), TABLES, max_size=4))
def test_a_table_is_a_policy_or_a_usage_error_and_the_schema_knows_which(table: dict[str, Any]) -> None:
    try:
        parse(table, RULES, Path("lossdoctor.toml"))
        said = ""
    except UsageError as error:
        said = str(error)
    assert all(line.startswith("lossdoctor.toml: ") for line in said.splitlines())
    assert said or CHECKER.is_valid(plain(table))


LEVELS = st.dictionaries(
    st.sampled_from(["ALL", "LD2", "hockey-stick", "divergence", "LD301"]), st.sampled_from(["off", "note", "warning", "error"])
)
SUPPRESSIONS = st.lists(
    st.fixed_dictionaries(
        {"rule": st.sampled_from(["ALL", "LD2", "hockey-stick", "LD301"]), "reason": st.just("r")},
        optional={"until": st.integers(-3, 3).map(lambda days: TODAY + timedelta(days)), "run": st.sampled_from(["*", "lora-*", "x"])},
    ),
    max_size=3,
)
POLICIES = st.fixed_dictionaries(
    {"preset": st.sampled_from(["finetune", "pretrain", "strict", "report-only"]), "rules": LEVELS, "suppress": SUPPRESSIONS}
).map(lambda table: parse(table, RULES, Path("lossdoctor.toml")))
DIAGNOSES = st.builds(
    lambda names, faults, crashed: diagnosis(*(finding(name) for name in names), faults=faults, crashed=crashed, healthy=()),
    st.lists(st.sampled_from([rule.name for rule in RULES]), unique=True),
    st.sampled_from([(), (DAMAGE,)]),
    st.sampled_from([(), (note("divergence", "boom"),)]),
)


@given(POLICIES, DIAGNOSES)
def test_nothing_is_lost_and_twice_is_once(policy: Policy, found: Diagnosis) -> None:
    judged = apply(policy, found, TODAY)
    assert apply(policy, judged, TODAY) == judged

    def rules(one: Diagnosis) -> list[str]:
        return sorted(n.rule for n in (*one.findings, *one.suppressed, *one.not_evaluated, *one.crashed, *one.healthy))

    assert rules(judged) == rules(found)
    assert (judged.verdict, judged.faults) == (found.verdict, found.faults)
    assert judged.gate.passed is (exit_code(policy, [judged]) == 0)


@given(POLICIES, DIAGNOSES)
def test_a_stricter_gate_is_never_greener(policy: Policy, found: Diagnosis) -> None:
    codes = [exit_code(policy.with_gate(fail_on=level), [apply(policy, found, TODAY)]) for level in ("never", "error", "warning")]
    assert codes in ([0, 0, 0], [0, 0, 1], [0, 1, 1], [3, 3, 3])
    errors = any(f.severity is Severity.ERROR for f in apply(policy, found, TODAY).findings)
    assert codes[1] in {0, 3} or errors
