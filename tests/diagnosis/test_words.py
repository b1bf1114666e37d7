"""The words of the rules: every fact exists, every sentence can be filled, every snippet is Python."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache

import pytest

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.facts import ALWAYS, FACTS, facts
from lossdoctor.model import Evidence
from lossdoctor.rulebook import Rule, fill, shipped
from lossdoctor.rulebook.fill import placeholders
from lossdoctor.sources.settings.names import KINDS

from .samples import run

RULES = shipped()
# What is no setting of a trainer, but is changed like one.
OUTSIDE = {
    "labels", "trainable parameters", "model", "train_dataset", "eval_dataset", "output_dir", "epsilon_high", "adam_beta2", "training loop",
    "schedule",
}  # fmt: skip
OF_TEXT = {"dpo-not-learning", "completions-clipped"}  # rules that only language models can break
OF_LANGUAGE = re.compile(r"prompt|token|template|-100|decode|vocabular|completion|input_ids", re.IGNORECASE)
TEXT = {
    "reads_text", "trainer_reads_text", "labels_text", "trainer_labels_text", "text_positions_known", "speaks_from_disk", "is_preference",
    "is_rl_of_text", "is_lora", "packs_without_varlen",
}  # fmt: skip
TRAINER = {
    "has_trainer", "trainer_reads_text", "trainer_labels_text", "positions_known", "text_positions_known", "retries_from_disk",
    "trainer_left_checkpoint",
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
        yield from (text for words in cause.instead for text in (words.title, words.test))
    yield from (fix.why for fix in rule.fixes)
    yield from (fix.to for fix in rule.fixes if isinstance(fix.to, str))


@rules
def test_every_fact_and_placeholder_exists(rule: Rule):
    names = known(rule)
    asked = {c.fact for cause in rule.causes for c in (*cause.speaks_for, *cause.against)}
    asked |= {words.when for cause in rule.causes for words in cause.instead}
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
    known_facts = facts(run({}), Evidence({}, ()))
    for cause in rule.causes:
        for snippet in (cause.snippet, *(words.snippet for words in cause.instead)):
            assert placeholders(snippet) <= set(ALWAYS), cause.name
            ast.parse(fill(snippet, known_facts))
            assert "unknown" not in fill(snippet, known_facts)


@rules
def test_only_words_for_language_models_speak_of_their_text(rule: Rule):
    """What stands for any run knows no prompts, tokens and templates, and no name of HuggingFace's Trainer."""
    for cause in rule.causes if rule.name not in OF_TEXT else ():
        assert not OF_LANGUAGE.search(f"{cause.title} {cause.test} {cause.snippet}"), cause.name
        for words in cause.instead:
            text = f"{words.title} {words.test} {words.snippet}"
            assert not OF_LANGUAGE.search(text) or words.when in TEXT, (cause.name, words.when)
            assert "trainer" not in words.snippet or words.when in TRAINER, (cause.name, words.when)
    for fix in rule.fixes if rule.name not in OF_TEXT else ():
        assert not (isinstance(fix.to, str) and OF_LANGUAGE.search(fix.to)) or fix.when in TEXT, fix.setting


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
