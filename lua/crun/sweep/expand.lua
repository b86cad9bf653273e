--- expand.lua - what follows from a plan: its trials, their command lines, the corners of its
-- spaces
--
-- The methods of a plan; plan.lua reads it.
local config = require "crun.config"
local options = require "crun.options"
local search = require "crun.search"
local space = require "crun.search.space"

local Plan = {}
Plan.__index = Plan

--- The search of a variant; ask() gives what is searched, `settings` adds nothing to it.
function Plan:search(variant)
  local s = {}
  for _, entry in ipairs(variant.entries) do
    s[entry.name] = entry.kind == "fixed" and entry.value or entry.kind == "choice" and
      { choice = entry.list } or
      { [entry.kind] = { entry.low, entry.high } }
  end
  return search[self.tune.method] { space = s, seed = self.tune.seed, goal = self.metric.goal,
    name = variant.name,
    start = self.tune.method == "model" and math.min(self.tune.start, self.tune.trials) or nil }
end

-- The settings of a variant without a search.
local function constants(variant)
  local settings = {}
  for _, entry in ipairs(variant.entries) do settings[entry.name] = entry.value end
  return settings
end

-- In which batch the k-th tuning trial of a variant is asked for: all at once, or, of a model, a
-- few at a time.
local function batch_of(tune, k)
  if tune.method ~= "model" or k <= tune.start then return 1 end
  return 2 + (k - tune.start - 1) // tune.batch
end

--- The lines of plan.jsonl: { trial, phase, variant, settings or nil, seed, fold, round, batch }.
-- Tuning goes round by round through the variants, so that a sweep cut short has seen them all
-- alike.
function Plan:expand()
  local lines = {}
  local function add(line)
    line.trial = #lines + 1
    lines[line.trial] = line
  end
  local tune, final = self.tune, self.final
  if tune then
    local searches = {}
    for round = 1, tune.trials do
      for _, variant in ipairs(self.variants) do
        local settings
        if tune.method ~= "model" then
          searches[variant] = searches[variant] or self:search(variant)
          settings = searches[variant]:ask()
        end
        add { phase = "tune", variant = variant.name, settings = settings, seed = tune.seed,
          fold = self.folds and 1 or nil, round = round, batch = batch_of(tune, round) }
      end
    end
  end
  for i, seed in ipairs(final and final.seeds or {}) do
    for j = 1, final.folds do
      for _, variant in ipairs(self.variants) do
        add { phase = "final", variant = variant.name, settings = not tune and constants(variant) or
          nil, seed = seed,
          fold = self.folds and (i + j - 2) % self.folds + 1 or nil,
            round = (i - 1) * final.folds + j }
      end
    end
  end
  return lines
end

--- KEY=VALUE arguments of a trial for the script.
function Plan:arguments(trial)
  local values, args = {}, {}
  for _, entry in ipairs(self.fixed.list) do values[entry.name] = entry.value end
  for name, value in pairs(trial.settings) do values[name] = value end
  if trial.fold then values.fold, values.folds = trial.fold, self.folds end
  values.seed = trial.seed
  for i, name in ipairs(options.sorted_keys(values)) do args[i] = name .. "=" ..
    config.value_text(values[name]) end
  return args
end

--- Settings at the corners of a variant's space: the first of every list and the low end of every
-- line, then the second and the high end, and so on through the longest list. To ask the script
-- whether it takes them.
function Plan:corners(variant)
  local n = 1
  for _, entry in ipairs(variant.entries) do
    n = math.max(n, entry.kind == "choice" and #entry.list or entry.kind ~= "fixed" and 2 or 1)
  end
  local list = {}
  for i = 1, math.min(n, 8) do
    local settings = {}
    for _, entry in ipairs(variant.entries) do
      if entry.kind == "choice" then settings[entry.name] = entry.list[math.min(i, #entry.list)]
      else settings[entry.name] = entry.kind == "fixed" and entry.value or space.value(entry,
        i == 1 and 0 or 1) end
    end
    list[i] = settings
  end
  return list
end

--- Where the plan gives the setting that a script's message is about, as "FILE:LINE:COLUMN", or
-- nil.
function Plan:place_of(variant, message)
  local best
  for _, part in ipairs { variant.entries, self.fixed.list } do
    for _, entry in ipairs(part) do
      local found = message:find(entry.name, 1, true)
      if found and (not best or #entry.name > #best.name) then best = entry end
    end
  end
  local at = best and best.map and self.reader.places[best.map].at[best.key]
  return at and ("%s:%d:%d"):format(self.source, at[1], at[2])
end

return Plan
