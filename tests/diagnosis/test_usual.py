"""The data file of what is usual."""

from __future__ import annotations

from typing import get_args

import msgspec

from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.rulebook import shipped
from lossdoctor.rulebook.rule import Prior, Strength


def test_every_word_of_a_cause_has_its_weight_in_their_order():
    weights = msgspec.to_builtins(USUAL.evidence)
    assert tuple(weights) == get_args(Strength)
    assert list(weights.values()) == sorted(weights.values())
    assert all(weight > 1 for weight in weights.values())
    priors = [getattr(USUAL.prior, word) for word in get_args(Prior)]
    assert priors == sorted(priors, reverse=True)


def test_every_word_is_used():
    causes = [cause for rule in shipped() for cause in rule.causes]
    assert {cause.prior for cause in causes} == set(get_args(Prior))
    assert {c.weight for cause in causes for c in (*cause.speaks_for, *cause.against)} == set(get_args(Strength))


def test_ranges_rise():
    ranges = [value for value in msgspec.to_builtins(USUAL.learning_rate).values() if not isinstance(value, float | int)]
    assert len(ranges) == 6
    assert all(0 < low < high for low, high in ranges)
