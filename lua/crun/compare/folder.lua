--- compare/folder.lua - what a sweep folder, or a list of run folders, holds: variants and runs
--
--     folder.read_sweep(path)        --> { name, path, state, metric, report, variants, ... }
--     folder.read_runs(runs)         the same shape, of runs that belong to no sweep
--
-- Nothing is computed here; see compare.lua. Lines that are cut off at the end of a file are
-- dropped: a writer was stopped in the middle of one.
local crun = require "crun"
local config = require "crun.config"
local options = require "crun.options"
local runs = require "crun.runs"
local cio = crun.io

local M = {}

local EDATA <const> = 4

local function read_json(path)
  if not cio.exists(path) then return end
  local ok, value = pcall(function() return cio.json_decode(cio.read_file(path), path) end)
  return ok and type(value) == "table" and value or nil, not ok and value or nil
end

--- The objects of a JSON Lines file in order. A last line without its end is dropped; any other
-- that cannot be read is left out. Returns the list and the number of lines left out.
function M.read_lines(path)
  local list, damaged = {}, 0
  if not cio.exists(path) then return list, damaged end
  for line in cio.read_file(path):gmatch("([^\n]*)\n") do
    local ok, value = pcall(cio.json_decode, line)
    if ok and type(value) == "table" then list[#list + 1] = value
    elseif line:find "%S" then damaged = damaged + 1 end
  end
  return list, damaged
end

--- { lr = 0.1, batch = { p = 8 } } -> { ["lr"] = 0.1, ["batch.p"] = 8 }
function M.flat(settings, prefix, into)
  prefix, into = prefix or "", into or {}
  for key, value in pairs(settings) do
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      M.flat(value, prefix .. key .. ".", into)
    else
      into[prefix .. key] = value
    end
  end
  return into
end

--- The number that JSON holds: NaN and infinities are texts there; nil for anything else.
function M.number(value)
  if type(value) == "number" then return value end
  if value == "NaN" then return 0 / 0 end
  if value == "Infinity" then return math.huge end
  if value == "-Infinity" then return -math.huge end
end

-- state of a run that left by itself with a bad loss: exit code 5
local function state_of(run)
  return run.state == "failed" and run.record.exit_code == 5 and "diverged" or run.state
end

-- One final run: what is compared, and where it lies.
local function final_run(path, seed, fold, state)
  local run = path and runs.open(path)
  return { seed = seed, fold = fold, key = fold and ("%s/%s"):format(seed, fold) or tostring(seed),
    state = state or run and state_of(run) or "missing", path = path,
    record = run and run.record or {}, summary = run and runs.summary(run) or {},
    evidence = path and read_json(path .. "/evidence.json") }
end

-- plan.jsonl, with what trials.jsonl says of each line: the last word counts
local function read_trials(path)
  local plan, damaged = M.read_lines(path .. "/plan.jsonl")
  local now = {}
  local lines, cut = M.read_lines(path .. "/trials.jsonl")
  for _, line in ipairs(lines) do
    local known = line.trial and now[line.trial] or {}
    if line.state then known.reason = nil end            -- that of an attempt before
    for key, value in pairs(line) do known[key] = value end
    if line.trial then now[line.trial] = known end
  end
  local function given(value) return value ~= cio.json_null and value or nil end
  local list = {}
  for i, line in ipairs(plan) do
    local said = now[line.trial or i] or {}
    if type(line.variant) ~= "string" then cut = cut + 1 else
      list[#list + 1] = { trial = line.trial or i, variant = line.variant, phase = line.phase,
        seed = given(line.seed), fold = given(line.fold), state = said.state or "queued",
        settings = given(said.settings) or given(line.settings), score = M.number(said.score),
        epoch = given(said.epoch), rung = given(said.rung), reason = given(said.reason),
        run = type(said.run) == "string" and path .. "/" .. said.run or nil }
    end
  end
  return list, damaged + cut
end

--- A sweep folder as a table. Raises (exit code 4) when it is none.
function M.read_sweep(path)
  path = path:gsub("(.)/+$", "%1")
  local sweep, why = read_json(path .. "/sweep.json")
  if not sweep then
    crun.fail("compare", ("%s is not a sweep folder: %s"):format(path, why and
      tostring(why):match "^[^\n]*" or "it has no sweep.json"), EDATA)
  end
  for _, key in ipairs { "metric", "final", "selected" } do
    if sweep[key] == cio.json_null then sweep[key] = nil end
    if sweep[key] ~= nil and type(sweep[key]) ~= "table" then
      crun.fail("compare", ("%s/sweep.json: '%s' must be an object, got %s"):format(path, key,
        options.say(sweep[key])), EDATA)
    end
  end
  local plan, damaged = read_trials(path)
  local by_name, list = {}, {}
  local function variant(name)
    if not by_name[name] then
      by_name[name] = { name = name, runs = {}, tune = { planned = 0, trials = {}, count = {} } }
      list[#list + 1] = by_name[name]
    end
    return by_name[name]
  end
  for _, trial in ipairs(plan) do
    local v = variant(trial.variant)
    if trial.phase == "final" then
      v.runs[#v.runs + 1] = final_run(trial.run, trial.seed, trial.fold, trial.state)
      v.runs[#v.runs].trial, v.runs[#v.runs].reason = trial.trial, trial.reason
      v.settings = v.settings or trial.settings          -- of a plan that tunes nothing
    else
      local t = v.tune
      t.planned, t.trials[#t.trials + 1] = t.planned + 1, trial
      t.count[trial.state] = (t.count[trial.state] or 0) + 1
    end
  end
  if #list == 0 then
    crun.fail("compare", ("%s has no trial: its plan.jsonl is missing or damaged"):format(path),
      EDATA)
  end
  for _, v in ipairs(list) do
    local chosen = (sweep.selected or {})[v.name]
    v.selected = type(chosen) == "table" and chosen or nil
    if v.selected then v.settings = v.selected.settings end
  end
  return { name = sweep.name or path:match "[^/]*$", path = path, kind = "sweep",
    state = sweep.state, metric = sweep.metric or {}, final = sweep.final or {},
    report = sweep.final and sweep.final.report, test_looks = sweep.test_looks,
    unfair = sweep.unfair or false, damaged_lines = damaged, variants = list, sweep = sweep }
end

local SAME <const> = { seed = true, fold = true }       -- what runs of one variant differ in

--- Runs that belong to no sweep, grouped by their settings but for seed and fold. list: what
-- runs.open gives. A variant is named by the settings in which the groups differ.
function M.read_runs(list)
  local groups, by_text, values = {}, {}, {}
  for _, run in ipairs(list) do
    local settings = M.flat(runs.config(run).settings)
    local parts, kept = { run.record.script and run.record.script:match "[^/]*$" or "" }, {}
    for _, key in ipairs(options.sorted_keys(settings)) do
      if not SAME[key] then
        kept[key] = config.value_text(settings[key])
        parts[#parts + 1] = key .. "=" .. kept[key]
      end
    end
    local text = table.concat(parts, "\n")
    local group = by_text[text]
    if not group then
      group = { settings = settings, texts = kept, runs = {}, keys = {},
        tune = { planned = 0, trials = {}, count = {} } }
      by_text[text], groups[#groups + 1] = group, group
      for key, value in pairs(kept) do
        values[key] = values[key] or {}
        values[key][value] = true
      end
    end
    local one = final_run(run.path, settings.seed or run.record.seed or 0, settings.fold)
    -- of two runs of one seed the one that comes later in the list counts
    if group.keys[one.key] then group.runs[group.keys[one.key]] = one
    else
      group.runs[#group.runs + 1] = one
      group.keys[one.key] = #group.runs
    end
  end
  local differ = {}
  for _, key in ipairs(options.sorted_keys(values)) do
    local n = 0
    for _ in pairs(values[key]) do n = n + 1 end
    for _, group in ipairs(groups) do
      if n == 1 and group.texts[key] == nil then n = 2 end
    end
    if n > 1 then differ[#differ + 1] = key end
  end
  for i, group in ipairs(groups) do
    local words = {}
    for _, key in ipairs(differ) do
      if group.texts[key] then words[#words + 1] = key .. "=" .. group.texts[key] end
    end
    group.name = #words > 0 and table.concat(words, " ") or #groups == 1 and
      (list[1].record.name or list[1].id) or "variant " .. i
    group.texts, group.keys = nil, nil
    for k = 1, i - 1 do
      if groups[k].name == group.name then group.name = ("%s (%d)"):format(group.name, i) end
    end
  end
  return { name = ("%d runs"):format(#list), kind = "runs", state = "done", metric = {}, final = {},
    damaged_lines = 0, unfair = false, variants = groups }
end

return M
