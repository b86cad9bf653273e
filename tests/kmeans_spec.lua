local crun = require "crun"

-- `per` rows around each centre, scattered by `noise`, in order
local function blobs(centres, per, noise)
  local rows = {}
  for i, c in ipairs(centres) do
    rows[i] = crun.tensor { c } + crun.randn(crun.rng(7, "blobs", i), per, #c) * noise
  end
  return crun.cat(rows, 1)
end

local function inertia_of(x, centres, assignment)
  return (x - centres:index_select(assignment, 1)):square():sum():item()
end

describe("kmeans", function()
  it("is worked by hand", function()
    local x = crun.tensor { { 0, 0 }, { 0, 2 }, { 10, 0 }, { 10, 4 }, { 10, 2 } }
    local centres, assignment, inertia = crun.kmeans(x, { clusters = 2 })
    local left = assignment[1]
    assert.same({ left, left, 3 - left, 3 - left, 3 - left }, assignment:totable())
    assert.same({ 0, 1 }, centres[left]:totable())
    assert.same({ 10, 2 }, centres[3 - left]:totable())
    assert.near(1 + 1 + 4 + 4, inertia:item(), 1e-5)
  end)

  it("finds blobs that lie apart, far from the origin too", function()
    for _, offset in ipairs { 0, 1000 } do
      local x = blobs({ { 0, 0, 0 }, { 5, 0, 0 }, { 0, 5, 0 }, { 0, 0, 5 } }, 50, 0.1) + offset
      local centres, assignment, inertia = crun.kmeans(x, { clusters = 4, seed = 3 })
      for b = 0, 3 do
        for i = 1, 50 do assert.equal(assignment[50 * b + 1], assignment[50 * b + i]) end
      end
      assert.near(inertia_of(x, centres, assignment), inertia:item(), 1e-2 * inertia:item())
    end
  end)

  it("leaves every row with its nearest centre, and no cluster empty", function()
    local x = crun.randn(crun.rng(1, "kmeans"), 700, 5)
    for _, iterations in ipairs { 0, 1, 4, 100 } do
      local centres, assignment = crun.kmeans(x, { clusters = 600, iterations = iterations })
      local d, used = crun.cdist(x, centres), {}
      local least = d:min(2)
      for i = 1, 700 do
        used[assignment[i]] = true
        assert.near(least[i], d[i][assignment[i]], 1e-4)
      end
      local n = 0
      for _ in pairs(used) do n = n + 1 end
      assert.equal(600, n)
    end
  end)

  it("does not do worse with more iterations", function()
    local x, last = crun.randn(crun.rng(2, "kmeans"), 500, 8), math.huge
    for _, iterations in ipairs { 0, 1, 2, 5, 50 } do
      local _, _, inertia = crun.kmeans(x, { clusters = 12, iterations = iterations, seed = 2 })
      assert.is_true(inertia:item() <= last * (1 + 1e-6))
      last = inertia:item()
    end
  end)

  it("is a function of its seed, for any number of threads", function()
    local x, threads = crun.randn(crun.rng(3, "kmeans"), 3000, 6), crun.threads()
    local function run(seed)
      local centres, assignment = crun.kmeans(x, { clusters = 20, seed = seed, iterations = 5 })
      return { centres:totable(), assignment:totable() }
    end
    local one = run(1)
    crun.threads(threads == 1 and 2 or 1)
    assert.same(one, run(1))
    crun.threads(threads)
    assert.not_same(one, run(2))
  end)

  it("takes as many clusters as rows, and rows that are equal", function()
    local x = crun.tensor { { 1 }, { 2 }, { 3 } }
    local _, assignment, inertia = crun.kmeans(x, { clusters = 3 })
    local places = assignment:totable()
    table.sort(places)
    assert.same({ 1, 2, 3 }, places)
    assert.equal(0, inertia:item())
    local centres, all = crun.kmeans(crun.ones(6, 2), { clusters = 3 })
    assert.same({ 1, 1, 1, 1, 1, 1 }, all:totable())
    assert.same(crun.ones(3, 2):totable(), centres:totable())
  end)

  it("refuses too many clusters and rows that are not finite", function()
    assert.error_matches(function() crun.kmeans(crun.ones(2, 3), { clusters = 3 }) end,
      "clusters must be at most the number of rows, 2, got 3", 1, true)
    assert.error_matches(function() crun.kmeans(crun.tensor { { 1 }, { 0 / 0 } }, { clusters = 1 }) end,
      "x must be finite, row 2 is not", 1, true)
  end)
end)
