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

local function is_nan(x) return x ~= x end

describe("metrics.retrieval at k", function()
  it("is worked by hand", function()
    -- references in order: same, other, same, other, same; R = 3
    local _, r = stats_of(crun.metrics.retrieval(crun.tensor {{0}}, crun.int {7},
      crun.tensor {{1}, {2}, {3}, {4}, {5}}, crun.int {7, 8, 7, 8, 7}, { k = {2, 4} }))
    local sum = 1 + 2 / 3
    local ideal = 1 + 1 / math.log(3, 2)
    local want = { { 1, 1 }, { 1 / 3, 2 / 3 }, { 1 / 2, 1 / 2 }, { 1 / 2, 2 / 3 }, { 1 / 3, sum / 3 },
      { 1 / 2, sum / 3 }, { 1, sum / 2 }, { 1 / ideal, 1.5 / (ideal + 1 / 2) } }
    assert.is_true(crun.allclose(r[7], crun.tensor(want), 1e-6, 1e-6))
    assert.is_true(crun.allclose(r[8], r[7], 0, 0))
  end)
  it("averages over classes", function()
    local s = eval.retrieval(crun.tensor {{0}, {1}, {1.5}, {9}, {3}}, crun.int {1, 1, 1, 2, 2}, { k = {1} })
    assert.near(4 / 5, s["recall@1"], 1e-6)                     -- 9 finds 3, but 3 finds 1.5
    assert.near((1 + 1 / 2) / 2, s["recall@1/class"], 1e-6)
    assert.equal(s["precision@1/class"], s["recall@1/class"])
  end)
  it("counts queries without a match in recall of all", function()
    local s = eval.retrieval(crun.tensor {{0}, {1}, {5}}, crun.int {1, 1, 2}, { k = {1} })
    assert.equal(1, s["recall@1"])
    assert.near(2 / 3, s["recall@1/all"], 1e-6)
  end)
end)

describe("a relation", function()
  local x, y = crun.tensor {{0}, {1}, {5}}, crun.int {1, 1, 2}
  it("stands where labels stand", function()
    assert.same(eval.retrieval(x, y), eval.retrieval(x, crun.relation { labels = y }))
    assert.same((eval.verification(x, y)), (eval.verification(x, crun.relation { labels = y })))
    local r = crun.relation { labels = crun.int {2}, reference_labels = y }
    assert.equal(1, eval.retrieval(crun.tensor {{4}}, r, { references = x })["recall@1"])
  end)
  it("of pairs is refused", function()
    fails("takes one label an item; this relation holds pairs, or several labels", eval.retrieval, x,
      crun.relation { positives = { {1}, {2} }, negatives = { {1}, {3} } })
  end)
end)

describe("metrics.neighbours", function()
  local x = crun.tensor {{0}, {1}, {3}, {7}}
  it("is worked by hand", function()
    local d, index = crun.metrics.neighbours(x, { k = 2 })
    assert.same({ {1, 3}, {1, 2}, {2, 3}, {4, 6} }, d:totable())
    assert.same({ {2, 3}, {1, 3}, {2, 1}, {3, 2} }, index:totable())
  end)
  it("puts the lower number first where distances are equal", function()
    local _, index = crun.metrics.neighbours(crun.zeros(1, 2), crun.ones(300, 2), { k = 5 })
    assert.same({ {1, 2, 3, 4, 5} }, index:totable())
  end)
  it("agrees with a sort, for any k, distance and number of threads", function()
    local rng = crun.rng(3, "neighbours")
    local a, b = crun.randn(rng, 90, 5), crun.randn(rng, 700, 5)
    local before = crun.threads()
    for threads = 1, 2 do
      crun.threads(threads)
      for _, k in ipairs { 1, 10, 100, 700 } do
        local d, index = crun.metrics.neighbours(a, b, { k = k })
        local sorted, order = crun.cdist(a, b):sort()
        assert.is_true(crun.allclose(d, sorted:narrow(2, 1, k), 1e-4, 1e-5))
        if k < 100 then assert.same(order:narrow(2, 1, k):totable(), index:totable()) end
      end
    end
    crun.threads(before)
  end)
  it("puts nan last", function()
    local _, index = crun.metrics.neighbours(crun.zeros(1, 1), crun.tensor {{0 / 0}, {2}, {1}}, { k = 3 })
    assert.same({ {3, 2, 1} }, index:totable())
  end)
  it("refuses more than there are", function()
    fails("k = 4 is more than the 3 rows there are to find", crun.metrics.neighbours, x, { k = 4 })
    assert.same({ 0, 0 }, crun.metrics.neighbours(crun.zeros(0, 3), { k = 0 }):shape())
  end)
end)

describe("metrics.clustering", function()
  local function clustering(a, b, o) return stats_of(crun.metrics.clustering(crun.int(a), crun.int(b), o)) end
  it("is worked by hand", function()
    local s = clustering({ 1, 1, 2, 2 }, { 1, 1, 1, 2 })
    local hc, hk = math.log(2), -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    local mi = 0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2)
    assert.near(mi, s.mutual_information, 1e-12)
    assert.near(2 * mi / (hc + hk), s.nmi, 1e-12)
    assert.near(mi / hc, s.homogeneity, 1e-12)
    assert.near(mi / hk, s.completeness, 1e-12)
    assert.equal(0.75, s.purity)
    assert.near((1 - 2 * 3 / 6) / ((2 + 3) / 2 - 2 * 3 / 6), s.ari, 1e-12)
    assert.near(mi / math.sqrt(hc * hk), clustering({ 1, 1, 2, 2 }, { 1, 1, 1, 2 }, { average = "geometric" }).nmi, 1e-12)
  end)
  it("does not see names", function()
    local a = { 3, 3, -9, -9, 1 << 60, 1 << 60 }
    for _, score in ipairs { "nmi", "ami", "ari", "purity" } do
      assert.near(1, clustering(a, { 7, 7, 1, 1, 5, 5 })[score], 1e-12)
    end
  end)
  it("gives chance no credit", function()
    local rng = crun.rng(4, "clusters")
    local s = stats_of(crun.metrics.clustering(crun.randint(rng, 10, 2000), crun.randint(rng, 10, 2000)))
    assert.near(0, s.ami, 0.01)
    assert.near(0, s.ari, 0.01)
  end)
  it("has its value for what is empty or single", function()
    assert.is_true(is_nan(clustering({}, {}).nmi))
    assert.equal(1, clustering({ 4 }, { 9 }).ami)
    assert.equal(0, clustering({ 1, 2, 3 }, { 1, 1, 1 }).nmi)
  end)
  it("clusters embeddings itself", function()
    local z = crun.tensor {{0, 0}, {0, .1}, {5, 5}, {5, 5.1}, {-9, 0}, {-9, .1}}
    assert.near(1, eval.clustering(crun.int {1, 1, 2, 2, 3, 3}, z).nmi, 1e-9)
  end)
end)

describe("metrics.silhouette", function()
  it("is worked by hand", function()
    local samples, s = crun.metrics.silhouette(crun.tensor {{0}, {1}, {5}}, crun.int {1, 1, 2})
    assert.is_true(crun.allclose(crun.tensor { 4 / 5, 3 / 4, 0 }, samples, 1e-6, 1e-6))
    assert.near((4 / 5 + 3 / 4) / 3, s.score, 1e-6)
    assert.equal(2, s.clusters)
  end)
  it("does not depend on the order of rows", function()
    local rng = crun.rng(5, "silhouette")
    local x, y = crun.randn(rng, 300, 4), crun.randint(rng, 7, 300)
    local p = crun.randperm(rng, 300)
    local a, b = crun.metrics.silhouette(x, y), crun.metrics.silhouette(x:index_select(p, 1), y:index_select(p, 1))
    assert.is_true(crun.allclose(a:index_select(p, 1), b, 1e-4, 1e-5))
  end)
  it("is nan for one cluster, 0 for equal rows", function()
    assert.is_true(is_nan(stats_of(crun.metrics.silhouette(crun.zeros(3, 2), crun.int {1, 1, 1})).score))
    assert.equal(0, stats_of(crun.metrics.silhouette(crun.zeros(4, 2), crun.int {1, 1, 2, 2})).score)
    assert.is_true(is_nan(stats_of(crun.metrics.silhouette(crun.zeros(0, 2), crun.int {})).score))
  end)
end)

describe("metrics.fold_accuracy", function()
  it("is worked by hand", function()
    -- fold 2 picks 1.5 for fold 1, which gets the pair at 1.8 wrong; fold 1 picks 1.9 for fold 2
    local accuracy, threshold, s = crun.metrics.fold_accuracy(crun.tensor { 1, 1.8, 2, 1, 2, 3 },
      crun.byte { 1, 1, 0, 1, 0, 0 }, { folds = 2 })
    assert.is_true(crun.allclose(crun.tensor { 2 / 3, 1 }, accuracy, 1e-6, 1e-6))
    assert.is_true(crun.allclose(crun.tensor { 1.5, 1.9 }, threshold, 1e-6, 1e-6))
    assert.near(5 / 6, s.accuracy, 1e-9)
    assert.near(1 / 6, s.std, 1e-9)
    assert.near(1 / 6, s.standard_error, 1e-9)
  end)
  it("takes folds by number", function()
    local d, same = crun.tensor { 1, 1, 1.8, 2, 2, 3 }, crun.byte { 1, 1, 1, 0, 0, 0 }
    local _, threshold = crun.metrics.fold_accuracy(d, same, crun.int { 5, 9, 5, 5, 9, 9 })
    assert.is_true(crun.allclose(crun.tensor { 1.5, 1.9 }, threshold, 1e-6, 1e-6))
  end)
  it("refuses folds without pairs", function()
    fails("needs 2 folds or more with a pair in each, got 10 of 3 pairs", crun.metrics.fold_accuracy,
      crun.ones(3), crun.byte { 1, 0, 1 })
    fails("got 1 of 2 pairs", crun.metrics.fold_accuracy, crun.ones(2), crun.byte { 1, 0 }, crun.int { 4, 4 })
  end)
end)
