"""The charts of a report as files, for slides and papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lossdoctor.errors import ReportError
from lossdoctor.model import Diagnosis
from lossdoctor.reporters import write
from lossdoctor.reporters.html.cards import slug
from lossdoctor.reporters.prepare import prepare

_COLUMNS = 600


def write_figures(diagnoses: Sequence[Diagnosis], directory: Path, *, stable: bool = False) -> list[Path]:
    """Write every chart as `RUN-CHART.svg` and `RUN-CHART.png` (144 dots an inch) and return the paths, in the order of the runs.

    The directory is made if its parent exists. Raises ReportError where a file cannot be written or a chart cannot be drawn.
    """
    from lossdoctor.reporters.charts.draw import png, svg
    from lossdoctor.reporters.charts.layout import MAIN, SMALL, TWIN
    from lossdoctor.reporters.charts.panels import panels

    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise ReportError(f"cannot make the directory {directory}: {error.strerror or error}") from error
    written: list[Path] = []
    for diagnosis in diagnoses:
        for index, panel in enumerate(panels(prepare(diagnosis, stable=stable), _COLUMNS)):
            size = MAIN if index == 0 else TWIN if panel.twin else SMALL
            name = panel.lines[0].signal if panel.twin else panel.key
            stem = _free(f"{slug(diagnosis.name)}-{slug(name)}", written, directory)
            for suffix, draw in (("svg", svg), ("png", png)):
                path = directory / f"{stem}.{suffix}"
                try:
                    drawn = draw(panel, size)
                except (ValueError, ArithmeticError, RuntimeError) as error:
                    raise ReportError(f"the chart of {panel.title} could not be drawn: {error}") from error
                write.atomic(path, drawn)
                written.append(path)
    return written


def _free(stem: str, written: Sequence[Path], directory: Path) -> str:
    """The stem, numbered where an earlier run of this call has the same name."""
    count, free = 2, stem
    while directory / f"{free}.svg" in written:
        free, count = f"{stem}-{count}", count + 1
    return free
