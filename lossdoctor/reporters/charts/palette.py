"""The colours, light and dark, by role. Every role has a hex value of its own, so that a drawn colour tells its role again (see svg)."""

from __future__ import annotations

LIGHT = {
    "background": "#ffffff",
    "text": "#1f2328",
    "muted": "#57606b",
    "grid": "#d8dee4",
    "axis": "#8c959f",
    "train": "#0757c2",
    "train-raw": "#6fa6e8",
    "eval": "#b34700",
    "eval-raw": "#d9955f",
    "third": "#6639ba",
    "third-raw": "#a78be8",
    "fourth": "#116b3a",
    "fourth-raw": "#6cb98d",
    "limit": "#7d4e00",
    "error": "#c2182b",
    "warning": "#8a5a00",
    "note": "#3f5bb5",
}
DARK = {
    "background": "#0f141b",
    "text": "#e6edf3",
    "muted": "#9da7b3",
    "grid": "#2a313b",
    "axis": "#6e7783",
    "train": "#63aeff",
    "train-raw": "#3d73b3",
    "eval": "#ff9b50",
    "eval-raw": "#a5683c",
    "third": "#bd9dff",
    "third-raw": "#7560b5",
    "fourth": "#56d38a",
    "fourth-raw": "#3c8f60",
    "limit": "#e3b341",
    "error": "#ff8079",
    "warning": "#e0ac3a",
    "note": "#93acff",
}
LINES = ("train", "eval", "third", "fourth")


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours `#rrggbb`, 1 to 21, as WCAG 2.2 defines it (relative luminance in sRGB)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
