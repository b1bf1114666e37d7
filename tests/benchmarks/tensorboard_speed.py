"""How fast event files are read, against named baselines, in one run: CPU seconds and peak memory from file to one DataFrame.

    python tests/benchmarks/tensorboard_speed.py [--size 1.0] [--only simple] [--check]

Baselines: tbparse, TensorBoard's EventAccumulator (--all) and TensorBoard's Rust data server over gRPC (both of its processes counted).
Each reading has a process of its own; imports are not timed, and tbparse and EventAccumulator are told to parse scalars only.
With --check the exit code is 1 if a target of TARGETS is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorboard_files

TARGETS = {
    "simple_value, 10 tags": {"tbparse": 35, "rust server": 5},
    "tensor, 10 tags": {"tbparse": 35, "rust server": 5},
    "1000 tags x 300 points": {"tbparse": 15},
    "10 tags in random order": {"tbparse": 15},
    "TF1, 10 values an event": {"tbparse": 15},
    "histograms and images between": {"tbparse": 15},
}
MEMORY = 0.6


def read_lossdoctor(path: Path) -> Callable[[], Any]:
    import numpy as np
    import pandas as pd

    from lossdoctor.sources.tensorboard import read_file

    def read() -> Any:
        file = read_file(path)
        columns = list(file.scalars.values())
        tags = np.repeat(np.arange(len(columns), dtype=np.int16), [len(c.steps) for c in columns])
        return pd.DataFrame(
            {
                "tag": pd.Categorical.from_codes(tags, list(file.scalars)),
                "step": np.concatenate([c.steps for c in columns]),
                "wall_time": np.concatenate([c.wall_times for c in columns]),
                "value": np.concatenate([c.values for c in columns]),
            },
            copy=False,
        )

    return read


def read_tbparse(path: Path) -> Callable[[], Any]:
    import pandas as pd
    import tbparse

    kind = "tensors" if "tensor" in path.parent.name else "scalars"
    pd.DataFrame({"tag": ["a"]})
    return lambda: getattr(tbparse.SummaryReader(str(path), event_types={kind}, extra_columns={"wall_time"}), kind)


def read_accumulator(path: Path) -> Callable[[], Any]:
    import pandas as pd
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def read() -> Any:
        events = EventAccumulator(str(path), {"scalars": 0, "tensors": 0}, purge_orphaned_data=False).Reload()
        tags = events.Tags()
        rows = [(tag, e.step, e.wall_time, e.value) for tag in tags["scalars"] for e in events.Scalars(tag)]
        rows += [(tag, e.step, e.wall_time, make_ndarray(e.tensor_proto).item()) for tag in tags["tensors"] for e in events.Tensors(tag)]
        return pd.DataFrame(rows, columns=["tag", "step", "wall_time", "value"])

    return read


def read_rust(path: Path) -> Callable[[], Any]:
    import grpc
    import numpy as np
    import pandas as pd
    import tensorboard_data_server
    from tensorboard.data.proto import data_provider_pb2 as api
    from tensorboard.data.proto.data_provider_pb2_grpc import TensorBoardDataProviderStub

    def read() -> Any:
        port = Path(tempfile.mkdtemp()) / "port"
        server = [tensorboard_data_server.server_binary(), f"--logdir={path.parent}", "--reload=once", "--samples-per-plugin=scalars=all"]
        with subprocess.Popen([*server, "--port=0", f"--port-file={port}", "--die-after-stdin"], stdin=subprocess.PIPE) as process:
            while not (port.exists() and port.read_text().endswith("\n")):
                time.sleep(0.02)
            channel = grpc.insecure_channel(f"localhost:{port.read_text().strip()}", [("grpc.max_receive_message_length", 1 << 30)])
            stub = TensorBoardDataProviderStub(channel)
            _wait_until_loaded(stub, api)
            request = api.ReadScalarsRequest(experiment_id="e", downsample=api.Downsample(num_points=1 << 30))
            request.plugin_filter.plugin_name = "scalars"
            tags = [tag for run in stub.ReadScalars(request).runs for tag in run.tags]
            frame = pd.DataFrame(
                {
                    "tag": np.repeat([tag.tag_name for tag in tags], [len(tag.data.step) for tag in tags]),
                    "step": np.concatenate([np.array(tag.data.step) for tag in tags]),
                    "wall_time": np.concatenate([np.array(tag.data.wall_time) for tag in tags]),
                    "value": np.concatenate([np.array(tag.data.value) for tag in tags]),
                }
            )
            channel.close()
            process.stdin.close()  # type: ignore[union-attr]
        return frame

    return read


def _wait_until_loaded(stub: Any, api: Any) -> None:
    request = api.ListScalarsRequest(experiment_id="e")
    request.plugin_filter.plugin_name = "scalars"
    same, before = 0, b""
    while same < 4:
        time.sleep(0.25)
        now = stub.ListScalars(request).SerializeToString(deterministic=True)
        same, before = (same + 1 if now and now == before else 0), now


READERS = {"lossdoctor": read_lossdoctor, "tbparse": read_tbparse, "rust server": read_rust, "EventAccumulator": read_accumulator}


def measure(reader: str, path: Path) -> None:
    """Read once and print CPU seconds, peak memory in MB and the number of points, as JSON; runs in a process of its own."""
    read = READERS[reader](path)
    before = _cpu()
    frame = read()
    seconds = _cpu() - before
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak, "points": len(frame)}))


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run(reader: str, path: Path, rounds: int) -> dict[str, float]:
    """The round with the median CPU time."""
    results = []
    for _ in range(rounds):
        command = [sys.executable, "-W", "ignore", __file__, "--measure", reader, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{reader} failed on {path}:\n{done.stderr}")
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return sorted(results, key=lambda result: result["seconds"])[rounds // 2]


def compare(kind: str, path: Path, readers: list[str]) -> bool:
    """Print the figures of one file; returns whether its targets are met."""
    ours = run("lossdoctor", path, 5)
    print(f"\n{kind}: {ours['points']:,} points, {path.stat().st_size / 1e6:.0f} MB")
    print(f"  {'lossdoctor':<18}{ours['seconds']:8.2f} s {ours['megabytes']:7.0f} MB")
    met = True
    for reader in readers:
        other = run(reader, path, 1 if reader != "rust server" else 3)
        ratio, memory = other["seconds"] / ours["seconds"], ours["megabytes"] / other["megabytes"]
        wanted = TARGETS[kind].get(reader)
        verdict = "" if wanted is None else f"  target {wanted}x: {'met' if ratio >= wanted else 'MISSED'}"
        met &= wanted is None or ratio >= wanted
        if reader == "tbparse":
            met &= memory <= MEMORY
            verdict += f"  memory {memory:.0%} of it, target {MEMORY:.0%}: {'met' if memory <= MEMORY else 'MISSED'}"
        print(f"  {reader:<18}{other['seconds']:8.2f} s {other['megabytes']:7.0f} MB  {ratio:6.1f}x{verdict}")
        if other["points"] != ours["points"]:
            print(f"  {reader} found only {other['points']:,} points" if other["points"] < ours["points"] else "  points are missing")
            met &= other["points"] < ours["points"]
    return met


def main() -> int:
    """Write the files, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="scale of the files")
    parser.add_argument("--only", default="", help="part of the name of a file")
    parser.add_argument("--all", action="store_true", help="EventAccumulator as well")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("READER", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return 0
    readers = ["tbparse", "rust server", *(["EventAccumulator"] if options.all else [])]
    met = True
    with tempfile.TemporaryDirectory() as directory:
        for kind in tensorboard_files.FILES:
            if options.only in kind:
                path = Path(directory) / kind.replace(" ", "_") / "events.out.tfevents.1700000000.host.1.0"
                path.parent.mkdir()
                tensorboard_files.write(path, kind, options.size)
                met &= compare(kind, path, readers)
                path.unlink()
    return 0 if met or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
