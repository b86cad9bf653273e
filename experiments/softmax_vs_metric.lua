-- Classify or compare? One network trained by cross-entropy, contrastive, triplet and supervised contrastive loss, as the
-- images per person grow: retrieval of people never seen; k-NN and a linear probe on new images of those it was trained on.
--
--   crun experiments/softmax_vs_metric.lua
--   crun experiments/softmax_vs_metric.lua data=path/to/faces        (one folder per person; the first half trains)
--
-- Horiguchi, Ikami, Aizawa, "Significance of softmax-based features in comparison to distance metric learning-based
-- features", TPAMI 2020 (arXiv 1712.10151).
local crun = require "crun"
local study = require "crun.study"
local data, eval, losses, nn = crun.data, crun.eval, crun.losses, crun.nn

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with one folder per person" },
  people    = { seen = 60, unseen = 60 },                  -- of the generated faces
  first     = { 1, help = "number of the first generated person: another, and they are all others" },
  images    = { { 2, 4, 16 }, help = "images of a person that train" },
  fresh     = { 4, least = 1, help = "further images of each of those people, that test" },
  size      = { 32, least = 16, help = "height and width of the images" },
  widths    = { 16, 32, 64 },
  embedding = 64,
  batch     = { people = 16, images = 4 },
  loss      = { contrastive = { neg_margin = 0.8 }, triplet = { margin = 0.4, mine = "hard" }, supcon = { temperature = 0.1 } },
  augment   = { flip = 0.5, shift = 0.04, scale = 0.08, rotation = 6.0, brightness = 0.1, contrast = 0.3 },
  lr        = 2e-3,
  steps     = { 200, least = 1 },
  k         = { 5, least = 1, help = "neighbours that vote" },
  seed      = 1,
  seeds     = { 3, least = 1, help = "how many trainings of each" },
  quick     = false,
}
local run = crun.start(cfg, { name = "softmax_vs_metric" })

local function generated(first, people, image, images)
  local x, y = data.faces { identities = people, per_identity = images, first = first, first_image = image, size = cfg.size }
  return { images = x, labels = y - (first - 1) }          -- people count from 1
end

local function rows(set, from, to)                         -- the images from .. to of each person
  local count, list = {}, {}
  for row, person in ipairs(set.labels:totable()) do
    local n = (count[person] or 0) + 1
    count[person] = n
    if n >= from and n <= to then list[#list + 1] = row end
  end
  local index = crun.int(list)
  return { images = set.images:index_select(index), labels = set.labels:index_select(index) }
end

local counts, most, seen, unseen = {}, 0, nil, nil
if cfg.data == "generated" then
  local n = cfg.quick and { seen = 12, unseen = 8 } or cfg.people
  most = math.max(table.unpack(cfg.images))
  seen, unseen = generated(cfg.first, n.seen, 1, most + cfg.fresh), generated(cfg.first + n.seen, n.unseen, 1, 10)
else
  local set, half, other = crun.imagefolder.open(cfg.data, { size = cfg.size }), {}, {}
  for person = 1, #set.names do table.insert(person * 2 <= #set.names and half or other, person) end
  seen, unseen = set:people(half), set:people(other)
  most = #seen.labels // #half - cfg.fresh
end
for _, n in ipairs(cfg.images) do if n <= most then counts[#counts + 1] = n end end
local people, fresh = math.tointeger(seen.labels:amax():item()), rows(seen, most + 1, most + cfg.fresh)
local scaling = { mean = (seen.images:real():mean() / 255):item(), std = (seen.images:real() / 255):std():item() }

local function train(name, set, count, seed)               -- an embedding, rows not normalised
  nn.seed(seed)
  local net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding, normalize = false }
  local classify = name == "softmax" and nn.Linear(cfg.embedding, people)
  local criterion = classify and losses.cross_entropy {} or losses[name](cfg.loss[name])
  local k = math.min(cfg.batch.images, count)              -- every batch has as many images
  study.fit { modules = classify and nn.Sequential { net, classify } or net, steps = cfg.quick and 4 or cfg.steps, lr = cfg.lr,
    run = run, name = ("%s/%d/%d"):format(name, count, seed),
    batches = crun.sampler.pk { labels = set.labels, k = k, seed = seed,
      p = math.min(people, cfg.batch.people * cfg.batch.images // k) },
    loss = function(step, some)
      local options = { mean = scaling.mean, std = scaling.std, seed = seed, epoch = step }
      for key, value in pairs(cfg.augment) do options[key] = value end
      local z = net(data.augment(set.images, some, options))
      return criterion(classify and classify(z) or z:normalize(), set.labels:index_select(some))
    end }
  return function(part) return eval.embed(net, part.images, { transform = function(x) return data.augment(x, scaling) end }) end
end

local keys = { "unseen MAP@R", "seen k-NN", "seen linear probe" }
local function scores(z, set)                              -- z: from images to features
  local zk, zf = z(set), z(fresh)
  return { [keys[1]] = eval.retrieval(z(unseen), unseen.labels)["map@r"],
    [keys[2]] = eval.knn(zf, fresh.labels, { references = zk, reference_labels = set.labels, k = cfg.k,
      weights = "uniform", distance = "euclidean" }).accuracy,
    [keys[3]] = eval.linear_probe(zk, set.labels, zf, fresh.labels, { l2 = 1e-3 }).accuracy }
end

local names, studies = { "softmax", "contrastive", "triplet", "supcon" }, {}
for _, count in ipairs(counts) do
  local s, set = study.new { best = { [keys[1]] = "max", [keys[2]] = "max", [keys[3]] = "max" } }, rows(seen, 1, count)
  studies[#studies + 1] = s
  for seed in study.seeds(cfg) do
    for _, name in ipairs(names) do
      local embed = train(name, set, count, seed)
      run:test(function()
        s:add(name, scores(function(part) return embed(part):normalize() end, set), keys)
        if name == "softmax" then s:add("softmax, lengths kept", scores(embed, set), keys) end
      end)
    end
  end
  s:print(("%d images a person"):format(count))
end

-- ---- who wins where: each loss less softmax, paired by seed -------------------------------------------------------

local columns, lines = { "less softmax" }, {}
for i, count in ipairs(counts) do columns[i + 1] = count .. " images" end
for _, key in ipairs(keys) do
  local series = {}
  for _, name in ipairs(studies[1].names) do
    local line, curve = { key .. ": " .. name }, { name = name, x = {}, y = {}, low = {}, high = {} }
    for i, s in ipairs(studies) do
      local v, d = s:interval(name, key), s:difference(name, "softmax", key)
      line[i + 1] = ("%s %s"):format(study.text(d), study.verdict(d, "max"):gsub(" shown", ""))
      curve.x[i], curve.y[i], curve.low[i], curve.high[i] = counts[i], v.mean, v.low or v.mean, v.high or v.mean
      run:summary { [("%s/%d images/%s"):format(name, counts[i], key)] = v.mean }
    end
    series[#series + 1] = curve
    if name ~= "softmax" then lines[#lines + 1] = line end
  end
  crun.plot.lines { path = run:picture((key:gsub("[ @]", "_"):lower())), title = ("%s, %d people trained"):format(key, people),
    xlabel = "images per person (log)", ylabel = key, xlog = true, series = series }
end
print(crun.ui.table { columns = columns, rows = lines })
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
