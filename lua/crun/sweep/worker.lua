--- worker.lua - one trial as a process: how it is started, and what became of it
--
-- A trial is `crun SCRIPT KEY=VALUE ... --out runs/NAME --name tNNNN-VARIANT`, with CRUN_TRIAL in
-- its environment and log.txt of its run folder as both outputs. Its truth is its run folder, not
-- its exit code: a worker whose coordinator was killed goes on by itself and is judged later.
-- Whether one still works on a folder is told by the folder's lock, which the system releases when
-- the process ends.
local crun = require "crun"
local runs = require "crun.runs"
local cio = crun.io
local process = crun.process

local M = {}

local DIVERGED <const>, DISK <const>, STOPPED <const> = 5, 74, 75
-- usage, settings, data: the same again next time
local HOPELESS <const> = { [2] = true, [3] = true, [4] = true }

-- The command line of a trial: settings as KEY=VALUE words.
function M.command(record, script, arguments, out, name, opts)
  local command = { process.executable }
  if record.precision == "float64" then command[#command + 1] = "--double" end
  if opts.memory then
    command[#command + 1] = "--memory"
    command[#command + 1] = opts.memory
  end
  command[#command + 1] = script
  for _, word in ipairs(arguments) do command[#command + 1] = word end
  for _, word in ipairs { "--out", out, "--name", name, "--progress", "none", "--threads",
    tostring(opts.threads or 1) } do
    command[#command + 1] = word
  end
  return command
end

--- Starts a trial; returns its process id.
function M.start(sweep, plan, trial, limit, opts)
  local path = cio.realpath(sweep.path)
  local folder = path .. "/" .. trial.run
  cio.mkdir(folder)
  return process.spawn {
    command = M.command(sweep.record, sweep.record.script, plan:arguments(trial), path, trial.run,
      opts),
    env = { CRUN_TRIAL = ("%s:%d"):format(path, trial.trial), CRUN_RUNG = limit and
      tostring(limit) or "" },
    output = folder .. "/log.txt", folder = sweep.record.folder,
  }
end

--- Whether a process works on a trial's folder: its process id, or nil.
function M.working(sweep, trial)
  local path = ("%s/%s/lock"):format(sweep.path, trial.run)
  if not cio.exists(path) then return nil end
  local lock, holder = process.lock(path)
  if not lock then return math.tointeger(tonumber(holder)) or 0 end
  lock:release()
end

-- The last line of a log that says something, without the program's name in front.
function M.last_line(path)
  local ok, text = pcall(cio.read_file, path)
  local last
  for line in (ok and text or ""):gmatch("[^\n]+") do
    if line:find("^crun: ") or not last and line:find("%S") then last = line end
  end
  return last and last:gsub("^crun: ", ""):sub(1, 400)
end

--- The best value of a metric in a run's log, and the names that were logged.
function M.score(folder, metric, goal)
  local ok, text = pcall(cio.read_file, folder .. "/metrics.jsonl")
  local best, names = nil, {}
  for line in (ok and text or ""):gmatch("([^\n]*)\n") do
    local fine, record = pcall(cio.json_decode, line)
    if fine then
      for name in pairs(record) do names[name] = true end
      local value = record[metric]
      if type(value) == "number" and (best == nil or goal == "max" and value > best or
         goal == "min" and value < best) then
        best = value
      end
    end
  end
  if not best then
    local value = runs.summary({ path = folder })[metric]
    if type(value) == "number" then best = value end
  end
  for _, name in ipairs { "step", "epoch", "time" } do names[name] = nil end
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return best, list
end

local function reason_of(folder, record, ended)
  local said = record and record.state == "failed" and record.reason or M.last_line(folder ..
    "/log.txt")
  return said or ended and ended.signal and "killed by signal " .. ended.signal or
    ended and ("exit code %d"):format(ended.code) or "it ended without a word"
end

--- What became of a trial whose process is gone. ended: what process.poll gave, or nil: it was not
-- our child. Returns a state and its fields; "busy": another process works on it; "stopped": with
-- a checkpoint, to be gone on with; "killed"; "disk": the disk refused; "failed" with hopeless =
-- true when trying again makes no sense.
function M.judge(sweep, plan, trial, ended)
  local folder = sweep.path .. "/" .. trial.run
  local run = runs.open(folder)
  local record = run and run.record
  local code = ended and ended.code or not ended and record and record.exit_code or nil
  if ended and ended.signal then
    return "killed", { reason = "killed by signal " .. ended.signal }
  end
  if record and record.state == "done" and (code == 0 or not ended) then
    local score, names = M.score(folder, plan.metric.name, plan.metric.goal)
    if not score then
      return "failed", { hopeless = true,
        reason = ("the run has no %s; it logged %s"):format(plan.metric.name,
        #names > 0 and table.concat(names, ", ") or "nothing") }
    end
    return "done", { score = score, epoch = record.epoch }
  end
  if not ended and record and record.state == "running" then
    return "killed", { reason = "the process is gone" }
  end
  if not record and not ended then return "killed", { reason = "it had not begun" } end
  if code == STOPPED and record then
    if record.reason == "rung" then
      return "waiting", { score = (M.score(folder, plan.metric.name, plan.metric.goal)),
        epoch = record.epoch }
    end
    return "stopped", { reason = record.reason }
  end
  if code == DIVERGED then return "diverged", { reason = reason_of(folder, record, ended) } end
  if code == DISK then return "disk", { reason = reason_of(folder, record, ended) } end
  if M.working(sweep, trial) then return "busy", {} end
  if code == 0 then
    return "failed", { hopeless = true,
      reason = "the script began no run: it calls crun.start(cfg) in every trial" }
  end
  return "failed", { hopeless = HOPELESS[code], reason = reason_of(folder, record, ended) }
end

--- Asks the script whether it takes these settings: nil, or its message.
function M.check(plan, record, settings, fold)
  local log = cio.tmpname()
  local arguments = plan:arguments { settings = settings, seed = 1, fold = fold }
  arguments[#arguments + 1] = "--dry-run"
  local pid = process.spawn { output = log,
    command = M.command(record, plan.script, arguments, "runs", "check", {}),
    env = { CRUN_TRIAL = "" } }
  local ended
  repeat
    process.sleep(0.01)
    ended = process.poll(pid)
  until ended ~= nil
  local message = ended.code ~= 0 and (M.last_line(log) or "exit code " .. tostring(ended.code or
    ended.signal)) or nil
  cio.remove(log)
  return message
end

return M
