"""Rule: one rules/*.toml file, validated. The words and limits of a diagnosis live there, never in code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from lossdoctor.model import Severity

Number = float | int
Strength = Literal["hint", "fair", "strong", "proof"]  # of a piece of evidence; `diagnosis/usual.toml` says what each weighs
Prior = Literal["common", "possible", "rare"]


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit that a detector compares with: its value, the range a policy may move it in, its unit, and why it is what it is."""

    value: Number | str
    why: str
    minimum: Number | None = msgspec.field(default=None, name="min")
    maximum: Number | None = msgspec.field(default=None, name="max")
    unit: str = ""


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be logged before the rule can say anything: every signal of `signals`, one of `any_of`, `points` rows in the first."""

    signals: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    points: int = 1
    how_to_log: str = ""


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test on one fact of the run (a number of the evidence, a setting, a derived fact) and what it says when it holds."""

    fact: str
    says: str
    at_least: Number | None = None
    at_most: Number | None = None
    equals: bool | str | Number | None = None
    weight: Strength = "fair"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Other words for a cause where the fact `when` holds; what is empty here is looked for further on."""

    when: str
    title: str = ""
    test: str = ""
    snippet: str = ""


class CauseRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A possible cause: how common it is before the evidence (`prior`), what speaks for and against it, and the test that settles it.

    Title, test and snippet are true of any run; `instead` has others for some kinds of runs: of each, the first that fits is taken.
    """

    name: str
    title: str
    prior: Prior = "common"
    speaks_for: tuple[Condition, ...] = msgspec.field(default=(), name="for")
    against: tuple[Condition, ...] = ()
    test: str = ""
    snippet: str = ""
    instead: tuple[Words, ...] = ()


class ChangeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change to one setting, computed from the run's own value.

    `operation`: divide or multiply (by `by`), set (to `to`, or to the fact named by `to_fact`). The result stays within min and max, and
    is rounded where the setting is `whole`. `unless`: a setting or fact that makes the change pointless when it is true, `when`: one that
    must be true. `only`: the direction the setting may move in, where a target might already be passed.
    """

    setting: str
    operation: Literal["divide", "multiply", "set"]
    by: Number | None = None
    to: bool | str | Number | None = None
    to_fact: str | None = None
    minimum: Number | None = msgspec.field(default=None, name="min")
    maximum: Number | None = msgspec.field(default=None, name="max")
    unless: str | None = None
    when: str | None = None
    only: Literal["raise", "lower"] | None = None
    whole: bool = False


class FixRule(ChangeRule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change worth a try, and why. `cause`: only when that cause ranks first."""

    why: str
    cause: str | None = None


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A severity that holds when a number of the evidence reaches a bound; the first that holds wins over the rule's own."""

    level: Severity
    number: str
    at_least: Number | None = None
    at_most: Number | None = None
    why: str = ""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sentences with {number} placeholders: the headline, what was found, and the limit it is held against."""

    headline: str
    found: str
    limit: str = ""


class Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that depend on one number of the evidence, for the sentences of the message, which name the phrase like a number.

    `when` maps the value of `number` (as text; `unknown` where there is none) to the words, `otherwise` stands for every other value.
    """

    number: str
    otherwise: str = ""
    when: Mapping[str, str] = {}


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fixed sections of the rule's page."""

    sees: str
    why: str
    how: str
    looks_like: str
    verify: str
    known_problems: str = ""


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the method or a threshold comes from."""

    title: str
    url: str = ""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One diagnosis: what to look for, how grave it is, which vital sign it spoils, what causes it, what to change."""

    code: str = msgspec.field(name="id")
    name: str
    title: str
    severity: Severity
    detector: str
    message: Message
    vital: Literal["finite", "level", "learning", "kept", "steady", "generalises", "complete", "machine"] = "steady"
    phrases: Mapping[str, Phrase] = {}
    claims: Mapping[str, str] = {}
    page: Page | None = None
    status: Literal["stable", "preview"] = "stable"
    since: str = "0.1"
    not_for: tuple[str, ...] = ()
    only_for: tuple[str, ...] = ()
    explained_by: tuple[str, ...] = ()
    needs: Needs = Needs()
    thresholds: Mapping[str, Threshold] = {}
    arguments: Mapping[str, Number | str | bool] = {}
    grades: tuple[Grade, ...] = ()
    causes: tuple[CauseRule, ...] = ()
    fixes: tuple[FixRule, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def family(self) -> str:
        """The hundred it belongs to: LD201 -> LD2."""
        return self.code[:3]
