"""Numbers as a sentence says them."""

from __future__ import annotations

import math

from lossdoctor.model import Scalar

_MOST_PLACES = 2


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


def percent(share: float, digits: int | None = None) -> str:
    """A share in percent, with whole percents from 10 on and one decimal below, or with `digits`.

    Never rounded to all or nothing: 0.997 is 99.7%, 0.0004 is 0.04%, and what is as near as that to 0 or 1 is said to be under or over it.
    """
    digits = digits if digits is not None else 0 if abs(share) >= 19 / 200 else 1
    for places in range(digits, _MOST_PLACES + 1):
        text = f"{share:.{places}%}"
        if float(text[:-1]) != 0 and abs(float(text[:-1])) != 100:
            return text
    if share in (-1, 0, 1):
        return f"{share:.0%}"
    sign = "-" if share < 0 else ""
    nothing = abs(share) < 1 / 2
    return f"under {sign}0.01%" if nothing else f"{sign}100%" if abs(share) > 1 else f"over {sign}99.99%"
