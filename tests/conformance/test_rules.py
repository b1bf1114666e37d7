"""What every rule file promises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.examine import examine
from lossdoctor.evaluate import Label, labels
from lossdoctor.model import Setting
from lossdoctor.reporters.rule_page import page
from lossdoctor.rulebook import Rule, bind, shipped
from lossdoctor.rulebook.fill import placeholders

from .runs import run_of
from .test_detectors import GENERIC

FIXTURES = Path(__file__).parents[2] / "fixtures"
RULES = {rule.name: rule for rule in shipped()}
MADE_HERE = {"eval-never"}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


@cache
def labelled() -> Mapping[str, Label]:
    return {home.name: label for home, label in labels(FIXTURES).items()}


def test_all_are_bound_to_detectors() -> None:
    assert set(bind(RULES.values(), DETECTORS)) == set(RULES)


def test_every_detector_serves_a_rule_or_any_rule() -> None:
    assert set(DETECTORS) - {rule.detector for rule in RULES.values()} <= set(GENERIC)


def test_labels_name_rules_that_exist() -> None:
    for name, label in labelled().items():
        assert {*label.must, *label.may, *label.note, *label.silent} <= set(RULES), name


@every_rule
def test_the_thresholds_are_the_detector_s_keywords(rule: Rule) -> None:
    found = inspect.signature(DETECTORS[rule.detector]).parameters.values()
    keywords = {p.name for p in found if p.kind is p.KEYWORD_ONLY}
    required = {p.name for p in found if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    given = {*rule.thresholds, *rule.arguments}
    assert required <= given <= keywords
    assert not set(rule.thresholds) & set(rule.arguments)


@every_rule
def test_every_threshold_has_a_reason_and_lies_in_its_range(rule: Rule) -> None:
    for name, limit in rule.thresholds.items():
        assert limit.why, name
        if not isinstance(limit.value, str):
            assert limit.minimum is not None, name
            assert limit.maximum is not None, name
            assert limit.minimum <= limit.value <= limit.maximum, name


@every_rule
def test_a_run_has_it_and_another_nearly_does(rule: Rule) -> None:
    if rule.name not in MADE_HERE:
        assert [name for name, label in labelled().items() if rule.name in (*label.must, *label.note)], "no fixture owes it"
    assert [name for name, label in labelled().items() if rule.name in label.silent], "no fixture is a near miss"


@every_rule
def test_it_has_a_page_and_sentences_that_can_be_filled(rule: Rule) -> None:
    assert rule.page is not None
    assert page(rule, "md").startswith(f"# {rule.name} ({rule.code})")
    assert "{" not in page(rule, "text").replace("{{", "").split("CAUSES")[0]
    placeholders(rule.message.headline)
    for other in rule.explained_by:
        assert other in RULES, other
    for fix in rule.fixes:
        assert fix.cause is None or fix.cause in {cause.name for cause in rule.causes}, fix.cause


def test_eval_steps_beyond_the_run() -> None:
    """No training is worth being run for this one: the settings say all."""
    loss = {"train/loss": ([10, 20, 30], [3.0, 2.0, 1.5])}
    found = {steps: with_eval_steps(loss, steps) for steps in (500, 20)}
    assert found[500] == ["eval-never"]
    assert found[20] == []


def with_eval_steps(series: Mapping[str, tuple[list[int], list[float]]], steps: int) -> list[str]:
    run = run_of(series, settings=False, planned=30)
    told = {name: Setting(name, value, "test") for name, value in {"eval_strategy": "steps", "eval_steps": steps}.items()}
    rule = RULES["eval-never"]
    outcomes = examine(replace(run, settings=told), [rule], bind([rule], DETECTORS))
    return [outcome.rule.name for outcome in outcomes if outcome.evidence is not None]


def test_codes_and_names_are_used_once() -> None:
    codes = [rule.code for rule in RULES.values()]
    assert len(set(codes)) == len(codes)
    assert all(rule.code[:2] == "LD" and rule.code[2:].isdecimal() and len(rule.code) == 5 for rule in RULES.values())
