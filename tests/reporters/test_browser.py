"""The HTML report in a real browser: it asks for nothing, runs nothing of the data's, and can be read by everybody, everywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lossdoctor.reporters import render

from . import samples
from .chromium import Chromium, find

pytestmark = pytest.mark.browser

JENKINS = {"Content-Security-Policy": "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"}
AXE = Path(os.environ.get("LOSSDOCTOR_AXE", Path(__file__).parent / "node_modules/axe-core/axe.min.js"))
SHOWN = ["hockey-stick", "nan-loss", "plateau", "healthy", "short", "reinforcement", "memory", "no-data", "extremes", "hostile"]

CONTRAST = """
(() => {
  const luminance = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ratio = (a, b) => { const [l, d] = [luminance(a), luminance(b)].sort((x, y) => y - x); return (l + 0.05) / (d + 0.05); };
  const parse = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const found = [];
  document.querySelectorAll("svg.chart").forEach((svg) => {
    const ground = parse(getComputedStyle(svg.querySelector(".f-background")).fill);
    const tints = [...svg.querySelectorAll("path[opacity='0.08']")].map((p) => parse(getComputedStyle(p).fill));
    const grounds = [ground, ...tints.map((t) => ground.map((v, i) => 0.92 * v + 0.08 * t[i]))];
    svg.querySelectorAll("text").forEach((text) => {
      const ink = parse(getComputedStyle(text).fill);
      const worst = Math.min(...grounds.map((g) => ratio(ink, g)));
      if (worst < 4.5) found.push(`${text.textContent}: ${worst.toFixed(2)}`);
    });
    const lines = ["train", "eval", "third", "fourth", "limit"].map((role) => `path[class~='s-${role}']`).join(", ");
    svg.querySelectorAll(lines).forEach((path) => {
      const worst = Math.min(...grounds.map((g) => ratio(parse(getComputedStyle(path).stroke), g)));
      if (worst < 3) found.push(`${path.getAttribute("class")}: ${worst.toFixed(2)}`);
    });
  });
  return found;
})()
"""


OVERPRINTED = """
[...document.querySelectorAll("svg.chart")].filter((s) => s.getBoundingClientRect().width > 0).flatMap((svg) => {
  const edge = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
  const boxes = texts.map((t) => { const b = t.getBoundingClientRect(), trim = b.height * 0.2;
    return {words: t.textContent, left: b.left, right: b.right, top: b.top + trim, bottom: b.bottom - trim}; });
  const outside = boxes.filter((b) => b.left < edge.left - 1 || b.right > edge.right + 1 || b.top < edge.top || b.bottom > edge.bottom);
  const over = boxes.flatMap((a, i) => boxes.slice(i + 1)
    .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map((b) => `${a.words} / ${b.words}`));
  return [...outside.map((b) => `outside: ${b.words}`), ...over].map((w) => `${svg.querySelector("title").textContent}: ${w}`);
})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    program = find()
    if program is None:
        pytest.skip("no Chromium on the PATH (Debian: apt-get install chromium), and LOSSDOCTOR_CHROMIUM names none")
    started = Chromium(program)
    yield started
    started.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    home = tmp_path_factory.mktemp("reports")

    def write(name: str) -> Path:
        path = home / f"{name}.html"
        if not path.exists():
            runs = samples.many(int(name)) if name.isdecimal() else [samples.ALL[name]()]
            path.write_text(render(runs, "html"), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", [*SHOWN, "7"])
def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Chromium, page: Callable[[str], Path], name: str) -> None:
    browser.open(page(name))
    assert browser.requests() == []
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*SHOWN, "7"])
def test_axe_finds_nothing(browser: Chromium, page: Callable[[str], Path], name: str, dark: bool) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci --ignore-scripts in tests/reporters, or LOSSDOCTOR_AXE=.../axe.min.js")
    browser.open(page(name), dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    browser.evaluate(AXE.read_text(encoding="utf-8"))
    found = browser.evaluate(
        "axe.run(document, {resultTypes: ['violations']})"
        ".then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.length + ' x ' + v.nodes[0].html.slice(0, 200)))"
    )
    assert found == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["hockey-stick", "nan-loss", "memory", "reinforcement"])
def test_every_text_and_line_of_a_chart_stands_out(browser: Chromium, page: Callable[[str], Path], name: str, dark: bool) -> None:
    browser.open(page(name), dark=dark)
    assert browser.evaluate("document.querySelectorAll('svg.chart text').length") > 10
    assert browser.evaluate(CONTRAST) == []


def test_the_dark_page_is_dark_and_its_charts_too(browser: Chromium, page: Callable[[str], Path]) -> None:
    browser.open(page("hockey-stick"), dark=True)
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 27)"
    assert browser.evaluate("getComputedStyle(document.querySelector('.f-background')).fill") == "rgb(15, 20, 27)"


@pytest.mark.parametrize("name", SHOWN)
def test_nothing_of_the_data_runs(browser: Chromium, page: Callable[[str], Path], name: str) -> None:
    browser.open(page(name))
    browser.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; }); new Promise((done) => setTimeout(done, 50))")
    assert browser.evaluate("typeof window.__pwned") == "undefined"
    assert browser.evaluate("document.querySelectorAll('script').length") == 2
    assert (
        browser.evaluate("document.querySelectorAll('img, iframe, object, embed, link, form, input, svg svg, foreignObject').length") == 0
    )
    assert browser.evaluate("[...document.querySelectorAll('a')].every((a) => a.getAttribute('href').startsWith('#'))")
    assert browser.evaluate("[...document.querySelectorAll('*')].every((e) => [...e.attributes].every((a) => !a.name.startsWith('on')))")


@pytest.mark.parametrize("name", SHOWN)
def test_every_id_is_unique_and_every_reference_hits(browser: Chromium, page: Callable[[str], Path], name: str) -> None:
    browser.open(page(name))
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    wanted = browser.evaluate(
        "[...document.querySelectorAll('*')].flatMap((e) => [...e.attributes]).flatMap((a) =>"
        " a.name === 'aria-labelledby' ? a.value.split(' ') : a.name === 'href' ? [a.value.slice(1)]"
        " : [...a.value.matchAll(/url\\(#([^)]+)\\)/g)].map((m) => m[1]))"
    )
    assert len(wanted) >= 3
    missing = set(wanted) - set(ids)
    assert missing == set()


def test_without_scripts_and_under_jenkins_policy_the_report_is_still_read(browser: Chromium, page: Callable[[str], Path]) -> None:
    for headers in (None, JENKINS):
        browser.open(page("hockey-stick"), scripts=headers is not None, headers=headers)
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
        root = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        text = browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
        assert "Overfitting after epoch 1. Use checkpoint-400" in text
        layout = browser.call("DOMSnapshot.captureSnapshot", computedStyles=["fill", "stroke"], includePaintOrder=False)
        strings, document = layout["strings"], layout["documents"][0]
        shown = " ".join(strings[i] for i in document["layout"]["text"] if i >= 0)
        assert "Overfitting after epoch 1" in shown
        assert "num_train_epochs=1" in shown
        assert "lowest 1.05 at 400" in shown
        fills = {strings[style[0]] for style in document["layout"]["styles"] if style}
        assert {"rgb(255, 255, 255)", "rgb(31, 35, 40)"} <= fills


def test_page_one_of_the_print_holds_verdict_vitals_next_steps_and_main_curve(browser: Chromium, page: Callable[[str], Path]) -> None:
    for name in ("hockey-stick", "nan-loss", "memory", "reinforcement", "healthy", "short"):
        browser.open(page(name), media="print")
        browser.call("Emulation.setDeviceMetricsOverride", width=688, height=1016, deviceScaleFactor=1, mobile=False)
        bottom = browser.evaluate("document.querySelector('figure.main').getBoundingClientRect().bottom")
        assert bottom < 1016, f"{name}: the main curve ends at {bottom} of 1016 pixels"
        pages = len(re.findall(rb"/Type /Page\b", browser.pdf()))
        assert 1 <= pages <= 6


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Chromium, page: Callable[[str], Path]) -> None:
    for name in ("hockey-stick", "short", "hostile", "7"):
        browser.open(page(name), width=390)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    browser.open(page("hockey-stick"), width=390)
    sizes = browser.evaluate("[...document.querySelectorAll('.main .narrow text')].map((t) => t.getBoundingClientRect().height)")
    assert len(sizes) > 10
    assert min(sizes) > 9


def test_the_pointer_reads_values_off_the_curve(browser: Chromium, page: Callable[[str], Path]) -> None:
    browser.open(page("hockey-stick"))
    browser.evaluate("document.querySelector('figure.main').scrollIntoView()")
    box = browser.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('figure.main .wide svg').getBoundingClientRect())"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] * 0.4, y=box[1] + box[3] * 0.5)
    said = browser.evaluate("document.querySelector('figure.main .readout').textContent")
    assert re.fullmatch(r"step \d+: train loss [\d.]+, eval loss [\d.]+( \(at \d+\))?", said)
    step = int(re.match(r"step (\d+)", said)[1])
    train, evals = samples.hockey_stick().series[:2]
    assert step in {*train.steps, *evals.steps}
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    assert browser.evaluate("document.querySelector('figure.main .readout').textContent").startswith("Point at the chart")


def drag(browser: Chromium, start: float, end: float) -> None:
    """Over the main chart, from one share of its width to another one."""
    browser.evaluate("document.querySelector('figure.main').scrollIntoView()")
    x, y, width, height = browser.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('figure.main .wide svg').getBoundingClientRect())"
    )
    for kind, at in (("mousePressed", start), ("mouseMoved", (start + end) / 2), ("mouseMoved", end), ("mouseReleased", end)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x + width * at, y=y + height / 2, button="left", buttons=1, clickCount=1)


def press(browser: Chromium, words: str) -> None:
    browser.evaluate(f"[...document.querySelectorAll('.main .wide .bar button')].find((b) => b.textContent === '{words}').click()")


def test_a_stretch_is_zoomed_by_dragging_and_the_first_drawing_comes_back(browser: Chromium, page: Callable[[str], Path]) -> None:
    browser.open(page("hockey-stick"))
    shown = "document.querySelector('figure.main .wide svg')"
    before = browser.evaluate(f"{shown}.outerHTML.length")
    height = browser.evaluate("document.documentElement.scrollHeight")
    drag(browser, 0.3, 0.6)
    assert browser.evaluate(f"{shown}.classList.contains('explored')")
    ticks = [float(t) for t in browser.evaluate(f"[...{shown}.querySelectorAll('text[text-anchor=middle]')].map((t) => t.textContent)")]
    assert 250 < min(ticks) < max(ticks) < 800
    assert browser.evaluate("document.documentElement.scrollHeight") == height
    press(browser, "Reset zoom")
    assert not browser.evaluate(f"{shown}.classList.contains('explored')")
    assert browser.evaluate(f"{shown}.outerHTML.length") >= before
    assert browser.complaints() == []


def test_scale_and_unit_of_the_axis_are_switched(browser: Chromium, page: Callable[[str], Path]) -> None:
    browser.open(page("hockey-stick"))
    shown = "[...document.querySelectorAll('figure.main .wide svg text')].map((t) => t.textContent)"
    press(browser, "Linear scale")
    assert "loss" in browser.evaluate(shown)
    assert "0.5" in browser.evaluate(shown)
    press(browser, "Log scale")
    assert "loss, log scale" in browser.evaluate(shown)
    for button, unit, last in (("Over epochs", "epoch", "3"), ("Over hours", "hour", "2.5")):
        press(browser, button)
        assert {unit, last} <= set(browser.evaluate(shown))
    press(browser, "Over steps")
    assert not browser.evaluate("document.querySelector('.explored')")
    assert browser.complaints() == []


@pytest.mark.parametrize("name", ["hockey-stick", "nan-loss", "memory"])
@pytest.mark.parametrize("width", [360, 390, 720, 800, 940, 1000, 1280])
def test_no_text_of_a_chart_is_smaller_than_eleven_pixels(browser: Chromium, page: Callable[[str], Path], name: str, width: int) -> None:
    browser.open(page(name), width=width)
    sizes = browser.evaluate(
        "[...document.querySelectorAll('svg.chart')].filter((s) => s.getBoundingClientRect().width > 0).flatMap((s) => {"
        " const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;"
        " return [...s.querySelectorAll('text')].map((t) => parseFloat(getComputedStyle(t).fontSize) * scale); })"
    )
    assert len(sizes) > 20
    assert min(sizes) >= (11 if width > 380 else 10)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", [n for n in SHOWN if n not in {"extremes", "hostile"}])
def test_no_text_of_a_chart_overprints_another_or_leaves_it(browser: Chromium, page: Callable[[str], Path], name: str, width: int) -> None:
    browser.open(page(name), width=width)
    assert browser.evaluate(OVERPRINTED) == []


@pytest.mark.parametrize("name", ["hockey-stick", "plateau", "memory", "reinforcement", "healthy", "short", "nan-loss"])
def test_the_main_chart_is_on_the_first_screen(browser: Chromium, page: Callable[[str], Path], name: str) -> None:
    browser.open(page(name), width=1280)
    assert browser.evaluate("document.querySelector('figure.main .wide svg').getBoundingClientRect().bottom") <= 900


def test_a_link_to_a_note_opens_it(browser: Chromium, page: Callable[[str], Path]) -> None:
    browser.open(page("hockey-stick"))
    note = "document.querySelector('details.card.note')"
    assert not browser.evaluate(f"{note}.open")
    browser.evaluate(f"location.hash = {note}.id; new Promise((done) => setTimeout(done, 50))")
    assert browser.evaluate(f"{note}.open")


@pytest.mark.parametrize("name", ["hockey-stick", "nan-loss"])
def test_the_print_has_no_heading_with_nothing_below(browser: Chromium, page: Callable[[str], Path], name: str) -> None:
    browser.open(page(name), media="print")
    bare = (
        "[...document.querySelectorAll('main details:not([open])')].filter((d) => d.getBoundingClientRect().height > 0"
        " && d.getBoundingClientRect().height < d.querySelector('summary').getBoundingClientRect().height + 8).map((d) => d.textContent)"
    )
    assert [text[:60] for text in browser.evaluate(bare)] == []
