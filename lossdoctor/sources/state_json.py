"""The JSON of a `trainer_state.json`, decoded piece by piece, so that a long log_history never stands in memory as dicts at once.

Each piece goes to msgspec, which is strict. Bare NaN and Infinity (105 of 1,172 surveyed files) are quoted for it; what it still refuses
goes to the standard library, and what that refuses is salvaged entry by entry. A split between entries is right wherever `[` + piece + `]`
is valid JSON: a split inside a string or a nested container leaves something open. Quoting is safe for the same reason: inside a string
it would leave a bare word.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from lossdoctor.errors import Unreadable
from lossdoctor.model import Fault, Loss
from lossdoctor.run.log import Floats
from lossdoctor.sources.state_plain import PlainEntries, colons

PIECE = 1 << 20
_HISTORY = re.compile(rb'"log_history"\s*:\s*\[')
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_BARE = (b"NaN", b"Infinity", b"-Infinity")
_FLAT = re.compile(r"\{[^{}]*\}")
_CLOSING = re.compile(rb"\}\s*(?=\])")
_BLANK = re.compile(r"[ \t\r\n]*")
_ESCAPED = re.compile("[\udc80-\udcff]")
_DIGITS_OF_A_FLOAT = 400  # longer integers are beyond every float
_BATCH = 10_000
_strict = msgspec.json.Decoder(list[Any]).decode
Take = Callable[[list[Any]], None]
Read = Callable[[str, int], tuple[Any, int]]


@dataclass(slots=True)
class Oddities:
    """What the tolerant parser met: keys written twice in one object, numbers beyond a float, bytes that are not UTF-8."""

    repeated: dict[str, int] = field(default_factory=dict)
    too_large: int = 0
    bad_bytes: int = 0

    def real(self, digits: str) -> float:
        number = float(digits)
        self.too_large += math.isinf(number)
        return number

    def whole(self, digits: str) -> int | float:
        return int(digits) if len(digits) < _DIGITS_OF_A_FLOAT else self.real(digits)

    def pairs(self, items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            left = [key for key, _ in items]
            for key in found:
                left.remove(key)
            for key in left:
                self.repeated[key] = self.repeated.get(key, 0) + 1
        return found

    def faults(self, name: str) -> Iterator[Fault]:
        if self.bad_bytes:
            yield Fault("bad-utf8", name, f"{self.bad_bytes} bytes that are not UTF-8 were replaced", Loss.LOSSY)
        if self.repeated:
            keys = ", ".join(f"{key[:60]} ({count} times)" for key, count in list(self.repeated.items())[:5])
            yield Fault("duplicate-key", name, f"keys stand more than once in one object, the last one counts: {keys}", Loss.BENIGN)
        if self.too_large:
            detail = f"{self.too_large} numbers beyond the range of a float were read as infinite"
            yield Fault("number-too-large", name, detail, Loss.BENIGN)


class Sink(Protocol):
    """What takes the entries of a log_history in order, as dicts or as columns with NaN where an entry lacks the key."""

    def add(self, batch: Sequence[Any]) -> None: ...

    def add_columns(self, columns: Mapping[str, Floats]) -> None: ...


def decode(data: bytes, name: str, sink: Sink) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """Decode a state: the entries of its log_history go to `sink` in order, the other fields are returned, with the faults met.

    Raises `Unreadable` where it is no JSON object with a log_history list, or is nested too deeply.
    """
    text = data.rstrip(b"\x00")
    faults = []
    if len(text) < len(data):
        faults.append(Fault("nul-tail", name, f"{len(data) - len(text)} NUL bytes at the end were stripped", Loss.BENIGN))
    text = text.removeprefix(b"\xef\xbb\xbf")
    odd = Oddities()
    start = _HISTORY.search(text)
    try:
        if start is None or text.count(b'"log_history"') > 1:
            fields = _at_once(text, name, sink, odd)
        else:
            fields, damage = _in_pieces(text, start.end(), name, sink, odd)
            faults += damage
    except RecursionError:
        raise Unreadable(f"{name}: JSON nested too deeply") from None
    return fields, (*faults, *odd.faults(name))


def _at_once(text: bytes, name: str, sink: Sink, odd: Oddities) -> dict[str, Any]:
    """A file without exactly one plain log_history."""
    try:
        state = _tolerant(text, odd)
    except ValueError as error:
        place = error.pos if isinstance(error, json.JSONDecodeError) else 0
        raise Unreadable(f"{name}: not valid JSON (byte {place}) and no log_history to salvage") from None
    history = state.pop("log_history", None) if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise Unreadable(f"{name}: not a HuggingFace trainer state (no log_history list)")
    sink.add(history)
    return dict(state)


def _in_pieces(text: bytes, begin: int, name: str, sink: Sink, odd: Oddities) -> tuple[dict[str, Any], list[Fault]]:
    """The array that begins at `begin`, after its bracket, and the fields around it."""
    count = 0

    def counted(entries: list[Any]) -> None:
        nonlocal count
        count += len(entries)
        sink.add(entries)

    plain = PlainEntries()
    position, view = begin, memoryview(text)
    while (cut := _BETWEEN.search(text, position + PIECE)) is not None:
        piece = b"".join((b"[", view[position : cut.start() + 1], b"]"))
        columns = plain.columns(piece)
        if columns is not None:
            sink.add_columns(columns)
            count += len(columns["step"])
        else:
            try:
                entries = _piece(piece, odd)
            except ValueError:
                break
            plain.learn(entries)
            counted(entries)
        position = cut.end()
    end, broken = _rest(text[position:], odd, counted)
    around = None if end is None else _fields(text[:begin] + text[position + end :], name, odd)
    if around is not None and broken is None:
        return around, []
    if around is None:
        around = _fields(text[:begin] + b"]}", name, odd) or {}
    place = len(text) if broken is None else position + broken
    detail = (
        f"the file breaks off or is damaged at byte {place}: {count} whole log entries were recovered, the others are lost; "
        "an earlier checkpoint's trainer_state.json may hold them"
    )
    return around, [Fault("truncated-json", f"{name}:{place}", detail, Loss.LOSSY)]


def _piece(piece: bytes, odd: Oddities) -> list[Any]:
    """The entries of one piece of the array; raises ValueError where it is no JSON."""
    try:
        entries = _strict(piece)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            entries = _strict(_quoted(piece))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return list(_tolerant(piece, odd))
    # msgspec keeps the last of two like keys and does not tell: more colons than keys, and the piece is read again.
    plain = set(map(type, entries)) == {dict} and colons(piece) <= sum(map(len, entries))
    return entries if plain else list(_tolerant(piece, odd))


def _quoted(piece: bytes) -> bytes:
    """Bare words as values, as json.dump writes them, in quotes: float() reads them there."""
    for word in _BARE:
        piece = piece.replace(b": " + word, b': "' + word + b'"')
    return piece


def _tolerant(text: bytes, odd: Oddities) -> Any:
    """The standard library's parser, told to count what it would pass over in silence; raises ValueError where even it refuses."""
    return _parser(odd).decode(_words(text, odd))


def _parser(odd: Oddities) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=odd.pairs, parse_float=odd.real, parse_int=odd.whole)


def _words(text: bytes, odd: Oddities) -> str:
    """Text with one U+FFFD for every byte that is not UTF-8."""
    words = text.decode("utf-8", "surrogateescape")
    if words.isascii():
        return words
    clean, count = _ESCAPED.subn("\ufffd", words)
    odd.bad_bytes += count
    return clean


def _fields(skeleton: bytes, name: str, odd: Oddities) -> dict[str, Any] | None:
    """Everything but the log_history, whose entries are left out of `skeleton`; None where that is no JSON."""
    try:
        fields = _tolerant(skeleton, odd)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.pop("log_history", None) != []:
        raise Unreadable(f"{name}: not a HuggingFace trainer state (no log_history list)")
    return fields


def _rest(text: bytes, odd: Oddities, take: Take) -> tuple[int | None, int | None]:
    """The last piece of the array with what follows it: (where the array closes, where the first damage is) in bytes, None where not."""
    close = _CLOSING.search(text)
    if close is not None:
        try:
            take(_piece(b"[" + text[: close.end()] + b"]", odd))
        except ValueError:
            pass
        else:
            return close.end(), None
    words = _words(text, odd)
    read = _parser(odd).raw_decode
    at, damaged = _one_by_one(words, read, take)
    end = _after_damage(words, at, read, take) if damaged else at
    return None if end is None else _bytes(text, end), _bytes(text, at) if damaged else None


def _bytes(text: bytes, characters: int) -> int:
    """The offset in bytes of a character of the text."""
    return characters if text.isascii() else len(text.decode("utf-8", "surrogateescape")[:characters].encode("utf-8", "surrogateescape"))


def _one_by_one(words: str, read: Read, take: Take) -> tuple[int, bool]:
    """Take entries up to the closing bracket: (its place, False), or (the place of the first entry that is not whole, True)."""
    at = _after_blanks(words, 0)
    batch: list[Any] = []
    try:
        while words[at : at + 1] != "]":
            entry, after = read(words, at)
            batch.append(entry)
            after = _after_blanks(words, after)
            if words[after : after + 1] not in {",", "]"}:
                return after, True
            at = _after_blanks(words, after + 1) if words[after] == "," else after
            if len(batch) == _BATCH:
                take(batch)
                batch = []
    except ValueError:
        return at, True
    finally:
        take(batch)
    return at, False


def _after_damage(words: str, start: int, read: Read, take: Take) -> int | None:
    """Take the flat entries with a step beyond the damage; return where the array closes after the last of them, None if nowhere.

    One pass over the text, whatever it holds: nested entries beyond the damage are lost.
    """
    batch: list[Any] = []
    last = start
    for match in _FLAT.finditer(words, start):
        try:
            entry, _ = read(match[0], 0)
        except ValueError:
            continue
        if "step" in entry:
            batch.append(entry)
            last = match.end()
        if len(batch) == _BATCH:
            take(batch)
            batch = []
    take(batch)
    close = _after_blanks(words, last)
    return close if words[close : close + 1] == "]" else None


def _after_blanks(words: str, position: int) -> int:
    match = _BLANK.match(words, position)
    return match.end() if match else position
