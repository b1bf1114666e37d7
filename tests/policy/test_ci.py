"""The action and the ready jobs: valid by the services' own schemas, and their commands do what they should in a shell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from junitparser import JUnitXml

from lossdoctor.policy.ci import GITHUB, GITLAB

from .shell import FIXTURES, ROOT, put_command, put_lossdoctor, run

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
RED, GREEN = FIXTURES / "hockey-stick-digits", FIXTURES / "healthy-text"


def validate(document: Any, schema: str) -> None:
    found = get_builtin_schema(f"vendor.{schema}")
    jsonschema.validators.validator_for(found)(found).validate(document)


def step(name: str) -> dict[str, Any]:
    return next(s for s in ACTION["runs"]["steps"] if s["name"] == name)


def diagnose(folder: Path, **given: str) -> tuple[int, str, dict[str, str]]:
    """Run the action's second step with inputs as GitHub would fill them; return code, output, and the step's outputs."""
    put_lossdoctor(folder / "temp" / "lossdoctor" / "bin")
    inputs = {name: spec.get("default", "") for name, spec in ACTION["inputs"].items()} | {k.replace("_", "-"): v for k, v in given.items()}
    analyze = step("Diagnose")
    filled = {k: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: inputs[m[1]], v) for k, v in analyze["env"].items()}
    own = {"RUNNER_TEMP": str(folder / "temp"), "GITHUB_OUTPUT": str(folder / "out.txt"), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    done = run(analyze["run"], folder, filled | own)
    outputs = dict(line.split("=", 1) for line in (folder / "out.txt").read_text().splitlines())
    return done.returncode, done.stdout + done.stderr, outputs


def test_the_documents_are_valid() -> None:
    validate(ACTION, "github-actions")
    validate(yaml.safe_load(GITLAB), "gitlab-ci")
    workflow = yaml.safe_load(GITHUB)
    validate({("on" if key is True else key): value for key, value in workflow.items()}, "github-workflows")  # YAML 1.1 reads `on` as true


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="an installed package has no README")
def test_the_readme_shows_the_jobs_that_run_here() -> None:
    blocks = re.findall(r"```ya?ml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    shown = [block for block in blocks if "lossdoctor analyze" in block]
    assert shown
    assert all(any(block.strip() in job for job in (GITHUB, GITLAB)) for block in shown)


def test_no_input_is_pasted_into_a_script() -> None:
    assert all("${{" not in s["run"] for s in ACTION["runs"]["steps"])


def test_the_action_is_red_with_annotations_reports_and_a_summary(tmp_path: Path) -> None:
    code, said, outputs = diagnose(tmp_path, path=f"{RED}\n{GREEN}\n")
    assert code == 1, said
    assert outputs == {"exit-code": "1"}
    assert re.search(r"^::error title=[^:]+hockey-stick \(LD201\)::", said, re.MULTILINE)
    assert (tmp_path / "lossdoctor.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [r["gate"]["result"] for r in json.loads((tmp_path / "lossdoctor.json").read_text())["runs"]] == ["failed", "passed"]
    assert "hockey" in (tmp_path / "summary.md").read_text(encoding="utf-8").lower()


def test_the_action_is_green_and_takes_every_input(tmp_path: Path) -> None:
    (tmp_path / "my policy.toml").write_text("preset = 'report-only'", encoding="utf-8")
    code, said, _ = diagnose(tmp_path, path=str(RED), policy="my policy.toml", report="a report.html", json="j.json")
    assert code == 0, said
    assert (tmp_path / "a report.html").is_file()
    code, said, _ = diagnose(tmp_path, path=str(RED), baseline="j.json", fail_on="new-error", arguments="--ignore\nLD301")
    assert code == 0, said


def test_an_input_is_never_a_command(tmp_path: Path) -> None:
    code, said, _ = diagnose(tmp_path, path="$(touch pwned)`touch pwned`; touch pwned\n--exit-zero")
    assert code == 2, said
    assert not (tmp_path / "pwned").exists()


def test_the_install_step_installs_the_action_itself(tmp_path: Path) -> None:
    put_command(tmp_path / "bin", "python9", 'mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "$@" >> "$RUNNER_TEMP/calls"')
    install = step("Install lossdoctor")
    done = run(
        install["run"], tmp_path, {"PYTHON": "python9", "SOURCE": str(ROOT), "RUNNER_TEMP": str(tmp_path)}, first_on_path=tmp_path / "bin"
    )
    assert done.returncode == 0, done.stderr
    venv, install_call = (tmp_path / "calls").read_text().splitlines()
    assert venv == f"-m venv {tmp_path}/lossdoctor"
    assert install_call.startswith("-m pip install")
    assert install_call.endswith(str(ROOT))


@pytest.mark.parametrize(("run_path", "code"), [(RED, 1), (GREEN, 0)])
def test_the_gitlab_job_writes_the_reports_it_declares(tmp_path: Path, run_path: Path, code: int) -> None:
    put_lossdoctor(tmp_path / "bin")
    put_command(tmp_path / "bin", "pip", "exit 0")
    (tmp_path / "out").symlink_to(run_path)
    job = yaml.safe_load(GITLAB)["diagnose"]
    done = run("\n".join(job["script"]), tmp_path, {}, first_on_path=tmp_path / "bin")
    assert done.returncode == code, done.stderr
    declared = [*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()]
    assert all((tmp_path / name).stat().st_size for name in declared)
    junit = JUnitXml.fromfile(str(tmp_path / job["artifacts"]["reports"]["junit"]))
    assert (junit.failures > 0) is (code == 1)
    issues = json.loads((tmp_path / job["artifacts"]["reports"]["codequality"]).read_text())
    assert any(issue["severity"] == "critical" for issue in issues) is (code == 1)


def test_the_github_job_runs(tmp_path: Path) -> None:
    put_lossdoctor(tmp_path / "bin")
    put_command(tmp_path / "bin", "pip", "exit 0")
    (tmp_path / "out").symlink_to(RED)
    steps = [s["run"] for s in yaml.safe_load(GITHUB)["jobs"]["diagnose"]["steps"] if "run" in s]
    done = run("\n".join(steps), tmp_path, {}, first_on_path=tmp_path / "bin")
    assert done.returncode == 1, done.stderr
    assert (tmp_path / "lossdoctor.html").is_file()
