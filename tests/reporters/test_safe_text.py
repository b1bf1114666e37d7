"""What leaves is inert, keeps its meaning, and holds no secret."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.model import Setting
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.redact import REDACTED, is_secret_name, redact
from lossdoctor.reporters.safe_text import BLOCK_CHARS, NAME_CHARS, clean, clean_block

from .samples import HOSTILE, hockey_stick, hostile


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("zero\u200bwidth\ufeff\u2060", "zero\\u200bwidth\\ufeff\\u2060"),
        ("lone\ud800", "lone\\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("line\nbreak\ttab", "line break tab"),
        ("line\u2028separator", "line\\u2028separator"),
        ("Grüße, 损失, потеря, ❌", "Grüße, 损失, потеря, ❌"),
    ],
)
def test_what_acts_becomes_visible_and_letters_stay(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters(), max_size=400))
def test_cleaned_text_is_inert_bounded_encodable_and_a_fixed_point(text: str) -> None:
    for tool, limit in ((clean, NAME_CHARS), (clean_block, BLOCK_CHARS)):
        shown = tool(text)
        assert len(shown) <= limit
        assert tool(shown) == shown
        shown.encode("utf-8")
        kept = "" if tool is clean else "\n\t"
        assert not {unicodedata.category(c) for c in shown if c not in kept} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_an_over_long_name_keeps_both_ends_and_counts_the_cut() -> None:
    shown = clean("start-" + "x" * 100_000 + "-end")
    assert shown.startswith("start-xxx")
    assert shown.endswith("xxx-end")
    assert "characters cut" in shown
    assert len(shown) <= NAME_CHARS


SECRETS = [
    "hf_" + "aB3" * 11,
    "sk-proj-" + "abcDEF123_" * 3,
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2_" * 8,
    "glpat-" + "aB3dE" * 4,
    "AKIA" + "ABCD1234EFGH5678",
    "wandb_v1_" + "a1B2" * 8,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc_DEF-123",
    "xoxb-" + "1234567890-abc",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "failed with {} in the header", "--token={}", '{{"key": "{}"}}', "https://x/?a={}&b"])
def test_keys_of_the_services_are_redacted_wherever_they_stand(secret: str, frame: str) -> None:
    shown = redact(frame.format(secret))
    assert secret not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567 python", f"WANDB_API_KEY={REDACTED} python"),
        ("password: hunter22!", f"password: {REDACTED}"),
        ('{"hub_token": "abcdef123456"}', f'{{"hub_token": "{REDACTED}"}}'),
        ("Authorization: Bearer abcdef1234567890", f"Authorization: Bearer {REDACTED}"),
        ("https://user:pa55word@host/x", f"https://{REDACTED}@host/x"),
        ("s3://b/k?X-Amz-Signature=abcdef0123456789", f"s3://b/k?X-Amz-Signature={REDACTED}"),
        ("hub_token=None, max_tokens=4096, tokens_per_second=3150", "hub_token=None, max_tokens=4096, tokens_per_second=3150"),
        ("commit 0123456789abcdef0123456789abcdef01234567", "commit 0123456789abcdef0123456789abcdef01234567"),
        ("eos_token: </s>, pad_token_id=0", "eos_token: </s>, pad_token_id=0"),
    ],
)
def test_assigned_secrets_go_and_harmless_tokens_stay(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_settings_that_are_named_like_secrets_lose_their_value() -> None:
    for name in ("hub_token", "push_to_hub_token", "wandb_api_key", "password", "aws_secret", "token"):
        assert is_secret_name(name), name
    for name in ("max_new_tokens", "num_input_tokens_seen", "tokens_per_second", "eos_token_id", "tokenizer", "key_metric"):
        assert not is_secret_name(name), name
    changed = prepare(
        hockey_stick().__class__(**{**_fields(), "settings": (Setting("hub_token", "plain-looking", "args", (("readme", "other"),)),)})
    )
    assert changed.settings == (Setting("hub_token", REDACTED, "args", ()),)


def _fields() -> dict:
    d = hockey_stick()
    return {name: getattr(d, name) for name in d.__dataclass_fields__}


def test_preparing_reaches_every_string_and_is_a_fixed_point() -> None:
    once = prepare(hostile())
    assert prepare(once) == once
    everything = repr(once)
    for bad in ("\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\ud800", "n" * 5_000):
        assert bad not in everything
    assert HOSTILE[0] in everything


def test_a_stable_diagnosis_has_no_versions_and_relative_paths() -> None:
    d = hockey_stick()
    fields = _fields() | {
        "path": "/data/u/runs/x/trainer_state.json",
        "argument": "/data/u/runs/x",
        "headline": "see /data/u/runs/x/checkpoint-400",
    }
    shown = prepare(d.__class__(**fields), stable=True)
    assert shown.versions == {}
    assert shown.path == "x/trainer_state.json".removeprefix("x/")
    assert "/data" not in repr(shown)
    assert [view.values for view in shown.series] == [view.values for view in d.series]  # rounded once, where they are written
