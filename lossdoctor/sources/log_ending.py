"""The last words of a log: whether training ended by itself, at the end of its plan or before it by a rule of its own (early stopping).

Only what is said after the last row of training counts. Words that training went on after, an epoch's or a stage's, are no end when they
come again, and nothing that a dying process still prints (a `finally` block, an exit handler) says that it had finished.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LONGEST = 300  # an ending is said in a short line; what is longer is a dump of settings or of a model

# Keras, Lightning, fairseq, AllenNLP, flair, ultralytics, LightGBM, XGBoost, CatBoost, Megatron's and nanogpt's time budgets, own loops.
_STOPPED = re.compile(
    r"\bearly[- ]?stop(?:s|ped|ping)?\b|\bstop(?:s|ped|ping)? (?:the )?(?:training )?early\b|\bstopping_early\b"
    r"|\bsignaling trainer to stop\b|\b(?:stop(?:ped|ping)?|quit(?:ting)?|exiting from|ending|halting) (?:the )?training\b"
    r"|\b(?:ran|running|run) out of patience\b"
    r"|\bpatience (?:is |was |has been )?(?:limit |level )?(?:exceeded|exhausted|reached|ran out|met)\b"
    r"|\b(?:no improvement|not improv(?:ed?|ing)|hasn't improved)\b.{0,80}\b(?:stop|end|break|terminat|quit)"
    r"|^stopping\. best iteration|\bstopped by overfitting detector\b|\bexiting program after \d+ minutes\b",
    re.IGNORECASE,
)
_COUNTED_OUT = re.compile(r"\bearly[- ]?stop\w* counter:? (\d{1,6}) ?(?:out of|of|/) ?\1\b", re.IGNORECASE)
# Settings, counters and promises of early stopping, and the stop of a loss that is no number.
_NO_STOP = re.compile(
    r"counter|callback|enabled|disabled|\bwill\b|\bwould\b|\bif\b|\bloss is\b|\bwithout early|\bno early|\bnot early"
    r"|\b(?:patience|stopping|stop)\b['\")]{0,2}\s?[:=]\s?['\"]?(?:true|false|none|null|yes|no\b(?! improv)|[\d.]+)|\bpatience (?:of )?\d",
    re.IGNORECASE,
)
# HuggingFace, Lightning, ultralytics, detectron2, fairseq, Megatron, torchvision and the tutorials of PyTorch.
_FINISHED = re.compile(
    r"\btraining (?:procedure |process |loop |run |job |phase )?(?:has |is |was |now |all )?(?:been )?(?:successfully )?"
    r"(?:finished|completed?|done|ended|over|took)\b(?!\s{0,3}[:=(]?\s{0,3}\d+(?:\.\d+)?\s?(?:%|/))"
    r"|\b(?:finished|completed?|done|ended) (?:with )?(?:the |all |model )?training\b|\b(?:total|overall) training (?:time|speed)\b"
    r"|^\W{0,3}training time\b|\bepochs? completed in\b|`?Trainer\.fit`? stopped\b|\bstopping training due to num_updates\b"
    r"|\bexiting program at iteration\b",
    re.IGNORECASE,
)
_OF_AN_EPOCH = re.compile(r"\b(?:epoch|fold|stage|round|step)\b", re.IGNORECASE)
_HINTS = ("top", "TOP", "inish", "FINISH", "omplet", "COMPLET", "raining", "TRAINING", "uit", "atience", "mprove", "xiting")
_DIGITS = re.compile(r"[\d.:]+")


@dataclass(slots=True)
class Ending:
    """Listens to the lines of a log that are no rows; `progress` is told of every row that moves training on, `died` of a fatal message."""

    finished: bool = False
    early_stopped: bool = False
    _dead: bool = False
    _said: list[str] = field(default_factory=list)
    _went_on: set[str] = field(default_factory=set)

    def feed(self, text: str) -> str:
        """Look at one plain line: what it says of an end, `early` or `finished`, else nothing."""
        if self._dead or len(text) > _LONGEST or not any(map(text.__contains__, _HINTS)):
            return ""
        stopped, finished = says_stopped(text), says_finished(text)
        if not (stopped or finished):
            return ""
        wording = _DIGITS.sub("0", text.strip())
        self._said.append(wording)
        if wording not in self._went_on:
            self.early_stopped |= stopped
            self.finished |= finished
        return "early" if stopped else "finished"

    def progress(self) -> None:
        """Training went on: nothing that was said before was its end."""
        if self._said:
            self._went_on.update(self._said)
            self._said.clear()
        self.finished = self.early_stopped = self._dead = False

    def died(self) -> None:
        """A fatal message: unless training ended before it, nothing after it says that it did."""
        self._dead = not (self.finished or self.early_stopped)


def says_stopped(text: str) -> bool:
    """Whether a line says that training was stopped before its plan by a rule of its own."""
    if _COUNTED_OUT.search(text):
        return True
    return (
        _STOPPED.search(text) is not None and _NO_STOP.search(text) is None and "stopping training due to num_updates" not in text.lower()
    )


def says_finished(text: str) -> bool:
    """Whether a line says that training has ended."""
    match = _FINISHED.search(text)
    return match is not None and (_OF_AN_EPOCH.search(text) is None or "completed in" in match[0].lower())
