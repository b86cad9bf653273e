-- Losses over rankings, histograms and hard pairs: margin, ranked_list, fast_ap, histogram, smooth_ap, pnp,
-- recall_surrogate, instance, dynamic_soft_margin, manifold, cosent, online_contrastive, mega_batch_margin,
-- distance_ratio, snr_contrastive, lmnn, and the operator target_neighbours.
local crun = require "crun"
local losses = crun.losses

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

local function run(name, options, x, ...)
  local criterion = losses[name](options)
  x = x:detach():clone():requires_grad_()
  local loss = criterion(x, ...)
  loss:backward()
  return loss:item(), x:grad(), criterion.stats
end

local function near(want, got, relative)
  assert.truthy(math.abs(want - got) <= (relative or 1e-4) * math.max(1e-3, math.abs(want)),
                ("want %.9g, got %.9g"):format(want, got))
end

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end

-- Distances of a batch, row by row, in Lua: d[i][j], positives[i], negatives[i].
local function table_of(x, labels, cosine)
  local v, y = x:totable(), labels:totable()
  local d, positives, negatives = {}, {}, {}
  for i = 1, #y do
    d[i], positives[i], negatives[i] = {}, {}, {}
    for j = 1, #y do
      local dot, a, b, square = 0, 0, 0, 0
      for k = 1, #v[1] do
        dot, a, b = dot + v[i][k] * v[j][k], a + v[i][k] ^ 2, b + v[j][k] ^ 2
        square = square + (v[i][k] - v[j][k]) ^ 2
      end
      d[i][j] = cosine and 1 - dot / math.sqrt(a * b) or math.sqrt(square)
      if i ~= j then table.insert(y[i] == y[j] and positives[i] or negatives[i], j) end
    end
  end
  return d, positives, negatives
end

local function batch(seed, n, classes, width)
  local rng = crun.rng(seed, "ranking")
  return crun.randn(rng, n, width or 4), crun.randint(rng, classes, n)
end

-- every loss over a labelled batch, with options that leave some terms active
local labelled = {
  { "margin", { beta = 2 } }, { "ranked_list", { alpha = 3 } }, { "fast_ap", {} }, { "histogram", {} },
  { "smooth_ap", {} }, { "pnp", {} }, { "recall_surrogate", {} }, { "instance", { target = "self" } },
  { "online_contrastive", {} }, { "mega_batch_margin", {} }, { "distance_ratio", {} }, { "snr_contrastive", {} },
}

describe("losses over a labelled batch", function()
  it("do not depend on the order of the batch, nor on what labels are called", function()
    local x, labels = batch(1, 30, 5)
    local order = crun.randperm(crun.rng(2, "order"), 30)
    for _, case in ipairs(labelled) do
      local loss, grad = run(case[1], case[2], x, labels)
      local other, turned = run(case[1], case[2], x:index_select(order, 1), labels:index_select(order, 1) * -7 + 1)
      near(loss, other, 1e-4)
      local scale = math.max(1e-3, grad:abs():amax():item())
      assert.is_true(crun.allclose(grad:index_select(order, 1), turned, 1e-3, 1e-3 * scale), case[1])
    end
  end)

  it("give 0 with a zero gradient without pairs: one row, no row, one class or every class once", function()
    for _, case in ipairs(labelled) do
      local name = case[1]
      for _, labels in ipairs { { 5 }, { 1, 2, 3 }, { 4, 4, 4 } } do
        local loss, grad = run(name, case[2], crun.randn(crun.rng(3, name), #labels, 4), crun.int(labels))
        -- one side of the pairs is enough for these
        local one_sided = ({ instance = true, snr_contrastive = true, online_contrastive = true, ranked_list = true,
                             mega_batch_margin = true, recall_surrogate = true })[name]
        if #labels == 1 or not one_sided then
          near(0, loss, 1e-6)
          assert.truthy(grad:abs():amax():item() <= 1e-6, name)
        end
        assert.truthy(loss == loss and grad:isfinite():all():item() == 1, name)
      end
      assert.equal(0, (run(name, case[2], crun.zeros(0, 4), crun.zeros(0):int())), name)
    end
  end)

  it("have finite gradients for equal embeddings, zero vectors and huge values", function()
    local labels = crun.int { 1, 1, 2, 2, 3, 3 }
    for _, case in ipairs(labelled) do
      for _, x in ipairs { crun.ones(6, 4), crun.zeros(6, 4), crun.randn(crun.rng(4, "huge"), 6, 4) * 1e6 } do
        local loss, grad = run(case[1], case[2], x, labels)
        assert.truthy(loss == loss, case[1])
        assert.equal(1, grad:isfinite():all():item(), case[1])
      end
    end
  end)

  it("are nan for an embedding that is not finite", function()
    for _, case in ipairs(labelled) do
      local x = crun.randn(crun.rng(5, "bad"), 6, 3)
      x[2][1] = 0 / 0
      local loss = run(case[1], case[2], x, crun.int { 1, 1, 2, 2, 3, 3 })
      assert.truthy(loss ~= loss, case[1])
    end
  end)

  it("give the same bits with 1 thread and with 2", function()
    local before = crun.threads()
    local x, labels = batch(6, 300, 30, 16)
    for _, case in ipairs(labelled) do
      local results = {}
      for threads = 1, 2 do
        crun.threads(threads)
        local loss, grad = run(case[1], case[2], x, labels)
        results[threads] = { loss, grad:totable() }
      end
      assert.same(results[1], results[2], case[1])
    end
    crun.threads(before)
  end)

  it("take a batch of their own as references, but for the row itself", function()
    local x, labels = batch(7, 12, 3)
    for _, case in ipairs { { "margin", { beta = 2, reduction = "sum" } }, { "smooth_ap", { reduction = "sum" } },
                            { "distance_ratio", { reduction = "sum" } }, { "fast_ap", { reduction = "sum" } } } do
      local whole, apart = run(case[1], case[2], x, labels), 0
      for i = 1, 12 do
        local others = {}
        for j = 1, 12 do if j ~= i then others[#others + 1] = j end end
        others = crun.int(others)
        apart = apart + run(case[1], case[2], x:narrow(1, i, 1), labels:narrow(1, i, 1),
                            x:index_select(others, 1), labels:index_select(others, 1))
      end
      near(whole, apart, 1e-4)
    end
  end)
end)

describe("losses.margin", function()
  it("is worked by hand", function()          -- distances 1, 3, 2; triplets (1,2,3) and (2,1,3); beta 1.2, margin 0.5
    local x, labels = crun.tensor {{0}, {1}, {3}}, crun.int {1, 1, 2}
    -- pull 1 - 1.2 + 0.5 = 0.3 twice; push 1.2 - 3 + 0.5 < 0 and 1.2 - 2 + 0.5 < 0
    local loss, grad, stats = run("margin", { margin = 0.5 }, x, labels)
    near(0.6 / 2, loss)
    assert.same({ {-1}, {1}, {0} }, grad:totable())
    assert.equal(2, stats.triplets)
    assert.equal(2, stats.active_hinges)
    near(0.5, stats.active)
    near(0.6 / 2, (run("margin", { margin = 0.5, reduction = "mean" }, x, labels)))
    near(0.6, (run("margin", { margin = 0.5, reduction = "sum" }, x, labels)))
  end)

  it("is the sum over triplets, with its count", function()
    local x, labels = batch(8, 25, 4)
    local d, positives, negatives = table_of(x, labels)
    local sum, hinges, triplets = 0, 0, 0
    for i = 1, 25 do
      for _, p in ipairs(positives[i]) do
        for _, n in ipairs(negatives[i]) do
          local pull, push = math.max(0, d[i][p] - 2.2), math.max(0, 2.6 - d[i][n])
          sum, triplets = sum + pull + push, triplets + (pull + push > 0 and 1 or 0)
          hinges = hinges + (pull > 0 and 1 or 0) + (push > 0 and 1 or 0)
        end
      end
    end
    local loss, _, stats = run("margin", { margin = 0.2, beta = 2.4 }, x, labels)
    near(sum / hinges, loss)
    assert.equal(hinges, stats.active_hinges)
    near(sum / triplets, (run("margin", { margin = 0.2, beta = 2.4, reduction = "nonzero" }, x, labels)))
  end)

  it("has a beta that learns, one or one for each class, and a price on it", function()
    local x, labels = crun.tensor {{0}, {1}, {3}, {3.5}}, crun.int {1, 1, 2, 2}
    local beta = crun.tensor {1, 0.8}:requires_grad_()
    local criterion = crun.native.losses.margin { margin = 0.1, reduction = "sum", nu = 0.5 }
    local loss = criterion(x, labels, nil, nil, beta)
    loss:backward()
    -- class 1: pull 0.1 of d = 1 for both rows, 2 negatives each; class 2: none. nu: 4 triplets of each class
    near(4 * 0.1 + 0.5 * (4 * 1 + 4 * 0.8), loss:item())
    assert.is_true(crun.allclose(crun.tensor {-4 + 2, 2}, beta:grad(), 1e-5, 1e-6))
    says("labels must run from 1 to 2", criterion, x, crun.int {0, 1, 2, 2}, nil, nil, beta)
    says("beta must be one number or have shape [C], got [1, 2]", criterion, x, labels, nil, nil, beta:reshape(1, 2))
  end)
end)

describe("losses.ranked_list", function()
  it("is worked by hand", function()          -- alpha 2, margin 1: positives within 1, negatives beyond 2
    local x, labels = crun.tensor {{0}, {3}, {1}}, crun.int {1, 1, 2}
    local loss = run("ranked_list", { alpha = 2, margin = 1, Tn = 0, imbalance = 0.25 }, x, labels)
    -- row 1: positive at 3 is 2 over, negative at 1 is 1 short; row 2: 2 over, negative at 2 is free; row 3: 1 and 0
    local e = 3e-5
    near(((0.75 * 2 / (1 + e) + 0.25 * 1 / (1 + e)) + 0.75 * 2 / (1 + e) + 0.25 * 1 / (1 + e)) / 3, loss, 1e-5)
  end)
  it("does not overflow at a high temperature", function()
    local x, labels = batch(9, 20, 4)
    local loss, grad = run("ranked_list", { alpha = 5, margin = 4, Tn = 1e4, Tp = 1e4 }, x, labels)
    assert.truthy(loss > 0 and loss < 10)
    assert.equal(1, grad:isfinite():all():item())
  end)
end)

describe("losses.fast_ap", function()
  it("is 0 for perfect clusters and near 1 - precision for mixed ones", function()
    local x = crun.tensor {{1, 0}, {1, 0}, {-1, 0}, {-1, 0}}
    near(0, (run("fast_ap", {}, x, crun.int {1, 1, 2, 2})))
    -- each row's positive stands at the far end, after two negatives in the first bin and at the far end
    near(1 - 1 / 3, (run("fast_ap", {}, x, crun.int {1, 2, 1, 2})))
  end)
  it("needs a range for other distances", function()
    says("range must be given", run, "fast_ap", { normalize = false }, crun.ones(4, 2), crun.int {1, 1, 2, 2})
  end)
end)

describe("losses.histogram", function()
  it("is worked by hand", function()          -- edges -1, 0, 1; the positive pairs at 1, the negative ones at 0.6 and -1
    local x = crun.tensor {{1, 0}, {2, 0}, {0.6, 0.8}}
    near(0.6 * 1, (run("histogram", { bins = 2 }, x, crun.int {1, 1, 2})))
    near(0.6 * 1, (run("histogram", { delta = 1 }, x, crun.int {1, 1, 2})))
  end)
  it("leaves out pairs of rows that are both alone in their class", function()
    local x = crun.tensor {{1, 0}, {2, 0}, {0.6, 0.8}, {0.6, 0.8}}
    near(0.6, (run("histogram", { bins = 2 }, x, crun.int {1, 1, 2, 3})))
  end)
  it("refuses bins and delta that contradict each other", function()
    says("delta must be 2 /", run, "histogram", { bins = 10, delta = 0.1 }, crun.ones(4, 2), crun.int {1, 1, 2, 2})
  end)
end)

-- ranks by sigmoids, in full: before[i][p] of positives and of negatives
local function soft_counts(x, labels, tau)
  local d, positives, negatives = table_of(x, labels, true)
  return function(i, p)
    local of_positives, of_negatives = 0, 0
    for _, j in ipairs(positives[i]) do
      if j ~= p then of_positives = of_positives + sigmoid((d[i][p] - d[i][j]) / tau) end
    end
    for _, j in ipairs(negatives[i]) do of_negatives = of_negatives + sigmoid((d[i][p] - d[i][j]) / tau) end
    return of_positives, of_negatives
  end, positives
end

describe("losses over soft ranks", function()
  local x, labels = batch(10, 40, 4, 3)
  it("count what a loop over all sigmoids counts", function()
    for _, tau in ipairs { 0.01, 0.3 } do
      local count, positives = soft_counts(x, labels, tau)
      local ap, recall, precision, rows = 0, 0, 0, 0
      for i = 1, 40 do
        local P = #positives[i]
        if P > 0 then
          rows = rows + 1
          local own = 0
          for _, p in ipairs(positives[i]) do
            local a, n = count(i, p)
            own = own + (1 + a) / (1 + a + n)
            recall = recall + sigmoid(3 - (1 + a + n)) / P
            precision = precision + sigmoid((3 - (1 + a + n)) / 0.5) / math.min(3, P)
          end
          ap = ap + own / P
        end
      end
      local loss, _, stats = run("smooth_ap", { tau = tau }, x, labels)
      near(1 - ap / rows, loss, 1e-4)
      assert.equal(rows, stats.queries)
      near(1 - recall / rows, (run("recall_surrogate", { k = 3, t2 = tau }, x, labels)), 1e-4)
      near(1 - precision / rows, (run("recall_surrogate", { k = 3, t2 = tau, t1 = 0.5, measure = "precision" }, x, labels)), 1e-4)
    end
  end)
  it("average over several k", function()
    local one = run("recall_surrogate", { k = 1 }, x, labels)
    local four = run("recall_surrogate", { k = 4 }, x, labels)
    near((one + four) / 2, (run("recall_surrogate", { k = {1, 4} }, x, labels)), 1e-5)
  end)
  it("are 0 for perfect clusters", function()
    local clusters = crun.tensor {{1, 0}, {1, 0}, {-1, 0}, {-1, 0}}
    for _, name in ipairs { "smooth_ap", "pnp" } do
      near(0, (run(name, {}, clusters, crun.int {1, 1, 2, 2})))
    end
  end)
end)

describe("losses.pnp", function()
  it("is worked by hand", function()          -- the positive of each row stands behind one negative, R = 1
    local x, labels = crun.tensor {{1, 0}, {-1, 0}, {1, 0}, {-1, 0}}, crun.int {1, 1, 2, 2}
    -- R of the other row: one negative before it and one at its side, 1.5; of the row itself: one at its side, 0.5
    local function mean(f) return (f(1.5) + f(0.5)) / 2 end
    near(mean(function(R) return R end), (run("pnp", {}, x, labels)))
    near(mean(function(R) return math.log(1 + R) end), (run("pnp", { variant = "Ds" }, x, labels)))
    near(mean(function(R) return 1 - (1 + R) ^ -3 end), (run("pnp", { variant = "Dq", alpha = 3 }, x, labels)))
    near(mean(function(R) return (1 + R) * math.log(1 + R) end), (run("pnp", { variant = "Iu" }, x, labels)))
    near(mean(function(R) return (2 * R - math.log(1 + 2 * R)) / 4 end), (run("pnp", { variant = "Ib" }, x, labels)))
  end)
end)

describe("losses.instance", function()
  it("is worked by hand", function()
    local x, labels = crun.tensor {{1, 0}, {0, 1}, {-1, 0}}, crun.int {7, 9, 7}
    local function lse(...) local s = 0 for _, v in ipairs { ... } do s = s + math.exp(2 * v) end return math.log(s) end
    local rows = { lse(1, 0, -1), lse(0, 1, 0), lse(-1, 0, 1) }
    near((rows[1] - 2 + rows[2] - 2 + rows[3] - 2) / 3, (run("instance", { gamma = 2, target = "self" }, x, labels)))
    -- label 7 is the first, so the target of rows 1 and 3 is column 1, that of row 2 is column 2
    near((rows[1] - 2 + rows[2] - 2 + rows[3] + 2) / 3, (run("instance", { gamma = 2, target = "rank" }, x, labels)))
  end)
end)

describe("losses.dynamic_soft_margin", function()
  local native = crun.native.losses.dynamic_soft_margin
  it("is worked by hand", function()          -- x = 1 - 3 and 1 - 2, width 1: bins 0 and 1 of 4
    local x, labels = crun.tensor {{0}, {1}, {3}}:requires_grad_(), crun.int {1, 1, 2}
    local histogram = crun.zeros(4)
    local criterion = native { normalize = false, min_val = -2 }
    local loss = criterion(x, labels, nil, nil, histogram)
    assert.same({ 0.5, 0.5, 0, 0 }, histogram:totable())
    near((0.5 * -2 + 1 * -1) / 2, loss:item())
    loss:backward()
    -- slopes: C / T - sum of x in the bin / (T^2 width): 0.5 / 2 + 2 / 4 and 1 / 2 + 1 / 4. Row 1 moves d_12 of
    -- both triplets and d_13 of the first
    near(0.75 * -1 + 0.75 * -1 - 0.75 * -1, x:grad()[1][1])
  end)
  it("agrees with a loop over triplets, and mixes the old histogram in", function()
    local x, labels = batch(11, 30, 5)
    x = x:normalize(2, 2)
    local d, positives, negatives = table_of(x, labels)
    local old, bins, low, width = { 0.1, 0.2, 0.3, 0.2, 0.2 }, 5, -2, 0.8
    local new, all, triplets = {}, {}, 0
    for b = 1, bins do new[b] = 0.7 * old[b] end
    for i = 1, 30 do
      for _, p in ipairs(positives[i]) do
        for _, n in ipairs(negatives[i]) do
          local v = d[i][p] - d[i][n]
          local b = math.min(bins - 1, math.max(0, math.floor((v - low) / width)))
          local share = b < bins - 1 and (v - low) / width - b or 0
          new[b + 1] = new[b + 1] + 0.3 * (1 - share)
          if b < bins - 1 then new[b + 2] = new[b + 2] + 0.3 * share end
          all[#all + 1] = { v, b + 1 }
        end
      end
    end
    triplets = #all
    local sum, so_far, cumulative, loss = 0, 0, {}, 0
    for b = 1, bins do sum = sum + new[b] end
    for b = 1, bins do so_far = so_far + new[b] / sum cumulative[b] = so_far end
    for _, t in ipairs(all) do loss = loss + cumulative[t[2]] * t[1] / triplets end
    local histogram = crun.tensor(old)
    local criterion = native { momentum = 0.3 }
    near(loss, criterion(x, labels, nil, nil, histogram):item(), 1e-4)
    assert.equal(triplets, criterion.stats.triplets)
    for b = 1, bins do new[b] = new[b] / sum end
    assert.is_true(crun.allclose(crun.tensor(new), histogram, 1e-4, 1e-5))
  end)
  it("keeps the histogram when there is no triplet", function()
    local histogram = crun.tensor {0.5, 0.5}
    assert.equal(0, native {} (crun.randn(crun.rng(1, "none"), 3, 2), crun.int {1, 2, 3}, nil, nil, histogram):item())
    assert.same({ 0.5, 0.5 }, histogram:totable())
    says("histogram must have a bin or more", native {}, crun.ones(2, 2), crun.int {1, 1}, nil, nil, crun.zeros(0))
  end)
end)

describe("losses.manifold", function()
  local native = crun.native.losses.manifold
  it("is low for rows at their own proxy", function()
    local x = crun.tensor {{3, 0, 0}, {0, 2, 0}, {0, 0, 1}}
    local own, wrong = native {} (x, crun.int {1, 2, 3}, x):item(), native {} (x, crun.int {2, 3, 1}, x):item()
    assert.equal(0, own)                      -- no bracket is positive
    assert.truthy(wrong > 1)
  end)
  it("has parts that add up", function()
    local rng = crun.rng(1, "manifold")
    local x, proxies, meta = crun.randn(rng, 9, 4), crun.randn(rng, 3, 4), crun.randint(rng, 3, 9)
    local intrinsic = native { lambda_c = 0 } (x, meta, proxies):item()
    local context = native { lambda_c = math.huge } (x, meta, proxies):item()
    near(intrinsic + 0.3 * context, native { lambda_c = 0.3 } (x, meta, proxies):item(), 1e-5)
    assert.equal(0, native {} (crun.zeros(0, 4), crun.zeros(0):int(), proxies):item())
  end)
  it("says what is wrong", function()
    says("meta_classes must run from 1 to 2", native {}, crun.ones(2, 3), crun.int {1, 3}, crun.ones(2, 3))
    says("proxies must have a row or more", native {}, crun.ones(2, 3), crun.int {1, 1}, crun.zeros(0, 3))
    local x = crun.ones(2, 3)
    x[1][1] = 0 / 0
    local loss = native {} (x, crun.int {1, 1}, crun.ones(2, 3)):item()
    assert.truthy(loss ~= loss)
  end)
end)

describe("losses.cosent", function()
  local native = crun.native.losses.cosent
  it("agrees with a loop over pairs of pairs", function()
    local rng = crun.rng(1, "cosent")
    local x, y, scores = crun.randn(rng, 12, 3), crun.randn(rng, 12, 3), crun.randint(rng, 4, 12):real()
    local s, v = crun.cosine_similarity(x, y):totable(), scores:totable()
    local sum, compared = 1, 0
    for i = 1, 12 do
      for j = 1, 12 do
        if v[i] < v[j] then sum, compared = sum + math.exp(5 * (s[i] - s[j])), compared + 1 end
      end
    end
    local criterion = native { scale = 5 }
    near(math.log(sum), criterion(x, y, scores):item())
    assert.equal(compared, criterion.stats.compared)
    near(math.log(sum), criterion(x, y, scores * 100 - 3):item())     -- only the order of scores counts
  end)
  it("gives 0 without scores to compare, and does not overflow", function()
    local x = crun.ones(3, 2):requires_grad_()
    local loss = native {} (x, crun.ones(3, 2), crun.tensor {1, 1, 1})
    loss:backward()
    assert.equal(0, loss:item())
    assert.equal(0, x:grad():abs():amax():item())
    assert.equal(0, native {} (crun.zeros(0, 2), crun.zeros(0, 2), crun.zeros(0)):item())
    near(2e4, native { scale = 1e4 } (crun.tensor {{1, 0}, {1, 0}}, crun.tensor {{1, 0}, {-1, 0}}, crun.tensor {0, 1}):item())
    says("scores must be numbers, score 2 is nan", native {}, x, x, crun.tensor {1, 0 / 0, 2})
  end)
end)

describe("losses.online_contrastive", function()
  it("is worked by hand", function()          -- positive pairs 1 and 4; negative pairs 2 (0, 2), 1, 6, 5, 3 and more
    local x, labels = crun.tensor {{0}, {1}, {2}, {6}}, crun.int {1, 1, 2, 2}
    -- d_p = 1, 4; d_n = 2, 6, 1, 5. Hard: d_p > 1: 4; d_n < 4: 2, 1
    local loss, _, stats = run("online_contrastive", { margin = 3, distance = "euclidean" }, x, labels)
    near(16 + 1 + 4, loss)
    assert.equal(1, stats.hard_positive_pairs)
    assert.equal(2, stats.hard_negative_pairs)
    near((16 + 1 + 4) / 6, (run("online_contrastive", { margin = 3, distance = "euclidean", reduction = "mean" }, x, labels)))
    near((16 + 1 + 4) / 3, (run("online_contrastive", { margin = 3, distance = "euclidean", reduction = "nonzero" }, x, labels)))
  end)
end)

describe("losses.mega_batch_margin", function()
  it("is worked by hand, with pairs as references", function()
    local x, y = crun.tensor {{1, 0}, {0, 1}}, crun.tensor {{0.6, 0.8}, {0, 1}}
    local k = crun.int {1, 2}
    -- row 1: s = 0.6, hardest 0; row 2: s = 1, hardest 0.8
    near((0.2 + 0 + 0 + 0.5) / 2, (run("mega_batch_margin", {}, x, k, y, k)))
  end)
end)

describe("losses.distance_ratio", function()
  it("is the soft triplet loss without a margin", function()
    local x, labels = batch(12, 30, 5)
    local loss, grad, stats = run("distance_ratio", {}, x, labels)
    local other, theirs = run("triplet", { soft = true, reduction = "mean" }, x, labels)
    near(other, loss, 1e-5)
    assert.is_true(crun.allclose(theirs, grad, 1e-4, 1e-6))
    assert.truthy(stats.active > 0 and stats.active < 1)
  end)
end)

describe("losses.snr_contrastive", function()
  it("is worked by hand", function()          -- var of (0, 2) is 2, of the difference (0, 1) 0.5; of (0, 1) 0.5
    local x = crun.tensor {{0, 2}, {0, 1}}
    near(0.5 / 2 + 0.5 / 0.5, 2 * (run("snr_contrastive", {}, x, crun.int {1, 1})))
    near(0.5 / 2 + 0.5 / 0.5, (run("snr_contrastive", { reduction = "sum" }, x, crun.int {1, 1})))
    -- neg_margin 1: 0.75 for the first anchor, none for the second
    near(0.75, (run("snr_contrastive", {}, x, crun.int {1, 2})))
  end)
  it("leaves out constant anchors", function()
    local loss, grad, stats = run("snr_contrastive", {}, crun.tensor {{3, 3}, {0, 1}}, crun.int {1, 1})
    near(1, loss)
    assert.equal(1, stats.positive_pairs)
    assert.equal(1, grad:isfinite():all():item())
  end)
end)

describe("losses.lmnn", function()
  it("is worked by hand", function()          -- d^2: 1-2 1, 1-3 4, 2-3 1
    local x, labels, targets = crun.tensor {{0}, {1}, {2}}, crun.int {1, 1, 2}, crun.int {{2}, {1}, {0}}
    local loss, grad, stats = run("lmnn", { margin = 1.5, mu = 0.25 }, x, labels, targets)
    -- pull 1 + 1; push: row 1: 1.5 + 1 - 4 < 0, row 2: 1.5 + 1 - 1 = 1.5
    near(0.75 * 2 + 0.25 * 1.5, loss)
    near(2, stats.pull)
    near(1.5, stats.push)
    assert.equal(1, stats.impostors)
    -- d loss: pair 1-2 counts 0.75 + 0.75 + 0.25 times 2 (x1 - x2), pair 2-3 minus 0.25
    assert.is_true(crun.allclose(crun.tensor {{-3.5}, {3.5 + 0.5}, {-0.5}}, grad, 1e-5, 1e-6))
  end)
  it("says what is wrong with targets", function()
    local x, labels = crun.ones(3, 2), crun.int {1, 1, 2}
    says("rows 1..3, or 0 for none, got 4 for row 1", run, "lmnn", {}, x, labels, crun.int {{4}, {1}, {0}})
    says("of row 3 must be other rows of its class, got row 1", run, "lmnn", {}, x, labels, crun.int {{2}, {1}, {1}})
    says("of row 2 must be other rows of its class, got row 2", run, "lmnn", {}, x, labels, crun.int {{2}, {2}, {0}})
    assert.equal(0, (run("lmnn", {}, x, labels, crun.int {{0}, {0}, {0}})))
  end)
end)

describe("target_neighbours", function()
  it("finds the nearest of the same label, nearest first", function()
    local x = crun.tensor {{0}, {5}, {1}, {3}, {2}}
    assert.same({ {3, 4}, {0, 0}, {1, 4}, {3, 1}, {0, 0} },
                crun.target_neighbours(x, crun.int {1, 2, 1, 1, 3}, { k = 2 }):totable())
  end)
  it("takes the first of equals", function()
    assert.same({ {2}, {1}, {1} }, crun.target_neighbours(crun.zeros(3, 2), crun.int {4, 4, 4}, { k = 1 }):totable())
  end)
end)
