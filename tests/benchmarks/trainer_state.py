"""How fast is trainer_state.json read? `python tests/benchmarks/trainer_state.py [--entries 1000000] [--check]`

Baseline: json.loads and pandas.DataFrame(log_history) on the same file. Each reading has a process of its own; imports are not timed.
CPU seconds are the least of three readings, memory is the peak of the process less what it held before. With --check the exit code is
1 if a target of TARGETS is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = {"numbers only": 0.5, "NaN once in 1000 entries": 1.0, "NaN in every entry": 1.0}

MEASURE = """
import json, resource, sys, time
from pathlib import Path
path = Path(sys.argv[2])
if sys.argv[1] == "lossdoctor":
    from lossdoctor.sources.trainer_state import read
    work = lambda: sum(len(s.values) for s in read(path).series)
else:
    import pandas as pd
    work = lambda: int(pd.DataFrame(json.loads(path.read_bytes())["log_history"]).drop(columns=["step", "epoch"]).size)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
values = work()
cpu = time.process_time() - start
print(json.dumps([cpu, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, values]))
"""


def write(path: Path, entries: int, kind: str) -> None:
    """A state as transformers writes it: indented by 2, keys sorted, an evaluation every 100 entries."""
    rare, always = kind == "NaN once in 1000 entries", kind == "NaN in every entry"
    with path.open("w") as file:
        file.write('{\n  "best_metric": null,\n  "epoch": 10.0,\n  "global_step": ' + str(entries * 10) + ',\n  "log_history": [\n')
        for row in range(1, entries + 1):
            norm = float("nan") if always or (rare and row % 1000 == 1) else 1 + row % 977 / 977
            entry: dict[str, object] = {
                "epoch": row / entries * 10,
                "grad_norm": norm,
                "learning_rate": 2e-4 * (1 - row / entries),
            }
            entry |= {"loss": 2.5 / (1 + row / entries), "step": row * 10}
            if row % 100 == 0:
                entry = {"epoch": row / entries * 10, "eval_loss": 2.6 - row / entries, "eval_runtime": 12.5, "step": row * 10}
            file.write("    " + json.dumps(entry, indent=2).replace("\n", "\n    ") + (",\n" if row < entries else "\n"))
        file.write('  ],\n  "logging_steps": 10,\n  "max_steps": ' + str(entries * 10) + ',\n  "num_train_epochs": 10\n}\n')


def measure(reader: str, path: Path) -> tuple[float, float, int]:
    """(CPU seconds, MiB, values) of the best of three readings."""
    runs = [
        subprocess.run([sys.executable, "-c", MEASURE, reader, str(path)], check=True, capture_output=True, text=True) for _ in range(3)
    ]
    return min(tuple(json.loads(run.stdout)) for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for kind, target in TARGETS.items():
            path = Path(folder) / "trainer_state.json"
            write(path, given.entries, kind)
            ours, baseline = measure("lossdoctor", path), measure("pandas", path)
            ratio = ours[0] / baseline[0]
            missed |= ratio > target
            print(f"{kind}: {given.entries} entries, {path.stat().st_size / 1e6:.0f} MB")
            print(f"  lossdoctor        {ours[0]:6.2f} CPU s {ours[1]:7.0f} MiB {ours[2]:9} values")
            print(f"  json + DataFrame  {baseline[0]:6.2f} CPU s {baseline[1]:7.0f} MiB {baseline[2]:9} cells")
            print(f"  ratio             {ratio:6.2f} {'of' if ratio <= target else 'OVER'} {target} allowed", flush=True)
    return int(missed and given.check)


if __name__ == "__main__":
    sys.exit(main())
