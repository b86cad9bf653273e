local crun = require "crun"

local inf, nan = math.huge, 0/0

local function near(want, got, tolerance)
  want = crun.is_tensor(want) and want or crun.tensor(want)
  assert.same(want:shape(), got:shape())
  if not crun.allclose(got, want, tolerance or 1e-5, tolerance or 1e-5) then
    error("got " .. tostring(got) .. "\nwant " .. tostring(want), 2)
  end
end

local function leaf(x) return crun.tensor(x):requires_grad_(true) end

describe("a reduction", function()
  it("is worked by hand", function()
    local x = crun.tensor{{1, 2, 3}, {4, 5, 9}}
    near({ 5, 7, 12 }, x:sum(1))
    near({{6}, {18}}, x:sum { dim = 2, keepdim = true })
    near({ 2.5, 3.5, 6 }, x:mean(1))
    assert.equal(24, x:sum():item())
    near({ 6, 180 }, x:prod(2))
    near({ 3, 9 }, x:amax(2))
    near({ 1, 2, 3 }, x:amin(1))
    near({ 1, 7 }, x:var(2))
    near({ 2/3, 14/3 }, x:var { dim = 2, correction = 0 })
    near({ 1, math.sqrt(7) }, x:std(2))
    near({ 2, 5 }, x:median(2))
    assert.equal(3, x:median():item())
  end)

  it("agrees with a packed copy for every choice of dimensions", function()
    local x = crun.randn(crun.rng(1, "x"), 3, 4, 5)
    local order = { [1] = { 2, 3, 1 }, [2] = { 1, 3, 2 }, [3] = { 1, 2, 3 } }
    for _, name in ipairs { "sum", "mean", "prod", "amax", "amin", "var", "std", "logsumexp", "median", "norm" } do
      for dim, p in pairs(order) do
        near(x:permute(p):contiguous()[name](x:permute(p):contiguous(), { dim = 3 }), x[name](x, { dim = dim }))
      end
      local packed = x:permute(2, 1, 3):reshape(4, 15)
      near(packed[name](packed, { dim = 2 }), x[name](x, { dim = { 1, 3 } }))
    end
  end)

  it("sums in double, so a long sum does not stop growing", function()
    local n = 20000000
    assert.equal(n, crun.ones(1):expand(n):sum():item())
    assert.equal(1, crun.full({ n }, 1):mean():item())
  end)

  it("adds up large tensors of any layout", function()
    local x = crun.randn(crun.rng(1, "x"), 70, 30, 60)
    local by_rows = x:sum(3)
    near(by_rows:sum(2), x:sum { dim = { 2, 3 } }, 1e-3)
    near(by_rows:sum(1), x:sum { dim = { 1, 3 } }, 1e-3)
    near(x:sum(1):sum(1), x:sum { dim = { 1, 2 } }, 1e-3)
    near(by_rows:sum(), x:sum(), 1e-3)
  end)

  it("finds the first of the largest, counted from 1", function()
    local x = leaf{{1, 7, 7}, {5, 2, 0}}
    local values, indices = x:max(2)
    near({ 7, 5 }, values:detach())
    assert.same({ 2, 1 }, indices:totable())
    values:sum():backward()
    near({{0, 1, 0}, {1, 0, 0}}, x:grad())
    assert.same({ 1, 3 }, x:argmin(2):totable())
    assert.equal(2, x:argmax():item())
    local value, index = x:min()
    assert.equal(0, value:item())
    assert.equal(6, index:item())
  end)

  it("shares the gradient of amax among ties", function()
    local x = leaf{ 7, 7, 1 }
    x:amax():backward()
    near({ 0.5, 0.5, 0 }, x:grad())
  end)

  it("passes a nan on", function()
    for n = 1, 40, 13 do
      local x = crun.ones(40)
      x[n] = nan
      for _, name in ipairs { "sum", "amax", "amin", "median", "std", "logsumexp" } do
        local y = x[name](x):item()
        assert(y ~= y, name)
      end
      assert.equal(n, x:argmax():item())
    end
  end)

  it("has every vector norm", function()
    local x = crun.tensor{ 3, -4, 0 }
    local want = { [2] = 5, [1] = 7, [0] = 2, [inf] = 4, [-inf] = 0, [3] = 91^(1/3) }
    for p, y in pairs(want) do assert.near(y, x:norm { p = p }:item(), 1e-5) end
    local zero = leaf{ 0, 0 }
    zero:norm():backward()
    near({ 0, 0 }, zero:grad())
  end)

  it("knows zeros in products", function()
    local x = leaf{{2, 0, 3}, {0, 0, 5}}
    x:prod(2):sum():backward()
    near({{0, 6, 0}, {0, 0, 0}}, x:grad())
    local y = leaf{ 2, 0, 3 }
    y:cumprod():sum():backward()
    near({ 1, 2 + 6, 0 }, y:grad())
  end)

  it("accumulates along a dimension", function()
    near({{1, 3, 6}}, crun.tensor{{1, 2, 3}}:cumsum())
    near({{1}, {3}, {6}}, crun.tensor{{1}, {2}, {3}}:cumsum(1))
    near({ 2, 6, -6 }, crun.tensor{ 2, 3, -1 }:cumprod())
  end)

  it("answers all and any with uint8", function()
    local x = crun.byte{{1, 1}, {0, 1}, {0, 0}}
    assert.same({ 1, 0, 0 }, x:all(2):totable())
    assert.same({ 1, 1, 0 }, x:any(2):totable())
    assert.equal(1, crun.zeros(0):all():item())
    assert.equal(0, crun.zeros(0):any():item())
  end)

  it("has an answer for nothing where there is one", function()
    assert.equal(0, crun.zeros(0):sum():item())
    assert.equal(1, crun.zeros(0):prod():item())
    assert.equal(-inf, crun.zeros(0):logsumexp():item())
    near({ 0, 0, 0 }, crun.zeros(0, 3):sum(1))
    assert.error_matches(function() crun.zeros(0):amax() end, "nothing to reduce")
    assert.error_matches(function() crun.zeros(2, 0):argmin(2) end, "nothing to reduce")
    assert.same({ 0 }, crun.zeros(0, 3):amax(2):shape())
    assert(crun.tensor{1}:var():item() ~= 0)                        -- nan: one value has no spread to estimate
  end)

  it("refuses dimensions that are not there or come twice", function()
    assert.error_matches(function() crun.zeros(2, 3):sum(3) end, "dim = 3 is not a dimension of a tensor of 2")
    assert.error_matches(function() crun.zeros(2, 3):sum(1, 1) end, "names dimension 1 twice")
  end)
end)

describe("softmax and log-sum-exp", function()
  it("add up to one, whatever the scale", function()
    for _, scale in ipairs { 1e-3, 1, 1e4 } do
      local x = crun.randn(crun.rng(1, "x"), 5, 300) * scale
      near(crun.ones(5), x:softmax(2):sum(2))
      near(crun.zeros(5), x:log_softmax(2):logsumexp(2), 1e-4)
      near(x:softmax(2), x:t():softmax(1):t(), 1e-6)
    end
  end)

  it("do not change when a row is shifted", function()
    local x = crun.tensor{{ 1, 2, 3 }}
    near(x:softmax(), (x + 1000):softmax(), 1e-4)
  end)

  it("give what is -inf no part", function()
    near({ 0, 1 }, crun.tensor{ -inf, 3 }:softmax())
    assert.equal(3, crun.tensor{ -inf, 3 }:logsumexp():item())
    assert.equal(-inf, crun.tensor{ -inf, -inf }:logsumexp():item())
    local x = leaf{ -inf, -inf }
    x:logsumexp():backward()
    near({ 0, 0 }, x:grad())
  end)

  it("work under a mask", function()
    local x = crun.tensor{{ 1, 2, nan }, { 4, 5, 6 }, { 7, 8, 9 }}
    local mask = crun.byte{{ 1, 1, 0 }, { 0, 0, 0 }, { 0, 1, 0 }}
    local e = math.exp
    local y = x:masked_logsumexp(mask, { dim = 2 })
    assert.near(math.log(e(1) + e(2)), y[1], 1e-5)
    assert.equal(-inf, y[2])
    assert.near(8, y[3], 1e-6)
    assert.equal(0, x:masked_logsumexp(mask, { dim = 2, empty = 0 })[2])
    local one = x:masked_logsumexp(mask, { dim = 2, add_one = true })
    assert.near(math.log(1 + e(1) + e(2)), one[1], 1e-5)
    assert.equal(0, one[2])
    assert.near(math.log(e(4) + e(7)), x:masked_logsumexp(crun.byte{{0}, {1}, {1}}, { dim = 1 })[1], 1e-5)
  end)

  it("survive a large element under add_one", function()
    assert.near(500, crun.tensor{500}:masked_logsumexp(crun.byte{1}, { add_one = true }):item(), 1e-3)
    assert.near(0, crun.tensor{-500}:masked_logsumexp(crun.byte{1}, { add_one = true }):item(), 1e-6)
  end)
end)
