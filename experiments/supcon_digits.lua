-- SupCon against cross-entropy on digits whose training labels are partly wrong. SupCon learns in two stages: an encoder by the loss on
-- a projection, then a linear classifier on the encoder's frozen output. The test digits have their true labels.
--
--   crun experiments/supcon_digits.lua
--   crun experiments/supcon_digits.lua data=path/to/mnist          (two thirds of what is there train, the rest tests)
--
-- Khosla et al., "Supervised contrastive learning", NeurIPS 2020.
local crun = require "crun"
local study, digits = require "crun.study", require "crun.study.digits"

local cfg = crun.config {
  data    = { "generated", help = "'generated', or a folder with MNIST's gzipped files" },
  writers = { train = 200, test = 100 },                   -- of the generated digits
  train   = { 2000, least = 100, help = "digits to train on, of MNIST" },
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
  seeds   = { 5, least = 1, help = "how many trainings of each, on other digits and other noise" },
  quick   = false,
}
local run = crun.start(cfg, { name = "supcon_digits" })

local function noisy(labels, share, seed)
  local rng, out = crun.rng(seed, "supcon_digits.noise"), labels:totable()
  for i, label in ipairs(out) do
    local wrong, other = rng:uniform() < share, rng:below(9)
    if wrong then out[i] = other < label and other or other + 1 end
  end
  return crun.int(out)
end

local function trained(name, train, labels, share, seed)    -- the encoder, and what stands on it
  crun.nn.seed(seed)
  local contrast = name == "SupCon"
  local net = study.convnet { size = train.images:size(3), widths = cfg.widths, embedding = cfg.width, normalize = false }
  local head = crun.nn.Linear(cfg.width, contrast and cfg.width // 2 or 10)
  local criterion = contrast and crun.losses.supcon { temperature = cfg.temperature } or crun.losses.cross_entropy {}
  study.fit { modules = { net, head }, steps = cfg.quick and 6 or cfg.steps, lr = cfg.lr, run = run,
    name = ("%s/%g/seed%d"):format(name, share, seed),
    batches = crun.sampler.pk { labels = labels, p = cfg.batch.classes, k = cfg.batch.images, short = "repeat", seed = seed },
    loss = function(step, rows)
      local out = head(net(study.changed(train, rows, { augment = cfg.augment, seed = seed }, step)):relu())
      return criterion(contrast and out:normalize() or out, labels:index_select(rows))
    end }
  return net, head
end

local keys, percents, best = {}, {}, {}
for k, share in ipairs(cfg.noise) do
  percents[k], keys[k] = 100 * share, ("%g %% noise"):format(100 * share)
  best[keys[k]] = "min"
end
local results = study.new { run = run, best = best, digits = 2 }
for seed in study.seeds(cfg) do
  local train, test = digits.load(cfg, seed)
  for k, share in ipairs(cfg.noise) do
    local labels = noisy(train.labels, share, seed)
    for _, name in ipairs { "cross-entropy", "SupCon" } do
      local net, head = trained(name, train, labels, share, seed)
      run:test(function()
        local from, to = crun.eval.embed(net, train.images):relu(), crun.eval.embed(net, test.images):relu()
        local function add(how, accuracy) results:add(name .. ", " .. how, { [keys[k]] = 100 * (1 - accuracy) }) end
        if name == "cross-entropy" then add("own head", head(to):argmax { dim = 2 }:eq(test.labels):real():mean():item()) end
        add("linear probe", crun.eval.linear_probe(from, labels, to, test.labels, { l2 = cfg.l2 }).accuracy)
        add("20-NN", crun.eval.knn(to, test.labels, { references = from, reference_labels = labels, k = 20 }).accuracy)
      end)
    end
  end
end

results:print("test error, %", keys)
for _, key in ipairs(keys) do
  local d = results:difference("SupCon, linear probe", "cross-entropy, own head", key)
  print(("  %s: SupCon in two stages less cross-entropy %s (%s)"):format(key, study.text(d, 2), study.verdict(d, "min")))
end
local series = {}
for i, name in ipairs(results.names) do
  series[i] = study.curve(name, percents, function(k) return results:interval(name, keys[k]) end)
end
crun.plot.lines { path = run:picture "noise", title = "Test error by wrong training labels", xlabel = "% of training labels that are wrong",
  ylabel = "% of test digits wrong", series = series }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
