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
-- Without `tune` nothing is searched: every value is fixed, and the variants are compared as they are. Without `final`
-- the sweep ends with the selection. Every message names file, line and column and ends with exit code 3.
local crun = require "crun"
local config = require "crun.config"
local options = require "crun.options"
local search = require "crun.search"
local space = require "crun.search.space"
local cio = crun.io

local M = {}
local Plan = {}
Plan.__index = Plan

local EXIT_PLAN <const> = 3

local function raise(text) crun.fail("sweep", text, EXIT_PLAN) end

-- ---- reading, with places -----------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

-- Raises about `key` of `map`, or about the map itself.
function Reader:fail(map, key, text, ...)
  local known = self.places[map]
  local at = known and (key ~= nil and known.at[key] or known) or { 1, 1 }
  raise(("%s:%d:%d: %s"):format(self.source, at[1], at[2], text:format(...)))
end

local function is_map(value)
  return type(value) == "table" and options.kind(value) == "table"
end

local function is_list(value) return type(value) == "table" and not is_map(value) end

local function say(value)
  if value == cio.json_null then return "nothing" end
  if type(value) == "table" then return is_map(value) and "a map" or "a list" end
  return options.say(value)
end

function Reader:keys(map, allowed, what)
  local names = {}
  for name in pairs(allowed) do names[#names + 1] = name end
  table.sort(names)
  for _, key in ipairs(self.places[map].keys) do
    if not allowed[key] then
      local near = options.nearest(key, names)
      self:fail(map, key, "%s has no '%s'; %s", what, key, near and ("did you mean '%s'?"):format(near) or
        "it has " .. table.concat(names, ", "))
    end
  end
end

local TESTS <const> = {
  string = { function(v) return type(v) == "string" and v ~= "" end, "a text" },
  count = { function(v) return math.type(v) == "integer" and v >= 1 end, "a whole number from 1" },
  integer = { function(v) return math.type(v) == "integer" and v >= 0 end, "a whole number from 0" },
  map = { is_map, "a map" }, list = { is_list, "a list" },
}

-- The value of a key, of the kind wanted; default where it is missing, an error where there is none.
function Reader:get(map, key, kind, default)
  local value = map[key]
  if value == nil then
    if default == nil then self:fail(map, nil, "'%s' is missing; it must be %s", key, TESTS[kind][2]) end
    return default or nil
  end
  if not TESTS[kind][1](value) then
    self:fail(map, key, "%s must be %s, got %s", key, TESTS[kind][2], say(value))
  end
  return value
end

function Reader:choice(map, key, default, choices)
  local value = self:get(map, key, "string", default)
  for _, choice in ipairs(choices) do
    if value == choice then return value end
  end
  local near = options.nearest(value, choices)
  self:fail(map, key, "%s must be one of %s; got '%s'%s", key, table.concat(choices, ", "), value,
    near and (", did you mean '%s'?"):format(near) or "")
end

-- Settings below a map as entries of a space: nested names get points, a list becomes the text of a list setting.
-- searched: whether ranges are allowed.
function Reader:settings(map, searched, prefix, into)
  into = into or { list = {}, by = {} }
  for _, key in ipairs(self.places[map].keys) do
    local name, value = (prefix or "") .. key, map[key]
    local function add(entry)
      if into.by[name] then self:fail(map, key, "%s is given twice", name) end
      entry.map, entry.key = map, key
      into.list[#into.list + 1], into.by[name] = entry, entry
    end
    if name == "seed" or name == "fold" or name == "folds" then
      self:fail(map, key, "%s is set by the sweep: see tune, final and folds", name)
    elseif value == cio.json_null then
      self:fail(map, key, "%s has no value", name)
    elseif is_list(value) then
      for _, v in ipairs(value) do
        if type(v) == "table" or v == cio.json_null then self:fail(map, key, "%s: a list of plain values, please", name) end
      end
      add { name = name, kind = "fixed", value = config.value_text(value) }
    elseif is_map(value) then
      local keys = self.places[value].keys
      local first = keys[1] and value[keys[1]]
      local near = #keys == 1 and (first == nil or is_list(first)) and options.nearest(keys[1], space.kinds)
      if near then
        local plain = { [keys[1]] = is_list(first) and table.move(first, 1, #first, 1, {}) or first }
        local wrong, entry = space.entry(name, plain)
        if wrong then self:fail(value, keys[1], "%s: %s", name, wrong) end
        if not searched then
          self:fail(map, key, "%s is fixed, so there is nothing to search; put it under shared or into the variants", name)
        end
        add(entry)
      elseif #keys == 0 then
        self:fail(map, key, "%s is empty", name)
      else
        self:settings(value, searched, name .. ".", into)
      end
    else
      add { name = name, kind = "fixed", value = value }
    end
  end
  return into
end

-- ---- the parts of a plan ------------------------------------------------------------------------

local function read_tune(r, top, plan)
  local map = r:get(top, "tune", "map", false)
  if not map then return end
  r:keys(map, { trials_per_variant = true, method = true, seed = true, start = true, batch = true, prune = true }, "tune")
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
    tune.prune = { min = r:get(prune, "min", "count", 1), factor = r:get(prune, "factor", "count", 3) }
    if tune.prune.factor < 2 then r:fail(prune, "factor", "factor must be at least 2: one in `factor` goes on") end
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
    if math.type(seed) ~= "integer" or seed < 0 then r:fail(list, i, "seeds are whole numbers from 0, got %s", say(seed)) end
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
    if type(name) ~= "string" then r:fail(map.report, i, "report lists names of metrics, got %s", say(name)) end
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
  return number and tonumber(number) * ({ s = 1, m = 60, h = 3600, d = 86400 })[unit == "" and "s" or unit]
end

local function read_launcher(r, top, plan)
  local map = r:get(top, "launcher", "map", false)
  plan.launcher = { retries = 1 }
  if not map then return end
  r:keys(map, { name = true, jobs = true, threads = true, memory = true, max_time = true, retries = true }, "launcher")
  r:choice(map, "name", "local", { "local" })
  local l = plan.launcher
  l.jobs, l.threads = r:get(map, "jobs", "count", false), r:get(map, "threads", "count", false)
  l.retries = r:get(map, "retries", "integer", 1)
  if map.memory ~= nil then
    if not is_size(map.memory) then r:fail(map, "memory", "memory is a size such as 512M or 2G, got %s", say(map.memory)) end
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
    elseif not is_map(body) then r:fail(map, name, "variant %s must be a map of settings, got %s", name, say(body)) end
    local own = body and r:settings(body, true) or { list = {}, by = {} }
    for _, entry in ipairs(own.list) do
      if plan.shared.by[entry.name] then r:fail(entry.map, entry.key, "%s is in shared already", entry.name) end
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
      r:fail(map, variant.name, "variant %s names no loss; the others set %s", variant.name, with_loss)
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
          raise(("%s is not the same for all: %s gives it to %s; change it there"):format(key, plan.source,
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

--- A plan from its text. source: the name of the file, for messages; words: KEY=VALUE of the command line; script: where
-- its script is known to be.
function M.parse(text, source, words, script)
  local ok, top, places = pcall(crun.yaml.decode, text, source)
  if not ok then raise((tostring(top):gsub("^.-yaml%.decode: ", ""))) end
  local r = setmetatable({ source = source, places = places }, Reader)
  if not is_map(top) then raise(("%s:1:1: a plan is a map of name, script, metric, variants, ..., got %s"):format(source, say(top))) end
  r:keys(top, { name = true, script = true, metric = true, folds = true, fixed = true, shared = true, variants = true,
    tune = true, final = true, launcher = true }, "a plan")
  local plan = setmetatable({ source = source, text = text, reader = r }, Plan)
  plan.name = r:get(top, "name", "string", (source:match("([^/]+)$"):gsub("%.ya?ml$", "")))
  if plan.name:find("[^%w_.+-]") or plan.name:find("^[.-]") then
    r:fail(top, top.name and "name" or nil, "name is that of a folder: letters, digits, _ . + -, got '%s'", plan.name)
  end
  find_script(r, top, plan, script)
  local metric = r:get(top, "metric", "map")
  r:keys(metric, { name = true, goal = true }, "metric")
  plan.metric = { name = r:get(metric, "name", "string"), goal = r:choice(metric, "goal", "max", { "max", "min" }) }
  if plan.metric.name:find("^test/") then
    r:fail(metric, "name", "%s is a score on test data; what selects is a score on validation data", plan.metric.name)
  end
  plan.folds = r:get(top, "folds", "count", false)
  read_tune(r, top, plan)
  plan.fixed = top.fixed and r:settings(r:get(top, "fixed", "map"), false) or { list = {}, by = {} }
  plan.shared = top.shared and r:settings(r:get(top, "shared", "map"), true) or { list = {}, by = {} }
  for _, entry in ipairs(plan.shared.list) do
    if entry.kind ~= "fixed" and not plan.tune then
      r:fail(entry.map, entry.key, "%s is to be searched, and there is no `tune`", entry.name)
    end
  end
  read_variants(r, top, plan)
  for _, variant in ipairs(plan.variants) do
    for _, entry in ipairs(variant.entries) do
      if plan.fixed.by[entry.name] then r:fail(entry.map, entry.key, "%s is in fixed already", entry.name) end
    end
  end
  read_final(r, top, plan)
  read_launcher(r, top, plan)
  if not plan.tune and not plan.final then r:fail(top, nil, "neither `tune` nor `final`: nothing to run") end
  apply_words(plan, words)
  plan.sha256 = cio.sha256(text .. "\n" .. table.concat(plan.words, "\n"))
  return plan
end

function M.read(path, words)
  local ok, text = pcall(cio.read_file, path)
  if not ok then raise((tostring(text):gsub("^.-io%.read_file: ", ""))) end
  return M.parse(text, path, words)
end

--- The text of a plan for a quick grid: every combination of the lists is a variant. points: a list of "key=a,b,c".
function M.grid_text(script, points, opts)
  local lists = {}
  for _, point in ipairs(points) do
    local key, values = point:match("^([^=]+)=(.+)$")
    if not key then raise(("-p takes KEY=VALUE,VALUE,..., got '%s'"):format(point)) end
    local list = {}
    for value in (values .. ","):gmatch("([^,]*),") do list[#list + 1] = value end
    lists[#lists + 1] = { key = key, list = list }
  end
  local combinations = { {} }
  for _, l in ipairs(lists) do
    local longer = {}
    for _, c in ipairs(combinations) do
      for _, value in ipairs(l.list) do
        local with = table.move(c, 1, #c, 1, {})
        with[#with + 1] = { l.key, value }
        longer[#longer + 1] = with
      end
    end
    combinations = longer
  end
  local q = cio.json_encode
  local lines = { "name: " .. q(opts.name or script:match("([^/]+)$"):gsub("%.lua$", "") .. "-grid"), "script: " .. q(script),
    ("metric: {name: %s, goal: %s}"):format(q(opts.metric or "val/map@r"), opts.goal or "max"), "variants:" }
  for _, c in ipairs(combinations) do
    local names, body = {}, {}
    for i, pair in ipairs(c) do
      names[i] = pair[1] .. "=" .. pair[2]
      local plain = pcall(crun.yaml.decode, pair[2]) and not pair[2]:find("[%[%]{}:#&*!|>'\"%%@`]") and pair[2] ~= ""
      body[i] = ("%s: %s"):format(q(pair[1]), plain and pair[2] or q(pair[2]))
    end
    lines[#lines + 1] = ("  %s: {%s}"):format(q(table.concat(names, " ")), table.concat(body, ", "))
  end
  lines[#lines + 1] = ("final: {seeds: [%s]}"):format(opts.seeds or "1")
  return table.concat(lines, "\n") .. "\n"
end

-- ---- expansion ----------------------------------------------------------------------------------

--- The search of a variant; ask() gives what is searched, `settings` adds nothing to it.
function Plan:search(variant)
  local s = {}
  for _, entry in ipairs(variant.entries) do
    s[entry.name] = entry.kind == "fixed" and entry.value or entry.kind == "choice" and { choice = entry.list } or
      { [entry.kind] = { entry.low, entry.high } }
  end
  return search[self.tune.method] { space = s, seed = self.tune.seed, goal = self.metric.goal, name = variant.name,
    start = self.tune.method == "model" and math.min(self.tune.start, self.tune.trials) or nil }
end

-- The settings of a variant without a search.
local function constants(variant)
  local settings = {}
  for _, entry in ipairs(variant.entries) do settings[entry.name] = entry.value end
  return settings
end

-- In which batch the k-th tuning trial of a variant is asked for: all at once, or, of a model, a few at a time.
local function batch_of(tune, k)
  if tune.method ~= "model" or k <= tune.start then return 1 end
  return 2 + (k - tune.start - 1) // tune.batch
end

--- The lines of plan.jsonl: { trial, phase, variant, settings or nil, seed, fold, round, batch }. Tuning goes round by
-- round through the variants, so that a sweep cut short has seen them all alike.
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
        add { phase = "final", variant = variant.name, settings = not tune and constants(variant) or nil, seed = seed,
          fold = self.folds and (i + j - 2) % self.folds + 1 or nil, round = (i - 1) * final.folds + j }
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
  for i, name in ipairs(options.sorted_keys(values)) do args[i] = name .. "=" .. config.value_text(values[name]) end
  return args
end

--- Settings at the corners of a variant's space: the first of every list and the low end of every line, then the second
-- and the high end, and so on through the longest list. To ask the script whether it takes them.
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
      else settings[entry.name] = entry.kind == "fixed" and entry.value or space.value(entry, i == 1 and 0 or 1) end
    end
    list[i] = settings
  end
  return list
end

--- Where the plan gives the setting that a script's message is about, as "FILE:LINE:COLUMN", or nil.
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

return M
