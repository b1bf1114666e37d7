"""One run beside another: what differs, where the curves part, and whether chance explains it."""

from lossdoctor.compare.compare import compare
from lossdoctor.compare.model import Axis, Comparison, Side

__all__ = ["Axis", "Comparison", "Side", "compare"]
