-- Classify or compare? One network trained by cross-entropy, contrastive, triplet and supervised contrastive loss, as the
-- images per person grow: retrieval of people never seen; k-NN and a linear probe on new images of those it was trained on.
--
--   crun experiments/softmax_vs_metric.lua
--   crun experiments/softmax_vs_metric.lua data=path/to/faces        (one folder per person; the first half trains)
--
-- Horiguchi, Ikami, Aizawa, "Significance of softmax-based features in comparison to distance metric learning-based
-- features", TPAMI 2020 (arXiv 1712.10151).
local crun = require "crun"
local study, faces, course = require "crun.study", require "crun.study.faces", require "crun.study.course"
local eval, losses, nn = crun.eval, crun.losses, crun.nn

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
  seeds     = { 5, least = 1, help = "how many trainings of each" },
  quick     = false,
}
local run = crun.start(cfg, { name = "softmax_vs_metric" })

-- people seen in training, with most + fresh images each, and people who are not
local counts, most, seen, unseen = {}, math.max(table.unpack(cfg.images)), nil, nil
if cfg.data == "generated" then
  local n = cfg.quick and { seen = 12, unseen = 8 } or cfg.people
  seen = faces.generated(cfg.first, n.seen, { images = most + cfg.fresh, size = cfg.size })
  unseen = faces.generated(cfg.first + n.seen, n.unseen, { images = 10, size = cfg.size })
else
  local parts = crun.imagefolder.open(cfg.data, { size = cfg.size }):split { seen = 0.5, unseen = "rest" }
  seen, unseen = parts.seen, parts.unseen
  seen.people = #seen.names
  most = math.min(most, #seen.labels // seen.people - cfg.fresh)
end
local _, class = crun.unique(seen.labels)                  -- from 1 without gaps, as cross-entropy counts classes
seen.labels = class
for _, n in ipairs(cfg.images) do if n <= most then counts[#counts + 1] = n end end
if #counts == 0 then
  crun.fail("softmax_vs_metric", ("images: with fresh = %d, %d of a person's images are left to train"):format(cfg.fresh, math.max(0, most)), 3)
end

local function part(from, to)                              -- the images from .. to of each person seen
  local count, list = {}, {}
  for row, person in ipairs(seen.labels:totable()) do
    count[person] = (count[person] or 0) + 1
    if count[person] >= from and count[person] <= to then list[#list + 1] = row end
  end
  local rows = crun.int(list)
  return { images = seen.images:index_select(rows), labels = seen.labels:index_select(rows), mean = seen.mean, std = seen.std }
end
faces.scaled(seen)
local fresh = part(most + 1, most + cfg.fresh)

local function train(name, set, count, seed)               -- an embedding, rows not normalised
  nn.seed(seed)
  local net = study.convnet { size = cfg.size, widths = cfg.widths, embedding = cfg.embedding, normalize = false }
  local classify = name == "softmax" and nn.Linear(cfg.embedding, seen.people)
  local criterion = classify and losses.cross_entropy {} or losses[name](cfg.loss[name])
  local k = math.min(cfg.batch.images, count)              -- every batch has as many images
  study.fit { modules = classify and nn.Sequential { net, classify } or net, steps = cfg.quick and 4 or cfg.steps, lr = cfg.lr,
    run = run, name = ("%s/%d/%d"):format(name, count, seed),
    batches = crun.sampler.pk { labels = set.labels, k = k, seed = seed,
      p = math.min(seen.people, cfg.batch.people * cfg.batch.images // k) },
    loss = function(step, some)
      local z = net(study.changed(set, some, { augment = cfg.augment, seed = seed }, step))
      return criterion(classify and classify(z) or z:normalize(), set.labels:index_select(some))
    end }
  return function(images)
    return eval.embed(net, images, { transform = function(x) return crun.data.augment(x, { mean = seen.mean, std = seen.std }) end })
  end
end

local keys = { "unseen MAP@R", "seen k-NN", "seen linear probe" }
local function scores(z, set)                              -- z: from images to features
  local zk, zf = z(set.images), z(fresh.images)
  return { [keys[1]] = eval.retrieval(z(unseen.images), unseen.labels)["map@r"],
    [keys[2]] = eval.knn(zf, fresh.labels, { references = zk, reference_labels = set.labels, k = cfg.k,
      weights = "uniform", distance = "euclidean" }).accuracy,
    [keys[3]] = eval.linear_probe(zk, set.labels, zf, fresh.labels, { l2 = 1e-3 }).accuracy }
end

local results = course.new { best = { [keys[1]] = "max", [keys[2]] = "max", [keys[3]] = "max" } }
for _, count in ipairs(counts) do
  local s, set = results:at(count), part(1, count)
  for seed in study.seeds(cfg) do
    for _, name in ipairs { "softmax", "contrastive", "triplet", "supcon" } do
      local embed = train(name, set, count, seed)
      run:test(function()
        s:add(name, scores(function(images) return embed(images):normalize() end, set), keys)
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
  for _, name in ipairs(results:at(counts[1]).names) do
    local line = { key .. ": " .. name }
    for i, count in ipairs(counts) do
      local s = results:at(count)
      local d = s:difference(name, "softmax", key)
      line[i + 1] = ("%s %s"):format(study.text(d), study.verdict(d, "max"):gsub(" shown", ""))
      run:summary { [("%s/%d images/%s"):format(name, count, key)] = s:mean(name, key) }
    end
    if name ~= "softmax" then lines[#lines + 1] = line end
  end
  results:picture { run = run, name = key:gsub("[ @]", "_"):lower(), key = key, xlabel = "images per person (log)", xlog = true,
    title = ("%s, %d people trained"):format(key, seen.people) }
end
print(crun.ui.table { columns = columns, rows = lines })
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
