from __future__ import annotations

import msgspec
import numpy as np
import pytest

from lossdoctor.diagnosis.fixes import propose
from lossdoctor.model import Cause, Fix, Scalar
from lossdoctor.rulebook import FixRule, Rule

from .samples import run


def proposed(
    *fixes: FixRule, settings: dict[str, Scalar] | None = None, facts: dict[str, Scalar] | None = None, cause: str = "rate"
) -> list[Fix]:
    head = {"id": "LD999", "name": "x", "title": "x", "severity": "error", "detector": "x", "message": {"headline": "x", "found": "x"}}
    rule = msgspec.structs.replace(msgspec.convert(head, Rule), fixes=fixes)
    one = run({"loss": (range(10, 101, 10), np.ones(10))}, settings=settings)
    known = {f"setting.{k}": v for k, v in (settings or {}).items()} | (facts or {})
    return list(propose(rule, known, [Cause(cause, cause, 0.9)], one))


THIRD = FixRule("learning_rate", "divide", "it was {current}, {proposed} is gentler", by=3, minimum=1e-6)


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
        FixRule("per_device_train_batch_size", "divide", "", by=2, minimum=1, whole=True), settings={"per_device_train_batch_size": batch}
    )
    assert [fix.proposed for fix in found] == ([] if result is None else [result])


def test_what_the_run_has_already_is_not_proposed():
    assert proposed(FixRule("bf16", "set", "", to=True), settings={"bf16": True}) == []
    assert proposed(FixRule("bf16", "set", "", to=True), settings={"bf16": False})[0].proposed is True
    assert proposed(FixRule("optim", "set", "", to="adamw_torch"), settings={"optim": "adamw_torch"}) == []


def test_conditions_of_a_fix():
    clip = FixRule("max_grad_norm", "set", "", to=1.0, when="clipping_is_off")
    assert proposed(clip, facts={"clipping_is_off": True}, settings={"max_grad_norm": 0.0})[0].proposed == 1.0
    assert proposed(clip) == []
    tail = FixRule("weight_decay", "set", "", to=0.05, unless="is_lora")
    assert proposed(tail, facts={"is_lora": True}) == []
    other = FixRule("bf16", "set", "", to=True, cause="precision")
    assert proposed(other) == []
    assert len(proposed(other, cause="precision")) == 1


def test_only_one_direction():
    warmup = FixRule("warmup_steps", "set", "", to_fact="warmup_steps_suggested", only="raise", whole=True)
    assert proposed(warmup, settings={"warmup_steps": 10}, facts={"warmup_steps_suggested": 60})[0].proposed == 60
    assert proposed(warmup, settings={"warmup_steps": 100}, facts={"warmup_steps_suggested": 60}) == []
    assert proposed(warmup, settings={"warmup_steps": 10}) == []


def test_the_order_of_the_rule_and_one_change_a_setting():
    found = proposed(
        FixRule("weight_decay", "set", "general", to=0.05),
        FixRule("learning_rate", "divide", "other", by=9, cause="data"),
        FixRule("learning_rate", "divide", "special", by=5, cause="rate"),
        FixRule("learning_rate", "divide", "general", by=2),
        settings={"learning_rate": 1e-3, "weight_decay": 0.0},
    )
    assert [(fix.setting, fix.why) for fix in found] == [("weight_decay", "general"), ("learning_rate", "special")]
