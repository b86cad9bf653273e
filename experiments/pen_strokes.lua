-- Similarity of two arrays of different lengths, as a pen sends them: Euclid on resampled strokes, dynamic time warping (DTW),
-- soft-DTW, and a recurrent encoder trained by a metric loss. 20-way one-shot tasks of alphabets never seen, each the same for all.
--
--   crun experiments/pen_strokes.lua
--   crun experiments/pen_strokes.lua data=path/to/omniglot
--
-- Sakoe, Chiba, 1978; Cuturi, Blondel, "Soft-DTW", ICML 2017; Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
local crun = require "crun"
local study, strokes = require "crun.study", require "crun.study.strokes"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with Omniglot's strokes_background_small1.zip" },
  steps     = { 40, least = 12, help = "most points of a drawing; longer ones are thinned" },
  hidden    = { 96, least = 1, help = "units of the GRU, in each direction" },
  embedding = 128,
  batch     = { characters = 32, images = 3 },
  loss      = { temperature = 0.1 },
  augment   = { linear = 0.15, shift = 0.1, reverse = 0.15, drop = 0.05 },
  gamma     = { 0.01, help = "softness of soft-DTW; points lie in a square of side 2" },
  lr        = 3e-3,
  train     = { 900, least = 1, help = "steps of training" },
  views     = { 8, least = 1, help = "changed views of a drawing that share its embedding" },
  tasks     = { 20, least = 1, help = "one-shot tasks of a test" },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many trainings, each with other alphabets held out" },
  quick     = false,
}
local run = crun.start(cfg, { name = "pen_strokes" })
local set = strokes.load(cfg)                            -- points [N T 3] in the square -1 .. 1, lengths, labels, alphabets
local tasks = cfg.quick and 2 or cfg.tasks
local results = study.new { run = run, best = { error = "min" } }

for seed in study.seeds(cfg) do
  local train, test, names = strokes.hold_out(set, 2, seed)
  crun.nn.seed(seed)
  local net = strokes.encoder(cfg.hidden, cfg.embedding)
  local criterion = crun.losses.supcon(cfg.loss)
  local classes = train.labels:amax():item()
  study.fit { modules = net, steps = cfg.quick and 10 or cfg.train, lr = cfg.lr, clip = 1.0, run = run, name = "seed" .. seed,
    batches = crun.sampler.pk { labels = train.labels, p = math.min(cfg.batch.characters, classes), k = cfg.batch.images,
      seed = seed },
    loss = function(step, rows)
      -- a character turned by quarter turns or mirrored is another character: eight times the classes
      local points, lengths, turn = strokes.changed(train, rows, cfg, seed, step)
      return criterion(net(points, lengths), train.labels:index_select(rows) + turn * classes)
    end }
  run:test(function()
    local z = strokes.embed(net, test, cfg, cfg.quick and 2 or cfg.views)
    local rivals = {
      { "Euclid, resampled", strokes.euclid(test) }, { "DTW", strokes.dtw(test) },
      { "soft-DTW", strokes.soft_dtw(test, cfg.gamma) },
      { "encoder", function(a, b) return crun.cdist(z:index_select(a), z:index_select(b)) end },
    }
    local wrong = strokes.errors(test, rivals, tasks, seed)
    for i, rival in ipairs(rivals) do results:add(rival[1], { error = wrong[i] }) end
    print(("seed %d, held out: %s"):format(seed, names))
  end)
  if seed == cfg.seed then
    local z, n = strokes.embed(net, test, cfg, cfg.quick and 2 or cfg.views), math.min(400, #test.labels)
    crun.plot.map { path = run:picture "map", title = "Held-out characters in the encoder's space, two principal components",
      points = crun.pca.fit(z, 2):transform(z):narrow(1, 1, n),
      labels = test.labels:narrow(1, 1, n), size = 6 }
    strokes.picture { path = run:picture "strokes", set = test, title = "What a pen sends: five hands, the same character" }
  end
end
results:print(("20-way one-shot, %d tasks"):format(tasks))
local gain = results:difference("encoder", "DTW", "error")
print(("encoder less DTW: %s (%s)"):format(study.text(gain), study.verdict(gain, "min")))
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
