"""`-f alerts`: a Python file with a callback that would have caught what was found, and that says at which step."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from importlib import resources

from lossdoctor.model import Diagnosis
from lossdoctor.reporters.alerts.derive import Derived, derive
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare

_CALLBACK = '''
class LossdoctorAlerts(TrainerCallback):
    """trainer = Trainer(..., callbacks=[LossdoctorAlerts()]); `stop` ends the training at the first alert."""

    def __init__(self, alerts=ALERTS, stop=False):
        self.monitor, self.stop = Monitor(alerts), stop

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero:
            return
        for alert, sentence in self.monitor.see(state.global_step, logs or {}):
            print(f"lossdoctor alert: {sentence}", flush=True)
            wandb = sys.modules.get("wandb")
            if wandb is not None and wandb.run is not None:
                wandb.alert(title=alert.name, text=sentence)
            if self.stop:
                control.should_training_stop = True
'''


def alerts(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """One file for all runs: the monitor, the alerts with this run's numbers, the Trainer callback. What no alert covers is a comment."""
    found = [(d, one) for d in (prepare(d, stable=options.stable) for d in diagnoses) for one in derive(d)]
    return "\n".join((*_head(), *_table(found), _CALLBACK))


def _head() -> Iterator[str]:
    yield '"""Alerts that would have caught what `lossdoctor analyze -f alerts` found; the limits are those of the runs named below."""'
    yield from ("", "from __future__ import annotations", "")
    source = (resources.files("lossdoctor.reporters.alerts") / "monitor.py").read_text(encoding="utf-8")
    imports, _, body = source[source.index("import math") :].partition("\n\n\n")
    yield from (
        imports.replace("import math", "import math\nimport sys"),
        "",
        "from transformers import TrainerCallback",
        "",
        "",
        body.rstrip(),
    )
    yield from ("", "")


def _table(found: Sequence[tuple[Diagnosis, Derived]]) -> Iterator[str]:
    seen: set[object] = set()
    yield "ALERTS = ("
    for diagnosis, one in found:
        if one.alert is None:
            yield _comment(f"{diagnosis.name}: no log of this run would have set off an alert for {one.finding.rule}")
        elif one.alert not in seen:
            seen.add(one.alert)
            late = one.finding.onset_step
            began = f", it began at {late}" if late is not None else ""
            yield _comment(f"{diagnosis.name}: fires at step {one.fires_at}{began}. {one.finding.message}")
            yield f"    {_call(one)},"
    yield ")"


def _call(one: Derived) -> str:
    """The alert as code; texts come from a log and are written as literals that cannot be anything else."""
    a = one.alert
    assert a is not None
    numbers = f"limit={a.limit:.6g}, smooth={a.smooth}, window={a.window}, times={a.times}"
    return f"Alert({_literal(a.name)}, {_literal(a.key)}, {_literal(a.kind)}, {numbers})"


def _literal(text: str) -> str:
    written = ascii(text)
    assert ast.literal_eval(written) == text
    return written


def _comment(text: str) -> str:
    return "    # " + " ".join(text.split())
