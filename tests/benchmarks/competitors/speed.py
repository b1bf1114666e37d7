"""CPU seconds from a trainer_state.json to the diagnosis in the terminal.

    python -m tests.benchmarks.competitors.speed [--home DIR] [--rounds N] [--check]

Every tool reads the same generated files of 100,000 steps (loss, grad_norm and learning_rate a step, 20 evaluations; one healthy, one
with a spike and overfitting). Measured is the user and system time of the whole process: the median of three runs after one that does not
count, the tools taking turns; a tool that takes over five seconds is run once. lossdoctor reads one of 1,000,000 steps as well. With
--check the exit code is 1 where a target is missed: at most half of the fastest other tool on each file, and a million steps in at most
twelve times the time of 100,000. Memory is limited to 8 GiB and a run to two minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from .run import CACHE
from .tools import install, limited, tools

SHARE = 0.5
GROWTH = 12.0
SLOW = 5.0


def write(path: Path, steps: int, *, faulty: bool) -> None:
    """A state as transformers writes it, one row a step: warmup and cosine, a loss that falls to 1.6 with noise of 0.06."""
    rng = random.Random(7)
    rows = []
    for step in range(1, steps + 1):
        done, since = step / steps, step - steps // 2
        burst = math.exp(-since / 12) if faulty and 0 <= since < 40 else 0.0
        rate = 2e-4 * min(1, done / 0.03) * (1 + math.cos(math.pi * max(0, done - 0.03) / 0.97)) / 2
        loss = 1.6 + 2.4 * math.exp(-6 * done) + rng.gauss(0, 0.06) + 4 * burst
        norm = (1.1 + 0.5 * math.exp(-5 * done) + abs(rng.gauss(0, 0.15))) * (1 + 20 * burst)
        epoch = round(3 * done, 4)
        rows.append({"epoch": epoch, "grad_norm": norm, "learning_rate": rate, "loss": round(loss, 4), "step": step})
        if step % (steps // 20) == 0:
            turn = max(0.0, done - 0.4) * 0.9 if faulty else 0.0
            rows.append({"epoch": epoch, "eval_loss": 1.65 + 2.4 * math.exp(-6 * done) + turn + rng.gauss(0, 0.004), "step": step})
    head = {"best_metric": None, "epoch": 3.0, "eval_steps": steps // 20, "global_step": steps, "logging_steps": 1}
    state = head | {"log_history": rows, "max_steps": steps, "num_train_epochs": 3, "save_steps": steps // 20, "train_batch_size": 8}
    path.parent.mkdir()
    path.write_text(json.dumps(state, indent=2, sort_keys=True))


def seconds(command: Sequence[str], cwd: Path, *, own: bool) -> float | None:
    """CPU seconds of one run; None where it failed, was out of memory, or passed its time limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = limited(command, cwd, env=_own_environment() if own else None)
    except subprocess.TimeoutExpired:
        return None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not done.stdout or done.returncode not in (0, 1) or "Traceback" in done.stderr:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _own_environment() -> dict[str, str]:
    """Ours, with compiled modules kept: pip compiles those of the other tools when it installs them."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def medians(commands: dict[str, Sequence[str]], cwd: Path, rounds: int) -> dict[str, float | None]:
    """Tool -> the median of `rounds` runs after one that warms caches. A tool that failed or is slow is not asked again."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    failed = set[str]()
    for _ in range(rounds + 1):
        for name, command in commands.items():
            if name in failed or max(taken[name], default=0.0) > SLOW:
                continue
            value = seconds(command, cwd, own=name == "lossdoctor")
            if value is None:
                failed.add(name)
            else:
                taken[name].append(value)
    return {name: None if name in failed else median(values[1:] or values) for name, values in taken.items()}


def lines(name: str, found: dict[str, float | None], fastest: float) -> list[str]:
    rows = [f"\n{name}\n", "| tool | CPU seconds | against the fastest other tool |", "|---|---:|---:|"]
    for tool, value in found.items():
        rows.append(
            f"| {tool} | failed: 8 GiB of memory or two minutes | - |"
            if value is None
            else f"| {tool} | {value:.2f} | {value / fastest:.2f} |"
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=CACHE, help="where the tools are installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    for tool in tools():
        install(tool, given.home)
    missed, longest = False, 0.0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for kind in ("healthy", "faulty"):
            path = work / kind / "trainer_state.json"
            write(path, 100_000, faulty=kind == "faulty")
            commands: dict[str, Sequence[str]] = {"lossdoctor": [sys.executable, "-m", "lossdoctor", "analyze", str(path)]}
            commands |= {f"{tool.name} {tool.version}": tool.command(given.home, tool.terminal, path) for tool in tools()}
            found = medians(commands, work, given.rounds)
            ours = found["lossdoctor"]
            fastest = min(value for name, value in found.items() if name != "lossdoctor" and value is not None)
            print("\n".join(lines(f"{kind}, 100,000 steps, {path.stat().st_size / 1e6:.0f} MB", found, fastest)), flush=True)
            missed |= ours is None or ours > SHARE * fastest
            longest = max(longest, ours or 0.0) if kind == "healthy" else longest
        large = work / "large" / "trainer_state.json"
        write(large, 1_000_000, faulty=False)
        value = medians({"lossdoctor": [sys.executable, "-m", "lossdoctor", "analyze", str(large)]}, work, given.rounds)["lossdoctor"]
        if value is None or not longest:
            print("\nlossdoctor failed on 1,000,000 steps")
            return 1
        print(f"\nhealthy, 1,000,000 steps: lossdoctor {value:.2f} CPU seconds, {value / longest:.1f} times the time of 100,000")
        missed |= value > GROWTH * longest
    return int(missed and given.check)


if __name__ == "__main__":
    sys.exit(main())
