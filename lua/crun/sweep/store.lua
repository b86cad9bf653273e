--- store.lua - a sweep on disk: runs/NAME/{plan.yaml, plan.jsonl, sweep.json, trials.jsonl, lock}
-- and its run folders
--
-- plan.jsonl is written once; trials.jsonl only grows, one line for each change of a trial, and the
-- last line of a trial counts; a last line that was cut is dropped. sweep.json is replaced as a
-- whole. So a stop at any moment loses at most the line that was being written, and the trial it
-- was about is looked at again.
--
-- States of a trial: nil (not begun), queued, running, waiting (at its rung), done, failed,
-- diverged, pruned. killed is noted and becomes queued.
local crun = require "crun"
local options = require "crun.options"
local runs = require "crun.runs"
local trials = require "crun.sweep.trial"
local cio = crun.io

local M = {}
local Store = {}
Store.__index = Store

local EXIT_USAGE <const>, EXIT_PLAN <const>, EXIT_DISK <const> = 2, 3, 74

local function bare(message) return (tostring(message):match("^[^\n]*"):gsub("^%S+:%d+: ",
  ""):gsub("^io%.[%w_]+: ", "")) end

local function plain(record)
  for key, value in pairs(record) do
    if value == cio.json_null then record[key] = nil end
  end
  return record
end

-- The lines of a file of JSON lines; a last one without its end is left out. Returns them and the
-- bytes they take.
local function read_lines(path)
  if not cio.exists(path) then return {}, 0 end
  local text, list, at = cio.read_file(path), {}, 1
  while true do
    local stop = text:find("\n", at, true)
    if not stop then break end
    local ok, record = pcall(cio.json_decode, text:sub(at, stop - 1))
    if not ok then
      if text:find("[^\n]", stop + 1) then
        crun.fail("sweep", ("%s:%d: damaged line: %s"):format(path, #list + 1, bare(record)),
          EXIT_PLAN)
      end
      break
    end
    list[#list + 1] = plain(record)
    at = stop + 1
  end
  return list, at - 1
end

-- Everything that writes: a full disk or a read-only folder is one message wherever it strikes.
function Store:writing(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  crun.fail("sweep", ("%s; nothing finished is lost: make room or mend it, then: crun sweep resume %s"):format(
    bare(result), self.path), EXIT_DISK)
end

local function folder_of(trial) return trials.folder(trial.trial, trial.variant) end

local function read(path)
  local self = setmetatable({ path = path, name = path:match("([^/]+)/*$") }, Store)
  local ok, record = pcall(function() return cio.json_decode(cio.read_file(path .. "/sweep.json"),
    "sweep.json") end)
  if not ok then return nil, ("%s is not a sweep: %s"):format(path, bare(record)) end
  self.record = plain(record)
  self.trials = read_lines(path .. "/plan.jsonl")
  for number, trial in ipairs(self.trials) do
    trial.trial, trial.attempt, trial.run = number, 1, folder_of(trial)
  end
  local changes, bytes = read_lines(path .. "/trials.jsonl")
  self.bytes = bytes
  for _, change in ipairs(changes) do
    local trial = self.trials[change.trial]
    if trial then
      trial.score, trial.reason, trial.epoch = nil, nil, nil
      for key, value in pairs(change) do trial[key] = value end
    end
  end
  return self
end

--- The sweep in a folder, or nil and why.
function M.open(path) return read((path:gsub("/+$", ""))) end

--- All sweeps of a folder, by name.
function M.list(out)
  out = out or runs.out()
  local list = {}
  if not cio.is_dir(out) then return list end
  for _, name in ipairs((cio.list(out))) do
    if cio.is_file(("%s/%s/sweep.json"):format(out, name)) then list[#list + 1] = out .. "/" ..
       name end
  end
  return list
end

--- The sweep a word means: a folder, a name in runs/, or how it begins; or nil and why.
function M.find(word)
  local out = runs.out()
  for _, path in ipairs { word, out .. "/" .. word } do
    if cio.is_file(path .. "/sweep.json") then return M.open(path) end
  end
  local fits, names = {}, {}
  for _, path in ipairs(M.list(out)) do
    local name = path:match("[^/]+$")
    names[#names + 1] = name
    if name:sub(1, #word) == word then fits[#fits + 1] = path end
  end
  if #fits == 1 then return M.open(fits[1]) end
  if #fits > 1 then return nil, ("'%s' fits %d sweeps: %s and %s"):format(word, #fits, fits[1],
     fits[2]) end
  local near = options.nearest(word, names)
  return nil, ("there is no sweep '%s' in %s/%s"):format(word, out, near and
    ("; did you mean '%s'?"):format(near) or
    #names > 0 and ("; there are " .. table.concat(names, ", ")) or "")
end

-- ---- beginning ----------------------------------------------------------------------------------

local ORDER <const> = { order = { "trial", "phase", "variant", "settings", "seed", "fold", "round",
  "batch" } }

local function line_of(trial)
  local line = { trial = trial.trial, phase = trial.phase, variant = trial.variant,
    seed = trial.seed,
    settings = trial.settings or cio.json_null, fold = trial.fold, round = trial.round,
      batch = trial.batch }
  return cio.json_encode(line, ORDER) .. "\n"
end

local function describe(plan, record)
  local fixed, budget = {}, {}
  for _, entry in ipairs(plan.fixed.list) do fixed[entry.name] = entry.value end
  for _, variant in ipairs(plan.variants) do budget[variant.name] = plan.tune and
    plan.tune.trials or 0 end
  record.fixed = next(fixed) and fixed or nil
  record.variants = {}
  for i, variant in ipairs(plan.variants) do record.variants[i] = variant.name end
  record.budget, record.plan_sha256, record.words = budget, plan.sha256, cio.json_array(plan.words)
  record.script, record.script_sha256 = plan.script, cio.sha256_file(plan.script)
  record.metric, record.folds, record.tune, record.final = plan.metric, plan.folds, plan.tune,
    plan.final
  record.launcher = next(plan.launcher) and plan.launcher or nil
  return record
end

--- Makes the folder of a new sweep; the lock must be held.
function M.create(path, plan)
  local self = setmetatable({ path = path, name = path:match("([^/]+)/*$"), bytes = 0 }, Store)
  self.record = describe(plan, { name = plan.name, state = plan.tune and "tuning" or "final",
    created = cio.time(),
    folder = cio.cwd(), crun = crun.version, precision = crun.precision, unfair = false,
      test_looks = 0 })
  self.trials = plan:expand()
  local lines = {}
  for number, trial in ipairs(self.trials) do
    lines[number] = line_of(trial)
    trial.attempt, trial.run = 1, folder_of(trial)
  end
  self:writing(function()
    cio.write_file(path .. "/plan.yaml", plan.text)
    cio.write_file(path .. "/plan.jsonl", table.concat(lines))
    self:save()
  end)
  return self
end

local function key_of(trial)
  return ("%s/%s/%s/%s/%s"):format(trial.phase, trial.variant, trial.phase == "tune" and
    trial.round or trial.seed,
    trial.fold or "-", trial.phase == "tune" and trial.seed or "")
end

--- Takes a plan that has more than the old one: more variants, seeds, folds or trials. What there
-- is must stay as it is.
function Store:extend(plan)
  local new, by_key, more = plan:expand(), {}, {}
  for _, trial in ipairs(new) do by_key[key_of(trial)] = trial end
  local function refuse(text, ...)
    crun.fail("sweep", ("--extend only adds: %s; begin a new sweep with --name"):format(text:format(...)), EXIT_PLAN)
  end
  local known, last_batch, closed = {}, {}, self.record.tuning_closed
  for _, old in ipairs(self.trials) do
    local same = by_key[key_of(old)]
    known[key_of(old)] = true
    last_batch[old.variant] = math.max(last_batch[old.variant] or 0, old.batch or 0)
    if not same then refuse("trial %d (%s, %s) is not in the new plan", old.trial, old.variant,
       old.phase) end
    if same.settings and old.phase == "tune" and
       cio.json_encode(same.settings) ~= cio.json_encode(old.settings) then
      refuse("trial %d (%s) has other settings in the new plan", old.trial, old.variant)
    end
  end
  for key, text in pairs { metric = "the metric", fixed = "the fixed settings" } do
    local was, now = self.record[key], describe(plan, {})[key]
    if cio.json_encode(was or {}) ~= cio.json_encode(now or {}) then refuse("%s are others",
       text) end
  end
  for _, trial in ipairs(new) do
    if not known[key_of(trial)] then
      if closed and trial.phase == "tune" and last_batch[trial.variant] then
        refuse("%s has been selected and tested, so its tuning is over", trial.variant)
      end
      if trial.batch and last_batch[trial.variant] then trial.batch =
         trial.batch + last_batch[trial.variant] end
      more[#more + 1] = trial
    end
  end
  local lines = {}
  for i, trial in ipairs(more) do
    trial.trial, trial.attempt = #self.trials + 1, 1
    trial.run = folder_of(trial)
    self.trials[trial.trial], lines[i] = trial, line_of(trial)
  end
  local script_was = self.record.script_sha256
  describe(plan, self.record)
  if script_was ~= self.record.script_sha256 then self.record.unfair =
     "the script changed on the way" end
  self.record.extended = (self.record.extended or 0) + 1
  self:writing(function()
    cio.append_file(self.path .. "/plan.jsonl", table.concat(lines))
    cio.write_file(self.path .. "/plan.yaml", plan.text)
  end)
  self:save()
  return #more
end

-- ---- changes ------------------------------------------------------------------------------------

--- Cuts a line that was not finished; before the first change.
function Store:mend()
  local path = self.path .. "/trials.jsonl"
  if cio.exists(path) then self:writing(cio.truncate, path, self.bytes) end
end

--- A trial is in another state. fields: score, epoch, rung, reason, attempt, settings.
function Store:change(trial, state, fields)
  trial.score, trial.reason, trial.epoch = nil, nil, nil
  for key, value in pairs(fields or {}) do trial[key] = value end
  trial.state = state
  local line = { t = math.floor(cio.time() * 1000) / 1000, trial = trial.trial, state = state,
    attempt = trial.attempt,
    run = trial.run, settings = trial.settings, score = trial.score, epoch = trial.epoch,
      rung = trial.rung,
    reason = trial.reason }
  self:writing(cio.append_file, self.path .. "/trials.jsonl", cio.json_encode(line,
    { order = { "t", "trial", "state" } }) .. "\n")
end

function Store:save()
  for _, chosen in pairs(self.record.selected or {}) do cio.json_array(chosen.edges) end
  self:writing(cio.write_file, self.path .. "/sweep.json", cio.json_encode(self.record,
    { indent = 2,
    order = { "name", "script", "state", "metric" } }) .. "\n")
end

--- How many trials of a phase (nil: of all) are in each state: { done = 3, ..., all = 9, left = 6
-- }.
function Store:count(phase, variant)
  local n = { all = 0, left = 0, done = 0, running = 0, pruned = 0, failed = 0, diverged = 0,
    waiting = 0, queued = 0 }
  for _, trial in ipairs(self.trials) do
    if (not phase or trial.phase == phase) and (not variant or trial.variant == variant) then
      local state = trial.state or "queued"
      n.all = n.all + 1
      n[state] = (n[state] or 0) + 1
      if not M.over[state] then n.left = n.left + 1 end
    end
  end
  return n
end

--- The states that a trial does not leave by itself.
M.over = { done = true, failed = true, diverged = true, pruned = true }

M.EXIT_USAGE, M.EXIT_PLAN, M.EXIT_DISK = EXIT_USAGE, EXIT_PLAN, EXIT_DISK
M.bare = bare

return M
