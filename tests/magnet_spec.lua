-- losses.magnet, and the clusters and batches it is given.
local crun = require "crun"
local near = crun.precision == "float64" and 1e-9 or 1e-4

local function randn(tag, ...) return crun.randn(crun.rng(6, tag), ...) end

local function close(want, got) assert.is_true(crun.allclose(got, want, near, near)) end

local function gradients(f, ...)
  local leaves = { ... }
  for i, t in ipairs(leaves) do leaves[i] = t:clone():requires_grad_() end
  local loss = f(table.unpack(leaves))
  loss:backward()
  for i, t in ipairs(leaves) do leaves[i] = t:grad() end
  return loss:item(), table.unpack(leaves)
end

describe("losses.magnet", function()
  it("is worked by hand", function()
    -- two clusters of two classes on a line: centres 1 and 6, s2 = 4 / 3
    local x = crun.tensor { { 0 }, { 2 }, { 5 }, { 7 } }
    local magnet = crun.losses.magnet { alpha = 8, reduction = "none" }
    local losses = magnet(x, crun.int { 1, 1, 2, 2 }, crun.int { 4, 9 })
    local by = 1 / (2 * 4 / 3)
    assert.near(4 / 3, magnet.stats.variance, 1e-6)
    local want = { 1 * by + 8 - 36 * by, 1 * by + 8 - 16 * by, 1 * by + 8 - 16 * by, 1 * by + 8 - 36 * by }
    for i = 1, 4 do assert.near(math.max(0, want[i]), losses[i], 1e-5) end
    assert.equal(0.5, magnet.stats.active)
  end)

  local clusters = crun.int { 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 1, 2, 5 }
  local classes = crun.int { 7, 7, 8, 8, 9 }

  -- written in operators
  local function formula(alpha, through_s2, x, centres, s2)
    local member = (clusters:unsqueeze(2):eq(crun.arange(1, 5):unsqueeze(1))):real()
    centres = centres or member:t():matmul(x) / member:sum(1):unsqueeze(2)
    local d = (x:unsqueeze(2) - centres:unsqueeze(1)):square():sum(3)
    local own = (d * member):sum(2)
    if not s2 then s2 = own:sum() / (#x - 1) end
    if not through_s2 then s2 = s2:detach() end
    local mine = classes:index_select(clusters)
    local impostor = mine:unsqueeze(2):ne(classes:unsqueeze(1))
    local terms = (d / (s2 * -2)):masked_fill(impostor:logical_not(), { value = -1e30 })
    return (own / (s2 * 2) + alpha + terms:logsumexp(2)):relu():mean()
  end

  local function agree(alpha, through_s2, given, s2)
    local x, centres = randn("x", 14, 3), given and randn("centres", 5, 3)
    local magnet = crun.losses.magnet { alpha = alpha, variance_gradient = through_s2 }
    local want = { gradients(function(a, c) return formula(alpha, through_s2, a, c, s2) end, x, centres) }
    local got = { gradients(function(a, c) return magnet(a, clusters, classes, c, s2) end, x, centres) }
    assert.near(want[1], got[1], near * 10)
    for i = 2, #want do close(want[i], got[i]) end
  end

  it("is the formula, with means of the batch", function() agree(1, true) agree(4, false) end)
  it("is the formula, with centres and variance given", function()
    agree(1, true, true)
    agree(3, true, true, crun.scalar(0.6))
  end)

  it("has gradient rows that sum to zero", function()
    local _, gx = gradients(function(x) return crun.losses.magnet { alpha = 5 } (x, clusters, classes) end,
      randn("x", 14, 3))
    assert.is_true(gx:sum(1):abs():max():item() < near)
  end)

  it("costs nothing where clusters are points, and with one class, one row or none", function()
    local function nothing(x, y, c)
      local loss, gx = gradients(function(z) return crun.losses.magnet { alpha = 2 } (z, y, c) end, x)
      assert.equal(0, loss)
      assert.equal(0, gx:abs():sum():item())
    end
    nothing(crun.tensor { { 1, 0 }, { 1, 0 }, { 5, 5 } }, crun.int { 1, 1, 2 }, crun.int { 1, 2 })
    nothing(randn("x", 4, 2), crun.int { 1, 1, 2, 2 }, crun.int { 3, 3 })
    nothing(randn("x", 1, 2), crun.int { 1 }, crun.int { 3, 4 })
    assert.equal(0, crun.losses.magnet {} (crun.zeros(0, 2), crun.zeros(0):int(), crun.int { 3, 4 }):item())
  end)

  it("leaves clusters without rows out", function()
    local x = randn("x", 6, 2)
    local y = crun.int { 1, 1, 3, 3, 3, 1 }
    local magnet = crun.losses.magnet { alpha = 3 }
    local three = magnet(x, y, crun.int { 5, 6, 7 })
    local two = magnet(x, crun.int { 1, 1, 2, 2, 2, 1 }, crun.int { 5, 7 })
    assert.equal(two:item(), three:item())
  end)

  it("refuses a cluster without a class", function()
    assert.error_matches(function() crun.losses.magnet {} (randn("x", 2, 2), crun.int { 1, 3 }, crun.int { 1, 2 }) end,
      "clusters must lie in 1 .. 2, the number of classes given, got 3 in row 2", 1, true)
  end)
end)

-- 4 classes, each of two blobs of 6 rows that lie far apart: classes 1 and 2 have blobs side by side
local places = { { 0, 0 }, { 40, 0 }, { 1, 3 }, { 80, 0 }, { 0, 40 }, { 40, 40 }, { 80, 40 }, { 120, 0 } }
local labels, blob, rows_of = {}, {}, {}
for b, place in ipairs(places) do
  for i = 1, 6 do
    local row = (i - 1) * 8 + b
    labels[row], blob[row], rows_of[row] = (b + 1) // 2, b, { place[1], place[2] }
  end
end
labels = crun.int(labels)
local z = crun.tensor(rows_of) + randn("noise", 48, 2) * 0.1

local function index(more)
  local opts = { labels = labels, clusters = 2, m = 3, d = 4, seed = 2 }
  for key, value in pairs(more or {}) do opts[key] = value end
  return crun.sampler.magnet(opts)
end

describe("sampler.magnet", function()
  it("draws a cluster, its nearest impostors, and different rows of each", function()
    local s = index():refresh(z)
    assert.equal(4, #s)
    for rows in s do
      assert.equal(12, #rows)
      local seen, blobs = {}, {}
      for i, row in ipairs(rows:totable()) do
        assert.is_nil(seen[row])
        seen[row] = true
        local group = (i + 3) // 4
        blobs[group] = blobs[group] or blob[row]
        assert.equal(blobs[group], blob[row])
      end
      local seed = blobs[1]
      local function class(b) return (b + 1) // 2 end
      for g = 2, 3 do assert.not_equal(class(seed), class(blobs[g])) end
      if seed == 1 then assert.equal(3, blobs[2]) end
      if seed == 3 then assert.equal(1, blobs[2]) end
      local clusters, classes = s:clusters(rows)
      assert.same({ 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3 }, clusters:totable())
      for g = 1, 3 do assert.equal(class(blobs[g]), classes[g]) end
    end
  end)

  it("draws clusters with a loss more often", function()
    local s = index { batches = 300 }
    s:refresh(z)
    local losses = {}
    for row = 1, 48 do losses[row] = blob[row] == 5 and 1 or 0.05 end
    s:record(crun.arange(1, 48), crun.tensor(losses))
    local fives = 0
    for rows in s do fives = fives + (blob[rows[1]] == 5 and 1 or 0) end
    assert.near(300 * 1 / (1 + 7 * 0.05), fives, 30)
    -- no loss anywhere: by size
    s:record(crun.arange(1, 48), crun.zeros(48))
    fives = 0
    for rows in s do fives = fives + (blob[rows[1]] == 5 and 1 or 0) end
    assert.near(300 / 8, fives, 20)
  end)

  it("goes on where its state says, with clusters and losses", function()
    local function go(s, from, to, out)
      for b = from, to do
        local rows = s()
        s:record(rows, crun.rand(crun.rng(8, "losses", b), #rows))
        out[#out + 1] = rows:totable()
      end
    end
    local whole, parts = {}, {}
    go(index { batches = 9 }:refresh(z), 1, 9, whole)
    local first = index { batches = 9 }:refresh(z)
    go(first, 1, 4, parts)
    local folder = os.tmpname()
    os.remove(folder)
    assert(require "crun.checkpoint".save(folder, "last", { index = first }, {}))
    local second = index { batches = 9 }
    local state = first:state()
    second:load(state)
    os.execute("rm -r " .. folder)
    go(second, 5, 9, parts)
    assert.same(whole, parts)
    assert.same({ epoch = 2, batch = 0 }, (function()
      local at = second
      assert.is_nil(at())
      return { epoch = at:state().epoch, batch = at:state().batch }
    end)())
  end)

  it("is a function of its seed", function()
    local function batch(seed) return index { seed = seed }:refresh(z)():totable() end
    assert.same(batch(1), batch(1))
    assert.not_same(batch(1), batch(2))
  end)

  it("takes rows that are equal, and clusters of few rows", function()
    local s = index { clusters = 5, d = 10 }:refresh(crun.zeros(48, 2))
    local rows = s()
    assert.equal(2 * 10 + 10, #rows)
    s:refresh(z)
    assert.is_true(#s() <= 30)
  end)

  it("trains", function()
    crun.nn.seed(1)
    local net = crun.nn.Sequential { crun.nn.Linear(2, 16), crun.nn.Tanh(), crun.nn.Linear(16, 4) }
    local adam = crun.optim.Adam(net, { lr = 0.02 })
    local criterion = crun.losses.magnet { alpha = 2, reduction = "none" }
    local s, x = index { m = 4 }, z / 40 + randn("blur", 48, 2) * 0.15
    local function active()
      s:refresh(crun.eval.embed(net, x))
      local clusters, classes = s:clusters(crun.arange(1, 48))
      return criterion(net(x), clusters, classes):mean():item()
    end
    local before = active()
    for _ = 1, 12 do
      s:refresh(crun.eval.embed(net, x))
      for rows in s do
        local losses = criterion(net(x:index_select(rows)), s:clusters(rows))
        adam:zero_grad()
        losses:mean():backward()
        adam:step()
        s:record(rows, losses)
      end
    end
    assert.is_true(active() < before * 0.8)
  end)

  it("says what it takes", function()
    local function refused(text, f) assert.error_matches(f, text, 1, true) end
    refused("sampler.magnet: needs rows of two classes or more, got 1",
      function() index { labels = crun.ones(4):int() } end)
    refused("there are no clusters yet: call refresh(z) first", function() index()() end)
    refused("z must be [48, D], a row for each label, got [3, 2]",
      function() index():refresh(crun.zeros(3, 2)) end)
    refused("losses must be [4], one for each row (reduction = \"none\"), got []",
      function() index():refresh(z):record(crun.arange(1, 4), crun.scalar(1)) end)
  end)
end)
