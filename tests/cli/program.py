"""The program as a user starts it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


def lossdoctor(*arguments: str | Path, cwd: Path, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line in `cwd` and return what it printed and its exit code."""
    done = subprocess.run(command(arguments), cwd=cwd, env=environment(env), input=stdin, capture_output=True, text=True, timeout=60)
    assert "Traceback (most recent call last)" not in done.stdout + done.stderr, done.stderr
    return done


def command(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "lossdoctor", *(str(argument) for argument in arguments)]


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Nothing of the machine's own that would change the output."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", **(more or {})}
