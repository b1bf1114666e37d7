"use strict";
(() => {
  const data = JSON.parse(document.getElementById("lossdoctor-report").textContent);
  const runs = data.runs || [data];
  const articles = [...document.querySelectorAll("article")];
  const say = (value) => value === null ? "not finite" : Number(value.toPrecision(4)).toString();
  const make = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (parent) parent.append(made);
    return made;
  };
  const button = (words, parent, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.addEventListener("click", act);
    parent.append(made);
    return made;
  };

  const nice = (low, high, count) => {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({length: Math.max(Math.floor(high / step + 1e-9) - first + 1, 0)}, (_, i) => (first + i) * step);
  };
  const decades = (low, high) => {
    const few = Math.log10(high / low) < 2.5;
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e += 1) {
      (few ? [1, 2, 5] : [1]).forEach((m) => { if (m * 10 ** e >= low && m * 10 ** e <= high) found.push(m * 10 ** e); });
    }
    return found;
  };

  // One chart: the static drawing, and in its place one of our own where another scale, unit or stretch is asked for.
  const chart = (svg) => {
    const owner = svg.closest("article");
    const run = owner ? runs[articles.indexOf(owner)] : runs[0];
    const [left, top, width, height] = svg.dataset.plot.split(" ").map(Number);
    const [first, last, unit] = svg.dataset.axis.split(" ").map(Number);
    const lines = JSON.parse(svg.dataset.lines).flatMap(([signal, title, role, divisor]) => {
      const found = (run.series || []).find((s) => s.signal === signal && s.steps.length);
      return found ? [{title, role, steps: found.steps, values: found.values.map((v) => v === null ? null : v / divisor)}] : [];
    });
    if (!lines.length) return;
    const figure = svg.closest("figure");
    const home = {from: first, to: last, log: svg.dataset.scale === "log", unit: 0};
    const state = {...home};
    const units = [["step", 1]]; // hours at an even pace: the page holds no times
    if (run.unit === "step" && run.steps > 0 && unit === 1) {
      if (run.epochs) units.push(["epoch", run.epochs / run.steps]);
      if (run.cost.hours) units.push(["hour", run.cost.hours / run.steps]);
    }
    let shown = svg;
    const x = (step) => left + Math.min(Math.max((step - state.from) / (state.to - state.from), 0), 1) * width;

    const draw = () => {
      const values = lines.flatMap((l) => l.values.filter((v, i) => v !== null && (!state.log || v > 0) && l.steps[i] >= state.from && l.steps[i] <= state.to));
      const own = make("svg", {class: "chart explored", viewBox: svg.getAttribute("viewBox"), width: svg.getAttribute("width"), height: svg.getAttribute("height"), role: "img", "aria-label": `${svg.querySelector("title").textContent}, drawn again`});
      const scaled = (v) => state.log ? Math.log10(v) : v;
      let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [1, 10];
      if (!(high > low)) [low, high] = state.log ? [low / 2, high * 2] : [low - 1, high + 1];
      const inner = nice(low, high, 4);
      const apart = inner[1] - inner[0];
      if (!state.log && apart > 0) [low, high] = [Math.floor(low / apart + 1e-9) * apart, Math.ceil(high / apart - 1e-9) * apart];
      const y = (v) => top + height - (scaled(v) - scaled(low)) / (scaled(high) - scaled(low)) * height;
      const text = (words, px, py, anchor, role) => { make("text", {x: px, y: py, "text-anchor": anchor, class: `f-${role}`, "font-size": 12}, own).textContent = words; };
      (state.log ? decades(low, high) : nice(low, high, 4)).forEach((v) => {
        make("path", {d: `M${left} ${y(v)}h${width}`, class: "s-grid"}, own);
        text(say(v), left - 6, y(v) + 4, "end", "muted");
      });
      const [name, share] = units[state.unit];
      nice(state.from * share, state.to * share, 7).forEach((v) => {
        make("path", {d: `M${x(v / share)} ${top + height}v4`, class: "s-axis"}, own);
        text(say(v), x(v / share), top + height + 17, "middle", "muted");
      });
      text(name, left + width + 24, top + height + 17, "start", "muted");
      text(svg.querySelector("title").textContent + (state.log ? ", log scale" : ""), 4, 14, "start", "text");
      (run.findings || []).forEach((f) => f.spans.forEach(([a, b]) => {
        if (b < state.from || a > state.to || !f.signals.some((s) => svg.dataset.lines.includes(`"${s}"`))) return;
        make("rect", {x: x(a), y: top, width: Math.max(x(b) - x(a), 6), height, class: `f-${f.severity}`, opacity: 0.08}, own);
      }));
      make("path", {d: `M${left} ${top + height}h${width}`, class: "s-axis"}, own);
      lines.forEach((l) => {
        let [d, open] = ["", false];
        l.steps.forEach((step, i) => {
          const v = l.values[i];
          const drawn = v !== null && (!state.log || v > 0) && step >= state.from && step <= state.to;
          if (drawn) d += `${open ? "L" : "M"}${x(step).toFixed(1)} ${y(v).toFixed(1)}`;
          open = drawn;
        });
        make("path", {d, class: `s-${l.role}`, fill: "none", "stroke-width": 1.5, "stroke-linejoin": "round"}, own);
        const end = l.values.findLastIndex((v, i) => v !== null && (!state.log || v > 0) && l.steps[i] <= state.to && l.steps[i] >= state.from);
        if (end >= 0) text(l.title, left + width + 6, y(l.values[end]) + 4, "start", l.role);
      });
      return own;
    };

    const show = () => {
      const still = Object.keys(home).every((key) => state[key] === home[key]);
      const next = still ? svg : draw();
      shown.replaceWith(next);
      shown = next;
      listen(shown);
      refresh();
    };

    const readout = document.createElement("p");
    readout.className = "readout quiet";
    const told = matchMedia("(pointer: coarse)").matches ? "Touch the chart to read it." : "Point at the chart to read it, drag to zoom.";
    const hint = figure.classList.contains("main") ? told : "";
    readout.textContent = hint;
    const under = document.createElement("div");
    under.className = "under";
    under.append(readout);
    svg.after(under);

    const step = (event) => {
      const box = shown.getBoundingClientRect();
      const px = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      return state.from + Math.min(Math.max((px - left) / width, 0), 1) * (state.to - state.from);
    };
    const nearest = (steps, wanted) => steps.reduce((best, s) => Math.abs(s - wanted) < Math.abs(best - wanted) ? s : best, steps[0]);
    const tell = (wanted) => {
      const at = nearest(lines.map((l) => nearest(l.steps, wanted)), wanted);
      const words = lines.map((l) => {
        const near = nearest(l.steps, at);
        if (Math.abs(near - at) > 0.02 * (state.to - state.from)) return `${l.title} \u2013`;
        return `${l.title} ${say(l.values[l.steps.indexOf(near)])}${near === at ? "" : ` (at ${say(near / unit)})`}`;
      });
      readout.textContent = `${svg.dataset.unit} ${say(at / unit)}: ${words.join(", ")}`;
      return at;
    };

    const zooms = figure.classList.contains("main") && last > first;
    const bar = document.createElement("p");
    let reset, scale, axis;
    const refresh = () => {
      if (!zooms) return;
      reset.hidden = state.from === home.from && state.to === home.to;
      if (scale) scale.textContent = state.log ? "Linear scale" : "Log scale";
      if (axis) axis.textContent = `Over ${units[(state.unit + 1) % units.length][0]}s`;
    };
    if (zooms) {
      bar.className = "bar";
      if (lines.some((l) => l.values.some((v) => v > 0))) scale = button("", bar, () => { state.log = !state.log; show(); });
      if (units.length > 1) axis = button("", bar, () => { state.unit = (state.unit + 1) % units.length; show(); });
      reset = button("Reset zoom", bar, () => { state.from = home.from; state.to = home.to; show(); });
      under.append(bar);
      refresh();
    }

    let from = null;
    const listened = new WeakSet();
    const listen = (drawn) => {
      if (listened.has(drawn)) return;
      listened.add(drawn);
      const cursor = make("path", {class: "s-axis", visibility: "hidden"}, drawn);
      const area = make("rect", {y: top, height, class: "f-note", opacity: 0.15, visibility: "hidden"}, drawn);
      drawn.addEventListener("pointermove", (event) => {
        cursor.setAttribute("d", `M${x(tell(step(event)))} ${top}v${height}`);
        cursor.setAttribute("visibility", "visible");
        if (from === null) return;
        const [a, b] = [x(from), x(step(event))].sort((p, q) => p - q);
        area.setAttribute("x", a);
        area.setAttribute("width", b - a);
        area.setAttribute("visibility", "visible");
      });
      drawn.addEventListener("pointerleave", () => {
        [cursor, area].forEach((part) => part.setAttribute("visibility", "hidden"));
        readout.textContent = hint;
        from = null;
      });
      if (!zooms) return;
      drawn.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" || event.target.closest("a")) return;
        event.preventDefault();
        from = step(event);
      });
      drawn.addEventListener("pointerup", (event) => {
        area.setAttribute("visibility", "hidden");
        if (from === null) return;
        const [a, b] = [from, step(event)].sort((p, q) => p - q);
        from = null;
        if (x(b) - x(a) < 8 || b - a < 2) return;
        state.from = Math.floor(a);
        state.to = Math.ceil(b);
        show();
      });
    };
    listen(svg);
  };
  document.querySelectorAll("svg.chart").forEach(chart);

  if (navigator.clipboard) document.querySelectorAll("pre").forEach((pre) => {
    const wanted = pre.querySelector("ins");
    const text = wanted ? wanted.textContent.replace(/^\+ /, "") : pre.textContent;
    const copy = button("Copy", pre, () => navigator.clipboard.writeText(text).then(() => { copy.textContent = "Copied"; }));
    copy.className = "copy";
  });

  // A link to a finding that is folded opens it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
