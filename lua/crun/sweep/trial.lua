--- trial.lua - what a run knows of the sweep it is a trial of
--
-- A sweep starts each trial with two variables in its environment:
--
--   CRUN_TRIAL=runs/NAME:LINE    the sweep's folder and the trial's line of plan.jsonl
--   CRUN_RUNG=EPOCHS             stop with a checkpoint after that many epochs (only where trials are pruned)
--
-- The lock on the test set. While the tuning of the sweep is open, a trial may not look at test
-- data: run:test(f) does not call f, and run:log and run:summary refuse names that begin with
-- "test/". A final trial may, once sweep.json says when tuning was closed. A script opens its test
-- data inside run:test.
local crun = require "crun"
local cio = crun.io

local M = {}
local Trial = {}
Trial.__index = Trial

local function fail(text, ...) crun.fail("trial", text:format(...), 3) end

--- The trial that CRUN_TRIAL names: { sweep, number, variant, phase, settings, seed, fold, rung }.
function M.read(text, rung)
  local sweep, number = text:match("^(.+):(%d+)$")
  number = math.tointeger(tonumber(number))
  if not number then fail("CRUN_TRIAL must be SWEEP:LINE, got '%s'", text) end
  local ok, plan = pcall(cio.read_file, sweep .. "/plan.jsonl")
  if not ok then fail("CRUN_TRIAL names %s, which has no plan.jsonl", sweep) end
  local n = 0
  for line in plan:gmatch("[^\n]+") do
    n = n + 1
    if n == number then
      local trial = cio.json_decode(line, "plan.jsonl")
      for key, value in pairs(trial) do
        if value == cio.json_null then trial[key] = nil end
      end
      trial.sweep, trial.number, trial.rung = sweep, number, math.tointeger(tonumber(rung))
      return setmetatable(trial, Trial)
    end
  end
  fail("CRUN_TRIAL names line %d of %s/plan.jsonl, which has %d", number, sweep, n)
end

--- The trial this process is, or nil.
function M.current()
  if M.known == nil then
    local text = os.getenv("CRUN_TRIAL")
    M.known = text and text ~= "" and M.read(text, os.getenv("CRUN_RUNG")) or false
  end
  return M.known or nil
end

--- Where the runs of a sweep lie: RUNFOLDER of a trial.
function M.folder(number, variant)
  return ("t%04d-%s"):format(number, (variant:gsub("[^%w_.+-]", "-")))
end

-- Whether this trial may look at test data.
function Trial:may_test()
  if self.phase ~= "final" then return false end
  local ok, record = pcall(function()
    return cio.json_decode(cio.read_file(self.sweep .. "/sweep.json"))
  end)
  local closed = ok and record.tuning_closed
  return closed ~= nil and closed ~= false and closed ~= cio.json_null
end

--- Whether test data is out of bounds for this process.
function M.locked()
  local trial = M.current()
  return trial ~= nil and not trial:may_test()
end

local LOCKED <const> = "test data is locked while the sweep is being tuned; put what looks at it into run:test(function() ... end)"

--- Raises when a name of a result says that it comes from test data and that is locked.
function M.check_name(where, name)
  if name:sub(1, 5) == "test/" and M.locked() then crun.fail(where, ("%s: %s"):format(name, LOCKED),
     3) end
end

return M
