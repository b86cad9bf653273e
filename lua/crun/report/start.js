// start.js - light and dark, the bar that highlights variants, and the first drawing.
function restyle() {
  for (const c of [...charts]) c.render();
  redraws.forEach((f) => f());
}

function theme() {
  const button = document.getElementById("theme");
  const dark = () =>
    root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => {
    button.textContent = dark() ? "Light page" : "Dark page";
  };
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
    restyle();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    name();
    restyle();
  });
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    restyle();
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    restyle();
  });
}

function legend() {
  document.querySelectorAll(".key").forEach((e) => e.append(key(+e.dataset.variant)));
  if (names.length < 2) return;
  const bar = document.getElementById("variants");
  names.forEach((name, v) => {
    const button = make(
      "button",
      { type: "button", title: `highlight ${name} in all charts` },
      name,
    );
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

Chart.defaults.font.family =
  "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
legend();
theme();
for (const [id, draw] of Object.entries({
  intervals,
  paired,
  curves,
  history,
  sensitivity,
  histograms,
  roc,
  recall,
  maps,
  cost,
})) {
  const host = figure(id);
  if (host) draw(host);
}
root.dataset.ready = "yes";
