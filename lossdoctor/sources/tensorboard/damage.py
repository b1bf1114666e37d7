"""The damage of one event file: the first faults of a kind by name and byte offset, the rest as a count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoctor.model import Fault, Loss

NAMED = 10
"""How many faults of a kind are named one by one: enough to find the place, few enough to read."""


@dataclass(slots=True)
class Damage:
    """Collects faults while a file is read."""

    path: Path
    named: list[tuple[int, Fault]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unnamed: dict[str, Fault] = field(default_factory=dict)

    def add(self, kind: str, offset: int | None, detail: str, loss: Loss = Loss.LOSSY) -> None:
        """Note one fault at a byte offset of the file, or in the file as a whole."""
        self.counts[kind] += 1
        fault = Fault(kind, self.path.name if offset is None else f"{self.path.name}:byte {offset}", detail, loss)
        if self.counts[kind] <= NAMED:
            self.named.append((offset or 0, fault))
        elif kind not in self.unnamed or (loss is Loss.LOSSY and self.unnamed[kind].loss is Loss.BENIGN):
            self.unnamed[kind] = fault

    def faults(self) -> tuple[Fault, ...]:
        """All faults in the order of the file, then one a kind for those that are only counted, as bad as the worst of them."""
        rest = (replace(fault, detail=f"{self.counts[kind] - NAMED} more of this kind") for kind, fault in self.unnamed.items())
        return (*(fault for _, fault in sorted(self.named, key=lambda pair: pair[0])), *rest)
