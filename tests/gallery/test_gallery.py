"""The committed reports are what the program says today, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from difflib import unified_diff
from itertools import islice

import pytest

from .make import ROOT, SHOWN, gallery

REPORTS = ROOT / "reports"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return dict(gallery())


def test_every_report_is_what_is_committed(made: dict[str, str]) -> None:
    changed = []
    for name, content in made.items():
        path = REPORTS / name
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        if content != committed:
            changed += [
                f"{name}:",
                *islice(unified_diff(committed.splitlines(), content.splitlines(), "committed", "now", n=0, lineterm=""), 12),
            ]
    assert not changed, "run `make gallery` and look at what changed:\n" + "\n".join(line[:200] for line in changed[:120])


def test_nothing_else_is_committed(made: dict[str, str]) -> None:
    assert {path.relative_to(REPORTS).as_posix() for path in REPORTS.rglob("*.*") if path.is_file()} == set(made) - {"../README.md"}


def test_reports_name_no_machine_and_no_version(made: dict[str, str]) -> None:
    for name, content in made.items():
        assert str(ROOT) not in content, name
        assert '"versions"' not in content, name


def test_the_html_reports_are_small(made: dict[str, str]) -> None:
    assert all(len(made[f"{name}.html"].encode()) < 250_000 for name in SHOWN)


@pytest.mark.parametrize("name", sorted(path.stem for path in REPORTS.glob("*.txt"))[::9])
def test_a_committed_text_is_what_the_command_prints(name: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "lossdoctor", "analyze", f"fixtures/{name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert printed.stdout == (REPORTS / f"{name}.txt").read_text(encoding="utf-8")
