"""What the numbers of a rule's sentences are, in the words of `[claims]`.

    minimum = "lowest of S0"                        S0, S1: the finding's signals; else a signal's name, or a number that holds one
    share   = "share above limit of S0 in the span"
    rise    = "= final / minimum - 1"               from the other numbers
    period  = "estimate: strongest period"          by a method that is no plain statistic

A statistic is value, lowest, highest, median, level, rows, share, fall or step, or one of `COUNTED`. `level` is a robust average: it lies
within the rows that it is taken of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from lossdoctor.errors import RuleError

COUNTED = frozenset({"logged steps", "all rows", "repeated steps", "extra rows", "most rows of a step", "backward jumps", "wait"})
WORDS = frozenset({"estimate", "setting", "log", "files", "limit", "reference", "plan", "last step"})
_PLAIN = ("value", "lowest", "highest", "median", "level", "fall", "step", "occurs")
_STATISTIC = re.compile(
    rf"(?P<statistic>{'|'.join((*_PLAIN, *sorted(COUNTED)))}|(?P<counts>rows|share)(?: (?P<side>above|below|at most|at least|not finite))?)"
    r"(?: (?P<limit>(?!of\b)\S+))? of (?P<signal>\S+)(?: (?P<window>.+?))??(?: in (?P<unit>GiB))?"
)
_WINDOW = re.compile(
    r"at the (?P<end>start|end)|in the (?P<span>span)|at the span's (?P<edge>start|end)"
    r"|in the (?P<side>first|last|tail) (?:1/(?P<part>\d+)|(?P<rows>\w+) rows)(?: from (?P<since>\w+))?"
    r"|in the (?P<half>second half)|in the last (?P<third>third)"
    r"|in the (?P<beside>\d+) rows (?P<way>before|from) (?P<place>\w+)"
    r"|around (?P<around>\w+)|at (?P<at>\w+)"
    r"|(?P<open>from|after|before|until) (?P<bound>\w+)(?: to (?P<until>\w+))?"
)


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """One parsed claim: `words` for those that no row tells, else statistic, limit, signal and window as written."""

    statistic: str
    words: str = ""
    signal: str = ""
    limit: str = ""
    window: re.Match[str] | None = None
    unit: str = ""


@cache
def parse(text: str) -> ClaimRule:
    """Read one claim; raises `RuleError` where it is none."""
    if text.startswith("= "):
        return ClaimRule("formula", text[2:])
    kind, _, words = text.partition(":")
    if kind in WORDS:
        return ClaimRule(kind, words.strip())
    found = _STATISTIC.fullmatch(text)
    window = _WINDOW.fullmatch(found["window"]) if found is not None and found["window"] else None
    if found is None or (found["window"] and window is None):
        raise RuleError(f"{text!r} is no claim: see lossdoctor.claims.grammar")
    return ClaimRule(found["statistic"], "", found["signal"], found["limit"] or "", window, found["unit"] or "")
