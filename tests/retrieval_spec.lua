local crun = require "crun"

local function stats_of(...)
  local results = table.pack(...)
  return results[results.n], results
end

describe("metrics.retrieval", function()
  it("is worked by hand", function()
    -- query 0 sees 1 (same), 2 (other), 4 (same): places 1 and 3, R = 2
    local stats, results = stats_of(crun.metrics.retrieval(crun.tensor {{0}}, crun.int {7}, crun.tensor {{1}, {2}, {4}},
                                                           crun.int {7, 8, 7}))
    assert.same({1}, results[1]:totable())
    assert.equal(1, stats.precision_at_1)
    assert.equal(0.5, stats.r_precision)
    assert.equal(0.5, stats.map_at_r)
    assert.near((1 + 2 / 3) / 2, stats.map, 1e-6)
    assert.equal(1, stats.mrr)
  end)
  it("leaves a query out of its own list, and queries without a match out of the means", function()
    local stats, results = stats_of(crun.metrics.retrieval(crun.tensor {{0}, {1}, {5}}, crun.int {1, 1, 2}))
    assert.equal(2, stats.queries)
    assert.equal(1, stats.precision_at_1)
    assert.same({1, 1, 0}, results[1]:totable())
    assert.truthy(results[3]:totable()[3] ~= results[3]:totable()[3])
  end)
  it("puts the lower number first where distances are equal", function()
    local function first(labels)
      return (crun.metrics.retrieval(crun.zeros(1, 2), crun.int {1}, crun.ones(4, 2), crun.int(labels))):totable()[1]
    end
    for place = 1, 4 do
      local labels = {2, 2, 2, 2}
      labels[place] = 1
      assert.equal(place, first(labels))
    end
  end)
  it("gives the k that are asked for", function()
    local x, y = crun.tensor {{0}, {1}, {2.5}, {4.5}}, crun.int {1, 2, 2, 1}
    local _, results = stats_of(crun.metrics.retrieval(x, y, nil, nil, { k = {1, 3} }))
    assert.same({0.25, 1}, results[5]:totable())     -- only 2.5 is nearest to its like
  end)
  it("is perfect for separate classes, whatever the distance", function()
    local y = crun.int {1, 2, 3, 1, 2, 3}
    local x = crun.tensor {{1, 0}, {0, 1}, {-1, 0}, {1, .1}, {.1, 1}, {-1, .1}}
    for _, distance in ipairs { "euclidean", "cosine", "dot" } do
      assert.equal(1, stats_of(crun.metrics.retrieval(x, y, nil, nil, { distance = distance })).map_at_r)
    end
  end)
  it("agrees with sorting, over several tiles", function()
    local rng = crun.rng(9, "retrieval")
    local n = 400
    local x, y = crun.randn(rng, n, 3), crun.randint(rng, 3, n)
    local d, label = crun.cdist(x):totable(), y:totable()
    local total = 0
    for q = 1, n do
      local order, R, hits, score = {}, 0, 0, 0
      for j = 1, n do
        if j ~= q then order[#order + 1] = j end
        if j ~= q and label[j] == label[q] then R = R + 1 end
      end
      table.sort(order, function(a, b) return d[q][a] < d[q][b] end)
      for place = 1, R do
        if label[order[place]] == label[q] then
          hits = hits + 1
          score = score + hits / place
        end
      end
      total = total + score / R
    end
    assert.near(total / n, stats_of(crun.metrics.retrieval(x, y)).map_at_r, 1e-5)
  end)
  it("counts the same whether matches are few, dozens or hundreds, with ties and with nan", function()
    local rng = crun.rng(5, "retrieval")
    local n = 420
    local x = crun.randint(rng, 9, n, 2):totable()    -- a grid: most distances occur many times
    local points = crun.tensor(x)
    points[7] = 0 / 0                                  -- farthest of all
    for _, classes in ipairs { 60, 6, 2 } do
      local label = {}
      for i = 1, n do label[i] = i * 7 % classes end
      local first, expected = {}, {}
      for q = 1, n do
        local order, d = {}, {}
        for j = 1, n do
          if j ~= q then order[#order + 1] = j end
          d[j] = (q == 7 or j == 7) and math.huge or
            (x[q][1] - x[j][1]) ^ 2 + (x[q][2] - x[j][2]) ^ 2
        end
        table.sort(order, function(a, b) return d[a] < d[b] or d[a] == d[b] and a < b end)
        local hits, sum = 0, 0
        for place, j in ipairs(order) do
          if label[j] == label[q] then
            hits = hits + 1
            sum = sum + hits / place
            first[q] = first[q] or place
          end
        end
        expected[q] = sum / hits
      end
      local y = crun.int(label)
      local nearest, _, _, average = crun.metrics.retrieval(points, y)
      assert.same(first, nearest:totable())
      assert.is_true(crun.allclose(average, crun.tensor(expected), 1e-5, 1e-6))
      -- each row on its own, references given: no distance is shared then
      local alone = {}
      for q = 1, n, 50 do
        local rest, rest_label = {}, {}
        for j = 1, n do if j ~= q then rest[#rest + 1], rest_label[#rest + 1] = j, label[j] end end
        alone[q] = (crun.metrics.retrieval(points:narrow(1, q, 1), y:narrow(1, q, 1),
          points:index_select(crun.int(rest), 1), crun.int(rest_label))):totable()[1]
        assert.equal(first[q], alone[q])
      end
    end
  end)
  it("counts among more matches than 15 bits number", function()
    local n = 80000
    local rng = crun.rng(8, "retrieval")
    local values = (crun.rand(rng, n) * 5000):floor():totable()
    local order, label = {}, {}
    for i = 1, n do order[i], label[i] = i, i % 20 // 19 end
    table.sort(order, function(a, b) return values[a] < values[b] or values[a] == values[b] and a < b end)
    local hits, sum = 0, 0
    for place, j in ipairs(order) do
      if label[j] == 0 then
        hits = hits + 1
        sum = sum + hits / place
      end
    end
    local _, _, _, average = crun.metrics.retrieval(crun.zeros(1, 1), crun.int { 0 },
      crun.tensor(values):reshape(n, 1), crun.int(label))
    assert.near(sum / hits, average:item(), 1e-6)
  end)
  it("gives the same bits on any number of threads", function()
    local before <close> = setmetatable({ crun.threads() }, { __close = function(t) crun.threads(t[1]) end })
    local rng = crun.rng(6, "retrieval")
    local x, y = crun.randn(rng, 3000, 8), crun.randint(rng, 40, 3000)
    local results = {}
    for threads = 1, 3 do
      crun.threads(threads)
      local list = table.pack(crun.metrics.retrieval(x, y))
      results[threads] = list[list.n]
      results[threads].average = list[4]:sum():item()
    end
    assert.same(results[1], results[2])
    assert.same(results[1], results[3])
  end)
end)
