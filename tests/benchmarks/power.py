"""How often the description of a curve feigns something in mere noise, and how small an effect it sees: rates in percent.

    python -m tests.benchmarks.power [--runs 200]

Simulated curves (tests/shapes/simulated.py): a level of 2 with noise of 5 % of it, white, correlated, heavy-tailed or rounded, of 4 to 1000
rows, alone or with a fall, a step, a bend or a wave of a given size. The tests in tests/shapes hold a part of this table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lossdoctor.measures.oscillation import strongest_period
from lossdoctor.shapes.curve import Curve
from lossdoctor.shapes.jumps import jumps
from tests.shapes.simulated import NOISE, NOISES, Shape, bend, broken, changed, exponential, fell, late, share, step, straight

ROWS = (4, 8, 12, 16, 24, 32, 64, 128, 200, 1000)
SEEN = ("white", "t3", "r=.5")
CYCLES = 6


def waves(curve: Curve) -> bool:
    peak = strongest_period(curve.values, CYCLES)
    return peak is not None and peak.local_chance <= 0.01


def wave(amplitude: float) -> Shape:
    return lambda x: amplitude * np.sin(2 * np.pi * 7.3 * x)


FEIGNED: Mapping[str, Callable[[Curve], object]] = {
    "more than one piece": broken,
    "a jump": jumps,
    "a change": changed,
    "a trend, |z| > 2": lambda curve: abs(curve.trend()[1]) > 2,
    "a wave, local chance 1 %": waves,
}

EFFECTS: Mapping[str, tuple[Callable[[Curve], object], Mapping[str, Shape]]] = {
    "a fall that is seen": (
        fell,
        {f"{name} {fall:.0%}": kind(fall) for name, kind in (("straight", straight), ("exponential", exponential), ("late", late))
         for fall in (0.05, 0.1, 0.2, 0.4)},
    ),
    "a jump at a third of the rows": (jumps, {f"{size} deviations": step(size * NOISE) for size in (2, 4, 6, 8)}),
    "a jump at a tenth of the rows": (jumps, {f"{size} deviations": step(size * NOISE, 0.1) for size in (4, 8)}),
    "more than one piece": (
        broken,
        {f"bend of {size} deviations": bend(size * NOISE) for size in (2, 4, 6)} | {"exponential 40%": exponential(0.4)},
    ),
    "a wave, local chance 1 %": (waves, {f"{size} deviations": wave(size * NOISE) for size in (1, 1.5, 2.5)}),
}  # fmt: skip


def table(title: str, lines: Mapping[str, Sequence[float]]) -> str:
    head = f"{title:<32}" + "".join(f"{n:>6}" for n in ROWS) + " rows"
    return "\n".join([head, *(f"  {name:<30}" + "".join(f"{100 * rate:6.1f}" for rate in rates) for name, rates in lines.items()), ""])


def rates(test: Callable[[Curve], object], noise: str, runs: int, shape: Shape | None = None) -> list[float]:
    return [share(test, noise, n, runs, shape) for n in ROWS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="curves a number (200)")
    runs = parser.parse_args().runs
    print("Feigned by noise alone, % of the curves\n")
    for title, test in FEIGNED.items():
        print(table(title, {noise: rates(test, noise, runs) for noise in NOISES}), flush=True)
    print("Seen, % of the curves\n")
    for title, (test, shapes) in EFFECTS.items():
        for noise in SEEN:
            print(table(f"{title}, {noise}", {name: rates(test, noise, runs, shape) for name, shape in shapes.items()}), flush=True)


if __name__ == "__main__":
    main()
