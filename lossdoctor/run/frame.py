"""The tidy DataFrame of a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lossdoctor.run.run import Signal


def tidy(signals: Mapping[str, Signal]) -> pd.DataFrame:
    """Join signals into columns signal (category), step int64, epoch float64, time float64, value float64, segment int16.

    Tidy, because in a wide frame a missing value and a logged NaN look the same, and a logged NaN is a symptom.
    """
    names = list(signals)
    parts = [signals[name] for name in names]
    codes = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p) for p in parts])

    def column(field: str, dtype: type) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        return np.concatenate([getattr(p, field) for p in parts]) if parts else np.empty(0, dtype=dtype)

    return pd.DataFrame(
        {
            "signal": pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype="object")),
            "step": column("steps", np.int64),
            "epoch": column("epochs", np.float64),
            "time": column("times", np.float64),
            "value": column("values", np.float64),
            "segment": column("segments", np.int16),
        },
        copy=False,
    )
