"""What every rule file promises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from lossdoctor.detectors import DETECTORS
from lossdoctor.evaluate import Label, labels
from lossdoctor.reporters.rule_page import page
from lossdoctor.rulebook import Rule, bind, shipped
from lossdoctor.rulebook.fill import placeholders

FIXTURES = Path(__file__).parents[2] / "fixtures"
RULES = {rule.name: rule for rule in shipped()}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


@cache
def labelled() -> Mapping[str, Label]:
    return {home.name: label for home, label in labels(FIXTURES).items()}


def test_all_are_bound_to_detectors() -> None:
    assert set(bind(RULES.values(), DETECTORS)) == set(RULES)


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
    assert [name for name, label in labelled().items() if rule.name in (*label.must, *label.note)], "no fixture owes it"
    assert [name for name, label in labelled().items() if rule.name in label.silent], "no fixture is a near miss"


@every_rule
def test_it_has_a_page_and_sentences_that_can_be_filled(rule: Rule) -> None:
    assert rule.page is not None
    assert page(rule, "md").startswith(f"# {rule.name} ({rule.code})")
    assert "{" not in page(rule, "text").replace("{{", "").split("CAUSES")[0]
    placeholders(rule.message.headline)
    for fix in rule.fixes:
        assert fix.cause is None or fix.cause in {cause.name for cause in rule.causes}, fix.cause


def test_codes_and_names_are_used_once() -> None:
    codes = [rule.code for rule in RULES.values()]
    assert len(set(codes)) == len(codes)
    assert all(rule.code[:2] == "LD" and rule.code[2:].isdecimal() and len(rule.code) == 5 for rule in RULES.values())
