-- A small regression with noise on its inputs, and ways to end badly at a chosen step.
local crun = require "crun"
local sampler = crun.sampler

local cfg = crun.config {
  epochs = { 3, min = 0, help = "passes over the data" },
  batch  = { 8, min = 1 },
  lr     = 0.05,
  seed   = 1,
  source = { "sampler", choices = { "sampler", "through", "loop", "count" },
    help = "what run:steps is given" },
  signal_at = 0, signal = "INT", twice = false,
  nan_at = 0, error_at = 0, full_at = 0, full_after = 1, coroutine = false, kill_at = 0,
    weight_nan_at = 0,
  loops = 1, break_after = 0, finish = true,
}

local function signal(name) io.popen(("kill -%s %d"):format(name, crun.io.getpid())):close() end

local run = crun.start(cfg)
local N, D = 40, 6
local x = crun.randn(crun.rng(cfg.seed, "x"), N, D)
local y = crun.randn(crun.rng(cfg.seed, "y"), N, 1)
local w = (crun.randn(crun.rng(cfg.seed, "w"), D, 1) * 0.1):requires_grad_(true)
local speed = crun.zeros(D, 1)
local batches = sampler.shuffled { n = N, batch = cfg.batch, seed = cfg.seed }

local objects = { w = w, speed = speed,
  scale = { state = function() return { best = math.huge, steps = { 1, 2.0, "x" } } end,
  load = function(_, s) assert(s.best == math.huge and s.steps[3] == "x" and
    math.type(s.steps[2]) == "float") end } }
if cfg.source == "through" then objects.batches = batches end
run:checkpoint(objects)

local function source(epoch)
  if cfg.source == "sampler" then return batches end
  if cfg.source == "through" then
    return function()
      local rows = batches()
      if rows then return rows, "more" end
    end
  end
  if cfg.source == "loop" then
    local fresh = sampler.shuffled { n = N, batch = cfg.batch, seed = cfg.seed, epoch = epoch }
    return function() return (fresh()) end
  end
  return 5
end

local function step(rows)
  local at = run:step()
  if cfg.source == "count" then rows = crun.randperm(crun.rng(cfg.seed, "rows", at), N):narrow(1, 1,
      cfg.batch) end
  local noise = crun.randn(crun.rng(cfg.seed, "noise", at), cfg.batch, D) * 0.1
  if at == cfg.error_at and not run.resumed then error("a mistake of the script") end
  local out = (x:index_select(rows, 1) + noise):matmul(w)
  local off = out - y:index_select(rows, 1)
  local loss = (off * off):mean()
  if at == cfg.nan_at and not run.resumed then loss = loss * (0 / 0) end
  if at == cfg.full_at and not run.resumed then crun.io.fail_at(cfg.full_after, true) end
  run:check_loss(loss)
  w:zero_grad_()
  loss:backward()
  local _ <close> = crun.no_grad()
  speed:mul_(0.9):add_(w:grad())
  w:add_(speed, -cfg.lr)
  if at == cfg.weight_nan_at then w:fill_(0 / 0) end
  if at == cfg.signal_at then
    signal(cfg.signal)
    if cfg.twice then signal(cfg.signal) end
  end
  if at == cfg.kill_at and not run.resumed then signal("KILL") end
  run:log { ["train/loss"] = loss, ["train/active"] = 0.5 }
end

for epoch in run:epochs(cfg.epochs) do
  for _ = 1, cfg.loops do
    for rows in run:steps(source(epoch)) do
      if cfg.coroutine then coroutine.wrap(step)(rows) else step(rows) end
    end
  end
  local off = x:matmul(w:detach()) - y
  local score = -(off * off):mean():item()
  run:log({ score = score }, "val/")
  run:save_best(score)
  if epoch == cfg.break_after then break end
end

run:restore "best"
if cfg.signal_at < 0 and not run.resumed then signal(cfg.signal) end
run:summary { ["test/score"] = w:detach():sum() }
if cfg.finish then run:finish() end
print(("%s %s"):format(run.path, run.resumed and "resumed" or "new"))
