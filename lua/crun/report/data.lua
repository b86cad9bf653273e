--- report/data.lua - what the page's charts draw, as one table that becomes JSON
--
-- Variants come in the order of the league table, the best first; everything else names a variant
-- by its place there, from 0 (the page counts so). Numbers have five digits.
local crun = require "crun"
local compare = require "crun.compare"
local curves = require "crun.report.curves"
local html = require "crun.report.html"
local options = require "crun.options"
local pictures = require "crun.report.pictures"

local M = {}

local array = crun.io.json_array

local function round(x)
  if type(x) ~= "number" or x - x ~= 0 then return nil end
  if math.type(x) == "integer" then return x end
  local text = ("%.5g"):format(x)
  return math.tointeger(tonumber(text)) or tonumber(text)
end

-- a list without holes: what is no number becomes null
local function numbers(list)
  local out = array {}
  for i = 1, #list do out[i] = round(list[i]) or crun.io.json_null end
  return out
end

--- The variants in the order of the first league table.
function M.in_order(c)
  local by_name, list = {}, {}
  for _, v in ipairs(c.variants) do by_name[v.name] = v end
  for _, row in ipairs(c.tables[1].rows) do list[#list + 1] = by_name[row.variant] end
  return list
end

local function metric_of(table_of, variants)
  local out = { name = html.clean(table_of.metric), goal = table_of.goal, keys = array {},
    values = array {}, intervals = array {} }
  for i, key in ipairs(table_of.keys) do out.keys[i] = html.clean(key) end
  local rows = {}
  for _, row in ipairs(table_of.rows) do rows[row.variant] = row end
  for i, v in ipairs(variants) do
    local row, values = rows[v.name] or {}, array {}
    for k, key in ipairs(table_of.keys) do
      values[k] = round(v.scores[table_of.metric][key]) or crun.io.json_null
    end
    out.values[i] = values
    out.intervals[i] = numbers { row.mean or false, row.low or false, row.high or false }
  end
  return out
end

-- ---- tuning -------------------------------------------------------------------------------------

-- the options that a variant's trials differ in
local function searched(trials)
  local first, differ = {}, {}
  for _, trial in ipairs(trials) do
    for key, value in pairs(trial.settings or {}) do
      local kind = type(value)
      if kind == "number" or kind == "string" or kind == "boolean" then
        if first[key] == nil then first[key] = value
        elseif first[key] ~= value then differ[key] = true end
      end
    end
  end
  differ.seed, differ.fold = nil, nil
  return options.sorted_keys(differ)
end

--- Of each variant with tuning trials: the options searched, its trials in order, and which was
-- chosen: { variant, options, trials = { { number, state, score, values } }, chosen, edges }.
function M.tuning(variants)
  local out = array {}
  for i, v in ipairs(variants) do
    local names = searched(v.tune.trials)
    if #v.tune.trials > 0 then
      local one = { variant = i - 1, options = array {}, trials = array {},
        chosen = v.selected and v.selected.trial, edges = array {} }
      for k, name in ipairs(names) do one.options[k] = html.clean(name) end
      for k, name in ipairs(v.selected and v.selected.edges or {}) do
        one.edges[k] = html.clean(name)
      end
      for t, trial in ipairs(v.tune.trials) do
        local values = array {}
        for k, name in ipairs(names) do
          local value = trial.settings and trial.settings[name]
          if type(value) == "number" then value = round(value)
          elseif value ~= nil then value = html.clean(tostring(value)) end
          values[k] = value == nil and crun.io.json_null or value
        end
        one.trials[t] = { number = trial.trial, state = trial.state, score = round(trial.score),
          values = values }
      end
      out[#out + 1] = one
    end
  end
  return out
end

-- ---- evidence -----------------------------------------------------------------------------------

--- The set that is shown: the one most runs kept, "test" before others.
function M.set_name(variants)
  local count = {}
  for _, v in ipairs(variants) do
    for _, run in ipairs(v.runs) do
      for name in pairs(run.evidence and run.evidence.sets or {}) do
        count[name] = (count[name] or 0) + 1
      end
    end
  end
  local best
  for _, name in ipairs(options.sorted_keys(count)) do
    if not best or count[name] > count[best] or count[name] == count[best] and name == "test" then
      best = name
    end
  end
  return best
end

--- The numbers of a set of each run of a variant that kept them, and those runs.
function M.evidence_of(variant, set)
  local list, kept = {}, {}
  for _, run in ipairs(variant.runs) do
    local numbers_of = set and run.evidence and run.evidence.sets and run.evidence.sets[set]
    if type(numbers_of) == "table" then list[#list + 1], kept[#kept + 1] = numbers_of, run end
  end
  return list, kept
end

-- mean over the runs of y at each x; x known by its text, so that runs with other x do no harm
local function mean_curve(list, x_name, y_name)
  local sum, count, xs = {}, {}, {}
  for _, one in ipairs(list) do
    for i, x in ipairs(one and one[x_name] or {}) do
      local key = ("%.6g"):format(x)
      if not sum[key] then sum[key], count[key], xs[#xs + 1] = 0, 0, x end
      sum[key], count[key] = sum[key] + one[y_name][i], count[key] + 1
    end
  end
  table.sort(xs)
  local x_out, y_out = array {}, array {}
  for i, x in ipairs(xs) do
    local key = ("%.6g"):format(x)
    x_out[i], y_out[i] = round(x), round(sum[key] / count[key])
  end
  return x_out, y_out
end

local function pluck(list, name)
  local out = {}
  for _, one in ipairs(list) do out[#out + 1] = one[name] end
  return out
end

local function shares(counts)
  local sum, out = 0, array {}
  for _, n in ipairs(counts) do sum = sum + n end
  for i, n in ipairs(counts) do out[i] = round(sum > 0 and n / sum or 0) end
  return out
end

local function add_evidence(data, i, list)
  if #list == 0 then return end
  local h = list[1].histogram
  if h then
    data.histograms[#data.histograms + 1] = { variant = i - 1, low = round(h.low),
      high = round(h.high), positive = shares(h.positive), negative = shares(h.negative),
      d_prime = round(list[1].d_prime), overlap = round(list[1].overlap) }
  end
  local far, tar = mean_curve(pluck(list, "roc"), "far", "tar")
  if #far > 0 then
    data.roc[#data.roc + 1] = { variant = i - 1, far = far, tar = tar }
  end
  local k, value = mean_curve(pluck(list, "recall"), "k", "value")
  if #k > 0 then data.recall[#data.recall + 1] = { variant = i - 1, k = k, value = value } end
end

-- ---- all of it ----------------------------------------------------------------------------------

--- The table for the page, and what the HTML needs besides: { variants, set, maps, sprites }, maps
-- by variant.
function M.collect(c)
  local variants = M.in_order(c)
  local set, sprites = M.set_name(variants), pictures.sprites()
  local data = { variants = array {}, metrics = array {}, curves = {}, tuning = M.tuning(variants),
    selection = c.metric.name and { name = html.clean(c.metric.name),
      goal = c.metric.goal or "max" },
    histograms = array {}, roc = array {}, recall = array {}, maps = array {}, sprites = array {},
    cost = array {}, linked = true }
  for i, t in ipairs(c.tables) do data.metrics[i] = metric_of(t, variants) end
  for name, list in pairs(curves.collect(variants)) do
    local out = array {}
    for v, band in ipairs(list) do
      out[v] = band and { step = numbers(band.step), time = numbers(band.time),
        mid = numbers(band.mid), low = numbers(band.low), high = numbers(band.high) } or false
    end
    data.curves[html.clean(name)] = out
  end
  if next(data.curves) == nil then data.curves = nil end
  local maps, points = {}, nil
  for i, v in ipairs(variants) do
    data.variants[i] = html.clean(v.name)
    local list, kept = M.evidence_of(v, set)
    add_evidence(data, i, list)
    local map = kept[1] and pictures.map(kept[1], set, sprites)
    maps[i] = map
    if map then
      local text = table.concat(map.rows or {}, " ") .. "/" .. #map.labels
      points = points or text
      data.linked = data.linked and points == text
      data.maps[#data.maps + 1] = { variant = i - 1, pca = map.pca, tsne = map.tsne,
        labels = array(map.labels), rows = map.rows and array(map.rows), sprite = map.sprite,
        trust_pca = round(map.trust_pca), trust_tsne = round(map.trust_tsne),
        variance = round(map.variance), perplexity = round(map.perplexity) }
    end
    local first = c.tables[1].rows[i]
    if v.cost.seconds and first.mean then
      data.cost[#data.cost + 1] = { variant = i - 1, seconds = round(v.cost.seconds),
        peak_mb = round(v.cost.peak_mb), images_per_second = round(v.cost.images_per_second),
        score = round(first.mean), pareto = v.pareto or false }
    end
  end
  for i, s in ipairs(sprites.list) do
    data.sprites[i] = { columns = s.columns, width = s.width, height = s.height }
  end
  return data, { variants = variants, set = set, maps = maps, sprites = sprites.list }
end

M.round, M.text = round, compare.text

return M
