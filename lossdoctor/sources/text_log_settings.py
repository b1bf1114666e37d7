"""Settings that a script prints before it trains: `Namespace(lr=0.1, clip_grad=1.0)`, `Config: epochs=3`, `batch_size: 32` on its own."""

from __future__ import annotations

import re

_HEADING = re.compile(
    r"\b(?:Namespace|\w{0,40}(?:Arguments|Config))\(|\b(?:configs?|configuration|args|arguments|hyper-?param(?:eter)?s|settings|overriding)\b\W{0,4}[:=(]",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"""(?<![\w.])['"]?([A-Za-z_][\w-]{1,60})['"]?\s{0,20}[=:]\s{0,20}"""
    r"""('[^']{0,100}'|"[^"]{0,100}"|[^\s,;(){}\[\]'"]{1,60})(?=[\s,;)}\]]|$)"""
)
# `11/27/2026 17:56:26 - INFO - __main__ -   max_grad_norm = 0.02`
_PREFIX = re.compile(r"^.{0,80}?\b(?:INFO|DEBUG)\b[\]:\s|-]{0,6}(?:[\w.]{1,60}\s{0,2}[-:]\s{1,6})?")
# transformers names the class of a model where it warns of its weights: `Some weights of BertForMaskedLM were not initialized`.
_ARCHITECTURE = re.compile(r"\b[A-Z]\w{1,40}(?:LMHeadModel|For(?:CausalLM|MaskedLM|[A-Z][a-z]{2,12}Classification))\b")
_BETWEEN = " \t,;|(){}[]-"
_LONGEST = 20_000  # characters of a line


def told(text: str) -> dict[str, str]:
    """Name -> value of a line that tells settings or the model, as printed; empty for any other: one that holds more than pairs and does
    not say that it tells them."""
    if len(text) > _LONGEST:
        return {}
    named = _ARCHITECTURE.search(text)
    model = {"architectures": named[0]} if named else {}
    if "=" not in text and ":" not in text:
        return model
    found: dict[str, str] = {}
    text = _PREFIX.sub("", text)
    heading = _HEADING.search(text)
    body = text[heading.end() :] if heading else text
    for name, value in _PAIR.findall(body):
        found.setdefault(name, value.strip("'\""))
    return model | found if heading or not _PAIR.sub("", body).strip(_BETWEEN) else model
