--- report/sections.lua - who wins, by how much, is it noise, was it fair: what the page begins with
--
-- Every function takes the page's state { c, variants, data, extra } (compare.collect's table, the
-- variants in league order, what the charts draw, sprites and maps) and returns HTML, or nil where
-- there is nothing to show.
local data = require "crun.report.data"
local folder = require "crun.compare.folder"
local html = require "crun.report.html"
local options = require "crun.options"
local parts = require "crun.report.parts"
local ui = require "crun.ui"

local M = {}
local h, list = html.tag, html.list
local text, plural, figure, section = parts.text, parts.plural, parts.figure, parts.section

-- ---- verdict and protocol -----------------------------------------------------------------------

local function fact(ok, ...)
  return h("li", { class = ok and "ok" or "not" },
    h("span", { class = "mark", ["aria-hidden"] = "true" }, ok and "✓" or "✗"),
    h("span", { class = "hidden" }, ok and "yes: " or "no: "), ...)
end

local function protocol(s)
  local c = s.c
  if c.kind ~= "sweep" then return end
  local metric = c.metric.name or "?"
  local validated = metric:find "^val" ~= nil
  local least, most, seeds, missing, all = math.huge, 0, math.huge, 0, 0
  for _, v in ipairs(c.variants) do
    least, most = math.min(least, v.tune.planned), math.max(most, v.tune.planned)
    seeds, missing, all = math.min(seeds, v.seeds), missing + #v.runs - v.done, all + #v.runs
  end
  local folds = c.final.folds or 1
  local facts = {
    fact(validated, "settings selected on ", h("b", {}, metric),
      validated and ", never on the test set" or ", which is not a validation score"),
    fact(least == most and most > 0, least == most and
      ("the same budget for all: %s each"):format(plural(most, "tuning trial")) or
      ("budgets differ: %d to %d tuning trials"):format(least, most)),
    fact(seeds >= 3, ("%s each%s"):format(plural(seeds, "fresh seed"),
      folds > 1 and (", on %d folds"):format(folds) or "")),
    fact(missing == 0, missing == 0 and ("all %d final runs are in"):format(all) or
      ("%d of %d final runs are missing"):format(missing, all)),
  }
  local looks = math.tointeger(c.test_looks)
  if looks then
    facts[#facts + 1] = fact(looks <= all, plural(looks, "look"), " at the test set, ",
      looks <= all and "all after tuning was closed" or
      ("more than the %d final runs need"):format(all))
  end
  return h("ul", { class = "facts" }, facts)
end

local function warnings(s)
  local items = {}
  for i, w in ipairs(s.c.warnings) do
    items[i] = h("li", {}, w.variant and list(h("b", {}, w.variant), ": ") or nil, w.text)
  end
  if #items == 0 then return end
  return h("details", { class = "warnings", open = #items <= 4 or nil },
    h("summary", {}, "⚠ " .. plural(#items, "warning")), h("ul", {}, items))
end

--- The answer in words, whether it was won fairly, and what to be wary of.
function M.verdict(s)
  local c, v = s.c, s.c.verdict
  local words, class = v.text, v.refused and " refused" or v.winner and " won" or ""
  if #c.variants == 1 and c.kind == "runs" then
    local n = c.variants[1].done
    class = ""
    words = n <= 1 and "One run: there is nothing to compare it with." or
      ("%d runs of one setting: there is nothing to compare them with."):format(n)
  end
  return h("section", { id = "verdict", ["aria-label"] = "Verdict" },
    h("p", { class = "verdict" .. class }, words),
    protocol(s), warnings(s))
end

-- ---- league table -------------------------------------------------------------------------------

local LEAGUE <const> = {
  { "", "name" }, { "mean ± 95 %", "number", "half width of Student's t interval" },
  { "difference to the best", "number", "paired by seed and fold, with its 95 % interval" },
  { "p", "number", "paired t test, corrected over the variants by Holm" }, { "", "word" },
}
local MARKS <const> = { best = "★ best", tie = "≈ tie", worse = "▼ worse", none = "no value" }

local function range(low, high) return ("%s … %s"):format(text(low), text(high)) end

local function league_row(s, row)
  local place
  for i, v in ipairs(s.variants) do
    if v.name == row.variant then place = i end
  end
  local word = row.n == 0 and "none" or row.best and "best" or row.tie and "tie" or "worse"
  local cells = { class = word, parts.name(s, place) }
  cells[#LEAGUE] = h("span", { class = "word " .. word }, MARKS[word])
  if row.n == 0 then return cells end
  cells[2] = text(row.mean) .. (row.half and " ± " .. text(row.half) or "")
  cells[3] = row.difference and ("%s [%s]"):format(text(row.difference), row.difference_low and
    range(row.difference_low, row.difference_high) or "one pair") or nil
  cells[4] = row.p and (row.p < 0.0005 and "< 0.0005" or ("%.3f"):format(row.p)) or nil
  return cells
end

local COST <const> = {
  { "seconds", "time a run", ui.duration },
  { "images_per_second", "images/s", function(x) return ("%.0f"):format(x) end },
  { "peak_mb", "peak MB", function(x) return ("%.0f"):format(x) end },
}

local function mark(sign, title) return h("span", { class = "mark", title = title }, " ", sign) end

-- columns behind the first metric's: means of the others, and cost. Each is a heading and a
-- function of a variant that gives its cell.
local function more_columns(s)
  local columns = {}
  for i = 2, #s.c.tables do
    local t, rows = s.c.tables[i], {}
    for _, row in ipairs(t.rows) do rows[row.variant] = row end
    local several = #s.variants > 1
    columns[#columns + 1] = { t.metric:gsub("^test/", "") .. (t.goal == "min" and " ↓" or ""),
      function(v)
        local row = rows[v.name]
        return row and row.mean and list(text(row.mean),
          row.best and several and mark("★", "best of this column"))
      end }
  end
  for k, kind in ipairs(COST) do
    local known = false
    for _, v in ipairs(s.c.variants) do known = known or v.cost[kind[1]] ~= nil end
    if known then
      columns[#columns + 1] = { kind[2], function(v)
        local value = v.cost[kind[1]]
        return value and list(kind[3](value), k == 1 and v.pareto and #s.variants > 1 and mark("◆",
          "no other is better in quality, time and memory at once"))
      end }
    end
  end
  return columns
end

local function caption_of(t)
  return ("%s, %s is better"):format(t.metric, t.goal == "max" and "higher" or "lower")
end

--- One row a variant, the best first.
function M.league(s)
  local first, more = s.c.tables[1], more_columns(s)
  -- a single variant has a mean and nothing to be compared with
  local shown = #s.variants > 1 and #LEAGUE or 2
  local columns, rows = table.move(LEAGUE, 1, shown, 1, {}), {}
  for _, column in ipairs(more) do columns[#columns + 1] = { column[1], "number" } end
  for r, row in ipairs(first.rows) do
    rows[r] = table.move(league_row(s, row), 1, shown, 1, { class = #s.variants > 1 and row.best and
      "best" or nil })
    for k, column in ipairs(more) do rows[r][shown + k] = column[2](s.variants[r]) or nil end
  end
  local rest = {}
  for i = 2, #s.c.tables do
    local t, body = s.c.tables[i], {}
    for r, row in ipairs(t.rows) do body[r] = league_row(s, row) end
    rest[i - 1] = #s.variants > 1 and parts.table(caption_of(t), LEAGUE, body) or nil
  end
  local keys = #first.keys
  return section("league", #s.variants > 1 and "League table" or "Results",
    parts.table(caption_of(first) .. (keys > 1 and ("; means over %d %s"):format(keys,
      (s.c.final.folds or 1) > 1 and "seeds and folds" or "seeds") or ""), columns, rows),
    #s.variants > 1 and h("p", { class = "note" }, "Differences are paired by seed and fold; p is ",
      "corrected over the variants by Holm. Where it is 0.05 or more (≈ tie) the runs do not tell ",
      "the two apart. ★ best of a column. ◆ no other is better in quality, time and memory at ",
      "once."),
    #rest > 0 and parts.folded("Intervals and tests of the other metrics", rest))
end

--- Every seed, the intervals, and the seeds side by side.
function M.noise(s)
  local keys = #s.c.tables[1].keys
  if keys < 2 or #s.variants < 1 then return end
  return section("noise", "Is it noise?", figure("intervals", "One mark a seed; the bar is the " ..
    "95 % interval of the mean. Look for bars that overlap and for single seeds far out."),
    #s.variants > 1 and figure("paired", "One line a seed, variants in the order of the league " ..
      "table. Lines in parallel: consistent differences. Lines that cross: the order depends on " ..
      "the seed."))
end

--- What the final runs logged.
function M.curves(s)
  if not s.data.curves then return end
  return section("curves", "Learning curves", figure("curves", "Final runs: the line is the " ..
    "median over seeds, the band reaches from the lowest to the highest" .. (#s.variants > 3 and
    " (of those highlighted above)" or "") .. ". Look for instability, late crossings, and a " ..
    "gap between training and validation."))
end

-- ---- tuning -------------------------------------------------------------------------------------

local function chosen_of(v)
  local chosen, edge, searched = v.selected, {}, {}
  if not chosen then return "none selected" end
  for _, name in ipairs(chosen.edges or {}) do edge[name] = true end
  for _, one in ipairs(data.tuning { v }) do
    for _, name in ipairs(one.options) do searched[name] = true end
  end
  local out = {}
  for _, name in ipairs(options.sorted_keys(chosen.settings or {})) do
    if searched[name] or edge[name] then
      out[#out + 1] = (#out > 0 and ", " or "") .. name .. " = " ..
        parts.value_text(chosen.settings[name])
      out[#out + 1] = edge[name] and h("span", { class = "warn" }, " ⊣ edge") or ""
    end
  end
  return #out > 0 and list(table.unpack(out)) or "the only setting"
end

local STATES <const> = { "done", "pruned", "diverged", "failed", "killed" }

--- The same effort for each, and how sensitive each is.
function M.tuning(s)
  if #s.data.tuning == 0 then return end
  local columns, states = { { "", "name" }, { "trials", "number" } }, {}
  for _, state in ipairs(STATES) do
    local used = false
    for _, v in ipairs(s.variants) do used = used or v.tune.count[state] ~= nil end
    if used then
      columns[#columns + 1], states[#states + 1] = { state, "number" }, state
    end
  end
  columns[#columns + 1] = { "best " .. (s.c.metric.name or "score"), "number" }
  columns[#columns + 1] = { "chosen setting", "text" }
  local rows = {}
  for i, v in ipairs(s.variants) do
    local cells = { parts.name(s, i), v.tune.planned }
    for _, state in ipairs(states) do cells[#cells + 1] = v.tune.count[state] or 0 end
    local score = v.selected and folder.number(v.selected.score)
    cells[#columns - 1], cells[#columns] = score and text(score) or nil, chosen_of(v)
    rows[i] = cells
  end
  return section("tuning", "Was each tuned enough?",
    parts.table("Tuning, on validation data alone", columns, rows),
    figure("history", "Best validation score so far, trial by trial. A line that still climbs " ..
      "at its end wants a larger budget."),
    figure("sensitivity", "Validation score against each option that was searched: ◆ the chosen " ..
      "trial, × stopped early. Flat: robust. Best at the end of the range: it was too narrow."))
end

return M
