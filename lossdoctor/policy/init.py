"""The text that `lossdoctor init` writes: every key, commented, with the values that hold without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lossdoctor.rulebook import Rule

_TEXT = """\
# The policy of this project: which findings matter here, and what turns the gate red. Every line that is commented out shows its default
# or an example. `lossdoctor schema policy` prints the JSON Schema of this file, `lossdoctor rules` lists the rules and their limits.

# finetune: errors fail. pretrain: spikes and a slope at the end are notes. strict: warnings fail, evals are required.
# report-only: no finding fails.
preset = "{preset}"

[rules]
# Levels off, note, warning, error, by name, code (LD201), family (LD2) or ALL; the narrowest wins.
{levels}

[limits]
# A limit is written "rule.threshold" = value and stays within the range that the rule allows.
{limits}

[gate]
# fail_on = "error"                              # error, warning, new-error (against the baseline), never
# require_signals = ["train/loss", "eval/loss"]  # names or globs; a run without them gets no verdict (exit 3)
# min_evals = 3                                  # a run with fewer gets no verdict (exit 3)
# baseline = "last-good.json"                    # -f json of the last good run, or a list: several seeds show the noise between runs
# allow_inconclusive = false                     # true: a run that says too little passes
# allow_damage = false                           # true: damaged input is a note

# A finding that you accept. The reason is required. After `until` it returns as a warning.
# [[suppress]]
# rule = "{rule}"
# run = "ablation-*"
# reason = "three epochs on purpose, only the best checkpoint is kept"
# until = 2027-01-31

# Other levels, limits and demands for some runs; a later one wins.
# [[override]]
# run = "smoke-*"
# rules = {{ ALL = "note" }}
# min_evals = 0
"""


def init_text(rules: Sequence[Rule], preset: str = "finetune") -> str:
    """A policy file to start from; with every comment sign in front of a key taken away it is valid as well."""
    shown = sorted((rule for rule in rules if rule.thresholds), key=lambda rule: rule.name != "hockey-stick")[:3]
    first = shown[0].name if shown else "ALL"
    return _TEXT.format(preset=preset, rule=first, levels="\n".join(_levels(shown)), limits="\n".join(_limits(shown)))


def _levels(rules: Iterable[Rule]) -> Iterable[str]:
    yield from (f'# {rule.name} = "{rule.severity}"  # {rule.code}: {rule.title}' for rule in rules)


def _limits(rules: Iterable[Rule]) -> Iterable[str]:
    for rule in rules:
        for name, threshold in rule.thresholds.items():
            if isinstance(threshold.value, str):
                continue
            known = threshold.minimum is not None and threshold.maximum is not None
            span = f"  # {threshold.minimum:g} to {threshold.maximum:g} {threshold.unit}".rstrip() if known else ""
            yield f'# "{rule.name}.{name}" = {threshold.value:g}{span}'
