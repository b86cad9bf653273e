-- A small training whose batches come from a loader, and a stop at a chosen step.
local crun = require "crun"

local cfg = crun.config { signal_at = 0, workers = 1, ahead = 2, keep = "loader", seed = 1 }
local images, labels = crun.data.faces { identities = 8, per_identity = 4, size = 16 }
local run = crun.start(cfg)
local batches = crun.sampler.pk { labels = labels, p = 4, k = 2, seed = cfg.seed, batches = 5 }
local loader <close> = crun.loader { images = images, sampler = batches, workers = cfg.workers, ahead = cfg.ahead,
  augment = { flip = 0.5, shift = 0.1, seed = cfg.seed } }
local w = (crun.randn(crun.rng(cfg.seed, "w"), 256, 8) * 0.1):requires_grad_(true)
local criterion = crun.losses.triplet {}
run:checkpoint { w = w, batches = cfg.keep == "loader" and loader or cfg.keep == "sampler" and batches or nil }

for _ in run:epochs(3) do
  for x, rows in run:steps(loader) do
    local loss = criterion(x:reshape(#rows, -1):matmul(w), labels:index_select(rows, 1))
    w:zero_grad_()
    loss:backward()
    local _ <close> = crun.no_grad()
    w:add_(w:grad(), -0.05)
    run:log { loss = loss }
    if run:step() == cfg.signal_at and not run.resumed then
      io.popen(("kill -INT %d"):format(crun.io.getpid())):close()
    end
  end
end
run:finish()
