"""Secrets that slipped into a config, a tag or a log line never reach a report.

Values are recognised by the published prefixes of the services' keys, by the shape of tokens in URLs and headers, and by the name they are
assigned to. A redaction stays visible as `[redacted]`.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_NAMED = r"(?:hub|auth|access|api|refresh|bearer|session|id|private|secret|wandb|hf|github|gitlab|aws|openai|user)"
_PATTERNS = (
    re.compile(r"\bhf_[A-Za-z0-9]{16,}"),
    re.compile(r"\b(?:sk|rk|pk)-(?:[A-Za-z]+-)*[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    re.compile(r"\bglpat-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"),
    re.compile(r"\bwandb_v\d_[A-Za-z0-9_]{20,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
_KEPT_HEAD = (
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/-]{12,}=*"),
    re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)"),
    re.compile(r"(?i)([?&](?:sig|signature|token|key|access_token|x-amz-signature)=)[^&\s\"']{8,}"),
    re.compile(
        rf"(?i)((?:\b|_|\"|')(?:{_NAMED}[_-]?(?:token|key)|password|passwd|secret|client[_-]?secret|credentials?)(?:\"|')?\s*[=:]\s*(?:\"|')?)"
        r"(?!\[redacted\]|none\b|null\b|true\b|false\b)[^\s\"',;&]{6,}"
    ),
)
_SECRET_NAME = re.compile(
    rf"(?i)(?:^|[_.-]){_NAMED}[_-]?(?:token|key)$|(?:^|[_.-])(?:password|passwd|secret|credentials?)$|^token$|apikey$"
)


def redact(text: str) -> str:
    """Return `text` with every recognised secret replaced by `[redacted]`."""
    if len(text) < 8:
        return text
    for pattern in _PATTERNS:
        text = pattern.sub(REDACTED, text)
    for pattern in _KEPT_HEAD:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret (hub_token, api_key, password), not a count of tokens."""
    return _SECRET_NAME.search(name) is not None
