from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.diagnosis.causes import holds, rank
from lossdoctor.rulebook import CauseRule, Condition, Rule
from lossdoctor.rulebook.rule import Prior, Strength

PRIORS: tuple[Prior, ...] = get_args(Prior)
STRENGTHS: tuple[Strength, ...] = get_args(Strength)


def rule(*causes: CauseRule) -> Rule:
    head = {"id": "LD999", "name": "x", "title": "x", "severity": "error", "detector": "x", "message": {"headline": "x", "found": "x"}}
    return msgspec.structs.replace(msgspec.convert(head, Rule), causes=causes)


def cause(
    name: str, prior: Prior = "common", pro: tuple[Condition, ...] = (), con: tuple[Condition, ...] = (), test: str = ""
) -> CauseRule:
    return CauseRule(name, f"It is {name}", prior, pro, con, test)


CLIMB = Condition("lead", "the norm rose to {lead:.0f}x", at_least=3, weight="strong")


def test_evidence_moves_the_odds_and_is_quoted_with_numbers():
    ranked = rank(rule(cause("data"), cause("rate", pro=(CLIMB,))), {"lead": 56.0})
    assert [c.name for c in ranked] == ["rate", "data"]
    assert ranked[0].speaks_for == ("the norm rose to 56x",)
    assert ranked[0].likelihood == pytest.approx(7 / 8.5, abs=2e-3)


def test_evidence_against_divides():
    ranked = rank(rule(cause("data", con=(CLIMB,)), cause("rate")), {"lead": 56.0})
    assert [c.name for c in ranked] == ["rate", "data"]
    assert ranked[1].against == ("the norm rose to 56x",)
    assert ranked[1].likelihood == pytest.approx(1 / 7 / (1 + 1 / 7 + 0.5), abs=2e-3)


def test_what_is_unknown_speaks_neither_way():
    ranked = rank(rule(cause("data", con=(CLIMB,)), cause("rate", pro=(CLIMB,))), {})
    assert ranked[0].likelihood == ranked[1].likelihood
    assert not any(c.speaks_for or c.against for c in ranked)


def test_two_that_stay_close_are_named_with_the_test_that_separates_them():
    ranked = rank(rule(cause("a", test="Do this at step {step}."), cause("b")), {"step": 40})
    assert ranked[0].test == "Do this at step 40. The log alone cannot tell it from the next likely cause: It is b."
    clear = rank(rule(cause("a", test="Do this."), cause("b", prior="rare")), {})
    assert clear[0].test == "Do this."


@given(st.lists(st.tuples(st.sampled_from(PRIORS), st.sampled_from(STRENGTHS), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_likelihoods_leave_room_for_something_else(parts: list[tuple[Prior, Strength, bool, bool]]):
    causes = [
        cause(str(i), prior, (Condition("a", "a", weight=w),) if pro else (), (Condition("b", "b", weight=w),) if con else ())
        for i, (prior, w, pro, con) in enumerate(parts)
    ]
    ranked = rank(rule(*causes), {"a": True, "b": True})
    assert 0 <= sum(c.likelihood for c in ranked) <= 1 + 1e-12
    assert [c.likelihood for c in ranked] == sorted((c.likelihood for c in ranked), reverse=True)


@pytest.mark.parametrize(
    ("condition", "value", "met"),
    [
        (Condition("f", ""), True, True),
        (Condition("f", ""), False, False),
        (Condition("f", ""), 0.0, False),
        (Condition("f", ""), "no", True),
        (Condition("f", "", equals="bf16"), "bf16", True),
        (Condition("f", "", equals=False), False, True),
        (Condition("f", "", equals=False), 0, False),
        (Condition("f", "", equals=True), 1, False),
        (Condition("f", "", at_least=2), 2, True),
        (Condition("f", "", at_least=2), 1.9, False),
        (Condition("f", "", at_least=1, at_most=2), 3, False),
        (Condition("f", "", at_most=2), "1", False),
        (Condition("f", "", at_least=2), float("nan"), False),
        (Condition("f", "", at_least=2), None, False),
    ],
)
def test_conditions(condition: Condition, value: object, met: bool):
    assert holds(condition, {"f": value}) is met  # type: ignore[dict-item]
