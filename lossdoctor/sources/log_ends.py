"""How a log says that its training is over: by its own rule (early stopping), or because it was done."""

from __future__ import annotations

import re

_LONGEST = 240
# Keras, Lightning, ultralytics, fairseq, flair, modded-nanogpt, scripts. Settings ("early_stopping: True") say nothing of an end.
_EARLY = re.compile(
    r"stopping_early\b"
    r"|\bEpoch \d{1,9}: early stopping"
    r"|\bearly[ _-]?stop(?:ping|ped)?\b.{0,60}\b(?:triggered|activated|after|at (?:epoch|step|iter)|kicked|reached)"
    r"|\bearly[ _-]?stop(?:ped|ping)?\s{0,3}[!.]"
    r"|\bearlystopping:? .{0,60}\b(?:stopp(?:ed|ing)|no improvement)"
    r"|\bearly stop since\b"
    r"|\bstopp(?:ing|ed) (?:the )?(?:training |run )?early\b"
    r"|\btraining (?:was |is )?stopped early\b"
    r"|\btrigger(?:ed|ing)? early[ _-]?stop"
    r"|\bsignal{1,2}ing Trainer to stop\b"
    r"|\b(?:ran out of|exhausted|exceeded) patience\b|\bpatience (?:was |has been |is )?(?:exhausted|exceeded|reached|ran out)"
    r"|\b(?:no|not|hasn't|has not|did not) improve(?:d|ment)?\b.{0,60}\bstop(?:ping)?\b",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:training|fine-?tuning|pre-?training|optimi[sz]ation)\b(?: (?:loop|run|phase|process|job))?(?: (?:is|was|has been|has))? "
    r"(?:successfully )?(?:complete[d]?|finished|done|ended)\b"
    r"|\b(?:finished|completed|done)(?: with)? (?:the )?(?:training|fine-?tuning|pre-?training|fitting)\b(?! (?:epoch|step|batch|on|for))"
    r"|\btrainer\.fit\b.{0,4} stopped: .{0,4}max_(?:epochs|steps|time)"
    r"|\b\d{1,9} epochs completed in\b"
    r"|\[after training is done\]"
    r"|\btotal training time\b\s{0,3}[:=]?\s{0,3}\d"
    r"|^training time:? \d"
    r"|\btraining took\b",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"\b(?:epoch|step|iter(?:ation)?)s?\W{0,3}\d", re.IGNORECASE)
_NOT_YET = re.compile(r"\b(?:not|when|after|once|until|before|if|will|resum\w{1,4})\b", re.IGNORECASE)
_HINTS = ("stop", "STOP", "Stop", "atience", "omplete", "inish", "done", "Done", "DONE", "ended", "raining time", "raining took")


def end_of(text: str) -> str:
    """`early` where a line says that early stopping ended the training, `finished` where it says that it is done, else nothing."""
    if len(text) > _LONGEST or not any(map(text.__contains__, _HINTS)):
        return ""
    if _EARLY.search(text) and not text.lstrip().startswith(("#", "if ", "def ", "class ", "import ")):
        return "early"
    done = _DONE.search(text)
    if done is None:
        return ""
    before = text[: done.start()]
    told = "after training is done" in done[0].lower() or "max_" in done[0]
    return "finished" if told or not (_NOT_YET.search(before) or _EPOCH.search(before)) else ""
