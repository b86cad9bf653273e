--- report/curves.lua - learning curves of runs that differ in their seeds: middle and band
--
-- For each name that was logged twice or more, at each step (or in each of at most POINTS equal
-- slices of the steps): the median over the runs, and the least and the most. Values that are not
-- finite are left out.
local crun = require "crun"
local folder = require "crun.compare.folder"
local stats = require "crun.stats"

local M = {}

local POINTS <const> = 100
local OWN <const> = { step = true, epoch = true, time = true }

--- metrics.jsonl as name -> { step = {...}, time = {...}, value = {...} }; time counts from its
-- first line.
function M.read(path)
  local series, lines = {}, folder.read_lines(path .. "/metrics.jsonl")
  local start = lines[1] and folder.number(lines[1].time) or 0
  for _, line in ipairs(lines) do
    for name, value in pairs(line) do
      local number = not OWN[name] and folder.number(value)
      if number and number - number == 0 and type(line.step) == "number" then
        local s = series[name]
        if not s then
          s = { step = {}, time = {}, value = {} }
          series[name] = s
        end
        local n = #s.step + 1
        s.step[n], s.value[n] = line.step, number
        s.time[n] = math.max(0, (folder.number(line.time) or start) - start)
      end
    end
  end
  return series
end

-- the slice of a step: the step itself where there are few
local function slicer(runs)
  local seen, count, least, most = {}, 0, math.huge, -math.huge
  for _, s in ipairs(runs) do
    for _, step in ipairs(s.step) do
      if not seen[step] then seen[step], count = true, count + 1 end
      least, most = math.min(least, step), math.max(most, step)
    end
  end
  if count <= POINTS then return function(step) return step end end
  local width = math.ceil((most - least + 1) / POINTS)
  return function(step) return math.floor((step - least) / width) end
end

local function mean(list)
  local sum = 0
  for _, v in ipairs(list) do sum = sum + v end
  return sum / #list
end

--- One curve of several runs' series of one name: { step, time, mid, low, high, runs }.
function M.band(runs)
  local slice, slices, order = slicer(runs), {}, {}
  for r, s in ipairs(runs) do
    for i, step in ipairs(s.step) do
      local key = slice(step)
      local c = slices[key]
      if not c then
        c = { step = {}, time = {}, values = {} }
        slices[key], order[#order + 1] = c, key
      end
      c.step[#c.step + 1], c.time[#c.time + 1] = step, s.time[i]
      c.values[r] = c.values[r] or {}
      table.insert(c.values[r], s.value[i])
    end
  end
  table.sort(order)
  local out = { step = {}, time = {}, mid = {}, low = {}, high = {}, runs = #runs }
  for i, key in ipairs(order) do
    local c, values = slices[key], {}
    for r = 1, #runs do
      if c.values[r] then values[#values + 1] = mean(c.values[r]) end
    end
    table.sort(values)
    out.step[i], out.time[i] = mean(c.step), mean(c.time)
    out.mid[i], out.low[i], out.high[i] = stats.median(values), values[1], values[#values]
  end
  return out
end

--- name -> list by variant (false where it logged none) over the final runs of each variant.
function M.collect(variants)
  local names, by_variant = {}, {}
  for v, variant in ipairs(variants) do
    by_variant[v] = {}
    for _, run in ipairs(variant.runs) do
      for name, s in pairs(run.path and M.read(run.path) or {}) do
        by_variant[v][name] = by_variant[v][name] or {}
        table.insert(by_variant[v][name], s)
        if #s.step > 1 then names[name] = true end
      end
    end
  end
  local out = {}
  for name in pairs(names) do
    out[name] = crun.io.json_array {}
    for v = 1, #variants do
      out[name][v] = by_variant[v][name] and M.band(by_variant[v][name]) or false
    end
  end
  return out
end

return M
