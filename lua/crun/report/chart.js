// chart.js - what all figures share: the data, a variant's colour, dash and mark, and one way to
// make a chart with its heading, its controls and the link to its data.
const data = JSON.parse(document.getElementById("data").textContent);
const names = data.variants;
const COLORS = [
  "#0b74c4",
  "#d95f02",
  "#109368",
  "#c2578f",
  "#c08a00",
  "#3aa5d6",
  "#8d6bd1",
  "#8a7f72",
];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const SHAPES = ["circle", "rect", "triangle", "rectRot", "crossRot", "star", "rectRounded"];
const highlighted = new Set(),
  charts = [],
  redraws = [];
const root = document.documentElement;

const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const shape = (v) => SHAPES[v % SHAPES.length];
const dash = (v) => DASHES[Math.floor(v / SHAPES.length) % DASHES.length];
function fade(hex, alpha) {
  const n = parseInt(hex.slice(1), 16);
  return `rgba(${n >> 16}, ${(n >> 8) & 255}, ${n & 255}, ${alpha})`;
}
const dim = (v) => highlighted.size > 0 && !highlighted.has(v);
const color = (v, alpha = 1) => fade(COLORS[v % COLORS.length], alpha * (dim(v) ? 0.12 : 1));
const cut = (text, n = 26) => (text.length > n ? text.slice(0, n - 1) + "…" : text);

function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") e.className = value;
    else if (key in e && key !== "style") e[key] = value;
    else e.setAttribute(key, value);
  }
  e.append(...children.filter((c) => c != null));
  return e;
}

// ---- the key of a variant: its line and its mark

function mark(context, kind, x, y, r) {
  // the same marks in maps, keys and charts
  const c = context;
  c.beginPath();
  if (kind === "circle") c.arc(x, y, r, 0, 2 * Math.PI);
  else if (kind === "rect") c.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else if (kind === "rectRounded") c.rect(x - r * 1.2, y - r * 0.6, r * 2.4, r * 1.2);
  else if (kind === "triangle") {
    c.moveTo(x, y - r * 1.1);
    c.lineTo(x + r, y + r * 0.8);
    c.lineTo(x - r, y + r * 0.8);
    c.closePath();
  } else if (kind === "rectRot") {
    c.moveTo(x, y - r * 1.2);
    c.lineTo(x + r * 1.2, y);
    c.lineTo(x, y + r * 1.2);
    c.lineTo(x - r * 1.2, y);
    c.closePath();
  } else {
    const arms = kind === "star" ? 3 : 2,
      turn = kind === "star" ? Math.PI / 6 : Math.PI / 4;
    for (let k = 0; k < arms; k++) {
      const a = turn + (k * Math.PI) / arms,
        dx = r * 1.1 * Math.cos(a),
        dy = r * 1.1 * Math.sin(a);
      c.moveTo(x - dx, y - dy);
      c.lineTo(x + dx, y + dy);
    }
    c.stroke();
    return;
  }
  c.fill();
  c.stroke();
}

function key(v) {
  const c = COLORS[v % COLORS.length];
  const paths = {
    circle: `<circle cx="15" cy="6" r="4"/>`,
    rect: `<rect x="11.4" y="2.4" width="7.2" height="7.2"/>`,
    rectRounded: `<rect x="10" y="3.5" width="10" height="5" rx="1.5"/>`,
    triangle: `<path d="M15 1.5l4 7.5h-8z"/>`,
    rectRot: `<path d="M15 1l5 5-5 5-5-5z"/>`,
    crossRot: `<path d="M11.5 2.5l7 7m0-7l-7 7" stroke-width="2"/>`,
    star: `<path d="M15 1.5v9M11 3.5l8 5m0-5l-8 5" stroke-width="1.6"/>`,
  };
  const span = make("span", {});
  span.innerHTML =
    `<svg viewBox="0 0 30 12" fill="${c}" stroke="${c}" aria-hidden="true">` +
    `<line x1="0" y1="6" x2="30" y2="6" ` +
    `stroke-width="2" stroke-dasharray="${dash(v).join(" ")}"/>${paths[shape(v)]}</svg>`;
  return span.firstChild;
}

// ---- charts

function csvOf(datasets, x, y) {
  const quote = (t) => `"${String(t).replace(/"/g, '""')}"`;
  const rows = [["series", x, y].map(quote).join(",")];
  for (const d of datasets) {
    d.data.forEach((p, i) => {
      const at = p !== null && typeof p === "object" ? p : { x: d.at ? d.at[i] : i + 1, y: p };
      if (at.y != null)
        rows.push([quote(d.label), typeof at.x === "number" ? at.x : quote(at.x), at.y].join(","));
    });
  }
  return rows.join("\n") + "\n";
}

function save(text, name) {
  const link = make("a", {
    href: URL.createObjectURL(new Blob([text], { type: "text/csv" })),
    download: name,
  });
  document.body.append(link);
  link.click();
  link.remove();
}

// A chart with its heading, its controls and the link to its data. draw() gives { type, datasets,
// axes, ... }; it is called again whenever something is highlighted or the theme changes.
function chart(host, title, height, draw, controls = []) {
  const canvas = make("canvas", { role: "img" }),
    box = make("div", { class: "canvas" }, canvas);
  const heading = make("h3", {}, title);
  const csv = make("button", { class: "csv", type: "button" }, "data (CSV)");
  csv.setAttribute("aria-label", `data of ${title} as CSV`);
  const whole = make(
    "div",
    { class: "chart" },
    make("div", { class: "bar" }, heading, ...controls, csv),
    box,
  );
  host.append(whole);
  let object = null,
    now = null;
  function render() {
    now = draw();
    box.style.height = (now.height || height) + "px";
    canvas.setAttribute("aria-label", `${now.label || title}; the numbers are in the data link`);
    if (now.title) heading.textContent = now.title;
    heading.title = heading.textContent;
    const ink = css("--soft"),
      grid = fade(css("--line").length === 7 ? css("--line") : "#888888", 0.7);
    const axes = {};
    for (const [name, axis] of Object.entries(now.axes)) {
      axes[name] = {
        ...axis,
        title: { display: !!axis.label, text: axis.label, color: ink },
        border: { color: grid },
        ticks: { color: ink, ...(axis.ticks || {}) },
        grid: { color: grid, ...(axis.grid || {}) },
      };
    }
    if (object) object.destroy();
    object = new Chart(canvas, {
      type: now.type,
      data: { labels: now.labels, datasets: now.datasets },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        normalized: true,
        layout: now.layout,
        interaction: now.interaction || { mode: "nearest", intersect: false },
        scales: axes,
        plugins: {
          legend: {
            display: !!now.legend,
            position: "bottom",
            labels: { color: ink, usePointStyle: true },
          },
          tooltip: { filter: (item) => !item.dataset.silent, callbacks: now.tooltip || {} },
        },
      },
      plugins: now.plugins || [],
    });
  }
  csv.addEventListener("click", () =>
    save(
      csvOf(now.datasets, now.x || "x", now.y || "y"),
      `${(now.title || title).replace(/[^\w.-]+/g, "_")}.csv`,
    ),
  );
  render();
  charts.push({ render, resize: () => object.resize() });
  return { render, whole };
}

function select(label, choices, value, change) {
  const box = make("select", {});
  choices.forEach(([v, text]) => box.append(make("option", { value: String(v) }, cut(text, 60))));
  box.value = String(value);
  box.addEventListener("change", () => change(box.value));
  return make("label", {}, label + " ", box);
}

const keyText = (k) => (k.includes("/") ? "seed " + k.replace("/", ", fold ") : "seed " + k);
// a logarithmic axis names powers of ten, and 2 and 5 of them where it is short
function logTicks(value, _, ticks) {
  const digit = value.toExponential(8)[0],
    decades = Math.log10(ticks[ticks.length - 1].value / ticks[0].value);
  return digit === "1" || (decades < 2.5 && (digit === "2" || digit === "5")) ? short(value) : "";
}
const figure = (id) => document.querySelector(`#fig-${id} .charts`);
const sparse = (n) => (c) => (c.dataIndex % Math.max(1, Math.ceil(n / 8)) === 0 ? 3.5 : 0);
function line(v, points, extra = {}) {
  return {
    label: names[v],
    data: points,
    showLine: true,
    borderColor: color(v),
    backgroundColor: color(v),
    borderDash: dash(v),
    borderWidth: highlighted.has(v) ? 3 : 2,
    pointStyle: shape(v),
    pointRadius: sparse(points.length),
    pointHitRadius: 6,
    order: highlighted.has(v) ? 0 : 1,
    ...extra,
  };
}
const zip = (xs, ys) => xs.map((x, i) => ({ x, y: ys[i] }));
const short = (x) =>
  x === 0
    ? "0"
    : Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4
      ? String(+x.toPrecision(3))
      : x.toExponential(0);
