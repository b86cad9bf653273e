-- N-pair, triplet, SupCon and prototypes on characters of alphabets never seen: the same network, data and steps, one loss each.
--
--   crun experiments/npair_omniglot.lua
--   crun experiments/npair_omniglot.lua data=path/to/omniglot
--
-- Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NIPS 2016; Khosla et al., NeurIPS 2020; Hermans, Beyer,
-- Leibe, 2017; Snell, Swersky, Zemel, "Prototypical networks for few-shot learning", NIPS 2017.
local crun = require "crun"
local study, characters = require "crun.study", require "crun.study.characters"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with Omniglot's archives" },
  size      = { 28, least = 16, help = "height and width of the images" },
  widths    = { 32, 48, 48 },
  embedding = 64,
  rows      = { 128, least = 8, help = "images of a batch: 64 x 2 for N-pair, 32 x 4 for the others" },
  npair     = { l2_reg = 0.002 },
  triplet   = { margin = 0.3 },
  supcon    = { temperature = 0.1 },
  prototypes = { 10.0, help = "scale of cosines to the mean of two other images of a character" },
  augment   = { rotation = 15.0, shift = 0.08, scale = 0.2 },
  lr        = 2e-3,
  steps     = { 300, least = 2 },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many trainings of each" },
  quick     = false,
}
local run = crun.start(cfg, { name = "npair_omniglot" })
local set = characters.load(cfg)
local images, labels = characters.turned(set.train.images, set.train.labels)
local some = crun.arange(1, #set.train.images, 5)         -- four drawings of each training character, to see how fast a loss learns

-- The first two of a character's four images make its prototype, the others are to find it.
local function prototypes(z)
  local classes = #z // 4
  local four = z:reshape(classes, 4, z:size(2))
  local centres = four:narrow(2, 1, 2):mean(2):normalize()
  local asked = four:narrow(2, 3, 2):contiguous():reshape(2 * classes, z:size(2))
  local truth = crun.arange(1, classes):reshape(classes, 1):expand(classes, 2):contiguous():reshape(2 * classes)
  return crun.losses.cross_entropy {}(asked:matmul(centres:t()) * cfg.prototypes, truth)
end
local losses = {
  { "N-pair", 2, crun.losses.n_pairs(cfg.npair), normalize = false },
  { "triplet, hard", 4, crun.losses.triplet { margin = cfg.triplet.margin, mine = "hard" } },
  { "SupCon", 4, crun.losses.supcon(cfg.supcon) },
  { "prototypes", 4, prototypes },
}

local results = study.new { run = run, best = { ["one-shot error"] = "min", ["map@r"] = "max", ["precision@1"] = "max" } }
local curves = {}
for seed in study.seeds(cfg) do
  for i, loss in ipairs(losses) do
    local name, k, criterion = table.unpack(loss)
    crun.nn.seed(seed)                                    -- every loss starts from the same weights
    local net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding, normalize = loss.normalize }
    local function embed(x) return characters.embed(net, x, cfg, 1) end
    curves[i] = curves[i] or { name = name, x = {}, y = {} }
    local steps = cfg.quick and 6 or cfg.steps
    study.fit { modules = net, steps = steps, lr = cfg.lr, run = run, name = ("%s/seed%d"):format(name, seed),
      batches = crun.sampler.pk { labels = labels, p = cfg.rows // k, k = k, seed = seed }, interval = math.max(1, steps // 6),
      loss = function(step, rows)
        return criterion(net(characters.changed(images, rows, cfg, step + 1000000 * seed)), labels:index_select(rows))
      end,
      every = seed == cfg.seed and function(step)
        local seen = crun.eval.retrieval(embed(set.train.images:index_select(some)), set.train.labels:index_select(some))
        table.insert(curves[i].x, step)
        table.insert(curves[i].y, 1 - seen["precision@1"])
      end or nil }
    run:test(function()
      local scores = { ["one-shot error"] = (characters.one_shot(set.runs, embed)) }
      if set.test then
        local retrieval = crun.eval.retrieval(embed(set.test.images), set.test.labels)
        scores["map@r"], scores["precision@1"] = retrieval["map@r"], retrieval["precision@1"]
      end
      results:add(name, scores)
    end)
  end
end
run:test(function()
  results:print "unseen alphabets"
  for i = 1, 3 do
    local d = results:difference(losses[i][1], "prototypes", "one-shot error")
    print(("  %s less prototypes: %s (%s)"):format(losses[i][1], study.text(d), study.verdict(d, "min")))
  end
end)
crun.plot.lines { path = run:picture "errors", title = "Drawings of training characters whose nearest is of another character",
  xlabel = "step", ylabel = "share", series = curves }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
