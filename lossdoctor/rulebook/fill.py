"""Filling the sentences of a rule: `{name}` and `{name:spec}` only, no attribute walks, no indexing, no conversions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from string import Formatter

from lossdoctor.errors import RuleError
from lossdoctor.model import Scalar
from lossdoctor.numerals import number, percent

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_SIGNIFICANT = re.compile(r"\.(\d+)g")
_SPEC = re.compile(r"[+]?[,]?(?:\.\d{1,2})?[a-zA-Z%]?\Z")


def placeholders(template: str) -> Set[str]:
    """The names a template asks for; raises `RuleError` where it asks for more than a name."""
    found = set()
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise RuleError(f"{template!r}: {error}") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not _NAME.match(name) or conversion or not _SPEC.match(spec or ""):
            raise RuleError(f"{template!r}: only {{name}} or {{name:spec}} can be filled in, not {{{name}}}")
        found.add(name)
    return found


def fill(template: str, values: Mapping[str, Scalar]) -> str:
    """Fill a template; a value that is missing or not finite reads 'unknown'."""
    out = []
    for text, name, spec, _ in Formatter().parse(template):
        out.append(text)
        if name is not None:
            out.append(_show(values.get(name), spec or ""))
    return "".join(out)


def _show(value: Scalar, spec: str) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "unknown" if value is None or math.isnan(value) else "infinity"
    if isinstance(value, bool | str):
        return str(value)
    if spec[-1:] == "%":
        return percent(value, int(spec[1:-1] or 0))
    if not spec or (digits := _SIGNIFICANT.fullmatch(spec)) is not None:
        return number(value, int(digits[1]) if spec and digits else 4)
    if spec[-1] in "dbxo" and isinstance(value, float):
        value = round(value)
    return _plain(format(value, spec))


def _plain(text: str) -> str:
    """Without Python's way of writing powers of ten: 1.22e+04 as 12200, 5e-05 as 5e-5, 3e+22 as 3e22."""
    mantissa, e, power = text.partition("e")
    if not e or not power.lstrip("+-").isdigit():
        return text
    return f"{float(text):.0f}" if 0 <= int(power) < 7 else f"{mantissa}e{int(power)}"
