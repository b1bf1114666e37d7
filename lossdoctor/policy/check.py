"""Check a parsed policy table against its types and the rules, and say of every mistake where it is and what was probably meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from lossdoctor.policy.file import PolicyFile
from lossdoctor.policy.model import selects
from lossdoctor.rulebook import Rule, Threshold

_PLAIN: Mapping[type[inspect.Type], tuple[type, ...]] = {
    inspect.StrType: (str,),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.DateType: (date, str),
}


def shape_faults(table: Mapping[str, object]) -> list[str]:
    """Unknown keys, missing keys, wrong types and unknown words of the whole file, as `key: sentence`."""
    faults = list(_walk(table, inspect.type_info(PolicyFile), ""))
    if faults:
        return faults
    try:
        msgspec.convert(table, PolicyFile)
    except msgspec.ValidationError as error:  # a bound that the types declare: a count below 0, an empty reason, a date that is none
        sentence, _, where = str(error).partition(" - at `$.")
        return [f"{where.rstrip('`')}: {sentence}"]
    return []


def rule_faults(file: PolicyFile, rules: Sequence[Rule]) -> Iterator[str]:
    """Selectors without a rule, limits without a threshold or outside of its range."""
    places = [("", file.rules, file.limits), *((f"override[{i}].", o.rules, o.limits) for i, o in enumerate(file.override))]
    for prefix, levels, limits in places:
        for selector in levels:
            yield from _selector_fault(f"{prefix}rules.{selector}", selector, rules)
        for key, name, value in flat_limits(limits):
            yield from _limit_fault(f"{prefix}limits.{key}", key, name, value, rules)
    for i, suppress in enumerate(file.suppress):
        yield from _selector_fault(f"suppress[{i}].rule", suppress.rule, rules)


def flat_limits(limits: Mapping[str, float | dict[str, float]]) -> Iterator[tuple[str, tuple[str, str], float]]:
    """Yield (key, (rule, threshold), value) for both spellings: "rule.threshold" = x, and the table that an unquoted dotted key makes."""
    for key, value in limits.items():
        if isinstance(value, dict):
            for threshold, number in value.items():
                yield f"{key}.{threshold}", (key, threshold), number
        else:
            rule, _, threshold = key.partition(".")
            yield key, (rule, threshold), value


def find_rule(name: str, rules: Iterable[Rule]) -> Rule | None:
    return next((rule for rule in rules if name in {rule.name, rule.code}), None)


def nearest(word: object, words: Iterable[str]) -> str:
    """The end of a sentence that names the nearest valid word, or all of them where none is near and they are few."""
    known = sorted(set(words))
    close = get_close_matches(str(word), known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; valid: {', '.join(known)}" if len(known) <= 12 else ""


def _selector_fault(key: str, selector: str, rules: Sequence[Rule]) -> Iterator[str]:
    if not any(selects(selector, rule.name, rule.code) for rule in rules):
        names = {word for rule in rules for word in (rule.name, rule.code)}
        yield f"{key}: there is no rule {selector!r}{nearest(selector, names)}"


def _limit_fault(key: str, text: str, name: tuple[str, str], value: float, rules: Sequence[Rule]) -> Iterator[str]:
    rule = find_rule(name[0], rules)
    if not name[1]:
        yield f'{key}: a limit is written "rule.threshold" = value{nearest(text, (f"{r.name}.{t}" for r in rules for t in r.thresholds))}'
    elif rule is None:
        yield f"{key}: there is no rule {name[0]!r}{nearest(name[0], {word for r in rules for word in (r.name, r.code)})}"
    elif name[1] not in rule.thresholds:
        yield f"{key}: {rule.name} has no threshold {name[1]!r}{nearest(name[1], rule.thresholds)}"
    else:
        yield from _range_fault(key, value, rule.thresholds[name[1]])


def _range_fault(key: str, value: float, threshold: Threshold) -> Iterator[str]:
    """Why a value does not suit a threshold; NaN suits none."""
    if isinstance(threshold.value, str):
        yield f"{key}: this threshold is no number and cannot be moved"
        return
    low = -math.inf if threshold.minimum is None else threshold.minimum
    high = math.inf if threshold.maximum is None else threshold.maximum
    if not low <= value <= high:
        yield f"{key}: {value:g} is outside of {low:g} to {high:g} {threshold.unit}".rstrip()
    elif isinstance(threshold.value, int) and value % 1:
        yield f"{key}: {value:g} is not a whole number of {threshold.unit}".rstrip()


def _walk(value: object, kind: inspect.Type, key: str) -> Iterator[str]:
    if isinstance(kind, inspect.Metadata):
        yield from _walk(value, kind.type, key)
    elif isinstance(kind, inspect.UnionType):
        tried = [list(_walk(value, option, key)) for option in kind.types]
        yield from [] if any(not faults for faults in tried) else max(tried, key=lambda faults: _depth(faults, key))
    elif isinstance(kind, inspect.StructType):
        yield from _walk_table(value, kind, key)
    elif isinstance(kind, inspect.DictType):
        if not isinstance(value, dict):
            yield f"{key}: a table is needed here, not {_named(value)}"
            return
        for name, item in value.items():
            yield from _walk(item, kind.value_type, f"{key}.{name}")
    elif isinstance(kind, inspect.ListType):
        if not isinstance(value, list):
            yield f"{key}: a list is needed here, not {_named(value)}"
            return
        for i, item in enumerate(value):
            yield from _walk(item, kind.item_type, f"{key}[{i}]")
    elif isinstance(kind, inspect.EnumType | inspect.LiteralType):
        words = [str(v) for v in (kind.values if isinstance(kind, inspect.LiteralType) else kind.cls)]
        if value not in words:
            yield f"{key}: {value!r} is not valid{nearest(value, words)}"
    elif not _fits(value, _PLAIN[type(kind)]):
        yield f"{key}: {_wanted(kind)} is needed here, not {_named(value)}"


def _walk_table(value: object, kind: inspect.StructType, key: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{key}: a table is needed here, not {_named(value)}"
        return
    fields = {f.encode_name: f for f in kind.fields}
    dot = f"{key}." if key else ""
    for name, item in value.items():
        if name in fields:
            yield from _walk(item, fields[name].type, f"{dot}{name}")
        else:
            yield f"{dot}{name}: there is no such key{nearest(name, fields)}"
    for name, f in fields.items():
        if f.required and name not in value:
            yield f"{dot}{name}: this key is required"


def _depth(faults: list[str], key: str) -> int:
    """How far inside an option of a union the fault lies: the option that got furthest is the one that was meant."""
    return max(len(fault.partition(": ")[0]) for fault in faults) - len(key)


def _fits(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (types == (bool,) or not isinstance(value, bool))


def _wanted(kind: inspect.Type) -> str:
    words: Mapping[Any, str] = {
        inspect.StrType: "text", inspect.BoolType: "true or false", inspect.IntType: "a whole number", inspect.FloatType: "a number",
        inspect.DateType: "a date such as 2027-01-31",
    }  # fmt: skip
    return words[type(kind)]


def _named(value: object) -> str:
    words: Mapping[Any, str] = {bool: "true or false", dict: "a table", list: "a list"}
    return words.get(type(value), repr(value))
