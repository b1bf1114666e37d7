"""Names for findings that outlive a wiggle of the values, so that a tracker recognises a finding from one run to the next."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from lossdoctor.model import Diagnosis, Finding

_MOMENT = r"(?:19|20)\d{2}[-_]?[01]\d[-_]?[0-3]\d(?:[-_t ]?[0-2]\d[-_:h]?[0-5]\d(?:[-_:m]?[0-5]\d)?)?"
_HF_LOGDIR = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[0-3]\d[-_][0-2]\d-[0-5]\d-[0-5]\d(?:[-_][^/]*)?"
_COUNTER = r"(?:checkpoint|step)[-_=]?\d+|(?:seed|run|version|try|attempt|v)[-_=]?\d{1,5}"
_CHANGING = re.compile(rf"(?<![a-z0-9])(?:{_MOMENT}(?:[-_][a-z0-9]{{8}})?|{_HF_LOGDIR}|{_COUNTER})(?![a-z0-9])")


def family(name: str) -> str:
    """The name of a run without what changes from run to run: time stamps, ids behind them, seeds, versions, checkpoint numbers.

    >>> family("llama-lora_seed42"), family("run-20240101_120000-ab12cd34"), family("llama-7b/checkpoint-500")
    ('llama-lora', 'run', 'llama-7b')
    """
    plain = _CHANGING.sub("", name.lower())
    return re.sub(r"[-_/. ]{2,}", "-", plain).strip("-_/. ") or "run"


def fingerprint(finding: Finding, run: str) -> str:
    """SHA-256 (hex) over rule, run family and signals; never values, steps or words."""
    parts = (finding.rule, family(run), *sorted(finding.signals))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def fingerprints(diagnoses: Iterable[Diagnosis]) -> Iterator[tuple[Diagnosis, Finding, str]]:
    """Every finding with its fingerprint; runs of one family get different ones by their order, since trackers want them unique."""
    seen: dict[str, int] = {}
    for diagnosis in diagnoses:
        for finding in diagnosis.findings:
            mark = fingerprint(finding, diagnosis.name)
            seen[mark] = seen.get(mark, 0) + 1
            yield diagnosis, finding, mark if seen[mark] == 1 else hashlib.sha256(f"{mark}#{seen[mark]}".encode()).hexdigest()
