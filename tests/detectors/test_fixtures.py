"""Real and scripted runs of fixtures/: what each must find, may only note, and must stay silent on."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pytest

from lossdoctor.analyze import Options, Plan, analyze, rulebook
from lossdoctor.model import Diagnosis, Severity

FIXTURES = Path(__file__).parents[2] / "fixtures"
RULES = (
    "level-shift", "epoch-stairs", "eval-leakage", "eval-never", "fp16-where-bf16", "loss-scale-collapse", "low-utilization",
    "low-mfu", "memory-imbalance", "memory-near-limit", "out-of-memory", "corrupt-checkpoint", "sparse-checkpoints",
    "reward-collapse", "reward-flat", "kl-blowup", "entropy-collapse", "completions-clipped", "dpo-not-learning", "duplicate-steps",
    "sparse-logging", "missing-signal", "mixed-runs",
)  # fmt: skip


def expectations() -> list[tuple[str, str, str]]:
    """(fixture, rule, must | note | silent), for the rules above."""
    found = []
    for path in sorted(FIXTURES.glob("*/expected.toml")):
        wanted = tomllib.loads(path.read_text(encoding="utf-8"))
        found += [(path.parent.name, rule, kind) for kind in ("must", "note", "silent") for rule in wanted.get(kind, ()) if rule in RULES]
    return found


EXPECTED = expectations()


@cache
def diagnosis(fixture: str) -> Diagnosis:
    return analyze(str(FIXTURES / fixture), Plan(rules=rulebook(select=RULES), options=Options(lead_time=False)))[0]


def levels(fixture: str) -> dict[str, Severity]:
    found = diagnosis(fixture)
    assert not found.crashed
    return {finding.rule: finding.severity for finding in found.findings}


@pytest.mark.parametrize(("fixture", "rule"), [(f, r) for f, r, kind in EXPECTED if kind == "must"])
def test_found_and_loud(fixture: str, rule: str):
    assert levels(fixture).get(rule) in (Severity.ERROR, Severity.WARNING)


@pytest.mark.parametrize(("fixture", "rule"), [(f, r) for f, r, kind in EXPECTED if kind == "note"])
def test_told(fixture: str, rule: str):
    assert rule in levels(fixture)


@pytest.mark.parametrize(("fixture", "rule"), [(f, r) for f, r, kind in EXPECTED if kind == "silent"])
def test_silent(fixture: str, rule: str):
    assert rule not in levels(fixture)


@pytest.mark.parametrize(
    "fixture", sorted({f for f, r, kind in EXPECTED if kind == "must"} & {p.parent.name for p in FIXTURES.glob("*/expected.toml")})
)
def test_the_known_cause_comes_first(fixture: str):
    wanted = tomllib.loads((FIXTURES / fixture / "expected.toml").read_text(encoding="utf-8"))
    owed = [f for f in diagnosis(fixture).findings if f.rule in wanted["must"]]
    assert owed
    if "cause" in wanted:
        assert owed[0].causes[0].name == wanted["cause"]


def test_healthy_fixtures_get_no_warning():
    for home in sorted(FIXTURES.glob("healthy-*")):
        loud = {rule: level for rule, level in levels(home.name).items() if level is not Severity.NOTE}
        assert not loud, (home.name, loud)


def test_every_rule_here_has_a_run_that_fires_or_is_told_in_the_unit_tests():
    told = {rule for _, rule, kind in EXPECTED if kind != "silent"}
    by_hand = "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py") if p.name != Path(__file__).name)
    assert all(rule in told or f'"{rule}"' in by_hand for rule in RULES)
