-- A trial that costs nothing: a number walks towards the best setting. For tests of sweeps.
local crun = require "crun"
local cfg = crun.config {
  loss = { name = { "near", choices = { "near", "far" } }, margin = 0.2 }, lr = 0.01, epochs = 4, steps = 3,
  fold = 1, folds = 1, seed = 1, sleep = 0.0, fail = { "no", choices = { "no", "error", "nan", "test", "memory", "metric" } },
  fail_at = { "", help = "fails only where this file is not" },
}
local run = crun.start(cfg)
local state = crun.zeros(1)
run:checkpoint { state = state }
local function fails(how)
  return cfg.fail == how and (cfg.fail_at == "" or not crun.io.exists(cfg.fail_at))
end
if fails "error" then error("this trial fails") end
for epoch in run:epochs(cfg.epochs) do
  for _ in run:steps(cfg.steps) do
    local rng = crun.rng(cfg.seed, "noise", run:step())
    local pull = cfg.loss.name == "near" and 0.3 or 0.1
    state:add_((1 - state:item() - (cfg.loss.margin - 0.5) ^ 2) * pull + 0.01 * crun.randn(rng, 1):item())
    run:log { ["train/loss"] = fails "nan" and 0 / 0 or 1 - state:item() }
    if cfg.sleep > 0 then crun.process.sleep(cfg.sleep) end
  end
  if fails "memory" then local t = {} for i = 1, 200 do t[i] = crun.zeros(1000, 1000) end end
  if cfg.fail ~= "metric" then run:log({ score = state:item() - 0.001 * epoch + 0.01 * cfg.fold }, "val/") end
  run:save_best(state:item())
end
run:restore "best"
if fails "test" then run:summary { ["test/score"] = state:item() } end
run:test(function() run:summary { ["test/score"] = state:item() + 0.01 * cfg.fold } end)
run:finish()
