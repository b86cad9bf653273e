--- sweep.lua - fair comparisons: a plan, its trials, its folder
--
--     local plan  = crun.sweep.plan("experiments/sweeps/losses_faces.yaml", { "data=faces" })
--     local code  = crun.sweep.run(plan, { jobs = 2 })          -- as `crun sweep PLAN.yaml data=faces` does
--     local sweep = crun.sweep.find "losses_faces"              -- { path, name, record, trials }
--
-- The protocol is that of Musgrave, Belongie, Lim, "A metric learning reality check", ECCV 2020:
-- every variant gets the same number of tuning trials, a score on validation classes selects, and
-- the selected setting is trained again with fresh seeds before anything looks at the test classes.
-- Different from the paper: folds of classes are shuffled, and the learning rate and whatever else
-- is `shared` is searched for each variant, not fixed for all.
--
-- What lies in the folder: sweep/store.lua. How trials are run: sweep/coordinator.lua. Pruning:
-- sweep/tuning.lua.
--
-- @module crun.sweep
local crun = require "crun"
local plans = require "crun.sweep.plan"
local store = require "crun.sweep.store"
local cio = crun.io

local M = {}

--- A plan from a YAML file; words: KEY=VALUE settings of every trial. Messages name file, line and
-- column.
M.plan = plans.read
M.find, M.list, M.open = store.find, store.list, store.open

-- The lock of a sweep, or an error that names its holder.
local function take_lock(path)
  local ok, message = pcall(cio.mkdir, path)
  if not ok then crun.fail("sweep", ("the folder was not made: %s"):format(store.bare(message)),
     store.EXIT_DISK) end
  local text = ("process %d on %s, since %s"):format(cio.getpid(), cio.hostname(),
    os.date("!%Y-%m-%dT%H:%M:%SZ"))
  local fine, lock, holder = pcall(crun.process.lock, path .. "/lock", text)
  if not fine then crun.fail("sweep", store.bare(lock), store.EXIT_DISK) end
  if not lock then
    crun.fail("sweep", ("%s is being run by %s; `crun sweep status %s` shows how far it is"):format(path, holder,
      path), store.EXIT_USAGE)
  end
  return lock
end

--- What is wrong with the settings of a plan in the eyes of its script: raises. Each variant is
-- asked about, at the corners of its space.
function M.check(plan, record)
  local worker = require "crun.sweep.worker"
  for _, variant in ipairs(plan.variants) do
    for _, settings in ipairs(plan:corners(variant)) do
      local message = worker.check(plan, record or { precision = crun.precision }, settings,
        plan.folds and 1)
      if message then
        local place = plan:place_of(variant, message)
        crun.fail("sweep", ("%s: variant %s: %s"):format(place or plan.source, variant.name,
          message), store.EXIT_PLAN)
      end
    end
  end
end

local function refuse_changes(sweep, plan)
  local record = sweep.record
  if record.plan_sha256 ~= plan.sha256 then
    local words = table.concat(record.words or {}, " ")
    local other = words ~= table.concat(plan.words, " ")
    crun.fail("sweep", ("%s was begun with another plan%s; --extend takes what was added to it, --name begins a new sweep")
      :format(sweep.path, other and (" (with %s)"):format(words ~= "" and words or
        "no KEY=VALUE") or ""), store.EXIT_PLAN)
  end
end

local function refuse_other_script(sweep, plan)
  if cio.sha256_file(plan.script) ~= sweep.record.script_sha256 then
    crun.fail("sweep", ("%s is not what it was when %s began, so its trials would not compare; put it back, or take it with --extend (the sweep then counts as unfair)")
      :format(plan.script, sweep.path), store.EXIT_PLAN)
  end
end

--- Runs a plan, or goes on with it. opts: name, jobs, threads, memory, max_time (seconds), extend.
-- Returns the exit code and the sweep.
function M.run(plan, opts)
  opts = opts or {}
  local path = ("%s/%s"):format(require("crun.runs").out(), opts.name or plan.name)
  local lock <close> = take_lock(path)
  local sweep
  if cio.is_file(path .. "/sweep.json") then
    local why
    sweep, why = store.open(path)
    if not sweep then crun.fail("sweep", why, store.EXIT_PLAN) end
    if sweep.record.precision ~= crun.precision then
      crun.fail("sweep", ("%s computes in %s, this process in %s; %s"):format(path,
        sweep.record.precision, crun.precision,
        sweep.record.precision == "float64" and "crun --double sweep ..." or "leave out --double"),
        store.EXIT_USAGE)
    end
    if opts.extend then sweep:extend(plan) else
      refuse_changes(sweep, plan)
      refuse_other_script(sweep, plan)
    end
  else
    M.check(plan)
    sweep = store.create(path, plan)
  end
  for _, trial in ipairs(opts.again or {}) do
    local one = sweep.trials[trial]
    sweep:change(one, "queued", { attempt = 1 })
  end
  local code = require("crun.sweep.coordinator").new(sweep, plan, opts):run()
  lock:release()
  return code, sweep
end

--- The plan of a sweep that was begun, from its own copy.
function M.plan_of(sweep)
  local record = sweep.record
  local script = record.script:sub(1, 1) == "/" and record.script or record.folder .. "/" ..
    record.script
  return plans.parse(cio.read_file(sweep.path .. "/plan.yaml"), sweep.path .. "/plan.yaml",
    record.words, script)
end

return M
