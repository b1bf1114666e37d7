"""Exit codes and messages, a row each: 0 passed, 1 the policy failed, 2 usage, 3 no trustworthy verdict, 130 interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lossdoctor.cli.main import run

from .program import FIXTURES, command, environment, lossdoctor

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
FOREIGN = json.dumps({"state": {"trainer": "other", "progress": [1, 2, 3]}, "version": 7})
SAVED = '{"schema_version": 1, "verdict": "pass"}'
BAD_RULE = 'id = "LD999"\nname = "mine"\ntitle = "x"\nseverity = "loud"\ndetector = "plateau"\n[message]\nheadline = "x"\nfound = "x"\n'


def copy(name: str) -> Callable[[Path], None]:
    """A fixture's state file alone."""

    def build(home: Path) -> None:
        (home / "trainer_state.json").write_bytes((FIXTURES / name / "trainer_state.json").read_bytes())

    return build


def file(name: str, content: str) -> Callable[[Path], None]:
    def build(home: Path) -> None:
        (home / name).write_text(content, encoding="utf-8")

    return build


def half(home: Path) -> None:
    whole = (FIXTURES / "healthy-accumulation/trainer_state.json").read_text(encoding="utf-8")
    (home / "trainer_state.json").write_text(whole[: len(whole) // 2], encoding="utf-8")


def bad_rules(home: Path) -> None:
    copy("healthy-accumulation")(home)
    (home / "rules").mkdir()
    (home / "rules/mine.toml").write_text(BAD_RULE, encoding="utf-8")


def beside(home: Path) -> None:
    copy("healthy-accumulation")(home)
    (home / "lossdoctor.jsonl").write_text(SAVED + "\n", encoding="utf-8")


def nothing(home: Path) -> None:
    pass


CASES = {
    "healthy": (copy("healthy-accumulation"), ["analyze", "."], 0, "PASS"),
    "faulty": (copy("hockey-stick-sft"), ["analyze", "."], 1, "FAIL"),
    "faulty, but never fails": (copy("hockey-stick-sft"), ["analyze", ".", "--fail-on", "never"], 0, "FAIL"),
    "faulty, exit zero": (copy("hockey-stick-sft"), ["analyze", ".", "--exit-zero"], 0, "FAIL"),
    "empty directory": (nothing, ["analyze", "."], 3, "no training log"),
    "empty file": (file("trainer_state.json", ""), ["analyze", "."], 3, "empty"),
    "unknown file": (file("notes.bin", "\x01\x02 nothing here"), ["analyze", "notes.bin"], 3, "not a training log"),
    "git-lfs pointer": (file("trainer_state.json", POINTER), ["analyze", "."], 3, "git lfs pull"),
    "truncated JSON": (half, ["analyze", "."], 3, "trainer_state.json"),
    "truncated JSON, exit zero changes only 1": (half, ["analyze", ".", "--exit-zero"], 3, "trainer_state.json"),
    "another tool's trainer_state.json": (file("trainer_state.json", FOREIGN), ["analyze", "."], 3, "trainer_state.json"),
    "no log history": (file("trainer_state.json", '{"log_history": [], "global_step": 0}'), ["analyze", "."], 3, "INCONCLUSIVE"),
    "missing path": (nothing, ["analyze", "nowhere"], 2, "nowhere: no such file or directory"),
    "missing path among good ones": (copy("healthy-accumulation"), ["analyze", ".", "nowhere"], 2, "nowhere"),
    "no path": (nothing, ["analyze"], 2, "Missing argument"),
    "wrong option": (nothing, ["analyze", ".", "--nosuch"], 2, "No such option"),
    "wrong format": (nothing, ["analyze", ".", "-f", "pdf"], 2, "pdf"),
    "wrong report format": (nothing, ["analyze", ".", "-o", "report.pdf"], 2, "pdf"),
    "wrong command": (nothing, ["analyse", "."], 2, "Did you mean 'analyze'?"),
    "a path without a command": (copy("healthy-accumulation"), [".", "-q"], 2, "Did you mean: lossdoctor analyze . -q"),
    "a report without a command": (file("r.html", ""), ["r.html"], 2, "Did you mean: lossdoctor show r.html"),
    "no command at all": (nothing, ["nosuch"], 2, "No such command 'nosuch'."),
    "a report is no run": (file("r.json", SAVED), ["analyze", "r.json"], 3, "`lossdoctor show` prints it"),
    "a report beside a run is left aside": (beside, ["inputs", "."], 0, "a saved report of lossdoctor"),
    "a directory is no report": (nothing, ["show", "."], 2, "lossdoctor analyze ."),
    "a report into a directory": (copy("healthy-accumulation"), ["analyze", ".", "-o", "reports/"], 2, "such as reports/report.html"),
    "wrong rule": (nothing, ["analyze", ".", "--select", "platau"], 2, "did you mean 'plateau'?"),
    "wrong setting": (nothing, ["analyze", ".", "--set", "max_steps"], 2, "KEY=VALUE"),
    "missing policy": (nothing, ["analyze", ".", "-p", "none.toml"], 2, "none.toml"),
    "wrong policy": (file("p.toml", "presett = 'strict'\n"), ["analyze", ".", "-p", "p.toml"], 2, "presett"),
    "wrong rule file": (bad_rules, ["analyze", ".", "--rules", "rules"], 2, "mine.toml"),
    "report cannot be written": (copy("healthy-accumulation"), ["analyze", ".", "-o", "no/such/place.html"], 3, "no/such"),
    "rules": (nothing, ["rules"], 0, "LD201"),
    "a rule": (nothing, ["rules", "hockey-stick"], 0, "LIMITS"),
    "a rule by code, as JSON": (nothing, ["rules", "ld201", "-f", "json"], 0, '"id": "LD201"'),
    "no such rule": (nothing, ["rules", "hokey-stick"], 2, "did you mean 'hockey-stick'?"),
    "inputs": (copy("healthy-accumulation"), ["inputs", "."], 0, "train/loss"),
    "inputs of nothing": (nothing, ["inputs", "."], 3, "no training log"),
    "inputs of a missing path": (nothing, ["inputs", "nowhere"], 2, "nowhere"),
    "show of no report": (file("r.json", "{}"), ["show", "r.json"], 2, "not a lossdoctor report"),
    "show of nothing": (nothing, ["show", "r.json"], 2, "r.json"),
    "evaluate without labels": (nothing, ["evaluate", "."], 2, "expected.toml"),
    "help": (nothing, ["--help"], 0, "Exit codes"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_code_and_the_words(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    build, arguments, code, says = CASES[case]
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = run(arguments)
    said = "".join(capsys.readouterr())
    assert found == code, said
    assert says in " ".join(said.split())


@pytest.mark.parametrize("case", [name for name, row in CASES.items() if row[1][0] == "analyze" and row[2] in (0, 1, 3)])
def test_every_argument_yields_an_object(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build, arguments, code, _ = CASES[case]
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "-f", "jsonl"]) == code
    found = [json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().out.splitlines()]
    assert [one["argument"] for one in found] == [arguments[1]]
    if code == 3 and "-o" not in arguments:
        assert found[0]["faults"] or found[0]["verdict"] == "inconclusive"


def test_several_paths_give_one_result_each_and_the_worst_code(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    paths = [str(FIXTURES / "healthy-accumulation"), "nothing", str(FIXTURES / "plateau-frozen")]
    done = lossdoctor("analyze", *paths, "-f", "jsonl", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["argument"] for one in found] == paths
    assert [one["verdict"] for one in found] == ["pass", "inconclusive", "fail"]
    assert done.returncode == 3
    assert lossdoctor("analyze", paths[0], paths[2], cwd=tmp_path).returncode == 1


def test_jobs_change_nothing(tmp_path: Path) -> None:
    paths = [str(FIXTURES / name) for name in ("healthy-accumulation", "plateau-frozen", "hockey-stick-code")]
    assert (
        lossdoctor("analyze", *paths, "-f", "jsonl", cwd=tmp_path).stdout
        == lossdoctor("analyze", *paths, "-f", "jsonl", "--jobs", "2", cwd=tmp_path).stdout
    )


def test_standard_input(tmp_path: Path) -> None:
    log = (FIXTURES / "plateau-other-labels/train.log").read_text(encoding="utf-8")
    done = lossdoctor("analyze", "-", "-f", "json", cwd=tmp_path, stdin=log)
    found = json.loads(done.stdout)
    assert found["argument"] == "-"
    assert found["steps"] > 0
    assert lossdoctor("analyze", "-", cwd=tmp_path, stdin="").returncode == 3


def test_reports_are_written_before_the_exit_and_shown_again(tmp_path: Path) -> None:
    done = lossdoctor(
        "analyze", FIXTURES / "plateau-frozen", "-o", "r.html", "-o", "r.json", "-o", "md:notes", "-f", "concise", cwd=tmp_path
    )
    assert done.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "r.html", "r.json"]
    from_json, from_html = (lossdoctor("show", name, "-f", "concise", cwd=tmp_path) for name in ("r.json", "r.html"))
    assert from_json.stdout == from_html.stdout == done.stdout
    assert from_json.returncode == 0
    again = lossdoctor("show", "r.json", "-o", "again.html", "-q", cwd=tmp_path)
    assert again.returncode == 0
    assert (tmp_path / "again.html").stat().st_size > 10_000


def test_inputs_as_json_is_strict(tmp_path: Path) -> None:
    found = json.loads(lossdoctor("inputs", FIXTURES / "hockey-stick-sft", "-f", "json", cwd=tmp_path).stdout, parse_constant=pytest.fail)
    run = found["runs"][0]
    assert run["signals"]["train/loss"]["values"] == 60
    assert run["settings"]["learning_rate"]["source"]
    assert {source["kind"] for source in run["sources"]} == {"trainer_state", "tensorboard"}
    assert [checkpoint["step"] for checkpoint in run["checkpoints"]] == [80, 160, 240]


def test_evaluate_prints_a_table_and_json(tmp_path: Path) -> None:
    home = tmp_path / "corpus"
    shutil.copytree(FIXTURES / "plateau-frozen", home / "one")
    found = json.loads(lossdoctor("evaluate", "corpus", "-f", "json", cwd=tmp_path).stdout)
    assert found["rules"]["plateau"] == {"owed": 1, "found": 1, "false_alarms": 0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert "| plateau | 1 | 1 | 0 | 1.00 | 1.00 | 1.00 |" in lossdoctor("evaluate", "corpus", "-f", "md", cwd=tmp_path).stdout


def test_an_interrupt_is_130(tmp_path: Path) -> None:
    process = subprocess.Popen(command(["analyze", "-"]), cwd=tmp_path, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while not _waits_for_input(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in said


def _waits_for_input(pid: int) -> bool:
    """Whether the process sleeps in a read of its standard input: then it has imported what it needs and is inside the analysis."""
    return Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 ")


@pytest.mark.parametrize(("name", "code"), [("healthy-accumulation", 0), ("hockey-stick-sft", 1)])
def test_a_closed_pipe_keeps_the_code(name: str, code: int, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(["analyze", FIXTURES / name, "-f", "json"]),
        cwd=tmp_path,
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert done.returncode == code
    assert done.stderr == ""
