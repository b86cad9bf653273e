"use strict";
// page.js - the charts of a report: reads the JSON in #data, fills the figures, links what belongs together.
// A variant has one colour, one dash and one mark in every chart; the bar on top highlights variants everywhere.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const names = data.variants;
  const COLORS = ["#0b74c4", "#d95f02", "#109368", "#c2578f", "#c08a00", "#3aa5d6", "#8d6bd1", "#8a7f72"];
  const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
  const SHAPES = ["circle", "rect", "triangle", "rectRot", "crossRot", "star", "rectRounded"];
  const highlighted = new Set(), charts = [], redraws = [];
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
      if (key === "class") e.className = value; else if (key in e && key !== "style") e[key] = value; else e.setAttribute(key, value);
    }
    e.append(...children.filter((c) => c != null));
    return e;
  }

  // ---- the key of a variant: its line and its mark ------------------------------------------------

  function mark(context, kind, x, y, r) {            // the same marks in maps, keys and charts
    const c = context;
    c.beginPath();
    if (kind === "circle") c.arc(x, y, r, 0, 2 * Math.PI);
    else if (kind === "rect") c.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
    else if (kind === "rectRounded") c.rect(x - r * 1.2, y - r * 0.6, r * 2.4, r * 1.2);
    else if (kind === "triangle") { c.moveTo(x, y - r * 1.1); c.lineTo(x + r, y + r * 0.8); c.lineTo(x - r, y + r * 0.8); c.closePath(); }
    else if (kind === "rectRot") { c.moveTo(x, y - r * 1.2); c.lineTo(x + r * 1.2, y); c.lineTo(x, y + r * 1.2); c.lineTo(x - r * 1.2, y); c.closePath(); }
    else {
      const arms = kind === "star" ? 3 : 2, turn = kind === "star" ? Math.PI / 6 : Math.PI / 4;
      for (let k = 0; k < arms; k++) {
        const a = turn + (k * Math.PI) / arms, dx = r * 1.1 * Math.cos(a), dy = r * 1.1 * Math.sin(a);
        c.moveTo(x - dx, y - dy); c.lineTo(x + dx, y + dy);
      }
      c.stroke();
      return;
    }
    c.fill();
    c.stroke();
  }

  function key(v) {
    const c = COLORS[v % COLORS.length], at = { x: 15, y: 6, r: 4 };
    const paths = {
      circle: `<circle cx="15" cy="6" r="4"/>`, rect: `<rect x="11.4" y="2.4" width="7.2" height="7.2"/>`,
      rectRounded: `<rect x="10" y="3.5" width="10" height="5" rx="1.5"/>`, triangle: `<path d="M15 1.5l4 7.5h-8z"/>`,
      rectRot: `<path d="M15 1l5 5-5 5-5-5z"/>`, crossRot: `<path d="M11.5 2.5l7 7m0-7l-7 7" stroke-width="2"/>`,
      star: `<path d="M15 1.5v9M11 3.5l8 5m0-5l-8 5" stroke-width="1.6"/>`,
    };
    const span = make("span", {});
    span.innerHTML = `<svg viewBox="0 0 30 12" fill="${c}" stroke="${c}" aria-hidden="true"><line x1="0" y1="${at.y}" x2="30" y2="${at.y}" ` +
      `stroke-width="2" stroke-dasharray="${dash(v).join(" ")}"/>${paths[shape(v)]}</svg>`;
    return span.firstChild;
  }

  // ---- charts -------------------------------------------------------------------------------------

  function csvOf(datasets, x, y) {
    const quote = (t) => `"${String(t).replace(/"/g, '""')}"`;
    const rows = [["series", x, y].map(quote).join(",")];
    for (const d of datasets) {
      d.data.forEach((p, i) => {
        const at = p !== null && typeof p === "object" ? p : { x: d.at ? d.at[i] : i + 1, y: p };
        if (at.y != null) rows.push([quote(d.label), typeof at.x === "number" ? at.x : quote(at.x), at.y].join(","));
      });
    }
    return rows.join("\n") + "\n";
  }

  function save(text, name) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  // A chart with its heading, its controls and the link to its data. draw() gives { type, datasets, options, label }.
  function chart(host, title, height, draw, controls = []) {
    const canvas = make("canvas", { role: "img" }), box = make("div", { class: "canvas" }, canvas);
    const heading = make("h3", {}, title);
    const csv = make("button", { class: "csv", type: "button" }, "data (CSV)");
    csv.setAttribute("aria-label", `data of ${title} as CSV`);
    const whole = make("div", { class: "chart" }, make("div", { class: "bar" }, heading, ...controls, csv), box);
    host.append(whole);
    let object = null, now = null;
    function render() {
      now = draw();
      box.style.height = (now.height || height) + "px";
      canvas.setAttribute("aria-label", `${now.label || title}; the numbers are in the data link`);
      if (now.title) heading.textContent = now.title;
      heading.title = heading.textContent;
      const ink = css("--soft"), grid = fade(css("--line").length === 7 ? css("--line") : "#888888", 0.7);
      const axes = {};
      for (const [name, axis] of Object.entries(now.axes)) {
        axes[name] = {
          ...axis, title: { display: !!axis.label, text: axis.label, color: ink }, border: { color: grid },
          ticks: { color: ink, ...(axis.ticks || {}) }, grid: { color: grid, ...(axis.grid || {}) },
        };
      }
      if (object) object.destroy();
      object = new Chart(canvas, {
        type: now.type, data: { labels: now.labels, datasets: now.datasets },
        options: {
          animation: false, responsive: true, maintainAspectRatio: false, normalized: true, layout: now.layout,
          interaction: now.interaction || { mode: "nearest", intersect: false }, scales: axes,
          plugins: {
            legend: { display: !!now.legend, position: "bottom", labels: { color: ink, usePointStyle: true } },
            tooltip: { filter: (item) => !item.dataset.silent, callbacks: now.tooltip || {} },
          },
        },
        plugins: now.plugins || [],
      });
    }
    csv.addEventListener("click", () => save(csvOf(now.datasets, now.x || "x", now.y || "y"),
      `${(now.title || title).replace(/[^\w.-]+/g, "_")}.csv`));
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
    const digit = value.toExponential(8)[0], decades = Math.log10(ticks[ticks.length - 1].value / ticks[0].value);
    return digit === "1" || (decades < 2.5 && (digit === "2" || digit === "5")) ? short(value) : "";
  }
  const figure = (id) => document.querySelector(`#fig-${id} .charts`);
  const sparse = (n) => (c) => (c.dataIndex % Math.max(1, Math.ceil(n / 8)) === 0 ? 3.5 : 0);
  function line(v, points, extra = {}) {
    return {
      label: names[v], data: points, showLine: true, borderColor: color(v), backgroundColor: color(v), borderDash: dash(v),
      borderWidth: highlighted.has(v) ? 3 : 2, pointStyle: shape(v), pointRadius: sparse(points.length),
      pointHitRadius: 6, order: highlighted.has(v) ? 0 : 1, ...extra,
    };
  }
  const zip = (xs, ys) => xs.map((x, i) => ({ x, y: ys[i] }));
  const short = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4 ? String(+x.toPrecision(3)) : x.toExponential(0));

  // ---- figures ------------------------------------------------------------------------------------

  function intervals(host) {
    let m = 0;
    const choose = data.metrics.length > 1 ? [select("metric", data.metrics.map((t, i) => [i, t.name]), 0, (v) => { m = +v; it.render(); })] : [];
    const it = chart(host, "Every seed, mean and interval", 0, () => {
      const t = data.metrics[m], sets = [];
      names.forEach((name, v) => {
        const [mean, low, high] = t.intervals[v], values = t.values[v], n = values.length;
        if (low != null) {
          sets.push({ label: `${name}: 95 % interval`, data: [{ x: low, y: v }, { x: high, y: v }], showLine: true, pointRadius: 0,
            borderWidth: 9, borderColor: color(v, 0.3), silent: true });
        }
        if (mean != null) {
          sets.push({ label: `${name}: mean`, data: [{ x: mean, y: v }], pointStyle: "line", rotation: 90, pointRadius: 11,
            borderWidth: 3, borderColor: color(v), pointHitRadius: 2 });
        }
        sets.unshift({ label: name, data: values.map((x, k) => ({ x, y: v + (n > 1 ? (k / (n - 1) - 0.5) * 0.36 : 0), key: t.keys[k] })).filter((p) => p.x != null),
          pointStyle: shape(v), pointRadius: 4.5, borderColor: color(v), backgroundColor: color(v, 0.75), borderWidth: 1.5 });
      });
      return {
        type: "scatter", datasets: sets, height: 70 + 30 * names.length, x: t.name, y: "variant", label: `${t.name} of every seed`,
        axes: {
          x: { label: `${t.name} (${t.goal === "max" ? "higher" : "lower"} is better)` },
          y: { reverse: true, min: -0.6, max: names.length - 0.4, grid: { display: false }, afterBuildTicks: (a) => { a.ticks = names.map((_, v) => ({ value: v })); },
            ticks: { autoSkip: false, color: css("--ink"), callback: (v) => cut(names[v] || "", innerWidth < 640 ? 14 : 28) } },
        },
        tooltip: { label: (p) => `${p.dataset.label}${p.raw.key !== undefined ? ", " + keyText(p.raw.key) : ""}: ${short(p.raw.x)}` },
      };
    }, choose);
  }

  function paired(host) {
    let m = 0;
    const choose = data.metrics.length > 1 ? [select("metric", data.metrics.map((t, i) => [i, t.name]), 0, (v) => { m = +v; it.render(); })] : [];
    const it = chart(host, "Seed by seed", 320, () => {
      const t = data.metrics[m], ink = css("--soft");
      const sets = t.keys.slice(0, 12).map((seed, k) => ({
        label: keyText(seed), data: names.map((_, v) => t.values[v][k]), at: names, borderColor: ink, backgroundColor: ink, borderWidth: 1.5,
        borderDash: DASHES[k % 4], pointStyle: SHAPES[k % SHAPES.length], pointRadius: 4, spanGaps: true,
      }));
      return { type: "line", labels: names.map((n) => cut(n, 18)), datasets: sets, legend: true, x: "variant", y: t.name,
        axes: { x: { ticks: { autoSkip: false, maxRotation: 60 } }, y: { label: t.name } } };
    }, choose);
  }

  function curves(host) {
    const keys = Object.keys(data.curves).sort();
    const wish = [data.selection && data.selection.name, "val/map@r", keys.find((k) => k.startsWith("val/")), "train/loss", keys[0]];
    let metric = wish.find((k) => k && data.curves[k]), axis = "step";
    const it = chart(host, "Learning curves", 360, () => {
      const sets = [];
      data.curves[metric].forEach((c, v) => {
        if (!c) return;
        const banded = names.length <= 3 || highlighted.has(v);     // more bands than three are a blur
        if (banded && c.low.some((x, i) => x !== c.high[i])) {
          const edge = { showLine: true, pointRadius: 0, borderWidth: 0, borderColor: "transparent", silent: true, pointHitRadius: 0, order: 2 };
          sets.push({ ...edge, label: `${names[v]}: lowest`, data: zip(c[axis], c.low), fill: false });
          sets.push({ ...edge, label: `${names[v]}: highest`, data: zip(c[axis], c.high), fill: "-1", backgroundColor: color(v, 0.13) });
        }
        sets.push(line(v, zip(c[axis], c.mid), { fill: false }));
      });
      return { type: "scatter", datasets: sets, title: metric, x: axis, y: metric, axes: {
        x: { label: axis === "step" ? "step" : "seconds", type: "linear", beginAtZero: true }, y: { label: metric } },
        tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} at ${axis} ${short(p.raw.x)}` } };
    }, [select("of", keys.map((k) => [k, k]), metric, (v) => { metric = v; it.render(); }),
      select("against", [["step", "steps"], ["time", "seconds"]], axis, (v) => { axis = v; it.render(); })]);
  }

  const better = () => (data.selection && data.selection.goal === "min" ? Math.min : Math.max);

  function history(host) {
    chart(host, "Best validation score so far", 300, () => {
      const sets = data.tuning.map((t) => {
        let best = null;
        const points = t.trials.map((trial, i) => {
          if (trial.score != null) best = best == null ? trial.score : better()(best, trial.score);
          return { x: i + 1, y: best };
        }).filter((p) => p.y != null);
        return line(t.variant, points, { stepped: true });
      });
      return { type: "scatter", datasets: sets, x: "trial", y: "best score", axes: {
        x: { label: "tuning trial", type: "linear", ticks: { precision: 0 } }, y: { label: data.selection ? data.selection.name : "score" } },
        tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} after ${p.raw.x}` } };
    });
  }

  function sensitivity(host) {
    const able = data.tuning.filter((t) => t.options.length > 0);
    if (able.length === 0) { host.closest("figure").remove(); return; }
    const grid = make("div", { class: "grid" });
    const pick = select("variant", able.map((t, i) => [i, names[t.variant]]), 0, (v) => show(able[+v]));
    host.append(make("div", { class: "bar" }, make("h3", {}, "Sensitivity"), pick), grid);
    function show(t) {
      while (grid.firstChild) grid.firstChild.remove();
      for (let i = charts.length - 1; i >= 0; i--) if (charts[i].passing) charts.splice(i, 1);
      t.options.forEach((name, k) => {
        const xs = t.trials.map((trial) => trial.values[k]).filter((x) => x != null);
        const numeric = xs.every((x) => typeof x === "number");
        const log = numeric && Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) >= 10;
        const kinds = [["done", "finished", shape(t.variant), 5], ["pruned", "stopped early", "crossRot", 5], ["chosen", "chosen", "rectRot", 9]];
        chart(grid, name + (t.edges.includes(name) ? " ⊣ chosen at the edge" : ""), 190, () => ({
          type: "scatter", x: name, y: "score", labels: numeric ? undefined : [...new Set(xs)].sort(),
          datasets: kinds.map(([kind, label, style, radius]) => ({
            label, pointStyle: style, pointRadius: radius, borderWidth: kind === "chosen" ? 2.5 : 1.5, borderColor: kind === "chosen" ? css("--ink") : color(t.variant),
            backgroundColor: kind === "chosen" ? "transparent" : color(t.variant, 0.7),
            data: t.trials.filter((trial) => trial.score != null && trial.values[k] != null && (kind === "chosen" ? trial.number === t.chosen : kind === "pruned" ? trial.state === "pruned" : trial.state !== "pruned"))
              .map((trial) => ({ x: trial.values[k], y: trial.score, trial: trial.number })),
          })),
          axes: { x: { type: numeric ? (log ? "logarithmic" : "linear") : "category", offset: !numeric, ticks: log ? { callback: logTicks, autoSkip: false, maxRotation: 0 } : numeric ? { callback: short, maxTicksLimit: 6 } : {} }, y: {} },
          tooltip: { label: (p) => `trial ${p.raw.trial} (${p.dataset.label}): ${short(p.raw.y)} at ${typeof p.raw.x === "number" ? short(p.raw.x) : p.raw.x}` },
        }));
        charts[charts.length - 1].passing = true;
      });
    }
    show(able[0]);
  }

  function histograms(host) {
    const grid = make("div", { class: "grid" });
    host.append(grid);
    data.histograms.forEach((h) => {
      const n = h.positive.length, at = h.positive.map((_, i) => h.low + ((i + 0.5) * (h.high - h.low)) / n);
      const note = [h.d_prime != null && `d′ ${short(h.d_prime)}`, h.overlap != null && `overlap ${short(h.overlap)}`].filter(Boolean).join(", ");
      const it = chart(grid, names[h.variant], 150, () => {
        const blur = dim(h.variant) ? 0.25 : 1;
        const side = (label, values, hex, dashes) => ({ label, data: zip(at, values), showLine: true, stepped: "middle", fill: "origin", pointRadius: 0, pointHitRadius: 8,
          borderWidth: 1.8, borderDash: dashes, borderColor: fade(hex, blur), backgroundColor: fade(hex, 0.22 * blur), pointStyle: "line" });
        return { type: "scatter", x: "distance", y: "share", datasets: [side("one class", h.positive, COLORS[0], []), side("two classes", h.negative, COLORS[1], [5, 3])],
          axes: { x: { min: h.low, max: h.high, type: "linear", ticks: { maxTicksLimit: 6 } }, y: { beginAtZero: true, ticks: { maxTicksLimit: 4 } } },
          tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} near ${short(p.raw.x)}` } };
      });
      it.whole.append(make("p", { class: "stat" }, note));
    });
  }

  function roc(host) {
    chart(host, "ROC", 360, () => ({
      type: "scatter", x: "false accept rate", y: "true accept rate", datasets: data.roc.map((r) => line(r.variant, zip(r.far, r.tar))),
      axes: { x: { type: "logarithmic", label: "false accept rate", ticks: { callback: logTicks, autoSkip: false, maxRotation: 0 } }, y: { label: "true accept rate", max: 1 } },
      tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} at ${short(p.raw.x)}` },
    }));
  }

  function recall(host) {
    const ks = [...new Set(data.recall.flatMap((r) => r.k))].sort((a, b) => a - b);
    chart(host, "Recall@k", 300, () => ({
      type: "line", labels: ks.map(String), x: "k", y: "recall", at: ks,
      datasets: data.recall.map((r) => line(r.variant, ks.map((k) => { const i = r.k.indexOf(k); return i < 0 ? null : r.value[i]; }), { at: ks, pointRadius: 4 })),
      axes: { x: { label: "k" }, y: { label: "recall@k", max: 1 } },
    }));
  }

  function cost(host) {
    chart(host, "Quality against time", 340, () => ({
      type: "scatter", x: "seconds", y: data.metrics[0].name, layout: { padding: { right: innerWidth < 640 ? 40 : 110 } },
      datasets: data.cost.map((c) => ({ label: names[c.variant] + (c.pareto ? " ◆" : ""), data: [{ x: c.seconds, y: c.score }], pointStyle: shape(c.variant), pointRadius: c.pareto ? 8 : 5,
        borderColor: c.pareto ? css("--ink") : color(c.variant), borderWidth: c.pareto ? 2 : 1, backgroundColor: color(c.variant) })),
      axes: { x: { label: "seconds a run", type: "linear", grace: "6%" }, y: { label: data.metrics[0].name, grace: "8%" } },
      tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} in ${short(p.raw.x)} s` },
      plugins: [{ id: "names", afterDatasetsDraw(c) {
        c.ctx.save();
        c.ctx.font = "12px system-ui, sans-serif";
        c.ctx.textBaseline = "middle";
        const taken = [];
        c.data.datasets.forEach((d, i) => {
          const p = c.getDatasetMeta(i).data[0];
          if (!p) return;
          let y = p.y;
          while (taken.some((t) => Math.abs(t.y - y) < 13 && Math.abs(t.x - p.x) < 130)) y += 13;
          taken.push({ x: p.x, y });
          c.ctx.fillStyle = dim(data.cost[i].variant) ? css("--line") : css("--ink");
          c.ctx.fillText(cut(d.label, innerWidth < 640 ? 12 : 24), p.x + 11, y);
        });
        c.ctx.restore();
      } }],
    }));
  }

  // ---- maps ---------------------------------------------------------------------------------------

  function maps(host) {
    const classes = [...new Set(data.maps.flatMap((m) => m.labels))].sort((a, b) => a - b);
    const place = new Map(classes.map((label, i) => [label, i]));
    const grid = make("div", { class: "grid" }), views = [], said = make("p", { class: "hidden", role: "status" });
    const pictures = data.maps.some((m) => m.sprite);
    let kind = "tsne", shown = "marks", at = null, from = null;
    host.append(make("div", { class: "bar" }, make("h3", {}, "Maps"),
      select("by", [["tsne", "t-SNE"], ["pca", "PCA"]], kind, (v) => { kind = v; redraw(); }),
      pictures ? select("show", [["marks", "marks"], ["images", "images"]], shown, (v) => { shown = v; redraw(); }) : null,
      make("button", { class: "csv", type: "button", onclick: () => save(csv(), `${kind}.csv`) }, "data (CSV)")), grid, said);

    function csv() {
      const rows = ["variant,row,class,x,y"];
      data.maps.forEach((m) => m.labels.forEach((label, i) =>
        rows.push([`"${names[m.variant].replace(/"/g, '""')}"`, m.rows ? m.rows[i] : i + 1, label, m[kind][2 * i], m[kind][2 * i + 1]].join(","))));
      return rows.join("\n") + "\n";
    }

    data.maps.forEach((m) => {
      const canvas = make("canvas", { tabIndex: 0, role: "img" });
      const tip = make("div", { class: "tip", hidden: true });
      const box = make("div", { class: "map" }, make("h3", { title: names[m.variant] }, names[m.variant]), canvas, tip);
      box.querySelector("h3").prepend(key(m.variant));
      canvas.setAttribute("aria-label", `map of ${names[m.variant]}, ${m.labels.length} rows; arrow keys go from row to row`);
      grid.append(box);
      const view = { m, canvas, tip, image: null };
      if (m.sprite) {
        const probe = make("span", { class: `sprite${m.sprite}`, hidden: true });
        document.body.append(probe);
        const url = /url\("?(data:[^")]*)"?\)/.exec(getComputedStyle(probe).backgroundImage);
        probe.remove();
        if (url) { view.image = new Image(); view.image.onload = redraw; view.image.src = url[1]; }
      }
      views.push(view);
      canvas.addEventListener("pointermove", (e) => {
        const r = canvas.getBoundingClientRect(), w = r.width;
        let best = 15 * 15, found = null;
        for (let i = 0; i < m.labels.length; i++) {
          const [x, y] = spot(view, i, w), d = (x - e.clientX + r.left) ** 2 + (y - e.clientY + r.top) ** 2;
          if (d < best) { best = d; found = i; }
        }
        go(view, found);
      });
      canvas.addEventListener("pointerleave", () => go(view, null));
      canvas.addEventListener("blur", () => go(view, null));
      canvas.addEventListener("keydown", (e) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
        if (!step && e.key !== "Escape") return;
        e.preventDefault();
        const n = m.labels.length;
        go(view, step ? ((at == null ? (step > 0 ? -1 : 0) : at) + step + n) % n : null);
        if (at != null) said.textContent = words(view);
      });
    });

    const words = (view) => `row ${view.m.rows ? view.m.rows[at] : at + 1}, class ${view.m.labels[at]}`;
    const spot = (view, i, w) => [12 + (view.m[kind][2 * i] / 1000) * (w - 24), 12 + (1 - view.m[kind][2 * i + 1] / 1000) * (w - 24)];

    function go(view, i) {
      if (at === i && from === view) return;
      at = i;
      from = view;
      redraw();
    }

    function draw(view) {
      const w = view.canvas.clientWidth, ratio = devicePixelRatio || 1, c = view.canvas.getContext("2d"), m = view.m;
      if (w === 0) return;
      view.canvas.width = view.canvas.height = Math.round(w * ratio);
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      c.clearRect(0, 0, w, w);
      const here = at != null && (data.linked || from === view) && at < m.labels.length, label = here ? from.m.labels[at] : null;
      const order = [...m.labels.keys()];
      if (here) order.sort((a, b) => (m.labels[a] === label) - (m.labels[b] === label));
      const blur = dim(m.variant) ? 0.2 : 1;
      for (const i of order) {
        const [x, y] = spot(view, i, w), k = place.get(m.labels[i]), same = here && m.labels[i] === label;
        c.globalAlpha = blur * (here && !same ? 0.25 : 0.9);
        if (shown === "images" && view.image && view.image.complete) {
          const s = data.sprites[m.sprite - 1], side = w < 220 ? 14 : 20, wide = (side * s.width) / s.height;
          c.drawImage(view.image, (i % s.columns) * s.width, Math.floor(i / s.columns) * s.height, s.width, s.height, x - wide / 2, y - side / 2, wide, side);
          if (same) { c.strokeStyle = css("--ink"); c.lineWidth = 1.5; c.strokeRect(x - wide / 2, y - side / 2, wide, side); }
        } else {
          c.fillStyle = c.strokeStyle = COLORS[k % COLORS.length];
          c.lineWidth = 1.2;
          mark(c, SHAPES[(k + Math.floor(k / COLORS.length)) % SHAPES.length], x, y, same ? 4.5 : 3);
        }
      }
      c.globalAlpha = 1;
      if (here) {
        const [x, y] = spot(view, at, w);
        c.strokeStyle = css("--ink");
        c.lineWidth = 2;
        c.beginPath();
        c.arc(x, y, shown === "images" ? 15 : 8, 0, 2 * Math.PI);
        c.stroke();
      }
      view.tip.hidden = !(here && from === view);
      if (!view.tip.hidden) {
        const [x, y] = spot(view, at, w), s = m.sprite && data.sprites[m.sprite - 1];
        view.tip.replaceChildren(words(view));
        if (s) {
          const px = 64, wide = (px * s.width) / s.height;
          const t = make("span", { class: `thumb sprite${m.sprite}` });
          t.style.cssText = `width:${wide}px;height:${px}px;background-size:${wide * s.columns}px auto;background-position:${-(at % s.columns) * wide}px ${-Math.floor(at / s.columns) * px}px`;
          view.tip.prepend(t);
        }
        const left = x + 14 + 110 > w ? x - 14 - view.tip.offsetWidth : x + 14;
        view.tip.style.left = Math.max(0, left) + "px";
        view.tip.style.top = Math.max(0, view.canvas.offsetTop + y - 30) + "px";
      }
    }

    function redraw() { views.forEach(draw); }
    redraws.push(redraw);
    new ResizeObserver(redraw).observe(grid);
    redraw();
  }

  // ---- the whole page -----------------------------------------------------------------------------

  function restyle() {
    for (const c of [...charts]) c.render();
    redraws.forEach((f) => f());
  }

  function theme() {
    const button = document.getElementById("theme");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
    const name = () => { button.textContent = dark() ? "Light page" : "Dark page"; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); restyle(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { name(); restyle(); });
    let before;
    addEventListener("beforeprint", () => { before = root.dataset.theme; root.dataset.theme = "light"; restyle(); });
    addEventListener("afterprint", () => { if (before) root.dataset.theme = before; else delete root.dataset.theme; restyle(); });
  }

  function legend() {
    document.querySelectorAll(".key").forEach((e) => e.append(key(+e.dataset.variant)));
    if (names.length < 2) return;
    const bar = document.getElementById("variants");
    names.forEach((name, v) => {
      const button = make("button", { type: "button", title: `highlight ${name} in all charts` }, name);
      button.prepend(key(v), " ");
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        if (!highlighted.delete(v)) highlighted.add(v);
        button.setAttribute("aria-pressed", String(highlighted.has(v)));
        restyle();
      });
      bar.append(button);
    });
  }

  Chart.defaults.font.family = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
  legend();
  theme();
  for (const [id, draw] of Object.entries({ intervals, paired, curves, history, sensitivity, histograms, roc, recall, maps, cost })) {
    const host = figure(id);
    if (host) draw(host);
  }
  root.dataset.ready = "yes";
})();
