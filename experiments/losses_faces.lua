-- Which loss is best on faces? One network, one way of training, ten losses; people it is tested on it has never seen.
-- Made for `crun sweep experiments/sweeps/losses_faces.yaml`, and runs by itself too:
--
--   crun experiments/losses_faces.lua loss.name=arcface loss.scale=16
--   crun experiments/losses_faces.lua data=path/to/faces loss.name=triplet loss.mine=semihard
--   crun experiments/losses_faces.lua --help
--
-- Half of the people test. The other half is cut into `folds` parts that share nobody; part `fold` validates, the rest
-- trains. Which people are where depends on `split` alone, so that all seeds and losses see the same.
local crun = require "crun"
local data, eval, losses, nn, optim, schedule = crun.data, crun.eval, crun.losses, crun.nn, crun.optim, crun.schedule
local study, faces = require "crun.study", require "crun.study.faces"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with one folder per person (PGM or PNG)" },
  people    = { 80, least = 8, help = "generated people" },
  images    = { 10, least = 3, help = "generated images of a person" },
  size      = { 48, least = 16, help = "height and width of the images" },
  test      = { 0.5, help = "share of the people who test" },
  fold      = { 1, least = 1, help = "which part of the others validates" },
  folds     = { 3, least = 2 },
  split     = { 1, help = "seed of who tests and who is in which part" },
  loss      = {
    name = { "triplet", choices = { "contrastive", "triplet", "n_pairs", "ntxent", "supcon", "multi_similarity", "circle",
                                    "proxy_anchor", "arcface", "normalized_softmax" } },
    mine        = { "hard", choices = { "all", "hard", "semihard" }, help = "triplet: which triplets count" },
    margin      = { 0.0, help = "contrastive, triplet, circle, proxy_anchor, arcface (degrees); 0: the loss's own" },
    temperature = { 0.0, help = "n_pairs, ntxent, supcon; 0: the loss's own" },
    scale       = { 0.0, help = "multi_similarity (beta), circle (gamma), proxy_anchor (alpha), arcface; 0: the loss's own" },
    base        = { 0.5, help = "multi_similarity: the similarity that divides near from far" },
    weights_lr  = { 10.0, help = "learning rate of proxies and class weights, as a ratio" },
  },
  widths    = { 16, 32, 64, 96 },
  embedding = { 256, least = 2 },
  batch     = { people = 12, images = 4 },
  augment   = { flip = 0.5, shift = 0.04, scale = 0.1, rotation = 8.0, brightness = 0.15, contrast = 0.3 },
  lr        = { 1e-3, help = "at its height: warm-up, then a cosine to 0" },
  decay     = 1e-4,
  warmup    = { 20, help = "steps" },
  epochs    = { 12, least = 1 },
  batches   = { 25, least = 1, help = "an epoch" },
  seed      = 1,
  quick     = { false, help = "a few steps on a few people, to see that all works" },
}
local run = crun.start(cfg)

-- ---- people -----------------------------------------------------------------------------------------------------

local function open(people)                              -- a list of people -> images, labels
  if cfg.data ~= "generated" then return people.set:people(people) end
  local images, labels = {}, {}
  for i, person in ipairs(people) do
    local x, y = data.faces { identities = 1, per_identity = cfg.images, first = person, size = cfg.size }
    images[i], labels[i] = x, y * 0 + person
  end
  return { images = crun.cat(images, 1), labels = crun.cat(labels, 1) }
end

local function all_people()
  local n, set = cfg.quick and 24 or cfg.people, nil
  if cfg.data ~= "generated" then
    set = crun.imagefolder.open(cfg.data, { size = cfg.size })
    n = #set.names
  end
  return crun.randperm(crun.rng(cfg.split, "people"), n):totable(), set
end

local order, set = all_people()
local tests = math.ceil(#order * cfg.test)
local parts = { test = { set = set }, val = { set = set }, train = { set = set } }
for i, person in ipairs(order) do
  local part = i <= tests and "test" or (i - tests - 1) % cfg.folds + 1 == cfg.fold and "val" or "train"
  table.insert(parts[part], person)
end
local train, val = open(parts.train), open(parts.val)
train.mean, train.std = (train.images:real():mean() / 255):item(), (train.images:real() / 255):std():item()

-- ---- network and loss -------------------------------------------------------------------------------------------

nn.seed(cfg.seed)
local net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding }

local own = cfg.loss
local function unless_0(value) return value ~= 0 and value or nil end
local margin, temperature, scale = unless_0(own.margin), unless_0(own.temperature), unless_0(own.scale)
local function weights(options)                          -- a loss with proxies or class weights of its own
  options.classes, options.dim, options.lr_scale = crun.int(parts.train), cfg.embedding, own.weights_lr
  return options
end
local makers = {
  contrastive = function() return losses.contrastive { margin = margin } end,
  triplet = function() return losses.triplet { margin = margin, mine = own.mine } end,
  n_pairs = function()
    local loss = losses.n_pairs {}
    return setmetatable({ stats = loss.stats }, { __call = function(_, z, y) return loss(z * (temperature or 0.1) ^ -0.5, y) end })
  end,
  ntxent = function() return losses.ntxent { temperature = temperature } end,
  supcon = function() return losses.supcon { temperature = temperature } end,
  multi_similarity = function() return losses.multi_similarity { beta = scale, base = own.base } end,
  circle = function() return losses.circle { m = margin, gamma = scale } end,
  proxy_anchor = function() return losses.proxy_anchor(weights { margin = margin, alpha = scale }) end,
  arcface = function() return losses.arcface(weights { margin = margin, scale = scale }) end,
  normalized_softmax = function() return losses.normalized_softmax(weights { temperature = temperature }) end,
}
local criterion = makers[own.name]()
local learns = own.name == "proxy_anchor" or own.name == "arcface" or own.name == "normalized_softmax"
local opt = optim.AdamW(learns and { net, criterion } or net, { lr = cfg.lr, weight_decay = cfg.decay })
local epochs, batches = cfg.quick and 3 or cfg.epochs, cfg.quick and 5 or cfg.batches
local lr = schedule.drive(opt, "lr", schedule.warmup_then_cosine { base = cfg.lr,
  warmup = math.min(cfg.warmup, epochs * batches // 2), steps = epochs * batches })
local sampler = crun.sampler.pk { labels = train.labels, p = math.min(cfg.batch.people, #parts.train),
                                  k = cfg.batch.images, seed = cfg.seed, batches = batches }
run:checkpoint { net = net, opt = opt, sampler = sampler, loss = learns and criterion or nil }

-- Ten views of an image share its embedding: itself and its mirror image, each where it is and two pixels to every
-- side; the sum of their embeddings, back on the sphere.
local function view(dy, dx, mirror)
  return function(images)
    local x = data.augment(images, { mean = train.mean, std = train.std })
    if dy ~= 0 or dx ~= 0 then
      x = x:pad({ 2, 2, 2, 2 }, "replicate"):narrow(3, 3 + dy, cfg.size):narrow(4, 3 + dx, cfg.size)
    end
    return mirror and x:flip(4) or x
  end
end

local function embed(part)
  local sum
  for _, at in ipairs { { 0, 0 }, { 2, 0 }, { -2, 0 }, { 0, 2 }, { 0, -2 } } do
    for _, mirror in ipairs { false, true } do
      local z = eval.embed(net, part.images, { transform = view(at[1], at[2], mirror) })
      sum = sum and sum + z or z
    end
  end
  return sum:normalize()
end

-- ---- training ---------------------------------------------------------------------------------------------------

for _ in run:epochs(epochs) do
  for rows in run:steps(sampler) do
    lr:at(run:step() - 1)
    local z = net(faces.changed(train, rows, cfg, run:step()))
    local loss = criterion(z, train.labels:index_select(rows))
    opt:zero_grad()
    run:check_loss(loss)
    loss:backward()
    local gradient = opt:clip_grad_norm(10)
    opt:step()
    if run:step() % 5 == 0 then
      local stats = criterion.stats
      run:log { ["train/loss"] = loss, ["train/active"] = stats.active, ["train/positive"] = stats.positive_distance,
                ["train/negative"] = stats.negative_distance, ["train/gradient"] = gradient }
    end
  end
  local z = embed(val)
  local scores = eval.retrieval(z, val.labels)
  run:log({ ["map@r"] = scores["map@r"], ["precision@1"] = scores["precision@1"] }, "val/")
  run:log(crun.health.embedding(z), "val/")
  run:save_best(scores["map@r"])
end
run:restore "best"                                       -- chosen on the validation people, never on the test people

-- ---- people it has never seen -----------------------------------------------------------------------------------

run:test(function()
  local test = open(parts.test)
  local z = embed(test)
  local scores = eval.all(z, test.labels)
  for _, name in ipairs { "map@r", "precision@1", "r_precision", "recall@4", "auc", "eer" } do
    run:summary { ["test/" .. name] = scores[name] }
  end
  run:embeddings("test", { embeddings = z, labels = test.labels, images = test.images })
  print(("%s: MAP@R of %d new people %.3f, precision@1 %.3f, EER %.3f"):format(own.name, #parts.test, scores["map@r"],
    scores["precision@1"], scores["eer"]))
end)
run:finish()
