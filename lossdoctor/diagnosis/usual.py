"""What is usual (`usual.toml`): what advice and causes are measured against."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

Range = tuple[float, float]


class Prior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    common: float
    possible: float
    rare: float
    unnamed: float


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hint: float
    fair: float
    strong: float
    proof: float


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lora: Range
    full: Range
    scratch: Range
    far: Range
    adam: Range
    sgd: Range
    safe: float


class Warmup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    share: float


class Clipping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quantile: float


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    headroom: float
    reserve_gb: float
    adapter_bytes: float
    states: dict[str, float]


class Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prior: Prior
    evidence: Evidence
    learning_rate: Rates
    warmup: Warmup
    clipping: Clipping
    memory: Memory


USUAL = msgspec.convert(tomllib.loads(Path(__file__).with_name("usual.toml").read_text(encoding="utf-8")), type=Usual)
