-- One-shot classification of characters of alphabets never seen: 20 tasks of 20 characters each, one example of each.
-- On generated alphabets, or on Omniglot (images_background_small1.zip to train on, all_runs.zip to test on):
--
--   crun experiments/omniglot_one_shot.lua
--   crun experiments/omniglot_one_shot.lua data=path/to/omniglot steps=2500 widths=64,64,64
--
-- Lake, Salakhutdinov, Tenenbaum, "Human-level concept learning through probabilistic program induction", Science 2015;
-- Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
local crun = require "crun"
local study, characters = require "crun.study", require "crun.study.characters"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with Omniglot's archives" },
  size      = { 28, least = 16, help = "height and width of the images" },
  widths    = { 48, 48, 48 },
  embedding = 128,
  batch     = { characters = 32, images = 4 },
  loss      = { temperature = 0.1 },
  augment   = { rotation = 20.0, shift = 0.1, scale = 0.25 },
  lr        = 2e-3,
  steps     = { 600, least = 2 },
  views     = { 10, least = 1, help = "changed views of a test image that share its embedding" },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many trainings" },
  quick     = false,
}
local run = crun.start(cfg, { name = "omniglot_one_shot" })
local set = characters.load(cfg)
local images, labels = characters.turned(set.train.images, set.train.labels)   -- quarter turns and mirrors: 8 times the classes
print(("%d training images, %d classes with turns and mirrors; %d one-shot runs"):format(#set.train.images,
  labels:amax():item(), #set.runs))

local results = study.new { run = run, best = { error = "min" } }
local net, embed
for seed in study.seeds(cfg) do
  crun.nn.seed(seed)
  net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding }
  local criterion = crun.losses.supcon(cfg.loss)
  local steps = cfg.quick and 10 or cfg.steps
  study.fit { modules = net, steps = steps, lr = cfg.lr, run = run, name = "seed" .. seed,
    batches = crun.sampler.pk { labels = labels, p = cfg.batch.characters, k = cfg.batch.images, seed = seed },
    loss = function(step, rows)
      return criterion(net(characters.changed(images, rows, cfg, step + 1000000 * seed)), labels:index_select(rows))
    end }
  function embed(x) return characters.embed(net, x, cfg, cfg.quick and 2 or cfg.views) end
  run:test(function()
    results:add("network", { error = (characters.one_shot(set.runs, embed)) })
    results:add("network, one view", { error = (characters.one_shot(set.runs, function(x)
      return characters.embed(net, x, cfg, 1) end)) })
  end)
end
run:test(function()
  results:add("raw pixels", { error = (characters.one_shot(set.runs, function(x) return x:real():reshape(#x, -1) end)) })
  local some = cfg.quick and { set.runs[1] } or set.runs
  results:add("modified Hausdorff", { error = (characters.one_shot(some, nil, characters.hausdorff)) })
  results:print(("20-way one-shot, %d runs"):format(#set.runs))
end)

local one = set.runs[1]                                   -- a picture of the first run: what was taken for what
local nearest = crun.cdist(embed(one.test), embed(one.training)):argmin { dim = 2 }
local frames, verdicts = {}, {}
for i = 1, #one.answers do
  frames[i], frames[#one.answers + i] = false, false
  verdicts[i], verdicts[#one.answers + i] = false, nearest[i] == one.answers[i] and "right" or "wrong"
end
crun.plot.grid { path = run:picture "first_run", title = one.name .. ": test images, below each the one it was taken for", cols = 10,
  size = 60, images = crun.cat({ one.test, one.training:index_select(nearest) }, 1), verdicts = verdicts }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
