"""The alerts: valid Python that runs in a callback, fires on the run that it was made from and not on a healthy one."""

from __future__ import annotations

import ast
import math
import sys
import types
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lossdoctor.model import Diagnosis, Finding, Severity
from lossdoctor.reporters import render
from lossdoctor.reporters.alerts.derive import derive, key_of, replay
from lossdoctor.reporters.alerts.monitor import Alert, Monitor

from .samples import ALL, healthy, view

STEPS = np.arange(1, 201)
FLAT = 2 + 0.05 * np.sin(STEPS * 1.7)


def run(rule: str, signal: str, values: np.ndarray, **numbers: float) -> Diagnosis:
    found = Finding(rule, "LD000", rule, Severity.ERROR, 0.9, "message", numbers, (signal,), 100)
    return replace(healthy(), name=rule, findings=(found,), series=(view(signal, STEPS, values),))


CASES = [
    ("hockey-stick", "eval/loss", np.where(STEPS < 100, 3 - STEPS / 100, 2 + (STEPS - 100) / 100), {"rise_found": 0.5}),
    ("divergence", "train/loss", FLAT + np.clip(STEPS - 120, 0, None) / 20, {"rise_found": 2.0}),
    ("loss-spike", "train/loss", FLAT + 6.0 * (STEPS == 150), {"ratio_found": 4.0}),
    ("nan-loss", "train/loss", np.where(STEPS > 100, math.nan, FLAT), {}),
    ("zero-loss", "train/loss", np.where(STEPS > 100, 0.0, FLAT), {}),
    ("exploding-gradients", "train/grad_norm", np.where(STEPS > 100, 40.0, FLAT), {"early": 2.0}),
    ("constant-clipping", "train/grad_norm", FLAT, {"limit": 1.0}),
    ("vanishing-gradients", "train/grad_norm", FLAT * 1e-9, {"median": 2e-9}),
    ("plateau", "train/loss", FLAT, {}),
    ("throughput-drop", "perf/tokens_per_second", np.where(STEPS > 100, 900.0, 3000.0), {}),
    ("memory-leak", "gpu/0/memory", STEPS * 1e8 + 1e10, {}),
]


def load(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the file with stand-ins for what a training has: transformers and wandb."""
    fake = types.ModuleType("transformers")
    fake.TrainerCallback = type("TrainerCallback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", fake)
    module = types.ModuleType("alerts_of_a_test")
    monkeypatch.setitem(sys.modules, "alerts_of_a_test", module)
    exec(compile(text, "alerts.py", "exec"), module.__dict__)
    return module.__dict__


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_an_alert_fires_on_its_run_where_it_says_and_stops_it(
    case: tuple[str, str, np.ndarray, dict[str, float]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rule, signal, values, numbers = case
    (one,) = derive(run(rule, signal, values, **numbers))
    assert one.fires_at is not None
    told: list[str] = []
    wandb = types.SimpleNamespace(run=object(), alert=lambda title, text: told.append(f"{title}: {text}"))
    monkeypatch.setitem(sys.modules, "wandb", wandb)  # type: ignore[arg-type]
    space = load(render([run(rule, signal, values, **numbers)], "alerts"), monkeypatch)
    callback, control = space["LossdoctorAlerts"](stop=True), types.SimpleNamespace(should_training_stop=False)
    for step, value in zip(STEPS.tolist(), values.tolist(), strict=True):
        state = types.SimpleNamespace(global_step=step, is_world_process_zero=True)
        callback.on_log(None, state, control, logs={key_of(signal): value, "other": 1})
        assert control.should_training_stop is (step >= one.fires_at)
    assert capsys.readouterr().out.count("lossdoctor alert: ") == len(told) == 1


@pytest.mark.parametrize(
    ("rule", "signal", "numbers"), [(c[0], c[1], c[3]) for c in CASES if c[0] not in {"constant-clipping", "vanishing-gradients"}]
)
def test_no_alert_fires_on_a_healthy_curve(rule: str, signal: str, numbers: dict[str, float]) -> None:
    falling = 2 + np.exp(-STEPS / 60) + 0.02 * np.sin(STEPS * 1.7) - STEPS / 400
    steady = np.full(len(STEPS), 3000.0) + 20 * np.sin(STEPS)
    curve = falling if signal.endswith("loss") else steady if "/memory" in signal or signal.startswith("perf") else FLAT
    (one,) = derive(run(rule, signal, curve, **numbers))
    assert one.alert is None
    assert f"would have set off an alert for {rule}" in render([run(rule, signal, curve, **numbers)], "alerts")


@pytest.mark.parametrize("name", ALL)
def test_any_diagnosis_gives_a_file_that_only_defines(name: str) -> None:
    tree = ast.parse(render([ALL[name]()], "alerts"))
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.ClassDef, ast.Assign)
    assert all(isinstance(node, allowed) for node in tree.body)
    (table,) = [node for node in tree.body if isinstance(node, ast.Assign)]
    calls = [node for node in ast.walk(table) if isinstance(node, ast.Call)]
    assert all(isinstance(call.func, ast.Name) and call.func.id == "Alert" for call in calls)
    assert all(isinstance(argument, ast.Constant) for call in calls for argument in call.args)


def test_an_alert_fires_once_and_values_that_are_no_numbers_are_passed_over() -> None:
    monitor = Monitor([Alert("high", "x", "above", 1.0, times=2)])
    seen = [len(monitor.see(i, {"x": x})) for i, x in enumerate([2, 0, True, "2", None, 2, 2, 2, 2])]
    assert seen == [0, 0, 0, 0, 0, 0, 1, 0, 0]


def test_a_negative_best_sets_off_nothing() -> None:
    assert replay(Alert("rise", "x", "above-best", 1.1), view("x", STEPS, -FLAT)) is None
