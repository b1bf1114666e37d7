"""Settings from several places become one account, with every disagreement kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lossdoctor.model import Scalar, Setting
from lossdoctor.sources.settings.keep import keep, scalar
from lossdoctor.sources.settings.names import KINDS, canonical

CHOSEN = "--set"
STATE = "trainer_state.json"
_INTERVALS = ("eval", "save", "logging")


def merge(groups: Sequence[tuple[Setting, ...]]) -> tuple[Setting, ...]:
    """One Setting a name, ordered by name. The first group that knows a setting decides; the values of later ones that differ are kept
    in `conflicts` with where they were read.

    Sources may hand in the names that they found: they become canonical here, and what is not on the allow-list is left out. What the
    user chose (`--set`) always stays.
    """
    first: dict[str, Setting] = {}
    others: dict[str, list[tuple[str, Scalar]]] = {}
    for group in _without_echoes([tuple(_canonical(group)) for group in groups]):
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


def _canonical(group: Sequence[Setting]) -> Iterator[Setting]:
    """The group's settings under canonical names, source by source, since aliases of one source complete each other."""
    by_source: dict[str, dict[str, Setting]] = {}
    for setting in group:
        by_source.setdefault(setting.source, {}).setdefault(setting.name, setting)
    for source, named in by_source.items():
        if source == CHOSEN:
            yield from (_chosen(setting) for setting in named.values())
            continue
        conflicts: dict[str, list[tuple[str, Scalar]]] = {}
        for setting in named.values():
            name = canonical(setting.name)
            if name is not None:
                told = ((place, scalar(name, value)) for place, value in setting.conflicts)
                conflicts.setdefault(name, []).extend((place, value) for place, value in told if value is not None)
        for kept in keep({name: setting.value for name, setting in named.items()}, source, nested=True):
            yield Setting(kept.name, kept.value, source, tuple(conflicts.get(kept.name, ())))


def _without_echoes(groups: list[tuple[Setting, ...]]) -> list[tuple[Setting, ...]]:
    """Settle what trainer_state.json says in other terms than the arguments, where both are right.

    The state holds what the trainer computed: the epochs that `max_steps` comes to (then the argument had no effect), steps where the
    argument was a share of the run, and default intervals of what was switched off.
    """
    told: dict[str, Setting] = {}
    for group in groups:
        for setting in group:
            if setting.source != STATE:
                told.setdefault(setting.name, setting)
    computed = {setting.name: setting.value for group in groups for setting in group if setting.source == STATE}
    idle = {f"{kind}_steps" for kind in _INTERVALS if (s := told.get(f"{kind}_strategy")) is not None and s.value != "steps"}
    decided = {name for name in computed if (s := told.get(name)) is not None and s.source != CHOSEN and _is_overruled(s, told)}

    def stays(setting: Setting) -> bool:
        if setting.name in idle:
            return setting.source != STATE
        return setting.name not in decided or setting.source in {STATE, CHOSEN}

    return [tuple(filter(stays, group)) for group in groups]


def _is_overruled(setting: Setting, told: dict[str, Setting]) -> bool:
    if setting.name == "num_train_epochs":
        return "max_steps" in told
    return setting.name.endswith("_steps") and isinstance(setting.value, float) and 0 < setting.value < 1


def _chosen(setting: Setting) -> Setting:
    name = canonical(setting.name) or setting.name
    value = scalar(name, setting.value) if name in KINDS else setting.value
    return Setting(name, setting.value if value is None else value, setting.source, setting.conflicts)
