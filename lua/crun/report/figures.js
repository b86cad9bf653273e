// figures.js - one function a figure, each given the element to fill.

// The control that picks a metric, where there are several; chosen gets its number.
function metricChoice(chosen) {
  if (data.metrics.length < 2) return [];
  const options = data.metrics.map((t, i) => [i, t.name]);
  return [select("metric", options, 0, (v) => chosen(+v))];
}

function intervals(host) {
  let m = 0;
  const choose = metricChoice((v) => {
    m = v;
    it.render();
  });
  const it = chart(
    host,
    "Every seed, mean and interval",
    0,
    () => {
      const t = data.metrics[m],
        sets = [];
      names.forEach((name, v) => {
        const [mean, low, high] = t.intervals[v],
          values = t.values[v],
          n = values.length;
        if (low != null) {
          sets.push({
            label: `${name}: 95 % interval`,
            data: [
              { x: low, y: v },
              { x: high, y: v },
            ],
            showLine: true,
            pointRadius: 0,
            borderWidth: 9,
            borderColor: color(v, 0.3),
            silent: true,
          });
        }
        if (mean != null) {
          sets.push({
            label: `${name}: mean`,
            data: [{ x: mean, y: v }],
            pointStyle: "line",
            rotation: 90,
            pointRadius: 11,
            borderWidth: 3,
            borderColor: color(v),
            pointHitRadius: 2,
          });
        }
        sets.unshift({
          label: name,
          data: values
            .map((x, k) => ({ x, y: v + (n > 1 ? (k / (n - 1) - 0.5) * 0.36 : 0), key: t.keys[k] }))
            .filter((p) => p.x != null),
          pointStyle: shape(v),
          pointRadius: 4.5,
          borderColor: color(v),
          backgroundColor: color(v, 0.75),
          borderWidth: 1.5,
        });
      });
      return {
        type: "scatter",
        datasets: sets,
        height: 70 + 30 * names.length,
        x: t.name,
        y: "variant",
        label: `${t.name} of every seed`,
        axes: {
          x: { label: `${t.name} (${t.goal === "max" ? "higher" : "lower"} is better)` },
          y: {
            reverse: true,
            min: -0.6,
            max: names.length - 0.4,
            grid: { display: false },
            afterBuildTicks: (a) => {
              a.ticks = names.map((_, v) => ({ value: v }));
            },
            ticks: {
              autoSkip: false,
              color: css("--ink"),
              callback: (v) => cut(names[v] || "", innerWidth < 640 ? 14 : 28),
            },
          },
        },
        tooltip: {
          label: (p) =>
            [p.dataset.label, p.raw.key !== undefined ? `, ${keyText(p.raw.key)}` : ""].join("") +
            `: ${short(p.raw.x)}`,
        },
      };
    },
    choose,
  );
}

function paired(host) {
  let m = 0;
  const choose = metricChoice((v) => {
    m = v;
    it.render();
  });
  const it = chart(
    host,
    "Seed by seed",
    320,
    () => {
      const t = data.metrics[m],
        ink = css("--soft");
      const sets = t.keys.slice(0, 12).map((seed, k) => ({
        label: keyText(seed),
        data: names.map((_, v) => t.values[v][k]),
        at: names,
        borderColor: ink,
        backgroundColor: ink,
        borderWidth: 1.5,
        borderDash: DASHES[k % 4],
        pointStyle: SHAPES[k % SHAPES.length],
        pointRadius: 4,
        spanGaps: true,
      }));
      return {
        type: "line",
        labels: names.map((n) => cut(n, 18)),
        datasets: sets,
        legend: true,
        x: "variant",
        y: t.name,
        axes: { x: { ticks: { autoSkip: false, maxRotation: 60 } }, y: { label: t.name } },
      };
    },
    choose,
  );
}

function curves(host) {
  const keys = Object.keys(data.curves).sort();
  const wish = [
    data.selection && data.selection.name,
    "val/map@r",
    keys.find((k) => k.startsWith("val/")),
    "train/loss",
    keys[0],
  ];
  let metric = wish.find((k) => k && data.curves[k]),
    axis = "step";
  const it = chart(
    host,
    "Learning curves",
    360,
    () => {
      const sets = [];
      data.curves[metric].forEach((c, v) => {
        if (!c) return;
        const banded = names.length <= 3 || highlighted.has(v); // more bands than three are a blur
        if (banded && c.low.some((x, i) => x !== c.high[i])) {
          const edge = {
            showLine: true,
            pointRadius: 0,
            borderWidth: 0,
            borderColor: "transparent",
            silent: true,
            pointHitRadius: 0,
            order: 2,
          };
          sets.push({
            ...edge,
            label: `${names[v]}: lowest`,
            data: zip(c[axis], c.low),
            fill: false,
          });
          sets.push({
            ...edge,
            label: `${names[v]}: highest`,
            data: zip(c[axis], c.high),
            fill: "-1",
            backgroundColor: color(v, 0.13),
          });
        }
        sets.push(line(v, zip(c[axis], c.mid), { fill: false }));
      });
      return {
        type: "scatter",
        datasets: sets,
        title: metric,
        x: axis,
        y: metric,
        axes: {
          x: { label: axis === "step" ? "step" : "seconds", type: "linear", beginAtZero: true },
          y: { label: metric },
        },
        tooltip: {
          label: (p) => `${p.dataset.label}: ${short(p.raw.y)} at ${axis} ${short(p.raw.x)}`,
        },
      };
    },
    [
      select(
        "of",
        keys.map((k) => [k, k]),
        metric,
        (v) => {
          metric = v;
          it.render();
        },
      ),
      select(
        "against",
        [
          ["step", "steps"],
          ["time", "seconds"],
        ],
        axis,
        (v) => {
          axis = v;
          it.render();
        },
      ),
    ],
  );
}

const better = () => (data.selection && data.selection.goal === "min" ? Math.min : Math.max);

function history(host) {
  chart(host, "Best validation score so far", 300, () => {
    const sets = data.tuning.map((t) => {
      let best = null;
      const points = t.trials
        .map((trial, i) => {
          if (trial.score != null) best = best == null ? trial.score : better()(best, trial.score);
          return { x: i + 1, y: best };
        })
        .filter((p) => p.y != null);
      return line(t.variant, points, { stepped: true });
    });
    return {
      type: "scatter",
      datasets: sets,
      x: "trial",
      y: "best score",
      axes: {
        x: { label: "tuning trial", type: "linear", ticks: { precision: 0 } },
        y: { label: data.selection ? data.selection.name : "score" },
      },
      tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} after ${p.raw.x}` },
    };
  });
}

function sensitivity(host) {
  const able = data.tuning.filter((t) => t.options.length > 0);
  if (able.length === 0) {
    host.closest("figure").remove();
    return;
  }
  const grid = make("div", { class: "grid" });
  const pick = select(
    "variant",
    able.map((t, i) => [i, names[t.variant]]),
    0,
    (v) => show(able[+v]),
  );
  host.append(make("div", { class: "bar" }, make("h3", {}, "Sensitivity"), pick), grid);
  function show(t) {
    while (grid.firstChild) grid.firstChild.remove();
    for (let i = charts.length - 1; i >= 0; i--) if (charts[i].passing) charts.splice(i, 1);
    t.options.forEach((name, k) => {
      const xs = t.trials.map((trial) => trial.values[k]).filter((x) => x != null);
      const numeric = xs.every((x) => typeof x === "number");
      const log = numeric && Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) >= 10;
      const kinds = [
        ["done", "finished", shape(t.variant), 5],
        ["pruned", "stopped early", "crossRot", 5],
        ["chosen", "chosen", "rectRot", 9],
      ];
      chart(grid, name + (t.edges.includes(name) ? " ⊣ chosen at the edge" : ""), 190, () => ({
        type: "scatter",
        x: name,
        y: "score",
        labels: numeric ? undefined : [...new Set(xs)].sort(),
        datasets: kinds.map(([kind, label, style, radius]) => ({
          label,
          pointStyle: style,
          pointRadius: radius,
          borderWidth: kind === "chosen" ? 2.5 : 1.5,
          borderColor: kind === "chosen" ? css("--ink") : color(t.variant),
          backgroundColor: kind === "chosen" ? "transparent" : color(t.variant, 0.7),
          data: t.trials
            .filter(
              (trial) =>
                trial.score != null &&
                trial.values[k] != null &&
                (kind === "chosen"
                  ? trial.number === t.chosen
                  : kind === "pruned"
                    ? trial.state === "pruned"
                    : trial.state !== "pruned"),
            )
            .map((trial) => ({ x: trial.values[k], y: trial.score, trial: trial.number })),
        })),
        axes: {
          x: {
            type: numeric ? (log ? "logarithmic" : "linear") : "category",
            offset: !numeric,
            ticks: log
              ? { callback: logTicks, autoSkip: false, maxRotation: 0 }
              : numeric
                ? { callback: short, maxTicksLimit: 6 }
                : {},
          },
          y: {},
        },
        tooltip: {
          label: (p) =>
            `trial ${p.raw.trial} (${p.dataset.label}): ${short(p.raw.y)} at ` +
            (typeof p.raw.x === "number" ? short(p.raw.x) : p.raw.x),
        },
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
    const n = h.positive.length,
      at = h.positive.map((_, i) => h.low + ((i + 0.5) * (h.high - h.low)) / n);
    const note = [
      h.d_prime != null && `d′ ${short(h.d_prime)}`,
      h.overlap != null && `overlap ${short(h.overlap)}`,
    ]
      .filter(Boolean)
      .join(", ");
    const it = chart(grid, names[h.variant], 150, () => {
      const blur = dim(h.variant) ? 0.25 : 1;
      const side = (label, values, hex, dashes) => ({
        label,
        data: zip(at, values),
        showLine: true,
        stepped: "middle",
        fill: "origin",
        pointRadius: 0,
        pointHitRadius: 8,
        borderWidth: 1.8,
        borderDash: dashes,
        borderColor: fade(hex, blur),
        backgroundColor: fade(hex, 0.22 * blur),
        pointStyle: "line",
      });
      return {
        type: "scatter",
        x: "distance",
        y: "share",
        datasets: [
          side("one class", h.positive, COLORS[0], []),
          side("two classes", h.negative, COLORS[1], [5, 3]),
        ],
        axes: {
          x: { min: h.low, max: h.high, type: "linear", ticks: { maxTicksLimit: 6 } },
          y: { beginAtZero: true, ticks: { maxTicksLimit: 4 } },
        },
        tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} near ${short(p.raw.x)}` },
      };
    });
    it.whole.append(make("p", { class: "stat" }, note));
  });
}

function roc(host) {
  chart(host, "ROC", 360, () => ({
    type: "scatter",
    x: "false accept rate",
    y: "true accept rate",
    datasets: data.roc.map((r) => line(r.variant, zip(r.far, r.tar))),
    axes: {
      x: {
        type: "logarithmic",
        label: "false accept rate",
        ticks: { callback: logTicks, autoSkip: false, maxRotation: 0 },
      },
      y: { label: "true accept rate", max: 1 },
    },
    tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} at ${short(p.raw.x)}` },
  }));
}

function recall(host) {
  const ks = [...new Set(data.recall.flatMap((r) => r.k))].sort((a, b) => a - b);
  chart(host, "Recall@k", 300, () => ({
    type: "line",
    labels: ks.map(String),
    x: "k",
    y: "recall",
    at: ks,
    datasets: data.recall.map((r) =>
      line(
        r.variant,
        ks.map((k) => {
          const i = r.k.indexOf(k);
          return i < 0 ? null : r.value[i];
        }),
        { at: ks, pointRadius: 4 },
      ),
    ),
    axes: { x: { label: "k" }, y: { label: "recall@k", max: 1, suggestedMin: 0.9 } },
  }));
}

function cost(host) {
  chart(host, "Quality against time", 340, () => ({
    type: "scatter",
    x: "seconds",
    y: data.metrics[0].name,
    layout: { padding: { right: innerWidth < 640 ? 40 : 110 } },
    datasets: data.cost.map((c) => ({
      label: names[c.variant] + (c.pareto ? " ◆" : ""),
      data: [{ x: c.seconds, y: c.score }],
      pointStyle: shape(c.variant),
      pointRadius: c.pareto ? 8 : 5,
      borderColor: c.pareto ? css("--ink") : color(c.variant),
      borderWidth: c.pareto ? 2 : 1,
      backgroundColor: color(c.variant),
    })),
    axes: {
      x: { label: "seconds a run", type: "linear", grace: "6%" },
      y: { label: data.metrics[0].name, grace: "8%" },
    },
    tooltip: { label: (p) => `${p.dataset.label}: ${short(p.raw.y)} in ${short(p.raw.x)} s` },
    plugins: [
      {
        id: "names",
        afterDatasetsDraw(c) {
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
        },
      },
    ],
  }));
}
