"""Progress bars as a clock: which of the bars in a log counts the training steps, and where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# `  26%|##7       | 263/1000 [00:10<00:29, 25.00it/s]`, the description before the percentage is empty for the Trainer's own bars.
_BAR = re.compile(r"^(?P<title>[^|]{0,300}?)\s{0,20}\d{1,3}%\|[^|]{0,300}\|\s{0,20}(?P<at>\d{1,15})/(?P<total>\d{1,15}) \[")
# Without its bar, as a notebook saves it or `bar_format` asks for: `Epoch 0:  97% 1651/1702 [13:00<00:24,  2.12it/s, loss=0.158]`.
_BARE = re.compile(r"(?:(?<=\s)|^)(?:\d{1,3}%\s{1,4})?(?=\d{1,15}/\d{1,15} \[\d{1,4}:\d\d(?::\d\d)?<)")


def drawn(segment: str) -> str:
    """A segment with the bar put in where it holds a progress bar without one."""
    if "%|" in segment or not ("it/s" in segment or "s/it" in segment):
        return segment
    bare = _BARE.search(segment)
    return f"{segment[: bare.start()]}0%|#| {segment[bare.end() :]}" if bare else segment


@dataclass(slots=True)
class ProgressBar:
    """The training bar among the bars of a log.

    Bars without a title are candidates: the first one is taken, and kept while it is unfinished (an evaluation opens its own bar in
    between) or once `confirm` said that a training loss was logged on it.
    """

    step: int | None = None
    total: int | None = None
    _other: tuple[int, int] | None = field(default=None)
    _confirmed: bool = False

    def feed(self, segment: str) -> bool:
        """Look at one segment; True where it moved the training bar."""
        if "%|" not in segment or (bar := _BAR.match(segment)) is None or bar["title"]:
            return False
        at, total = int(bar["at"]), int(bar["total"])
        if total == self.total:
            self.step, self._other = at, None
            return True
        if self.total is None or (not self._confirmed and self.step == self.total):
            self.step, self.total, self._other = at, total, None
            return True
        self._other = (at, total)
        return False

    def confirm(self) -> None:
        """A training loss was logged: the bar that moves now is the training bar."""
        if self._other and self.step == self.total:
            (self.step, self.total), self._other = self._other, None
        self._confirmed = self.total is not None
