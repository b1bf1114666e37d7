"""How sure a finding is: fit the confidence to labelled runs, and say how well it held on groups left out.

    python -m tests.benchmarks.calibrate DIRECTORY... [--write]

Each DIRECTORY holds labelled runs: `*/expected.toml` (see fixtures/README.md), or a `labels.jsonl` with id, path, must, may and, where
known, `origin` or `fault` (the group of a run: what came from one repository or one fault stays on one side).

A warning or error is right where the labels owe or allow it. The model is logistic in the logarithms of the margin and of the number of
points, with a slope of at least 0 for both (more evidence never makes a finding less sure), and a small ridge so that a corpus
without errors does not push it to certainty.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.detectors import DETECTORS
from lossdoctor.diagnosis.confidence import FILE, features
from lossdoctor.diagnosis.examine import examine
from lossdoctor.diagnosis.judge import severity
from lossdoctor.limits import LIMITS
from lossdoctor.model import Severity
from lossdoctor.rulebook import bind, shipped
from lossdoctor.sources.load import Choices, load

Floats = npt.NDArray[np.float64]
RIDGE = 1.0
FOLDS = 10
BINS = (0.0, 0.6, 0.8, 0.9, 0.95, 1.01)


@dataclass(frozen=True, slots=True)
class Row:
    """One warning or error: what the confidence may rest on, its group, and whether the labels agree with it."""

    group: str
    features: tuple[float, ...]
    right: bool


def labelled(directory: Path) -> Iterator[tuple[Path, set[str], str]]:
    """(path, rules that are owed or free, group) of every labelled run."""
    lines = directory / "labels.jsonl"
    if lines.exists():
        for line in filter(None, lines.read_text(encoding="utf-8").splitlines()):
            label = json.loads(line)
            group = str(label.get("fault") or label.get("origin") or label["id"]).split("@")[0].split(":")[0]
            yield directory / label["path"], {*label["must"], *label["may"]}, group
        return
    for path in sorted(directory.rglob("expected.toml")):
        label = tomllib.loads(path.read_text(encoding="utf-8"))
        yield path.parent, {*label["must"], *label.get("may", ()), *label.get("note", ())}, path.parent.name


def rows(directory: Path) -> Iterator[Row]:
    """Every warning and error of the shipped rules on the runs below a directory; rules that no label of it names are left out."""
    rules = {rule.name: rule for rule in shipped()}
    detectors = bind(rules.values(), DETECTORS)
    runs = list(labelled(directory))
    families = {"no-warmup", "schedule-ended-early", "lr-zero", "lr-restart", "warmup-too-long"}
    known = set().union(*(names for _, names, _ in runs)) if runs else set()
    for path, names, group in runs:
        allowed = names | (families if "lr-anomaly" in names else set())
        judged = known | (families if "lr-anomaly" in known else set())
        for run in load(str(path), Choices(), LIMITS).runs:
            for outcome in examine(run, rules.values(), detectors):
                found = outcome.evidence
                if found is None or outcome.rule.name not in judged or severity(outcome.rule, found.numbers) is Severity.NOTE:
                    continue
                yield Row(f"{directory.name}/{group}", features(found), outcome.rule.name in allowed)


def fit(data: list[Row]) -> Floats:
    """Weights of the logistic model (intercept first), by projected Newton steps."""
    x = np.array([(1.0, *row.features) for row in data])
    y = np.array([row.right for row in data], dtype=np.float64)
    weights = np.zeros(x.shape[1])
    penalty = np.diag([0.0] + [RIDGE] * (x.shape[1] - 1))
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - y) + penalty @ weights
        hessian = (x * (p * (1 - p) + 1e-9)[:, None]).T @ x + penalty + 1e-6 * np.eye(x.shape[1])
        weights = weights - np.linalg.solve(hessian, gradient)
        weights[1:] = np.maximum(weights[1:], 0.0)
    return weights


def predicted(weights: Floats, data: list[Row]) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.array([(1.0, *row.features) for row in data]) @ weights)))


def left_out(data: list[Row]) -> Floats:
    """The confidence of each row by a model that never saw its group."""
    groups = sorted({row.group for row in data})
    fold = {group: i % FOLDS for i, group in enumerate(groups)}
    found = np.empty(len(data))
    for k in range(FOLDS):
        mine = [i for i, row in enumerate(data) if fold[row.group] == k]
        if mine:
            found[mine] = predicted(fit([row for row in data if fold[row.group] != k]), [data[i] for i in mine])
    return found


def table(confidence: Floats, right: npt.NDArray[np.bool_]) -> list[str]:
    """The reliability table: said against seen."""
    lines = ["| confidence said | warnings | mean said | right |", "|---|---:|---:|---:|"]
    for low, high in pairwise(BINS):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            said, seen = float(confidence[inside].mean()), float(right[inside].mean())
            lines.append(f"| {low:.2f} to {min(high, 1.0):.2f} | {inside.sum()} | {said:.2f} | {seen:.2f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write the weights to {FILE.name}")
    options = parser.parse_args()
    data = [row for directory in options.directories for row in rows(directory)]
    right = np.array([row.right for row in data])
    weights, said = fit(data), left_out(data)
    print(f"{len(data)} warnings of {len({row.group for row in data})} groups, {int(right.sum())} right")
    print("\n".join(table(said, right)))
    print("weights:", ", ".join(f"{w:.3f}" for w in weights))
    if options.write:
        names = ("intercept", "log_margin", "log_points")
        text = FILE.read_text(encoding="utf-8")
        head = text[: text.index("[weights]")]
        body = "".join(f"{name} = {weight:.3f}\n" for name, weight in zip(names, weights, strict=True))
        FILE.write_text(f"{head}[weights]\n{body}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
