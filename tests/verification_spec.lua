local crun = require "crun"

local function stats_of(...)
  local results = table.pack(...)
  return results[results.n], results
end

describe("metrics.verification", function()
  it("is worked by hand", function()
    -- accepted in this order: same, different, same, different
    local stats, results = stats_of(crun.metrics.verification(crun.tensor {4, 3, 2, 1}, crun.byte {1, 0, 1, 0}))
    assert.equal(0.75, stats.roc_auc)
    assert.equal(0.5, stats.eer)
    assert.equal(0.75, stats.best_accuracy)
    assert.near((1 + 2 / 3) / 2, stats.average_precision, 1e-6)
    assert.same({0, 0, 0.5, 0.5, 1}, results[1]:totable())
    assert.same({0, 0.5, 0.5, 1, 1}, results[2]:totable())
  end)
  it("takes equal scores at once", function()
    local stats = stats_of(crun.metrics.verification(crun.ones(4), crun.byte {1, 0, 1, 0}))
    assert.equal(0.5, stats.roc_auc)
    assert.equal(0.5, stats.eer)
    assert.equal(2, stats.points)
  end)
  it("is nan without pairs of both kinds", function()
    local stats = stats_of(crun.metrics.verification(crun.ones(3), crun.byte {1, 1, 1}))
    assert.truthy(stats.roc_auc ~= stats.roc_auc)
  end)
  it("reads rates at the targets it is given", function()
    local _, results = stats_of(crun.metrics.verification(crun.tensor {4, 3, 2, 1}, crun.byte {1, 0, 1, 0}, crun.tensor {0, 0.5, 1}))
    assert.same({0.5, 1, 1}, results[3]:totable())
  end)
end)

describe("metrics.labelled_pairs", function()
  local x, y = crun.tensor {{0, 0}, {3, 4}, {0, 1}}, crun.int {1, 1, 2}
  it("gives every pair once", function()
    local d, same = crun.metrics.labelled_pairs(x, y)
    assert.is_true(crun.allclose(d, crun.tensor {5, 1, math.sqrt(18)}, 1e-6, 1e-6))
    assert.same({1, 0, 0}, same:totable())
  end)
  it("draws without repeating, and the same for the same seed", function()
    local n = 60
    local many = crun.randn(crun.rng(2, "pairs"), n, 6)      -- all distances differ
    local labels = crun.ones(n):int()
    local d = crun.metrics.labelled_pairs(many, labels, { limit = 500, seed = 3 }):totable()
    local seen, repeated = {}, 0
    for _, v in ipairs(d) do
      if seen[v] then repeated = repeated + 1 end
      seen[v] = true
    end
    assert.equal(500, #d)
    assert.equal(0, repeated)
    assert.same(d, crun.metrics.labelled_pairs(many, labels, { limit = 500, seed = 3 }):totable())
  end)
end)
