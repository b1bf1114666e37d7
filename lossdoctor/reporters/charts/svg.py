"""Matplotlib's SVG, made fit for a page: no <style>, no style attributes, no repeated ids, colours that a theme can change.

Every `style="fill: #0757c2; ..."` becomes presentation attributes, which a Content-Security-Policy without inline styles leaves alone, and
each colour also gets the class of its role (`f-train` for fills, `s-train` for strokes), which the page's style sheet turns into the dark
theme. Ids get a prefix, since matplotlib repeats its own from chart to chart.
"""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

from lossdoctor.reporters.charts.draw import svg as drawn
from lossdoctor.reporters.charts.layout import Size, frame
from lossdoctor.reporters.charts.palette import LIGHT
from lossdoctor.reporters.charts.panel import Panel
from lossdoctor.reporters.charts.pen import HALO
from lossdoctor.reporters.charts.rows import SEEN
from lossdoctor.reporters.charts.say import describe
from lossdoctor.reporters.signals import look

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_ROLES = {colour: role for role, colour in LIGHT.items()}
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_DEFAULTS = {
    "fill-opacity": "1",
    "stroke-opacity": "1",
    "opacity": "1",
    "stroke-linejoin": "miter",
    "stroke-linecap": "butt",
    "text-anchor": "start",
    "font-weight": "400",
}
_SKIPPED = {"font-family", "font", "font-style", "font-variant", "font-stretch", "-inkscape-font-specification"}


def inline(panel: Panel, size: Size, prefix: str) -> str:
    """The chart as an <svg> element for an HTML page, with a title and a description for screen readers. `prefix` makes its ids unique."""
    root = ET.fromstring(drawn(panel, size))  # noqa: S314 - as above
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"} or (child.tag == f"{{{_SVG}}}defs" and not len(child)):
                parent.remove(child)
    _explain(root, panel)
    _flatten(root)
    _prefix(root, prefix)
    for element in root.iter():
        _attributes(element)
    head = f"{prefix}-title"
    about = f"{prefix}-about"
    root.attrib.clear()
    root.attrib.update(_root(panel, size, f"{head} {about}"))
    title, desc = ET.Element(f"{{{_SVG}}}title", id=head), ET.Element(f"{{{_SVG}}}desc", id=about)
    title.text, desc.text = panel.title, describe(panel)
    root.insert(0, desc)
    root.insert(0, title)
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    text = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    text = text.replace(f' xmlns="{_SVG}"', "").replace(f' xmlns:xlink="{_XLINK}"', "").replace("xlink:href", "href")
    return re.sub(r">\s+<", "><", text)


def _root(panel: Panel, size: Size, labelled: str) -> dict[str, str]:
    room = frame(panel, size)
    return {
        "viewBox": f"0 0 {room.width:g} {room.height:g}",
        "width": f"{room.width:g}",
        "height": f"{room.height:g}",
        # What has the role of an image may not hold links.
        "role": "graphics-document" if any(lane.href for lane in panel.lanes) else "img",
        "aria-labelledby": labelled,
        "font-family": "system-ui, 'DejaVu Sans', sans-serif",
        "class": "chart",
        "data-plot": f"{size.left:g} {room.top:g} {room.axis:g} {room.plot:g}",
        "data-axis": f"{panel.first} {panel.last} {panel.axis_unit}",
        "data-scale": "log" if panel.scale.log else "linear",
        "data-unit": panel.axis,
        "data-lines": json.dumps([[line.signal, line.title, line.role, look(line.signal).divisor] for line in panel.lines]),
    }


def _flatten(root: ET.Element) -> None:
    """Take the content out of groups that say nothing: matplotlib wraps every artist in one or two."""
    changed = True
    while changed:
        changed = False
        for parent in list(root.iter()):
            for i, child in enumerate(list(parent)):
                if child.tag == f"{{{_SVG}}}g" and not (set(child.attrib) - {"id"}):
                    parent.remove(child)
                    for offset, inner in enumerate(list(child)):
                        parent.insert(i + offset, inner)
                    changed = True
                    break


def _explain(root: ET.Element, panel: Panel) -> None:
    """Give texts on lines their halo, letters the name of their finding, and triangles the words that a pointer shows."""
    titles = {lane.letter: f"Finding {lane.letter}: {lane.title}" for lane in panel.lanes}
    seen = {f"{SEEN}-{lane.letter}": f"{lane.letter} could be seen at {panel.axis} {lane.seen}" for lane in panel.lanes}
    for element in root.iter():
        name = element.get("id", "")
        if name == HALO:
            element.attrib.update({"style": f"stroke: {LIGHT['background']}", "stroke-width": "3.5", "stroke-linejoin": "round"})
            element.set("paint-order", "stroke")
        elif name in seen:
            title = ET.SubElement(element, f"{{{_SVG}}}title")
            title.text = seen[name]
        elif element.tag == f"{{{_SVG}}}a":
            letter = "".join(element.itertext()).strip()
            element.set("aria-label", titles.get(letter, letter))


def _prefix(root: ET.Element, prefix: str) -> None:
    """Shorten and prefix the ids that something refers to, drop the others."""
    text = ET.tostring(root, encoding="unicode")
    own = {element.get("id") for element in root.iter()}
    used = [name for name in dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', text)) if name in own]
    names = {old: f"{prefix}-{i}" for i, old in enumerate(used)}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in names:
            element.set("id", names[old])
        for key, value in list(element.attrib.items()):
            if value.startswith("#"):
                element.set(key, f"#{names.get(value[1:], value[1:])}")
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{names.get(m[1], m[1])})", value))


def _attributes(element: ET.Element) -> None:
    style = element.attrib.pop("style", "")
    for part in style.split(";"):
        name, _, value = (p.strip() for p in part.partition(":"))
        if name == "font":
            element.set("font-size", next((w for w in value.split() if w.endswith("px")), "11px").removesuffix("px"))
            if value.split()[0] in {"700", "bold"}:
                element.set("font-weight", "700")
        elif name and name not in _SKIPPED:
            element.set(name, value.removesuffix("px"))
    for name, value in _DEFAULTS.items():
        if element.get(name) in {value, f"{value}.0", "normal" if name == "font-weight" else value}:
            del element.attrib[name]
    classes: list[str] = []
    for kind in ("fill", "stroke"):
        role = _ROLES.get(element.get(kind, ""))
        if role is not None:
            classes.append(f"{kind[0]}-{role}")
    if classes:
        element.set("class", " ".join(classes))
    for name in ("d", "x", "y", "transform", "stroke-width", "stroke-dasharray", "width", "height", "font-size"):
        if name in element.attrib:
            rounded = _NUMBER.sub(lambda m: f"{float(m[0]):.1f}".removesuffix(".0") or "0", element.attrib[name])
            element.set(name, " ".join(rounded.split()))
    if element.get("transform", "").startswith("rotate(-0") or element.get("transform", "").startswith("rotate(0"):
        del element.attrib["transform"]
