-- How much shift, scale, rotation, turn, light, expression, spectacles and caps do faces bear? Principal components
-- ("eigenfaces") against a network, one dial of the face generator at a time: who is it, by the nearest of one plain
-- picture of each person?
--
--   crun experiments/eigenfaces.lua
--   crun experiments/eigenfaces.lua data=path/to/faces        shift, scale, rotation, light of real pictures
--
-- Turk, Pentland, "Eigenfaces for recognition", 1991; Belhumeur, Hespanha, Kriegman, "Eigenfaces vs. Fisherfaces", TPAMI
-- 1997 (without the first three); Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015.
local crun = require "crun"
local study, faces, course = require "crun.study", require "crun.study.faces", require "crun.study.course"

local cfg = crun.config {
  data      = { "generated", help = "'generated', or a folder with one folder per person (PGM, PNG or JPEG)" },
  share     = { 0.5, help = "of a folder's people train, in the order of their names (s2 before s10); the others test" },
  size      = { 48, least = 16, help = "height and width of the images" },
  people    = { train = 80, test = 100 },                   -- of the generated faces
  images    = { 10, least = 2, help = "generated images of a person to train on" },
  probes    = { 2, least = 1, help = "generated images of a test person at each place of a dial" },
  places    = { 5, least = 2, help = "of each dial, from 0 to its most" },
  keep      = { 50, least = 4, help = "principal components" },
  widths    = { 16, 32, 64, 128 },
  embedding = { 256, least = 2 },
  batch     = { people = 16, images = 4 },
  margin    = { 0.6, help = "of the triplet loss, hardest triplets of a batch" },
  augment   = { flip = 0.5, shift = 0.03, scale = 0.08, rotation = 6.0, brightness = 0.1, contrast = 0.3 },
  lr        = 1e-3,
  steps     = { 300, least = 1 },
  seed      = 1,
  seeds     = { 5, least = 1, help = "each trains anew, on other generated people" },
  quick     = false,
}
local run = crun.start(cfg, { name = "eigenfaces" })
local generated = cfg.data == "generated"
local order = generated and { "shift", "scale", "rotation", "turn", "light", "expression", "spectacles", "cap" } or
  { "shift", "scale", "rotation", "light" }
local most = { shift = 2, scale = 2, rotation = 2, turn = 2, light = 2, expression = 2, spectacles = 4, cap = 8 }
local unit = { shift = "shift", scale = "scale", rotation = "rotation", light = "brightness" }      -- of real pictures
local largest = { shift = 0.1, scale = 0.25, rotation = 20, light = 0.4 }
local places = cfg.quick and 2 or cfg.places

-- pictures of the test people, all dials at 0 but one; real pictures are moved, turned and lit as they are
local function pictures(test, dial, share, first, each, seed)
  if generated then
    local o = { seed = seed, per_identity = each, first_image = first, beard = 0, background = 0 }
    for name, value in pairs(most) do o[name] = name == dial and share * value or 0 end
    return faces.generated(test.first, test.people, cfg, o)
  end
  local rows = test.odd_even[first % 2 + 1]                 -- the gallery has every other picture
  local x, o = test.images:index_select(rows), { seed = seed }
  if dial then o[unit[dial]] = share * largest[dial] end
  return { images = (crun.data.augment(x, o) * 255 + 0.5):clamp { min = 0, max = 255 }:byte(), labels = test.labels:index_select(rows) }
end

local function people(seed)                                 -- who trains, who tests
  if generated then
    local n = cfg.quick and { train = 12, test = 6 } or cfg.people
    local train = faces.generated(1, n.train, cfg, { seed = seed })
    return faces.scaled(train), { first = 1 + n.train, people = n.test }
  end
  local train, test = faces.load(cfg)
  local rows = { {}, {} }
  for i = 1, #test.images do table.insert(rows[i % 2 + 1], i) end
  test.odd_even = { crun.int(rows[1]), crun.int(rows[2]) }
  return train, test
end

local function flat(images) return images:real():reshape(#images, -1) / 255 end

local dials, examples, KEY = {}, {}, "% recognised"          -- a course a dial: the share recognised over its places
for _, dial in ipairs(order) do dials[dial] = course.new {} end
local names = { "pixels", "eigenfaces", "eigenfaces, not the first 3", "network" }
for seed in study.seeds(cfg) do
  local train, test = people(seed)
  local net = faces.trained(train, crun.losses.triplet { margin = cfg.margin, mine = "hard" }, cfg, seed,
    { run = run, name = "seed" .. seed })
  local pca = crun.pca.fit(flat(train.images), math.min(cfg.keep, #train.images - 1))
  local views = {
    flat,
    function(x) return pca:transform(flat(x)) end,
    function(x) return pca:transform(flat(x)):narrow(2, 4, #pca.components - 3) end,
    function(x) return faces.embed(net, x, train, 2) end,
  }
  run:test(function()
    local gallery = pictures(test, nil, 0, 1, 1, seed)
    for _, dial in ipairs(order) do
      for place = 1, places do
        local probe = pictures(test, dial, (place - 1) / (places - 1), 2, cfg.probes, seed)
        for v, view in ipairs(views) do
          local nearest = crun.cdist(view(probe.images), view(gallery.images)):argmin { dim = 2 }
          local right = gallery.labels:index_select(nearest):eq(probe.labels):real():mean():item()
          dials[dial]:at(100 * (place - 1) / (places - 1)):add(names[v], { [KEY] = 100 * right })
        end
        if not examples[dial] or place == places then examples[dial] = probe.images:narrow(1, 1, 6) end
      end
    end
  end)
end

-- what each dial costs: the share recognised at its most
local rows = {}
for i, dial in ipairs(order) do
  rows[i] = { dial }
  for v, name in ipairs(names) do
    local start, finish = dials[dial]:at(0):interval(name, KEY), dials[dial]:at(100):interval(name, KEY)
    rows[i][v + 1] = ("%.0f -> %s"):format(start.mean, study.text(finish, 1))
    run:summary { [name .. "/" .. dial] = finish.mean, [name .. "/" .. dial .. " ±"] = finish.half }
  end
end
print(crun.ui.table { columns = { "% recognised, dial 0 -> most", table.unpack(names) }, rows = rows })

local panels, strip, captions = {}, {}, {}
for i, dial in ipairs(order) do
  panels[i] = dials[dial]:picture { key = KEY, title = dial, width = 440, height = 330, ylim = { 0, 105 },
    xlabel = "dial, % of its most", legend = "bottom left" }
  strip[i] = examples[dial]
  captions[6 * i - 5] = dial
end
local across = {}
for i = 1, #order, 4 do across[#across + 1] = crun.cat({ table.unpack(panels, i, i + 3) }, 3) end
crun.io.write_png(run:picture "dials", crun.cat(across, 2))
crun.plot.grid { path = run:picture "faces", title = "The first probes, each dial at its most",
  images = crun.cat(strip, 1), captions = captions, cols = 6 }
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
