"""rules/*.toml -> Rule, checked against the detectors they name."""

from __future__ import annotations

import difflib
import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from lossdoctor.claims import parse
from lossdoctor.errors import RuleError
from lossdoctor.rulebook.fill import placeholders
from lossdoctor.rulebook.rule import Rule

Detector = Callable[..., Any]


def shipped_directory() -> Path:
    """Where the rules are: inside the installed package, or beside it in a checkout."""
    inside = Path(str(resources.files("lossdoctor"))) / "rules"
    return inside if inside.is_dir() else inside.parent.parent / "rules"


@cache
def shipped() -> tuple[Rule, ...]:
    """The rules that come with lossdoctor, ordered by code."""
    return load_directory(shipped_directory())


def load_directory(directory: Path) -> tuple[Rule, ...]:
    """Read every *.toml of a directory; raises `RuleError` on the first that is malformed, and for codes or names used twice."""
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise RuleError(f"{directory}: no rule files (*.toml)")
    rules: dict[str, Rule] = {}
    for path in files:
        rule = load_file(path)
        for other in rules.values():
            if rule.code == other.code:
                raise RuleError(f"{path.name}: id {rule.code} is already used by {other.name}")
        if rule.name in rules:
            raise RuleError(f"{path.name}: name {rule.name} is used twice")
        rules[rule.name] = rule
    return tuple(sorted(rules.values(), key=lambda rule: rule.code))


def load_file(path: Path) -> Rule:
    """Read one rule file; syntax errors name file and line, wrong keys name file, dotted key and the nearest valid name."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RuleError(f"{path.name}: {error}") from None
    try:
        rule = msgspec.convert(document, type=Rule)
    except msgspec.ValidationError as error:
        raise RuleError(f"{path.name}: {_explain(str(error))}") from None
    for template in (rule.message.headline, rule.message.found, rule.message.limit):
        placeholders(template)
    for phrase in rule.phrases.values():
        for template in (phrase.otherwise, *phrase.when.values()):
            placeholders(template)
    for claim in rule.claims.values():
        try:
            parse(claim)
        except RuleError as error:
            raise RuleError(f"{path.name}: claims: {error}") from None
    return rule


def bind(rules: Iterable[Rule], detectors: Mapping[str, Detector]) -> dict[str, Detector]:
    """Check that each rule's detector exists and takes exactly the rule's thresholds and arguments; return detector by rule name."""
    bound = {}
    for rule in rules:
        detector = detectors.get(rule.detector)
        if detector is None:
            raise RuleError(f"{rule.name}.toml: detector: unknown detector {rule.detector!r}{_nearest(rule.detector, detectors)}")
        wanted = _parameters(detector)
        given = [*rule.thresholds, *rule.arguments]
        for name in given:
            if name not in wanted:
                raise RuleError(f"{rule.name}.toml: thresholds.{name}: {rule.detector} has no such threshold{_nearest(name, wanted)}")
        missing = [name for name, required in wanted.items() if required and name not in given]
        if missing:
            raise RuleError(f"{rule.name}.toml: thresholds.{missing[0]} is missing")
        bound[rule.name] = detector
    return bound


@cache
def _parameters(detector: Detector) -> dict[str, bool]:
    """Keyword-only parameters of a detector and whether they must be given."""
    found = inspect.signature(detector).parameters.values()
    return {p.name: p.default is p.empty for p in found if p.kind is p.KEYWORD_ONLY}


def _nearest(name: str, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _explain(message: str) -> str:
    """Add the nearest valid key to msgspec's 'unknown field' message."""
    if "unknown field" not in message:
        return message
    name = message.split("`")[1]
    return message + _nearest(name, _all_keys())


@cache
def _all_keys() -> tuple[str, ...]:
    from lossdoctor.rulebook import rule as types

    structs = [value for value in vars(types).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)]
    return tuple({field.encode_name for struct in structs if struct is not msgspec.Struct for field in msgspec.structs.fields(struct)})
