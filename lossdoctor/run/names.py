"""Canonical signal names, their units, and the names that frameworks log them under.

| signal | unit |
|---|---|
| train/loss, eval/loss, eval/<set>/loss | as logged (nats a token for language models) |
| train/learning_rate, train/grad_norm, train/loss_scale | - |
| train/epoch | epochs |
| perf/tokens_per_second, perf/samples_per_second, perf/steps_per_second | 1/s |
| perf/step_seconds, perf/data_wait_seconds (a step's, of these) | s |
| perf/mfu | fraction |
| gpu/<i>/{memory, memory_peak, memory_reserved, memory_total}, host/memory, process/memory | bytes |
| train/step_loss_max | as train/loss |
| train/{nonfinite_losses, nonfinite_inputs, skipped_steps} | count since the row before |
| gpu/<i>/memory_utilization, gpu/<i>/utilization | percent |
| gpu/<i>/temperature | degrees Celsius |
| eval/<metric>, train/accuracy, reward, reward_std, kl, entropy, rewards/..., logps/..., completions/... | as logged |

Where two logged names map to one signal, the first in the table wins and the other keeps its raw name. Unknown names stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from lossdoctor.run.aliases import COMPANY, GB, GIB, GPU_WHAT, MB, MIB, MILLI, SCALED, TABLE, TABLE_OF_RL

_FLAT: Mapping[str, tuple[str, int]] = {
    alias: (signal, rank) for table in (TABLE, TABLE_OF_RL) for signal, aliases in table.items() for rank, alias in enumerate(aliases)
}
_REWARD = re.compile(
    r"(?:(?:train|rollout|charts|critic|environment|env_runners)/)?"
    r"(?:(?:\d{1,6}|(?:mean|avg|average)\d{0,6}|episod\w{1,4}|ep|cumulative|total|running)_){0,4}(?:rewards?|returns?|rew)(?:_(?:mean|moyen|avg|average)){0,2}"
    r"(?:_\(.{1,40}\)|_\d{1,6}|(?<=mean)\d{1,4})?"
)
# `tok/s`, `imgs_per_sec`, `ms/step`
_SPEED = re.compile(
    r"(tok(?:en)?s?|samples?|examples?|sequences?|imgs?|images?|steps?|iters?|iterations?|its?|batch(?:es)?)"
    r"_?(?:/|per|p)_?s(?:ec(?:ond)?)?s?"
)
_SPENT = re.compile(r"(m?s(?:ec(?:ond)?)?s?)_?(?:/|per)_?(?:step|iter|iteration|it|batch|update)")
# `mem_MB`, `max_mem_GiB`, `rss_mb`, `gpu_mem_used_gb`, `rank0/mem_allocated_gb`, `gpu_mem_total_gb`
_MEMORY = re.compile(
    r"(?:(?:perf|sys|system|train|memory)/)?(?:(?:gpu|rank|cuda|device)[_:]?(?P<index>\d{1,4})[/_.])?"
    r"(?:(?:gpu|cuda|vram|cpu|host|process|system|max|peak|cur|current)[_/.]?){0,3}(?:mem(?:ory)?|rss|ram|vram)"
    r"(?:_(?P<what>used|usage|alloc|allocated|reserved|peak|max|rss|total)){0,2}[_(](?P<unit>mib|gib|mb|gb)\)?"
)
_UTILIZATION = re.compile(
    r"(?:(?:perf|sys|system)[/_])?gpu_?(?P<index>\d{0,4})_(?:util(?:ization|isation)?|busy|usage)(?:_(?:pct|percent|mean))?|gpu_use_%"
)
_OF_HOST = re.compile(r"cpu|host|process|system|rss|(?<!v)ram")
_BYTES = {"mib": MIB, "gib": GIB, "mb": MB, "gb": GB}
_OF_SPEED = {
    "to": "perf/tokens_per_second", "sa": "perf/samples_per_second", "ex": "perf/samples_per_second", "se": "perf/samples_per_second",
    "im": "perf/samples_per_second", "st": "perf/steps_per_second", "it": "perf/steps_per_second", "ba": "perf/steps_per_second",
}  # fmt: skip
_GPU = re.compile(r"(?:system[./])?gpu[._/]?(\d+)[./_](.+)")
_PREFERENCE = (
    "reward", "rewards/", "kl", "entropy", "logps/", "logits/", "completions/", "completion_length",
    "frac_reward_zero_std", "clip_ratio", "objective/", "policy/", "val/ratio", "num_tokens",
)  # fmt: skip
_EVAL_SET_LOSS = re.compile(
    r"eval_([A-Za-z0-9_.-]+)_loss$|eval/([A-Za-z0-9_.-]+?)[_/]loss$|(?:val|valid|validation)_loss/(?:dataloader_idx_)?([A-Za-z0-9_.-]+)$"
)
# Words around `loss` that say which split it is of, and those that say nothing of what it is.
_TRAIN = frozenset(("train", "training", "trn", "tr", "learn"))
_HELD_OUT = ("val", "valid", "validation", "vali", "vld", "eval", "evaluation", "dev", "va", "cv", "test", "testing", "te")
_FILL = frozenset(
    (
        "avg", "average", "avr", "ave", "ema", "swa",
        "mean", "running", "smoothed", "global", "reduced", "epoch", "batch", "minibatch", "mini", "step",
        "iter", "iteration", "main", "total", "overall", "per", "current", "set", "result", "results", "error", "metric", "metrics",
        "loss", "losses", "cost", "is",
    )
)  # fmt: skip
_NAMED_ANYWHERE = 200  # rank of what only its words tell; each word that says nothing more costs one
# Words that only group: `epoch/train_loss`, `metrics/val_loss`.
_GROUPS = frozenset(("epoch", "epochs", "metric", "metrics", "scalars", "losses", "stats", "history"))
_SPLITS = ("train", "val", "eval", "test", "dev")
_RUN_STATISTICS = {
    "train_loss",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "total_flos",
    "train_tokens_per_second",
}
# What HF writes once in its closing row: an average over the run, never part of a curve.
CLOSING = frozenset(f"train/{name}" for name in _RUN_STATISTICS)


def plain(raw: str) -> str:
    """Lower-case a logged name and fold blanks and hyphens into underscores."""
    return re.sub(r"[\s-]+", "_", raw.strip().lower())


def is_epoch_mean(raw: str) -> bool:
    """Whether a raw name is that of the training loss of a whole epoch: Lightning logs `train_loss_epoch` beside `train_loss_step`."""
    name = plain(raw)
    return "epoch" in name and canonical(raw)[0] == "train/loss"


def in_company(logged: Iterable[str]) -> dict[str, str]:
    """Raw name -> signal for the names that mean something only beside others of the same log: `data` and `time` of torchvision."""
    folded: dict[str, str] = {}
    for raw in logged:
        folded.setdefault(plain(raw).removeprefix("train/"), raw)
    return {folded[name]: signal for others, name, signal in COMPANY if others <= folded.keys()}


@lru_cache(maxsize=8192)
def canonical(raw: str) -> tuple[str, int, float]:
    """Return (signal, rank, scale) for a logged name: lower ranks win, values are multiplied by `scale` to reach the signal's unit."""
    name = plain(raw)
    if name in CLOSING:
        return name, 99, 1.0
    if name in _FLAT:
        signal, rank = _FLAT[name]
        return signal, rank, 1.0
    if _REWARD.fullmatch(name):
        return "reward", 20, 1.0
    bare = name.removeprefix("train/")
    if bare in SCALED:
        signal, scale = SCALED[bare]
        return signal, 0, scale
    gpu = _GPU.fullmatch(bare)
    if gpu and gpu[2] in GPU_WHAT:
        what, scale = GPU_WHAT[gpu[2]]
        return f"gpu/{gpu[1]}/{what}", 0, scale
    if bare.startswith(_PREFERENCE):
        return bare, 0 if bare == name else 1, 1.0
    if (loss := _loss(name)) is not None:
        return *loss, 1.0
    if (speed := _SPEED.fullmatch(bare)) is not None:
        return _OF_SPEED[speed[1][:2]], _NAMED_ANYWHERE, 1.0
    if (held := _MEMORY.fullmatch(bare)) is not None:
        kind = f"_{held['what']}" if held["what"] in ("reserved", "total") else ""
        where = "process/memory" if _OF_HOST.search(bare) else f"gpu/{int(held['index'] or 0)}/memory{kind}"
        return where, _NAMED_ANYWHERE, _BYTES[held["unit"]]
    if (busy := _UTILIZATION.fullmatch(bare)) is not None:
        return f"gpu/{int(busy['index'] or 0)}/utilization", _NAMED_ANYWHERE, 1.0
    if (spent := _SPENT.fullmatch(bare)) is not None:
        return "perf/step_seconds", _NAMED_ANYWHERE, MILLI if spent[1].startswith("m") else 1.0
    per_set = _EVAL_SET_LOSS.fullmatch(name)
    if per_set:
        return f"eval/{next(g for g in per_set.groups() if g)}/loss", 0, 1.0
    group, _, inner = name.partition("/")
    if group in _GROUPS and inner in _FLAT and inner.startswith(_SPLITS):
        return _FLAT[inner][0], 1000 + _FLAT[inner][1], 1.0
    if name.startswith("eval_"):
        return f"eval/{name[5:]}", 1, 1.0
    if name.startswith("eval/"):
        return name, 0, 1.0
    return raw, 50, 1.0


def _loss(name: str) -> tuple[str, int] | None:
    """The signal and rank of a loss that is told by the words of its name alone: `Average test loss`, `avg_train_loss`, `valLoss`."""
    name = re.sub(r"(?<=[a-z])loss(?:es)?\b", "_loss", name.replace("loss_value", "loss").replace("lossvalue", "loss"))
    words = [word for word in re.split(r"[^a-z\d]+", name) if word]
    cost = "cost" in words and not {"batch", "step", "iter", "iteration"} & set(words)  # those are seconds
    if not cost and not {"loss", "losses"} & set(words):
        return None
    held_out = [word for word in words if word in _HELD_OUT]
    rest = [word for word in words if word not in _HELD_OUT and word not in _TRAIN]
    if not _FILL.issuperset(rest) or (held_out and len(held_out) + len(rest) < len(words)):
        return None
    rank = _NAMED_ANYWHERE + len(rest)
    return ("eval/loss", rank + len(_HELD_OUT) * _HELD_OUT.index(held_out[0])) if held_out else ("train/loss", rank)
