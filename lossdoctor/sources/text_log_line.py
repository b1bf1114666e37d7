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
from lossdoctor.sources.text_log_frameworks import counted

# No row of metrics is longer: the longest seen, 40 rewards of a GRPO run, has 3,000 characters.
_LONGEST = 16_384
_DIGITS = r"(?:\d{1,3}(?:,\d{3}){1,6}(?:\.\d{1,40})?|\d{1,400}\.?\d{0,400}|\.\d{1,400})"
_NUMBER = rf"[-+]?{_DIGITS}(?:[eE][-+]?\d{{1,6}})?|[-+]?(?:[nN][aA][nN]|[iI]nf(?:inity)?)"
_VALUE = rf"(?P<value>{_NUMBER})(?P<unit>ms\b|us\b|s\b|\s?[KMG]iB\b|\s?[KMG]B\b|[MGK]\b|%)?(?!\w|[:/.-]\w)"
# Bounded and begun at word starts only: lines are hostile, and a scan must stay linear in their length.
_WORD = r"(?<![\w./@%+()-])[A-Za-z_][\w./@%+()-]{0,80}"
_LEAD = r"(?:tensor\()?[\[('\"]{0,4}"
_PAIR = re.compile(rf"(?P<key>{_WORD}(?: (?:[A-Za-z(][\w./@%+()-]{{0,80}})){{0,4}}?)['\"]?\s{{0,20}}[:=]\s{{0,20}}{_LEAD}{_VALUE}")
_SPACED = re.compile(
    rf"(?P<key>(?<![\w./@])[A-Za-z_][\w./@]{{0,80}}(?: [A-Za-z][\w./@]{{0,80}}){{0,2}}?(?:\([a-z]\w{{0,40}}\))?)"
    rf"\s{{1,20}}(?:tensor\()?{_VALUE}"
)
_QUOTED = re.compile(rf"['\"](?P<key>[^'\"]{{1,200}})['\"]\s{{0,20}}:\s{{0,20}}['\"]?{_VALUE}['\"]?\s{{0,20}}(?=[,}}\s])")
_RATIO = re.compile(r"['\"](?:global_step/max_steps|iteration)['\"]: ['\"](\d{1,15})/(\d{1,15})['\"]")
_PER_STEP = re.compile(r"(?<![\d.])(\d{1,12}(?:\.\d{1,12})?) ?ms/(?:iter|step|it)\b")
_PER_SECOND = re.compile(
    r"(?<![\d.])(\d[\d,]{0,14}(?:\.\d{1,12})?) ?(tok(?:en)?s?|samples?|imgs?|images?|steps?|it)/s(?:ec)?\b(?!\s{0,4}[:=])"
)
_RATES = {"tok": "tokens_per_second", "sam": "samples_per_second", "img": "samples_per_second", "ima": "samples_per_second"}

_GAP = r"\s{0,20}"
_COUNT = r"\d{1,3}(?:,\d{3}){1,4}(?!\d)|\d{1,15}"
_COUNTER = re.compile(
    rf"(?<![\w/.-])(?:global[_ ]?step|num_updates|steps?|iterations?|iters?|updates?|it(?=[=:]))(?:\((?:train|val)\))?"
    rf"['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}({_COUNT})(?:{_GAP}/{_GAP}({_COUNT}))?(?![.\d]*(?:\d|[mu]?s\b)){_GAP}[\])]?:?",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    rf"(?<![\w/.-])(?:epochs?|(?-i:[Ee]p)(?=[ :#\[=])|(?-i:Pass|PASS)(?=[ :=]{{1,3}}\d))(?:\(\w+\))?"
    rf"['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}(\d{{1,9}}(?:\.\d+)?)"
    rf"(?:{_GAP}/{_GAP}(\d{{1,9}}))?{_GAP}[\])]?"
    rf"(?:[\s|:,]{{0,20}}[\[(]?{_GAP}(?:batch{_GAP})?(\d{{1,12}}){_GAP}/{_GAP}(\d{{1,12}})(?:{_GAP}\({_GAP}\d+(?:\.\d+)?%\))?{_GAP}[\])]?)?",
    re.IGNORECASE,
)
# Counters that count only where there is no step: inside an epoch, or alone.
_BATCH = re.compile(
    rf"(?<![\w/.-])(?:mini-?)?(?:batch(?:es)?|split|chunk|shard)(?:[_ ]?(?:id|idx|index|no|num))?"
    rf"['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}({_COUNT})(?:{_GAP}(?:/|of){_GAP}({_COUNT}))?(?![.\d]*\d){_GAP}[\])]?:?",
    re.IGNORECASE,
)
_MARKED = re.compile(r"[:=#\[]")
_ALONE = re.compile(
    rf"(?<![\w/.-])(?:episodes?|rounds?|generation|trial)['\"]?{_GAP}[:=#]?{_GAP}[\[(]?{_GAP}({_COUNT})"
    rf"(?:{_GAP}(?:/|of){_GAP}({_COUNT}))?(?![.\d]*\d){_GAP}[\])]?:?",
    re.IGNORECASE,
)
_EPISODE_SCORE = re.compile(r"\b(?:(?:avg|average|mean)(?:[ ._]?score)?|score)\s{0,8}[:=]", re.IGNORECASE)
_MEAN = re.compile(rf"(?:{_NUMBER})\s{{1,4}}\(\s{{0,8}}({_NUMBER})\s{{0,4}}\)")
_FAIRSEQ_EPOCH = re.compile(r"\| epoch \d{3,6} \|")
_ESPNET_EPOCH = re.compile(r"(\d{1,6})epoch results:")
# `epochs=3, lr=2e-4` after such a word, or without a result beside it, is what the run was told, not what it did.
_SETTINGS = re.compile(r"\bNamespace\(|\b(?:config(?:uration)?s?|arg(?:ument)?s|hyper-?param(?:eter)?s|settings)\s{0,4}[:=]", re.IGNORECASE)
_PLURAL = re.compile(r"epochs['\"]?\s{0,20}[:=\d]", re.IGNORECASE)
_RESULT = re.compile(r"loss|cost|acc|ppl|perplexity|reward|score|error|nll|bleu|auc|map", re.IGNORECASE)
_SECTION = re.compile(
    r"(?<![A-Za-z_/.-])(train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|test(?:ing)?|dev)(?: set)?\s{0,4}[:|\])>-]", re.IGNORECASE
)
_BARE_LOSS = re.compile(r"(?:^|[_/ ])(?:loss|ppl|perplexity|nll)$", re.IGNORECASE)
_LEVEL = re.compile(r"\b(?:INFO|DEBUG|WARNING|NOTICE)\b:?|\[(?!(?:train|valid|val|eval|test|dev)\w{0,10}\])[^\[\]\d]{0,40}\]:?")
_HINTS = (
    "loss", " avg", "%) ", " : up. ", "cost", "step", "iter", "epoch", "update", "ep ", "ep:", "ep[", "episode", "round",
    "batch", "generation", "trial", "pass", "train: ", "learn:", "ep=", "it=", "it:",
)  # fmt: skip
_METRIC = re.compile(
    r"loss|^train$|^val$|smooth_?l1|(?:^|[_/ -])(?:lr|acc|ppl|nll|bpb|bpc|mse|mae|l1|l2|huber|mape|kl|f1|auc|wer|cer|map|iou|rew)"
    r"(?:$|[_/ @\d])|learning.?rate|accuracy|perplexity|grad|gnorm|reward|entropy|score|xent|rmse|return|^learn$"
    r"|(?:^|[_ ])cost$|^recon|^elbo$|nce$|^objf?$|bpc|^l_\w+$|train.m?error$"
    r"|(?-i:^[DG]_(?:[AB]|GAN|L1|real|fake))|^cycle_|^idt_",
    re.IGNORECASE,
)
_TRAINER = re.compile(r"loss|^eval_|^train_runtime$|learning_rate|grad_norm|perplexity|accuracy")
_FILE = re.compile(r"\.(?:py|c|cc|cpp|cu|h|go|rs)$")
_FILLER = re.compile(r"^(?:(?:True|False) \(?|\()?(?:(?:with|and|the|at|of|a|current|new|m?s\.?|sec(?:ond)?s?\.?)\s)*(?=\S)", re.IGNORECASE)
_EVALUATION = re.compile(r"(?<![A-Za-z/._-])(?:valid(?:ation)?|val|eval(?:uation)?|test|saving dict for)(?![A-Za-z/._-])", re.IGNORECASE)
_OWN_SPLIT = re.compile(r"(?:^|[_/ .])(?:train|val|valid|validation|eval|test|dev)", re.IGNORECASE)
_SCALE_UNITS = frozenset(("ms", "us", "KiB", "MiB", "GiB", "KB", "MB", "GB"))
_NOT_METRICS = frozenset((*axes.STEP, *axes.EPOCH, *axes.TOTAL, "eta", "rank", "local_rank", "seed", "pid", "cuda"))


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says: its counters where given, and its values by name. `inner` counts inside the epoch; `fraction`: the epoch is
    printed with decimals."""

    values: Mapping[str, float]
    step: int | None = None
    total: int | None = None
    epoch: float | None = None
    epochs: int | None = None
    inner: int | None = None
    inner_total: int | None = None
    fraction: bool = False


def hinted(text: str) -> bool:
    """A cheap test that every line with a counter passes."""
    lower = text.lower()
    return "[" in text[:8] or "==" in text or any(map(lower.__contains__, _HINTS))


def parse(text: str) -> Line | None:
    """The counters and pairs of a plain line; None where it holds neither a counter nor an epoch, or tells settings."""
    if len(text) > _LONGEST:
        return None
    if (own := _of_one_framework(text)) is not None:
        return own
    if "pisode" in text:
        text = _EPISODE_SCORE.sub("reward:", text)
    counter, epoch, batch = _COUNTER.search(text), _EPOCH.search(text), None
    alone = _ALONE.search(text)
    if counter is not None and alone is not None and alone.start() < counter.start() and counter[0].lower().startswith("steps"):
        counter = alone  # `Episode 100 Avg: 22.7 Steps: 2171`: the steps of these episodes
    if counter is None and epoch is None:
        counter = alone
        batch = _BATCH.search(text) if alone is None else None
        batch = None if batch is None or batch[2] or not _MARKED.search(batch[0]) else batch
    elif counter is None and epoch and not epoch[3]:
        batch = _BATCH.search(text)
        if batch and not batch[2]:
            counter, batch = batch, None
    if counter is None and epoch is None and batch is None:
        return None
    spans = sorted(match.span() for match in (counter, epoch, batch) if match)
    rest, end = "", 0
    for start, stop in spans:
        rest += text[end:start] + " | "
        end = max(end, stop)
    rest += text[end:]
    values = _values(rest, text[: spans[-1][1]])
    if _told(text, epoch, values):
        return None
    return Line(
        values,
        _count(counter[1]) if counter else None,
        _count(counter[2]) if counter and counter[2] else None,
        float(epoch[1]) if epoch else None,
        int(epoch[2]) if epoch and epoch[2] else None,
        _count(batch[1]) if batch else int(epoch[3]) if epoch and epoch[3] else None,
        _count(batch[2]) if batch and batch[2] else int(epoch[4]) if epoch and epoch[4] else None,
        epoch is not None and "." in epoch[1],
    )


def _count(text: str) -> int:
    return int(text.replace(",", ""))


def _told(text: str, epoch: re.Match[str] | None, values: Mapping[str, float]) -> bool:
    """Whether a line tells settings: `Configuration: epochs=3, lr=2e-4`."""
    if epoch is None or not values:
        return False
    return bool(_SETTINGS.search(text)) or (_PLURAL.match(epoch[0]) is not None and not any(map(_RESULT.search, values)))


def _of_one_framework(text: str) -> Line | None:
    """A line whose counters only one framework writes."""
    if "epoch results" in text and (espnet := _ESPNET_EPOCH.search(text)):
        values = pairs(text[espnet.end() :])
        # The means of training repeat the rows before, where there are any; those of validation stand nowhere else.
        repeated = any(name.rpartition("/")[2] == "loss" and not name.startswith("val/") for name in values)
        values = {name: value for name, value in values.items() if not repeated or name.startswith("val/")}
        return Line(values, epoch=float(espnet[1]))
    found = counted(text)
    values = pairs(found.rest) if found else {}
    if found is None or not values:
        return None
    if found.held_out:
        values = {_held_out(name): value for name, value in values.items()}
    told, epoch = found.counts.get, found.counts.get("epoch")
    done = None if epoch is None else float(epoch)
    return Line(values, told("step"), told("total"), done, told("epochs"), told("inner"), told("inner_total"))


def parse_dict(text: str) -> Line | None:
    """A printed dict or JSON object with a metric in it (the HuggingFace Trainer, ms-swift, fairseq's json format); else None."""
    values: dict[str, float] = {}
    if len(text) > _LONGEST or _SETTINGS.search(text, 0, text.find("{")):
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
    """The `key: value` and `key=value` pairs of a text, else its `key value` pairs; empty where no key is a metric's.

    Between pairs with a mark a loss may stand without one (flair's `loss 0.14 - samples/sec: 72`). Names after `val:`, `[valid]` and the
    like become `val/...`.
    """
    for pattern in (_PAIR, _SPACED):
        found = _found(pattern, text)
        if not any(map(_METRIC.search, found)):
            continue
        if pattern is _PAIR and "oss" in text and not any("loss" in name.lower() for name in found):
            found = {**{name: value for name, value in _found(_SPACED, text).items() if _BARE_LOSS.search(name)}, **found}
        return _without_unused_loss(found)
    return {}


def _found(pattern: re.Pattern[str], text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    last, held_out = 0, False
    for match in pattern.finditer(text):
        if sections := _SECTION.findall(text, last, match.start("key")):
            held_out = not sections[-1].lower().startswith("train")
        last = match.end()
        name, value = _name(match["key"], match["unit"]), number(match["value"])
        if value is not None and axes.folded(name) not in _NOT_METRICS and not _FILE.search(name):
            found.setdefault(_held_out(name) if held_out else name, value)
    return found


def _without_unused_loss(found: dict[str, float]) -> dict[str, float]:
    """Lightning's bar shows `loss=nan` where the module returns none: another loss beside it that is a number is the one."""
    if math.isnan(found.get("loss", 0.0)) and any("loss" in name and not math.isnan(value) for name, value in found.items()):
        del found["loss"]
    return found


def _values(rest: str, head: str) -> dict[str, float]:
    """The pairs of a line without its counters, named by the split that the words before them tell; empty where none is a metric."""
    held_out = _EVALUATION.search(head) is not None
    if held_out:
        rest = so_far(rest)
    found = pairs(_LEVEL.sub("|", rest))
    if found and (each := _PER_STEP.search(rest)):
        found["time_ms_per_step"] = float(each[1])
    if found and (rate := _PER_SECOND.search(rest)):
        found.setdefault(_RATES.get(rate[2][:3], "steps_per_second"), float(rate[1].replace(",", "")))
    found = {f"{name} loss" if name in {"train", "val"} else name: value for name, value in found.items()}
    if "validation loss at" in head:
        return {f"{name.removesuffix(' value')} validation": value for name, value in found.items()}
    if "| train |" in head or (_FAIRSEQ_EPOCH.search(head) and not _EVALUATION.search(rest)):
        return {f"train/epoch_{name}": value for name, value in found.items()}
    if held_out:
        return {_held_out(name): value for name, value in found.items()}
    return found


def so_far(text: str) -> str:
    """`Loss 5.70 (5.40)` with the mean so far alone: what an evaluation says, batch by batch."""
    return _MEAN.sub(r"\1", text)


def _held_out(name: str) -> str:
    """The name of a value of an evaluation; a learning rate is of training wherever it is printed."""
    return name if _OWN_SPLIT.search(name) or axes.folded(name) in {"lr", "learning_rate"} else f"val/{name}"


def _name(key: str, unit: str | None) -> str:
    name = _FILLER.sub("", key.strip(" .-"))
    if unit is not None and unit.strip() in _SCALE_UNITS:
        return f"{name}_{unit.strip()}"
    return f"{name}_percent" if unit == "%" and name.lower().endswith("mfu") else name
