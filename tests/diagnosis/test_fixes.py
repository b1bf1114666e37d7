from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import numpy as np
import pytest

from lossdoctor.diagnosis.fixes import propose, settled
from lossdoctor.model import Cause, Change, Finding, Fix, Scalar, Severity
from lossdoctor.rulebook import FixRule, Rule

from .samples import run


def proposed(
    *fixes: FixRule,
    settings: dict[str, Scalar] | None = None,
    facts: dict[str, Scalar] | None = None,
    causes: Mapping[str, float] = MappingProxyType({"rate": 0.9}),
) -> list[Fix]:
    head = {"id": "LD999", "name": "x", "title": "x", "severity": "error", "detector": "x", "message": {"headline": "x", "found": "x"}}
    rule = msgspec.structs.replace(msgspec.convert(head, Rule), fixes=fixes)
    one = run({"loss": (range(10, 101, 10), np.ones(10))}, settings=settings)
    known = {f"setting.{k}": v for k, v in (settings or {}).items()} | (facts or {})
    return list(propose(rule, known, [Cause(name, name, share) for name, share in causes.items()], one))


THIRD = FixRule("learning_rate", "divide", why="it was {current}, {proposed} is gentler", by=3, minimum=1e-6)


def test_a_fix_is_computed_from_the_runs_own_value():
    (fix,) = proposed(THIRD, settings={"learning_rate": 2e-4})
    assert (fix.current, fix.proposed) == (2e-4, 6.67e-5)
    assert fix.why == "it was 0.0002, 6.67e-5 is gentler"


def test_the_logged_peak_stands_in_for_an_unknown_setting():
    assert proposed(THIRD, facts={"lr_peak": 0.00019999999494757503})[0].current == 2e-4
    assert proposed(THIRD)[0].proposed == "your value / 3"


def test_ranges_hold_and_never_turn_a_fix_around():
    assert proposed(THIRD, settings={"learning_rate": 2e-6})[0].proposed == 1e-6
    assert proposed(THIRD, settings={"learning_rate": 5e-7}) == []
    assert proposed(THIRD, settings={"learning_rate": 1e-6}) == []


@pytest.mark.parametrize(("batch", "result"), [(8, 4), (3, 2), (1, None)])
def test_whole_numbers(batch: int, result: int | None):
    found = proposed(
        FixRule("per_device_train_batch_size", "divide", why="", by=2, minimum=1, whole=True),
        settings={"per_device_train_batch_size": batch},
    )
    assert [fix.proposed for fix in found] == ([] if result is None else [result])


def test_what_the_run_has_already_is_not_proposed():
    assert proposed(FixRule("bf16", "set", why="", to=True), settings={"bf16": True}) == []
    assert proposed(FixRule("bf16", "set", why="", to=True), settings={"bf16": False})[0].proposed is True
    assert proposed(FixRule("optim", "set", why="", to="adamw_torch"), settings={"optim": "adamw_torch"}) == []


def test_conditions_of_a_fix():
    clip = FixRule("max_grad_norm", "set", why="", to=1.0, when="clipping_is_off")
    assert proposed(clip, facts={"clipping_is_off": True}, settings={"max_grad_norm": 0.0})[0].proposed == 1.0
    assert proposed(clip) == []
    tail = FixRule("weight_decay", "set", why="", to=0.05, unless="is_lora")
    assert proposed(tail, facts={"is_lora": True}) == []
    other = FixRule("bf16", "set", why="", to=True, cause="precision")
    assert proposed(other) == []
    assert len(proposed(other, causes={"precision": 0.9})) == 1


def test_only_one_direction():
    warmup = FixRule("warmup_steps", "set", why="", to_fact="warmup_steps_suggested", only="raise", whole=True)
    assert proposed(warmup, settings={"warmup_steps": 10}, facts={"warmup_steps_suggested": 60})[0].proposed == 60
    assert proposed(warmup, settings={"warmup_steps": 100}, facts={"warmup_steps_suggested": 60}) == []
    assert proposed(warmup, settings={"warmup_steps": 10}) == []


def test_the_order_of_the_rule_and_one_change_a_setting():
    found = proposed(
        FixRule("weight_decay", "set", why="general", to=0.05),
        FixRule("learning_rate", "divide", why="other", by=9, cause="data"),
        FixRule("learning_rate", "divide", why="special", by=5, cause="rate"),
        FixRule("learning_rate", "divide", why="general", by=2),
        settings={"learning_rate": 1e-3, "weight_decay": 0.0},
    )
    assert [(fix.setting, fix.why) for fix in found] == [("weight_decay", "general"), ("learning_rate", "special")]


def together(fix: FixRule, **settings: Scalar) -> dict[str, Scalar]:
    """What one fix changes in all."""
    (found,) = proposed(fix, settings=settings, facts={"eval_steps_suggested": 40, "eval_strategy_seen": "steps", "eval_steps_seen": 14})
    return {change.setting: change.proposed for change in found.changes}


def set_to(setting: str, value: Scalar) -> FixRule:
    return FixRule(setting, "set", why="", to=value)


HALF = FixRule("per_device_train_batch_size", "divide", why="", by=2, minimum=1, whole=True)


def test_a_smaller_batch_comes_with_more_accumulation():
    assert together(HALF, per_device_train_batch_size=8, gradient_accumulation_steps=3) == {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 6,
    }
    double = FixRule("per_device_train_batch_size", "multiply", why="", by=2, whole=True)
    assert together(double, per_device_train_batch_size=8, gradient_accumulation_steps=4)["gradient_accumulation_steps"] == 2
    assert "gradient_accumulation_steps" not in together(double, per_device_train_batch_size=8, gradient_accumulation_steps=1)


def test_bf16_turns_fp16_off_where_it_is_on():
    (fix,) = proposed(set_to("bf16", True), settings={"bf16": False, "fp16": True}, facts={"is_fp16": True})
    assert [(c.setting, c.proposed) for c in fix.changes] == [("bf16", True), ("fp16", False)]
    assert together(set_to("bf16", True), bf16=False) == {"bf16": True}


def test_evals_by_steps_say_how_many():
    assert together(set_to("eval_strategy", "steps"), eval_strategy="no") == {"eval_strategy": "steps", "eval_steps": 40}
    assert together(set_to("eval_steps", 40), eval_strategy="epoch", eval_steps=500) == {"eval_steps": 40, "eval_strategy": "steps"}


def test_the_constant_schedule_has_no_warmup():
    warmup = set_to("warmup_steps", 42)
    (fix,) = proposed(warmup, settings={"warmup_steps": 0, "lr_scheduler_type": "constant"}, facts={"schedule_is_constant": True})
    assert fix.together == (Change("lr_scheduler_type", "constant", "constant_with_warmup"),)
    assert together(warmup, warmup_steps=0, lr_scheduler_type="linear") == {"warmup_steps": 42}


def test_the_best_model_needs_saves_on_evals():
    assert together(
        set_to("load_best_model_at_end", True), eval_strategy="steps", eval_steps=14, save_strategy="steps", save_steps=140
    ) == {
        "load_best_model_at_end": True,
        "save_steps": 14,
        "metric_for_best_model": "eval_loss",
    }


def test_where_two_causes_are_as_likely_neither_gets_its_change():
    one = FixRule("learning_rate", "divide", why="", by=3, cause="high")
    other = FixRule("learning_rate", "multiply", why="", by=3, cause="low")
    general = set_to("weight_decay", 0.05)
    even, clear = {"high": 0.29, "low": 0.27}, {"high": 0.5, "low": 0.2}
    settings: dict[str, Scalar] = {"learning_rate": 1e-4, "weight_decay": 0.0}
    assert [fix.setting for fix in proposed(one, other, general, settings=settings, causes=even)] == ["weight_decay"]
    assert [fix.setting for fix in proposed(one, other, general, settings=settings, causes=clear)] == ["learning_rate", "weight_decay"]
    both = msgspec.structs.replace(one, cause="low")
    assert [fix.setting for fix in proposed(one, both, settings=settings, causes=even)] == ["learning_rate"]


def test_a_rate_is_not_raised_beyond_the_usual():
    double = FixRule("learning_rate", "multiply", why="", by=3)
    assert proposed(double, settings={"learning_rate": 2e-4}, facts={"lr_usual_most": 5e-4})[0].proposed == 5e-4
    assert proposed(double, settings={"learning_rate": 6e-4}, facts={"lr_usual_most": 5e-4}) == []
    third = FixRule("learning_rate", "set", why="", to_fact="lr_suggested", only="lower")
    (lower,) = proposed(third, settings={"learning_rate": 2e-3}, facts={"lr_usual_most": 5e-4, "lr_suggested": 6.7e-4})
    assert lower.proposed == 5e-4


def finding(title: str, *fixes: Fix) -> Finding:
    return Finding(title, "LD999", title, Severity.ERROR, 0.9, "", {}, (), fixes=fixes)


def test_the_most_important_finding_decides_on_a_setting():
    lower, higher = Fix("learning_rate", 1e-3, 5e-4, "it jumps"), Fix("learning_rate", 1e-3, 3e-3, "it is slow")
    decay = Fix("weight_decay", 0.0, 0.05, "")
    first, second, third = settled([finding("a spike", lower), finding("slow", higher, decay), finding("slower", higher)])
    assert first.fixes == (lower,)
    assert second.fixes == (decay,)
    assert [(fix.setting, fix.waits_for) for fix in third.fixes] == [("learning_rate", "a spike")]


def test_epochs_and_steps_are_one_decision():
    shorter, longer = Fix("max_steps", 400, 28, ""), Fix("num_train_epochs", 3, 6, "")
    assert settled([finding("a", shorter), finding("b", longer)])[1].fixes[0].waits_for == "a"
    assert settled([finding("a", shorter), finding("b", shorter)])[1].fixes == (shorter,)
