--- crun sweep: settings against each other, tuned alike, tested with fresh seeds
--
-- usage: crun sweep PLAN.yaml [KEY=VALUE ...]               run a plan, or go on with it
--        crun sweep SCRIPT.lua -p lr=1e-2,1e-3 [-p ...]     every combination, without a file
--        crun sweep status|stop|resume|retry SWEEP          SWEEP: a folder, its name or how it begins
--
-- KEY=VALUE   a setting of every trial, over those of `fixed`
-- --dry-run   check the plan and the script's settings, list the trials, estimate the time, end
-- --name NAME the folder's name in --out (runs/); default: the plan's
-- --jobs N    trials at a time (as many as there are cores);  --threads T  threads of each (1)
-- --memory SIZE, --max-time TIME   of one trial; what passes it has failed
-- --extend    take a plan that has more variants, seeds, folds or trials than when the sweep began
-- --metric NAME, --seeds 1,2,3     with -p: what is compared (val/map@r), which seeds (1)
--
-- exit codes: 0 done, 3 a bad plan, 7 done and some trials failed, 74 the disk refused, 75 stopped
-- then: crun compare SWEEP, crun report SWEEP
--
-- The plan (lua/crun/sweep/plan.lua has every key; experiments/sweeps/losses_faces.yaml is one):
--
--   script: experiments/losses_faces.lua
--   metric: {name: val/map@r, goal: max}           # what selects; from validation data
--   fixed: {epochs: 20, batch: {people: 8}}        # settings of every trial
--   shared:                                        # searched for every variant, in the same space
--     lr: {log_uniform: [1e-4, 1e-2]}              # also uniform, int: [1, 9], choice: [a, b]
--   variants:                                      # what is compared, each with options of its own
--     triplet: {loss: triplet, loss.margin: {choice: [0.1, 0.2]}}
--     arcface: {loss: arcface, loss.scale: 32}
--   tune: {trials_per_variant: 12, method: random, seed: 1, prune: {method: asha, min: 3, factor: 3}}
--   final: {seeds: [11, 12, 13], report: [test/map@r]}
--   launcher: {jobs: 2, threads: 1, memory: 2G, max_time: 1h, retries: 1}
local crun = require "crun"
local cli = require "crun.cli"
local config = require "crun.config"
local plans = require "crun.sweep.plan"
local sweeps = require "crun.sweep"
local trials = require "crun.sweep.trial"
local ui = require "crun.ui"
local cio = crun.io

local function integer(given, key)
  if given[key] == nil then return end
  local n = math.tointeger(tonumber(given[key]))
  if not n or n < 1 then
    cli.refuse("sweep: --%s takes a whole number from 1, got '%s'", key, given[key])
  end
  return n
end

local function find(command, word)
  if not word then cli.refuse("sweep %s needs a sweep: a folder or its name", command) end
  local sweep, why = sweeps.find((word:gsub("/+$", "")))
  if not sweep then cli.refuse("sweep %s: %s", command, why) end
  return sweep
end

-- ---- --dry-run ----------------------------------------------------------------------------------

local function settings_text(trial, plan)
  if not trial.settings then
    return trial.phase == "final" and "what tuning selects" or "asked of the model"
  end
  local parts = {}
  for _, entry in ipairs(plan.by_name[trial.variant].entries) do
    parts[#parts + 1] = entry.name .. "=" .. config.value_text(trial.settings[entry.name])
  end
  return table.concat(parts, " ")
end

-- Seconds of one run: one epoch of the first trial is timed, in a folder that is thrown away. nil:
-- it cannot be told.
local function time_one(plan, trial)
  local worker = require "crun.sweep.worker"
  local folder = cio.tmpdir()
  local _ <close> = setmetatable({}, { __close = function() cio.remove_tree(folder) end })
  local first = { trial = 1, variant = trial.variant, phase = "tune", seed = trial.seed,
    fold = trial.fold,
    settings = trial.settings, run = trials.folder(1, trial.variant) }
  first.settings = first.settings or plan:corners(plan.by_name[trial.variant])[1]
  cio.write_file(folder .. "/plan.jsonl", cio.json_encode(first) .. "\n")
  local sweep = { path = folder, record = { script = plan.script, precision = crun.precision } }
  local began = cio.monotonic()
  local pid, ended = worker.start(sweep, plan, first, 1, { threads = plan.launcher.threads }), nil
  repeat
    crun.process.sleep(0.02)
    ended = crun.process.poll(pid)
    if cio.monotonic() - began > 120 then crun.process.kill(pid, "KILL") end
  until ended ~= nil
  local run = require("crun.runs").open(folder .. "/" .. first.run)
  local summary = run and require("crun.runs").summary(run) or {}
  local seconds = cio.monotonic() - began
  if ended.code == 0 then return seconds end              -- no epochs: it ran to its end
  if ended.code ~= 75 or not (run and run.record.epochs) then return nil end
  local epoch = summary.seconds or seconds
  return seconds - epoch + epoch * run.record.epochs
end

local function dry_run(plan, given)
  sweeps.check(plan)
  local lines = plan:expand()
  local sweep = sweeps.find(("%s/%s"):format(require("crun.runs").out(), given.name or plan.name))
  local rows, done, seconds, timed = {}, 0, 0, 0
  for i, trial in ipairs(lines) do
    local known = sweep and sweep.trials[i]
    local state = known and known.state or "to do"
    if known and require("crun.sweep.store").over[state] then
      done = done + 1
      local summary = require("crun.runs").summary { path = ("%s/%s"):format(sweep.path,
        known.run) }
      if state == "done" and summary.seconds then
        seconds, timed = seconds + summary.seconds, timed + 1
      end
    end
    rows[i] = { ("%d"):format(trial.trial), trial.variant, trial.phase, ("%d"):format(trial.seed),
      trial.fold and ("%d"):format(trial.fold) or "-", state, settings_text(known and
        known.settings and known or trial, plan) }
  end
  print(ui.table { columns = { "trial", "variant", "phase", "seed", "fold", "state", "settings" },
    rows = rows })
  local one
  if timed > 0 then one = seconds / timed else one = time_one(plan, lines[1]) end
  local coordinator = require "crun.sweep.coordinator"
  local threads = integer(given, "threads") or plan.launcher.threads or 1
  local jobs = math.min(integer(given, "jobs") or plan.launcher.jobs or math.huge, math.max(1,
    coordinator.cores() // threads))
  print(("\n%d runs: %d variants%s%s; %d done"):format(#lines, #plan.variants,
    plan.tune and (" x %d tuning trials"):format(plan.tune.trials) or "",
    plan.final and (" + %d variants x %d seeds x %d folds"):format(#plan.variants,
      #plan.final.seeds, plan.final.folds) or "",
    done))
  if not one then
    return print("how long it takes cannot be told: the first epoch of the first trial did not end")
  end
  print(("about %s: %.0f s a run, %d at a time%s"):format(ui.duration(one * (#lines - done) / jobs),
    one, jobs,
    plan.tune and plan.tune.prune and ", less what is pruned" or ""))
end

-- ---- commands about a sweep ---------------------------------------------------------------------

local function status(sweep)
  local plan, view = sweeps.plan_of(sweep), require "crun.sweep.view"
  local held = crun.process.lock(sweep.path .. "/lock")
  if held then held:release() end
  local n, state = sweep:count(), sweep.record.state
  if held and (state == "tuning" or state == "final") then
    state = state .. ", and nobody runs it"
  end
  print(("%s  %s, %d of %d runs"):format(ui.bold(sweep.path), state, n.all - n.left, n.all))
  local columns, rows = view.table(sweep, plan)
  print(table.concat(view.aligned(columns, rows, math.huge), "\n"))
  for _, trial in ipairs(sweep.trials) do
    if trial.state == "failed" or trial.state == "diverged" then
      print(("trial %d (%s, %s) %s: %s"):format(trial.trial, trial.variant, trial.phase,
        trial.state, trial.reason or "?"))
    end
  end
  if held and n.left > 0 then print("go on with: crun sweep resume " .. sweep.path) end
  if n.failed > 0 then print("try the failed ones again: crun sweep retry " .. sweep.path) end
end

local function stop(sweep)
  local lock, holder = crun.process.lock(sweep.path .. "/lock")
  if lock then cli.refuse("sweep stop: nobody runs %s", sweep.path) end
  local pid, host = holder:match("^process (%d+) on (%S+),")
  if host ~= cio.hostname() then
    cli.refuse("sweep stop: %s is run on %s; stop it there", sweep.path, host or "another machine")
  end
  crun.process.kill(math.tointeger(tonumber(pid)), "TERM")
  io.stderr:write(("told process %s to stop; its trials write their checkpoints\n"):format(pid))
end

local function failed_trials(sweep)
  local list = {}
  for _, trial in ipairs(sweep.trials) do
    if trial.state == "failed" then
      if trial.phase == "tune" and (sweep.record.selected or {})[trial.variant] then
        cli.refuse("sweep retry: tuning trial %d failed, and %s was selected without it; a new sweep is fairer",
          trial.trial, trial.variant)
      end
      list[#list + 1] = trial.trial
    end
  end
  if #list == 0 then cli.refuse("sweep retry: no trial of %s failed", sweep.path) end
  return list
end

local function finish(code, sweep)
  local n = sweep:count()
  local path = sweep.path
  if sweep.record.state == "done" then
    print(("%s: %d runs done%s%s%s"):format(path, n.done, n.pruned > 0 and
      (", %d pruned"):format(n.pruned) or "",
      n.diverged > 0 and (", %d diverged"):format(n.diverged) or "", n.failed > 0 and
        (", %d failed"):format(n.failed) or ""))
    print(("next: crun compare %s    crun report %s%s"):format(path, path,
      n.failed > 0 and ("    crun sweep retry %s"):format(path) or ""))
  end
  if code ~= 0 then crun.exit(code) end
end

-- A sweep is gone on with where it was begun: relative paths in its settings mean that place.
local function go_on(sweep, opts)
  local plan = sweeps.plan_of(sweep)
  crun.options.out = sweep.path:match("^(.*)/[^/]+$") or "."
  opts.name = sweep.path:match("([^/]+)$")
  finish(sweeps.run(plan, opts))
end

local COMMANDS <const> = { status = true, stop = true, resume = true, retry = true }

-- -p KEY=A,B may stand several times, so it is taken out before the rest is read
local function take_points(args)
  local points, left, i = {}, {}, 1
  while i <= #args do
    local arg = args[i]
    if arg == "-p" then
      i = i + 1
      points[#points + 1] = args[i] or cli.refuse("sweep: -p needs KEY=VALUE,VALUE,...")
    elseif arg:find("^%-p.+=") then points[#points + 1] = arg:sub(3)
    else left[#left + 1] = arg end
    i = i + 1
  end
  return points, left
end

return function(args)
  local points, rest = take_points(args)
  local left, given = cli.parse("sweep", rest, { jobs = true, threads = true, memory = true,
    ["max-time"] = true, name = true, out = true, metric = true, seeds = true, progress = true,
    extend = false, ["dry-run"] = false, help = false })
  local word = table.remove(left, 1)
  if given.help or not word then return print((require("crun.help").text("sweep"))) end
  if given.progress then crun.options.progress = given.progress end
  local opts = { name = given.name or crun.options.name, jobs = integer(given, "jobs"),
    threads = integer(given, "threads"),
    memory = given.memory or crun.options.memory, extend = given.extend }
  local max_time = given["max-time"] or crun.options.max_time
  opts.max_time = max_time and (plans.seconds(max_time) or
    cli.refuse("sweep: --max-time takes a time such as 90s, 5m or 2h, got '%s'", max_time))

  if COMMANDS[word] then
    local sweep = find(word, left[1])
    if left[2] then
      cli.refuse("sweep %s: the settings are those of the sweep; '%s' cannot be changed", word, left[2])
    end
    if word == "status" then return status(sweep) end
    if word == "stop" then return stop(sweep) end
    if word == "retry" then opts.again = failed_trials(sweep) end
    return go_on(sweep, opts)
  end

  local plan
  if #points > 0 then
    plan = plans.parse(require("crun.sweep.grid").text(word, points, { name = opts.name,
      metric = given.metric, seeds = given.seeds }),
      "-p", left)
  else
    if word:find("%.lua$") then
      cli.refuse("sweep: a script needs -p KEY=VALUE,VALUE,... to know what to try")
    end
    if not cio.is_file(word) then cli.refuse("sweep: there is no plan '%s'; `crun sweep --help`", word) end
    plan = sweeps.plan(word, left)
  end
  if given["dry-run"] or crun.options.dry_run then return dry_run(plan, opts) end
  finish(sweeps.run(plan, opts))
end
