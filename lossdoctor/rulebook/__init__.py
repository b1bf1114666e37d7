"""Rules as data: rules/*.toml, validated and bound to detectors."""

from lossdoctor.rulebook.fill import fill
from lossdoctor.rulebook.load import bind, load_directory, load_file, shipped, shipped_directory
from lossdoctor.rulebook.rule import CauseRule, ChangeRule, Condition, FixRule, Phrase, Rule, Threshold

__all__ = [
    "CauseRule",
    "ChangeRule",
    "Condition",
    "FixRule",
    "Phrase",
    "Rule",
    "Threshold",
    "bind",
    "fill",
    "load_directory",
    "load_file",
    "shipped",
    "shipped_directory",
]
