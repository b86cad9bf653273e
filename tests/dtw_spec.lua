-- dtw, dtw_matrix, soft_dtw and losses.soft_dtw against their recursions written out.
local crun = require "crun"
local double = crun.precision == "float64"
local near = double and 1e-9 or 2e-5

local function randn(tag, ...) return crun.randn(crun.rng(9, tag), ...) end

local function cost_of(kind, x, y)
  local sum = 0
  for k = 1, #x do
    local gap = x[k] - y[k]
    sum = sum + (kind == "manhattan" and math.abs(gap) or gap * gap)
  end
  return kind == "euclidean" and math.sqrt(sum) or sum
end

local function costs_of(kind, x, y)
  local c = {}
  for i = 1, #x do
    c[i] = {}
    for j = 1, #y do c[i][j] = cost_of(kind, x[i], y[j]) end
  end
  return c
end

local function first(t, n) return table.move(t, 1, n, 1, {}) end

-- the recursion; gamma 0: the hard minimum. gives the value and the table
local function reference(c, gamma, window)
  local r = { [0] = { [0] = 0 } }
  for j = 1, #c[1] do r[0][j] = math.huge end
  for i = 1, #c do
    r[i] = { [0] = math.huge }
    for j = 1, #c[i] do
      local a, b, d = r[i-1][j-1], r[i-1][j], r[i][j-1]
      local least = math.min(a, b, d)
      if gamma > 0 and least < math.huge then
        least = least - gamma * math.log(math.exp((least - a) / gamma) + math.exp((least - b) / gamma)
          + math.exp((least - d) / gamma))
      end
      r[i][j] = (window and math.abs(i - j) > window) and math.huge or c[i][j] + least
    end
  end
  return r[#c][#c[1]]
end

-- 37 ragged pairs: more than two groups of lanes
local B, T, U, D = 37, 12, 9, 3
local x, y = randn("x", B, T, D), randn("y", B, U, D)
local n, m = crun.randint(crun.rng(9, "n"), T, B), crun.randint(crun.rng(9, "m"), U, B)
local X, Y = x:totable(), y:totable()

local function pair_costs(kind, b, c)
  return costs_of(kind, first(X[b], n[b]), first(Y[c or b], m[c or b]))
end

local function same(want, got)
  if want == math.huge then assert.equal(want, got)
  else assert.near(want, got, near * math.max(1, math.abs(want))) end
end

local function on_threads(count, f)
  local before = crun.threads()
  crun.threads(count)
  local result = f()
  crun.threads(before)
  return result
end

describe("dtw", function()
  it("is worked by hand", function()
    -- 0-0, 1-1, 3-3, 3-4: costs 0 + 0 + 0 + 1
    local a, b = crun.tensor { { { 0 }, { 1 }, { 3 } } }, crun.tensor { { { 0 }, { 1 }, { 3 }, { 4 } } }
    local distance, path, steps = crun.dtw(a, b, { path = true })
    assert.equal(1, distance[1])
    assert.equal(4, steps[1])
    assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 }, { 3, 4 }, { 0, 0 }, { 0, 0 } }, path[1]:totable())
  end)

  for _, kind in ipairs { "squared", "euclidean", "manhattan" } do
    for _, window in ipairs { false, 0, 2 } do
      it(("is the recursion, %s, window %s"):format(kind, window or "none"), function()
        local options = { cost = kind, window = window or nil }
        local d = crun.dtw(x, y, n, m, options)
        options.path = true
        local again, path, steps, table_ = crun.dtw(x, y, n, m, options)
        for b = 1, B do
          local c = pair_costs(kind, b)
          local want = reference(c, 0, window)
          same(want, d[b])
          same(want, again[b])
          same(want, table_[b][n[b]][m[b]])
          local sum = 0
          for s = 1, steps[b] do sum = sum + c[path[b][s][1]][path[b][s][2]] end
          if want < math.huge then same(want, sum) else assert.equal(0, steps[b]) end
        end
      end)
    end
  end

  it("takes all steps without lengths", function()
    local d = crun.dtw(x, y)
    for b = 1, B do same(reference(costs_of("squared", X[b], Y[b]), 0), d[b]) end
  end)

  it("gives nan for a sequence that is not finite, to that pair alone", function()
    local spoilt = x:clone()
    spoilt[2][1][1] = 0 / 0
    local d = crun.dtw(spoilt, y)
    assert.is_true(d[2] ~= d[2])
    assert.equal(crun.dtw(x, y)[1], d[1])
  end)

  it("refuses lengths out of range", function()
    assert.error_matches(function() crun.dtw(x, y, crun.zeros(B):int()) end,
      "x_lengths must lie in 1 .. 12, got 0 in row 1", 1, true)
    assert.error_matches(function() crun.dtw(x, y, nil, crun.full({ B }, 10):int()) end,
      "y_lengths must lie in 1 .. 9, got 10 in row 1", 1, true)
  end)
end)

describe("dtw_matrix", function()
  it("is dtw of every pair, on any number of threads", function()
    for _, window in ipairs { false, 3 } do
      local options = { cost = "euclidean", window = window or nil }
      local function run() return crun.dtw_matrix(x, y, n, m, options) end
      local d = run()
      assert.same({ B, B }, d:shape())
      for b = 1, B, 5 do
        for c = 1, B do same(reference(pair_costs("euclidean", b, c), 0, window), d[b][c]) end
      end
      assert.same(on_threads(1, run):totable(), on_threads(2, run):totable())
    end
  end)

  it("of one set is symmetric with a diagonal of 0, and the same as of the set twice", function()
    local d = crun.dtw_matrix(x, nil, n)
    assert.same(d:totable(), crun.dtw_matrix(x, x, n, n):totable())
    assert.same(d:totable(), d:t():totable())
    for b = 1, B do assert.equal(0, d[b][b]) end
  end)

  it("takes empty sets", function()
    assert.same({ 0, B }, crun.dtw_matrix(crun.zeros(0, 4, 3), y):shape())
    assert.same({ 0, 0 }, crun.dtw_matrix(crun.zeros(0, 4, 3)):shape())
  end)
end)

-- value and gradients of a soft-DTW call
local function gradients(f, a, b)
  a, b = a:clone():requires_grad_(), b:clone():requires_grad_()
  local value = f(a, b)
  value:sum():backward()
  return value, a:grad(), b:grad()
end

describe("losses.soft_dtw", function()
  it("is worked by hand", function()
    -- one step against two: the only way costs 1 + 4
    local loss = crun.losses.soft_dtw {}
    assert.near(5, loss(crun.tensor { { { 0 } } }, crun.tensor { { { 1 }, { 2 } } }):item(), near)
    -- two against two, all costs 0: three ways
    local none = crun.zeros(1, 2, 1)
    assert.near(-2 * math.log(3), crun.losses.soft_dtw { gamma = 2 } (none, none):item(), near)
    assert.near(0, crun.losses.soft_dtw { gamma = 2, divergence = true } (none, none):item(), near)
  end)

  for _, kind in ipairs { "squared", "euclidean", "manhattan" } do
    for _, gamma in ipairs { 10, 1, 0.01 } do
      it(("is the recursion, %s, gamma %g"):format(kind, gamma), function()
        local options = { cost = kind, gamma = gamma, reduction = "none" }
        local value, gx, gy = gradients(function(a, b)
          return crun.losses.soft_dtw(options)(a, b, n, m)
        end, x, y)
        for b = 1, B do same(reference(pair_costs(kind, b), gamma), value[b]) end
        -- nothing after the lengths
        for b = 1, B do
          if n[b] < T then assert.equal(0, gx[b]:narrow(1, n[b] + 1, T - n[b]):abs():sum():item()) end
          if m[b] < U then assert.equal(0, gy[b]:narrow(1, m[b] + 1, U - m[b]):abs():sum():item()) end
        end
        -- it depends on differences only
        assert.is_true(crun.allclose(gx:sum(2), gy:sum(2) * -1, near * 10, near * 10))
      end)
    end
  end

  it("does not see what it is batched with", function()
    local soft = crun.losses.soft_dtw { gamma = 0.3, reduction = "none", divergence = true }
    local value, gx, gy = gradients(function(a, b) return soft(a, b, n, m) end, x, y)
    for b = 1, B, 4 do
      local v, ga, gb = gradients(function(p, q) return soft(p, q) end,
        x:narrow(1, b, 1):narrow(2, 1, n[b]), y:narrow(1, b, 1):narrow(2, 1, m[b]))
      same(value[b], v[1])
      assert.is_true(crun.allclose(ga[1], gx[b]:narrow(1, 1, n[b]), near, near))
      assert.is_true(crun.allclose(gb[1], gy[b]:narrow(1, 1, m[b]), near, near))
    end
  end)

  it("gives the same bits on any number of threads", function()
    local function run()
      local value, gx, gy = gradients(function(a, b)
        return crun.losses.soft_dtw { reduction = "none", divergence = true } (a, b, n, m)
      end, x, y)
      return { value:totable(), gx:totable(), gy:totable() }
    end
    assert.same(on_threads(1, run), on_threads(2, run))
  end)

  it("goes to dtw as gamma goes to 0, whatever the scale", function()
    local want = crun.dtw(x, y, n, m)
    for _, gamma in ipairs { 1e-3, 1e-6, 1e-9, 1e-12 } do
      local value, gx = gradients(function(a, b)
        return crun.losses.soft_dtw { gamma = gamma, reduction = "none" } (a, b, n, m)
      end, x, y)
      assert.is_true(crun.allclose(value, want, 1e-4, gamma * 40))
      assert.equal(1, gx:isfinite():all():item())
    end
    local huge = gradients(function(a, b)
      return crun.losses.soft_dtw { reduction = "none" } (a, b, n, m)
    end, x * 1e8, y * 1e8)
    assert.is_true(crun.allclose(huge / 1e16, want, 1e-4, 1e-4))
  end)

  it("goes to 0 as two sequences become one, only as a divergence", function()
    local plain, divergence = crun.losses.soft_dtw {}, crun.losses.soft_dtw { divergence = true }
    assert.is_true(plain(x, x, n, n):item() < 0)
    local value, ga, gb = gradients(function(a, b) return divergence(a, b, n, n) end, x, x)
    assert.near(0, value:item(), near * 10)
    assert.is_true((ga + gb):abs():max():item() < near * 10)
    assert.is_true(divergence(x, y, n, m):item() > 0)
  end)

  it("gives nan for a sequence that is not finite, to that pair alone", function()
    local spoilt = x:clone()
    spoilt[2][1][1] = 0 / 0
    spoilt[3][1][1] = math.huge
    local all = crun.losses.soft_dtw { reduction = "none" }
    local good, g = gradients(function(a, b) return all(a, b) end, x, y)
    local value, gx = gradients(function(a, b) return all(a, b) end, spoilt, y)
    assert.is_true(value[2] ~= value[2])
    for b = 4, B do assert.equal(good[b], value[b]) end
    for b = 4, B do assert.same(g[b]:totable(), gx[b]:totable()) end
  end)

  it("takes an empty batch, and many steps at once", function()
    assert.equal(0, crun.losses.soft_dtw {} (crun.zeros(0, 3, 2), crun.zeros(0, 4, 2)):item())
    local long = crun.cumsum(randn("long", 1, 700, 1) * 0.1, 2)
    local value, g = gradients(function(a, b) return crun.losses.soft_dtw { gamma = 0.1 } (a, b) end,
      long, long + 0.05)
    assert.equal(1, g:isfinite():all():item())
    assert.is_true(value:item() < 0)
  end)

  it("refuses sequences of different width", function()
    assert.error_matches(function() crun.losses.soft_dtw {} (x, crun.zeros(B, 3, 1)) end, "D = 3", 1,
      true)
  end)
end)

describe("soft_dtw", function()
  it("gives each cell its share of the ways", function()
    local costs = crun.zeros(1, 2, 2):requires_grad_()
    crun.soft_dtw(costs):backward(crun.ones(1))
    local third = 1 / 3
    local g = costs:grad()[1]
    assert.near(1, g[1][1], near) assert.near(third, g[1][2], near)
    assert.near(third, g[2][1], near) assert.near(1, g[2][2], near)
  end)

  it("has closed cells where a cost is inf", function()
    local c = crun.tensor { { { 1, 2, math.huge }, { math.huge, 3, 4 } } }:requires_grad_()
    local value = crun.soft_dtw(c, { gamma = 1 })
    -- 1 2 4 or 1 3 4 or 1 2 3 4
    local want = -math.log(math.exp(-7) + math.exp(-8) + math.exp(-10))
    assert.near(want, value[1], near)
    value:sum():backward()
    local g = c:grad()[1]
    assert.near(1, g[1][1], near)
    assert.equal(0, g[1][3])
    assert.equal(0, g[2][1])
    local shut = crun.full({ 1, 2, 2 }, math.huge):requires_grad_()
    local none = crun.soft_dtw(shut)
    assert.equal(math.huge, none[1])
    none:sum():backward()
    assert.same({ { { 0, 0 }, { 0, 0 } } }, shut:grad():totable())
  end)

  it("takes the same value from tables and from sequences", function()
    local d = (x:unsqueeze(3) - y:unsqueeze(2)):square():sum(4)
    local want = crun.losses.soft_dtw { reduction = "none", gamma = 0.7 } (x, y, n, m)
    assert.is_true(crun.allclose(crun.soft_dtw(d, n, m, { gamma = 0.7 }), want, 1e-4, 1e-4))
  end)
end)
