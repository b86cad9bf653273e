-- Magnet against softmax and triplet where classes hold kinds: the label of a digit is only whether it is even or odd, and the digits
-- themselves are never told. Does an embedding get the label right, and does it keep the digits of a class apart?
--
--   crun experiments/magnet_digits.lua
--   crun experiments/magnet_digits.lua data=path/to/mnist          (the 10,000 test digits: two thirds train, the rest tests)
--
-- Rippel, Paluri, Dollar, Bourdev, "Metric Learning with Adaptive Density Discrimination", ICLR 2016.
local crun = require "crun"
local study = require "crun.study"

local cfg = crun.config {
  data     = { "generated", help = "'generated', or a folder with MNIST's gzipped files" },
  writers  = { train = 200, test = 100 },                  -- of the generated digits
  train    = { 2000, least = 100, help = "digits to train on, of MNIST" },
  widths   = { 16, 32, 64 },
  embedding = 32,
  magnet   = { clusters = 5, m = 8, d = 12, alpha = 1.0, refresh = 40 },
  triplet  = { margin = 0.3 },
  k        = { 20, least = 1, help = "neighbours that vote" },
  lr       = 1e-3,
  steps    = { 240, least = 1 },
  seed     = 1,
  seeds    = { 3, least = 1, help = "how many trainings of each" },
  quick    = false,
}
local run = crun.start(cfg, { name = "magnet_digits" })

local function load_sets(seed)
  if cfg.data == "generated" then
    local n = cfg.quick and { train = 20, test = 10 } or cfg.writers
    local x, y = crun.data.digits { writers = n.train, seed = seed }
    local z, w = crun.data.digits { writers = n.test, first = n.train + 1, seed = seed }
    return x, y, z, w
  end
  local set = crun.datasets.mnist(cfg.data)
  local order = crun.randperm(crun.rng(seed, "magnet_digits.split"), #set.labels)
  local third = #set.labels // 3
  local train, test = order:narrow(1, 1, math.min(cfg.train, 2 * third)), order:narrow(1, #order - third + 1, third)
  local digits = set.labels - 1
  return set.images:index_select(train), digits:index_select(train), set.images:index_select(test), digits:index_select(test)
end
local function parity(digits) return digits - (digits:real() / 2):floor():int() * 2 + 1 end     -- 1 even, 2 odd

-- each gives net, loss(step, rows) and the batches
local rivals = { "softmax", "triplet", "Magnet" }
local function make(name, x, y, seed)
  local net = study.convnet { size = x:size(3), widths = cfg.widths, embedding = cfg.embedding, normalize = name == "triplet" }
  local function embedded(rows) return net(crun.data.augment(x, rows, { rotation = 8, shift = 0.04, seed = seed, epoch = rows[1] })) end
  local pk = crun.sampler.pk { labels = y, p = 2, k = 48, seed = seed }
  if name == "softmax" then
    local head, criterion = crun.nn.Linear(cfg.embedding, 2), crun.losses.cross_entropy {}
    return net, { net, head }, pk, function(_, rows) return criterion(head(embedded(rows)), y:index_select(rows)) end
  elseif name == "triplet" then
    local criterion = crun.losses.triplet { margin = cfg.triplet.margin, mine = "semihard" }
    return net, net, pk, function(_, rows) return criterion(embedded(rows), y:index_select(rows)) end
  end
  local m = cfg.magnet
  local index = crun.sampler.magnet { labels = y, clusters = m.clusters, m = m.m, d = m.d, seed = seed }
  local criterion = crun.losses.magnet { alpha = m.alpha, reduction = "none" }
  return net, net, index:refresh(crun.eval.embed(net, x)), function(step, rows)
    local losses = criterion(embedded(rows), index:clusters(rows))
    index:record(rows, losses)
    if step % m.refresh == 0 then index:refresh(crun.eval.embed(net, x)) end
    return losses:mean()
  end
end

local best = { ["even or odd, error %"] = "min", ["digit, error %"] = "min", ["digits in clusters, NMI"] = "max" }
local results = study.new { run = run, best = best }
for seed in study.seeds(cfg) do
  local x, digits, z, truth = load_sets(seed)
  local y = parity(digits)
  for _, name in ipairs(rivals) do
    crun.nn.seed(seed)
    local net, modules, batches, loss = make(name, x, y, seed)
    study.fit { modules = modules, steps = cfg.quick and 8 or cfg.steps, lr = cfg.lr, run = run, batches = batches, loss = loss,
      name = ("%s/seed%d"):format(name, seed) }
    run:test(function()
      local from, to = crun.eval.embed(net, x), crun.eval.embed(net, z)
      local function missed(labels, right)
        local _, stats = crun.metrics.knn(to, from, labels, right, { k = cfg.k, weights = "uniform", distance = "euclidean" })
        return 100 * (1 - stats.accuracy)
      end
      results:add(name, {
        ["even or odd, error %"] = missed(y, parity(truth)), ["digit, error %"] = missed(digits, truth),
        ["digits in clusters, NMI"] = crun.eval.clustering(truth, to, { clusters = 10 }).nmi,
      }, { "even or odd, error %", "digit, error %", "digits in clusters, NMI" })
      if seed == cfg.seed then
        local n = math.min(500, #truth)
        crun.plot.map { path = run:picture("map_" .. name), title = name .. ", taught even and odd only: two principal components",
          points = crun.pca.fit(to, 2):transform(to):narrow(1, 1, n), labels = truth:narrow(1, 1, n) + 1, size = 6,
          names = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" } }
      end
    end)
  end
end
results:print "test digits"
for _, key in ipairs(results.keys) do
  for _, other in ipairs { "softmax", "triplet" } do
    local d = results:difference("Magnet", other, key)
    print(("  Magnet less %s, %s: %s (%s)"):format(other, key, study.text(d), study.verdict(d, best[key])))
  end
end
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
