"""Numbers as a sentence says them."""

from __future__ import annotations

import math

from lossdoctor.model import Scalar


def number(value: Scalar, digits: int = 4) -> str:
    """A scalar with `digits` significant digits: 0.0002 as 0.0002, 3.2e-07 as 3.2e-7, counts in full."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    if 10**digits <= abs(value) < 1e7:
        return str(round(value))
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    return text
