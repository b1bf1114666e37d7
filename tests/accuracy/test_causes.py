"""How often the cause that was put in is ranked first, on runs made by people who did not know the rules that rank them."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.cli.evaluate import summary
from lossdoctor.evaluate import Evaluation, evaluate, labels

ROOT = Path(__file__).parents[2]
CAUSES = Path(__file__).parent / "causes"
KNOWN = 4  # runs of known cause for a rule that weighs causes


@pytest.fixture(scope="module")
def result() -> Evaluation:
    plan = Plan(rules=rulebook())
    return evaluate(CAUSES, lambda path: analyze(path, plan), scripted=True)


def test_the_cause_is_mostly_first_and_nearly_always_among_two(result: Evaluation) -> None:
    assert result.causes >= 90
    assert result.causes_first / result.causes >= 0.6
    assert result.causes_among_two / result.causes >= 0.8


def test_the_readme_has_the_figures(result: Evaluation) -> None:
    said = next(line for line in summary(result) if line.startswith("cause right"))
    assert said in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_rule_that_weighs_causes_has_runs_of_known_cause() -> None:
    known = Counter(rule for home in (CAUSES, ROOT / "fixtures") for label in labels(home).values() for rule in label.causes)
    weighing = [rule.name for rule in rulebook() if len(rule.causes) > 1]
    assert {name: known[name] for name in weighing if known[name] < KNOWN} == {}


def test_every_known_cause_is_one_of_its_rule() -> None:
    causes = {rule.name: {cause.name for cause in rule.causes} for rule in rulebook()}
    for path in CAUSES.glob("*/expected.toml"):
        for rule, cause in tomllib.loads(path.read_text(encoding="utf-8"))["causes"].items():
            assert cause in causes[rule], path
