"""One line of a text log -> counters and key/value pairs.

One mechanism for all formats: a counter (step, iteration, iter, update, num_updates; else an epoch with its inner counter) and, anywhere
in the line, `key: value`, `key=value`, or, where there is none of these, `key value`. Units that change the scale stay in the name:
`memory_GiB`, `step_avg_ms`, `mfu_percent`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lossdoctor.sources import axes
from lossdoctor.sources.rows import number, whole

# No row of metrics is longer: the longest seen, 40 rewards of a GRPO run, has 3,000 characters.
_LONGEST = 16_384
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,6}(?:\.\d{1,40})?|\d{1,400}\.?\d{0,400}|\.\d{1,400})"
_NUMBER = rf"[-+]?{_DIGITS}(?:[eE][-+]?\d{{1,6}})?|[-+]?(?:[nN][aA][nN]|[iI]nf(?:inity)?)"
_VALUE = rf"(?P<value>{_NUMBER})(?P<unit>ms\b|us\b|s\b|[KMG]iB\b|[KMG]B\b|[MGK]\b|%)?(?!\w|[:/.-]\w)"
# Bounded and begun at word starts only: lines are hostile, and a scan must stay linear in their length.
_WORD = r"(?<![\w./@%+()-])[A-Za-z_][\w./@%+()-]{0,80}"
_LEAD = r"(?:tensor\()?[\[('\"]{0,4}"
_PAIR = re.compile(rf"(?P<key>{_WORD}(?: (?:[A-Za-z(][\w./@%+()-]{{0,80}})){{0,4}}?)['\"]?\s{{0,20}}[:=]\s{{0,20}}{_LEAD}{_VALUE}")
_SPACED = re.compile(rf"(?P<key>(?<![\w./@])[A-Za-z_][\w./@]{{0,80}}(?: [A-Za-z][\w./@]{{0,80}}){{0,2}}?)\s{{1,20}}{_VALUE}")
_QUOTED = re.compile(rf"['\"](?P<key>[^'\"]{{1,200}})['\"]\s{{0,20}}:\s{{0,20}}['\"]?{_VALUE}['\"]?\s{{0,20}}(?=[,}}\s])")
_RATIO = re.compile(r"['\"](?:global_step/max_steps|iteration)['\"]: ['\"](\d{1,15})/(\d{1,15})['\"]")
_PER_STEP = re.compile(r"(?<![\d.])(\d{1,12}(?:\.\d{1,12})?) ?ms/(?:iter|step|it)\b")

_GAP = r"\s{0,20}"
_COUNTER = re.compile(
    rf"(?<![\w/.-])(?:global[_ ]?step|num_updates|steps?|iterations?|iters?|updates?)(?:\((?:train|val)\))?"
    rf"['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}(\d{{1,15}})(?:{_GAP}/{_GAP}(\d{{1,15}}))?(?![.\d]*\d){_GAP}[\])]?:?",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    rf"(?<![\w/.-])epochs?(?:\(\w+\))?['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}(\d{{1,9}}(?:\.\d+)?)(?:{_GAP}/{_GAP}(\d{{1,9}}))?{_GAP}[\])]?"
    rf"(?:[\s|:,]{{0,20}}\[?{_GAP}(?:batch{_GAP})?(\d{{1,12}}){_GAP}/{_GAP}(\d{{1,12}})(?:{_GAP}\({_GAP}\d+(?:\.\d+)?%\))?{_GAP}\]?)?",
    re.IGNORECASE,
)
_LEVEL = re.compile(r"\b(?:INFO|DEBUG|WARNING|NOTICE)\b:?|\[[^\[\]\d]{0,40}\]:?")
_METRIC = re.compile(
    r"loss|^train$|^val$|(?:^|[_/ ])(?:lr|acc|ppl|nll|bpb|bpc|mse|mae|kl|f1|auc|wer|cer|map|iou)(?:$|[_/ @\d])"
    r"|learning.?rate|accuracy|perplexity|grad|gnorm|reward|entropy|score",
    re.IGNORECASE,
)
_TRAINER = re.compile(r"loss|^eval_|^train_runtime$|learning_rate|grad_norm|perplexity|accuracy")
_FILE = re.compile(r"\.py$")
_EVALUATION = re.compile(r"(?<![A-Za-z/._-])(?:valid(?:ation)?|val|eval(?:uation)?|test)(?![A-Za-z/._-])", re.IGNORECASE)
_OWN_SPLIT = re.compile(r"(?:^|[_/ .])(?:train|val|valid|validation|eval|test|dev)", re.IGNORECASE)
_SCALE_UNITS = frozenset(("ms", "us", "KiB", "MiB", "GiB", "KB", "MB", "GB"))
_NOT_METRICS = frozenset((*axes.STEP, *axes.EPOCH, *axes.TOTAL, "eta", "rank", "local_rank", "seed", "pid", "cuda"))


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says: its counters where given, and its values by name. `inner` counts inside the epoch."""

    values: Mapping[str, float]
    step: int | None = None
    total: int | None = None
    epoch: float | None = None
    epochs: int | None = None
    inner: int | None = None
    inner_total: int | None = None


def parse(text: str) -> Line | None:
    """The counters and pairs of a plain line; None where it holds neither a counter nor an epoch."""
    if len(text) > _LONGEST:
        return None
    counter, epoch = _COUNTER.search(text), _EPOCH.search(text)
    if counter is None and epoch is None:
        return None
    spans = sorted(match.span() for match in (counter, epoch) if match)
    rest, end = "", 0
    for start, stop in spans:
        rest += text[end:start] + " | "
        end = max(end, stop)
    rest += text[end:]
    values = _values(rest, text[: spans[-1][1]])
    return Line(
        values,
        int(counter[1]) if counter else None,
        int(counter[2]) if counter and counter[2] else None,
        float(epoch[1]) if epoch else None,
        int(epoch[2]) if epoch and epoch[2] else None,
        int(epoch[3]) if epoch and epoch[3] else None,
        int(epoch[4]) if epoch and epoch[4] else None,
    )


def parse_dict(text: str) -> Line | None:
    """A printed dict or JSON object with a metric in it (the HuggingFace Trainer, ms-swift, fairseq's json format); else None."""
    values: dict[str, float] = {}
    if len(text) > _LONGEST:
        return None
    for match in _QUOTED.finditer(text):
        if (value := number(match["value"])) is not None:
            values[match["key"]] = value
    if not any(_TRAINER.search(name) for name in values):
        return None
    ratio = _RATIO.search(text)
    step, total, epoch = (axes.first(values, table) for table in (axes.STEP, axes.TOTAL, axes.EPOCH))
    metrics = {name: value for name, value in values.items() if name not in (step, total, epoch)}
    if step is None and ratio is None and (before := parse(text.partition("{")[0])) is not None:
        return replace(before, values=metrics)
    at, of = (int(ratio[1]), int(ratio[2])) if ratio else (whole(values.get(step or "")), whole(values.get(total or "")))
    done = values.get(epoch or "", math.nan)
    return Line(metrics, at, of, done if math.isfinite(done) else None)


def pairs(text: str) -> dict[str, float]:
    """The `key: value` and `key=value` pairs of a text, else its `key value` pairs; empty where no key is a metric's."""
    for pattern in (_PAIR, _SPACED):
        found: dict[str, float] = {}
        for match in pattern.finditer(text):
            name, value = _name(match["key"], match["unit"]), number(match["value"])
            if value is not None and axes.folded(name) not in _NOT_METRICS and not _FILE.search(name):
                found.setdefault(name, value)
        if any(map(_METRIC.search, found)):
            return found
    return {}


def _values(rest: str, head: str) -> dict[str, float]:
    """The pairs of a line without its counters, named by the split that the words before them tell; empty where none is a metric."""
    found = pairs(_LEVEL.sub("|", rest))
    if found and (each := _PER_STEP.search(rest)):
        found["time_ms_per_step"] = float(each[1])
    found = {f"{name} loss" if name in {"train", "val"} else name: value for name, value in found.items()}
    if "validation loss at" in head:
        return {f"{name.removesuffix(' value')} validation": value for name, value in found.items()}
    if "| train |" in head:
        return {f"train/epoch_{name}": value for name, value in found.items()}
    if _EVALUATION.search(head):
        return {
            name if _OWN_SPLIT.search(name) or name in {"lr", "learning_rate"} else f"val/{name}": value for name, value in found.items()
        }
    return found


def _name(key: str, unit: str | None) -> str:
    name = key.strip(" .-")
    if unit in _SCALE_UNITS:
        return f"{name}_{unit}"
    return f"{name}_percent" if unit == "%" and name.lower().endswith("mfu") else name
