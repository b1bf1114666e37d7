"use strict";
(() => {
  const data = JSON.parse(document.getElementById("lossdoctor-report").textContent);
  const runs = data.runs || [data];
  const say = (value) => value === null ? "not finite" : Number(value.toPrecision(4)).toString();
  document.querySelectorAll("svg.chart").forEach((svg) => {
    const [left, right, first, last] = svg.dataset.axis.split(" ").map(Number);
    const owner = svg.closest("article");
    const run = owner ? runs[[...document.querySelectorAll("article")].indexOf(owner)] : runs[0];
    const signals = svg.dataset.signals.split("\n");
    const series = (run.series || []).filter((s) => signals.includes(s.signal) && s.steps.length);
    if (!series.length) return;
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    line.setAttribute("class", "s-axis");
    line.setAttribute("y1", "0");
    line.setAttribute("y2", svg.viewBox.baseVal.height - 34);
    line.setAttribute("visibility", "hidden");
    svg.append(line);
    const readout = document.createElement("p");
    readout.className = "readout";
    svg.closest("figure").querySelector("details").before(readout);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = Math.min(Math.max((event.clientX - box.left) / box.width * svg.viewBox.baseVal.width, left), right);
      const wanted = first + (x - left) / (right - left) * (last - first);
      const words = series.map((s) => {
        let near = 0;
        s.steps.forEach((step, i) => { if (Math.abs(step - wanted) < Math.abs(s.steps[near] - wanted)) near = i; });
        return `${s.signal} ${say(s.values[near])} at step ${s.steps[near]}`;
      });
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      line.setAttribute("visibility", "visible");
      readout.textContent = words.join(", ");
    });
    svg.addEventListener("pointerleave", () => { line.setAttribute("visibility", "hidden"); readout.textContent = ""; });
  });
  if (navigator.clipboard) document.querySelectorAll("pre").forEach((pre) => {
    const wanted = pre.querySelector("ins");
    const text = wanted ? wanted.textContent.replace(/^\+ /, "") : pre.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => navigator.clipboard.writeText(text).then(() => { button.textContent = "Copied"; }));
    pre.append(button);
  });
})();
