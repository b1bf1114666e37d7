"""What must change together with a setting (`companions.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from lossdoctor.model import Change, Scalar
from lossdoctor.rulebook import ChangeRule


class Companion(ChangeRule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A change that goes with another one: for any value of that, for one (`being`), or for one direction (`way`)."""

    being: bool | str | None = None
    way: Literal["raise", "lower"] | None = None


_Table = Mapping[str, tuple[Companion, ...]]
COMPANIONS = msgspec.convert(tomllib.loads(Path(__file__).with_name("companions.toml").read_text(encoding="utf-8")), type=_Table)


def companions(change: Change, of_rule: ChangeRule) -> tuple[Companion, ...]:
    """Those of one change."""
    known, way = COMPANIONS.get(change.setting, ()), _way(change, of_rule)
    return tuple(c for c in known if c.being in {None, change.proposed} and c.way in {None, way})


def _way(change: Change, of_rule: ChangeRule) -> str | None:
    current, proposed = change.current, change.proposed
    if _counts(current) and _counts(proposed):
        return "raise" if proposed > current else "lower"  # type: ignore[operator]
    return {"divide": "lower", "multiply": "raise", "set": None}[of_rule.operation]


def _counts(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
