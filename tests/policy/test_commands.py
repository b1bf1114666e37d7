"""compare, init, schema, and the options of the gate on the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import jsonschema
import pytest

from lossdoctor.cli.main import run
from lossdoctor.policy.ci import JOBS

from .shell import FIXTURES, put_lossdoctor
from .shell import run as shell

RED, ONE, OTHER = FIXTURES / "hockey-stick-digits", FIXTURES / "healthy-cosine", FIXTURES / "healthy-constant-lr"


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["analyze", str(RED), "--fail-on", "new-error"], "needs a baseline"),
        (["analyze", str(RED), "--baseline", "none.json"], "none.json: no such report"),
        (["analyze", str(RED), "--baseline", str(RED / "metrics.csv")], "not a lossdoctor report"),
        (["analyze", str(RED), "--policy", "none.toml"], "there is no such policy file"),
        (["analyze", str(RED), "-o", "a.json", "-o", "./a.json"], "asked for twice"),
        (["analyze", str(RED), "-o", "a.exe"], "no format for '.exe'"),
        (["compare", str(RED)], "at least two"),
        (["compare", str(RED), "none"], "no such"),
        (["compare", str(RED), str(RED), "--by", "tokens"], "not all of these runs tell their tokens"),
        (["compare", str(RED), str(RED), "-o", "x.sarif"], "no format for '.sarif'"),
        (["schema", "nothing"], ""),
    ],
)
def test_usage_errors_are_2_and_write_nothing(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert list(Path().iterdir()) == []


def test_a_wrong_policy_is_2_with_every_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    Path("lossdoctor.toml").write_text("[rules]\nhokey-stick = 'off'\n[limits]\n'overfitting.rise' = 99\n", encoding="utf-8")
    assert run(["analyze", str(RED)]) == 2
    said = capsys.readouterr().err
    assert "lossdoctor.toml: rules.hokey-stick: there is no rule 'hokey-stick'; did you mean hockey-stick?" in said
    assert "limits.overfitting.rise: 99 is outside of" in said


def test_init_writes_a_policy_that_works_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--preset", "strict"]) == 0
    policy = Path("lossdoctor.toml")
    assert tomllib.loads(policy.read_text(encoding="utf-8"))["preset"] == "strict"
    assert run(["analyze", str(RED), "-f", "concise"]) == 1
    before = policy.read_bytes()
    assert run(["init"]) == 2
    assert policy.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert run(["init", "--force"]) == 0
    assert policy.read_bytes() != before


def test_init_prints_jobs_and_policies(capsys: pytest.CaptureFixture[str]) -> None:
    for service, text in JOBS.items():
        assert run(["init", "--ci", service]) == 0
        assert capsys.readouterr().out == text
    assert run(["init", "-"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["preset"] == "finetune"
    assert list(Path().iterdir()) == []


def test_the_schemas_fit_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(RED), "-f", "json", "--exit-zero"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**report, "verdict": "maybe"})
    assert run(["schema", "policy"]) == 0
    jsonschema.validate({"rules": {"hockey-stick": "off"}}, json.loads(capsys.readouterr().out))


def test_compare_says_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(ONE), str(OTHER), "-o", "versus.html", "-o", "versus.md", "-o", "versus.json"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"learning_rate +0\.004 +0\.002", said)
    versus = json.loads(Path("versus.json").read_text())
    (delta,) = [d for d in versus["versus"][0]["deltas"] if d["metric"] == "final eval loss"]
    assert delta["beyond"] is True
    assert {c["signal"] for c in versus["curves"]} >= {"train/loss", "eval/loss"}
    assert Path("versus.html").read_text(encoding="utf-8").count("<svg") >= 2


@pytest.mark.parametrize("axis", ["step", "hours"])
def test_compare_reads_reports_and_the_same_run_is_the_same(axis: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(ONE), "-o", "saved.json", "-f", "concise"]) == 0
    assert run(["compare", "saved.json", str(ONE), "--by", axis, "-f", "json"]) == 0
    printed = capsys.readouterr().out
    versus = json.loads(printed[printed.index("{") :])
    assert versus["settings"] == []
    assert all(delta["now"] == delta["base"] for delta in versus["versus"][0]["deltas"])
    if axis == "step":
        assert all(p["parts_at"] is None and p["end"] == 0 for p in versus["versus"][0]["partings"])


def test_compare_wants_one_run_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    for name, source in (("one", RED), ("two", FIXTURES / "slow-digits")):
        shutil.copytree(source, Path("runs") / name)
    assert run(["compare", str(RED), "runs"]) == 2
    said = capsys.readouterr().err
    assert "runs holds 2 runs; name one of them" in said
    assert "one" in said
    assert "two" in said


def test_compare_refuses_unlike_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", str(ONE), "-o", "a.json", "-f", "concise"]) == 0
    report = json.loads(Path("a.json").read_text())
    report["settings"] = [{"name": "vocab_size", "value": 99, "source": "config.json"}]
    Path("b.json").write_text(json.dumps(report))
    capsys.readouterr()
    assert run(["compare", "a.json", "b.json"]) == 3
    assert "cannot be compared" in capsys.readouterr().out


def test_a_comparison_with_a_damaged_run_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    state = FIXTURES / "hockey-stick-sft" / "trainer_state.json"
    Path("torn").mkdir()
    Path("torn/trainer_state.json").write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    assert run(["compare", "torn", "torn", "-o", "c.md", "-o", "c.html"]) == 3
    assert "torn: damaged input" in " ".join(capsys.readouterr().out.split())
    assert "damaged input" in Path("c.md").read_text(encoding="utf-8")
    assert "damaged input" in Path("c.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_closed_pipe_keeps_the_code_and_a_full_disk_is_3(tmp_path: Path) -> None:
    put_lossdoctor(tmp_path / "bin")
    given = f'analyze "{RED}" -f json'
    script = f'set +e +o pipefail; lossdoctor {given} | exit; echo "${{PIPESTATUS[0]}}"; lossdoctor {given} > /dev/full; echo $?'
    done = shell(script, tmp_path, {}, first_on_path=tmp_path / "bin")
    assert done.stdout.split() == ["1", "3"], done.stderr
    assert "Traceback" not in done.stderr
    assert os.strerror(28) in done.stderr
