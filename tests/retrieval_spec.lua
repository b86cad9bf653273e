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
end)
