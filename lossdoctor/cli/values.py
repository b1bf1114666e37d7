"""KEY=VALUE options."""

from __future__ import annotations

from collections.abc import Iterable

from lossdoctor.errors import UsageError
from lossdoctor.model import Scalar


def settings_given(pairs: Iterable[str], option: str) -> dict[str, Scalar]:
    """Parse KEY=VALUE pairs; numbers and true/false become what they say. Raises `UsageError` for a pair without '='."""
    found: dict[str, Scalar] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} {pair!r}: expected KEY=VALUE")
        found[key.strip()] = _value(text.strip())
    return found


def _value(text: str) -> Scalar:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
