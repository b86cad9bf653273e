-- Faces without labels: two changed views of an image attract, all other images repel (SimCLR, NT-Xent). How much of what
-- labels would give does that find, and how does it depend on temperature and batch? k-NN of people never seen, each epoch.
--
--   crun experiments/simclr_faces.lua
--   crun experiments/simclr_faces.lua data=path/to/faces        (one folder per person; the first half trains, unlabelled)
--
-- Chen, Kornblith, Norouzi, Hinton, "A simple framework for contrastive learning of visual representations", ICML 2020.
-- The gradients of a batch come in pieces (crun.loss.micro), exactly: so memory does not grow with it; and so GroupNorm,
-- which treats rows apart, stands where SimCLR has BatchNorm.
local crun = require "crun"
local study = require "crun.study"
local data, eval, losses, nn = crun.data, crun.eval, crun.losses, crun.nn

local cfg = crun.config {
  data         = { "generated", help = "'generated', or a folder with one folder per person" },
  people       = { train = 60, test = 40 },                -- of the generated faces
  images       = { 10, least = 2, help = "generated images of a person" },
  size         = { 32, least = 16, help = "height and width of the images" },
  widths       = { 16, 32, 64 },
  embedding    = 128,
  projection   = { 64, help = "outputs of the head that the loss sees; it is left off afterwards" },
  temperatures = { { 0.05, 0.2, 1.0 }, help = "each with the middle batch" },
  batches      = { { 30, 120, 600 }, help = "images, each seen twice; each with the middle temperature" },
  piece        = { 60, least = 1, help = "images at a time in memory" },
  augment      = { flip = 0.5, shift = 0.08, scale = 0.2, rotation = 10.0, brightness = 0.2, contrast = 0.5, blur = 0.8, erase = 0.3 },
  lr           = { 2e-3, help = "for a batch of 120; as its root for others" },
  epochs       = { 12, least = 1 },
  k            = { 5, least = 1, help = "neighbours that vote" },
  seed         = 1,
  seeds        = { 3, least = 1, help = "how many trainings of each" },
  quick        = false,
}
local run = crun.start(cfg, { name = "simclr_faces" })

local train, test
if cfg.data == "generated" then
  local function generated(first, people)
    local x, y = data.faces { identities = people, per_identity = cfg.images, first = first, size = cfg.size }
    return { images = x, labels = y }
  end
  local n = cfg.quick and { train = 6, test = 6 } or cfg.people
  train, test = generated(1, n.train), generated(1 + n.train, n.test)
else
  local set, half, other = crun.imagefolder.open(cfg.data, { size = cfg.size }), {}, {}
  for person = 1, #set.names do table.insert(person * 2 <= #set.names and half or other, person) end
  train, test = set:people(half), set:people(other)
end
local N, epochs = #train.labels, cfg.quick and 2 or cfg.epochs
local scaling = { mean = (train.images:real():mean() / 255):item(), std = (train.images:real() / 255):std():item() }

local function network()
  local layers, channels, side = {}, 1, cfg.size
  for i, width in ipairs(cfg.widths) do
    layers[i] = nn.Sequential { nn.Conv2d(channels, width, 3, { padding = 1, bias = false }), nn.GroupNorm(width // 4, width),
                                nn.ReLU(), nn.MaxPool2d(2) }
    channels, side = width, side // 2
  end
  layers[#layers + 1] = nn.Flatten()
  layers[#layers + 1] = nn.Linear(channels * side * side, cfg.embedding)
  return nn.Sequential(layers)
end

local function embed(net)
  return eval.embed(net, test.images, { transform = function(x) return data.augment(x, scaling) end }):normalize()
end

local keys = { "k-NN", "MAP@R" }
local function scores(z)
  return { [keys[1]] = eval.knn(z, test.labels, { k = cfg.k, weights = "uniform" }).accuracy,
    [keys[2]] = eval.retrieval(z, test.labels)["map@r"] }
end

local function learn(name, loss, batch, seed, labels, watch)
  nn.seed(seed)
  local net = network()
  local whole = nn.Sequential { net, nn.ReLU(), nn.Linear(cfg.embedding, cfg.projection) }
  local criterion = crun.loss.micro(loss, { rows = cfg.piece })
  batch = math.min(batch, N)
  local sampler = crun.sampler.views { n = N, batch = batch, seed = seed }
  local opt = crun.optim.Adam(whole, { lr = cfg.lr })
  local steps = epochs * #sampler
  local lr = crun.schedule.drive(opt, "lr", crun.schedule.warmup_then_cosine { base = cfg.lr * math.sqrt(batch / 120),
    warmup = math.max(1, steps // 20), steps = steps })
  watch(0, net)
  for step = 1, steps do
    run:poll()
    lr:at(step - 1)
    local rows = sampler() or sampler()                    -- nil once: the end of an epoch
    local options = { mean = scaling.mean, std = scaling.std, seed = seed, epoch = step }
    for key, value in pairs(cfg.augment) do options[key] = value end
    local second = crun.arange(1, #rows):gt(batch):int() * N             -- the second view is drawn by other numbers
    opt:zero_grad()
    local value = criterion(whole, data.augment(train.images, rows, rows + second, options), labels:index_select(rows))
    opt:step()
    if step % #sampler == 0 then
      run:log { [("%s/%d/loss"):format(name, seed)] = value }
      watch(step // #sampler, net)
    end
  end
end

-- ---- one thing at a time: temperature, then batch; and what labels would give ------------------------------------

local middle = { temperature = cfg.temperatures[(#cfg.temperatures + 1) // 2], batch = cfg.batches[(#cfg.batches + 1) // 2] }
local own = crun.arange(1, N)                              -- each image its own class: no label is looked at
local plans, pictures = {}, { temperature = {}, batch = {} }
local function plan(kind, text, value, batch)
  local name = ("NT-Xent, T %g, batch %d"):format(value, math.min(batch, N))
  if not plans[name] then
    plans[name] = { name = name, loss = losses.ntxent { temperature = value }, batch = batch, labels = own }
    plans[#plans + 1] = plans[name]
  end
  table.insert(pictures[kind], { name = text, plan = name })
end
for _, value in ipairs(cfg.temperatures) do plan("temperature", ("temperature %g"):format(value), value, middle.batch) end
for _, batch in ipairs(cfg.batches) do plan("batch", ("batch %d"):format(math.min(batch, N)), middle.temperature, batch) end
plans[#plans + 1] = { name = "with labels (SupCon)", loss = losses.supcon { temperature = 0.1 }, batch = middle.batch,
  labels = train.labels }
for _, list in pairs(pictures) do list[#list + 1] = { name = "with labels", plan = "with labels (SupCon)" } end

local results = study.new { run = run, best = { [keys[1]] = "max", [keys[2]] = "max" } }
local flat = test.images:real():reshape(#test.labels, -1) / 255
local courses = {}                                         -- name -> a study with a name an epoch
for seed in study.seeds(cfg) do
  run:test(function() results:add("raw pixels", scores(flat), keys) end)
  for i, one in ipairs(plans) do
    courses[one.name] = courses[one.name] or study.new {}
    learn(one.name, one.loss, one.batch, seed, one.labels, function(epoch, net)
      run:test(function()
        local now = scores(embed(net))
        courses[one.name]:add(epoch, now, keys)
        if epoch == 0 and i == 1 then results:add("untrained network", now, keys) end
        if epoch == epochs then results:add(one.name, now, keys) end
      end)
    end)
  end
end
results:print(("%d faces, people never seen"):format(#test.labels))

for kind, list in pairs(pictures) do
  local series = {}
  for i, line in ipairs(list) do
    local curve = { name = line.name, x = {}, y = {}, low = {}, high = {} }
    for epoch = 0, epochs do
      local v = courses[line.plan]:interval(epoch, keys[1])
      table.insert(curve.x, epoch)
      table.insert(curve.y, v.mean)
      table.insert(curve.low, v.low or v.mean)
      table.insert(curve.high, v.high or v.mean)
    end
    series[i] = curve
  end
  crun.plot.lines { path = run:picture(kind), title = ("%d-NN of people never seen"):format(cfg.k), xlabel = "epoch",
    ylabel = "share right", series = series, legend = "bottom right" }
end

local chosen = ("NT-Xent, T %g, batch %d"):format(middle.temperature, math.min(middle.batch, N))
for _, name in ipairs(results.names) do
  if name ~= chosen then
    local d = results:difference(name, chosen, keys[1])
    print(("%s less %s: %s of %s (%s)"):format(name, chosen, study.text(d), keys[1], study.verdict(d, "max")))
  end
end
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
