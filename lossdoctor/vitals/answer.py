"""The answer to one question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lossdoctor.model import Scalar, State


@dataclass(frozen=True, slots=True)
class Answer:
    """Good or unknown, with the sentence, its numbers, and what would have told (where unknown). Only findings make a vital bad."""

    state: State
    says: str
    wanted: str = ""
    numbers: Mapping[str, Scalar] = field(default_factory=dict)


def good(says: str, numbers: Mapping[str, Scalar] | None = None) -> Answer:
    return Answer(State.GOOD, says, "", numbers or {})


def unknown(says: str, wanted: str = "", numbers: Mapping[str, Scalar] | None = None) -> Answer:
    return Answer(State.UNKNOWN, says, wanted, numbers or {})
