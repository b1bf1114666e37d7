"""What is written is read: any tags, steps, times and values, in both styles, few records and many."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.sources.tensorboard import read_file

from .writer import event, field, record, simple, tensor, write

steps = st.one_of(st.integers(0, 300), st.integers(-(1 << 63), (1 << 63) - 1))
points = st.tuples(
    st.sampled_from([simple, tensor]), st.text(max_size=12), steps, st.floats(allow_nan=False), st.floats(width=32, allow_nan=True)
)


def bits(value: float) -> bytes:
    return struct.pack("<f", value)


@settings(max_examples=150, deadline=None)
@given(st.lists(points, min_size=1, max_size=12), st.integers(1, 120), st.integers(0, 3))
def test_write_then_read(some: list, repeats: int, drift: int) -> None:  # type: ignore[type-arg]
    """`repeats` makes enough records of a layout for the columns; `drift` lets the steps, and so the sizes, grow."""
    rows = [
        (style, tag, step + i * drift if step + i * drift < 1 << 63 else step, wall + i, value)
        for i in range(repeats)
        for style, tag, step, wall, value in some
    ]
    expected: dict[str, list] = {}  # type: ignore[type-arg]
    for _, tag, step, wall, value in rows:
        expected.setdefault(tag, []).append((step, wall, bits(value)))
    with tempfile.TemporaryDirectory() as directory:
        path = write(
            Path(directory) / "events.out.tfevents.1.h",
            *(record(event(w, s, field(5, style(t.encode(), v)))) for style, t, s, w, v in rows),
        )
        file = read_file(path)
    found = {
        tag: list(zip(c.steps.tolist(), c.wall_times.tolist(), map(bits, c.values.tolist()), strict=True))
        for tag, c in file.scalars.items()
    }
    assert found == expected
    assert file.faults == ()
    assert all(c.steps.dtype == np.int64 and c.values.dtype == c.wall_times.dtype == np.float64 for c in file.scalars.values())
