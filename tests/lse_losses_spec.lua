-- Losses of the log-sum-exp family: what all of them keep to, then each worked by hand and against
-- plain operators.
local crun = require "crun"

local function run(name, options, x, ...)
  local criterion = crun.losses[name](options)
  x = x:detach():clone():requires_grad_()
  local loss = criterion(x, ...)
  loss:backward()
  return loss:item(), x:grad(), criterion.stats
end

local function near(want, got, tolerance)
  assert.near(want, got, (tolerance or 2e-5) * math.max(1, math.abs(want)))
end

local function is_finite(t) return crun.isfinite(t):real():amin():item() == 1 end
local function largest(t) return t:abs():amax():item() end

local labelled = { "supcon", "nca", "soft_nearest_neighbour", "multi_similarity", "circle",
  "generalized_lifted", "lifted", "ntxent", "n_pairs", "tuplet_margin", "decoupled_contrastive",
  "angular", "intra_pair_variance", "threshold_consistent" }
local towers = { "multiple_negatives_ranking", "siglip" }

local order = crun.int { 5, 2, 7, 1, 8, 3, 6, 4 }
local labels = crun.int { 4, 7, 4, 9, 7, 9, 4, 12 }
local function rows(seed) return crun.randn(crun.rng(seed, "rows"), 8, 5) end

for _, name in ipairs(labelled) do
  describe("losses." .. name, function()
    it("does not mind the order of rows nor the names of classes", function()
      if name == "n_pairs" then return end        -- it takes the first pair of each class
      local x = rows(1)
      local loss, grad = run(name, {}, x, labels)
      local moved, moved_grad = run(name, {}, x:index_select(order), labels:index_select(order) * 3)
      near(loss, moved)
      assert.truthy(crun.allclose(grad:index_select(order), moved_grad, 1e-4, 1e-5))
    end)
    it("gives 0 and no gradient for one row, and for none", function()
      for n = 0, 1 do
        local loss, grad = run(name, {}, crun.ones(n, 3), crun.int { 1 }:narrow(1, 1, n))
        assert.equal(0, loss)
        if n == 1 then assert.equal(0, largest(grad)) end
      end
    end)
    it("is finite for one class, for all distinct, for equal rows and for zero rows", function()
      local one, distinct = crun.int { 3, 3, 3, 3 }, crun.int { 1, 2, 3, 4 }
      for _, y in ipairs { one, distinct, crun.int { 1, 1, 2, 2 } } do
        for _, x in ipairs { rows(2):narrow(1, 1, 4), crun.ones(4, 5), crun.zeros(4, 5),
                             rows(3):narrow(1, 1, 4) * 1e4 } do
          local loss, grad = run(name, {}, x, y)
          assert.truthy(loss == loss and math.abs(loss) < math.huge, name)
          assert.truthy(is_finite(grad), name)
        end
      end
    end)
    it("is nan for nan", function()
      local x = rows(4)
      x[1][2] = 0 / 0
      local loss = run(name, {}, x, labels)
      assert.truthy(loss ~= loss)
    end)
    it("takes references, and both sides get a gradient", function()
      local references = rows(5):requires_grad_()
      local x = rows(6):narrow(1, 1, 3):clone():requires_grad_()
      local loss = crun.losses[name] {} (x, crun.int { 4, 9, 50 }, references, labels)
      loss:backward()
      assert.truthy(is_finite(x:grad()) and is_finite(references:grad()))
      assert.equal(0, largest(x:grad():narrow(1, 3, 1)) * (name == "n_pairs" and 1 or 0))
    end)
    it("refuses references without labels and labels of another length", function()
      local criterion = crun.losses[name] {}
      local ok, err = pcall(criterion, rows(1), labels, rows(2))
      assert.falsy(ok)
      assert.truthy(tostring(err):find("references and reference_labels go together", 1, true), err)
      ok, err = pcall(criterion, rows(1), crun.int { 1, 2 })
      assert.falsy(ok)
      assert.truthy(tostring(err):find("labels must have shape [B] with B = 8", 1, true), err)
    end)
  end)
end

for _, name in ipairs(towers) do
  describe("losses." .. name, function()
    it("moves both towers, and takes more references than rows", function()
      local x, y = rows(1):requires_grad_(), crun.randn(crun.rng(2, "y"), 11, 5):requires_grad_()
      crun.losses[name] {} (x, y):backward()
      assert.truthy(is_finite(x:grad()) and largest(x:grad()) > 0)
      assert.truthy(is_finite(y:grad()) and largest(y:grad():narrow(1, 9, 3)) > 0)
    end)
    it("gives 0 for no rows, refuses fewer references than rows", function()
      assert.equal(0, crun.losses[name] {} (crun.ones(0, 3), crun.ones(0, 3)):item())
      local ok, err = pcall(crun.losses[name] {}, rows(1), rows(1):narrow(1, 1, 7))
      assert.falsy(ok)
      assert.truthy(tostring(err):find("B = 8, or more, got 7", 1, true), err)
    end)
  end)
end

-- ---- by hand ------------------------------------------------------------------------------------

local function lse(...)
  local most, sum = math.max(...), 0
  for _, v in ipairs { ... } do sum = sum + math.exp(v - most) end
  return most + math.log(sum)
end
local function softplus(v) return math.max(v, 0) + math.log(1 + math.exp(-math.abs(v))) end

describe("of three rows, two of one class", function()
  -- cosines: 0.6 of the positive pair, 0 and 0.8 to the negative
  local x, y = crun.tensor { { 2, 0 }, { 3, 4 }, { 0, 1 } }, crun.int { 1, 1, 2 }
  local pos, first, second = 0.6, 0, 0.8

  it("supcon", function()
    local t = 0.5
    local l1 = lse(pos / t, first / t) - pos / t
    local l2 = lse(pos / t, second / t) - pos / t
    near((l1 + l2) / 2, (run("supcon", { temperature = t }, x, y)))
    near((l1 + l2) / 3, (run("supcon", { temperature = t, reduction = "mean" }, x, y)))
    near((l1 + l2) / 2, (run("supcon", { temperature = t, variant = "in" }, x, y)))
    near((l1 + l2) / 2 * 5, (run("supcon", { temperature = t, base_temperature = 0.1 }, x, y)))
  end)
  it("ntxent, decoupled_contrastive, tuplet_margin", function()
    local t, m = 0.5, math.rad(10)
    local l1, l2 = softplus((first - pos) / t), softplus((second - pos) / t)
    near((l1 + l2) / 2, (run("ntxent", { temperature = t }, x, y)))
    local d1, d2 = (first - pos) / t, (second - pos) / t
    near((d1 + d2) / 2, (run("decoupled_contrastive", { temperature = t }, x, y)))
    -- both pairs are equally near, so the mean weight is the weight of each: 2 - 1
    near((d1 + d2) / 2, (run("decoupled_contrastive", { temperature = t, sigma = 0.3 }, x, y)))
    local near_by = math.cos(math.acos(pos) - m)
    near((softplus(4 * (first - near_by)) + softplus(4 * (second - near_by))) / 2,
         (run("tuplet_margin", { margin = 10, scale = 4 }, x, y)))
  end)
  it("nca, soft_nearest_neighbour", function()
    local p, n1, n2 = 17, 5, 18                    -- squared distances
    local want = (softplus((p - n1) / 9) + softplus((p - n2) / 9)) / 2
    near(want, (run("nca", { softmax_scale = 1 / 9 }, x, y)))
    near(want, (run("soft_nearest_neighbour", { temperature = 9 }, x, y)))
  end)
  it("multi_similarity, circle", function()
    local function l(n) return softplus(-2 * (pos - 0.5)) / 2 + softplus(9 * (n - 0.5)) / 9 end
    near((l(first) + l(second) + lse(0, 9 * (0 - 0.5), 9 * (0.8 - 0.5)) / 9) / 3,
         (run("multi_similarity", { beta = 9 }, x, y)))
    local function c(n)
      return softplus(-4 * (1.25 - pos) * (pos - 0.75) + 4 * math.max(0, n + 0.25) * (n - 0.25))
    end
    near((c(first) + c(second)) / 2, (run("circle", { m = 0.25, gamma = 4 }, x, y)))
    near((c(first) + c(second)) / 3,
         (run("circle", { m = 0.25, gamma = 4, reduction = "mean" }, x, y)))
  end)
  it("generalized_lifted, lifted", function()
    local p, n1, n2 = math.sqrt(17), math.sqrt(5), math.sqrt(18)
    local third = math.max(0, lse(1 - n1, 1 - n2))          -- a row without a positive
    near((p + 1 - n1 + math.max(0, p + 1 - n2) + third) / 3, (run("generalized_lifted", {}, x, y)))
    local J = lse(1 - n1, 1 - n2) + p - 0.5
    near(J * J / 2, (run("lifted", { pos_margin = 0.5 }, x, y)))
    near(J * J, (run("lifted", { pos_margin = 0.5, reduction = "sum" }, x, y)))
  end)
  it("intra_pair_variance, threshold_consistent", function()
    -- the positives are one pair, below (1 + 0.5) of its own mean; negatives 0 and 0.8, mean 0.4
    near((0.8 - 0.44) ^ 2 / 2 + (0.9 - 0.6) ^ 2,
         (run("intra_pair_variance", { pos_eps = -0.5, neg_eps = 0.1 }, x, y)))
    near(2 * (0.9 - 0.6) + 3 * (0.8 - 0.5),
         (run("threshold_consistent", { lambda_plus = 2, lambda_minus = 3 }, x, y)))
  end)
  it("angular", function()
    local f, g = 4 * math.tan(math.rad(30)) ^ 2, 2 * (1 + math.tan(math.rad(30)) ^ 2)
    near(softplus(f * (first + second) - g * pos),
         (run("angular", { alpha = 30, normalize = true }, x, y)))
    near(softplus(f * (0 + 4) - g * 6), (run("angular", { alpha = 30 }, x, y)))
  end)
end)

describe("losses.n_pairs", function()
  local x = crun.tensor { { 1, 0 }, { 0, 1 }, { 2, 0 }, { 9, 9 }, { 1, 1 }, { 5, 5 } }
  local y = crun.int { 1, 2, 1, 3, 2, 1 }                -- pairs (1, 3) and (2, 5); rows 4, 6 alone
  it("takes the first pair of each class", function()
    local l1, l2 = softplus(1 - 2), softplus(0 - 1)
    local loss, grad = run("n_pairs", {}, x, y)
    near((l1 + l2) / 2, loss)
    near((l1 + l2) / 2, (run("n_pairs", { variant = "one_vs_one" }, x, y)))
    assert.equal(0, largest(grad[4]) + largest(grad[6]))
    near((l1 + l2) / 2 + 0.1 / 4 * (1 + 4 + 1 + 2), (run("n_pairs", { l2_reg = 0.1 }, x, y)))
  end)
  it("differs between its variants from three classes on", function()
    local a, p = crun.eye(3), crun.eye(3) * 2
    local n = crun.int { 1, 2, 3 }
    near(math.log(1 + 2 * math.exp(-2)), crun.losses.n_pairs {} (a, n, p, n):item())
    near(2 * math.log(1 + math.exp(-2)),
         crun.losses.n_pairs { variant = "one_vs_one" } (a, n, p, n):item())
  end)
end)

describe("two towers by hand:", function()
  local x, y = crun.tensor { { 1, 0 }, { 0, 2 } }, crun.tensor { { 3, 4 }, { 0, 1 } }
  -- cosines 0.6 0 / 0.8 1
  it("multiple_negatives_ranking", function()
    local r = softplus(2 * (0 - 0.6)) + softplus(2 * (0.8 - 1))
    local c = softplus(2 * (0.8 - 0.6)) + softplus(2 * (0 - 1))
    local criterion = crun.losses.multiple_negatives_ranking
    near(r / 2, criterion { scale = 2 } (x, y):item())
    near((r + c) / 4, criterion { scale = 2, symmetric = true } (x, y):item())
    near((r + c) / 4, criterion { symmetric = true } (x, y, crun.scalar(math.log(2))):item())
    local ok, err = pcall(criterion { symmetric = true }, x, rows(1):narrow(2, 1, 2))
    assert.falsy(ok)
    assert.truthy(tostring(err):find("symmetric needs as many references", 1, true), err)
  end)
  it("siglip", function()
    local want = softplus(-2 * 0.6 + 1) + softplus(0 - 1) + softplus(2 * 0.8 - 1) + softplus(-2 + 1)
    near(want / 2, crun.losses.siglip { scale = 2, bias = -1 } (x, y):item())
    near(want / 2, crun.losses.siglip {} (x, y, crun.scalar(math.log(2)), crun.scalar(-1)):item())
  end)
end)

-- ---- against operators, over many tiles ---------------------------------------------------------

describe("in many tiles and in plain operators", function()
  local n = 700
  local rng = crun.rng(7, "many")
  local x, y = crun.randn(rng, n, 6), crun.randint(rng, 60, n)
  local same = y:reshape(n, 1):eq(y:reshape(1, n))
  local self = crun.eye(n):byte()
  local positive, negative = same:logical_and(self:logical_not()), same:logical_not()
  local others = self:logical_not()
  local pairs_mask = positive:real()

  local function compare(name, options, by_operators, tolerance)
    local z = x:detach():clone():requires_grad_()
    local want = by_operators(z, z:normalize():matmul(z:normalize(), { transpose_y = true }))
    want:backward()
    local loss, grad = run(name, options, x, y)
    near(want:item(), loss)
    local off = (grad - z:grad()):abs():amax():item()
    assert.truthy(off <= (tolerance or 1e-4) * largest(z:grad()), name .. " " .. off)
  end
  local function masked(t, mask) return t:masked_logsumexp(mask, { dim = 2, keepdim = true }) end
  local function mean_pairs(t) return (t * pairs_mask):sum() / pairs_mask:sum():item() end

  it("supcon", function()
    compare("supcon", { temperature = 0.2, reduction = "sum" }, function(_, s)
      local u = s / 0.2
      local mean = (u * pairs_mask):sum(2) / pairs_mask:sum(2)
      return (masked(u, others):reshape(n) - mean):sum()
    end)
  end)
  it("ntxent", function()
    compare("ntxent", {}, function(_, s)
      return mean_pairs((masked(s / 0.07, negative) - s / 0.07):softplus())
    end)
  end)
  it("lifted", function()
    compare("lifted", {}, function(z)
      local d = crun.cdist(z)
      local of_row = masked(1 - d, negative)
      local both = crun.maximum(of_row, of_row:t()) + (-(of_row - of_row:t()):abs()):exp():log1p()
      return mean_pairs((both + d):relu():square() / 2)
    end)
  end)
  it("nca and a cold temperature", function()
    compare("nca", { distance = "cosine", softmax_scale = 1e3 }, function(_, s)
      return (masked(s * 1e3, others) - masked(s * 1e3, positive)):mean()
    end, 2e-3)
  end)
  it("intra_pair_variance", function()
    compare("intra_pair_variance", {}, function(_, s)
      local count, rest = pairs_mask:sum():item(), negative:real():sum():item()
      local p = (s * pairs_mask):sum() / count
      local q = (s * negative:real()):sum() / rest
      return ((p * 0.99 - s):relu():square() * pairs_mask):sum() / count +
        ((s - q * 1.01):relu():square() * negative:real()):sum() / rest
    end)
  end)
  it("angular", function()
    compare("angular", { normalize = true, alpha = 30 }, function(z)
      local u = z:normalize()
      local s = u:matmul(u, { transpose_y = true })
      local a, p = positive:nonzero():select(2, 1), positive:nonzero():select(2, 2)
      local f, g = 4 * math.tan(math.rad(30)) ^ 2, 2 * (1 + math.tan(math.rad(30)) ^ 2)
      local e = (s:index_select(a) + s:index_select(p)) * f - s:index_pairs(a, p):unsqueeze(2) * g
      return e:masked_logsumexp(negative:index_select(a), { dim = 2 }):softplus():mean()
    end)
  end)
  it("symmetric towers", function()
    local other = crun.randn(crun.rng(8, "other"), n, 6)
    local z = x:detach():clone():requires_grad_()
    local s = z:normalize():matmul(other:normalize(), { transpose_y = true }) * 20
    local own = s:index_pairs(crun.arange(1, n):int(), crun.arange(1, n):int())
    local want = (s:logsumexp(2) + s:logsumexp(1) - own * 2):mean() / 2
    want:backward()
    local loss, grad = run("multiple_negatives_ranking", { symmetric = true }, x, other)
    near(want:item(), loss)
    assert.truthy((grad - z:grad()):abs():amax():item() <= 1e-4 * largest(z:grad()))
  end)
  it("the same bits for any number of threads", function()
    local before = crun.threads()
    for _, name in ipairs(labelled) do
      crun.threads(1)
      local loss, grad = run(name, {}, x, y)
      crun.threads(2)
      local again, again_grad = run(name, {}, x, y)
      assert.equal(loss, again)
      assert.equal(0, largest(grad - again_grad))
    end
    crun.threads(before)
  end)
end)

describe("at temperature 1e-4", function()
  it("losses and gradients are finite, and the farthest positive still pulls", function()
    local x = rows(9)
    for _, case in ipairs {
      { "supcon", { temperature = 1e-4 } }, { "supcon", { temperature = 1e-4, variant = "in" } },
      { "ntxent", { temperature = 1e-4 } }, { "decoupled_contrastive", { temperature = 1e-4 } },
      { "nca", { softmax_scale = 1e4 } }, { "soft_nearest_neighbour", { temperature = 1e-4 } },
      { "multi_similarity", { alpha = 1e4, beta = 1e4 } }, { "circle", { gamma = 1e4 } },
      { "tuplet_margin", { scale = 1e4 } },
    } do
      local loss, grad = run(case[1], case[2], x, labels)
      assert.truthy(loss == loss and loss < math.huge, case[1])
      assert.truthy(is_finite(grad) and largest(grad) > 0, case[1])
    end
    local criterion = crun.losses.multiple_negatives_ranking { scale = 1e4, symmetric = true }
    local loss = criterion(x, rows(10))
    assert.truthy(loss:item() < math.huge)
  end)
  -- a library that adds a tiny number inside the logarithm stops at 87
  it("ntxent goes on past the range of exp", function()
    local x = crun.tensor { { 1, 0 }, { -1, 0 }, { 1, 1e-3 } }
    local loss = run("ntxent", { temperature = 0.01 }, x, crun.int { 1, 1, 2 })
    near((200 + 0) / 2, loss, 1e-2)
  end)
end)

describe("messages", function()
  local function message(name, options, ...)
    local ok, err = pcall(function(...) return crun.losses[name](options)(...) end, ...)
    assert.falsy(ok)
    return tostring(err)
  end
  it("say which distance a loss can do without", function()
    for _, name in ipairs { "circle", "threshold_consistent" } do
      assert.truthy(message(name, { distance = "euclidean" }, rows(1), labels)
        :find('distance must be "cosine" or "dot"', 1, true))
    end
    assert.truthy(message("tuplet_margin", { distance = "dot" }, rows(1), labels)
      :find('distance must be "cosine"', 1, true))
    assert.truthy(message("supcon", { squared = true }, rows(1), labels)
      :find('squared is for distance = "euclidean" or "manhattan", got "cosine"', 1, true))
    assert.truthy(message("supcon", { temperature = 0 }, rows(1), labels):find "temperature")
  end)
end)

-- ---- the fused form and the one in operators ----------------------------------------------------

describe("fused and composed agree on", function()
  local composed = { "supcon", "ntxent", "nca", "multi_similarity", "circle", "generalized_lifted",
    "lifted", "n_pairs", "tuplet_margin", "angular", "intra_pair_variance", "threshold_consistent" }
  local settings = { {}, { reduction = "sum" }, { reduction = "nonzero" }, { reduction = "mean" },
    { normalize = true }, { distance = "dot" }, { distance = "euclidean" },
    { distance = "euclidean", squared = true } }
  local needs_cosine = { circle = true, tuplet_margin = true, threshold_consistent = true }
  local rng = crun.rng(11, "forms")
  local x, y = crun.randn(rng, 30, 6), crun.randint(rng, 7, 30)
  local references, reference_labels = crun.randn(rng, 20, 6), crun.randint(rng, 9, 20)
  local tolerance = crun.precision == "float64" and 1e-7 or 2e-3

  local function results(name, options, is_composed, against)
    local o = { composed = is_composed }
    for key, value in pairs(options) do o[key] = value end
    local z = x:clone():requires_grad_()
    local r = against and references:clone():requires_grad_() or nil
    local loss = crun.losses[name](o)(z, y, r, against and reference_labels or nil)
    loss:backward()
    return loss:item(), r and crun.cat({ z:grad(), r:grad() }, 1) or z:grad()
  end

  for _, name in ipairs(composed) do
    it(name, function()
      for _, options in ipairs(settings) do
        for _, against in ipairs { false, true } do
          if not (needs_cosine[name] and options.distance) then
            local want, want_grad = results(name, options, true, against)
            local loss, grad = results(name, options, false, against)
            near(want, loss, tolerance)
            local bound = tolerance * math.max(largest(want_grad), 1e-6)
            assert.truthy(largest(grad - want_grad) <= bound, name .. " " .. (next(options) or ""))
          end
        end
      end
    end)
  end
end)

describe("multi_similarity { epsilon = ... }", function()
  it("is the loss of the miner's pairs", function()
    for _, distance in ipairs { "cosine", "euclidean" } do
      for seed = 1, 4 do
        local z = crun.randn(crun.rng(seed, "mined"), 23, 6)
        local rows = {}
        for i = 1, 23 do rows[i] = i == 23 and 99 or (i * seed) % 5 end     -- one row is alone
        local labels = crun.int(rows)
        local function value(options, ...)
          local leaf = z:clone():requires_grad_()
          local loss = crun.losses.multi_similarity(options)(leaf, labels, ...)
          loss:backward()
          return loss:item(), leaf:grad()
        end
        local miner = crun.miners.multi_similarity { epsilon = 0.05, distance = distance }
        local a, ga = value { epsilon = 0.05, distance = distance }
        local b, gb = value({ distance = distance }, { miner(z, labels) })
        assert.is_true(math.abs(a - b) <= 2e-5 * math.max(1, math.abs(b)), a .. " against " .. b)
        assert.is_true(crun.allclose(ga, gb, 1e-4, 1e-5))
      end
    end
  end)
  it("is 0 without pairs, and says when it cannot mine", function()
    local z = crun.randn(crun.rng(1, "mined"), 4, 3):requires_grad_()
    local loss = crun.losses.multi_similarity { epsilon = 0.1 } (z, crun.int { 1, 1, 1, 1 })
    loss:backward()
    assert.equal(0, loss:item())
    assert.same(crun.zeros(4, 3):totable(), z:grad():totable())
    local ok, text = pcall(crun.losses.multi_similarity { epsilon = 0.1 }, z, crun.int { 1, 1, 2, 2 },
      { crun.int { 1 }, crun.int { 2 }, crun.int { 1 }, crun.int { 3 } })
    assert.is_false(ok)
    assert.truthy(tostring(text):find("epsilon mines pairs of labels", 1, true), text)
  end)
end)
