local crun = require "crun"
local eval = crun.eval

local function stats_of(...)
  local results = table.pack(...)
  return results[results.n], results
end

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), ("expected %q in %q"):format(text, tostring(message)))
end

-- clusters of four with noise
local function clusters(n, noise, seed)
  local rng = crun.rng(seed or 1, "clusters")
  local labels, centres = {}, crun.randn(rng, n // 4, 8)
  for i = 1, n do labels[i] = (i - 1) % (n // 4) + 1 end
  labels = crun.int(labels)
  return centres:index_select(labels, 1) + crun.randn(rng, n, 8) * noise, labels
end

describe("metrics.knn", function()
  it("is worked by hand", function()
    local x, y = crun.tensor {{0}, {1}, {3}, {3.5}}, crun.int {5, 7, 7, 9}
    local function label(o) return crun.metrics.knn(crun.tensor {{0.4}}, x, y, nil, o):totable()[1] end
    assert.equal(7, label { k = 3, distance = "euclidean", weights = "uniform" })
    -- exp(0) for 5; exp(-0.2/0.1) + ... for 7
    assert.equal(5, label { k = 3, distance = "euclidean", temperature = 0.1 })
    assert.equal(5, label { k = 2, distance = "euclidean", weights = "uniform" })     -- a tie: the nearest
    assert.equal(7, label { k = 100, distance = "euclidean", weights = "uniform" })
  end)
  it("leaves a row out of its own vote", function()
    local s = eval.knn(crun.tensor {{0}, {1}, {9}}, crun.int {1, 1, 2}, { k = 1, distance = "euclidean" })
    assert.near(2 / 3, s.accuracy, 1e-9)
  end)
  it("says what is missing", function()
    fails("needs references with reference_labels, or labels", crun.metrics.knn, crun.zeros(2, 2))
    fails("there is no reference to vote", crun.metrics.knn, crun.zeros(1, 2), nil, nil, crun.int {1})
  end)
end)

describe("eval.linear_probe", function()
  it("separates what can be separated", function()
    local z, y = clusters(80, 0.1)
    local s = eval.linear_probe(z, y, z, y, { l2 = 1e-4 })
    assert.equal(1, s.accuracy)
    assert.equal(1, s.train_accuracy)
    assert.is_true(s.converged)
  end)
  it("finds the minimum", function()              -- two points, one weight: l2 w = p(wrong), by hand
    local x, y = crun.tensor {{1}, {-1}}, crun.int {4, -4}
    local _, weight = eval.linear_probe(x, y, nil, nil, { l2 = 0.1, standardize = false, tolerance = 1e-7 })
    local w = weight:totable()[2][1]                                     -- label 4, class 2
    assert.near(0.1 * w, 1 / (1 + math.exp(2 * w)), 1e-5)
  end)
  it("lbfgs minimises Rosenbrock's function", function()
    local function rosenbrock(t)
      local x, y = t:totable()[1], t:totable()[2]
      return (1 - x) ^ 2 + 100 * (y - x * x) ^ 2,
        crun.tensor { -2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x) }
    end
    local x = require("crun.probe").lbfgs(rosenbrock, crun.tensor { -1.2, 1 })
    assert.is_true(crun.allclose(x, crun.tensor { 1, 1 }, 1e-2, 1e-2))
  end)
end)

describe("metrics.fnmr_at_fmr", function()
  it("is worked by hand", function()
    -- different: 1 2 3; the 0.25 quantile is 1.5; same: 1, 1.5, 4
    local fnmr, threshold = crun.metrics.fnmr_at_fmr(crun.tensor { 1, 2, 3, 1, 1.5, 4 }, crun.byte { 0, 0, 0, 1, 1, 1 },
      crun.tensor { 0.25, 0 })
    assert.is_true(crun.allclose(crun.tensor { 1.5, 1 }, threshold, 1e-6, 1e-6))
    assert.is_true(crun.allclose(crun.tensor { 2 / 3, 1 }, fnmr, 1e-6, 1e-6))
  end)
  it("is nan without both kinds", function()
    local v = crun.metrics.fnmr_at_fmr(crun.ones(2), crun.byte { 1, 1 }):totable()[1]
    assert.is_true(v ~= v)
    fails("fmr must be in 0 .. 1, got 10", crun.metrics.fnmr_at_fmr, crun.ones(2), crun.byte { 1, 0 }, crun.tensor { 10 })
  end)
end)

describe("metrics.calibrate", function()
  local d, same = crun.tensor { 1, 2, 3, 4, 5, 6 }, crun.byte { 1, 1, 0, 1, 0, 0 }
  local function threshold(o) return stats_of(crun.metrics.calibrate(d, same, o)) end
  it("finds what each target asks for", function()
    assert.equal(2.5, threshold { target = "accuracy" }.threshold)
    assert.near(5 / 6, threshold { target = "accuracy" }.accuracy, 1e-9)
    assert.equal(4.5, threshold { target = "f1" }.threshold)
    assert.near(6 / 7, threshold { target = "f1" }.f1, 1e-9)
    assert.equal(2.5, threshold { target = "precision", value = 1 }.threshold)
    assert.equal(4.5, threshold { target = "recall", value = 1 }.threshold)
    assert.equal(2.5, threshold { target = "far", value = 0 }.threshold)
    assert.equal(4.5, threshold { target = "far", value = 0.34 }.threshold)
  end)
  it("brackets the threshold", function()
    local rng = crun.rng(3, "calibrate")
    local x = crun.cat({ crun.randn(rng, 300) + 1, crun.randn(rng, 300) + 4 }, 1)
    local y = crun.cat({ crun.ones(300), crun.zeros(300) }, 1)
    local samples, s = crun.metrics.calibrate(x, y, { samples = 100 })
    assert.near(2.5, s.threshold, 0.5)
    assert.is_true(s.low <= s.threshold and s.threshold <= s.high)
    assert.is_true(s.high - s.low < 1.5)
    assert.same({ 100 }, samples:shape())
    local before = crun.threads()
    crun.threads(3)
    assert.same(s, stats_of(crun.metrics.calibrate(x, y, { samples = 100 })))
    crun.threads(before)
  end)
  it("is nan where nothing reaches the target, or one kind is missing", function()
    local s = stats_of(crun.metrics.calibrate(crun.tensor { 1, 2 }, crun.byte { 0, 1 }, { target = "precision", value = 0.9 }))
    assert.is_true(s.threshold ~= s.threshold)
    s = stats_of(crun.metrics.calibrate(crun.ones(2), crun.byte { 1, 1 }))
    assert.is_true(s.threshold ~= s.threshold and s.low ~= s.low)
  end)
end)

-- the authors' algorithm, written with whole matrices
local function rerank_by_hand(x, k1, k2, lambda)
  local N = x:size(1)
  local d = crun.cdist(x):totable()
  local rank = {}
  for i = 1, N do
    local most = 0
    for j = 1, N do
      d[i][j] = d[i][j] ^ 2
      most = math.max(most, d[i][j])
    end
    for j = 1, N do d[i][j] = d[i][j] / most end
    rank[i] = {}
    for j = 1, N do rank[i][j] = j end
    d[i][i] = -1
    table.sort(rank[i], function(a, b) return d[i][a] < d[i][b] end)
    d[i][i] = 0
  end
  local function reciprocal(i, k)
    local set = {}
    for s = 1, k + 1 do
      for u = 1, k + 1 do
        if rank[rank[i][s]][u] == i then set[#set + 1] = rank[i][s] end
      end
    end
    return set
  end
  local V, half = {}, k1 / 2
  half = half % 1 == 0.5 and (half // 1) + (half // 1) % 2 or math.floor(half + 0.5)
  for i = 1, N do
    local core, members = reciprocal(i, k1), {}
    for _, m in ipairs(core) do members[m] = true end
    for _, m in ipairs(core) do
      local set, shared = reciprocal(m, math.tointeger(half)), 0
      for _, s in ipairs(set) do
        for _, c in ipairs(core) do if c == s then shared = shared + 1 end end
      end
      if shared > 2 / 3 * #set then
        for _, s in ipairs(set) do members[s] = true end
      end
    end
    local sum = 0
    V[i] = {}
    for m in pairs(members) do
      V[i][m] = math.exp(-d[i][m])
      sum = sum + V[i][m]
    end
    for m in pairs(members) do V[i][m] = V[i][m] / sum end
  end
  local W = {}
  for i = 1, N do
    W[i] = {}
    for k = 1, k2 do
      for m, v in pairs(V[rank[i][k]]) do W[i][m] = (W[i][m] or 0) + v / k2 end
    end
  end
  local out = {}
  for i = 1, N do
    out[i] = {}
    for j = 1, N do
      local s = 0
      for m, v in pairs(W[i]) do s = s + math.min(v, W[j][m] or 0) end
      out[i][j] = lambda * d[i][j] + (1 - lambda) * (1 - s / (2 - s))
    end
  end
  return out, W
end

describe("k-reciprocal re-ranking", function()
  local x, y = clusters(60, 0.8, 5)
  it("finds the neighbourhoods of the authors' algorithm", function()
    local _, want = rerank_by_hand(x, 6, 3, 0.3)
    local index, weight, s = crun.metrics.k_reciprocal(x, { k1 = 6, k2 = 3 })
    assert.equal(0, s.cut)
    index, weight = index:totable(), weight:totable()
    for i = 1, 60 do
      local n = 0
      for m, v in pairs(want[i]) do
        n = n + 1
        local found
        for k, j in ipairs(index[i]) do if j == m then found = weight[i][k] end end
        assert.near(v, found or 0, 1e-5)
      end
      assert.equal(0, index[i][n + 1] or 0)
    end
  end)
  it("ranks by the mixed distance", function()
    local d = rerank_by_hand(x, 6, 3, 0.3)
    local label, right = y:totable(), 0
    for i = 1, 60 do
      local best
      for j = 1, 60 do
        if j ~= i and (not best or d[i][j] < d[i][best]) then best = j end
      end
      right = right + (label[best] == label[i] and 1 or 0)
    end
    local s = eval.retrieval(x, y, { rerank = { k1 = 6, k2 = 3 } })
    assert.near(right / 60, s["recall@1"], 1e-6)
    assert.is_true(s["map@r"] > eval.retrieval(x, y)["map@r"])
  end)
  it("takes queries and references apart", function()
    local s = eval.retrieval(x:narrow(1, 1, 20), y:narrow(1, 1, 20), { references = x:narrow(1, 21, 40),
      reference_labels = y:narrow(1, 21, 40), rerank = true })
    assert.is_true(s.map > 0 and s.map <= 1)
  end)
  it("keeps the largest weights when there are too many", function()
    local _, weight, s = crun.metrics.k_reciprocal(x, { k1 = 6, k2 = 3, width = 2 })
    assert.is_true(s.cut > 0)
    assert.is_true(crun.allclose(weight:sum(2), crun.ones(60), 1e-5, 1e-5))
  end)
  it("does not depend on threads, and has its way with little", function()
    local before = crun.threads()
    crun.threads(1)
    local _, a = crun.metrics.k_reciprocal(x)
    crun.threads(3)
    local _, b = crun.metrics.k_reciprocal(x)
    crun.threads(before)
    assert.same(a:totable(), b:totable())
    assert.same({ {1} }, (crun.metrics.k_reciprocal(crun.ones(1, 2)):totable()))
    assert.same({ 0, 1 }, (crun.metrics.k_reciprocal(crun.ones(0, 2)):shape()))
    local _, w = crun.metrics.k_reciprocal(crun.ones(5, 2))
    assert.is_true(crun.allclose(w:sum(2), crun.ones(5), 1e-5, 1e-5))
  end)
  it("refuses neighbourhoods of other rows", function()
    local index, weight = crun.metrics.k_reciprocal(x)
    fails("neighbourhood must have a row for each of the 2 queries and references, got 60",
      crun.metrics.retrieval, crun.zeros(2, 2), crun.int { 1, 1 }, nil, nil, index, weight)
    fails("neighbourhood and neighbourhood_weight go together", crun.metrics.retrieval, x, y, nil, nil, index)
  end)
end)

describe("eval.expand", function()
  it("is worked by hand", function()
    local x = crun.tensor {{1, 0}, {0, 2}, {-1, 0}}
    local plain = eval.expand(crun.tensor {{3, 0}}, { references = x, k = 2 })
    assert.is_true(crun.allclose(plain, crun.tensor {{2, 1}}:normalize(), 1e-5, 1e-6))
    local alpha = eval.expand(crun.tensor {{3, 0}}, { references = x, k = 2, alpha = 3 })
    assert.is_true(crun.allclose(alpha, crun.tensor {{1, 0}}, 1e-5, 1e-6))
  end)
  it("helps where classes are clouds", function()
    local z, y = clusters(200, 0.8, 2)
    local plain = eval.retrieval(z, y, { distance = "cosine" })
    local better = eval.retrieval(z, y, { distance = "cosine", expansion = { k = 3, alpha = 3, database = true } })
    assert.is_true(better["map@r"] >= plain["map@r"])
  end)
end)

describe("eval.spectrum", function()
  it("counts the dimensions in use", function()
    local rng = crun.rng(1, "spectrum")
    local flat = crun.randn(rng, 500, 2):matmul(crun.randn(rng, 2, 10))
    local round = crun.randn(rng, 4000, 10)
    assert.is_true(eval.spectrum(flat).effective_rank < 2.001)
    assert.is_true(eval.spectrum(flat, { variance = 0.999 }).pcf <= 0.2)
    assert.near(10, eval.spectrum(round).effective_rank, 0.1)
    assert.equal(0.5, eval.spectrum(round).pcf)
    assert.same({ pcf = 0, effective_rank = 0, participation = 0 }, eval.spectrum(crun.ones(5, 3)))
    assert.is_true(eval.spectrum(crun.randn(rng, 3, 10)).effective_rank < 2.1)
  end)
end)

describe("the LFW protocol", function()
  local path = os.tmpname()
  local function write(text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end
  it("reads pairs.txt", function()
    local list = eval.read_pairs(write "2\t1\nAnn_A\t1\t4\nAnn_A\t2\tBob\t10\nBob\t3\t4\nBob\t1\tCy\t1\n")
    assert.equal(4, #list)
    assert.same({ first = "Ann_A_0001", second = "Ann_A_0004", same = true, fold = 1 }, list[1])
    assert.same({ first = "Bob_0001", second = "Cy_0001", same = false, fold = 2 }, list[4])
    local stats = eval.lfw(crun.tensor {{0}, {0.1}, {5}, {5.1}, {5.2}, {9}}, list, { Ann_A_0001 = 1, Ann_A_0004 = 2,
      Ann_A_0002 = 1, Bob_0010 = 3, Bob_0003 = 4, Bob_0004 = 5, Bob_0001 = 3, Cy_0001 = 6 })
    assert.equal(1, stats.accuracy)
    assert.equal(2, stats.folds)
  end)
  it("says which line is wrong", function()
    fails(":2: must be 'name i j' or 'name i other j', got 'Ann one 2'", eval.read_pairs, write "1 1\nAnn one 2\n")
    fails("promises 4 pairs, there are 1", eval.read_pairs, write "2 1\nAnn 1 2\n")
    fails("the first line must be", eval.read_pairs, write "Ann 1 2\n")
    fails("there is no row for picture 'Bob_0002'", eval.lfw, crun.zeros(2, 2),
      eval.read_pairs(write "1\nAnn 1 2\nAnn 1 Bob 2\n"), { Ann_0001 = 1, Ann_0002 = 2 })
    os.remove(path)
  end)
end)

describe("eval.calibrate and verification", function()
  it("work from embeddings", function()
    local z, y = clusters(40, 0.05)
    local s = eval.calibrate(z, y, { target = "accuracy", samples = 20 })
    assert.equal(1, s.accuracy)
    assert.is_true(s.low <= s.high)
    assert.equal(0, eval.verification(z, y)["fnmr@fmr=0.1"])
  end)
end)
