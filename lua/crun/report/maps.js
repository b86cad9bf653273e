// maps.js - the embeddings in the plane, linked: what is pointed at in one map is shown in all.
function maps(host) {
  const classes = [...new Set(data.maps.flatMap((m) => m.labels))].sort((a, b) => a - b);
  const place = new Map(classes.map((label, i) => [label, i]));
  const grid = make("div", { class: "grid" }),
    views = [],
    said = make("p", { class: "hidden", role: "status" });
  const pictures = data.maps.some((m) => m.sprite);
  let kind = "tsne",
    shown = "marks",
    at = null,
    from = null;
  host.append(
    make(
      "div",
      { class: "bar" },
      make("h3", {}, "Maps"),
      select(
        "by",
        [
          ["tsne", "t-SNE"],
          ["pca", "PCA"],
        ],
        kind,
        (v) => {
          kind = v;
          redraw();
        },
      ),
      pictures
        ? select(
            "show",
            [
              ["marks", "marks"],
              ["images", "images"],
            ],
            shown,
            (v) => {
              shown = v;
              redraw();
            },
          )
        : null,
      make(
        "button",
        { class: "csv", type: "button", onclick: () => save(csv(), `${kind}.csv`) },
        "data (CSV)",
      ),
    ),
    grid,
    said,
  );

  function csv() {
    const rows = ["variant,row,class,x,y"];
    data.maps.forEach((m) =>
      m.labels.forEach((label, i) =>
        rows.push(
          [
            `"${names[m.variant].replace(/"/g, '""')}"`,
            m.rows ? m.rows[i] : i + 1,
            label,
            m[kind][2 * i],
            m[kind][2 * i + 1],
          ].join(","),
        ),
      ),
    );
    return rows.join("\n") + "\n";
  }

  data.maps.forEach((m) => {
    const canvas = make("canvas", { tabIndex: 0, role: "img" });
    const tip = make("div", { class: "tip", hidden: true });
    const box = make(
      "div",
      { class: "map" },
      make("h3", { title: names[m.variant] }, names[m.variant]),
      canvas,
      tip,
    );
    box.querySelector("h3").prepend(key(m.variant));
    canvas.setAttribute(
      "aria-label",
      `map of ${names[m.variant]}, ${m.labels.length} rows; arrow keys go from row to row`,
    );
    grid.append(box);
    const view = { m, canvas, tip, image: null };
    if (m.sprite) {
      const probe = make("span", { class: `sprite${m.sprite}`, hidden: true });
      document.body.append(probe);
      const url = /url\("?(data:[^")]*)"?\)/.exec(getComputedStyle(probe).backgroundImage);
      probe.remove();
      if (url) {
        view.image = new Image();
        view.image.onload = redraw;
        view.image.src = url[1];
      }
    }
    views.push(view);
    canvas.addEventListener("pointermove", (e) => {
      const r = canvas.getBoundingClientRect(),
        w = r.width;
      let best = 15 * 15,
        found = null;
      for (let i = 0; i < m.labels.length; i++) {
        const [x, y] = spot(view, i, w),
          d = (x - e.clientX + r.left) ** 2 + (y - e.clientY + r.top) ** 2;
        if (d < best) {
          best = d;
          found = i;
        }
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

  const words = (view) =>
    `row ${view.m.rows ? view.m.rows[at] : at + 1}, class ${view.m.labels[at]}`;
  const spot = (view, i, w) => [
    12 + (view.m[kind][2 * i] / 1000) * (w - 24),
    12 + (1 - view.m[kind][2 * i + 1] / 1000) * (w - 24),
  ];

  function go(view, i) {
    if (at === i && from === view) return;
    at = i;
    from = view;
    redraw();
  }

  function draw(view) {
    const w = view.canvas.clientWidth,
      ratio = devicePixelRatio || 1,
      c = view.canvas.getContext("2d"),
      m = view.m;
    if (w === 0) return;
    view.canvas.width = view.canvas.height = Math.round(w * ratio);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, w);
    const here = at != null && (data.linked || from === view) && at < m.labels.length,
      label = here ? from.m.labels[at] : null;
    const order = [...m.labels.keys()];
    if (here) order.sort((a, b) => (m.labels[a] === label) - (m.labels[b] === label));
    const blur = dim(m.variant) ? 0.2 : 1;
    for (const i of order) {
      const [x, y] = spot(view, i, w),
        k = place.get(m.labels[i]),
        same = here && m.labels[i] === label;
      c.globalAlpha = blur * (here && !same ? 0.25 : 0.9);
      if (shown === "images" && view.image && view.image.complete) {
        const s = data.sprites[m.sprite - 1],
          side = w < 220 ? 14 : 20,
          wide = (side * s.width) / s.height;
        c.drawImage(
          view.image,
          (i % s.columns) * s.width,
          Math.floor(i / s.columns) * s.height,
          s.width,
          s.height,
          x - wide / 2,
          y - side / 2,
          wide,
          side,
        );
        if (same) {
          c.strokeStyle = css("--ink");
          c.lineWidth = 1.5;
          c.strokeRect(x - wide / 2, y - side / 2, wide, side);
        }
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
      const [x, y] = spot(view, at, w),
        s = m.sprite && data.sprites[m.sprite - 1];
      view.tip.replaceChildren(words(view));
      if (s) {
        const px = 64,
          wide = (px * s.width) / s.height;
        const t = make("span", { class: `thumb sprite${m.sprite}` });
        const left = -(at % s.columns) * wide, top = -Math.floor(at / s.columns) * px;
        t.style.cssText =
          `width:${wide}px;height:${px}px;background-size:${wide * s.columns}px auto;` +
          `background-position:${left}px ${top}px`;
        view.tip.prepend(t);
      }
      const left = x + 14 + 110 > w ? x - 14 - view.tip.offsetWidth : x + 14;
      view.tip.style.left = Math.max(0, left) + "px";
      view.tip.style.top = Math.max(0, view.canvas.offsetTop + y - 30) + "px";
    }
  }

  function redraw() {
    views.forEach(draw);
  }
  redraws.push(redraw);
  new ResizeObserver(redraw).observe(grid);
  redraw();
}
