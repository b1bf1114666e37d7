"""Settings from several places become one account, with every disagreement kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossdoctor.model import Scalar, Setting


def merge(groups: Sequence[tuple[Setting, ...]]) -> tuple[Setting, ...]:
    """One Setting a name, ordered by name. The first group that knows a setting decides; the values of later ones that differ are kept
    in `conflicts` with where they were read.
    """
    first: dict[str, Setting] = {}
    others: dict[str, list[tuple[str, Scalar]]] = {}
    for group in groups:
        for setting in group:
            decided = first.setdefault(setting.name, setting)
            told = [*setting.conflicts] if decided is setting else [(setting.source, setting.value), *setting.conflicts]
            kept = others.setdefault(setting.name, [])
            kept.extend((source, value) for source, value in told if not same(decided.value, value) and (source, value) not in kept)
    return tuple(Setting(name, s.value, s.source, tuple(others[name])) for name, s in sorted(first.items()))


def same(one: Scalar, other: Scalar) -> bool:
    """Equal as settings: numbers to the precision of a float32 (event files hold no more), words without case, 3 and 3.0 alike."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6)
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return one == other
