--- run.lua - one experiment: its folder, its log, its checkpoints, and going on where it stopped
--
--     local run = crun.start(cfg, { name = "faces" })       -- runs/faces-20261123-191500-7f3a9c
--     run:checkpoint { net = net, opt = opt }               -- after a resume this also loads them
--     for epoch in run:epochs(cfg.epochs) do
--       for x, y in run:steps(sampler) do
--         ...
--         run:log { ["train/loss"] = loss, ["train/active"] = criterion.stats.active }
--       end
--       run:log({ ["map@r"] = score }, "val/")
--       run:save_best(score)
--     end
--     run:restore "best"
--     run:test(function() run:summary { ["test/map@r"] = 0.91 } end)
--     run:finish()
--
-- The loop stays the script's own; `run` only watches it. A checkpoint `last` is written at the end
-- of each epoch. On the first Ctrl-C (SIGTERM, SIGUSR1) the step in progress is finished, `last` is
-- written with the number of steps done, and the process ends with exit code 75; a resumed run
-- skips exactly these steps. The result is bit-identical to a run that was never stopped, provided
-- that what the loop changes is registered by run:checkpoint and that batches are a function of
-- seed, epoch and step. Files: run.json, config.json, metrics.jsonl, summary.json, source/,
-- checkpoints/, pictures/, events.
--
-- @classmod crun.run
local crun = require "crun"
local checkpoint = require "crun.checkpoint"
local cio = crun.io
local config = require "crun.config"
local options = require "crun.options"
local progress = require "crun.progress"
local provenance = require "crun.provenance"
local runs = require "crun.runs"
local trials = require "crun.sweep.trial"

local M = {}
local Run = { __name = "crun.run" }
Run.__index = Run

local EXIT_USAGE <const>, EXIT_CONFIG <const>, EXIT_DIVERGED <const>, EXIT_DISK <const> = 2, 3, 5,
  74
local EXIT_STOPPED <const>, EXIT_AT_ONCE <const> = 75, 130

local function iso(time) return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(time)) end

-- Talk goes to standard error; `--progress none` and `-q` silence it.
local function say(run, text)
  if progress.kind() == "none" then return end
  if run.bar then return run.bar:say(text) end
  io.stderr:write(text, "\n")
end

-- "90", "90s", "5m", "2h", "1d" -> seconds
local function seconds_of(option, text)
  local number, unit = text:match("^(%d+%.?%d*)([smhd]?)$")
  if not number then
    crun.fail("options", ("--%s takes a time such as 90s, 5m or 2h, got '%s'"):format(option, text),
      EXIT_USAGE)
  end
  return tonumber(number) * ({ s = 1, m = 60, h = 3600, d = 86400 })[unit == "" and "s" or unit]
end

-- ---- the folder ---------------------------------------------------------------------------------

local function random_hex()
  local file = io.open("/dev/urandom", "rb")
  local bytes = file and file:read(3)
  if file then file:close() end
  if not bytes then return ("%06x"):format(math.random(0, 0xffffff)) end
  return ("%02x%02x%02x"):format(bytes:byte(1, 3))
end

local function new_folder(name, trial)
  local out = runs.out()
  if trial then                                  -- the sweep knows where its trials lie
    cio.mkdir(out .. "/" .. name)
    return out .. "/" .. name
  end
  local path
  repeat
    path = ("%s/%s-%s-%s"):format(out, name, os.date("%Y%m%d-%H%M%S"), random_hex())
  until not cio.exists(path)
  cio.mkdir(path)
  return path
end

local function clean_name(name)
  name = name:gsub("%.lua$", ""):gsub("[^%w_.+-]", "-"):gsub("^[.-]+", "")
  return name == "" and "run" or name
end

function Run:where(place)
  place = place or self.place
  if place.step_in_epoch > 0 then
    return ("epoch %d, step %d (%d in all)"):format(place.epoch + 1, place.step_in_epoch,
      place.step)
  end
  return ("the end of epoch %d (%d steps)"):format(place.epoch, place.step)
end

function Run:last_words()
  local saved = self.saved and self:where(self.saved)
  return saved and ("the last healthy checkpoint is %s/checkpoints/last.safetensors, of %s"):format(self.path, saved)
    or "there is no checkpoint yet"
end

-- An error's text without the place in front: it is raised again, with the script's own line.
local function bare(message)
  return (tostring(message):match("^[^\n]*"):gsub("^%S+:%d+: ", ""):gsub("^io%.[%w_]+: ", ""))
end

-- Everything that writes goes through here, so that a full disk is one message wherever it strikes.
function Run:writing(what, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  self:disk_failed(what, result)
end

function Run:disk_failed(what, message)
  message = bare(message)
  if self.bar then self.bar:clear() end
  if not self.record then
    crun.fail("run", ("%s was not written: %s"):format(what, message), EXIT_DISK)
  end
  self:mark("failed", EXIT_DISK, message)
  crun.fail("run", ("%s was not written: %s; nothing saved before is damaged: %s; make room, then: crun resume %s")
    :format(what, message, self:last_words(), self.path), EXIT_DISK)
end

function Run:write_record()
  cio.write_file(self.path .. "/run.json", cio.json_encode(self.record) .. "\n")
end

-- Sets the state and tries to write it down: a disk that is full must not hide the first error.
function Run:mark(state, code, reason)
  local r, now = self.record, cio.time()
  r.state, r.exit_code, r.reason = state, code, reason
  r.ended, r.end_time = now, iso(now)
  r.sessions[#r.sessions].ended, r.sessions[#r.sessions].exit_code = now, code
  r.step, r.epoch = self.place.step, self.place.epoch
  return pcall(self.write_record, self)
end

-- ---- beginning and resuming ---------------------------------------------------------------------

-- The settings in which two runs differ: "lr = 0.1 there, 0.2 here".
local function difference(there, entries)
  for _, e in ipairs(entries) do
    local value = there
    for name in e.path:gmatch("[^.]+") do
      if type(value) == "table" then value = value[name] else value = nil end
    end
    if value == nil then return ("%s is not among its settings"):format(e.path) end
    if config.value_text(value) ~= config.value_text(e.value) then
      return ("%s = %s there, %s here"):format(e.path, config.value_text(value),
        config.value_text(e.value))
    end
  end
end

local function script_name() return (provenance.script() or "crun"):match("[^/]*$") end

-- The newest run of this script with these settings that `fits`.
local function newest(entries, fits)
  for _, run in ipairs(runs.list()) do
    if fits(run) and (run.record.script or ""):match("[^/]*$") == script_name() and
       not difference(runs.config(run).settings, entries) then
      return run
    end
  end
end

-- The run that --resume means: the one named, or the newest unfinished one of this script with
-- these settings.
local function run_to_resume(wish, entries)
  if type(wish) == "string" and wish ~= "" then
    local run, why = runs.find(wish)
    if not run then crun.fail("--resume", why, 2) end
    local differs = difference(runs.config(run).settings, entries)
    if differs then
      crun.fail("--resume", ("%s was run with other settings: %s"):format(run.id, differs),
        EXIT_CONFIG)
    end
    return run
  end
  return newest(entries, function(run)
    return run.state ~= "done" and run.state ~= "running" and run.record.exit_code ~= EXIT_DIVERGED
  end)
end

local function session()
  local now = cio.time()
  return { started = now, host = cio.hostname(), pid = cio.getpid(), threads = crun.threads() }
end

function Run:resume(found)
  local record = found.record
  if found.state == "running" then
    crun.fail("--resume", ("%s is being run by process %d on %s"):format(found.id, record.pid or 0,
      record.host or "?"), 2)
  end
  if record.precision ~= crun.precision then
    crun.fail("--resume", ("%s computes in %s, this process in %s; %s"):format(found.id,
      record.precision,
      crun.precision, record.precision == "float64" and "add --double" or "leave out --double"), 2)
  end
  self.path, self.record, self.resumed = found.path, record, true
  self.found = checkpoint.find(self.path .. "/checkpoints", "last")
  if self.found then
    local c = self.found.counters
    self.place, self.best, self.seconds, self.saves = c.place, c.best, c.seconds, c.saves
    self.images, self.step_seconds = c.images or 0, c.step_seconds or 0
    self.peak_mb = c.peak_mb or 0
    self.values, self.saved = c.values or {}, { epoch = c.place.epoch, step = c.place.step,
      step_in_epoch = c.place.step_in_epoch }
  end
  -- what was logged after the checkpoint will be logged again
  local metrics = self.path .. "/metrics.jsonl"
  local bytes = self.found and self.found.counters.metrics_bytes or 0
  if cio.exists(metrics) then cio.truncate(metrics, bytes) end
  self.metrics_bytes = bytes
  if record.crun ~= crun.version then
    say(self, ("note: %s was begun with crun %s, this is %s: equal bits are not promised"):format(found.id,
      record.crun, crun.version))
  end
  local s = record.sessions
  s[#s + 1] = session()
  record.state, record.pid, record.host, record.threads = "running", cio.getpid(), cio.hostname(),
    crun.threads()
  record.ended, record.end_time, record.exit_code, record.reason = nil, nil, nil, nil
  self:write_record()
  say(self, ("%s goes on after %s"):format(self.path, self.found and self:where() or
    "nothing: it has no checkpoint"))
end

function Run:begin(name, entries, cfg)
  self.path = new_folder(name, self.trial)
  local now = cio.time()
  local record = provenance.describe()
  record.state, record.started, record.start_time, record.sessions = "running", now, iso(now),
    { session() }
  record.name, record.tag, record.note = name, crun.options.tag, crun.options.note
  for _, e in ipairs(entries) do
    if e.path == "seed" then record.seed = e.value end
  end
  if self.trial then
    local t = self.trial
    record.sweep, record.trial = t.sweep:match("([^/]+)/*$"), t.number
    record.variant, record.phase, record.fold = t.variant, t.phase, t.fold
  end
  self.record = record
  cio.write_file(self.path .. "/config.json",
    cio.json_encode(cfg and config.record(cfg) or { settings = { _ = 0 }, origin = { _ = "" } }) ..
      "\n")
  self:write_record()
  say(self, "run folder: " .. self.path)
end

-- The folder of the trial this process is, with its lock held: another process that still works on
-- it, left over from a sweep that was killed, keeps us out. Returns the run to go on with, or nil:
-- it begins.
function Run:take_trial(name, entries)
  local path = runs.out() .. "/" .. name
  self:writing("the run folder", cio.mkdir, path)
  local ok, lock, holder = pcall(crun.process.lock, path .. "/lock", tostring(cio.getpid()))
  if not ok then self:disk_failed("the lock", lock) end
  self.lock = lock
  if not self.lock then
    crun.fail("start", ("%s is being run by process %s"):format(path, holder), EXIT_USAGE)
  end
  local found = runs.open(path)
  if not found then return nil end
  if found.state == "done" then
    say(self, path .. " is done already")
    crun.exit(0)
  end
  found.state = "lost"                           -- whatever it says: nobody else holds the lock
  local differs = difference(runs.config(found).settings, entries)
  if differs then
    crun.fail("start", ("%s was begun with other settings: %s"):format(path, differs), EXIT_CONFIG)
  end
  return found
end

--- crun.start(cfg, { name = }): a run folder, a new one or, with --resume, one to go on with. cfg
-- is what crun.config returned; it may be left out. name: how the folder's name begins (the
-- script's name).
function M.start(cfg, opts)
  if cfg ~= nil and not config.is_config(cfg) then
    crun.fail("start", "expected what crun.config returned, got " .. options.say(cfg))
  end
  local o = options.check("start", opts, { name = "string?" })
  local main = config.take_options()
  local self = setmetatable({
    place = { epoch = 0, loop = 0, step_in_epoch = 0, step_in_loop = 0, step = 0, over = false },
    objects = {}, values = {}, own_values = {}, copied = {}, saves = 0, seconds = 0,
    metrics_bytes = 0, clock = cio.monotonic(), images = 0, step_seconds = 0, peak_mb = 0,
    looks = 0,
  }, Run)
  local entries = cfg and config.entries(cfg) or {}
  if main.dry_run then
    print(("dry run: the settings are fine, a run folder would be made in %s/"):format(runs.out()))
    crun.exit(0)
  end
  local finished = main.needed and newest(entries, function(run) return run.state == "done" end)
  if finished then
    say(self, "not needed: " .. finished.path .. " has these settings and is done")
    crun.exit(0)
  end
  self.stop_at = main.max_time and self.clock + seconds_of("max-time", main.max_time)
  self.save_every = main.checkpoint_every and seconds_of("checkpoint-every", main.checkpoint_every)
  self.trial = trials.current()
  local found
  local name = self.trial and trials.folder(self.trial.number, self.trial.variant) or
    clean_name(main.name or o.name or script_name())
  if self.trial then
    found = self:take_trial(name, entries)
  elseif main.resume then
    found = run_to_resume(main.resume, entries)
  end
  if main.resume and not found then
    say(self, "no unfinished run of this script with these settings: a new one begins")
  end
  if found then
    self:resume(found)
  else
    self:writing("the run folder", self.begin, self, name, entries, cfg)
  end
  if not found then self:copy_sources() end
  self.summary_values = runs.summary { path = self.path }
  self.events = self:writing("the event file", cio.events, self.path)
  crun.catch_signals(true)
  return self
end

function Run:copy_sources()
  self:writing("the copy of the script", provenance.copy_sources, self.path .. "/source",
    self.copied)
end

-- A run that is collected while it says "running" was left without run:finish(): main.c notes in
-- the registry how the script ended, "" where it ended well.
function Run:__gc()
  if not self.record or self.record.state ~= "running" then return end
  local how = debug.getregistry()["crun.ended"]
  if how == "" then
    pcall(self.write_summary, self)
    self:mark("done", 0)
  else
    self:mark("failed", 1, how and how:match("^[^\n]*") or "the script ended without run:finish()")
  end
end

-- ---- checkpoints --------------------------------------------------------------------------------

--- Registers what a checkpoint keeps, by name: objects with state() and load(state), or tensors. In
-- a resumed run they are loaded here, so call it when all of them are built and before anything is
-- computed with them.
function Run:checkpoint(objects)
  if type(objects) ~= "table" or options.kind(objects) ~= "table" then
    crun.fail("run:checkpoint", "expected a table like { net = net, opt = opt }, got " ..
      options.say(objects))
  end
  for _, name in ipairs(options.sorted_keys(objects)) do
    local object = objects[name]
    local fits = crun.is_tensor(object) or
      (type(object) == "table" or type(object) == "userdata") and object.state ~= nil and
        (object.load ~= nil or object.restore ~= nil)
    if not fits then
      crun.fail("run:checkpoint",
        ("%s must be a tensor or have the methods state() and load(state), got %s")
        :format(name, options.say(object)))
    end
    if self.objects[name] then crun.fail("run:checkpoint", name .. " is registered already") end
    self.objects[name] = object
  end
  if self.found then
    local ok, message = pcall(checkpoint.load, self.found, objects)
    if not ok then crun.fail("run:checkpoint", bare(message), EXIT_CONFIG) end
  end
  return self
end

local function save(self, name, opts)
  self.saves = self.saves + 1
  local now = cio.monotonic()
  self.seconds, self.clock = self.seconds + now - self.clock, now
  local place = self.place
  local ok, message, kind = checkpoint.save(self.path .. "/checkpoints", name, self.objects, {
    place = place, best = self.best, saves = self.saves, seconds = self.seconds,
    values = self.values, metrics_bytes = self.metrics_bytes, images = self.images,
    step_seconds = self.step_seconds, peak_mb = self:peak(),
  }, opts)
  if kind == "unhealthy" then self:diverged(message .. " holds a value that is not finite") end
  if not ok then self:disk_failed("the checkpoint", message) end
  if name == "last" then
    self.saved = { epoch = place.epoch, step = place.step, step_in_epoch = place.step_in_epoch }
  end
end

--- Writes the checkpoint `last` now. It is written at the end of every epoch anyway.
function Run:save()
  save(self, "last", { previous = true })
  self:copy_sources()
end

--- Writes the checkpoint `best` when no value before was better; mode "max" (default) or "min". Of
-- equal values the later counts, which has learnt more. Returns whether it was written.
function Run:save_best(value, mode)
  value = self:number("run:save_best", "the value", value)
  mode = options.check_value("run:save_best", "mode", mode,
    { "string", "max", choices = { "max", "min" } })
  local best = self.best and self.best.value
  if self.bar then self.bar:choose(value) end
  if value ~= value or best and (mode == "max" and value < best or mode == "min" and
      value > best) then
    return false
  end
  self.best = { value = value, epoch = self.place.epoch + (self.in_epoch and 1 or 0),
    step = self.place.step }
  save(self, "best")
  return true
end

--- True when save_best has found nothing better for `patience` epochs: `if run:early_stop(5) then
-- break end`.
function Run:early_stop(patience)
  options.check_value("run:early_stop", "patience", patience, "count")
  if not self.best then return false end
  return self.place.epoch + (self.in_epoch and 1 or 0) - self.best.epoch >= patience
end

--- Loads the checkpoint `name` ("best" or "last") into the registered objects. Returns { epoch =,
-- step =, value = } of it.
function Run:restore(name)
  self:poll()
  local found, why = checkpoint.find(self.path .. "/checkpoints", name)
  if not found then crun.fail("run:restore", why) end
  local ok, message = pcall(checkpoint.load, found, self.objects)
  if not ok then crun.fail("run:restore", bare(message)) end
  local c = found.counters
  return { epoch = c.best and c.best.epoch or c.place.epoch, step = c.place.step, value = c.best and
    c.best.value }
end

-- ---- stopping -----------------------------------------------------------------------------------

-- Called where everything is in order to be saved: between steps, between epochs, outside of the
-- loop.
function Run:poll(between_steps)
  local signal = crun.interrupted() or self.stop_at and cio.monotonic() > self.stop_at and
    "--max-time"
  if not signal or self.ended then return end
  if self.in_epoch and not between_steps then
    if not self.noticed and signal ~= "--max-time" then
      say(self, signal .. ": the run stops at the end of this step; a second signal stops it at once")
      self.noticed = true
    end
    return
  end
  self.ended = true
  -- nothing to save when no step was done since: after restore "best" it would even be the wrong
  -- weights
  local s, p = self.saved, self.place
  if not (s and s.step == p.step and s.epoch == p.epoch and s.step_in_epoch == p.step_in_epoch) then
    save(self, "last", { previous = true })
  end
  self:mark("stopped", EXIT_STOPPED, signal)
  if self.bar then self.bar:clear() end
  io.stderr:write(("stopped by %s after %s; go on with: crun resume %s\n"):format(signal,
    self:where(), self.path))
  crun.exit(EXIT_STOPPED)
end

-- A trial that may be pruned stops at its rung, with the checkpoint that has just been written, and
-- waits there until the others of its rung are in.
function Run:stop_at_rung()
  local rung = self.trial and self.trial.rung
  if not rung or self.place.epoch < rung or self.place.epoch == 0 then return end
  self.ended = true
  self:write_summary()
  self:mark("stopped", EXIT_STOPPED, "rung")
  if self.bar then self.bar:clear() end
  say(self, ("waits after epoch %d for the other trials of its rung"):format(self.place.epoch))
  crun.exit(EXIT_STOPPED)
end

function Run:diverged(what)
  local p = self.place
  local text = ("%s at step %d (epoch %d, step %d of it); %s"):format(what,
    p.step + (self.in_step and 1 or 0),
    p.epoch + 1, p.step_in_epoch + (self.in_step and 1 or 0), self:last_words())
  if self.bar then self.bar:clear() end
  self.ended = true
  self:mark("failed", EXIT_DIVERGED, text)
  crun.fail("run", text, EXIT_DIVERGED)
end

--- Stops the run when a loss (a number or a tensor of one) is NaN or infinite: exit code 5, with
-- the step and the last healthy checkpoint named. Returns the loss as a number. run:log does this
-- to every value whose name has "loss" in it; calling it before loss:backward() keeps the weights
-- healthy too.
function Run:check_loss(loss, name)
  local value = self:number("run:check_loss", "the loss", loss)
  if value - value ~= 0 then
    self:diverged(("%s is %s"):format(name or "the loss", value ~= value and "NaN" or
      value > 0 and "infinite" or "minus infinite"))
  end
  return value
end

-- ---- the loops ----------------------------------------------------------------------------------

local function end_epoch(self, over)
  local place = self.place
  place.epoch, place.loop, place.step_in_epoch, place.step_in_loop = place.epoch + 1, 0, 0, 0
  place.over = over
  self.in_epoch, self.loop, self.in_step = false, 0, false
  self:save()
  if self.bar then self.bar:close_epoch() end
end

--- `for epoch in run:epochs(n) do`: 1 to n, in a resumed run from where it stopped. Leaving by
-- break ends the training for good (a resume does not take it up again); leaving by an error marks
-- the run as failed.
function Run:epochs(n)
  options.check_value("run:epochs", "the number of epochs", n, { "integer", least = 0 })
  if self.in_epochs then crun.fail("run:epochs", "one loop over epochs inside another") end
  local place = self.place
  self.in_epochs, self.in_epoch, self.loop, self.record.epochs = true, false, 0, n
  self.bar = progress.new(n, place.epoch + (place.step_in_epoch > 0 and 0.5 or 0))

  local function advance()
    if self.in_epoch then end_epoch(self, false) end
    self:poll(true)
    if place.over or place.epoch >= n then return nil end
    self:stop_at_rung()
    self.in_epoch, self.loop, self.skip = true, 0, place.step_in_epoch > 0
    self.bar:open_epoch(place.epoch + 1)
    return place.epoch + 1
  end

  local closer = setmetatable({}, { __close = function(_, err)
    self.in_epochs = false
    if self.ended or self.record.state ~= "running" then return end
    if err ~= nil then
      self.bar:clear()
      local text = tostring(err):match("^[^\n]*")
      if text:find("interrupted$") then self:mark("stopped", EXIT_AT_ONCE,
          "stopped at once by a second signal")
      else self:mark("failed", 1, text) end
    elseif self.in_epoch then
      end_epoch(self, true)
    end
    self.bar:clear()
    self.in_epoch = false
  end })
  return advance, nil, nil, closer
end

local function batch_size(value)
  if crun.is_tensor(value) and value:ndim() > 0 then return value:size(1) end
  return 0
end

-- Whether run:checkpoint has a sampler: it was loaded with its cursor, and batches that come from
-- it need no skipping.
local function has_sampler(self)
  for _, object in pairs(self.objects) do
    if options.kind(object) == "sampler" then return true end
  end
  return false
end

-- Iterator, state, control, closing value and number of steps of what run:steps was given; `skip`
-- steps are left out.
local function open_source(self, source, state, control, closing, skip)
  if math.type(source) == "integer" then
    local i = skip
    return function() i = i + 1; if i <= source then return i end end, nil, nil, nil, source
  end
  local kind = type(source)
  options.check_value("run:steps", "the source of batches", source, "callable")
  local is_object = kind == "table" or kind == "userdata"
  local total = is_object and getmetatable(source).__len and #source or nil
  if has_sampler(self) then return source, state, control, closing, total end
  if is_object and source.state and source.load then
    -- a cursor of its own: it is put at the place the run has reached
    if self.loop == 1 then source:load { epoch = self.place.epoch + 1, batch = skip } end
    return source, state, control, closing, total
  end
  -- any other iterator is asked for the batches that are done, and they are dropped
  for _ = 1, skip do
    control = source(state, control)
    if control == nil then break end
  end
  return source, state, control, closing, total
end

--- `for rows in run:steps(source) do`: the batches of one epoch, counted, timed and shown; in a
-- resumed run those that are done are left out. source is one of
--   a sampler (crun.sampler): its epoch is set to that of the run, its cursor to the step
--   an iterator whose batches come from a sampler that run:checkpoint keeps: it goes on by itself
--   any other iterator that gives the same batches in the same epoch again: those that are done
--   are drawn and dropped
--   a number of steps
-- What it yields is passed on.
function Run:steps(source, state, control, closing)
  local place = self.place
  if not self.in_epoch then
    crun.fail("run:steps", "goes inside `for epoch in run:epochs(n) do`")
  end
  if self.in_loop then crun.fail("run:steps", "one loop over steps inside another") end
  self.loop = self.loop + 1
  -- a loop that was done before the stop
  if self.loop <= place.loop then return function() end end
  local skip = place.step_in_loop
  local f, s, c, close, total = open_source(self, source, state, control, closing, skip)
  local bar, began, images, waited = self.bar, nil, 0, 0
  if self.loop == 1 and bar then bar.steps = total end
  self.in_loop = true

  local function leave()
    self.in_loop, self.in_step = false, false
    place.loop, place.step_in_loop = self.loop, 0
  end

  -- counts the step that has just ended and passes on the next batch
  local function pass(first, ...)
    waited = cio.monotonic() - began                     -- what a loader makes the step wait
    if first == nil then leave() else
      c, images = first, batch_size(first)
      self.in_step = true
    end
    return first, ...
  end

  local function advance()
    local now = cio.monotonic()
    if self.in_step then
      self.in_step = false
      place.step, place.step_in_epoch = place.step + 1, place.step_in_epoch + 1
      place.step_in_loop = place.step_in_loop + 1
      self.images, self.step_seconds = self.images + images, self.step_seconds + now - began
      if bar then bar:advance(place.step_in_epoch, images, now - began, waited) end
      self:poll(true)
      if self.save_every and now - self.clock > self.save_every then self:save() end
    end
    began = now
    return pass(f(s, c))
  end

  local closer = setmetatable({}, { __close = function(_, err)
    if self.in_loop and err == nil then
      -- left by break: the step it was left in counts
      if self.in_step then
        place.step, place.step_in_epoch = place.step + 1, place.step_in_epoch + 1
      end
      leave()
    end
    self.in_loop = false
    local meta = close ~= nil and getmetatable(close)
    if meta and meta.__close then meta.__close(close, err) end
  end })
  return advance, nil, nil, closer
end

-- ---- the log ------------------------------------------------------------------------------------

--- A number from a number or a tensor of one element.
function Run:number(where, what, value)
  if type(value) == "number" then return value end
  if crun.is_tensor(value) then
    if value:numel() == 1 then return value:item() end
    crun.fail(where, ("%s must be one number, got a tensor of %d"):format(what, value:numel()))
  end
  crun.fail(where, ("%s must be a number or a tensor of one, got %s"):format(what,
    options.say(value)))
end

--- The step that is being done, counted over all epochs from 1; after the last step of an epoch,
-- that step.
function Run:step() return self.place.step + (self.in_step and 1 or 0) end

--- Writes numbers (or tensors of one) by name to metrics.jsonl and the event file, at the present
-- step. prefix is put before each name. NaN or Inf in a value whose name has "loss" in it stops the
-- run.
function Run:log(values, prefix)
  if type(values) ~= "table" or options.kind(values) ~= "table" then
    crun.fail("run:log", "expected a table like { ['train/loss'] = loss }, got " ..
      options.say(values))
  end
  local numbers = {}
  for key, value in pairs(values) do
    if type(key) ~= "string" then
      crun.fail("run:log", "names are texts, got " .. options.say(key))
    end
    local name = (prefix or "") .. key
    trials.check_name("run:log", name)
    numbers[name] = self:number("run:log", name, value)
    if name:find("loss", 1, true) then self:check_loss(numbers[name], name) end
  end
  if not self.in_epoch and not self.in_epochs and
      not self.bar then self.place.step = self.place.step + 1 end

  local names, step = options.sorted_keys(numbers), self:step()
  self.health = self.health or require("crun.health").watch(self)
  local line = { ('{"step":%d,"epoch":%d,"time":%.3f'):format(step,
    self.place.epoch + (self.in_epoch and 1 or 0), cio.time()) }
  for _, name in ipairs(names) do
    line[#line + 1] = cio.json_encode(name) .. ":" .. cio.json_encode(numbers[name])
    self.values[name] = numbers[name]
  end
  local text = table.concat(line, ",") .. "}\n"
  self:writing("metrics.jsonl", cio.append_file, self.path .. "/metrics.jsonl", text)
  self.metrics_bytes = self.metrics_bytes + #text
  for _, name in ipairs(names) do
    self:writing("the event file", self.events.scalar, self.events, name, numbers[name], step)
  end
  self.health:log(numbers, step)
  if self.bar and self.in_epoch then self.bar:note(numbers) end
  self:poll()
  return self
end

--- Histograms of tensors by name, for TensorBoard alone: { ["weights/head"] = head.weight }, at the
-- present step. NaN and infinities are left out.
function Run:histogram(values, prefix)
  if type(values) ~= "table" or options.kind(values) ~= "table" then
    crun.fail("run:histogram", "expected a table like { weights = tensor }, got " ..
      options.say(values))
  end
  for _, key in ipairs(options.sorted_keys(values)) do
    local name = (prefix or "") .. key
    trials.check_name("run:histogram", name)
    options.check_value("run:histogram", name, values[key], "tensor")
    self:writing("the event file", self.events.histogram, self.events, name, values[key],
      self:step())
  end
  return self
end

--- What was logged under some names, from metrics.jsonl (so of a resumed run the whole): name ->
-- { step = { ... }, value = { ... } }, empty lists where nothing was.
function Run:history(names)
  local history = {}
  for _, name in ipairs(names) do history[name] = { step = {}, value = {} } end
  local path = self.path .. "/metrics.jsonl"
  for line in (cio.exists(path) and cio.read_file(path) or ""):gmatch("[^\n]+") do
    local record = cio.json_decode(line)
    for name, h in pairs(history) do
      local value = record[name]
      if value ~= nil then
        h.step[#h.step + 1] = record.step
        h.value[#h.value + 1] = tonumber(value) or value == "Infinity" and math.huge or
          value == "-Infinity" and -math.huge or 0 / 0
      end
    end
  end
  return history
end

-- ---- results ------------------------------------------------------------------------------------

-- The most memory that tensors took, in MB, over all sessions of the run.
function Run:peak()
  self.peak_mb = math.max(self.peak_mb, math.floor(crun.memory().peak / 104857.6 + 0.5) / 10)
  return self.peak_mb
end

-- What summary.json holds: the last value of all that was logged, the best, and the script's own
-- results, which win.
function Run:write_summary()
  local all = { epochs = self.place.epoch, steps = self.place.step,
    seconds = math.floor((self.seconds + cio.monotonic() - self.clock) * 1000 + 0.5) / 1000 }
  all.peak_mb = self:peak()
  if self.images > 0 and self.step_seconds > 0 then
    all["train/images_per_second"] = math.floor(self.images / self.step_seconds + 0.5)
  end
  for name, value in pairs(self.values) do all[name] = value end
  if self.best then all["best/value"], all["best/epoch"] = self.best.value, self.best.epoch end
  for name, value in pairs(self.summary_values) do all[name] = value end
  for name, value in pairs(self.own_values) do all[name] = value end
  self:writing("summary.json", cio.write_file, self.path .. "/summary.json", cio.json_encode(all) ..
    "\n")
end

--- Adds results (numbers, tensors of one, texts) by name to summary.json, e.g. { ["test/map@r"] =
-- 0.91 }.
function Run:summary(values)
  if type(values) ~= "table" then
    crun.fail("run:summary", "expected a table, got " .. options.say(values))
  end
  for name, value in pairs(values) do
    if type(name) ~= "string" then
      crun.fail("run:summary", "names are texts, got " .. options.say(name))
    end
    trials.check_name("run:summary", name)
    if type(value) ~= "string" and type(value) ~= "boolean" then
      value = self:number("run:summary", name, value)
    end
    self.own_values[name] = value
  end
  self:write_summary()
  self:poll()
  return self
end

--- Looks at test data: `run:test(function() ... end)` calls the function and returns what it
-- returns. In a sweep that is still being tuned it does not, and returns nothing: test people must
-- not choose the settings. Looks are counted in run.json (test_looks); one that a resumed run
-- repeats is the same look.
function Run:test(f)
  options.check_value("run:test", "what looks at test data", f, "callable")
  if trials.locked() then return end
  self.looks = self.looks + 1
  if self.looks > (self.record.test_looks or 0) then
    self.record.test_looks = self.looks
    self:writing("run.json", self.write_record, self)
  end
  return f()
end

--- Keeps what a report shows of embeddings: { embeddings =, labels =, images = }; see
-- crun.evidence.
function Run:embeddings(name, set)
  require("crun.evidence").write(self, name, set)
  return self
end

--- The path pictures/NAME.png in the run folder, to write a picture to. With a second argument the
-- picture is put there: a uint8 tensor, or the path of a PNG to copy; it shows in TensorBoard too.
function Run:picture(name, picture)
  options.check_value("run:picture", "the name", name, "string")
  local path = ("%s/pictures/%s.png"):format(self.path, (name:gsub("%.png$", "")))
  self:writing("the picture " .. path, cio.mkdir, provenance.folder_of(path))
  if picture ~= nil then
    if crun.is_tensor(picture) then
      self:writing(path, cio.write_png, path, picture)
    else
      options.check_value("run:picture", "the picture", picture,
        { "string", words = "a uint8 tensor or the path of a PNG" })
      if picture ~= path then self:writing(path, cio.write_file, path, cio.read_file(picture)) end
    end
  end
  self:poll()
  return path
end

-- TensorBoard shows what lies in pictures/.
function Run:send_pictures()
  local folder = self.path .. "/pictures"
  if not cio.is_dir(folder) then return end
  for _, file in ipairs((cio.list(folder))) do
    local ok, picture = pcall(cio.read_image, folder .. "/" .. file)
    if ok then
      self:writing("the event file", self.events.image, self.events, (file:gsub("%.png$", "")),
        picture, self:step())
    end
  end
end

--- The last line of a script: the run is done, its last results are written.
function Run:finish()
  self:poll()
  if self.bar then self.bar:clear() end
  self:write_summary()
  self:send_pictures()
  self:copy_sources()
  self.ended = true
  self.record.state = "done"
  local ok, message = self:mark("done", 0)
  if not ok then self:disk_failed("run.json", message) end
  if self.events.close then self.events:close() end
  crun.catch_signals(false)
  return self
end

return M
