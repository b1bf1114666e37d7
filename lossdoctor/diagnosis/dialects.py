"""In which words a run's own tool is configured (`dialects.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from lossdoctor.model import Change, Fix, Scalar
from lossdoctor.numerals import number
from lossdoctor.rulebook import fill
from lossdoctor.run import Run

_TRAINER_FILES = ("training_args.bin", "trainer_state.json")


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a tool is configured: by keyword arguments, in YAML, or in a way that no table knows."""

    style: Literal["python", "yaml", "words"]
    others: Literal["same", "words", "none"]
    names: Mapping[str, str] = {}


DIALECTS = msgspec.convert(
    tomllib.loads(Path(__file__).with_name("dialects.toml").read_text(encoding="utf-8")), type=dict[str, Dialect]
)  # fmt: skip
OF_TRANSFORMERS = frozenset({"transformers", "yaml", "axolotl", "llamafactory"})  # what HuggingFace's Trainer stands behind


def dialect_of(run: Run) -> str:
    """The dialect of a run: by what wrote its log and by the files that its settings were read from; `words` where nothing tells."""
    files = {note.path.rpartition("/")[2].lower() for note in run.sources} | {s.source.lower() for s in run.settings.values()}
    raw = {signal.raw_name for signal in run.signals.values()}
    if any("axolotl" in name for name in files) or any(name.startswith("memory/max_") for name in raw):
        return "axolotl"
    if run.framework == "llamafactory" or any("llamaboard" in name or name == "trainer_log.jsonl" for name in files):
        return "llamafactory"
    if run.framework == "transformers" or run.setting("transformers_version") is not None or any(f in files for f in _TRAINER_FILES):
        return "yaml" if _read_from_yaml(run) else "transformers"
    return "lightning" if run.framework == "lightning" or _logged_by_lightning(raw) else "words"


def _read_from_yaml(run: Run) -> bool:
    """Whether the settings came from a YAML file of the user's; the one that WandB writes is a copy."""
    rate = run.settings.get("learning_rate")
    copied = any(note.kind.startswith("wandb") for note in run.sources)
    return rate is not None and rate.source.lower().endswith((".yaml", ".yml")) and not copied


def _logged_by_lightning(raw: set[str]) -> bool:
    """One metric both of the step and of the epoch, as self.log(on_step=True, on_epoch=True) names them."""
    return any(name.endswith("_epoch") and f"{name.removesuffix('_epoch')}_step" in raw for name in raw)


def spoken(fix: Fix, facts: Mapping[str, Scalar]) -> Fix | None:
    """The fix in the words of the run's tool, with what must change together in its reason; None where the tool has nothing of it."""
    dialect = DIALECTS[str(facts["dialect"])]
    said = [one for change in fix.changes if (one := _said(change, dialect, facts)) is not None]
    if not said:
        return None
    (first, style), others = said[0], tuple(change for change, _ in said[1:])
    why = fix.why if not others else f"{fix.why.rstrip('.')}; together with {' and '.join(map(_listed, others))}"
    return replace(fix, setting=first.setting, current=first.current, proposed=first.proposed, why=why, together=others, style=style)


def _said(change: Change, dialect: Dialect, facts: Mapping[str, Scalar]) -> tuple[Change, str] | None:
    name = dialect.names.get(f"{change.setting}={change.proposed}", dialect.names.get(change.setting))
    if name is None and dialect.others == "words":
        return _said(change, DIALECTS["words"], facts)
    if name is None and dialect.others == "same":
        return change, dialect.style
    if not name:
        return None
    known = {**facts, "current": change.current, "proposed": change.proposed}
    head, colon, phrase = name.partition(": ")
    if colon:
        words = str(change.proposed) if _is_advice(change.proposed) else fill(phrase, known)
        return Change(head, None, words), dialect.style
    head, equals, value = name.partition(" = ")
    return (Change(head, None, value) if equals else Change(fill(head, known), change.current, change.proposed)), dialect.style


def _is_advice(value: Scalar) -> bool:
    return isinstance(value, str) and " " in value


def _listed(change: Change) -> str:
    if _is_advice(change.proposed):
        return f"{change.setting}: {change.proposed}"
    came_from = "" if change.current is None else f"{number(change.current)} -> "
    return f"{change.setting} {came_from}{number(change.proposed)}"
