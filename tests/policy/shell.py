"""Run a step of a CI job as a runner does: bash, its own environment, and this checkout as the installed lossdoctor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FIXTURES = ROOT / "fixtures"


def put_command(folder: Path, name: str, text: str) -> None:
    """Put an executable shell script into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def put_lossdoctor(folder: Path) -> None:
    put_command(folder, "lossdoctor", f'exec "{sys.executable}" -m lossdoctor "$@"')


def run(script: str, folder: Path, environment: dict[str, str], *, first_on_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`script` as GitHub and GitLab run it: bash with errexit and pipefail."""
    path = os.environ["PATH"] if first_on_path is None else f"{first_on_path}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "LANG": "C.UTF-8", **environment}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        timeout=120,
    )
