--- coordinator.lua - runs the trials of a sweep: so many at a time, until all are over
--
-- One coordinator a sweep (its lock says so). It keeps no state of its own: killed at any moment,
-- the next one reads the sweep's files, takes up the workers that are still there, starts again
-- those that are not, from their checkpoints, and comes to the same results. What is decided (which
-- trials go on, what is asked next, what is selected) is decided by tuning.lua from scores alone.
local crun = require "crun"
local tunings = require "crun.sweep.tuning"
local view = require "crun.sweep.view"
local worker = require "crun.sweep.worker"
local runs = require "crun.runs"
local cio = crun.io
local process = crun.process

local M = {}
local Coordinator = {}
Coordinator.__index = Coordinator

local POLL_SECONDS <const>, WATCH_SECONDS <const>, GRACE_SECONDS <const> = 0.05, 2, 15
local MOST_KILLS <const> = 5                     -- of one trial, while we watch
local MOST_FAILURES <const> = 3                  -- before any trial got anywhere
local EXIT_FAILED <const>, EXIT_STOPPED <const> = 7, 75

--- The cores there are: those this process may run on, within the quota of its group.
function M.cores()
  local n = process.cores()
  local file = io.open("/sys/fs/cgroup/cpu.max")
  local quota, period = (file and file:read("l") or ""):match("^(%d+) (%d+)$")
  if file then file:close() end
  if quota then n = math.max(1, math.min(n, tonumber(quota) // tonumber(period) | 0)) end
  return n
end

--- sweep: a store whose lock is held; plan: its plan; opts: jobs, threads, memory, max_time
-- (seconds).
function M.new(sweep, plan, opts)
  local self = setmetatable({ sweep = sweep, plan = plan, running = {}, kills = {}, opts = opts },
    Coordinator)
  local threads = opts.threads or plan.launcher.threads or 1
  local cores = M.cores()
  local jobs = opts.jobs or plan.launcher.jobs or math.max(1, cores // threads)
  if jobs * threads > cores then
    local fit = math.max(1, cores // threads)
    if fit < jobs then
      io.stderr:write(("note: %d jobs of %d threads are more than the %d cores there are; running %d\n"):format(jobs,
        threads, cores, fit))
    end
    jobs = fit
  end
  self.jobs, self.threads = jobs, threads
  self.memory = opts.memory or plan.launcher.memory
  self.max_time = opts.max_time or plan.launcher.max_time
  self.tunings = {}
  for _, variant in ipairs(plan.tune and plan.variants or {}) do
    self.tunings[#self.tunings + 1] = tunings.new(plan, variant, sweep)
  end
  return self
end

-- ---- results ------------------------------------------------------------------------------------

function Coordinator:settle(trial, ended)
  local state, fields = worker.judge(self.sweep, self.plan, trial, ended)
  local sweep = self.sweep
  local hopeless = fields.hopeless
  fields.hopeless = nil
  if state == "busy" then                        -- a worker of a coordinator before us: wait for it
    self.running[trial] = { adopted = true, began = cio.monotonic(), watched = 0 }
    return
  elseif state == "stopped" then
    sweep:change(trial, "queued", { reason = fields.reason })
  elseif state == "disk" then
    sweep:change(trial, "queued", fields)
    self.halt = { "the disk refused to write", fields.reason }
  elseif state == "killed" then
    local kills = (self.kills[trial] or 0) + (ended and 1 or 0)
    self.kills[trial] = kills
    sweep:change(trial, "killed", fields)
    if kills >= MOST_KILLS then
      sweep:change(trial, "failed", { reason =
        ("%s, %d times: is there enough memory?"):format(fields.reason, kills) })
    else
      sweep:change(trial, "queued", {})
    end
  elseif state == "failed" and not hopeless and trial.attempt <= self.plan.launcher.retries then
    sweep:change(trial, "failed", fields)
    sweep:change(trial, "queued", { attempt = trial.attempt + 1 })
    self.view:say(("trial %d (%s) failed and is tried again: %s"):format(trial.trial, trial.variant,
      fields.reason))
    return
  else
    sweep:change(trial, state, fields)
  end
  self.view:settled(trial)
end

function Coordinator:reap()
  local now, gone = cio.monotonic(), {}
  for trial, job in pairs(self.running) do
    local ended
    if job.adopted then ended = worker.working(self.sweep, trial) == nil
    else ended = process.poll(job.pid) end
    if ended then
      job.ended = type(ended) == "table" and ended or nil
      gone[#gone + 1] = { trial = trial, job = job }
    elseif now - job.watched > WATCH_SECONDS then
      job.watched = now
      self:watch(trial, job, now)
    end
  end
  table.sort(gone, function(a, b) return a.trial.trial < b.trial.trial end)
  for _, one in ipairs(gone) do
    local trial, job = one.trial, one.job
    self.running[trial] = nil
    if job.late and worker.judge(self.sweep, self.plan, trial, nil) ~= "done" then
      self.sweep:change(trial, "failed", { reason = job.late })
      self.view:settled(trial)
    else
      self:settle(trial, job.ended)
    end
  end
end

-- "2G" -> MB
local function megabytes(text)
  local number, unit = text:match("^([%d.]+)([kKMG]?)$")
  return tonumber(number) * ({ [""] = 2 ^ -20, k = 2 ^ -10, K = 2 ^ -10, M = 1, G = 1024 })[unit]
end

local PROGRAM_MB <const> = 256                   -- what a process needs besides its tensors

-- A trial that takes too long, or more memory than its ceiling on tensors explains, is ended.
function Coordinator:watch(trial, job, now)
  local pid = job.pid or worker.working(self.sweep, trial)
  local seen = pid and pid > 1 and process.look(pid)
  if not seen then return end
  if self.max_time and now - job.began > self.max_time and not job.late then
    job.late = ("it took longer than %g s"):format(self.max_time)
    process.kill(pid, "TERM")
    job.end_by = now + GRACE_SECONDS
  elseif self.memory and seen.rss_mb > megabytes(self.memory) + PROGRAM_MB and not job.late then
    job.late = ("it took %.0f MB of memory, more than %s"):format(seen.rss_mb, self.memory)
    process.kill(pid, "KILL")
  elseif job.end_by and now > job.end_by then
    process.kill(pid, "KILL")
  end
end

-- ---- what comes next ----------------------------------------------------------------------------

local function by_number(a, b) return a.trial < b.trial end

-- All variants are tuned: what is selected is written down, and test data may be looked at.
function Coordinator:close_tuning()
  local record, sweep = self.sweep.record, self.sweep
  record.selected = record.selected or {}
  for _, tuning in ipairs(self.tunings) do
    record.selected[tuning.variant.name] = tuning:selected()
  end
  if next(record.selected) == nil then           -- nothing to test, so nothing is closed
    record.selected = nil
    return
  end
  local closed = record.tuning_closed
  record.tuning_closed = closed or cio.time()
  record.state = "final"
  sweep:save()
  if not closed then
    self.view:say("tuning is over; the settings are selected" .. (self.plan.final and
      "; final runs begin" or ""))
  end
end

-- The trials that may be started now, in order.
function Coordinator:ready()
  local list, over = {}, true
  if not self.tuned then
    for _, tuning in ipairs(self.tunings) do
      local ready, done = tuning:step()
      over = over and done
      for _, trial in ipairs(ready) do
        trial.limit = tuning:limit(trial)
        if not self.running[trial] then list[#list + 1] = trial end
      end
    end
    if not over then
      table.sort(list, by_number)
      return list, false
    end
    self.tuned = true
    self:close_tuning()
  end
  for _, trial in ipairs(self.sweep.trials) do
    if trial.phase == "final" and not self.running[trial] and
       (trial.state == nil or trial.state == "queued" or trial.state == "killed") then
      local chosen = self.plan.tune and (self.sweep.record.selected or {})[trial.variant]
      if self.plan.tune and not chosen then
        self.sweep:change(trial, "failed", { reason = "no tuning trial of it got to its end" })
        self.view:settled(trial)
      else
        trial.settings = trial.settings or chosen.settings
        trial.limit = nil
        list[#list + 1] = trial
      end
    end
  end
  return list, next(self.running) == nil and #list == 0
end

function Coordinator:launch(trial)
  self.sweep:change(trial, "running", {})
  local pid = self.sweep:writing(worker.start, self.sweep, self.plan, trial, trial.limit,
    { threads = self.threads, memory = self.memory })
  self.running[trial] = { pid = pid, began = cio.monotonic(), watched = 0 }
end

-- Trials that a coordinator before us left as running: their workers are taken up, or what became
-- of them is looked at.
function Coordinator:take_up()
  for _, trial in ipairs(self.sweep.trials) do
    if trial.state == "running" then
      if worker.working(self.sweep, trial) then
        self.running[trial] = { adopted = true, began = cio.monotonic(), watched = 0 }
      else
        self:settle(trial, nil)
      end
    end
  end
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

-- The first few trials failed and none got anywhere: so will the others.
function Coordinator:is_hopeless()
  local n = self.sweep:count()
  if n.failed < MOST_FAILURES or n.done + n.waiting + n.pruned + n.diverged > 0 then return false end
  for _, trial in ipairs(self.sweep.trials) do
    if trial.state == "failed" then return true, trial.reason end
  end
end

-- Looks at test data, counted by the runs.
function Coordinator:looks()
  local n = 0
  for _, trial in ipairs(self.sweep.trials) do
    if trial.phase == "final" and trial.state then
      local run = runs.open(self.sweep.path .. "/" .. trial.run)
      n = n + (run and run.record.test_looks or 0)
    end
  end
  return n
end

-- Tells the workers to stop with a checkpoint and waits for them.
function Coordinator:stop(why)
  if next(self.running) then
    self.view:say(("%s: %d running trials are writing their checkpoints; a second signal leaves them to it"):format(why,
      count(self.running)))
  end
  for trial, job in pairs(self.running) do
    local pid = job.pid or worker.working(self.sweep, trial)
    if pid and pid > 1 then process.kill(pid, "TERM") end
  end
  while next(self.running) do
    process.sleep(POLL_SECONDS)
    self:reap()
  end
end

function Coordinator:finish(state)
  local record = self.sweep.record
  record.state, record.test_looks = state, self:looks()
  record.jobs, record.threads = self.jobs, self.threads
  record.ended, record.pid = cio.time(), nil
  self.sweep:save()
end

--- Until all is over. Returns the exit code: 0, 7 (trials failed), 74 (the disk), 75 (stopped).
function Coordinator:run()
  local sweep, record = self.sweep, self.sweep.record
  sweep:mend()
  record.state = record.tuning_closed and "final" or self.plan.tune and "tuning" or "final"
  record.pid, record.host, record.jobs, record.threads = cio.getpid(), cio.hostname(), self.jobs,
    self.threads
  record.ended = nil
  sweep:save()
  self.view = view.new(sweep, self.plan, self)
  crun.catch_signals(true)
  self:take_up()
  local all_done = false
  repeat
    self:reap()
    local signal = crun.interrupted()
    if signal or self.halt then
      self:stop(signal or self.halt[1])
      self:finish("stopped")
      self.view:close()
      if self.halt then
        crun.fail("sweep", ("%s (%s); nothing finished is lost: make room, then: crun sweep resume %s"):format(
          self.halt[1], self.halt[2], sweep.path), 74)
      end
      io.stderr:write(("stopped by %s; go on with: crun sweep resume %s\n"):format(signal,
        sweep.path))
      return EXIT_STOPPED
    end
    local hopeless, reason = self:is_hopeless()
    if hopeless then
      self:stop(("the first %d trials failed"):format(MOST_FAILURES))
      self:finish("stopped")
      self.view:close()
      io.stderr:write(("stopped: the first %d trials failed: %s; when it is mended: crun sweep retry %s\n"):format(
        MOST_FAILURES, reason, sweep.path))
      return EXIT_FAILED
    end
    local list, over = self:ready()
    for _, trial in ipairs(list) do
      if count(self.running) >= self.jobs then break end
      self:launch(trial)
    end
    all_done = over and next(self.running) == nil
    self.view:draw()
    if not all_done then process.sleep(POLL_SECONDS) end
  until all_done
  self:finish("done")
  self.view:close()
  local n = sweep:count()
  return n.failed > 0 and EXIT_FAILED or 0
end


return M
