local crun = require "crun"
local miners = crun.miners

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

-- int tensors as a list of rows, in their order
local function rows(...)
  local columns, list = { ... }, {}
  for k, t in ipairs(columns) do columns[k] = t:totable() end
  for i = 1, #columns[1] do
    local row = {}
    for k = 1, #columns do row[k] = columns[k][i] end
    list[i] = table.concat(row, " ")
  end
  return list
end

local function sorted(...)
  local list = rows(...)
  table.sort(list)
  return list
end

local function pairs_of(m, ...)
  local a1, p, a2, n = m(...)
  return rows(a1, p), rows(a2, n)
end

-- on a line: 0 and 1 are of one class, 3 and 7 of another, 20 alone
local z = crun.tensor {{0}, {1}, {3}, {7}, {20}}
local labels = crun.int {5, 5, -2, -2, 9}

local plain = { "all_pairs", "all_triplets", "angular", "batch_easy_hard", "batch_hard", "distance_weighted",
  "hard_cluster", "hdc", "multi_similarity", "n_hard", "one_pair_per_class", "pair_margin", "triplet_margin",
  "uniform_histogram" }
local no_distances = { hard_cluster = true, angular = true, all_pairs = true, all_triplets = true,
  one_pair_per_class = true }
local no_relation = { hard_cluster = true, one_pair_per_class = true }

describe("a miner", function()
  it("is listed by name", function()
    local found = 0
    for _, make in pairs(miners) do
      found = found + 1
      assert.equal("function", type(make))
    end
    assert.equal(16, found)
    assert.is_nil(miners.nothing)
  end)

  it("finds what is to be found on a line", function()
    local pos, neg = pairs_of(miners.all_pairs {}, z, labels)
    assert.same({ "1 2", "2 1", "3 4", "4 3" }, pos)
    assert.equal(16, #neg)
    assert.equal("1 3", neg[1])
    assert.equal(12, #rows(miners.all_triplets {} (z, labels)))
    assert.same({ "3 4", "1 2" }, rows(miners.one_pair_per_class {} (z, labels)))   -- in the order of labels
    assert.same({ "1 2 3", "2 1 3", "3 4 2", "4 3 2" }, rows(miners.batch_hard {} (z, labels)))
    pos, neg = pairs_of(miners.batch_easy_hard {}, z, labels)                       -- easy, semihard
    assert.same({ "1 2", "2 1", "3 4", "4 3" }, pos)
    assert.same({ "1 3", "2 3", "3 5", "4 2" }, neg)
    _, neg = pairs_of(miners.batch_easy_hard { pos_strategy = "hard", neg_strategy = "hard",
      allowed_neg_range = { 2.5, 6 } }, z, labels)
    assert.same({ "1 3", "2 4", "3 1", "4 2" }, neg)
    pos, neg = pairs_of(miners.batch_easy_hard { pos_strategy = "all", neg_strategy = "easy" }, z, labels)
    assert.equal(4, #pos)
    assert.same({ "1 5", "2 5", "3 5", "4 5", "5 1" }, neg)
    pos, neg = pairs_of(miners.pair_margin { pos_margin = 2, neg_margin = 3 }, z, labels)
    assert.same({ "3 4", "4 3" }, pos)
    assert.same({ "2 3", "3 2" }, neg)
    local hard = { margin = 0, type_of_triplets = "hard" }
    assert.same({ "3 4 1", "3 4 2" }, rows(miners.triplet_margin(hard)(z, labels)))
    assert.same({ "1 2 3", "2 1 3", "4 3 2" },
      rows(miners.triplet_margin { margin = 2, type_of_triplets = "semihard" } (z, labels)))
    assert.same({ "1 2 4", "1 2 5", "2 1 4", "2 1 5", "3 4 5", "4 3 1", "4 3 5" },
      rows(miners.triplet_margin { margin = 2, type_of_triplets = "easy" } (z, labels)))
    pos, neg = pairs_of(miners.multi_similarity { epsilon = 0, distance = "euclidean" }, z, labels)
    assert.same({ "3 4" }, pos)
    assert.same({ "3 1", "3 2" }, neg)
    pos, neg = pairs_of(miners.hdc { filter_percentage = 0.25 }, z, labels)         -- of 4 and of 16
    assert.same({ "3 4" }, pos)
    assert.same({ "2 3", "3 2", "1 3", "3 1" }, neg)
    assert.same({ "1 2 4", "2 1 4", "3 4 1", "4 3 1" }, rows(miners.n_hard { n_negative = { 2, 2 } } (z, labels)))
    assert.same({ "2 3 4", "5 6 3" }, rows(miners.hard_cluster {} (                  -- means 2 and 13
      crun.tensor {{0}, {1}, {5}, {9}, {10}, {20}}, crun.int {1, 1, 1, 2, 2, 2})))
  end)

  it("sees angles", function()                    -- from (0, h) the pair at -1 and 1 spans 2 atan(1 / h)
    local function mined(h, angle)
      local x = crun.tensor {{-1, 0}, {1, 0}, {0, h}}
      return #rows(miners.angular { angle = angle } (x, crun.int {1, 1, 2}))
    end
    assert.equal(2, mined(1, 44))
    assert.equal(0, mined(1, 46))
    assert.equal(2, mined(0, 89))
    assert.equal(0, #rows(miners.angular { angle = 0 } (crun.zeros(3, 2), crun.int {1, 1, 2})))
  end)

  it("packs and joins", function()
    assert.same({ "1 2 3", "4 5 6" }, rows(miners.packaged_triplets {} (crun.zeros(6, 1), crun.ones(6):int())))
    says("embeddings come in threes, got 4 rows", miners.packaged_triplets {}, crun.zeros(4, 1))
    local a, p, n = miners.pairs_to_triplets {} (crun.int {2, 1, 2}, crun.int {4, 3, 5}, crun.int {2, 3, 2},
      crun.int {9, 8, 7})
    assert.same({ "2 4 9", "2 4 7", "2 5 9", "2 5 7" }, rows(a, p, n))
  end)

  it("counts what it found", function()
    local m = miners.pair_margin { pos_margin = 2, neg_margin = 3 }
    m(z, labels)
    assert.same({ positive_pairs = 2, negative_pairs = 2, anchors = 3 }, m.stats)
    m = miners.batch_hard {}
    m(z, labels)
    assert.same({ triplets = 4, anchors = 4 }, m.stats)
  end)

  it("finds nothing where there is nothing, as empty tensors", function()
    for _, name in ipairs(plain) do
      local m = miners[name] {}
      for _, case in ipairs {
        { crun.zeros(0, 3), crun.int {} }, { crun.zeros(1, 3), crun.int {4} },
        { crun.zeros(2, 3), crun.int {1, 2}, positives = 0 }, { crun.ones(3, 0), crun.int {1, 2, 3} } } do
        local results = { m(case[1], case[2]) }
        for k, t in ipairs(results) do
          assert.equal("int64", t:dtype())
          assert.equal(1, t:ndim())
          if k <= 2 and #results ~= 3 then assert.equal(0, #t, name) end
          if #results == 3 then assert.equal(0, #t, name) end
        end
      end
      local one = { m(crun.ones(4, 3), crun.ones(4):int()) }                        -- one class: no negatives
      if #one == 3 then assert.equal(0, #one[1], name) elseif #one == 4 then assert.equal(0, #one[3], name) end
    end
  end)

  it("holds rows against references", function()
    local x, y = crun.tensor {{0}, {10}}, crun.int {1, 2}
    local refs, ref_labels = crun.tensor {{0}, {2}, {9}, {4}}, crun.int {1, 1, 2, 3}
    assert.same({ "1 2 4", "2 3 4" }, rows(miners.batch_hard {} (x, y, refs, ref_labels)))
    local pos, neg = pairs_of(miners.all_pairs {}, x, y, refs, ref_labels)
    assert.same({ "1 1", "1 2", "2 3" }, pos)
    assert.equal(5, #neg)
    says("references and reference_labels go together, got only references", miners.batch_hard {}, x, y, refs)
  end)

  it("takes a relation in place of labels, and mines among tuples", function()
    local r = crun.relation { labels = labels, ignored = { {1}, {2} } }
    assert.same({ "3 4 2", "4 3 2" }, rows(miners.batch_hard {} (z, r)))
    for _, name in ipairs(plain) do
      local m = miners[name] {}
      local same = { m(z, labels) }
      if m.step then m.step = 0 end
      local by_relation = { m(z, crun.relation { labels = labels }) }
      for k, t in ipairs(same) do assert.same(t:totable(), by_relation[k]:totable(), name) end
      if not no_relation[name] then                    -- one-hot labels: no classes, the same pairs
        if m.step then m.step = 0 end
        local many = crun.tensor {{1, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 0, 1}}
        local mined = { m(z, crun.relation { labels = many }) }
        for k, t in ipairs(same) do assert.same(t:totable(), mined[k]:totable(), name) end
      else
        says(name == "hard_cluster" and "got relation" or "a relation has no classes", m, z,
          crun.relation { labels = crun.eye(5) })
      end
    end
    local pos, neg = pairs_of(miners.hdc { filter_percentage = 1 }, z, labels,
      { crun.int {3, 1}, crun.int {4, 2}, crun.int {1, 2}, crun.int {5, 4} })
    assert.same({ "3 4", "1 2" }, pos)
    assert.same({ "2 4", "1 5" }, neg)
  end)

  it("takes any distance", function()
    local x = crun.randn(crun.rng(1, "miners"), 24, 5)
    local y = crun.randint(crun.rng(2, "miners"), 4, 24)
    local d = crun.distances
    for _, c in ipairs {
      { "euclidean", d.euclidean {} }, { "manhattan", d.manhattan {} }, { "cosine", d.cosine {} },
      { "dot", d.dot {} }, { "dot", d.dot_similarity {} }, { "snr", d.snr {} },
      { "cosine", d.cosine_similarity {} } } do
      assert.same(rows(miners.batch_hard { distance = c[1] } (x, y)), rows(miners.batch_hard { distance = c[2] } (x, y)))
    end
    local m = miners.batch_hard { distance = d.mahalanobis { matrix = crun.eye(5) } }
    assert.same(rows(miners.batch_hard {} (x, y)), rows(m(x, y)))
    assert.equal("distance", require("crun.options").kind(m.distance))
    m.distance = "manhattan"
    assert.equal("manhattan", m.distance)
    for _, name in ipairs(plain) do
      if not no_distances[name] then
        local a = { miners[name] { distance = "euclidean", normalize = true } (x, y) }
        local b = { miners[name] { distance = d.euclidean { normalize = true } } (x, y) }
        for k, t in ipairs(a) do assert.equal(#t, #b[k], name) end
      end
    end
    says("squared is for distance", miners.batch_hard { distance = "cosine", squared = true }, x, y)
  end)

  it("is the same by one thread and by two, over tiles", function()
    local x = crun.randn(crun.rng(3, "miners"), 700, 8)
    local y = crun.randint(crun.rng(4, "miners"), 90, 700)
    local before = crun.threads()
    for _, name in ipairs { "multi_similarity", "hdc", "batch_hard", "distance_weighted", "uniform_histogram" } do
      local results = {}
      for t = 1, 2 do
        crun.threads(t)
        results[t] = { miners[name] {} (x, y) }
      end
      for k, t in ipairs(results[1]) do
        assert.equal(#t, #results[2][k])
        assert.equal(0, t:ne(results[2][k]):sum():item(), name)
      end
    end
    crun.threads(before)
  end)

  it("agrees with plain loops on a batch", function()
    local x = crun.randn(crun.rng(5, "miners"), 60, 4)
    local y = crun.randint(crun.rng(6, "miners"), 9, 60)
    local d, l = crun.cdist(x):totable(), y:totable()
    local want = {}
    for a = 1, 60 do
      local far, near
      for j = 1, 60 do
        if j ~= a and l[j] == l[a] and (not far or d[a][j] > d[a][far]) then far = j end
        if l[j] ~= l[a] and (not near or d[a][j] < d[a][near]) then near = j end
      end
      if far and near then want[#want + 1] = ("%d %d %d"):format(a, far, near) end
    end
    assert.same(want, rows(miners.batch_hard {} (x, y)))
    assert.same(want, rows(miners.n_hard {} (x, y)))
    local triplets = {}
    for a = 1, 60 do
      for p = 1, 60 do
        for n = 1, 60 do
          if p ~= a and l[p] == l[a] and l[n] ~= l[a] and d[a][n] - d[a][p] <= 0.2 then
            triplets[#triplets + 1] = ("%d %d %d"):format(a, p, n)
          end
        end
      end
    end
    assert.same(triplets, rows(miners.triplet_margin {} (x, y)))
  end)

  it("serves a loss", function()
    local x = crun.randn(crun.rng(7, "miners"), 20, 4):requires_grad_()
    local y = crun.randint(crun.rng(8, "miners"), 4, 20)
    local a, p, n = miners.batch_hard {} (x, y)
    local mined = crun.losses.triplet { margin = 0.3 } (x, y, { a, p, n })
    assert.near(crun.losses.triplet { margin = 0.3, mine = "hard" } (x, y):item(), mined:item(), 1e-5)
    mined:backward()
    assert.truthy(x:grad():abs():sum():item() > 0)
  end)
end)

describe("a random miner", function()
  local x = crun.randn(crun.rng(9, "miners"), 40, 6):normalize()
  local y = crun.randint(crun.rng(10, "miners"), 5, 40)

  it("draws by seed and step, and counts its calls", function()
    for _, name in ipairs { "distance_weighted", "uniform_histogram" } do
      local m, again, other = miners[name] { seed = 3 }, miners[name] { seed = 3 }, miners[name] { seed = 4 }
      local first = rows(m(x, y))
      local second = rows(m(x, y))
      assert.equal(2, m.step)
      assert.is_false(table.concat(first, ",") == table.concat(second, ","))
      assert.same(first, rows(again(x, y)))
      assert.is_false(table.concat(first, ",") == table.concat(rows(other(x, y)), ","))
      local late = miners[name] { seed = 3 }
      late:load { step = 1 }
      assert.same(second, rows(late(x, y)))
      assert.same({ step = 2 }, late:state())
      local fixed = miners[name] { seed = 3, step = 0 }              -- a step that is given stays
      assert.same(first, rows(fixed(x, y)))
      assert.same(first, rows(fixed(x, y)))
    end
  end)

  it("draws as many as it says", function()
    local a = miners.distance_weighted { triplets_per_anchor = 3, nonzero_loss_cutoff = 3 } (x, y)
    assert.equal(120, #a)
    local m = miners.uniform_histogram { num_bins = 1, pos_per_bin = 4, neg_per_bin = 0 }
    local a1, _, a2 = m(x, y)
    assert.equal(4, #a1)
    assert.equal(0, #a2)
    -- all at one distance: one bin
    local same = { miners.uniform_histogram { pos_per_bin = 2, neg_per_bin = 3 } (crun.ones(6, 2), crun.int {1,1,1,2,2,2}) }
    assert.equal(2, #same[1])
    assert.equal(3, #same[3])
  end)

  it("never draws a negative past the cutoff", function()
    local a, _, n = miners.distance_weighted { nonzero_loss_cutoff = 0.9 } (x, y)
    assert.truthy(#a > 0)
    assert.truthy(crun.cdist(x):index_pairs(a, n):amax():item() < 0.9)
  end)
end)

describe("a mistake with a miner", function()
  it("is told", function()
    says("miners.batch_hard: make it first", miners.batch_hard, z)
    says("miners.batch_hard: takes a table of options, got a string", miners.batch_hard, "x")
    says("miners.multi_similarity: unknown option 'epsilom'; did you mean 'epsilon'?", miners.multi_similarity,
      { epsilom = 1 })
    says("miners.batch_hard: labels must be a tensor, got nothing", miners.batch_hard {}, z)
    says("miners.batch_hard: labels must have shape [B] with B = 5", miners.batch_hard {}, z, crun.int {1, 2})
    says("embeddings must be finite, but row 2 is not", miners.batch_hard {}, crun.tensor {{1}, {0 / 0}}, crun.int {1, 2})
    says('pos_strategy = "semihard" needs neg_strategy = "hard" or "easy"',
      miners.batch_easy_hard { pos_strategy = "semihard", neg_strategy = "all" }, z, labels)
    says("allowed_pos_range must be { least, most }", miners.batch_easy_hard, { allowed_pos_range = 3 })
    says("n_positive must be a number or {first, last}", miners.n_hard { n_positive = { 3, 2 } }, z, labels)
    says("filter_percentage must be in 0 .. 1, got 2", miners.hdc, { filter_percentage = 2 })
    says("takes embeddings and labels only, got references", miners.hard_cluster {}, z, labels, z, labels)
    says("distances say nothing of middles", miners.angular {}, z, labels, nil, nil, nil, crun.zeros(5, 5))
    says("distances must have shape [5, 5] without references, got [5, 4]", miners.batch_hard {}, z, labels, nil, nil,
      nil, crun.zeros(5, 4))
  end)
end)
