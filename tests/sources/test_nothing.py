"""What is said of a place without a training log."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.sources.nothing import nothing_at
from tests.cli.program import lossdoctor

PLAN = Plan(rules=rulebook())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "no training log, and no other file. Looked for trainer_state.json"),
        (("model.safetensors", "config.json"), "only weights and their settings (model.safetensors)"),
        (("epoch=1-step=5.ckpt", "last.ckpt"), "Lightning writes its logs beside their directory"),
        (("a.png", "b.png", "c.png", "d.png"), "only 4 other files (a.png, b.png, c.png and 1 more)"),
    ],
)
def test_what_lies_there_instead_is_named(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    home = tmp_path / "deep" / "er"
    home.mkdir(parents=True)
    for name in names:
        (home / name).write_bytes(b"\x89PNG\x00\x01")
    (diagnosis,) = analyze(str(tmp_path), PLAN)
    assert said in diagnosis.headline
    assert diagnosis.gate.reasons == ("nothing could be read",)


def test_a_file_is_told_from_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(b"\x89PNG")
    assert "the file is none of trainer_state.json" in nothing_at(file).detail


def test_the_headline_is_not_told_again_as_damage(tmp_path: Path) -> None:
    printed = lossdoctor("analyze", tmp_path, cwd=tmp_path)
    assert printed.returncode == 3
    assert "! damage" not in printed.stdout
    assert "0 rules" not in printed.stdout


def test_a_name_of_the_hub_gets_the_command_that_fetches_its_log(tmp_path: Path) -> None:
    printed = lossdoctor("analyze", "some-org/some-model", cwd=tmp_path)
    assert printed.returncode == 2
    assert "hf download some-org/some-model --include '*trainer_state.json'" in printed.stderr
    assert "hf download" not in lossdoctor("analyze", "/no/such/place", cwd=tmp_path).stderr


def test_a_page_is_written_to_a_file(tmp_path: Path) -> None:
    printed = lossdoctor("analyze", tmp_path, "-f", "html", cwd=tmp_path)
    assert printed.returncode == 2
    assert "a page is written to a file: -o report.html" in printed.stderr
