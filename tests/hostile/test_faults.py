"""Faults around the analysis: no room, no rights, no home, a signal, a detector or a chart that fails, secrets, and what it must not do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossdoctor.cli.main import run
from tests.cli.program import FIXTURES, command, environment, lossdoctor

from .inputs import MATRIX, rows, state

OLD = "the report of yesterday"


def healthy(home: Path) -> Path:
    home.mkdir()
    (home / "trainer_state.json").write_text(state(), encoding="utf-8")
    return home


def limited(what: int, amount: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (amount, amount))


def test_no_room_for_the_report(tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: the write fails half-way."""
    healthy(tmp_path / "run")
    (tmp_path / "r.html").write_text(OLD)
    done = subprocess.run(
        command(["analyze", "run", "-o", "r.html", "-o", "r.md"]),
        cwd=tmp_path,
        env=environment(),
        preexec_fn=limited(resource.RLIMIT_FSIZE, 10_000),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "r.html" in done.stderr
    assert "PASS" in done.stdout
    assert (tmp_path / "r.html").read_text() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.md", "run"]


def test_no_room_on_standard_output(tmp_path: Path) -> None:
    healthy(tmp_path / "run")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command(["analyze", "run"]), cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_report_is_written(number: int, code: int, tmp_path: Path) -> None:
    """The write hangs in fsync, which the child replaces, until the signal comes."""
    healthy(tmp_path / "run")
    (tmp_path / "r.json").write_text(OLD)
    hanging = (
        "import os, sys, time\n"
        "os.fsync = lambda _: (open('hangs', 'w').close(), time.sleep(60))\n"
        "from lossdoctor.cli import main\n"
        "main(['analyze', 'run', '-o', 'r.json'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", hanging], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "hangs").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(list(tmp_path.glob(".r.json.*"))) == 1
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in said
    assert (tmp_path / "r.json").read_text() == OLD
    assert not list(tmp_path.glob(".r.json.*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_without_rights(tmp_path: Path) -> None:
    home = healthy(tmp_path / "run")
    home.chmod(0o500)
    assert lossdoctor("analyze", "run", cwd=tmp_path).returncode == 0
    (home / "trainer_state.json").chmod(0)
    done = lossdoctor("analyze", "run", cwd=tmp_path)
    home.chmod(0o700)
    assert done.returncode == 3


@pytest.mark.parametrize(
    "more", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"HOME": "/nonexistent"}, {"TERM": "dumb"}, {"COLUMNS": "40"}], ids=str
)
def test_poor_environments(more: dict[str, str], tmp_path: Path) -> None:
    healthy(tmp_path / "läuft")
    done = lossdoctor("analyze", "läuft", "-o", "r.html", cwd=tmp_path, env=more)
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["läuft", "r.html"]


def test_a_detector_that_crashes_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lossdoctor import analyze

    def broken(run: object, **_: Any) -> None:
        raise ZeroDivisionError("on purpose")

    bind = analyze.bind
    monkeypatch.setattr(analyze, "bind", lambda rules, table: {**bind(rules, table), "sawtooth": broken})
    assert run(["analyze", str(FIXTURES / "hockey-stick-sft"), "-f", "json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [note["rule"] for note in found["crashed"]] == ["sawtooth"]
    assert "ZeroDivisionError: on purpose" in found["crashed"][0]["reason"]
    assert found["findings"][0]["rule"] == "hockey-stick"


def test_a_chart_that_fails_costs_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from matplotlib.figure import Figure

    def broken(*_: object, **__: object) -> None:
        raise ValueError("on purpose")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Figure, "savefig", broken)
    assert run(["analyze", str(FIXTURES / "healthy-short"), "-o", "r.html"]) == 3
    assert "could not be drawn" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "could not be drawn" in capsys.readouterr().err


CANARIES = {
    "hub_token": "hf_CanaryCanaryCanaryCanaryCanary01",
    "api_key": "sk-canary-CanaryCanaryCanary0000000002",
    "push_to_hub_token": "hf_CanaryCanaryCanaryCanaryCanary03",
    "wandb_api_key": "0123456789abcdef0123456789abcdefcanary04",
}
FORMATS = ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "alerts")


def test_no_secret_in_any_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    home = healthy(tmp_path / "run")
    log = [{**row, f"loss/{CANARIES['hub_token']}": 1.0} for row in rows()]
    (home / "trainer_state.json").write_text(state(log, trial_params=CANARIES), encoding="utf-8")
    (home / "args.json").write_text(json.dumps({**CANARIES, "learning_rate": 1e-4, "output_dir": f"s3://key:{CANARIES['api_key']}@bucket"}))
    (home / "train.log").write_text(f"Authorization: Bearer {CANARIES['api_key']}\nexport HF_TOKEN={CANARIES['hub_token']}\nKilled\n")
    for form in FORMATS:
        run(["analyze", "run", "-f", form, "-v"])
    run(["inputs", "run"])
    run(["inputs", "run", "-f", "json"])
    run(["analyze", "run", "-o", "r.html", "-o", "r.json", "-q"])
    everything = "".join(capsys.readouterr()) + (tmp_path / "r.html").read_text("utf-8") + (tmp_path / "r.json").read_text("utf-8")
    assert "learning_rate" in everything
    assert [name for name, secret in CANARIES.items() if secret in everything] == []


AUDIT = """
import sys
seen = []
FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.", "urllib.")
home = sys.argv[1]

def hook(event, arguments):
    if event.startswith(FORBIDDEN):
        seen.append(event + " " + repr(arguments)[:80])
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+") and str(arguments[0]).startswith(home):
        seen.append("written: " + str(arguments[0]))

from lossdoctor.cli.main import run
sys.addaudithook(hook)
for path in sys.argv[1:]:
    run(["analyze", path, "-f", "jsonl"])
sys.stderr.write("\\n".join(seen))
"""


def test_local_inputs_cause_no_network_no_process_no_pickle_and_no_writing(tmp_path: Path) -> None:
    home = tmp_path / "run"
    home.mkdir()
    for name in ("a pickle that runs a command", "YAML that builds objects", "a scheduler that runs a command"):
        MATRIX[name].build(home)
    names = ("hockey-stick-sft", "cliff-killed-wandb", "seed-log", "healthy-table", "healthy-cosine")
    copies = [shutil.copytree(FIXTURES / name, tmp_path / name) for name in names]
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, home, *copies], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + len(names)
    assert done.stderr == ""


HEAVY = ["a sparse event file of 1 GiB", "a declared length of 2^64 - 1", "nesting 100,000 deep", "a line of 10 MB", "a YAML bomb"]


@pytest.mark.parametrize("name", HEAVY)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    home = tmp_path / "run"
    home.mkdir()
    MATRIX[name].build(home)
    done = subprocess.run(
        command(["analyze", "run"]),
        cwd=tmp_path,
        env={**environment(), "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=limited(resource.RLIMIT_AS, 2 << 30),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in MATRIX[name].codes, done.stderr
    assert "MemoryError" not in done.stdout + done.stderr
