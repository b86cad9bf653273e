--- compare.lua - which variant is best, by how much, and is that noise?
--
--     local c = compare.collect "runs/losses_faces"      -- or compare.of_runs { run, ... }
--     print(c.verdict.text)
--
-- One value of a metric for each variant, seed and fold. Per metric, variants in order of their
-- means: the mean with its 95 % interval (Student's t over seeds and folds), and the difference to
-- the best of them, paired by seed and fold, with its interval and the p of the paired t test,
-- corrected over the variants by Holm. Where p is 0.05 or more the two are a tie.
--
-- The best is picked from the same data. In 3000 draws of variants that are all equally good, one
-- or more of the others came out worse than it in 5 % of the draws with 2 variants, 7 to 8 % with
-- 5, 9 to 14 % with 10 (3 to 10 seeds); a single winner, which must beat every other, came out in
-- less than 0.2 % with 5 variants and never with 10. So a winner is safe, and a loser in a large
-- field, with p near 0.05, is not quite as sure as its p. Intervals over folds of one split take
-- the folds as independent, which they are not quite.
--
-- A winner is named only when the race was fair: 3 seeds or more of every variant, settings
-- selected on validation data, the same budget for all, nothing missing. Musgrave, Belongie, Lim,
-- "A metric learning reality check", ECCV 2020.
--
-- @module crun.compare
local folder = require "crun.compare.folder"
local options = require "crun.options"
local stats = require "crun.stats"
local verdict = require "crun.compare.verdict"
local warnings = require "crun.compare.warnings"

local M = {}

M.text, M.health_of = require "crun.compare.text", warnings.health_of

local LEVEL <const> = 0.05

-- ---- values -------------------------------------------------------------------------------------

--- Whether more or less of a metric is better: "max" or "min".
function M.goal(name, metric)
  local same = metric and metric.name and metric.name:match "[^/]*$" == name:match "[^/]*$"
  if same and metric.goal then return metric.goal end
  local low = name:lower():match "[^/]*$":match "^[^@]*"   -- tar@fmr is a tar
  for _, word in ipairs { "loss", "eer", "error", "fnmr", "fmr", "seconds", "_mb" } do
    if low:find(word, 1, true) then return "min" end
  end
  return "max"
end

local OF_EMBEDDINGS <const> = { effective_rank = true, spread = true, rank = true }

-- the metrics to show: those wished for, those of the plan, or all of the test set
local function metrics_of(found, wish)
  if wish then return type(wish) == "table" and wish or { wish } end
  if found.report and #found.report > 0 then return found.report end
  local names = {}
  for _, variant in ipairs(found.variants) do
    for _, run in ipairs(variant.runs) do
      for key, value in pairs(run.summary) do
        local about = key:match "^test/(.*)$"
        if about and folder.number(value) and not OF_EMBEDDINGS[about] then names[key] = true end
      end
    end
  end
  local list = options.sorted_keys(names)
  for i, key in ipairs(list) do                        -- the usual first one first
    if key == "test/map@r" then table.insert(list, 1, table.remove(list, i)) end
  end
  if #list == 0 and found.metric.name then list[1] = found.metric.name end
  return #list > 0 and list or { "best/value" }
end

-- scores[metric][key] of the final runs that are done, and what each cost
local function fill_scores(variant, metrics)
  variant.scores, variant.done, variant.seeds = {}, 0, 0
  local seeds, cost = {}, { seconds = {}, peak_mb = {}, images_per_second = {} }
  for _, metric in ipairs(metrics) do variant.scores[metric] = {} end
  for _, run in ipairs(variant.runs) do
    if run.state == "done" then
      variant.done = variant.done + 1
      if not seeds[run.seed or 0] then
        seeds[run.seed or 0], variant.seeds = true, variant.seeds + 1
      end
      for _, metric in ipairs(metrics) do
        local value = folder.number(run.summary[metric])
        if value and value - value == 0 then variant.scores[metric][run.key] = value end
      end
      for key, list in pairs(cost) do
        list[#list + 1] = folder.number(run.summary[key == "images_per_second" and
          "train/images_per_second" or key])
      end
    end
  end
  variant.cost = {}
  for key, list in pairs(cost) do
    if #list > 0 then variant.cost[key] = stats.mean(list).mean end
  end
end

-- seeds and folds as they are read: 2 before 10
local function by_number(a, b)
  local na, ma = a:match "^(%d+)/?(%d*)$"
  local nb, mb = b:match "^(%d+)/?(%d*)$"
  if na and nb then
    if na ~= nb then return tonumber(na) < tonumber(nb) end
    return (tonumber(ma) or 0) < (tonumber(mb) or 0)
  end
  return a < b
end

local function keys_of(variants, metric)
  local seen = {}
  for _, v in ipairs(variants) do
    for key in pairs(v.scores[metric]) do seen[key] = true end
  end
  local keys = {}
  for key in pairs(seen) do keys[#keys + 1] = key end
  table.sort(keys, by_number)
  return keys
end

local function values_at(scores, keys, other)
  local mine, theirs = {}, {}
  for _, key in ipairs(keys) do
    if scores[key] and (not other or other[key]) then
      mine[#mine + 1] = scores[key]
      if other then theirs[#theirs + 1] = other[key] end
    end
  end
  return mine, theirs
end

-- ---- one table a metric -------------------------------------------------------------------------

-- The least number of pairs at which a difference like this one, with this spread, would have p <
-- 0.05 among so many tests.
local MOST_PAIRS <const> = 30

local function pairs_needed(row, tests)
  if row.difference == 0 or row.spread == 0 then return end
  for n = row.pairs + 1, MOST_PAIRS do
    local t = math.abs(row.difference) * math.sqrt(n) / row.spread
    if stats.p_of_t(t, n - 1) * tests < LEVEL then return n end
  end
end

--- The league table of a metric: { metric, goal, keys, best, rows }, rows in order, the best first.
-- A row: { variant, n, mean, sd, half, low, high }, and unless it is the best: difference,
-- difference_low, difference_high, pairs, p_raw, p (corrected), tie, alone (a tie that would be none
-- were it the only comparison), needed (how many pairs would tell it apart if the spread stays as it
-- is; nil: more than 30).
function M.table(variants, metric, goal)
  local keys, rows, without = keys_of(variants, metric), {}, {}
  for place, v in ipairs(variants) do
    local values = values_at(v.scores[metric], keys)
    if #values == 0 then without[#without + 1] = { variant = v.name, n = 0 }
    else
      local row = stats.mean(values)
      row.variant, row.place = v.name, place
      rows[#rows + 1] = row
    end
  end
  table.sort(rows, function(a, b)
    if a.mean ~= b.mean then
      if goal == "max" then return a.mean > b.mean end
      return a.mean < b.mean
    end
    return a.place < b.place
  end)
  local best, tests, p = rows[1], {}, {}
  for i, row in ipairs(rows) do
    local mine, theirs = nil, nil
    if i > 1 then
      mine, theirs = values_at(variants[row.place].scores[metric], keys,
        variants[best.place].scores[metric])
      row.pairs = #mine
    end
    if mine and #mine > 0 then
      local d = stats.paired(mine, theirs)
      row.difference, row.difference_low, row.difference_high = d.mean, d.low, d.high
      row.p_raw, row.spread = d.p, d.sd
      if d.p then tests[#tests + 1], p[#p + 1] = row, d.p end
    end
  end
  for i, corrected in ipairs(stats.holm(p)) do
    local row = tests[i]
    row.p = corrected
  end
  for i, row in ipairs(rows) do
    if i == 1 then row.best = true else row.tie = not row.p or row.p >= LEVEL end
    if row.tie and row.p then
      row.alone = row.p_raw < LEVEL or nil
      row.needed = pairs_needed(row, #tests)
    end
    row.place, row.spread = nil, nil
  end
  table.move(without, 1, #without, #rows + 1, rows)
  return { metric = metric, goal = goal, keys = keys, best = best and best.variant, rows = rows }
end

-- Marks the variants that no other beats in quality, time and memory at once.
local function mark_pareto(variants, first)
  local quality = {}
  for _, row in ipairs(first.rows) do quality[row.variant] = row.mean end
  local function costs(v)
    local q = quality[v.name]
    return { first.goal == "max" and -q or q, v.cost.seconds or 0, v.cost.peak_mb or 0 }
  end
  local function beats(a, b)
    local better = false
    for i = 1, 3 do
      if a[i] > b[i] then return false end
      better = better or a[i] < b[i]
    end
    return better
  end
  for _, v in ipairs(variants) do
    v.pareto = quality[v.name] ~= nil
    for _, other in ipairs(variants) do
      if v.pareto and other ~= v and quality[other.name] and beats(costs(other), costs(v)) then
        v.pareto = false
      end
    end
  end
end

-- ---- all of it ----------------------------------------------------------------------------------

local function complete(found, opts)
  local o = options.check("compare", opts, { metric = "any?", allow_unfair = { "boolean", false } })
  local metrics = metrics_of(found, o.metric)
  found.metrics, found.tables, found.warnings = metrics, {}, {}
  for _, v in ipairs(found.variants) do fill_scores(v, metrics) end
  for i, metric in ipairs(metrics) do
    found.tables[i] = M.table(found.variants, metric, M.goal(metric, found.metric))
  end
  mark_pareto(found.variants, found.tables[1])
  local function say(variant, kind, text)
    found.warnings[#found.warnings + 1] = { variant = variant.name, kind = kind, text = text }
  end
  for _, v in ipairs(found.variants) do warnings.of(v, say) end
  if found.damaged_lines > 0 then
    found.warnings[#found.warnings + 1] = { kind = "damaged",
      text = ("%d lines of plan.jsonl or trials.jsonl cannot be read"):format(found.damaged_lines) }
  end
  found.verdict = verdict.of(found, found.tables[1], o.allow_unfair)
  return found
end

--- All that a sweep folder says, as a table; see the head of compare.lua.
-- opts: metric, a name or a list (those the plan reports); allow_unfair (false): name a winner all
-- the same, and say so. Returns { name, path, state, metric, metrics, variants, tables, warnings,
-- verdict, test_looks }. It writes nothing.
function M.collect(path, opts) return complete(folder.read_sweep(path), opts) end

--- The same of runs (as runs.open gives them) that belong to no sweep: those that differ in seed
-- and fold alone are one variant.
function M.of_runs(list, opts) return complete(folder.read_runs(list), opts) end

return M
