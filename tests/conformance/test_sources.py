"""What every source promises: one contract, no exception for damage, one diagnosis whichever log of a run is read."""

from __future__ import annotations

import random
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.errors import LossdoctorError
from lossdoctor.model import Diagnosis, Verdict
from lossdoctor.run import Run
from lossdoctor.sources.load import Loaded, load

from .runs import FIXTURES

FILES = {
    "trainer_state": "healthy-accumulation/trainer_state.json",
    "tensorboard": "healthy-wsd/**/*.tfevents*",
    "wandb": "healthy-constant-lr/**/*.wandb",
    "csv": "healthy-table/*.csv",
    "text": "healthy-text/*.log",
}
every_source = pytest.mark.parametrize("kind", FILES)
# Runs that lie there in several forms, each of which tells the same story.
TWICE = {
    "healthy-cosine": ("trainer_state.json", "runs", "wandb"),
    "hockey-stick-sft": ("trainer_state.json", "runs"),
    "divergence-ramp": ("trainer_state.json", "runs"),
    "plateau-misaligned-labels": ("trainer_state.json", "runs"),
    "healthy-converged": ("trainer_state.json", "runs"),
}


def file_of(kind: str) -> Path:
    return next(iter(sorted(FIXTURES.glob(FILES[kind]))))


@cache
def plan() -> Plan:
    return Plan(rules=rulebook())


def check(run: Run) -> None:
    """The contract of a run: equal lengths, fixed types, read-only arrays, and one tidy frame of all rows."""
    assert run.name
    for name, signal in run.signals.items():
        assert name == signal.name
        parts = (signal.steps, signal.values, signal.epochs, signal.times, signal.segments)
        assert {len(part) for part in parts} == {len(signal)}
        assert [part.dtype for part in parts] == [np.int64, np.float64, np.float64, np.float64, np.int16]
        assert not any(part.flags.writeable for part in parts)
        assert signal.segments.min(initial=0) >= 0
    assert len(run.history) == run.points
    assert list(run.history.columns) == ["signal", "step", "epoch", "time", "value", "segment"]


@every_source
def test_the_contract(kind: str) -> None:
    found = load(str(file_of(kind)))
    assert len(found.runs) == 1
    run = found.runs[0]
    check(run)
    assert [source.kind for source in run.sources] == [kind]
    assert run.signal("train/loss") is not None
    assert not found.faults
    assert not run.faults


@every_source
def test_reading_twice_gives_the_same(kind: str) -> None:
    one, other = (load(str(file_of(kind))).runs[0] for _ in range(2))
    assert one.history.equals(other.history)
    assert list(one.settings.values()) == list(other.settings.values())


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "wandb"])
def test_the_name_of_the_file_does_not_matter(kind: str, tmp_path: Path) -> None:
    strange = tmp_path / "ein Lauf-7 ü"
    shutil.copyfile(file_of(kind), strange)
    assert load(str(strange)).runs[0].history.equals(load(str(file_of(kind))).runs[0].history)


def harmed(path: Path) -> Diagnosis | None:
    """Diagnose a damaged file; only errors of our own may come out."""
    try:
        found = load(str(path))
    except LossdoctorError:
        found = Loaded()
    for run in found.runs:
        check(run)
    diagnoses = analyze(str(path), plan())
    assert not any(diagnosis.crashed for diagnosis in diagnoses)
    return diagnoses[0] if len(diagnoses) == 1 else None


@every_source
def test_cut_anywhere(kind: str, tmp_path: Path) -> None:
    content = file_of(kind).read_bytes()
    whole = load(str(file_of(kind))).runs[0].points
    for cut in np.linspace(0, len(content) - 1, 9).astype(int).tolist():
        path = tmp_path / file_of(kind).name
        path.write_bytes(content[:cut])
        found = harmed(path)
        assert sum(run.points for run in load(str(path)).runs) <= whole
        if found is not None and not found.series:
            assert found.verdict is Verdict.INCONCLUSIVE
        if kind == "trainer_state" and cut < 0.9 * len(content):
            assert found is not None
            assert found.faults
            assert not found.gate.passed


@every_source
def test_bytes_changed_anywhere(kind: str, tmp_path: Path) -> None:
    content = file_of(kind).read_bytes()
    chance = random.Random(11)
    for _ in range(8):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 8))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        path = tmp_path / file_of(kind).name
        path.write_bytes(bytes(changed))
        harmed(path)


@pytest.mark.parametrize("name", TWICE)
def test_every_log_of_a_run_tells_the_same(name: str) -> None:
    said = {form: analyze(str(FIXTURES / name / form), plan()) for form in TWICE[name]}
    assert all(len(found) == 1 for found in said.values())
    every = [found[0] for found in said.values()]
    examined = set.intersection(*({f.rule for f in d.findings} | {n.rule for n in d.healthy} for d in every))
    loud = [{f.rule for f in d.loud} & examined for d in every]
    assert all(found == loud[0] for found in loud), dict(zip(said, loud, strict=True))
