"""What a chart shows is what the text claims; what cannot be shown is said."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import ReportError
from lossdoctor.reporters.charts import draw, svg
from lossdoctor.reporters.charts.layout import MAIN, NARROW, SMALL, bracket_rows, mark_labels, spread
from lossdoctor.reporters.charts.palette import DARK, LIGHT, LINES, contrast
from lossdoctor.reporters.charts.panel import panels, zoom
from lossdoctor.reporters.charts.say import describe, table
from lossdoctor.reporters.charts.scale import Scale, scale_for
from lossdoctor.reporters.charts.thin import nonfinite_runs, pieces, smooth, thin
from lossdoctor.reporters.figures import write_figures
from lossdoctor.reporters.prepare import prepare

from .samples import ALL, SeriesView, hockey_stick, memory, nan_loss

points = st.lists(st.tuples(st.integers(0, 10_000), st.floats(-1e9, 1e9)), min_size=1, max_size=600, unique_by=lambda p: p[0]).map(sorted)


@given(points, st.integers(5, 60), st.data())
def test_thinning_keeps_ends_extremes_and_what_is_named(series: list, columns: int, data: st.DataObject) -> None:
    keep = set(data.draw(st.lists(st.sampled_from([s for s, _ in series]), max_size=5)))
    kept = thin(series, columns, series[0][0], series[-1][0], keep)
    assert [p for p in series if p in kept] == kept
    assert kept[0] == series[0]
    assert kept[-1] == series[-1]
    assert min(v for _, v in kept) == min(v for _, v in series)
    assert max(v for _, v in kept) == max(v for _, v in series)
    assert keep <= {s for s, _ in kept}
    assert len(kept) <= 2 * columns + 2 + len(keep)


@given(points, st.integers(3, 31).filter(lambda n: n % 2 == 1))
def test_the_smooth_line_stays_inside_the_data_and_keeps_its_ends(series: list, window: int) -> None:
    line = smooth(series, window)
    assert [s for s, _ in line] == [s for s, _ in series]
    assert line[0] == series[0]
    assert line[-1] == series[-1]
    assert {v for _, v in line} <= {v for _, v in series}


def test_the_smooth_line_does_not_lag_and_forgets_one_outlier() -> None:
    step = [(i, 0.0 if i < 50 else 1.0) for i in range(100)]
    assert next(s for s, v in smooth(step, 9) if v == 1.0) == 50
    spike = [(i, 100.0 if i == 40 else 1.0) for i in range(80)]
    assert {v for _, v in smooth(spike, 9)} == {1.0}


def test_lines_break_where_values_are_not_finite() -> None:
    view = SeriesView("x", "x", (1, 2, 3, 4, 5, 6), (1.0, None, 3.0, 4.0, None, None), (2, 5, 6), 6)
    assert pieces(view) == [[(1, 1.0)], [(3, 3.0), (4, 4.0)]]
    assert nonfinite_runs(view) == [(2, 2), (5, 6)]


values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


@given(values)
def test_every_scale_maps_to_finite_heights_and_has_ticks_inside(numbers: list[float]) -> None:
    scale = scale_for(numbers)
    assert scale.low < scale.high
    for value in numbers:
        assert -0.2 <= scale.unit(value) <= 1.2
    for tick, label in scale.ticks():
        assert -1e-6 <= scale.unit(tick) <= 1 + 1e-6
        assert label


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_scale_is_monotonic(low: float, high: float) -> None:
    for log in (False, True):
        scale = Scale(min(low, high), max(low, high) * 1.01, log)
        heights = [scale.unit(scale.low + (scale.high - scale.low) * i / 20) for i in range(21)]
        assert heights == sorted(heights)
        assert heights[0] == pytest.approx(0, abs=1e-6)
        assert heights[-1] == pytest.approx(1, abs=1e-6)


def test_an_outlier_is_off_the_scale_with_its_value_and_a_wide_range_is_logarithmic() -> None:
    quiet = [2 + 0.01 * math.sin(i) for i in range(200)]
    scale = scale_for([*quiet, 1e6])
    assert scale.high < 3
    assert scale.cuts(1e6)
    assert scale_for([10 ** (i / 50) for i in range(200)]).log
    assert not scale_for(quiet).log


def test_every_span_of_a_finding_is_drawn_with_its_letter_in_the_charts_of_its_signals() -> None:
    for make in (hockey_stick, nan_loss, memory):
        d = prepare(make())
        drawn = panels(d, 400)
        for index, finding in enumerate(d.findings):
            mark = "ABCDEFG"[index]
            for panel in drawn:
                shown = {line.signal for line in panel.lines}
                spans = {(s.first, s.last) for s in panel.shades if s.letter == mark}
                assert spans == (set(finding.spans) if shown & set(finding.signals) else set())


def test_charts_share_the_step_axis_and_gpus_share_a_chart() -> None:
    drawn = panels(prepare(memory()), 400)
    assert [p.key for p in drawn] == ["gpu/memory", "loss", "perf/tokens_per_second"]
    assert {(p.first, p.last) for p in drawn} == {(10, 900)}
    assert [line.title for line in drawn[0].lines] == ["GPU 0 memory", "GPU 1 memory"]
    assert drawn[0].unit == "GB"
    assert [p.used_checkpoint for p in drawn] == [800, None, None]


def test_the_clip_line_the_best_eval_and_the_used_checkpoint_are_shown() -> None:
    loss, norm, _ = panels(prepare(hockey_stick()), 400)
    assert loss.best is not None
    assert loss.best[0] == 400
    assert loss.used_checkpoint == 400
    assert norm.limits == (("max_grad_norm", 1.0),)
    text = svg.inline(norm, SMALL, "c")
    assert ">clip 1</text>" in text


def test_a_zoom_keeps_only_what_is_inside() -> None:
    panel = panels(prepare(nan_loss()), 400)[0]
    near = zoom(panel, 600, 800, 400)
    assert all(600 <= s <= 800 for line in near.lines for piece in line.pieces for s, _ in piece)
    assert all(line.nonfinite == () for line in near.lines)
    assert [s.letter for s in near.shades] == ["C"]
    assert (near.first, near.last) == (600, 800)


def test_the_description_and_the_table_carry_the_numbers() -> None:
    panel = panels(prepare(hockey_stick()), 400)[0]
    said = describe(panel)
    assert "lowest 1.051 at 400" in said
    assert "Span A (error): steps 400 to 1200." in said
    head, rows = table(panel)
    assert head == ("step", "train loss", "eval loss")
    assert len(rows) == 12
    assert rows[0][0] == "10"
    assert rows[-1][0] == "1200"
    broken = panels(prepare(nan_loss()), 400)[0]
    assert "not finite" in table(broken)[1][-1]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [MAIN, NARROW, SMALL], ids=["main", "narrow", "small"])
def test_every_chart_of_every_sample_is_plain_svg(name: str, size: object) -> None:
    for index, panel in enumerate(panels(prepare(ALL[name]()), 200)[:6]):
        text = svg.inline(panel, size, f"c{index}")
        assert text.startswith("<svg ")
        for forbidden in ("style=", "<style", "xlink", "<metadata", "<script", "<image", "http", "\n", " on"):
            assert forbidden not in re.sub(r"<(title|desc|text)\b.*?</\1>|data-signals=\"[^\"]*\"", "", text, flags=re.DOTALL), forbidden
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert all(i.startswith(f"c{index}") for i in ids)
        colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]+)"', text))
        assert colours <= set(LIGHT.values())
        for tag in re.findall(r"<[a-z]+[^>]*>", text):
            for kind in ("fill", "stroke"):
                assert (f'{kind}="#' in tag) == bool(re.search(rf'class="[^"]*\b{kind[0]}-', tag)), tag


def test_the_same_panel_gives_the_same_bytes() -> None:
    panel = panels(prepare(nan_loss()), 400)[0]
    assert svg.inline(panel, MAIN, "a") == svg.inline(panel, MAIN, "a")
    assert draw.png(panel, SMALL) == draw.png(panel, SMALL)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_palette_stands_out_and_every_role_has_a_colour_of_its_own(colours: dict[str, str]) -> None:
    assert len(set(colours.values())) == len(colours)
    assert LIGHT.keys() == DARK.keys()
    for role in ("text", "muted", "limit", "error", "warning", "note", *LINES):
        assert contrast(colours[role], colours["background"]) >= 4.5, role
    assert contrast(colours["axis"], colours["background"]) >= 3
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_brackets_do_not_overlap_and_labels_keep_their_distance() -> None:
    panel = panels(prepare(hockey_stick()), 400)[0]
    rows = bracket_rows(panel.shades, panel, 700)
    assert [[s.letter for s in row] for row in rows] == [["A"], ["B"]]
    labels = mark_labels(panel.marks, panel, 700)
    assert [p.text for p in labels] == ["warmup ends", "detectable", "epoch 1", "epoch 2"]
    crowded = mark_labels(panel.marks, panel, 90)
    assert len(crowded) < len(labels)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_labels_that_are_spread_keep_their_order_and_the_gap(heights: list[float]) -> None:
    moved = spread(heights, 0.1)
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    assert all(moved[b] - moved[a] >= 0.1 - 1e-9 for a, b in pairwise(order))
    assert max(moved) <= 1 + 1e-9


def test_figures_are_written_as_svg_and_png_under_safe_names(tmp_path: Path) -> None:
    d = replace(hockey_stick(), name="../../etc/<x> run")
    written = write_figures([d, d], tmp_path / "figures")
    assert [p.name for p in written[:4]] == [
        "etc-x-run-loss.svg",
        "etc-x-run-loss.png",
        "etc-x-run-train-grad-norm.svg",
        "etc-x-run-train-grad-norm.png",
    ]
    assert len(set(written)) == 12
    assert {p.parent for p in written} == {tmp_path / "figures"}
    assert all(p.read_bytes()[:4] in {b"\x89PNG", b"<?xm"} for p in written)
    with pytest.raises(ReportError, match="cannot make the directory"):
        write_figures([d], tmp_path / "no" / "figures")
