"""From a mapping of anything to the settings that are kept: canonical names, scalar values, secrets gone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lossdoctor.model import Scalar, Setting
from lossdoctor.sources.settings.names import DECISIVE_ALIASES, KINDS, NESTED, PATHS, canonical
from lossdoctor.sources.settings.pickle_values import Stub

REDACTED = "[redacted]"
_MAX_CHARS = 200
_NESTING = 5
_ABSURD = 1 << 62
_GENERATION_MAX_LENGTH = 20
_SECRET_VALUE = re.compile(
    r"(?<![A-Za-z0-9])(hf_|sk-|rk-|pk-|gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|AIza|wandb_v\d_|eyJ)[A-Za-z0-9_.-]{12,}"
    r"|(AKIA|ASIA)[0-9A-Z]{16}"
    r"|\b[0-9a-fA-F]{40,}\b|://[^/\s@]+:[^/\s@]+@|-----BEGIN|(?i:token|secret|password|passwd|api_?key)\W{0,3}[=:]"
)
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


def keep(raw: Mapping[Any, Any], source: str, *, nested: bool = False) -> tuple[Setting, ...]:
    """The settings among `raw` under canonical names, ordered by name; what is unknown, empty ("auto", null) or absurd is left out.

    The canonical name wins over its aliases. With `nested`, sub-mappings (and dotted names) are searched for the names that mean
    the same everywhere.
    """
    values: dict[str, Scalar] = {}
    for decisive in (True, False):
        for key, value in _in_order(raw):
            name = canonical(key)
            if name is not None and name not in values and (key in DECISIVE_ALIASES) == decisive:
                _store(values, name, value)
    if nested:
        for key, value in _inner(raw):
            name = canonical(key)
            if name in NESTED and name not in values:
                _store(values, name, value)
            elif key == "betas":
                values = _betas(value) | values
    for name, value in _derived(raw, values).items():
        values.setdefault(name, value)
    return tuple(Setting(name, values[name], source) for name in sorted(values))


def scalar(name: str, value: Any) -> Scalar:
    """One value as the type its canonical name has; None where it does not carry one."""
    value = _unwrapped(value)
    kind = KINDS[name]
    if kind is bool:
        return _flag(value)
    if kind is str:
        return _word(name, value)
    return _number(value, whole=kind is int)


def _store(values: dict[str, Scalar], name: str, value: Any) -> None:
    if name == "max_grad_norm" and value is None:
        values[name] = 0.0  # transformers clips only where the limit is given and above zero
        return
    known = scalar(name, value)
    if known is not None:
        values[name] = known


def _in_order(raw: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Canonical names first, so that an alias only fills what they leave open."""
    pairs = [(key, value) for key, value in raw.items() if isinstance(key, str)]
    yield from (pair for pair in pairs if pair[0] in KINDS)
    yield from (pair for pair in pairs if pair[0] not in KINDS)


def _inner(raw: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The leaves of sub-mappings, and of names that are dotted paths already, each under its last name; the shallow ones first."""
    dotted = [key for key in raw if isinstance(key, str) and ("." in key or "/" in key)]
    for key in sorted(dotted, key=lambda key: key.count(".") + key.count("/")):
        yield re.split(r"[./]", key)[-1], raw[key]
    level: list[Mapping[Any, Any]] = [raw]
    for _ in range(_NESTING):
        level = [value for mapping in level for value in mapping.values() if isinstance(value, Mapping)]
        for mapping in level:
            yield from ((key, value) for key, value in mapping.items() if isinstance(key, str) and not isinstance(value, Mapping))


def _unwrapped(value: Any) -> Any:
    """Enum members and dtypes as their word, numpy-like single-element containers as their element."""
    if isinstance(value, Stub):
        if value.args is None:
            return value.name
        return value.args[0] if len(value.args) == 1 and isinstance(value.args[0], str | int | float) else None
    if isinstance(value, list | tuple) and len(value) == 1:
        return _unwrapped(value[0])
    return value


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _number(value: Any, *, whole: bool) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().rstrip("%").replace("_", "") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    if isinstance(value, str) and value.strip().endswith("%"):
        number /= 100
    if not math.isfinite(number) or abs(number) >= _ABSURD:
        return None
    if number.is_integer() and (whole or isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdecimal())):
        return int(number)
    return None if whole else number


def _word(name: str, value: Any) -> str | None:
    if name == "eval_strategy" and value is False:
        return "no"  # YAML 1.1 reads a bare `no` as false
    if name == "target_modules" and isinstance(value, list | tuple):
        return f"{len(value)} modules"
    if isinstance(value, list | tuple):
        parts = [word for word in (_word(name, _unwrapped(item)) for item in value) if word]
        return ",".join(parts)[:_MAX_CHARS] or None
    if isinstance(value, Mapping):
        pairs = [f"{key}={item}" for key, item in value.items() if isinstance(key, str) and isinstance(item, str | int | float)]
        return None if name != "lr_scheduler_kwargs" else _safe(",".join(pairs)) or None
    if not isinstance(value, str) or value.strip().lower() in {"", "none", "null", "auto"}:
        return None
    word = value.strip()
    if name in PATHS or "\\" in word or word.startswith(("/", "~", ".")):
        word = re.split(r"[/\\]", word.rstrip("/\\"))[-1]
    if name in {"lr_scheduler_type", "optim", "logging_strategy", "eval_strategy", "save_strategy", "dtype"}:
        word = word.rsplit(".", 1)[-1].lower()
    return _safe(word) or None


def _safe(word: str) -> str:
    return REDACTED if _SECRET_VALUE.search(word) else word.strip()[:_MAX_CHARS].strip()


def _derived(raw: Mapping[Any, Any], values: dict[str, Scalar]) -> dict[str, Scalar]:
    """What earlier eras and other frameworks say in other words. May also correct `values` where a name changed its meaning."""
    found: dict[str, Scalar] = {}
    warmup = values.get("warmup_steps")
    if isinstance(warmup, float) and 0 < warmup < 1:  # transformers 5: a float below 1 is a share of the steps
        del values["warmup_steps"]
        values["warmup_ratio"] = warmup
    steps = values.get("max_steps")
    if isinstance(steps, int) and steps <= 0:  # -1: the epochs decide
        del values["max_steps"]
    if values.get("max_length") == _GENERATION_MAX_LENGTH and "num_beams" in raw and "max_seq_length" not in raw:
        del values["max_length"]  # the generation default of a model config, not the length of the training samples
    if isinstance(by_length := raw.get("group_by_length"), bool):
        found["train_sampling_strategy"] = "group_by_length" if by_length else "random"
    if raw.get("adafactor") is True:
        values["optim"] = "adafactor"
    if raw.get("evaluate_during_training") is True:
        found["eval_strategy"] = "steps"
    if isinstance(labels := raw.get("id2label"), Mapping):
        found["num_labels"] = len(labels)
    found |= _betas(raw.get("betas", raw.get("adam_betas")))
    found |= _precision(raw)
    return {name: value for name, value in found.items() if value is not None}


def _betas(value: Any) -> dict[str, Scalar]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return {}
    pair = {"adam_beta1": _number(value[0], whole=False), "adam_beta2": _number(value[1], whole=False)}
    return {name: beta for name, beta in pair.items() if beta is not None}


def _precision(raw: Mapping[Any, Any]) -> dict[str, Scalar]:
    """fp16 and bf16 from accelerate's `mixed_precision` and Lightning's `precision` (16, "16-mixed", "bf16-mixed", "32-true")."""
    word = str(_unwrapped(raw.get("mixed_precision")) or raw.get("precision") or "").lower()
    if word.startswith("bf16"):
        return {"bf16": True, "fp16": False}
    if word.startswith(("16", "fp16")):
        return {"bf16": False, "fp16": True}
    if word.startswith(("32", "fp32", "no")):
        return {"bf16": False, "fp16": False}
    return {}
