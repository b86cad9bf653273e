-- Similarity of two arrays of different lengths, as a pen sends them: Euclid on resampled strokes, dynamic time warping (DTW),
-- soft-DTW, and two encoders trained by a metric loss. 20-way one-shot tasks of an alphabet never seen, the same for all.
--
--   crun experiments/pen_strokes.lua
--   crun experiments/pen_strokes.lua data=path/to/omniglot
--
-- Sakoe, Chiba, 1978; Cuturi, Blondel, "Soft-DTW", ICML 2017; Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
local crun = require "crun"
local study, strokes = require "crun.study", require "crun.study.strokes"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with Omniglot's strokes_background_small1.zip" },
  steps     = { 64, least = 12, help = "most points of a drawing, evenly placed along its lines" },
  hidden    = { 96, least = 2, help = "units of the GRU, in each direction" },
  widths    = { 48, 48, 48 },                                        -- of the convolutions over maps
  embedding = 128,
  batch     = { characters = 32, images = 3 },
  loss      = { temperature = 0.1 },
  augment   = { order = 0.5, reverse = 0.3, linear = 0.15, bend = 0.1, shift = 0.1 },
  gamma     = { 0.01, help = "softness of soft-DTW; points lie in a square of side 2" },
  lr        = 2e-3,
  train     = { 400, least = 2, help = "steps of training, of each encoder" },
  views     = { 8, least = 1, help = "changed views of a drawing that share its embedding" },
  tasks     = { 20, least = 1, help = "one-shot tasks of a test" },
  seed      = 1,
  seeds     = { 5, least = 1, help = "how many trainings, each with the next alphabet held out" },
  quick     = false,
}
local run = crun.start(cfg, { name = "pen_strokes" })
local set = strokes.load(cfg)                            -- points [N T 3] in the square -1 .. 1, lengths, labels, alphabets
local tasks, views = cfg.quick and 2 or cfg.tasks, cfg.quick and 2 or cfg.views
local encoders = { "recurrent encoder", "mapped encoder", "both encoders" }
local results = study.new { run = run, best = { error = "min" } }

local function trained(name, train, seed)
  crun.nn.seed(seed)
  local net, criterion, classes = strokes[name](cfg), crun.losses.supcon(cfg.loss), train.labels:amax():item()
  study.fit { modules = net, steps = cfg.quick and 6 or cfg.train, lr = cfg.lr, clip = 1.0, run = run, name = name .. "/seed" .. seed,
    batches = crun.sampler.pk { labels = train.labels, p = math.min(cfg.batch.characters, classes), k = cfg.batch.images,
      seed = seed },
    loss = function(step, rows)
      -- a character turned by quarter turns or mirrored is another character: eight times the classes
      local points, lengths, turn = strokes.changed(train, rows, cfg, seed, step)
      return criterion(net(points, lengths), train.labels:index_select(rows) + turn * classes)
    end }
  return net
end

for seed in study.seeds(cfg) do
  local train, test, alphabet = strokes.hold_out(set, seed)
  local nets = { trained("recurrent", train, seed), trained("mapped", train, seed) }
  run:test(function()
    local z = { strokes.embed(nets[1], test, cfg, views), strokes.embed(nets[2], test, cfg, views) }
    z[3] = crun.cat(z, 2)
    local rivals = { { "Euclid, resampled", strokes.euclid(test) }, { "DTW", strokes.dtw(test) },
      { "soft-DTW", strokes.soft_dtw(test, cfg.gamma) } }
    for i, name in ipairs(encoders) do
      rivals[3 + i] = { name, function(a, b) return crun.cdist(z[i]:index_select(a), z[i]:index_select(b)) end }
    end
    local errors = {}
    for i, wrong in ipairs(strokes.errors(test, rivals, tasks, seed)) do
      results:add(rivals[i][1], { error = wrong })
      errors[i] = ("%s %.3f"):format(rivals[i][1], wrong)
    end
    print(alphabet .. " held out: " .. table.concat(errors, ", "))
    if seed == cfg.seed then
      local n, labels = math.min(400, #test.labels), test.labels
      crun.plot.map { path = run:picture "map", title = alphabet .. " in the space of both encoders, two principal components",
        points = crun.pca.fit(z[3], 2):transform(z[3]):narrow(1, 1, n), labels = labels:narrow(1, 1, n), size = 6 }
      strokes.picture { path = run:picture "strokes", set = test, title = alphabet .. ": five hands; large: where the pen comes down" }
    end
  end)
end
run:test(function()
  results:print(("20-way one-shot, %d tasks an alphabet"):format(tasks))
  for _, name in ipairs(encoders) do
    local gain = results:difference(name, "DTW", "error")
    print(("%s less DTW: %s (%s)"):format(name, study.text(gain), study.verdict(gain, "min")))
  end
end)
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
