"""Ranking the possible causes of a finding by what speaks for and against each in this run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.model import Cause, Scalar
from lossdoctor.rulebook import CauseRule, Condition, Rule, fill

LEAST = 0.03  # a cause below this is noise on the page
MOST = 5
CLOSE = 0.5  # the second is close to the first from this ratio on
EVEN = 9  # tenths of the first's likelihood: from there on the second is as likely


@dataclass(frozen=True, slots=True)
class _Weighed:
    rule: CauseRule
    score: float
    speaks_for: tuple[str, ...]
    against: tuple[str, ...]


def rank(rule: Rule, facts: Mapping[str, Scalar]) -> tuple[Cause, ...]:
    """The causes of a rule, most likely first; their likelihoods add up to less than 1, the rest is "something else".

    The odds of a cause are its prior times a factor for every condition that holds for it, divided by one for every condition that holds
    against it; `usual.toml` says how much each word weighs. A fact that is not known speaks neither way.
    """
    weighed = sorted((_weigh(cause, facts) for cause in rule.causes), key=lambda w: -w.score)
    total = sum(w.score for w in weighed) + USUAL.prior.unnamed
    ranked = [_cause(w, w.score / total, facts) for w in weighed]
    kept = [cause for index, cause in enumerate(ranked[:MOST]) if index == 0 or cause.likelihood >= LEAST]
    return tuple(_separate(kept))


def _weigh(cause: CauseRule, facts: Mapping[str, Scalar]) -> _Weighed:
    pro = [c for c in cause.speaks_for if holds(c, facts)]
    con = [c for c in cause.against if holds(c, facts)]
    odds = _of(USUAL.prior, cause.prior) * math.prod(_of(USUAL.evidence, c.weight) for c in pro)
    odds /= math.prod(_of(USUAL.evidence, c.weight) for c in con)
    return _Weighed(cause, odds, tuple(fill(c.says, facts) for c in pro), tuple(fill(c.says, facts) for c in con))


def _of(table: object, word: str) -> float:
    return float(getattr(table, word))


def holds(condition: Condition, facts: Mapping[str, Scalar]) -> bool:
    """Whether a condition is met; False where its fact is unknown."""
    value = facts.get(condition.fact)
    if value is None:
        return False
    if condition.equals is not None and not _equal(value, condition.equals):
        return False
    if condition.at_least is None and condition.at_most is None:
        return condition.equals is not None or bool(value)
    if isinstance(value, bool | str) or math.isnan(value):
        return False
    return (condition.at_least is None or value >= condition.at_least) and (condition.at_most is None or value <= condition.at_most)


def _equal(value: Scalar, wanted: Scalar) -> bool:
    """Equality that does not take True for 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _cause(weighed: _Weighed, likelihood: float, facts: Mapping[str, Scalar]) -> Cause:
    rule = weighed.rule
    fitting = [words for words in rule.instead if facts.get(words.when)]
    return Cause(
        rule.name,
        fill(next((w.title for w in fitting if w.title), rule.title), facts),
        math.floor(likelihood * 1000) / 1000,  # never adds up to more than 1
        weighed.speaks_for,
        weighed.against,
        fill(next((w.test for w in fitting if w.test), rule.test), facts),
        fill(next((w.snippet for w in fitting if w.snippet), rule.snippet), facts).strip("\n"),
    )


def even(causes: Sequence[Cause]) -> bool:
    """Whether the second cause is as likely as the first: then the test decides, not a change."""
    return len(causes) > 1 and 10 * causes[1].likelihood >= EVEN * causes[0].likelihood


def _separate(causes: Sequence[Cause]) -> list[Cause]:
    """Where the first two stay close, say so behind the first one's test."""
    if len(causes) < 2 or causes[1].likelihood < CLOSE * causes[0].likelihood or not causes[0].test:
        return list(causes)
    words = f"{causes[0].test} The log alone cannot tell it from the next likely cause: {causes[1].title}."
    return [replace(causes[0], test=words), *causes[1:]]
