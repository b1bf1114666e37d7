"""YAML configurations of unknown origin, read from the parser's events: no object is built, no alias is expanded, all is bounded.

PyYAML's scanner and parser do the syntax. Its constructors are not used: a merge-key bomb of 644 bytes keeps them busy for seconds, and
Lightning's hparams.yaml hold `!!python` tags that a safe loader refuses as a whole.
"""

from __future__ import annotations

import re
from typing import Any

from lossdoctor.errors import Unreadable

MAX_BYTES = 256 << 10
MAX_EVENTS = 50_000
MAX_DEPTH = 24

_PLAIN_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    **dict.fromkeys(("", "~", "null", "none"), None),
}
_INTEGER = re.compile(r"[-+]?\d{1,19}")
_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d{1,4})?")
_KEPT_TAGS = ("tag:yaml.org,2002:python/tuple", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


def load(text: str) -> Any:
    """The first document as dicts, lists and scalars. What carries a foreign tag (`!!python/object`, ...) or is an alias of more than a
    scalar becomes None; its contents are skipped.

    Numbers are read as YAML 1.2 does (1e-5 is one), words as YAML 1.1 does (yes, no, on, off).
    Raises Unreadable for broken syntax, merge keys, and whatever is beyond the bounds above.
    """
    import yaml

    if len(text) > MAX_BYTES:
        raise Unreadable(f"more than {MAX_BYTES} bytes of YAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    try:
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            if count > MAX_EVENTS:
                raise Unreadable(f"more than {MAX_EVENTS} YAML events")
            if builder.feed(event):
                break
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        raise Unreadable(f"broken YAML ({problem}{f', line {mark.line + 1}' if mark else ''})") from error
    return builder.root


class _Builder:
    """Keeps the open collections; a collection is [container, pending key, whether it is kept, anchor]."""

    def __init__(self) -> None:
        self.root: Any = None
        self.open: list[_Open] = []
        self.scalars: dict[str, Any] = {}

    def feed(self, event: Any) -> bool:
        """Take one event; True when the first document is complete."""
        kind = type(event).__name__
        if kind in {"MappingStartEvent", "SequenceStartEvent"}:
            if len(self.open) >= MAX_DEPTH:
                raise Unreadable(f"YAML nested deeper than {MAX_DEPTH} levels")
            kept = event.tag is None or event.tag in _KEPT_TAGS
            self.open.append(_Open({} if kind == "MappingStartEvent" else [], kept))
        elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
            done = self.open.pop()
            self._place(done.container if done.kept else None)
        elif kind == "ScalarEvent":
            value = _scalar(event.value, plain=event.implicit[0], tag=event.tag)
            if event.anchor:
                self.scalars[event.anchor] = value
            self._place(value)
        elif kind == "AliasEvent":
            self._place(self.scalars.get(event.anchor))
        return kind == "DocumentEndEvent"

    def _place(self, value: Any) -> None:
        if not self.open:
            self.root = value
            return
        self.open[-1].add(value)


class _Open:
    __slots__ = ("container", "has_key", "kept", "key")

    def __init__(self, container: dict[Any, Any] | list[Any], kept: bool) -> None:
        self.container, self.kept = container, kept
        self.key: Any = None
        self.has_key = False

    def add(self, value: Any) -> None:
        if isinstance(self.container, list):
            self.container.append(value)
        elif not self.has_key:
            if value == "<<":
                raise Unreadable("a YAML merge key (<<)")
            self.key, self.has_key = value, True
        else:
            if isinstance(self.key, str):
                self.container[self.key] = value
            self.has_key = False


def _scalar(text: str, *, plain: bool, tag: str | None) -> Any:
    if tag is not None and not tag.startswith("tag:yaml.org,2002:") and tag != "!":
        return None
    if tag is not None and "python/" in tag:
        return None
    if not plain:
        return text
    if text.lower() in _PLAIN_WORDS:
        return _PLAIN_WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return text
