-- crun: --double
local crun = require "crun"
local closure = require "crun.closure"

local function says(text, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(err):find(text, 1, true), tostring(err))
end

local function batch(n, width, seed)
  return crun.randn(crun.rng(seed or 1, "closure"), n, width), crun.randint(crun.rng(2, "labels"), 5, n)
end

local function run(criterion, z, ...)
  z = z:detach():clone():requires_grad_()
  local loss = criterion(z, ...)
  loss:backward()
  return loss:item(), z:grad(), criterion
end

local function same(a, b, ...)
  local la, ga = run(a, ...)
  local lb, gb = run(b, ...)
  assert.near(la, lb, 1e-10 * math.max(1, math.abs(la)))
  assert.is_true(crun.allclose(ga, gb, 1e-8, 1e-12))
end

local function hadsell(d, equal)
  if equal then return d ^ 2 / 2 end
  return (1 - d):relu() ^ 2 / 2
end
local function hinge(ap, an, o) return (ap - an + o.margin):relu() end

describe("a loss from a closure", function()
  local z, labels = batch(40, 6)

  it("is the built-in it copies", function()
    same(crun.losses.contrastive {}, closure.pairwise(hadsell), z, labels)
    same(crun.losses.triplet { margin = 0.5, reduction = "mean" },
      closure.triplet(hinge, { params = { margin = 0.5 } }), z, labels)
    same(crun.losses.triplet { soft = true, reduction = "mean", distance = "cosine" },
      closure.triplet(function(ap, an) return (ap - an):softplus() end, { distance = "cosine" }), z, labels)
    same(crun.losses.triplet { margin = 1, normalize = true },
      closure.triplet(hinge, { params = { margin = 1 }, normalize = true, reduction = "nonzero" }), z, labels)
  end)

  it("is worked by hand", function()                -- distances 5 of equal labels; 1 and sqrt(18) of others
    local x, y = crun.tensor {{0,0}, {3,4}, {0,1}}, crun.int {1, 1, 2}
    local f = closure.pairwise(function(d, equal) return equal and 3 * d or 1 / d end)
    assert.near((3 * 5 + 1 + 1 / math.sqrt(18)) / 3, f(x, y):item(), 1e-12)
    assert.equal(1, f.stats.positive_pairs)
    assert.near(1, f.stats.active, 1e-12)
  end)

  it("is larger than one chunk", function()
    local x, y = batch(700, 3)
    same(crun.losses.contrastive {}, closure.pairwise(hadsell), x, y)
    local few = crun.arange(1, 700):eq(1):int() + crun.arange(1, 700):eq(2):int()
    same(crun.losses.triplet { margin = 0.5, reduction = "mean" },
      closure.triplet(hinge, { params = { margin = 0.5 } }), x:narrow(1, 1, 300), few:narrow(1, 1, 300):contiguous())
  end)

  it("is the same composed of operators, with references, relations and tuples", function()
    local refs, ref_labels = batch(15, 6, 7)
    for _, make in ipairs {
      function(o) return closure.pairwise(hadsell, o) end,
      function(o) o.params = { margin = 0.5 } return closure.triplet(hinge, o) end } do
      same(make {}, make { composed = true }, z, labels)
      same(make { distance = "dot" }, make { distance = "dot", composed = true }, z, labels)
      same(make {}, make { composed = true }, z, labels, refs, ref_labels)
      same(make {}, make {}, z, crun.relation { labels = crun.one_hot(labels, 5) })
    end
    local f = closure.triplet(hinge, { params = { margin = 0.5 } })
    same(f, f, z, labels, { crun.miners.all_triplets {} (z, labels) })
    assert.near(f(z, labels):item(), f(z, labels, { crun.miners.all_triplets {} (z, labels) }):item(), 1e-10)
  end)

  it("writes its formula again when a parameter is set", function()
    local f = closure.triplet(hinge, { params = { margin = 0.5 } })
    local before = f(z, labels):item()
    f.margin = 0.9
    assert.equal(0.9, f.margin)
    assert.near(crun.losses.triplet { margin = 0.9, reduction = "mean" } (z, labels):item(), f(z, labels):item(), 1e-10)
    assert.truthy(f(z, labels):item() > before)
    says("unknown option 'margn'", function() f.margn = 1 end)
  end)

  -- every function, against central differences in one distance
  local m = closure.math
  local formulas = {
    add = function(d) return d + 2 + d end, sub = function(d) return 3 - d - 1 end,
    mul = function(d) return d * (d + 1) * 2 end, div = function(d) return (d + 1) / (d * d + 2) / 3 end,
    ["pow, whole"] = function(d) return d ^ 3 + d ^ 4 - d ^ 5 end,
    ["pow, broken"] = function(d) return d ^ 0.5 + d ^ 1.7 + d ^ -1 + d ^ -0.3 end,
    ["pow, of two"] = function(d) return d ^ d + 2 ^ d end,
    maximum = function(d) return (d:square()):maximum(d) + m.max(d, 2) end,
    minimum = function(d) return (d:square()):minimum(d) * m.min(d, 2) end,
    where = function(d) return d:lt(1):where(d ^ 2, 2 * d - 1) + m.where(m.ge(d, 2), m.log(d), 0) end,
    le = function(d) return d:le(1.4) * d + d:gt(1.4) * 2 end,
    neg = function(d) return -(-d) - d ^ 2 end,
    exp = function(d) return (-d):exp() * 2 end, log = function(d) return (d + 1):log() end,
    sqrt = function(d) return (d + 1):sqrt() end,
    relu = function(d) return (d - 1.3):relu() + m.relu(1.7 - d) end,
    abs = function(d) return (d - 1.3):abs() end, square = function(d) return (d - 1):square() end,
    sigmoid = function(d) return (3 * d - 2):sigmoid() end, softplus = function(d) return (1 - 2 * d):softplus() end,
    ["a deep one"] = function(d)
      local t = d
      for _ = 1, 30 do t = (t * 0.5 + d:sigmoid()):square():sqrt() end
      return t
    end,
  }
  for name, formula in pairs(formulas) do
    it("is right about " .. name, function()
      local y = crun.int {1, 1}
      local f = closure.pairwise(function(d) return formula(d) end)
      for _, at in ipairs { 0.37, 1.11, 1.55, 2.6 } do
        local function value(d) return f(crun.tensor {{0}, {d}}, y):item() end
        local _, g = run(f, crun.tensor {{0}, {at}}, y)
        local numeric = (value(at + 1e-6) - value(at - 1e-6)) / 2e-6
        assert.near(numeric, g[2][1], 1e-6 * math.max(1, math.abs(numeric)))
      end
    end)
  end

  it("makes no nan of finite distances", function()
    local f = closure.pairwise(function(d) return (d - 1):relu():sqrt() + d:sqrt() + (d ^ 0.3) end)
    for _, x in ipairs { crun.zeros(4, 3), crun.tensor {{0, 0}, {1, 0}, {0, 1}} } do
      local loss, g = run(f, x, crun.ones(#x):int())
      assert.truthy(loss == loss)
      assert.equal(0, g:isnan():sum():item())
    end
  end)

  it("is 0 for an empty set", function()
    for _, f in ipairs { closure.pairwise(hadsell), closure.triplet(hinge, { params = { margin = 1 } }) } do
      for _, n in ipairs { 0, 1 } do
        local loss, g = run(f, crun.zeros(n, 3), crun.ones(n):int())
        assert.equal(0, loss)
        assert.equal(0, g:square():sum():item())
      end
    end
    local f = closure.triplet(hinge, { params = { margin = 1 } })
    assert.equal(0, (run(f, crun.ones(4, 3), crun.ones(4):int())))
  end)

  it("may be a number on one side", function()
    local f = closure.pairwise(function(d, equal) return equal and 0 or -d end)
    local g = closure.pairwise(function(d, equal) return equal and 0 or -d end, { composed = true })
    same(f, g, z, labels)
    assert.equal(3, closure.pairwise(function() return 3 end)(z, labels):item())
  end)

  it("is crun.loss.pairwise and crun.loss.triplet", function()
    same(closure.pairwise(hadsell), crun.loss.pairwise(hadsell), z, labels)
    same(closure.triplet(hinge, { params = { margin = 1 } }), crun.loss.triplet(hinge, { params = { margin = 1 } }),
      z, labels)
  end)

  it("takes less than three times as long as the built-in it copies", function()
    if crun.io.realpath("/proc/self/exe"):find("/check/", 1, true) then return pending "not under sanitizers" end
    local x, y = crun.randn(crun.rng(1, "time"), 768, 64):normalize():requires_grad_(), {}
    for i = 1, 768 do y[i] = (i - 1) // 8 + 1 end
    y = crun.int(y)
    local function best(criterion)
      local least = math.huge
      for _ = 1, 7 do
        x:zero_grad_()
        local start = os.clock()
        criterion(x, y):backward()
        least = math.min(least, os.clock() - start)
      end
      return least
    end
    local function ratio(own, built_in)
      local least = math.huge
      for _ = 1, 3 do least = math.min(least, best(own) / best(built_in)) end
      return least
    end
    assert.truthy(ratio(closure.pairwise(hadsell), crun.losses.contrastive {}) < 3)
    assert.truthy(ratio(closure.triplet(hinge, { params = { margin = 0.2 } }),
      crun.losses.triplet { margin = 0.2, reduction = "mean" }) < 3)
  end)

  it("says what cannot be", function()
    says("cannot be compared with <", closure.pairwise, function(d) if d < 1 then return d end return 1 end)
    says("`same` is true or false", closure.pairwise, function(d, equal) return equal * d end)
    says("must return a value made of its distances, got nothing", closure.pairwise, function() end)
    says("a symbol has no 'foo'", closure.pairwise, function(d) return d:foo() end)
    says("got a tensor: use t:item()", closure.pairwise, function(d) return d + z end)
    says("relu takes 1 values, got 2", closure.pairwise, function(d) return d:relu(2) end)
    says("takes a function first, got a table", closure.triplet, {})
    says("params must be a table of numbers", closure.triplet, hinge, { params = { 1 } })
    local kept
    closure.pairwise(function(d) kept = d return d end)
    says("used outside of it", closure.pairwise, function(d) return d + kept end)
    says("a constant is inf", closure.pairwise, function(d) return d * math.huge end)
  end)

  it("refuses programs that are none", function()
    local f = crun.losses.triplet_closure {}
    local function with(code) return function() return f(z, labels, nil, nil, crun.int(code), crun.zeros(0)) end end
    says("code is no program of 2 inputs", with {{1, 0, 0, -1, -1}})
    says("code is no program: step 1", with {{2, 1, 2, -1, -1}, {0, 2, 7, 0, 0}})
    says("code is no program: step 1", with {{2, 1, 2, -1, -1}, {99, 2, 0, 0, 0}})
    says("code is no program: step 1", with {{2, 1, 2, -1, -1}, {0, 1, 0, 0, 0}})
    says("code is no program: output 1", with {{2, 1, 3, -1, -1}})
  end)
end)
