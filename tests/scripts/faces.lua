-- Learns to tell a few drawn faces apart: everything of the library that has a state, in one small
-- run.
local crun = require "crun"
local nn, optim, sampler, schedule = crun.nn, crun.optim, crun.sampler, crun.schedule

local cfg = crun.config {
  people = 12, images = 6, size = 16, emb = 8,
  epochs = 3, p = 4, k = 3, lr = 3e-3, seed = 1,
  optim = { "Adam", choices = { "Adam", "SGD", "AdamW" } },
  augment = { flip = 0.5, shift = 0.05, rotation = 5.0 },
  stop_at = 0,
}

local run = crun.start(cfg)
local images, labels = crun.data.faces { identities = cfg.people, per_identity = cfg.images,
  size = cfg.size, seed = cfg.seed }
nn.seed(cfg.seed)
local net = nn.Sequential {
  nn.Conv2d(1, 8, 3, { padding = 1 }), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
    nn.Dropout(0.1),
  nn.Flatten(), nn.Linear(8 * (cfg.size // 2) ^ 2 | 0, cfg.emb), nn.Normalize(),
}
local criterion = crun.losses.triplet { margin = 0.2 }
local opt = optim[cfg.optim](net, { lr = cfg.lr })
local batches = sampler.pk { labels = labels, p = cfg.p, k = cfg.k, seed = cfg.seed }
local rate = schedule.cosine { base = cfg.lr, steps = cfg.epochs * #batches }
run:checkpoint { net = net, opt = opt, batches = batches }

for epoch in run:epochs(cfg.epochs) do
  for rows in run:steps(batches) do
    opt.lr = rate(run:step() - 1)
    local x = crun.data.augment(images, rows,
      { seed = cfg.seed, epoch = epoch, flip = cfg.augment.flip,
      shift = cfg.augment.shift, rotation = cfg.augment.rotation })
    local loss = criterion(net(x), labels:index_select(rows, 1))
    run:check_loss(loss)
    opt:zero_grad()
    loss:backward()
    opt:step()
    run:log { ["train/loss"] = loss, ["train/active"] = criterion.stats.active, lr = opt.lr }
    if run:step() == cfg.stop_at and not run.resumed then
      io.popen("kill -TERM " .. crun.io.getpid()):close()
    end
  end
  net:eval()
  local z
  do
    local _ <close> = crun.no_grad()
    z = net(crun.data.augment(images))
  end
  net:train()
  run:log({ spread = z:square():mean(1):sum() }, "val/")
  run:save_best(z:square():mean(1):sum())
end
run:finish()
