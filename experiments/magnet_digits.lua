-- Magnet against softmax and triplet where classes hold kinds: the label of a digit is only whether it is even or odd, and the digits
-- themselves are never told. Does an embedding get the label right, and does it keep the digits of a class apart?
--
--   crun experiments/magnet_digits.lua
--   crun experiments/magnet_digits.lua data=path/to/mnist          (two thirds of what is there train, the rest tests)
--
-- Rippel, Paluri, Dollar, Bourdev, "Metric Learning with Adaptive Density Discrimination", ICLR 2016.
local crun = require "crun"
local study, digits = require "crun.study", require "crun.study.digits"

local cfg = crun.config {
  data     = { "generated", help = "'generated', or a folder with MNIST's gzipped files" },
  writers  = { train = 200, test = 100 },                  -- of the generated digits
  train    = { 2000, least = 100, help = "digits to train on, of MNIST" },
  widths   = { 16, 32, 64 },
  embedding = 32,
  magnet   = { clusters = 5, m = 8, d = 12, alpha = 1.0, refresh = 40 },
  triplet  = { margin = 0.3 },
  augment  = { rotation = 8.0, shift = 0.04 },
  k        = { 20, least = 1, help = "neighbours that vote" },
  lr       = 1e-3,
  steps    = { 240, least = 1 },
  seed     = 1,
  seeds    = { 10, least = 1, help = "how many trainings of each" },
  quick    = false,
}
local run = crun.start(cfg, { name = "magnet_digits" })

local function parity(labels) return 2 - labels + (labels:real() / 2):floor():int() * 2 end     -- 1 even, 2 odd

local function trained(name, train, y, seed)               -- the network, taught the classes y
  crun.nn.seed(seed)
  local net = study.convnet { size = train.images:size(3), widths = cfg.widths, embedding = cfg.embedding, normalize = name == "triplet" }
  local head = name == "softmax" and crun.nn.Linear(cfg.embedding, 2)
  local m, index, batches, criterion = cfg.magnet, nil, nil, nil
  if name == "Magnet" then
    index = crun.sampler.magnet { labels = y, clusters = m.clusters, m = m.m, d = m.d, seed = seed }
    batches = index:refresh(crun.eval.embed(net, train.images))
    criterion = crun.losses.magnet { alpha = m.alpha, reduction = "none" }
  else
    batches = crun.sampler.pk { labels = y, p = 2, k = 48, seed = seed }
    criterion = head and crun.losses.cross_entropy {} or crun.losses.triplet { margin = cfg.triplet.margin, mine = "semihard" }
  end
  study.fit { modules = head and { net, head } or net, steps = cfg.quick and 8 or cfg.steps, lr = cfg.lr, run = run, batches = batches,
    name = ("%s/seed%d"):format(name, seed),
    loss = function(step, rows)
      local z = net(study.changed(train, rows, { augment = cfg.augment, seed = seed }, step))
      if not index then return criterion(head and head(z) or z, y:index_select(rows)) end
      local losses = criterion(z, index:clusters(rows))
      index:record(rows, losses)                           -- clusters with large losses come more often
      if step % m.refresh == 0 then index:refresh(crun.eval.embed(net, train.images)) end
      return losses:mean()
    end }
  return net
end

local keys = { "even or odd, error %", "digit, error %", "digits in clusters, NMI" }
local results = study.new { run = run, best = { [keys[1]] = "min", [keys[2]] = "min", [keys[3]] = "max" } }
for seed in study.seeds(cfg) do
  local train, test = digits.load(cfg, seed)
  local y = parity(train.labels)
  for _, name in ipairs { "softmax", "triplet", "Magnet" } do
    local net = trained(name, train, y, seed)
    run:test(function()
      local from, to = crun.eval.embed(net, train.images), crun.eval.embed(net, test.images)
      local function missed(labels, right)
        local _, stats = crun.metrics.knn(to, from, labels, right, { k = cfg.k, weights = "uniform", distance = "euclidean" })
        return 100 * (1 - stats.accuracy)
      end
      results:add(name, { [keys[1]] = missed(y, parity(test.labels)), [keys[2]] = missed(train.labels, test.labels),
        [keys[3]] = crun.eval.clustering(test.labels, to, { clusters = 10 }).nmi }, keys)
      if seed == cfg.seed then
        local n = math.min(500, #to)
        crun.plot.map { path = run:picture("map_" .. name), title = name .. ", taught even and odd only: two principal components",
          points = crun.pca.fit(to, 2):transform(to):narrow(1, 1, n), labels = test.labels:narrow(1, 1, n), names = digits.names, size = 6 }
      end
    end)
  end
end
results:print "test digits"
for _, key in ipairs(keys) do
  for _, other in ipairs { "softmax", "triplet" } do
    local d = results:difference("Magnet", other, key)
    print(("  Magnet less %s, %s: %s (%s)"):format(other, key, study.text(d), study.verdict(d, results.best[key])))
  end
end
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
