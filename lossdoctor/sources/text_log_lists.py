"""Lists that a script prints when it is done: `train_losses = [2.31, 1.93, ...]`, one value an epoch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lossdoctor.run.candidates import is_loss
from lossdoctor.run.names import canonical
from lossdoctor.sources.rows import number

_LONGEST = 1 << 20
_LIST = re.compile(r"\s{0,8}['\"]?(?P<name>[A-Za-z_][\w .()/-]{0,80}?)['\"]?\s{0,4}[:=]\s{0,4}\[(?P<values>[-+\d.,eEnaif\s]{5,})\]")
_FEWEST = 3


@dataclass(slots=True)
class Lists:
    """Collects such lists; a name that is printed again counts as printed last."""

    _found: dict[str, list[float]] = field(default_factory=dict)

    def feed(self, text: str) -> bool:
        """Look at one segment; True where it is such a list."""
        if "[" not in text or len(text) > _LONGEST or (told := _LIST.match(text)) is None:
            return False
        values = [value for part in told["values"].split(",") if (value := number(part.strip())) is not None]
        if len(values) < _FEWEST or not (is_loss(told["name"]) or canonical(told["name"])[0] != told["name"]):
            return False
        self._found[told["name"]] = values
        return True

    def found(self) -> bool:
        """Whether there is a list of losses."""
        return any(map(is_loss, self._found))

    def rows(self) -> Iterator[dict[str, float]]:
        """The values by place in their lists, where one of them holds losses."""
        longest = max(map(len, self._found.values()), default=0) if self.found() else 0
        for place in range(longest):
            yield {name: values[place] for name, values in self._found.items() if place < len(values)}
