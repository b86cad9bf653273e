-- Learns to tell faces apart: a small convolutional network, trained by triplets on some people, tested on people
-- it has never seen. On the generated faces, or on any folder with one folder per person:
--
--   crun experiments/triplet_faces.lua
--   crun experiments/triplet_faces.lua data=path/to/faces seed=2 loss.margin=0.3
--   crun experiments/triplet_faces.lua --help
--
-- Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015; Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017.
local crun = require "crun"
local data, eval, nn, optim, plot, schedule = crun.data, crun.eval, crun.nn, crun.optim, crun.plot, crun.schedule

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with one folder per person (PGM or PNG)" },
  size      = { 64, least = 16, help = "height and width of the images" },
  people    = { train = 150, val = 15, test = 35 },       -- of the generated faces
  images    = { 12, least = 2, help = "generated images of a person" },
  folder    = { test = 0.5, val = 0.05 },                 -- shares of a folder's people; the rest trains
  widths    = { 16, 32, 64, 128 },                        -- channels of the convolutions
  embedding = { 256, least = 2 },
  batch     = { people = 16, images = 4 },
  loss      = { margin = 0.6, mine = "hard", squared = false },
  augment   = { flip = 0.5, shift = 0.03, scale = 0.08, rotation = 6.0, brightness = 0.1, contrast = 0.3 },
  lr        = { 1e-3, help = "at its height: warm-up, then a cosine to 0" },
  warmup    = { 20, help = "steps" },
  epochs    = { 12, least = 1 },
  batches   = { 45, least = 1, help = "an epoch" },
  seed      = 1,
  quick     = { false, help = "a few steps on a few people, to see that all works" },
}
local run = crun.start(cfg, { name = "triplet_faces" })

-- ---- data: three sets of people that share nobody ---------------------------------------------------------------

local function generated(first, people)
  local images, labels = data.faces { identities = people, per_identity = cfg.images, first = first, size = cfg.size }
  return { images = images, labels = labels, people = people }
end

local function load_sets()
  if cfg.data == "generated" then
    local n = cfg.quick and { train = 20, val = 6, test = 10 } or cfg.people
    return { train = generated(1, n.train), val = generated(1 + n.train, n.val),
             test = generated(1 + n.train + n.val, n.test) }
  end
  local set = crun.imagefolder.open(cfg.data, { size = cfg.size })
  local n = #set.names
  local test, val = math.ceil(n * cfg.folder.test), math.ceil(n * cfg.folder.val)
  local sets = set:split { train = n - test - val, val = val, test = test }
  for _, part in pairs(sets) do part.people = #part.names end
  return sets
end

local sets = load_sets()
local train, val, test = sets.train, sets.val, sets.test
local grey = train.images:real() / 255
local scaling = { mean = grey:mean():item(), std = grey:std():item() }

local function changed(rows, step)                       -- a function of seed, step and row alone
  local options = { mean = scaling.mean, std = scaling.std, seed = cfg.seed, epoch = step }
  for name, value in pairs(cfg.augment) do options[name] = value end
  return data.augment(train.images, rows, options)
end

-- ---- network, loss, optimiser -----------------------------------------------------------------------------------

nn.seed(cfg.seed)
local layers, channels, side = {}, 1, cfg.size
for i, width in ipairs(cfg.widths) do
  layers[i] = nn.Sequential { nn.Conv2d(channels, width, 3, { padding = 1, bias = false }), nn.BatchNorm2d(width),
                              nn.ReLU(), nn.MaxPool2d(2) }
  channels, side = width, side // 2
end
layers[#layers + 1] = nn.Flatten()
layers[#layers + 1] = nn.Linear(channels * side * side, cfg.embedding)
layers[#layers + 1] = nn.Normalize()
local net = nn.Sequential(layers)

local criterion = crun.losses.triplet(cfg.loss)
local opt = optim.Adam(net, { lr = cfg.lr })
local epochs, batches = cfg.quick and 2 or cfg.epochs, cfg.quick and 5 or cfg.batches
local lr = schedule.drive(opt, "lr", schedule.warmup_then_cosine { base = cfg.lr,
  warmup = math.min(cfg.warmup, epochs * batches // 2), steps = epochs * batches })
local sampler = crun.sampler.pk { labels = train.labels, p = math.min(cfg.batch.people, train.people),
                                  k = cfg.batch.images, seed = cfg.seed, batches = batches }
run:checkpoint { net = net, opt = opt, sampler = sampler }

-- Ten views of an image share its embedding: itself and its mirror image, each where it is and two pixels to every side;
-- the sum of their embeddings, back on the sphere.
local function view(dy, dx, mirror)
  return function(images)
    local x = data.augment(images, scaling)
    if dy ~= 0 or dx ~= 0 then
      x = x:pad({ 2, 2, 2, 2 }, "replicate"):narrow(3, 3 + dy, cfg.size):narrow(4, 3 + dx, cfg.size)
    end
    return mirror and x:flip(4) or x
  end
end

local places = { { 0, 0 }, { 2, 0 }, { -2, 0 }, { 0, 2 }, { 0, -2 } }
local function embed(set, n)
  local z
  for _, at in ipairs(table.move(places, 1, n or #places, 1, {})) do
    for _, mirror in ipairs { false, true } do
      local one = eval.embed(net, set.images, { transform = view(at[1], at[2], mirror) })
      z = z and z + one or one
    end
  end
  return z:normalize()
end

-- ---- training ---------------------------------------------------------------------------------------------------

for _ in run:epochs(epochs) do
  for rows in run:steps(sampler) do
    lr:at(run:step() - 1)
    local z = net(changed(rows, run:step()))
    local loss = criterion(z, train.labels:index_select(rows))
    opt:zero_grad()
    run:check_loss(loss)
    loss:backward()
    opt:step()
    run:log { ["train/loss"] = loss, ["train/active"] = criterion.stats.active, ["train/lr"] = opt.lr }
  end
  local scores = eval.retrieval(embed(val, 1), val.labels)      -- one place is enough to compare epochs
  run:log(scores, "val/")
  run:save_best(scores["map@r"])
end
run:restore "best"                                       -- chosen on the validation people, never on the test people

-- ---- what it learnt: people it has never seen -------------------------------------------------------------------

local function flat(set) return set.images:real():reshape(#set.images, -1) / 255 end
local pca = crun.pca.fit(flat(train), math.min(50, #train.images - 1))
local z = embed(test)
local rivals = {
  { "raw pixels", flat(test), "baseline/pixels/" },
  { ("eigenfaces (%d)"):format(#pca.components), pca:transform(flat(test)), "baseline/eigenfaces/" },
  { "network", embed(test), "test/" },
}
local shown = { "precision@1", "r_precision", "map@r", "recall@2", "recall@8", "auc", "eer" }
local rows = {}
for i, rival in ipairs(rivals) do
  local name, z, prefix = table.unpack(rival)
  local scores = eval.all(z, test.labels)
  rows[i] = { name }
  for _, key in ipairs(shown) do
    rows[i][#rows[i] + 1] = scores[key]
    run:summary { [prefix .. key] = scores[key] }
  end
end
local best = { eer = "min" }
for _, key in ipairs(shown) do best[key] = best[key] or "max" end
print(crun.ui.table { columns = { ("%d new people"):format(test.people), table.unpack(shown) }, rows = rows, best = best })

-- ---- pictures ---------------------------------------------------------------------------------------------------

local z = rivals[3][2]
local same, different = eval.distances(z, test.labels)
local history = run:history { "train/loss", "train/active", "val/map@r" }
plot.lines { path = run:picture "learning_curves", title = "Learning", xlabel = "step", ylim = { 0, 1.3 }, legend = "top right",
  series = { { name = "triplet loss", x = history["train/loss"].step, y = history["train/loss"].value },
             { name = "share of active triplets", x = history["train/active"].step, y = history["train/active"].value },
             { name = "MAP@R of the validation people", x = history["val/map@r"].step, y = history["val/map@r"].value } } }
plot.retrieval { path = run:picture "retrieval", title = "Test people: query and nearest", images = test.images,
  labels = test.labels, embeddings = z, queries = crun.arange(1, #z, math.max(1, #z // 8)):narrow(1, 1, 8), k = 8 }
plot.histogram { path = run:picture "distances", title = "Distances of test pairs", xlabel = "distance",
  series = { { name = "same person", values = same }, { name = "different people", values = different } } }
plot.map { path = run:picture "map", title = "Test faces, two principal components of their embeddings",
  points = crun.pca.fit(z, 2):transform(z), labels = test.labels, images = test.images }

local ratio = rows[3][4] / math.max(rows[1][4], rows[2][4])
print(("\nOf people it never saw, the network finds %.0f %% of the nearest right (MAP@R %.3f), %.1f times the better baseline."):format(
  100 * rows[3][2], rows[3][4], ratio))
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
