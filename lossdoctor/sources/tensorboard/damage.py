"""The damage of one event file: the first faults of a kind by name and byte offset, the rest as a count."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossdoctor.model import Fault, Loss

NAMED = 10
"""How many faults of a kind are named one by one: enough to find the place, few enough to read."""


@dataclass(slots=True)
class Damage:
    """Collects faults while a file is read; `named` holds the first of each kind in the order of the file, `rest` the worst beyond them."""

    path: Path
    named: dict[str, list[tuple[int, Fault]]] = field(default_factory=dict)
    rest: dict[str, Fault] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, offset: int | None, detail: str, loss: Loss = Loss.LOSSY) -> None:
        """Note one fault at a byte offset of the file, or in the file as a whole."""
        self.counts[kind] += 1
        where = self.path.name if offset is None else f"{self.path.name}:byte {offset}"
        named = self.named.setdefault(kind, [])
        insort(named, (offset or 0, Fault(kind, where, detail, loss)), key=lambda entry: entry[0])
        if len(named) > NAMED:
            _, beyond = named.pop()
            if kind not in self.rest or beyond.loss is Loss.LOSSY:
                self.rest[kind] = beyond

    def faults(self) -> tuple[Fault, ...]:
        """The named ones in the order of the file, then one for each kind of which there are more."""
        named = sorted((entry for entries in self.named.values() for entry in entries), key=lambda entry: entry[0])
        rest = (
            replace(fault, where=self.path.name, detail=f"{self.counts[kind] - NAMED:,} more of this kind behind those that are named")
            for kind, fault in self.rest.items()
        )
        return (*(fault for _, fault in named), *rest)
