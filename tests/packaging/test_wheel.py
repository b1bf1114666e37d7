"""The wheel, installed where nothing of the checkout is: it lists its rules and diagnoses a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path, fine: tuple[int, ...] = (0,)) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, timeout=120)
    assert done.returncode in fine, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("wheel")
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling, which the test group brings")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    call(*pip, "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", home, ROOT, cwd=home)
    return next(home.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script in an environment that holds the wheel and, through a path, the dependencies that are installed here."""
    home = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    python = home / "venv/bin/python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=home,
    )
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "venv/bin/lossdoctor"


def test_the_wheel_holds_the_rules_the_templates_and_the_types(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {f"lossdoctor/rules/{path.name}" for path in (ROOT / "rules").glob("*.toml")} <= names
    assert "lossdoctor/py.typed" in names
    assert {f"lossdoctor/reporters/templates/{path.name}" for path in (ROOT / "lossdoctor/reporters/templates").iterdir()} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "fixtures/", "reports/"))]


def test_it_runs_where_nothing_of_the_checkout_is(program: Path, tmp_path: Path) -> None:
    assert len(json.loads(call(program, "rules", "-f", "json", cwd=tmp_path))) == len(list((ROOT / "rules").glob("*.toml")))
    where = call(program.parent / "python", "-c", "import lossdoctor; print(lossdoctor.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where
    found = json.loads(
        call(program, "analyze", ROOT / "fixtures/hockey-stick-sft", "-f", "json", "-o", "report.html", cwd=tmp_path, fine=(1,))
    )
    assert found["findings"][0]["rule"] == "hockey-stick"
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_version_is_told(program: Path, tmp_path: Path) -> None:
    assert call(program, "--version", cwd=tmp_path).startswith("lossdoctor 0.")
