local crun = require "crun"

-- `per` points around each of `n` centres, 20 apart in their own dimensions
local function blobs(n, per)
  local rows, labels = {}, {}
  for i = 1, n do
    local centre = crun.zeros(1, n)
    centre[1][i] = 20
    rows[i] = centre + crun.randn(crun.rng(3, "blob", i), per, n)
    for k = 1, per do labels[#labels + 1] = i end
  end
  return crun.cat(rows, 1), crun.int(labels)
end

local function map(x, options)
  return crun.metrics.tsne(x, crun.pca.fit(x, 2):transform(x), options)
end

-- KL of a map by the definition, with the perplexity found by bisection on a grid of its own
local function divergence(x, y, perplexity)
  local n, p, sum = x:size(1), {}, 0
  local X, Y = x:totable(), y:totable()
  local function square(a, b)
    local s = 0
    for k = 1, #a do s = s + (a[k] - b[k]) ^ 2 end
    return s
  end
  for i = 1, n do
    local low, high = 1e-6, 1e6
    local row
    for _ = 1, 200 do
      local beta, total, entropy = math.sqrt(low * high), 0, 0
      row = {}
      for j = 1, n do
        row[j] = i == j and 0 or math.exp(-beta * square(X[i], X[j]))
        total = total + row[j]
      end
      for j = 1, n do
        row[j] = total > 0 and row[j] / total or 0
        if row[j] > 0 then entropy = entropy - row[j] * math.log(row[j]) end
      end
      if entropy > math.log(perplexity) then low = beta else high = beta end
    end
    p[i] = row
  end
  local z = 0
  for i = 1, n do
    for j = 1, n do if i ~= j then z = z + 1 / (1 + square(Y[i], Y[j])) end end
  end
  for i = 1, n do
    for j = 1, n do
      if i ~= j then
        local p_ij = math.max((p[i][j] + p[j][i]) / (2 * n), 1e-12)
        sum = sum + p_ij * math.log(p_ij * z * (1 + square(Y[i], Y[j])))
      end
    end
  end
  return sum
end

describe("metrics.tsne", function()
  it("keeps far groups apart and neighbours together", function()
    local x, labels = blobs(5, 30)
    local y, stats = map(x, { perplexity = 15 })
    local scores = crun.eval.retrieval(y, labels)
    assert.equal(1, scores["map@r"])
    assert.equal(15, stats.perplexity)
    local _, trust = crun.metrics.trustworthiness(x, y)
    assert.is_true(trust.trustworthiness > 0.9, trust.trustworthiness)
    assert.near(0, y:mean(1):abs():sum():item(), 1e-3)
  end)

  it("reports the divergence of its definition, lower than that of the start", function()
    local x = crun.randn(crun.rng(5), 24, 3)
    local y, stats = map(x, { perplexity = 5 })
    assert.near(divergence(x, y, 5), stats.kl, 2e-4)
    local _, before = map(x, { perplexity = 5, iterations = 0 })
    assert.is_true(stats.kl < 0.5 * before.kl)
  end)

  it("has the same bits for any number of threads", function()
    local x = crun.randn(crun.rng(6), 130, 8)
    local threads = crun.threads()
    local results = {}
    for i, n in ipairs { 1, 2, 3 } do
      crun.threads(n)
      local y = map(x, { iterations = 300 })
      results[i] = crun.io.encode_npy(y)
    end
    crun.threads(threads)
    assert.equal(results[1], results[2])
    assert.equal(results[1], results[3])
  end)

  it("does not mind shifts, equal points or few points", function()
    local x = blobs(3, 10)
    local _, a = map(x)
    assert.near(29 / 3, a.perplexity, 1e-9)
    local same = crun.metrics.tsne(crun.zeros(20, 4), crun.zeros(20, 2))
    assert.is_true(same:sum():item() == same:sum():item())
    local one = crun.metrics.tsne(crun.zeros(1, 4), crun.tensor { { 3, 4 } })
    assert.same({ { 3, 4 } }, one:totable())
    assert.same({ 0, 2 }, crun.metrics.tsne(crun.zeros(0, 4), crun.zeros(0, 2)):shape())
  end)

  it("says what it cannot do", function()
    assert.error_matches(function()
      crun.metrics.tsne(crun.zeros(5001, 1), crun.zeros(5001, 2))
    end, "take a sample of 5000 or fewer")
    assert.error_matches(function()
      crun.metrics.tsne(crun.tensor { { 1 }, { 0 / 0 } }, crun.zeros(2, 2))
    end, "row 2 holds a value that is not finite")
  end)
end)

describe("metrics.trustworthiness", function()
  it("is worked by hand", function()
    -- on a line 0 1 2 10; in the map the point 10 has moved between 0 and 1. k = 1, scale 2 / (8 - 4) = 1/2.
    -- nearest in the map: 0 -> 10 (place 3), 1 -> 10 (3), 2 -> 1 (1), 10 -> 0 (3): 2 + 2 + 0 + 2 too far
    local truth = crun.tensor { { 0 }, { 1 }, { 2 }, { 10 } }
    local moved = crun.tensor { { 0 }, { 1 }, { 2 }, { 0.4 } }
    local points, stats = crun.metrics.trustworthiness(truth, moved, { k = 1 })
    assert.near(1 - 6 / 4 * 0.5, stats.trustworthiness, 1e-6)
    assert.same({ 0, 0, 1, 0 }, points:totable())
  end)

  it("is 1 for the space itself and low for a random map", function()
    local x = crun.randn(crun.rng(1), 200, 6)
    local _, same = crun.metrics.trustworthiness(x, x * 3)
    assert.equal(1, same.trustworthiness)
    local _, random = crun.metrics.trustworthiness(x, crun.randn(crun.rng(2), 200, 2))
    assert.near(0.5, random.trustworthiness, 0.1)
    local _, few = crun.metrics.trustworthiness(crun.zeros(2, 3), crun.zeros(2, 2))
    assert.is_true(few.trustworthiness ~= few.trustworthiness)
    assert.error_matches(function()
      crun.metrics.trustworthiness(crun.zeros(2, 1), crun.tensor { { 0 }, { 1 / 0 } })
    end, "map: row 2 holds a value that is not finite")
  end)
end)
