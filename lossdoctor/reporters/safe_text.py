"""Text that is safe to show: what came from a log can neither steer a terminal nor disguise itself.

Control characters (ANSI and OSC sequences start with one), bidirectional overrides, zero-width and other invisible characters, lone
surrogates, private-use and unassigned code points become visible escapes such as `\\x1b` or `\\u202e`, so nothing is lost and nothing acts.
Over-long text keeps its head and tail and says how much was cut. Escaping for HTML, Markdown or JSON is the matter of each format and comes
after this. The set of characters follows Unicode Technical Report 36 (security considerations), section 3.5 and 3.6.
"""

from __future__ import annotations

import unicodedata

NAME_CHARS = 200
BLOCK_CHARS = 4_000

_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe0e\ufe0f\u034f")
_CUT_NOTE = 40


class _Table(dict[int, str]):
    """A translation table for str.translate that works out each character on first sight."""

    def __init__(self, kept: str) -> None:
        super().__init__({ord(char): char if char in kept else " " for char in "\n\t"})

    def __missing__(self, code: int) -> str:
        char = chr(code)
        shown = _escape(code) if unicodedata.category(char) in _ACTING or char in _INVISIBLE else char
        if len(self) < 10_000:
            self[code] = shown
        return shown


def clean(text: str, limit: int = NAME_CHARS) -> str:
    """Return `text` on one line, inert, at most `limit` characters long; cleaning twice changes nothing more."""
    return shorten(text if text.isascii() and text.isprintable() else text.translate(_LINE), limit)


def clean_block(text: str, limit: int = BLOCK_CHARS) -> str:
    """Like `clean`, but line feeds and tabs stay: for snippets and quoted log lines."""
    return shorten(text.replace("\r\n", "\n").translate(_BLOCK), limit)


def shorten(text: str, limit: int) -> str:
    """Cut the middle out of an over-long text and say how many characters went; the result fits into `limit` (at least 80)."""
    if len(text) <= limit:
        return text
    tail = (limit - _CUT_NOTE) // 4
    head = limit - _CUT_NOTE - tail
    return f"{text[:head]}[... {len(text) - head - tail} characters cut ...]{text[-tail:]}"


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_LINE, _BLOCK = _Table(""), _Table("\n\t")
