"""What the numbers of a report are, so that anybody can recompute them from the raw rows."""

from lossdoctor.claims.grammar import parse
from lossdoctor.claims.resolve import resolve

__all__ = ["parse", "resolve"]
