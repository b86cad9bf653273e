--- report.lua - a sweep, or some runs, as one HTML file that needs nothing else
--
--     crun report runs/losses_faces              --> runs/losses_faces/report.html
--     crun report RUN RUN -o both.html
--     report.write(compare.collect "runs/losses_faces", "report.html")
--
-- The page opens with no network: style, script, charts (Chart.js, as Debian's libjs-chart.js has
-- it) and pictures are all inside. Tables and words can be read without JavaScript. It holds what
-- crun.compare found, the final runs' logs, and what run:embeddings kept; it is a function of these
-- files alone, so the same folder gives the same bytes.
--
-- @module crun.report
local crun = require "crun"
local cio = crun.io
local data = require "crun.report.data"
local embeddings = require "crun.report.embeddings"
local html = require "crun.report.html"
local provenance = require "crun.report.provenance"
local sections = require "crun.report.sections"

local M = {}

local EXIT_DATA <const> = 4
local ORDER <const> = { sections.verdict, sections.league, sections.noise, sections.curves,
  sections.tuning, embeddings.separation, embeddings.maps, embeddings.panels, embeddings.health,
  embeddings.cost, provenance.section }

local BAR <const> = html.tag("div", { id = "variants", role = "group", ["aria-label"] =
  "Highlight in all charts" })

--- Where the chart library lies, in the order of looking.
M.chart_paths = { "/usr/share/javascript/chart.js/chart.min.js",
  "/usr/share/nodejs/chart.js/dist/chart.min.js" }

--- Chart.js as a text; an error that names the package where there is none.
function M.charts()
  for _, path in ipairs(M.chart_paths) do
    if cio.exists(path) then
      -- no text inside a script element may end it
      return (cio.read_file(path):gsub("</([sS][cC])", "<\\/%1"))
    end
  end
  crun.fail("report", ("the charts need Chart.js, which is not at %s; install the package " ..
    "libjs-chart.js (apt-get install libjs-chart.js)"):format(M.chart_paths[1]), EXIT_DATA)
end

-- the page's own script: its files share one scope
local SCRIPTS <const> = { "chart.js", "figures.js", "maps.js", "start.js" }

local function own(name) return cio.read_file(("%s/crun/report/%s"):format(crun.library, name)) end

local function script()
  local texts = {}
  for i, name in ipairs(SCRIPTS) do texts[i] = own(name) end
  return '"use strict";\n(function () {\n' .. table.concat(texts, "\n") .. "})();\n"
end

-- one rule for each sprite, so that its picture stands in the page once
local function sprite_rules(list)
  local rules = {}
  for i, s in ipairs(list) do
    rules[i] = (".sprite%d{background-image:url(%s)}"):format(i, s.url)
  end
  return table.concat(rules, "\n")
end

local function subtitle(c)
  local parts = {}
  if c.kind == "sweep" then parts[1] = "sweep" end
  local n = #c.variants
  if n > 1 then parts[#parts + 1] = ("%d variants"):format(n) end
  parts[#parts + 1] = (n > 1 and "compared on " or "scored by ") .. c.metrics[1]
  if c.state and c.state ~= "done" then parts[#parts + 1] = "state: " .. tostring(c.state) end
  return table.concat(parts, " · ")
end

--- The page of what compare.collect or compare.of_runs gave.
function M.page(c)
  local charts = M.charts()
  local numbers, extra = data.collect(c)
  local state = { c = c, data = numbers, extra = extra, variants = extra.variants }
  local body, links, has_bar = {}, {}, false
  for _, make in ipairs(ORDER) do
    local part = make(state)
    if part then
      -- what highlights a variant stands before the first chart and stays in sight from there on
      if make == sections.noise or make == sections.curves and not has_bar then
        body[#body + 1], has_bar = BAR, true
      end
      body[#body + 1] = part
      local id, title = part.html:match '^<section [^>]-id="([%w-]+)"[^>]*><h2[^>]*>([^<]*)</h2>'
      if id then links[#links + 1] = html.tag("a", { href = "#" .. id }, html.raw(title)) end
    end
  end
  local h, raw = html.tag, html.raw
  local title = html.clean(c.kind == "runs" and #c.variants == 1 and c.variants[1].name or c.name)
  return "<!DOCTYPE html>\n" .. tostring(h("html", { lang = "en" }, h("head", {},
    h("meta", { charset = "utf-8" }),
    h("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }),
    -- nothing may be fetched, whatever a name or a note in a run folder holds
    h("meta", { ["http-equiv"] = "Content-Security-Policy", content = "default-src 'none'; " ..
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:" }),
    h("title", {}, title .. " - crun report"),
    h("style", {}, raw(own "style.css" .. sprite_rules(extra.sprites)))),
    h("body", {}, h("a", { class = "skip", href = "#verdict" }, "Skip to the verdict"),
      h("header", {}, h("h1", {}, title), h("p", { class = "subtitle" }, subtitle(c)),
        h("button", { id = "theme", type = "button", hidden = true }, "Dark")),
      h("nav", { ["aria-label"] = "Contents" }, links),
      h("noscript", {}, h("p", { class = "note" },
        "Charts are drawn by JavaScript, which is off; all tables are here.")),
      h("main", {}, body),
      h("script", { id = "data", type = "application/json" }, html.json(numbers)),
      h("script", {}, raw(charts)),
      h("script", {}, raw(script()))))) .. "\n"
end

--- Writes the page of what compare.collect or compare.of_runs gave to a file; returns its bytes.
function M.write(c, path)
  local text = M.page(c)
  cio.write_file(path, text)
  return #text
end

return M
