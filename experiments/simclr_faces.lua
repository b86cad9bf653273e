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
local study, faces, course = require "crun.study", require "crun.study.faces", require "crun.study.course"
local eval, losses, nn = crun.eval, crun.losses, crun.nn

local cfg = crun.config {
  data         = { "generated", help = "'generated', or a folder with one folder per person" },
  share        = { 0.5, help = "of a folder's people, that trains" },
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
  lr           = { 5e-4, help = "for the middle batch; as its root for others" },
  epochs       = { 8, least = 1 },
  k            = { 5, least = 1, help = "neighbours that vote" },
  seed         = 1,
  seeds        = { 3, least = 1, help = "how many trainings of each" },
  quick        = false,
}
local run = crun.start(cfg, { name = "simclr_faces" })
local train, test = faces.load(cfg)
local N, epochs = #train.labels, cfg.quick and 2 or cfg.epochs
local function middle(list) return list[(#list + 1) // 2] end
local temperature, batch = middle(cfg.temperatures), middle(cfg.batches)

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

local function scores(z)
  return { ["k-NN"] = eval.knn(z, test.labels, { k = cfg.k, weights = "uniform" }).accuracy,
    ["MAP@R"] = eval.retrieval(z, test.labels)["map@r"] }
end

local function learn(plan, seed, watch)                    -- watch: called with the epoch and the network
  nn.seed(seed)
  local net = network()
  local whole = nn.Sequential { net, nn.ReLU(), nn.Linear(cfg.embedding, cfg.projection) }
  local criterion = crun.loss.micro(plan.loss, { rows = cfg.piece })
  local sampler = crun.sampler.shuffled { n = N, batch = math.min(plan.batch, N), drop_last = true, seed = seed }
  local opt = crun.optim.Adam(whole, { lr = cfg.lr })
  local steps = epochs * #sampler
  local lr = crun.schedule.drive(opt, "lr", crun.schedule.warmup_then_cosine { base = cfg.lr * math.sqrt(plan.batch / batch),
    warmup = math.max(1, steps // 20), steps = math.max(2, steps) })
  watch(0, net)
  for step = 1, steps do
    run:poll()
    lr:at(step - 1)
    local rows = sampler() or sampler()                    -- nil once: the end of an epoch
    local function view(n) return faces.changed(train, rows, { augment = cfg.augment, seed = seed }, 2 * step + n) end
    local labels = plan.labels:index_select(rows)
    opt:zero_grad()
    local loss = criterion(whole, crun.cat { view(0), view(1) }, crun.cat { labels, labels })
    opt:step()
    run:log { [("%s/%d/loss"):format(plan.name, seed)] = loss }
    if step % #sampler == 0 then watch(step // #sampler, net) end
  end
end

-- ---- one thing at a time: temperature, then batch; and what labels would give ------------------------------------

local own = crun.arange(1, N)                              -- each image its own class: no label is looked at
local plans, lines = {}, { temperature = {}, batch = {} }
local function plan(kind, text, T, B)
  local name = ("NT-Xent, T %g, batch %d"):format(T, math.min(B, N))
  if not plans[name] then
    plans[#plans + 1] = { name = name, loss = losses.ntxent { temperature = T }, batch = B, labels = own }
    plans[name] = true
  end
  table.insert(lines[kind], { name, text })
end
for _, T in ipairs(cfg.temperatures) do plan("temperature", ("temperature %g"):format(T), T, batch) end
for _, B in ipairs(cfg.batches) do plan("batch", ("batch %d"):format(math.min(B, N)), temperature, B) end
local chosen = ("NT-Xent, T %g, batch %d"):format(temperature, math.min(batch, N))
plans[#plans + 1] = { name = "with labels (SupCon)", loss = losses.supcon {}, batch = batch, labels = train.labels }

local results = study.new { run = run, best = { ["k-NN"] = "max", ["MAP@R"] = "max" } }
local course_of = course.new {}
local keys = { "k-NN", "MAP@R" }
for seed in study.seeds(cfg) do
  run:test(function() results:add("raw pixels", scores(test.images:real():reshape(#test.labels, -1) / 255), keys) end)
  for i, one in ipairs(plans) do
    learn(one, seed, function(epoch, net)
      run:test(function()
        local now = scores(faces.embed(net, test.images, train, 1))
        course_of:at(epoch):add(one.name, now)
        run:log { [("%s/%d/k-NN"):format(one.name, seed)] = now["k-NN"] }
        if epoch == 0 and i == 1 then results:add("untrained network", now, keys) end
        if epoch == epochs then results:add(one.name, now, keys) end
      end)
    end)
  end
end
results:print(("%d faces, people never seen"):format(#test.labels))
for _, name in ipairs(results.names) do
  if name ~= chosen then
    local d = results:difference(name, chosen, "k-NN")
    print(("%s less %s: %s of k-NN (%s)"):format(name, chosen, study.text(d), study.verdict(d, "max")))
  end
end
for kind, list in pairs(lines) do
  table.insert(list, { "with labels (SupCon)", "with labels" })
  course_of:picture { run = run, name = kind, key = "k-NN", lines = list, xlabel = "epoch", legend = "bottom right",
    title = ("%d-NN of people never seen, without labels"):format(cfg.k) }
end
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
