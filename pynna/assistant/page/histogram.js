/* SPDX-License-Identifier: Apache-2.0 */
// A histogram of confidences with a threshold to drag. `rows`: { name, text, confidence }; `told` hears the threshold.

const [WIDTH, HEIGHT, LEFT, TOP, BARS] = [640, 170, 16, 26, 20];

const svg = (tag, props, ...content) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  made.append(...content);
  return made;
};
const place = (confidence) => LEFT + confidence * (WIDTH - 2 * LEFT);

function histogram(into, rows, threshold, told = () => {}) {
  const bins = Array.from({ length: BARS }, () => 0);
  for (const { confidence } of rows) bins[Math.min(BARS - 1, Math.floor(confidence * BARS))] += 1;
  const most = Math.max(1, ...bins);
  const floor = HEIGHT - 28;
  const bars = bins.map((n, i) => svg("rect", { x: place(i / BARS) + 1, width: (WIDTH - 2 * LEFT) / BARS - 2, rx: 2,
    y: floor - (n / most) * (floor - TOP), height: (n / most) * (floor - TOP) }, svg("title", {}, `${n} of ${rows.length}`)));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => svg("text", { x: place(at), y: HEIGHT - 8, "text-anchor": "middle", "font-size": 13, fill: "currentColor" }, String(at)));
  const line = svg("line", { y1: TOP - 6, y2: floor, stroke: "currentColor", "stroke-width": 2 });
  const grip = svg("circle", { cy: TOP - 8, r: 9, fill: "currentColor", tabindex: 0, role: "slider", "aria-label": "Threshold", "aria-valuemin": 0, "aria-valuemax": 1, style: "cursor: ew-resize" });
  const label = svg("text", { y: 14, "font-size": 13, fill: "currentColor" });
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` }, ...bars, ...ticks,
    svg("line", { x1: LEFT, x2: WIDTH - LEFT, y1: floor, y2: floor, stroke: "currentColor", opacity: 0.4 }), line, grip, label);

  function move(to) {
    threshold = Math.round(Math.max(0, Math.min(1, to)) * 100) / 100;
    const n = rows.filter(({ confidence }) => confidence >= threshold).length;
    for (const name of ["x1", "x2"]) line.setAttribute(name, place(threshold));
    grip.setAttribute("cx", place(threshold));
    grip.setAttribute("aria-valuenow", threshold);
    label.setAttribute("x", place(threshold) + (threshold > 0.6 ? -16 : 16));
    label.setAttribute("text-anchor", threshold > 0.6 ? "end" : "start");
    label.textContent = `threshold ${threshold.toFixed(2)}: ${n} of ${rows.length} accepted`;
    bars.forEach((bar, i) => bar.setAttribute("fill", (i + 0.5) / BARS >= threshold ? "#2a9d74" : "#c0564b"));
    told(threshold, n);
  }
  const follow = (event) => move(((event.clientX - drawing.getBoundingClientRect().left) / drawing.getBoundingClientRect().width * WIDTH - LEFT) / (WIDTH - 2 * LEFT));
  drawing.onpointerdown = (event) => {
    drawing.setPointerCapture(event.pointerId);
    follow(event);
  };
  drawing.onpointermove = (event) => event.buttons && follow(event);
  grip.onkeydown = ({ key }) => move(threshold + ({ ArrowLeft: -0.01, ArrowRight: 0.01 }[key] ?? 0));
  into.replaceChildren(drawing);
  move(threshold);
}

globalThis.histogram = histogram;
