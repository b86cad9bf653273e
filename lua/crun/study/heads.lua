--- What experiments/feature_head.lua does with features: reads, splits, trains a head, scores,
-- writes.
--
-- @module crun.study.heads
local crun = require "crun"
local options = require "crun.options"

local M = {}

local EXIT_CONFIG <const>, EXIT_DATA <const> = 3, 4

--- Takes loss.OPTION=VALUE out of a list of arguments: the options (numbers, true and false,
-- texts), and the arguments that are left.
function M.take_loss_options(args)
  local own, rest = {}, {}
  for _, argument in ipairs(args) do
    local key, text = argument:match "^%-*loss%.([%w_]+)=(.*)$"
    if key then
      local value = tonumber(text)
      if text == "true" or text == "false" then value = text == "true" end
      if value == nil then value = text end
      own[key] = value
    else
      rest[#rest + 1] = argument
    end
  end
  return own, rest
end

--- "loss supcon, temperature 0.1".
function M.describe(name, own)
  local text = "loss " .. name
  for _, key in ipairs(options.sorted_keys(own)) do
    text = ("%s, %s %s"):format(text, key, tostring(own[key]))
  end
  return text
end

--- x real [N D], labels int64 [N] from 1, names of the classes: of the file cfg.data, or of pixels
-- of generated characters brought to 200 principal components.
function M.load(cfg)
  if cfg.data == "generated" then
    local images, labels = crun.data.glyphs { alphabets = cfg.quick and 2 or 5, writers = 12,
      place = 0.5 }
    local flat, names = images:real():reshape(#images, -1) / 255, {}
    for i = 1, labels:amax():item() do names[i] = "character " .. i end
    return { x = crun.pca.fit(flat, cfg.quick and 40 or 200):transform(flat), labels = labels,
      names = names }
  end
  local set = crun.datasets.features(cfg.data, { labels = cfg.labels ~= "" and cfg.labels or nil })
  if not set.labels then
    crun.fail("feature_head", cfg.data .. " has no labels: a .npy needs labels=FILE.npy, a " ..
      ".safetensors a tensor 'labels' or labels=NAME, a .csv a column 'label' or labels=NAME",
      EXIT_DATA)
  end
  return { x = set.x, labels = set.labels, names = set.names }
end

local function part(set, rows)
  rows = crun.int(rows)
  return { x = set.x:index_select(rows), labels = set.labels:index_select(rows) }
end

--- Training and test set: they share no class, or (cfg.split = "rows") no row.
function M.split(set, cfg, seed)
  local labels, rng = set.labels:totable(), crun.rng(seed, "feature_head.split")
  local units = crun.arange(1, cfg.split == "classes" and #set.names or #labels):totable()
  rng:shuffle(units)
  local n, tested = math.floor(#units * cfg.test + 0.5), {}
  for i = 1, n do tested[units[i]] = true end
  local train, test = {}, {}
  for row, label in ipairs(labels) do
    local to = tested[cfg.split == "classes" and label or row] and test or train
    to[#to + 1] = row
  end
  if #train < 2 or #test < 2 then
    crun.fail("feature_head", ("test = %g leaves %d rows to train on and %d to test on"):format(
      cfg.test, #train, #test), EXIT_CONFIG)
  end
  return part(set, train), part(set, test)
end

-- the loss by its name; one with class weights is told how many classes there are and how wide
local function new_loss(name, own, classes, width)
  local known, about = pcall(crun.describe, "losses", name)
  local make = crun.losses[name]
  if not make then
    crun.fail("feature_head", ("there is no loss '%s'; `crun help loss` lists them"):format(name),
      EXIT_CONFIG)
  end
  local set = {}
  for key, value in pairs(own) do set[key] = value end
  for _, input in ipairs(known and about.inputs or {}) do
    if input.name == "weights" then set.classes, set.dim = classes, width end
  end
  return make(set)
end

--- Trains a head on a set; returns a function from features to rows of length 1. Features are
-- brought to mean 0 and a mean squared length of 1 first; a linear head starts at the principal
-- components, so that it begins where the features are.
function M.train(train, cfg, own, seed, run)
  local nn, study = crun.nn, require "crun.study"
  local middle = train.x:mean(1)
  local scale = 1 / math.sqrt((train.x - middle):square():sum(2):mean():item() + 1e-12)
  local inputs = train.x:size(2)
  nn.seed(seed)
  local layers, width = {}, inputs
  if cfg.hidden > 0 then
    layers[1], layers[2], width = nn.Linear(inputs, cfg.hidden), nn.ReLU(), cfg.hidden
  end
  local last = nn.Linear(width, cfg.width)
  if cfg.hidden == 0 then
    local axes = crun.pca.fit(train.x, math.min(cfg.width, inputs, #train.x - 1)).components
    last.weight:detach():narrow(1, 1, #axes):copy_(axes)
    last.bias:detach():zero_()
  end
  layers[#layers + 1], layers[#layers + 2] = last, nn.Normalize()
  local net = nn.Sequential(layers)

  local x = (train.x - middle) * scale
  local values, labels = crun.unique(train.labels)        -- labels from 1 without gaps
  local classes = #values
  local criterion = new_loss(cfg.loss, own, classes, cfg.width)
  study.fit { modules = { net, criterion }, steps = cfg.quick and 20 or cfg.steps, lr = cfg.lr,
    weight_decay = cfg.weight_decay, run = run, name = "seed" .. seed,
    batches = crun.sampler.pk { labels = labels, p = math.min(cfg.batch.classes, classes),
      k = cfg.batch.rows, short = "repeat", seed = seed },
    loss = function(_, rows)
      return criterion(net(x:index_select(rows)), labels:index_select(rows))
    end }
  return function(features)
    return crun.eval.embed(net, (features - middle) * scale)
  end
end

--- Retrieval and verification of a test set.
function M.scores(z, labels) return crun.eval.all(z, labels, { limit = 200000 }) end

--- Distances before and after, as two histograms.
function M.picture(run, o)
  for _, name in ipairs { "before", "after" } do
    local same, different = crun.eval.distances(o[name]:normalize(), o.labels, { limit = 200000 })
    crun.plot.histogram { path = run:picture("distances_" .. name), xlim = { 0, 2 },
      title = ("Test pairs %s the head"):format(name), xlabel = "distance on the sphere",
      series = { { name = "same class", values = same },
        { name = "different classes", values = different } } }
  end
end

--- Writes rows as .npy, or as .safetensors with the labels (numbers from 1).
function M.write(path, z, set)
  if path:find "%.npy$" then return crun.io.write_npy(path, z) end
  crun.io.write_safetensors(path, { embeddings = z, labels = set.labels })
end

return M
