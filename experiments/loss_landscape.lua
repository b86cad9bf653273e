-- What a loss wants of a distance: energy and force of every variant of the contrastive and the triplet loss, and points
-- in the plane that follow the force. Nothing is derived by hand: forces are autograd's.
--
--   crun experiments/loss_landscape.lua
--   crun experiments/loss_landscape.lua margin=0.5 steps=800
--
-- Chopra, Hadsell, LeCun, CVPR 2005, eq. 8; Hadsell, Chopra, LeCun, CVPR 2006, eq. 4 and figure 1 (the springs); Schroff,
-- Kalenichenko, Philbin, "FaceNet", CVPR 2015, eq. 3; Hermans, Beyer, Leibe, 2017 (soft).
local crun = require "crun"
local study, canvas = require "crun.study", require "crun.canvas"

local cfg = crun.config {
  margin = { 1.0, least = 0, help = "of all hinges; the exponential loss has none: its Q is twice that" },
  beside = { 0.5, least = 0, help = "triplets: the distance that stays while the other one changes" },
  grid   = { 200, least = 2, help = "distances, from 0 to 2" },
  toy    = { classes = 4, points = 8, spread = 1.0 },       -- points in the plane, all classes about the origin
  lr     = { 0.5, help = "of the points: plain gradient descent on the mean over all pairs or triplets" },
  steps  = { 400, least = 1 },
  seed   = 1,
  seeds  = { 5, least = 2, help = "how many starts of the points" },
  quick  = false,
}
local run = crun.start(cfg, { name = "loss_landscape" })
local L, m = crun.losses, cfg.margin
local variants = {
  { "seed, eq. 4", L.contrastive { variant = "seed", margin = m } },
  { "hadsell 2006", L.contrastive { variant = "hadsell", margin = m }, dash = { 8, 8 } },
  { "pml", L.contrastive { variant = "pml", neg_margin = m, reduction = "mean" }, dash = { 8, 8 } },
  { "chopra 2005", L.contrastive { variant = "chopra2005", Q = 2 * m } },
  { "triplet squared, eq. 5", L.triplet { margin = m, squared = true, reduction = "mean" }, true, dash = { 3, 6 } },
  { "triplet plain", L.triplet { margin = m, reduction = "mean" }, true, dash = { 3, 6 } },
  { "triplet soft", L.triplet { soft = true, reduction = "mean" }, true },
}

-- ---- energy and force of one pair, or of one triplet of which one side changes ----------------------------------

-- a point at 0, its mate at distance d: alike or not; a triplet has the other mate at the distance `beside`
local function at(variant, d, alike)
  local mate, other = crun.tensor { { d, 0 } }:requires_grad_(), crun.tensor { { -cfg.beside, 0 } }
  local mates = variant[3] and crun.cat({ mate, other }, 1) or mate
  local labels = alike and { 1, 2 } or { 2, 1 }
  local energy = variant[2](crun.zeros(1, 2), crun.int { 1 }, mates, crun.int { labels[1], variant[3] and labels[2] })
  energy:backward()
  return energy:item(), 0 - mate:grad()[1][1]          -- a force above 0 pushes away
end

local rows, places = {}, { 0, 0.05 * m, 0.5 * m, 0.95 * m, 1.05 * m, 1.9 * m }
for v, variant in ipairs(variants) do
  rows[v] = { variant[1] }
  for _, alike in ipairs { true, false } do
    for p, d in ipairs(places) do
      local _, force = at(variant, d, alike)
      if alike and p < 4 or not alike then table.insert(rows[v], ("%+.2f"):format(force)) end
    end
  end
end
local columns = { "force at d =" }
for p = 1, 3 do columns[#columns + 1] = ("like %.2f"):format(places[p]) end
for _, d in ipairs(places) do columns[#columns + 1] = ("unlike %.2f"):format(d) end
print(crun.ui.table { columns = columns, rows = rows })

local function draw(which)
  local energies, forces, x = {}, {}, {}
  for i = 0, cfg.grid do x[i + 1] = 2 * i / cfg.grid end
  for v, variant in ipairs(variants) do
    local e, f = { name = variant[1], x = x, y = {}, dash = variant.dash }, { name = variant[1], x = x, y = {}, dash = variant.dash }
    for i, d in ipairs(x) do e.y[i], f.y[i] = at(variant, d, which == "like") end
    energies[v], forces[v] = e, f
  end
  crun.plot.lines { path = run:picture("energy_" .. which), series = energies, title = "Energy of a pair that is " .. which,
    xlabel = "distance", ylabel = "energy" }
  crun.plot.lines { path = run:picture("force_" .. which), series = forces, xlabel = "distance", ylabel = "force",
    title = ("Force on a pair that is %s (above 0: apart, below: together)"):format(which) }
end
draw "like"
draw "unlike"

-- ---- points in the plane that follow the force ------------------------------------------------------------------

local K, n = cfg.toy.classes, cfg.toy.points
local list = {}
for i = 1, K * n do list[i] = (i - 1) % K + 1 end
local labels = crun.int(list)
local steps = cfg.quick and 20 or cfg.steps

local function move(variant, seed)                        -- the places of all points, step by step
  local z = (crun.randn(crun.rng(seed, "toy"), K * n, 2) * cfg.toy.spread):requires_grad_()
  local sgd, path = crun.optim.SGD({ z }, { lr = cfg.lr }), { z:detach():clone() }
  for step = 1, steps do
    local energy = variant[2](z, labels)
    sgd:zero_grad()
    energy:backward()
    sgd:step()
    path[step + 1] = z:detach():clone()
  end
  return path
end

local results = study.new { run = run, best = { ["1-NN %"] = "max" }, digits = 2 }
local paths = {}
for seed in study.seeds(cfg) do
  for v, variant in ipairs(variants) do
    local path = move(variant, seed)
    paths[v] = paths[v] or path
    local z = path[#path]
    local same, different = crun.eval.distances(z, labels)
    results:add(variant[1], { ["1-NN %"] = 100 * crun.eval.retrieval(z, labels)["precision@1"], like = same:mean(),
      unlike = different:mean(), ["unlike below margin %"] = different:lt(m):real():mean() * 100 },
      { "1-NN %", "like", "unlike", "unlike below margin %" })
  end
end
results:print(("%d points, %d steps"):format(K * n, steps))

-- a panel a loss, each at its own scale: ways in pale, ends in full colour, a bar as long as the margin
local side, per_row, colors = 300, 4, canvas.palette
local c = canvas.new(side * per_row, (side + 30) * math.ceil(#variants / per_row))
local function panel(title, path, left, top)
  local last = path[#path]
  local reach = 1.1 * math.max(last:abs():amax():item(), path[1]:abs():amax():item() / 2)
  local unit = side / 2 / reach
  local function place(xy) return left + side / 2 + unit * xy[1], top + side / 2 - unit * xy[2] end
  local ways = {}
  for i = 1, K * n do ways[i] = {} end
  for _, z in ipairs(path) do
    for i, xy in ipairs(z:totable()) do
      local x, y = place(xy)
      local inside = math.max(math.abs(xy[1]), math.abs(xy[2])) < reach
      table.move({ inside and x, inside and y }, 1, 2, #ways[i] + 1, ways[i])
    end
  end
  for i, way in ipairs(ways) do c:line(way, { color = colors[list[i]], alpha = 0.35 }) end
  for i, xy in ipairs(last:totable()) do c:marks({ place(xy) }, { color = colors[list[i]], size = 9, edge = 1 }) end
  c:line({ left + 14, top + side - 12, left + 14 + unit * m, top + side - 12 }, { width = 2 })
  c:text("margin", left + 14, top + side - 18, { size = 11 })
  c:text(title, left + side / 2, top - 8, { align = "center", size = 15 })
end
for v, variant in ipairs(variants) do
  panel(variant[1], paths[v], (v - 1) % per_row * side, (v - 1) // per_row * (side + 30) + 30)
end
c:save(run:picture "points")
print("Pictures: " .. run.path .. "/pictures/")
run:finish()
