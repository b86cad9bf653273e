-- SupCon against cross-entropy on digits whose training labels are partly wrong. SupCon learns in two stages: an encoder by the loss on
-- a projection, then a linear classifier on the encoder's frozen output. The test digits have their true labels.
--
--   crun experiments/supcon_digits.lua
--   crun experiments/supcon_digits.lua data=path/to/mnist          (the 10,000 test digits: two thirds train, the rest tests)
--
-- Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
local crun = require "crun"
local study = require "crun.study"

local cfg = crun.config {
  data    = { "generated", help = "'generated', or a folder with MNIST's gzipped files" },
  writers = { train = 200, test = 100 },                   -- of the generated digits
  train   = { 2000, least = 100, help = "digits to train on" },
  noise   = { 0.0, 0.2, 0.4 },                             -- shares of training labels replaced by another digit
  widths  = { 16, 32, 64 },
  width   = { 64, help = "of the encoder's output; the projection has half of it" },
  batch   = { classes = 10, images = 12 },
  temperature = 0.1,
  augment = { rotation = 10.0, shift = 0.06, scale = 0.1 },
  lr      = 2e-3,
  steps   = { 200, least = 1 },
  l2      = { 1e-2, help = "of the linear classifier on the frozen encoder" },
  seed    = 1,
  seeds   = { 3, least = 1, help = "how many trainings of each, on other digits and other noise" },
  quick   = false,
}
local run = crun.start(cfg, { name = "supcon_digits" })

local function load_sets(seed)
  if cfg.data == "generated" then
    local n = cfg.quick and { train = 20, test = 10 } or cfg.writers
    local x, y = crun.data.digits { writers = n.train, seed = seed }
    local z, w = crun.data.digits { writers = n.test, first = n.train + 1, seed = seed }
    return x, y + 1, z, w + 1
  end
  local set = crun.datasets.mnist(cfg.data)
  local order = crun.randperm(crun.rng(seed, "supcon_digits.split"), #set.labels)
  local n = math.min(cfg.train, 2 * #set.labels // 3)
  local test = order:narrow(1, #set.labels - #set.labels // 3 + 1, #set.labels // 3)
  local train = order:narrow(1, 1, n)
  return set.images:index_select(train), set.labels:index_select(train), set.images:index_select(test), set.labels:index_select(test)
end

local function noisy(labels, share, seed)
  local rng, out = crun.rng(seed, "supcon_digits.noise"), labels:totable()
  for i, label in ipairs(out) do
    local wrong, other = rng:uniform() < share, rng:below(9)
    if wrong then out[i] = other < label and other or other + 1 end
  end
  return crun.int(out)
end

local function changed(images, rows, step)
  local o = { seed = cfg.seed, epoch = step }
  for name, value in pairs(cfg.augment) do o[name] = value end
  return crun.data.augment(images, rows, o)
end

local results = study.new { run = run }
for seed in study.seeds(cfg) do
  local x, truth, z, w = load_sets(seed)
  for _, share in ipairs(cfg.noise) do
    local y = noisy(truth, share, seed)
    for _, name in ipairs { "cross-entropy", "SupCon" } do
      crun.nn.seed(seed)
      local net = study.convnet { size = x:size(3), widths = cfg.widths, embedding = cfg.width, normalize = false }
      local head = crun.nn.Linear(cfg.width, name == "SupCon" and cfg.width // 2 or 10)
      local criterion = name == "SupCon" and crun.losses.supcon { temperature = cfg.temperature } or crun.losses.cross_entropy {}
      study.fit { modules = { net, head }, steps = cfg.quick and 6 or cfg.steps, lr = cfg.lr, run = run,
        name = ("%s/%g/seed%d"):format(name, share, seed),
        batches = crun.sampler.pk { labels = y, p = cfg.batch.classes, k = cfg.batch.images, seed = seed },
        loss = function(step, rows)
          local out = head(net(changed(x, rows, step)):relu())
          return criterion(name == "SupCon" and out:normalize() or out, y:index_select(rows))
        end }
      run:test(function()
        local from, to = crun.eval.embed(net, x):relu(), crun.eval.embed(net, z):relu()
        local key = ("%g %% noise"):format(100 * share)
        if name == "cross-entropy" then
          local guess = head(to):detach():argmax { dim = 2 }
          results:add("cross-entropy, own head", { [key] = 100 * guess:ne(w):real():mean():item() })
        end
        local probe = crun.eval.linear_probe(from, y, to, w, { l2 = cfg.l2 })
        results:add(name .. ", linear probe", { [key] = 100 * (1 - probe.accuracy) })
        local knn = crun.eval.knn(to, w, { references = from, reference_labels = y, k = 20 })
        results:add(name .. ", 20-NN", { [key] = 100 * (1 - knn.accuracy) })
      end)
    end
  end
end
for _, share in ipairs(cfg.noise) do results.best[("%g %% noise"):format(100 * share)] = "min" end
results.digits = 2
results:print "test error, %"
local series = {}
for i, name in ipairs(results.names) do
  series[i] = { name = name, x = {}, y = {}, low = {}, high = {} }
  for k, share in ipairs(cfg.noise) do
    local v = results:interval(name, ("%g %% noise"):format(100 * share))
    series[i].x[k], series[i].y[k], series[i].low[k], series[i].high[k] = 100 * share, v.mean, v.low or v.mean, v.high or v.mean
  end
end
for _, share in ipairs(cfg.noise) do
  local key = ("%g %% noise"):format(100 * share)
  local d = results:difference("SupCon, linear probe", "cross-entropy, own head", key)
  print(("  %s: SupCon in two stages less cross-entropy %s (%s)"):format(key, study.text(d, 2), study.verdict(d, "min")))
end
crun.plot.lines { path = run:picture "noise", title = "Test error by wrong training labels", xlabel = "% of training labels that are wrong",
  ylabel = "% of test digits wrong", series = series }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
