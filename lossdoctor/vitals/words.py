"""Numbers and counts as a sentence says them."""

from __future__ import annotations


def number(value: float) -> str:
    """Four digits at most."""
    return f"{value:.4g}"


def percent(share: float) -> str:
    """Whole percent from 10 on, one digit below."""
    return f"{share:.0%}" if share >= 0.095 else f"{share:.1%}"


def of_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
