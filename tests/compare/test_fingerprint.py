"""Names that stay when values wiggle."""

from __future__ import annotations

import pytest

from lossdoctor.compare.fingerprint import family, fingerprint
from lossdoctor.model import Finding, Severity


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("llama-7b-lora", "llama-7b-lora"),
        ("llama-7b-lora_seed42", "llama-7b-lora"),
        ("llama-7b-lora-v3", "llama-7b-lora"),
        ("gpt-2", "gpt-2"),
        ("out/checkpoint-500", "out"),
        ("checkpoint-500", "run"),
        ("run-20250127_160548-ennbpbki", "run"),
        ("Jan27_16-02-40_70a84499923a", "run"),
        ("sft 2026-11-21T10:48:31", "sft"),
        ("sft-2026-11-21", "sft"),
        ("version_0", "run"),
        ("v100-test", "test"),
        ("overview12", "overview12"),
        ("ünïcode-run-3", "ünïcode"),
        ("", "run"),
    ],
)
def test_family(name: str, kept: str) -> None:
    assert family(name) == kept
    assert family(kept) == kept


def test_a_fingerprint_holds_rule_family_and_signals_only() -> None:
    one = Finding("plateau", "LD102", "t", Severity.ERROR, 0.5, "m", {"a": 1.0}, ("train/loss", "eval/loss"), 10)
    other = Finding("plateau", "LD102", "T", Severity.NOTE, 0.9, "n", {"b": 2.0}, ("eval/loss", "train/loss"), 99)
    assert fingerprint(one, "a_seed1") == fingerprint(other, "a_seed2")
    assert fingerprint(one, "a") != fingerprint(one, "b")
