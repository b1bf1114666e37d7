"""The words of the rules: every fact exists, every sentence can be filled, every snippet is Python."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache

import pytest

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.causes import rank
from lossdoctor.diagnosis.facts import ALWAYS, FACTS, facts
from lossdoctor.model import Evidence
from lossdoctor.rulebook import Rule, shipped
from lossdoctor.rulebook.fill import placeholders
from lossdoctor.sources.settings.names import KINDS

from .samples import run

RULES = shipped()
# What is no setting of a trainer, but is changed like one.
OUTSIDE = {
    "labels", "trainable parameters", "model", "train_dataset", "eval_dataset", "output_dir", "epsilon_high", "adam_beta2", "training loop",
}  # fmt: skip
rules = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@cache
def measured(module: str) -> frozenset[str]:
    """The numbers that the detectors of a module can put into their evidence: the keys of its dictionaries."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    keys = [key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    keys += [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    return frozenset(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def known(rule: Rule) -> set[str]:
    return set(FACTS) | {f"setting.{name}" for name in KINDS} | measured(DETECTORS[rule.detector].__module__)


def sentences(rule: Rule) -> Iterator[str]:
    for cause in rule.causes:
        yield from (cause.title, cause.test, *(c.says for c in (*cause.speaks_for, *cause.against)))
    yield from (fix.why for fix in rule.fixes)


@rules
def test_every_fact_and_placeholder_exists(rule: Rule):
    names = known(rule)
    asked = {c.fact for cause in rule.causes for c in (*cause.speaks_for, *cause.against)}
    asked |= {name for fix in rule.fixes for name in (fix.when, fix.unless, fix.to_fact) if name is not None}
    assert asked <= names, asked - names
    filled = set().union(*(placeholders(text) for text in sentences(rule)))
    assert filled <= names | {"current", "proposed"}, filled - names


@rules
def test_every_cause_can_be_told_and_tested(rule: Rule):
    assert rule.causes or rule.name in {"epoch-stairs"}
    assert len({cause.name for cause in rule.causes}) == len(rule.causes)
    for cause in rule.causes:
        assert cause.title, cause.name
        assert cause.test, cause.name
        assert all(c.says for c in (*cause.speaks_for, *cause.against))


@rules
def test_every_snippet_is_python(rule: Rule):
    for cause in rule.causes:
        assert placeholders(cause.snippet) <= set(ALWAYS), cause.name
    for cause in rank(rule, facts(run({}), Evidence({}, ()))):
        assert "unknown" not in cause.snippet
        ast.parse(cause.snippet)


@rules
def test_every_fix_can_be_made(rule: Rule):
    causes = {cause.name for cause in rule.causes}
    for fix in rule.fixes:
        assert fix.cause is None or fix.cause in causes, fix.setting
        assert fix.setting in KINDS or fix.setting in OUTSIDE, fix.setting
        assert fix.why
        assert (fix.by is not None) == (fix.operation != "set"), fix.setting
        assert fix.operation != "set" or (fix.to is None) != (fix.to_fact is None), fix.setting


@rules
def test_every_rule_has_its_page(rule: Rule):
    assert rule.page is not None
    for text in (rule.page.sees, rule.page.why, rule.page.how, rule.page.looks_like, rule.page.verify):
        assert text.endswith("."), text
        assert "{" not in text


@rules
def test_the_message_can_be_filled(rule: Rule):
    message = rule.message
    asked = set().union(*(placeholders(text) for text in (message.headline, message.found, message.limit)))
    inside = [text for phrase in rule.phrases.values() for text in (phrase.otherwise, *phrase.when.values())]
    asked = asked.union(*(placeholders(text) for text in inside))
    assert set(rule.phrases) <= asked, "a phrase that no sentence uses"
    known: set[str] = set()
    for name, phrase in rule.phrases.items():
        nested = set().union(*(placeholders(text) for text in (phrase.otherwise, *phrase.when.values()))) & set(rule.phrases)
        assert nested <= known, "a phrase may hold those before it only"
        known.add(name)
    asked = asked.difference(rule.phrases).union(p.number for p in rule.phrases.values())
    given = {"last_step", "planned_steps", "onset_step", "unit"} | set(rule.thresholds) | measured(DETECTORS[rule.detector].__module__)
    assert asked <= given, asked - given
    assert {grade.number for grade in rule.grades} <= given
