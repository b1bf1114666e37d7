"""How fast is a local WandB run read? `python tests/benchmarks/wandb_local.py [rows]` (default 200,000 rows x 10 keys).

Writes a file as wandb-core does (a history and a summary record a row, keys in any order), reads it with lossdoctor and, where
the `wandb` command runs, with `wandb leet inspect --json`, each in a process of its own, and prints CPU seconds and the ratio.
"""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as pb

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))
from wandb_files import framed

KEYS = [
    f"train/{name}"
    for name in ("loss", "grad_norm", "learning_rate", "epoch", "global_step", "accuracy", "entropy", "num_tokens", "margin", "kl")
]


def payloads(rows: int) -> Iterator[bytes]:
    draw = random.Random(0)
    number = 0
    for step in range(rows):
        values = {key: repr(draw.gauss(2, 1)) for key in KEYS} | {
            "train/global_step": str(step + 1), "_step": str(step), "_runtime": repr(step * 0.25), "_timestamp": repr(1.78e9 + step * 0.25),
        }  # fmt: skip
        order = list(values)
        draw.shuffle(order)
        for kind in ("history", "summary"):
            number += 1
            record = pb.Record(num=number)
            if kind == "history":
                for key in order:
                    record.history.item.add(nested_key=[key], value_json=values[key])
                record.history.step.num = step
            else:
                for key in order:
                    record.summary.update.add(nested_key=[key], value_json=values[key])
            yield record.SerializeToString()


def cpu_seconds(command: list[str]) -> tuple[float, int]:
    """(user + system seconds, peak MiB so far) of a child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as sink:
        subprocess.run(command, check=True, stdout=sink, stderr=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss // 1024


READ = """
import sys
from pathlib import Path
from lossdoctor.sources import wandb_local
log, = wandb_local.read(Path(sys.argv[1]))
assert len(log.series) == 9 and all(len(s.values) == int(sys.argv[2]) for s in log.series), [(s.name, len(s.values)) for s in log.series]
assert not log.faults
"""


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run-bench000.wandb"
        with path.open("wb") as file:
            file.writelines(framed(payloads(rows)))
        print(f"{rows} rows x {len(KEYS)} keys, {path.stat().st_size / 1e6:.0f} MB")
        ours, peak = min(cpu_seconds([sys.executable, "-c", READ, str(path), str(rows)]) for _ in range(3))
        print(f"lossdoctor          {ours:6.2f} CPU s, {peak} MiB, {'within' if ours <= 4 else 'OVER'} the 4 s that 200,000 rows may take")
        wandb = shutil.which("wandb", path=str(Path(sys.executable).parent))
        if wandb:
            theirs, _ = cpu_seconds([wandb, "leet", "inspect", "--json", str(path)])
            print(f"wandb leet inspect  {theirs:6.2f} CPU s, {theirs / ours:.1f} x lossdoctor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
