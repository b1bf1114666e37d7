"""Event files for the benchmark: 1 M points in both scalar styles, and the files that are hard to read fast."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "sources" / "event_files"))

from writer import START, event, field, histogram, image, record, simple, tensor, version


def names(count: int) -> list[bytes]:
    """Tags of different lengths."""
    kinds = ("train/loss", "train/grad_norm", "train/learning_rate", "eval/accuracy", "eval/perplexity/mean")
    return [f"{kinds[i % len(kinds)]}{f'/layer_{i}' if i >= len(kinds) else ''}".encode() for i in range(count)]


def steady(tags: int, steps: int, style: Callable[[bytes, float], bytes]) -> Iterator[bytes]:
    """Every tag at every step, in the same order."""
    rng = random.Random(1)
    for step in range(steps):
        for tag in names(tags):
            yield record(event(START + 0.37 * step + rng.random() / 1000, step, field(5, style(tag, 2.5 / (1 + step) + rng.random() / 10))))


def shuffled(tags: int, points: int) -> Iterator[bytes]:
    """Tags in random order: no period to lean on."""
    rng = random.Random(2)
    choices = names(tags)
    for i in range(points):
        yield record(event(START + 0.1 * i + rng.random() / 1000, i // tags, field(5, simple(rng.choice(choices), rng.random()))))


def merged(tags: int, events: int) -> Iterator[bytes]:
    """TF1's merge_all: many values an event."""
    rng = random.Random(3)
    choices = names(tags)
    for step in range(events):
        summary = b"".join(simple(tag, rng.random()) for tag in choices)
        yield record(event(START + 0.37 * step + rng.random() / 1000, step, field(5, summary)))


def mixed(tags: int, steps: int) -> Iterator[bytes]:
    """Scalars with a histogram every 10 steps and an image every 100."""
    rng = random.Random(4)
    for step, scalar in enumerate(steady(tags, steps, simple)):
        yield scalar
        if step % (10 * tags) == 0:
            for tag in names(tags):
                yield record(event(START + 0.037 * step, step // tags, field(5, histogram(tag + b"/weights", rng))))
        if step % (100 * tags) == 0:
            yield record(event(START + 0.037 * step, step // tags, field(5, image(b"sample", rng))))


FILES: dict[str, Callable[[float], Iterator[bytes]]] = {
    "simple_value, 10 tags": lambda size: steady(10, int(100_000 * size), simple),
    "tensor, 10 tags": lambda size: steady(10, int(100_000 * size), tensor),
    "1000 tags x 300 points": lambda size: steady(1000, int(300 * size), simple),
    "10 tags in random order": lambda size: shuffled(10, int(300_000 * size)),
    "TF1, 10 values an event": lambda size: merged(10, int(30_000 * size)),
    "histograms and images between": lambda size: mixed(10, int(30_000 * size)),
}


def write(path: Path, kind: str, size: float = 1.0) -> None:
    """Write one of FILES; `size` scales the number of points."""
    with path.open("wb") as file:
        file.write(version())
        for data in FILES[kind](size):
            file.write(data)
