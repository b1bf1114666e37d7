"""What a call imports: the help nothing heavy, a terminal diagnosis nothing that it does not need. Looked up in sys.modules, not timed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from .program import environment

NEVER = {"pandas", "matplotlib", "scipy.stats", "scipy.signal", "scipy.ndimage", "wandb", "tbparse", "jinja2", "yaml", "google.protobuf"}
PROBE = """
import sys
from lossdoctor.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write("\\n".join(sorted(sys.modules)))
sys.exit(code)
"""


def loaded(*arguments: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout
    return set(done.stderr.splitlines())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A trainer_state.json of 500 entries that falls like a healthy run does."""
    rows = [
        {"epoch": i / 250, "step": i * 10, "loss": 1.2 + 2 * math.exp(-i / 90) + 0.02 * math.sin(12.9 * i), "learning_rate": 2e-4}
        for i in range(1, 501)
    ]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 5000, "max_steps": 5000, "num_train_epochs": 2, "log_history": rows}), encoding="utf-8")
    return path


def test_help_imports_nothing_but_click(tmp_path: Path) -> None:
    modules = loaded("--help", cwd=tmp_path)
    assert not modules & (NEVER | {"numpy", "scipy", "msgspec"})
    assert {name for name in modules if name.startswith("lossdoctor.")} <= {
        "lossdoctor.cli", "lossdoctor.cli.main", "lossdoctor.errors"
    }  # fmt: skip


def test_a_terminal_diagnosis_imports_nothing_heavy(state: Path) -> None:
    modules = loaded("analyze", str(state), "--exit-zero", cwd=state.parent)
    assert not modules & NEVER
    assert not {name for name in modules if name == "scipy" or name.startswith("scipy.")}


def test_json_lines_need_no_more(state: Path) -> None:
    modules = loaded("analyze", str(state), "-f", "jsonl", "--exit-zero", cwd=state.parent)
    assert not modules & NEVER


def test_importing_the_package_imports_nothing(tmp_path: Path) -> None:
    probe = "import sys, lossdoctor; print([m for m in sys.modules if m.startswith(('lossdoctor.', 'numpy', 'pandas', 'msgspec'))])"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
