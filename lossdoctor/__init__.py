"""lossdoctor: read what a training run left behind and say what went wrong.

>>> import lossdoctor
>>> run = lossdoctor.load("fixtures/hockey-stick-sft")
>>> len(run.signal("train/loss"))
60
>>> lossdoctor.diagnose(run).findings[0].code
'LD201'

Everything is imported on first use: `import lossdoctor` costs nothing, and a command line that only prints its help imports no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossdoctor.api import diagnose as diagnose
    from lossdoctor.api import load as load
    from lossdoctor.model import Diagnosis as Diagnosis
    from lossdoctor.model import Finding as Finding
    from lossdoctor.run import Run as Run

__all__ = ["Diagnosis", "Finding", "Run", "diagnose", "load"]

_HOME = {"Diagnosis": "model", "Finding": "model", "Run": "run", "diagnose": "api", "load": "api"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
