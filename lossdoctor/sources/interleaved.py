"""Two runs that wrote into one file at a time, told apart by their steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_MOST_RUNS = 8
_SWITCHES_A_RUN = 4
_SHORT_SHARE = 0.25


def interleaved(steps: Sequence[int], counts: Sequence[int]) -> list[int]:
    """The run (0, 1, ...) of each row; all 0 where the file holds one run, restarts included.

    A row goes to the run whose last step lies closest before its own, the one that waited longest where several do; it opens a new run
    where there is none. Only rows that count (a training loss) decide, the others follow the row before, the second of a step the
    run after that. Runs that follow one another (a restart) are one run with backward steps, not several: they must alternate at least
    four times each to be told apart.
    """
    last: list[int] = []
    used: list[int] = []
    runs: list[int] = []
    switches, current = 0, 0
    for index, (step, decides) in enumerate(zip(steps, counts, strict=True)):
        if decides:
            open_runs = [run for run in range(len(last)) if last[run] < step]
            if open_runs:
                run = max(open_runs, key=lambda candidate: (last[candidate], -used[candidate]))
                last[run], used[run] = step, index
            elif len(last) < _MOST_RUNS:
                run = len(last)
                last.append(step)
                used.append(index)
            else:
                return [0] * len(steps)
            switches += run != current
            current = run
            runs.append(run)
            continue
        # Two runs that write the same row without a loss write it one after the other.
        again = index > 0 and not counts[index - 1] and steps[index - 1] == step and len(last) > 1
        runs.append((runs[-1] + 1) % len(last) if again else current)
    if len(last) < 2 or switches < _SWITCHES_A_RUN * len(last):
        return [0] * len(steps)
    return _folded(runs, len(last))


def _folded(runs: list[int], count: int) -> list[int]:
    """Short runs are the repeated stretches after a restart of the long ones: they belong to those, in order."""
    sizes = Counter(runs)
    long = [run for run in range(count) if sizes[run] >= _SHORT_SHARE * max(sizes.values())]
    short = [run for run in range(count) if run not in long]
    home = {run: index for index, run in enumerate(long)} | {run: index % len(long) for index, run in enumerate(short)}
    return [home[run] for run in runs]
