--- A sweep folder with all that a report shows, of made-up numbers: a fixture, no result.
--
--     crun tests/scripts/report_fixture.lua FOLDER [VARIANTS [SEEDS]]
--     require("scripts.report_fixture").make(folder, { variants = 10, seeds = 3 })
--
-- Two of the names try to become markup.
local crun = require "crun"
local evidence = require "crun.evidence"
local cio = crun.io

local M = {}

M.names = { "supcon", "triplet-semihard", "multi-similarity", "</script><script>alert(1)</script>",
  'proxy "anchor" <b>&amp;\'', "ntxent", "arcface", "circle", "n-pairs", "contrastive" }

local function write(path, value) cio.write_file(path, cio.json_encode(value) .. "\n") end

local function lines(list)
  local out = {}
  for i, line in ipairs(list) do out[i] = cio.json_encode(line) end
  return table.concat(out, "\n") .. "\n"
end

-- embeddings that get tighter with quality
local function embeddings(seed, v, quality, labels)
  local classes, n = 20, labels:numel()
  local centres = crun.randn(crun.rng(1, "centres", v), classes, 32)
  local noise = crun.randn(crun.rng(seed, "noise", v), n, 32) * (2.6 - 2 * quality)
  return (centres:index_select(labels, 1) + noise):normalize()
end

local function log_of(seed, v, quality)
  local list, rng = {}, crun.rng(seed, "log", v)
  local jitter = crun.randn(rng, 400):totable()
  for step = 1, 120 do
    local t = step / 120
    list[#list + 1] = { step = step, epoch = (step - 1) // 20 + 1, time = 1e9 + step * 0.31,
      ["train/loss"] = (1 - quality) + math.exp(-4 * t) * (1 + 0.1 * jitter[step]),
      ["train/active"] = math.max(0, 0.9 - t * quality + 0.03 * jitter[step + 120]) }
    if step % 20 == 0 then
      list[#list + 1] = { step = step, epoch = step // 20, time = 1e9 + step * 0.31 + 0.1,
        ["val/map@r"] = quality * (1 - math.exp(-3 * t)) + 0.01 * jitter[step + 240] }
    end
  end
  return list
end

-- a run of a variant with everything in its folder
local function final_run(path, name, v, seed, quality, images, labels)
  cio.mkdir(path)
  local run = { path = path, values = {} }
  function run:writing(_, f) return f() end
  function run:summary(values) for k, x in pairs(values) do self.values[k] = x end end
  function run:histogram() end
  local numbers = evidence.write(run, "test", { embeddings = embeddings(seed, v, quality, labels),
    labels = labels, images = images })
  run:summary { ["test/map@r"] = numbers["map@r"], ["test/precision@1"] = numbers["precision@1"],
    ["test/eer"] = numbers.eer, seconds = 35.0 + 2 * v + seed, peak_mb = 110.0 + 3 * v,
    ["train/images_per_second"] = 900.0 - 20 * v, steps = 120 }
  write(path .. "/summary.json", run.values)
  write(path .. "/config.json", { settings = { loss = name, lr = 0.001 * v, seed = seed },
    origin = { _ = "" } })
  write(path .. "/run.json", { state = "done", exit_code = 0, started = 1e9, ended = 1e9 + 40.0,
    start_time = "2001-09-09T01:46:40Z", host = "here", pid = 1, crun = crun.version,
    lua = _VERSION, cpu = "a processor", threads = 1, precision = "float32", vector = "avx2",
    commit = ("0123456789"):rep(4), script = "/home/me/experiments/losses_faces.lua",
    args = { "loss=" .. name, "lr=" .. 0.001 * v, "seed=" .. seed }, sessions = {},
    warnings = v == 3 and { { kind = "active", step = 80,
        text = "train/active has been 0 for 40 steps", help = "raise the margin" } } or nil })
  cio.write_file(path .. "/metrics.jsonl", lines(log_of(seed, v, quality)))
end

--- Makes the folder; opts: variants (10), seeds (3). Returns its path.
function M.make(path, opts)
  local o = { variants = opts and opts.variants or 10, seeds = opts and opts.seeds or 3 }
  local images = crun.data.faces { identities = 20, per_identity = 10, first = 1, size = 48 }
  local labels = (crun.arange(0, 199) / 10 + 1):int()
  cio.mkdir(path)
  local plan, trials, selected, budget = {}, {}, {}, {}
  local function trial(line, state)
    line.trial = #plan + 1
    state.trial, state.t = line.trial, 1e9 + line.trial
    plan[#plan + 1], trials[#trials + 1] = line, state
  end
  for v = 1, o.variants do
    local name, jitter = M.names[v], crun.randn(crun.rng(9, "tune", v), 6):totable()
    local best
    for i = 1, 6 do
      local lr, margin = 1e-4 * 10 ^ ((i * 7 % 6) / 2.5), 0.1 + 0.1 * ((i * 5) % 6)
      local score = 0.8 - 0.03 * v - 0.08 * (math.log(lr / 1e-3, 10)) ^ 2 + 0.02 * jitter[i]
      local state = v == 5 and i == 2 and "diverged" or i == 4 and v % 2 == 0 and "pruned" or "done"
      local settings = { loss = name, lr = lr, ["loss.margin"] = margin,
        mine = i % 2 == 0 and "hard" or "all", seed = 7 }
      trial({ variant = name, phase = "tune", seed = 7, fold = cio.json_null, settings = settings },
        { state = state, settings = settings, score = state ~= "diverged" and score or nil,
          reason = state == "diverged" and "train/loss is NaN at step 31" or nil })
      if state == "done" and (not best or score > best.score) then
        best = { trial = #plan, score = score, settings = settings,
          edges = cio.json_array(v == 2 and { "lr" } or {}) }
      end
    end
    selected[name], budget[name] = best, 6
  end
  for v = 1, o.variants do
    for s = 1, o.seeds do
      local seed = 10 + s
      local quality = 0.86 - 0.035 * v + 0.012 * ((s * 7 + v * 3) % 5 - 2)
      local folder = ("t%04d-v%d"):format(#plan + 1, v)
      trial({ variant = M.names[v], phase = "final", seed = seed, fold = cio.json_null,
        settings = cio.json_null }, { state = "done", run = folder })
      final_run(path .. "/" .. folder, M.names[v], v, seed, quality, images, labels)
    end
  end
  cio.write_file(path .. "/plan.jsonl", lines(plan))
  cio.write_file(path .. "/trials.jsonl", lines(trials))
  cio.write_file(path .. "/plan.yaml", "name: hostile </pre><script>alert(2)</script>\n" ..
    "script: experiments/losses_faces.lua\n")
  write(path .. "/sweep.json", { name = "faces <i>& more</i>", script = "losses_faces.lua",
    plan_sha256 = ("ab"):rep(32), metric = { name = "val/map@r", goal = "max" }, state = "done",
    budget = budget, selected = selected, test_looks = o.variants * o.seeds, unfair = false,
    final = { seeds = cio.json_array { 11, 12, 13 }, folds = 1,
      report = cio.json_array { "test/map@r", "test/precision@1", "test/eer" } } })
  return path
end

if arg and arg[0] and arg[0]:find "report_fixture%.lua$" then
  print(M.make(arg[1] or error("a folder is needed", 0),
    { variants = tonumber(arg[2]), seeds = tonumber(arg[3]) }))
end

return M
