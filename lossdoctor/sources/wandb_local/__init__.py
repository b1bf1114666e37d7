"""WandB runs on disk: a `run-*.wandb` file, a run directory, or a `wandb/` directory with several.

`read` returns one Log a run. Series keep the names WandB shows (nested dictionaries with dots: `{"a": {"b": 1}}` is `a.b`); their steps
are `train/global_step`, `trainer/global_step`, else `_step` (see `history.axis`); system metrics become `gpu/<i>/...`, `host/...` and
`process/...` (see `stats.series`). No exit record is no crash: notebooks leave none. The summary is derived from the history and is read
only where there is no history. Nothing of wandb itself is imported.
"""

from __future__ import annotations

from lossdoctor.sources.wandb_local.run_directory import read

__all__ = ["read"]
