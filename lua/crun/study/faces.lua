--- What experiments on faces share: people who train and people who test, views, embeddings.
--
--     local train, test = faces.load(cfg)
--     local net = faces.trained(train, criterion, cfg, seed, { run = run, name = "triplet" })
--     local z = faces.embed(net, test.images, train, 10)
--
-- @module crun.study.faces
local crun = require "crun"
local study = require "crun.study"

local M = {}

local PLACES <const> = { { 0, 0 }, { 2, 0 }, { -2, 0 }, { 0, 2 }, { 0, -2 } }

--- The generated faces of n people from number `first` on: { images, labels, people }. dials: more
-- options of crun.data.faces.
function M.generated(first, n, cfg, dials)
  local o = { identities = n, per_identity = cfg.images, first = first, size = cfg.size }
  for name, value in pairs(dials or {}) do o[name] = value end
  local images, labels = crun.data.faces(o)
  return { images = images, labels = labels, people = n }
end

--- Gives a training set `mean` and `std`, of its pixels; returns it.
function M.scaled(train)
  local grey = train.images:real() / 255
  train.mean, train.std = grey:mean():item(), grey:std():item()
  return train
end

--- People who train, and others who test. cfg: data ("generated", or a folder with one folder per
-- person: the first `share` of them trains, s2 before s10), people = { train =, test = } and images
-- (of each) of the generated faces, size, quick. The training set is scaled.
function M.load(cfg)
  local train, test
  if cfg.data == "generated" then
    local n = cfg.quick and { train = 12, test = 8 } or cfg.people
    train, test = M.generated(1, n.train, cfg), M.generated(1 + n.train, n.test, cfg)
  else
    local sets = crun.imagefolder.open(cfg.data, { size = cfg.size }):split { train = cfg.share,
      test = "rest" }
    train, test = sets.train, sets.test
    for _, set in pairs(sets) do set.people = #set.names end
  end
  return M.scaled(train), test
end

--- Rows of the training set, changed at random: cfg.augment, cfg.seed and the step decide how.
function M.changed(train, rows, cfg, step)
  local o = { mean = train.mean, std = train.std, seed = cfg.seed, epoch = step }
  for name, value in pairs(cfg.augment) do o[name] = value end
  return crun.data.augment(train.images, rows, o)
end

--- A network (study.convnet) trained on P x K batches with a criterion of embeddings and labels. cfg:
-- size, widths, embedding, batch = { people =, images = }, augment, lr, steps, quick. opts: more of
-- study.fit.
function M.trained(train, criterion, cfg, seed, opts)
  crun.nn.seed(seed)
  local net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding }
  local o = { modules = net, steps = cfg.quick and 4 or cfg.steps, lr = cfg.lr,
    batches = crun.sampler.pk { labels = train.labels, k = cfg.batch.images, seed = seed,
      p = math.min(cfg.batch.people, train.people) },
    loss = function(step, rows)
      local x = M.changed(train, rows, cfg, step + 1000000 * seed)
      return criterion(net(x), train.labels:index_select(rows))
    end }
  for name, value in pairs(opts or {}) do o[name] = value end
  study.fit(o)
  return net
end

--- Embeddings of images, `views` (1 to 10) views sharing one: the image, its mirror image, then
-- both moved two pixels to each side; their sum, back on the sphere.
function M.embed(net, images, train, views)
  local sum
  for view = 0, views - 1 do
    local place, mirror = PLACES[view // 2 + 1], view % 2 == 1
    local z = crun.eval.embed(net, images, { transform = function(batch)
      local x = crun.data.augment(batch:contiguous(), { mean = train.mean, std = train.std })
      local H, W = x:size(3), x:size(4)
      if view > 1 then
        x = x:pad({ 2, 2, 2, 2 }, "replicate"):narrow(3, 3 + place[1], H):narrow(4, 3 + place[2], W)
      end
      return mirror and x:flip(4) or x
    end })
    sum = sum and sum + z or z
  end
  return sum:normalize()
end

return M
