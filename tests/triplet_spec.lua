local crun = require "crun"

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

local function run(options, x, labels, ...)
  local criterion = crun.losses.triplet(options)
  x = x:detach():clone():requires_grad_()
  local loss = criterion(x, labels, ...)
  loss:backward()
  return loss:item(), x:grad(), criterion.stats
end

-- Every triplet by itself, in Lua, on the same distances: loss, slopes by distance, count.
local function by_hand(x, labels, margin, choose)
  local v, y, n = x:totable(), labels:totable(), #labels
  local d, g = {}, {}
  for i = 1, n do
    d[i], g[i] = {}, {}
    for k = 1, #v[1] do g[i][k] = 0 end
    for j = 1, n do
      local sum = 0
      for k = 1, #v[1] do sum = sum + (v[i][k] - v[j][k]) ^ 2 end
      d[i][j] = math.sqrt(sum)
    end
  end
  local sum, active, count = 0, 0, 0
  local function push(i, j, by)
    if d[i][j] == 0 then return end
    for k = 1, #v[1] do
      local step = by * (v[i][k] - v[j][k]) / d[i][j]
      g[i][k], g[j][k] = g[i][k] + step, g[j][k] - step
    end
  end
  for a = 1, n do
    for p = 1, n do
      if p ~= a and y[p] == y[a] then
        for q = 1, n do
          if y[q] ~= y[a] and (not choose or choose(d[a], y, a, p, q)) then
            local l = d[a][p] - d[a][q] + margin
            count = count + 1
            if l > 0 then
              sum, active = sum + l, active + 1
              push(a, p, 1)
              push(a, q, -1)
            end
          end
        end
      end
    end
  end
  return sum, active, count, crun.tensor(g)
end

local function near(want, got, relative)
  assert.truthy(math.abs(want - got) <= (relative or 1e-4) * math.max(1e-3, math.abs(want)),
                ("want %.9g, got %.9g"):format(want, got))
end

describe("losses.triplet", function()
  it("is worked by hand", function()          -- d = 1 and 3 for anchor 1, 1 and 2 for anchor 2; none for 3
    local loss, grad, stats = run({ margin = 2, reduction = "mean" }, crun.tensor {{0}, {1}, {3}}, crun.int {1, 1, 2})
    near((0 + 1) / 2, loss)
    assert.same({ {-0.5}, {1}, {-0.5} }, grad:totable())
    assert.equal(2, stats.triplets)
    assert.equal(0.5, stats.active)
    assert.equal(1, stats.positive_distance)
    assert.equal(2.5, stats.negative_distance)
  end)

  it("counts what a loop over triplets counts, for few positives and for many", function()
    for _, classes in ipairs { 12, 2 } do      -- 10 positives: compared; some 70: ranked
      local rng = crun.rng(3, "triplets", classes)
      local x, labels = crun.randn(rng, 140, 3), crun.randint(rng, classes, 140)
      local sum, active, count, slopes = by_hand(x, labels, 0.5)
      local loss, grad, stats = run({ margin = 0.5, reduction = "sum" }, x, labels)
      assert.equal(count, stats.triplets)
      assert.truthy(math.abs(active - stats.active_triplets) <= 1e-5 * active)   -- the last digit of a distance
      near(sum, loss)
      assert.is_true(crun.allclose(grad, slopes, 1e-3, 1e-3 * slopes:abs():amax():item()))
      near(sum / active, (run({ margin = 0.5 }, x, labels)))
      near(sum / count, (run({ margin = 0.5, reduction = "mean" }, x, labels)))
    end
  end)

  it("finds the hardest", function()
    local rng = crun.rng(4, "hard")
    local x, labels = crun.randn(rng, 40, 3), crun.randint(rng, 5, 40)
    local sum, _, count, slopes = by_hand(x, labels, 0.5, function(d, y, a, p, q)
      for j = 1, #y do
        if j ~= a and y[j] == y[a] and d[j] > d[p] or y[j] ~= y[a] and d[j] < d[q] then return false end
      end
      return true
    end)
    local loss, grad, stats = run({ margin = 0.5, mine = "hard", reduction = "sum" }, x, labels)
    near(sum, loss)
    assert.equal(count, stats.triplets)
    assert.is_true(crun.allclose(grad, slopes, 1e-3, 1e-4))
  end)

  it("finds the nearest negative beyond each positive, or else the farthest", function()
    local rng = crun.rng(5, "semihard")
    local x, labels = crun.randn(rng, 60, 3), crun.randint(rng, 2, 60)
    local sum, _, count, slopes = by_hand(x, labels, 0.5, function(d, y, a, p, q)
      local best, far
      for j = 1, #y do
        if y[j] ~= y[a] then
          if d[j] > d[p] and (not best or d[j] < d[best]) then best = j end
          if not far or d[j] > d[far] then far = j end
        end
      end
      return q == (best or far)
    end)
    local loss, grad, stats = run({ margin = 0.5, mine = "semihard", reduction = "sum" }, x, labels)
    near(sum, loss)
    assert.equal(count, stats.triplets)
    assert.is_true(crun.allclose(grad, slopes, 1e-3, 1e-3 * slopes:abs():amax():item()))
  end)

  it("does not depend on the order of the batch, nor on what labels are called", function()
    local rng = crun.rng(6, "order")
    local x, labels = crun.randn(rng, 30, 4), crun.randint(rng, 4, 30)
    local order = crun.randperm(rng, 30)
    for _, mine in ipairs { "all", "hard", "semihard" } do
      local loss, grad = run({ margin = 1, mine = mine }, x, labels)
      local other, turned = run({ margin = 1, mine = mine }, x:index_select(order, 1), labels:index_select(order, 1) * -7 + 1)
      near(loss, other, 1e-5)
      assert.is_true(crun.allclose(grad:index_select(order, 1), turned, 1e-4, 1e-5))
    end
  end)

  it("does not notice a shift of all embeddings, even a large one", function()
    local x, labels = crun.randn(crun.rng(7, "shift"), 30, 4), crun.randint(crun.rng(7, "labels"), 4, 30)
    near((run({ margin = 1 }, x, labels)), (run({ margin = 1 }, (x + 64), labels)), 1e-4)
  end)

  it("gives the same bits with 1 thread and with 2", function()
    local before = crun.threads()
    local x, labels = crun.randn(crun.rng(8, "threads"), 300, 16), crun.randint(crun.rng(8, "labels"), 9, 300)
    for _, options in ipairs { {}, { mine = "hard" }, { mine = "semihard" }, { soft = true }, { swap = true } } do
      local results = {}
      for threads = 1, 2 do
        crun.threads(threads)
        local loss, grad = run(options, x, labels)
        results[threads] = { loss, grad:totable() }
      end
      assert.same(results[1], results[2])
    end
    crun.threads(before)
  end)

  it("is 0 with a zero gradient when there is no triplet", function()
    for _, labels in ipairs { {1, 1, 1}, {1, 2, 3} } do
      local loss, grad, stats = run({}, crun.randn(crun.rng(1, "none"), 3, 2), crun.int(labels))
      assert.equal(0, loss)
      assert.equal(0, grad:abs():amax():item())
      assert.equal(0, stats.triplets)
    end
    assert.equal(0, (run({}, crun.zeros(1, 2), crun.int {5})))
  end)

  it("has gradient 0 where a distance is 0", function()
    local _, grad = run({ margin = 1 }, crun.zeros(4, 3), crun.int {1, 1, 2, 2})
    assert.equal(0, grad:abs():amax():item())
  end)

  it("is nan for an embedding that is not finite", function()
    for _, bad in ipairs { 0 / 0, math.huge } do
      for _, mine in ipairs { "all", "hard", "semihard" } do
        local x = crun.ones(6, 3)
        x[2][1] = bad
        local loss = run({ mine = mine }, x, crun.int {1, 1, 2, 2, 3, 3})
        assert.truthy(loss ~= loss)
      end
    end
  end)

  it("takes any labels and refuses what does not fit", function()
    local x = crun.randn(crun.rng(1, "any"), 3, 2)
    assert.truthy((run({ margin = 9 }, x, crun.int { math.mininteger, math.maxinteger, math.mininteger })) > 0)
    says("swap needs mine", run, { swap = true, mine = "hard" }, x, crun.int {1, 1, 2})
    says("swap cannot be had with references", run, { swap = true }, x, crun.int {1, 1, 2}, x, crun.int {1, 1, 2})
    says("references and reference_labels go together", run, {}, x, crun.int {1, 1, 2}, x)
    says("squared is for", run, { squared = true, distance = "cosine" }, x, crun.int {1, 1, 2})
    says("labels", run, {}, x, crun.int {1, 1})
  end)
end)
