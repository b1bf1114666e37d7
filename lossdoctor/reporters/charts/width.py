"""How wide a text of 12 pixels will be, in pixels: no font is asked, since a browser takes another one than the one that draws."""

from __future__ import annotations

_WIDE, _NARROW, _SLIM = frozenset("mwMW@%"), frozenset("ijlI.,:;'|!()[] "), frozenset("frt-/")


def width(text: str, *, bold: bool = False) -> float:
    """In the widest font that is usual for pages (DejaVu Sans); 14 % more in bold."""
    drawn = sum(11.0 if c in _WIDE else 4.0 if c in _NARROW else 4.8 if c in _SLIM else 7.6 for c in text)
    return drawn * (1.14 if bold else 1.0)
