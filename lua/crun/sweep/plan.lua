--- plan.lua - what a sweep is to do, read from YAML, checked, and expanded into trials
--
--     name: losses                                   # of the folder runs/losses; default: the file's name
--     script: experiments/losses_faces.lua
--     metric: {name: val/map@r, goal: max}           # what selects; from validation data
--     folds: 4                                       # the script gets fold=1..4 folds=4: which classes validate
--     fixed: {epochs: 20, batch: {people: 8}}        # settings of every trial
--     shared:                                        # searched for every variant, in the same space
--       lr: {log_uniform: [1e-4, 1e-2]}
--     variants:                                      # what is compared, each with options of its own
--       triplet: {loss: triplet, loss.margin: {choice: [0.1, 0.2]}}
--       arcface: {loss: arcface, loss.margin: {uniform: [0.1, 0.6]}, loss.scale: 32}
--     tune: {trials_per_variant: 12, method: random, seed: 1, prune: {method: asha, min: 3, factor: 3}}
--     final: {seeds: [11, 12, 13], folds: 1, report: [test/map@r]}
--     launcher: {jobs: 2, threads: 1, memory: 2G, max_time: 1h, retries: 1}
--
-- Without `tune` nothing is searched: every value is fixed, and the variants are compared as they
-- are. Without `final` the sweep ends with the selection. Every message names file, line and column
-- and ends with exit code 3.
local crun = require "crun"
local Plan = require "crun.sweep.expand"
local reader = require "crun.sweep.reader"
local cio = crun.io

local M = {}
local is_map, raise, say = reader.is_map, reader.raise, reader.say

-- ---- the parts of a plan ------------------------------------------------------------------------

local function read_tune(r, top, plan)
  local map = r:get(top, "tune", "map", false)
  if not map then return end
  r:keys(map, { trials_per_variant = true, method = true, seed = true, start = true, batch = true,
    prune = true }, "tune")
  local tune = {
    trials = r:get(map, "trials_per_variant", "count"),
    method = r:choice(map, "method", "random", { "random", "grid", "model" }),
    seed = r:get(map, "seed", "integer", 1),
    start = r:get(map, "start", "count", 6),
    batch = r:get(map, "batch", "count", 2),
  }
  for _, key in ipairs { "start", "batch" } do
    if map[key] and tune.method ~= "model" then r:fail(map, key, "%s is for method model", key) end
  end
  local prune = r:get(map, "prune", "map", false)
  if prune then
    r:keys(prune, { method = true, min = true, factor = true }, "prune")
    r:choice(prune, "method", "asha", { "asha" })
    tune.prune = { min = r:get(prune, "min", "count", 1), factor = r:get(prune, "factor", "count",
      3) }
    if tune.prune.factor < 2 then r:fail(prune, "factor",
       "factor must be at least 2: one in `factor` goes on") end
  end
  plan.tune = tune
end

local function read_final(r, top, plan)
  local map = r:get(top, "final", "map", false)
  if not map then return end
  r:keys(map, { seeds = true, folds = true, report = true }, "final")
  local final = { seeds = {}, folds = r:get(map, "folds", "count", 1), report = {} }
  local seen = {}
  for i, seed in ipairs(r:get(map, "seeds", "list")) do
    local list = map.seeds
    if math.type(seed) ~= "integer" or seed < 0 then r:fail(list, i,
       "seeds are whole numbers from 0, got %s", say(seed)) end
    if seen[seed] then r:fail(list, i, "seed %d stands twice", seed) end
    if plan.tune and seed == plan.tune.seed then
      r:fail(list, i, "seed %d is the seed of the tuning; final seeds are fresh ones", seed)
    end
    seen[seed], final.seeds[i] = true, seed
  end
  if #final.seeds == 0 then r:fail(map, "seeds", "seeds is empty") end
  if final.folds > (plan.folds or 1) then
    r:fail(map, "folds", "final.folds is %d, and there %s", final.folds,
      plan.folds and ("are %d folds"):format(plan.folds) or "is no `folds` at the top")
  end
  for i, name in ipairs(r:get(map, "report", "list", false) or {}) do
    if type(name) ~= "string" then r:fail(map.report, i, "report lists names of metrics, got %s",
       say(name)) end
    final.report[i] = name
  end
  plan.final = final
end

--- "2G", "512M", a number of bytes: whether --memory understands it.
local function is_size(value)
  return math.type(value) == "integer" and value > 0 or
    type(value) == "string" and value:find("^%d+%.?%d*[kKMG]?$") ~= nil
end

--- Seconds of "90", "90s", "5m", "2h", "1d", or nil.
function M.seconds(value)
  local number, unit = tostring(value):match("^(%d+%.?%d*)([smhd]?)$")
  return number and tonumber(number) * ({ s = 1, m = 60, h = 3600, d = 86400 })[unit == "" and
    "s" or unit]
end

local function read_launcher(r, top, plan)
  local map = r:get(top, "launcher", "map", false)
  plan.launcher = { retries = 1 }
  if not map then return end
  r:keys(map, { name = true, jobs = true, threads = true, memory = true, max_time = true,
    retries = true }, "launcher")
  r:choice(map, "name", "local", { "local" })
  local l = plan.launcher
  l.jobs, l.threads = r:get(map, "jobs", "count", false), r:get(map, "threads", "count", false)
  l.retries = r:get(map, "retries", "integer", 1)
  if map.memory ~= nil then
    if not is_size(map.memory) then r:fail(map, "memory",
       "memory is a size such as 512M or 2G, got %s", say(map.memory)) end
    l.memory = tostring(map.memory)
  end
  if map.max_time ~= nil then
    l.max_time = M.seconds(map.max_time) or
      r:fail(map, "max_time", "max_time is a time such as 90s, 5m or 2h, got %s", say(map.max_time))
  end
end

local function read_variants(r, top, plan)
  local map = r:get(top, "variants", "map")
  plan.variants, plan.by_name = {}, {}
  local with_loss
  for _, name in ipairs(r.places[map].keys) do
    local body = map[name]
    if body == cio.json_null then body = nil
    elseif not is_map(body) then r:fail(map, name, "variant %s must be a map of settings, got %s",
       name, say(body)) end
    local own = body and r:settings(body, true) or { list = {}, by = {} }
    for _, entry in ipairs(own.list) do
      if plan.shared.by[entry.name] then r:fail(entry.map, entry.key, "%s is in shared already",
         entry.name) end
      if entry.kind ~= "fixed" and not plan.tune then
        r:fail(entry.map, entry.key, "%s is to be searched, and there is no `tune`", entry.name)
      end
      if entry.name == "loss" or entry.name == "loss.name" then with_loss = entry.name end
    end
    local variant = { name = name, own = own, entries = {} }
    for _, part in ipairs { plan.shared.list, own.list } do
      for _, entry in ipairs(part) do variant.entries[#variant.entries + 1] = entry end
    end
    table.sort(variant.entries, function(a, b) return a.name < b.name end)
    plan.variants[#plan.variants + 1], plan.by_name[name] = variant, variant
  end
  if #plan.variants == 0 then r:fail(top, "variants", "variants is empty: nothing to compare") end
  for _, variant in ipairs(plan.variants) do
    if with_loss and not variant.own.by[with_loss] then
      r:fail(map, variant.name, "variant %s names no loss; the others set %s", variant.name,
        with_loss)
    end
  end
end

-- KEY=VALUE words: settings of every trial, over those of `fixed`.
local function apply_words(plan, words)
  plan.words = {}
  for _, word in ipairs(words or {}) do
    local key, text = word:match("^([^=]+)=(.*)$")
    if not key then raise(("settings are given as KEY=VALUE, got '%s'"):format(word)) end
    if key == "seed" or key == "fold" or key == "folds" then
      raise(("%s is set by the sweep: see tune, final and folds in %s"):format(key, plan.source))
    end
    for _, variant in ipairs(plan.variants) do
      for _, entry in ipairs(variant.entries) do
        if entry.name == key then
          raise(("%s is not the same for all: %s gives it to %s; change it there"):format(key,
            plan.source,
            plan.shared.by[key] and "every variant" or "variant " .. variant.name))
        end
      end
    end
    local old, value = plan.fixed.by[key], text
    local ok, decoded = pcall(crun.yaml.decode, text)
    if ok and (type(decoded) == "number" or type(decoded) == "boolean") then value = decoded end
    if old then old.value = value else
      old = { name = key, kind = "fixed", value = value }
      plan.fixed.list[#plan.fixed.list + 1], plan.fixed.by[key] = old, old
    end
    plan.words[#plan.words + 1] = word
  end
  table.sort(plan.words)
end

local function find_script(r, top, plan, known)
  local given = r:get(top, "script", "string")
  if known and cio.is_file(known) then
    plan.script = known
    return
  end
  local beside = plan.source:match("^(.*)/[^/]*$")
  for _, path in ipairs { given, beside and beside .. "/" .. given or given } do
    if cio.is_file(path) then
      plan.script = path
      return
    end
  end
  r:fail(top, "script", "there is no script '%s' here or beside the plan", given)
end

--- A plan from its text. source: the name of the file, for messages; words: KEY=VALUE of the
-- command line; script: where its script is known to be.
function M.parse(text, source, words, script)
  local ok, top, places = pcall(crun.yaml.decode, text, source)
  if not ok then raise((tostring(top):gsub("^.-yaml%.decode: ", ""))) end
  local r = reader.new(places, source)
  if not is_map(top) then
    raise(("%s:1:1: a plan is a map of name, script, metric, variants, ..., got %s"):format(source, say(top)))
  end
  r:keys(top, { name = true, script = true, metric = true, folds = true, fixed = true,
    shared = true, variants = true,
    tune = true, final = true, launcher = true }, "a plan")
  local plan = setmetatable({ source = source, text = text, reader = r }, Plan)
  plan.name = r:get(top, "name", "string", (source:match("([^/]+)$"):gsub("%.ya?ml$", "")))
  if plan.name:find("[^%w_.+-]") or plan.name:find("^[.-]") then
    r:fail(top, top.name and "name" or nil,
      "name is that of a folder: letters, digits, _ . + -, got '%s'", plan.name)
  end
  find_script(r, top, plan, script)
  local metric = r:get(top, "metric", "map")
  r:keys(metric, { name = true, goal = true }, "metric")
  plan.metric = { name = r:get(metric, "name", "string"), goal = r:choice(metric, "goal", "max",
    { "max", "min" }) }
  if plan.metric.name:find("^test/") then
    r:fail(metric, "name", "%s is a score on test data; what selects is a score on validation data",
      plan.metric.name)
  end
  plan.folds = r:get(top, "folds", "count", false)
  read_tune(r, top, plan)
  plan.fixed = top.fixed and r:settings(r:get(top, "fixed", "map"), false) or { list = {}, by = {} }
  plan.shared = top.shared and r:settings(r:get(top, "shared", "map"), true) or { list = {},
    by = {} }
  for _, entry in ipairs(plan.shared.list) do
    if entry.kind ~= "fixed" and not plan.tune then
      r:fail(entry.map, entry.key, "%s is to be searched, and there is no `tune`", entry.name)
    end
  end
  read_variants(r, top, plan)
  for _, variant in ipairs(plan.variants) do
    for _, entry in ipairs(variant.entries) do
      if plan.fixed.by[entry.name] then r:fail(entry.map, entry.key, "%s is in fixed already",
         entry.name) end
    end
  end
  read_final(r, top, plan)
  read_launcher(r, top, plan)
  if not plan.tune and not plan.final then r:fail(top, nil,
     "neither `tune` nor `final`: nothing to run") end
  apply_words(plan, words)
  plan.sha256 = cio.sha256(text .. "\n" .. table.concat(plan.words, "\n"))
  return plan
end

function M.read(path, words)
  local ok, text = pcall(cio.read_file, path)
  if not ok then raise((tostring(text):gsub("^.-io%.read_file: ", ""))) end
  return M.parse(text, path, words)
end

return M
