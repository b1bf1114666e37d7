"""What a chart shows is what the text claims; what cannot be shown is said."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import ReportError
from lossdoctor.model import Checkpoint, Mark
from lossdoctor.numerals import number
from lossdoctor.reporters.charts import draw, svg
from lossdoctor.reporters.charts.axis import not_run, ticks
from lossdoctor.reporters.charts.crop import crop, zoom
from lossdoctor.reporters.charts.layout import CROP, MAIN, NARROW, SMALL, frame, mark_labels
from lossdoctor.reporters.charts.legend import legend
from lossdoctor.reporters.charts.palette import DARK, LIGHT, LINES, contrast
from lossdoctor.reporters.charts.panel import Panel, linked
from lossdoctor.reporters.charts.panels import constant, panels
from lossdoctor.reporters.charts.places import end_labels, spread
from lossdoctor.reporters.charts.say import NOTHING, describe, table
from lossdoctor.reporters.charts.scale import Scale, scale_for
from lossdoctor.reporters.charts.thin import nonfinite_runs, pieces, smooth, thin
from lossdoctor.reporters.figures import write_figures
from lossdoctor.reporters.prepare import prepare

from .samples import ALL, SeriesView, hockey_stick, memory, nan_loss, plateau, view

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
                spans = {s for lane in panel.lanes if lane.letter == mark for s in lane.spans}
                assert spans == (set(finding.spans) if shown & set(finding.signals) else set())


def test_charts_share_the_step_axis_and_gpus_share_a_chart() -> None:
    drawn = panels(prepare(memory()), 400)
    assert [p.key for p in drawn] == ["gpu/memory", "loss", "perf/tokens_per_second"]
    assert {(p.first, p.last) for p in drawn} == {(0, 900)}
    assert [line.title for line in drawn[0].lines] == ["GPU 0 memory", "GPU 1 memory"]
    assert drawn[0].unit == "GB"
    assert [p.used for p in drawn] == [800, None, None]


def test_the_clip_line_the_lowest_eval_and_the_used_checkpoint_are_shown() -> None:
    loss, norm, _ = panels(prepare(hockey_stick()), 400)
    assert loss.lowest is not None
    assert loss.lowest[0] == 400
    assert loss.used == 400
    assert norm.limits == (("clip", 1.0),)
    assert ">clip 1</text>" in svg.inline(norm, SMALL, "c")
    assert ">use 400</text>" in svg.inline(loss, MAIN, "c")


def test_the_lowest_mark_is_the_lowest_row_and_another_chosen_step_has_its_own() -> None:
    d = hockey_stick()
    evals = d.series[1]
    values = tuple(0.9 if s == 1000 else v for s, v in zip(evals.steps, evals.values, strict=True))
    loss = panels(prepare(replace(d, series=(d.series[0], replace(evals, values=values)))), 400)[0]
    assert loss.lowest == (1000, 0.9)
    text = svg.inline(loss, MAIN, "c")
    assert ">lowest 0.9 at 1000</text>" in text
    assert ">use 400</text>" in text


@pytest.mark.parametrize(("first", "start"), [(10, 0), (40, 0), (60, 60)])
def test_the_axis_begins_at_zero_unless_the_first_row_is_far_into_the_run(first: int, start: int) -> None:
    steps = np.arange(first, 201)
    d = replace(hockey_stick(), findings=(), marks=(), checkpoints=(), steps=200, series=(view("train/loss", steps, steps / 100),))
    assert panels(prepare(d), 400)[0].first == start


def test_the_axis_reaches_to_the_planned_end_and_says_what_was_not_run() -> None:
    d = hockey_stick()
    stopped = replace(d, marks=(*d.marks, Mark("planned-end", 1600, "planned end, step 1600")), checkpoints=d.checkpoints)
    loss = panels(prepare(stopped), 400)[0]
    assert (loss.first, loss.ran, loss.planned, loss.last) == (0, 1200, 1600, 1600)
    assert "not run: 400 of 1600" in [p.text for p in mark_labels(loss, 700)]
    assert {"0", "1200", "1600"} <= {label for _, label in ticks(loss, 700)}
    assert "Not run: 400 of 1600 steps." in describe(loss)
    barely = panels(prepare(replace(d, marks=(Mark("planned-end", 100_000, ""),))), 400)[0]
    assert barely.last == 1500
    assert not_run(barely) == "not run: 98800 of 100000 →"


def test_a_checkpoint_behind_the_last_row_is_on_the_axis() -> None:
    d = hockey_stick()
    late = Checkpoint(1300, "checkpoint-1300")
    assert panels(prepare(replace(d, checkpoints=(*d.checkpoints, late))), 400)[0].last == 1300


@given(st.integers(0, 10**6), st.integers(1, 10**7), st.floats(150, 800))
def test_first_and_last_step_are_always_labelled_and_no_label_touches_another(first: int, length: int, wide: float) -> None:
    panel = Panel("x", "x", "", (), Scale(0, 1), first, first + length)
    found = ticks(panel, wide)
    assert (found[0][0], found[-1][0]) == (0, 1)
    assert all((b - a) * wide >= 10 for (a, _), (b, _) in pairwise(found))


@pytest.mark.parametrize("unit", ["step", "epoch", "log call"])
def test_the_axis_names_its_unit(unit: str) -> None:
    assert f">{unit}</text>" in svg.inline(panels(prepare(replace(hockey_stick(), unit=unit)), 400)[0], SMALL, "c")


def test_a_finding_of_many_spans_has_one_lane_with_their_number_and_a_letter_that_is_a_link() -> None:
    d = hockey_stick()
    many = replace(d.findings[0], spans=tuple((s, s + 2) for s in range(200, 800, 30)), title="Restarted")
    panel = linked(panels(prepare(replace(d, findings=(many,))), 400)[0], {"A": "card-a"})
    assert [len(lane.spans) for lane in panel.lanes] == [20]
    text = svg.inline(panel, MAIN, "c")
    assert text.count(">A</text>") == 1
    assert ">\u00d720</text>" in text
    assert '<a href="#card-a"' in text
    assert 'role="graphics-document"' in text
    assert ">Restarted</text>" in text
    assert ">Restarted</text>" not in svg.inline(panel, SMALL, "c")


def test_a_tiny_span_is_wide_enough_to_be_seen() -> None:
    d = hockey_stick()
    short = replace(d.findings[0], spans=((600, 600),))
    text = svg.inline(panels(prepare(replace(d, findings=(short,))), 400)[0], MAIN, "c")
    xs = [float(x) for x in re.findall(r"[\d.]+", re.search(r'<path d="([^"]+)"[^>]*opacity="0.08"', text)[1])[::2]]
    assert max(xs) - min(xs) >= 5.9


def test_the_moment_when_it_could_be_seen_is_a_triangle_on_the_lane_of_large_charts_only() -> None:
    loss = panels(prepare(hockey_stick()), 400)[0]
    for size, there in ((MAIN, True), (CROP, True), (SMALL, False)):
        assert ("<title>A could be seen at step 550</title>" in svg.inline(loss, size, "c")) is there
    assert "detectable" not in svg.inline(loss, MAIN, "c")


def test_a_zoom_keeps_only_what_is_inside() -> None:
    panel = panels(prepare(nan_loss()), 400)[0]
    near = zoom(panel, 600, 800, 400)
    assert all(600 <= s <= 800 for line in near.lines for piece in line.pieces for s, _ in piece)
    assert all(line.nonfinite == () for line in near.lines)
    assert [lane.letter for lane in near.lanes] == ["C"]
    assert (near.first, near.last) == (600, 800)


def test_losses_far_apart_get_a_chart_each() -> None:
    d = hockey_stick()
    train = d.series[0]
    far = replace(train, values=tuple(v and v / 50 for v in train.values))
    upper, lower, *_ = panels(prepare(replace(d, series=(far, *d.series[1:]))), 400)
    assert ([line.signal for line in upper.lines], [line.signal for line in lower.lines]) == (["eval/loss"], ["train/loss"])
    assert (upper.twin, lower.twin) == (False, True)
    assert upper.lines[0].role == "eval"


def test_a_rise_of_the_eval_loss_beside_a_logarithmic_chart_is_shown_linear() -> None:
    one = prepare(hockey_stick())
    drawn = panels(one, 400)
    assert drawn[0].scale.log
    near = crop(one.findings[0], "A", drawn, 400)
    assert near is not None
    assert ([line.signal for line in near.lines], near.scale.log) == (["eval/loss"], False)


def test_a_flat_stretch_is_shown_on_a_scale_of_its_own() -> None:
    one = prepare(plateau())
    drawn = panels(one, 400)
    index = next(i for i, f in enumerate(one.findings) if f.span and f.span[1] - f.span[0] > 0.5 * drawn[0].last)
    near = crop(one.findings[index], "ABC"[index], drawn, 400)
    assert near is not None
    assert near.scale.high - near.scale.low < 0.5 * (drawn[0].scale.high - drawn[0].scale.low)


def test_a_constant_signal_is_known_as_one_and_a_loss_never_is() -> None:
    steps = np.arange(1, 50)
    d = replace(hockey_stick(), findings=(), series=(view("train/loss", steps, steps * 0 + 0.7), view("train/x", steps, steps * 0 + 6.0)))
    assert [constant(p) for p in panels(prepare(d), 400)] == [None, 6.0]


def test_end_labels_keep_the_order_of_the_lines_and_say_the_last_row() -> None:
    loss = panels(prepare(hockey_stick()), 400)[0]
    labels = end_labels(loss, 700, 150, 100)
    last = {line.title.split()[0]: line.points[-1][1] for line in loss.lines}
    assert {row for label in labels for row in label.rows} == {f"{name} {loss.scale.said(v)}" for name, v in last.items()}
    by_end = sorted(labels, key=lambda label: label.end[1])
    assert [label.at[1] for label in by_end] == sorted(label.at[1] for label in labels)
    assert all(b.at[1] - a.at[1] >= 14 - 1e-9 for a, b in pairwise(by_end))


@pytest.mark.parametrize(
    ("broken", "said"),
    [((3,), "NaN/Inf at 3"), ((3, 4, 5, 6, 7), "NaN/Inf 3-7"), ((8, 9, 10), "NaN/Inf from 8")],
)
def test_only_the_steps_that_are_not_finite_are_named(broken: tuple[int, ...], said: str) -> None:
    steps = np.arange(1, 11)
    values = np.where(np.isin(steps, broken), np.nan, 2.0 / steps)
    d = replace(hockey_stick(), findings=(), marks=(), checkpoints=(), series=(view("train/loss", steps, values),))
    assert [p.text for p in frame(panels(prepare(d), 400)[0], SMALL).labels] == [said]


def test_few_epochs_are_lines_with_labels_and_many_are_ticks_of_their_own_row() -> None:
    d = hockey_stick()
    many = replace(d, marks=tuple(Mark("epoch", 50 * i, f"epoch {i}") for i in range(1, 25)))
    few, more = (panels(prepare(x), 400)[0] for x in (d, many))
    assert frame(few, MAIN).epochs == ()
    assert {"epoch 1", "epoch 2"} <= {p.text for p in frame(few, MAIN).labels}
    assert len(frame(more, MAIN).epochs) == 24
    assert not [p for p in frame(more, MAIN).labels if p.text.startswith("epoch")]
    assert "epoch" not in re.sub(r"<(title|desc).*?</\1>", "", svg.inline(few, SMALL, "c") + svg.inline(more, SMALL, "c"))
    numbers = re.findall(r">(\d+)</text>", svg.inline(more, MAIN, "c"))
    assert {"2", "4", "6", "24"} <= set(numbers)
    assert not {"3", "5", "23"} & set(numbers)


def test_the_legend_explains_what_is_there_and_nothing_else() -> None:
    drawn = panels(prepare(hockey_stick()), 400)
    names = [name for name, _ in legend(drawn[:1], drawn[1:])]
    assert names == ["median", "rows", "lowest", "use", "saved", "span", "seen", "epoch"]
    bare = replace(drawn[0], lines=(replace(drawn[0].lines[0], smooth=()),), lanes=(), marks=(), lowest=None, used=None)
    assert legend([bare]) == ()


def test_the_description_and_the_table_carry_the_numbers() -> None:
    panel = panels(prepare(hockey_stick()), 400)[0]
    said = describe(panel)
    assert "lowest 1.051 at 400" in said
    assert "Finding A (error): steps 400 to 1200." in said
    head, rows = table(panel)
    assert head == ("step", "train loss", "eval loss")
    assert 10 <= len(rows) <= 14
    assert rows[0][0] == "10"
    assert rows[-1][0] == "1200"
    broken = panels(prepare(nan_loss()), 400)[0]
    assert "not finite" in table(broken)[1][-1]


def test_a_cell_of_the_table_is_what_was_logged_at_that_step() -> None:
    d = hockey_stick()
    panel = panels(prepare(d), 30)[0]
    logged = {v.signal: dict(zip(v.steps, v.values, strict=True)) for v in d.series}
    _, rows = table(panel)
    for step, *cells in rows:
        for signal, cell in zip(("train/loss", "eval/loss"), cells, strict=True):
            value = logged[signal].get(int(step))
            assert cell == (NOTHING if value is None else number(value)), (step, signal)
    assert sum(cells[-1] != NOTHING for cells in rows) >= len(rows) - 1


@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=80))
def test_ticks_cover_the_range_and_share_one_notation(numbers: list[float]) -> None:
    scale = scale_for(numbers)
    found = scale.ticks()
    assert 2 <= len(found) <= 8
    assert scale.unit(found[0][0]) < 0.2
    assert scale.unit(found[-1][0]) > 0.8
    if not scale.log:
        assert len(found) <= 6
        assert not any("e" in label for _, label in found)


def test_a_range_below_the_digits_of_an_axis_is_drawn_flat() -> None:
    scale = scale_for([1.22425592, 1.22425597, 1.22425594])
    assert max(len(label) for _, label in scale.ticks()) <= 5
    assert scale.unit(1.22425597) - scale.unit(1.22425592) < 1e-6


def test_zeros_below_a_wide_range_have_a_rail_of_their_own() -> None:
    scale = scale_for([0.0, 0.0, 1e-5, 0.002, 0.2, 0.15])
    assert scale.log
    assert 0 < scale.unit(0) < scale.unit(1e-5)
    assert scale.ticks()[0] == (0.0, "0")


def test_values_are_cut_only_where_that_doubles_the_resolution() -> None:
    falling = [0.61, *[0.3 - 0.0005 * i for i in range(150)]]
    assert scale_for(falling, log=False).cuts(0.61)
    assert not scale_for([1.15, *[1 + 0.001 * i for i in range(100)]]).cuts(1.15)
    assert scale_for([5.0, *[1 + 0.001 * i for i in range(100)]]).cuts(5.0)
    assert not scale_for([5.0, *[1 + 0.001 * i for i in range(100)]], keep=[5.0]).cuts(5.0)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [MAIN, NARROW, SMALL], ids=["main", "narrow", "small"])
def test_every_chart_of_every_sample_is_plain_svg(name: str, size: object) -> None:
    for index, panel in enumerate(panels(prepare(ALL[name]()), 200)[:6]):
        text = svg.inline(panel, size, f"c{index}")
        assert text.startswith("<svg ")
        for forbidden in ("style=", "<style", "xlink", "<metadata", "<script", "<image", "http", "\n", " on"):
            assert forbidden not in re.sub(r"<(title|desc|text)\b.*?</\1>|data-lines=\"[^\"]*\"", "", text, flags=re.DOTALL), forbidden
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


def test_labels_of_marks_keep_their_distance() -> None:
    panel = panels(prepare(hockey_stick()), 400)[0]
    labels = mark_labels(panel, 700)
    assert [p.text for p in labels] == ["warmup ends", "epoch 1", "epoch 2"]
    assert len(mark_labels(panel, 90)) < len(labels)


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
