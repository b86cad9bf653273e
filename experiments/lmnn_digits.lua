-- k-nearest neighbours of pen digits before and after large-margin nearest neighbour (LMNN): a linear map learnt so that
-- the neighbours of a digit are digits of its kind. On generated digits, or on the UCI set (pendigits.tra, .tes):
--
--   crun experiments/lmnn_digits.lua
--   crun experiments/lmnn_digits.lua data=path/to/pendigits
--
-- Weinberger, Saul, "Distance metric learning for large margin nearest neighbor classification", JMLR 2009.
local crun = require "crun"
local study = require "crun.study"

local cfg = crun.config {
  data   = { "generated", help = "'generated', or a folder with pendigits.tra and pendigits.tes" },
  writers = { train = 150, test = 100 },                    -- of the generated digits; each writes every digit twice
  points = { 8, least = 2, help = "points a generated digit is resampled to; the UCI digits have 8" },
  k      = { 3, least = 1, help = "neighbours that vote, and target neighbours" },
  margin = { 0.1, help = "squared distance by which impostors shall be further; inputs have mean squared distance 1" },
  mu     = 0.5,
  batch  = { 1000, least = 2 },
  lr     = 0.02,
  steps  = { 300, least = 1 },
  seed   = 1,
  seeds  = { 5, least = 1, help = "how many trainings" },
  quick  = false,
}
local run = crun.start(cfg, { name = "lmnn_digits" })

local function generated(first, writers)
  local _, labels, points, lengths = crun.data.digits { first = first, writers = writers, repeats = 2 }
  return { x = study.resampled(points, lengths, cfg.points):reshape(#labels, -1), labels = labels + 1,
    names = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" } }
end

local train, test
if cfg.data == "generated" then
  local n = cfg.quick and { train = 20, test = 10 } or cfg.writers
  train, test = generated(1, n.train), generated(1 + n.train, n.test)
else
  train, test = crun.datasets.pendigits(cfg.data)
  for _, set in ipairs { train, test } do set.x = set.points:reshape(#set.labels, -1) end
end
local middle = train.x:mean(1)
local scale = 1 / math.sqrt(2 * (train.x - middle):square():sum(2):mean():item())
local x, z = (train.x - middle) * scale, (test.x - middle) * scale

-- whether each test digit is wrong, as 0 and 1
local function errors(map)
  local guess = crun.metrics.knn(z:matmul(map), x:matmul(map), train.labels, nil,
    { k = cfg.k, weights = "uniform", distance = "euclidean" })
  return guess:ne(test.labels):real()
end

local results = study.new { run = run, best = { ["error %"] = "min" }, digits = 2 }
local still, map, curves = errors(crun.eye(x:size(2))), nil, {}
local sum = crun.zeros(#z)
for seed in study.seeds(cfg) do
  map = crun.eye(x:size(2)):requires_grad_()
  local lmnn = crun.losses.lmnn { margin = cfg.margin, mu = cfg.mu, reduction = "mean" }
  local n = math.min(cfg.batch, #x)
  local curve = { name = "seed " .. seed, x = {}, y = {} }
  curves[#curves + 1] = curve
  study.fit { modules = { map }, steps = cfg.quick and 20 or cfg.steps, lr = cfg.lr, run = run, name = "seed" .. seed,
    batches = crun.sampler.shuffled { n = #x, batch = n, drop_last = true, seed = seed },
    loss = function(_, rows)
      local some, labels = x:index_select(rows), train.labels:index_select(rows)
      local near = crun.target_neighbours(some, labels, { k = cfg.k })     -- by the distance before learning
      return lmnn(some:matmul(map), labels, near)
    end }
  local after = errors(map:detach())
  sum = sum + after
  results:add("Euclid", { ["error %"] = 100 * still:mean():item() })
  results:add("LMNN", { ["error %"] = 100 * after:mean():item() })
end
run:test(function() results:print(("%d-NN of %d test digits"):format(cfg.k, #z)) end)

-- two paired intervals: over trainings, and over test digits (each digit's mean over the trainings)
local over_seeds = results:difference("LMNN", "Euclid", "error %")
local per_digit = ((sum / over_seeds.n - still) * 100):totable()
local over_digits = study.interval(per_digit)
run:summary { ["gain/over seeds"] = -over_seeds.mean, ["gain/over digits"] = -over_digits.mean,
  ["gain/over digits ±"] = over_digits.half }
print(("LMNN less Euclid, %% of errors: %s over trainings (%s), %s over test digits (%s)"):format(study.text(over_seeds, 2),
  study.verdict(over_seeds, "min"), study.text(over_digits, 2), study.verdict(over_digits, "min")))
local learnt = map:detach()
local both = crun.cat({ crun.pca.fit(x, 2):transform(z), crun.pca.fit(x:matmul(learnt), 2):transform(z:matmul(learnt)) }, 1)
local some = crun.arange(1, math.min(#z, 600))
for i, name in ipairs { "before", "after" } do
  crun.plot.map { path = run:picture(name), title = ("Test digits %s LMNN, two principal components"):format(name),
    points = both:index_select(some + (i - 1) * #z), labels = test.labels:index_select(some), names = test.names, size = 6 }
end
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
