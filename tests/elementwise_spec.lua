local crun = require "crun"

local inf, nan = math.huge, 0/0
local exact = crun.precision == "float64" and 1e-12 or 1e-6

local function near(want, got)
  want, got = crun.tensor(want), got:real()
  assert.same(want:shape(), got:shape())
  if not crun.allclose(got, want, exact, exact) then
    error("got " .. tostring(got) .. "\nwant " .. tostring(want), 2)
  end
end

-- f(x) and the gradient of its sum
local function both(f, x)
  local leaf = crun.tensor(x):requires_grad_(true)
  local y = f(leaf)
  y:sum():backward()
  return y, leaf:grad()
end

local function is_nan(x) return x ~= x end

describe("an elementwise operator", function()
  it("is worked by hand", function()
    local x = { -2, 0, 1, 3 }
    local cases = {
      { "relu", { 0, 0, 1, 3 }, { 0, 0, 1, 1 } },
      { "relu6", { 0, 0, 1, 3 }, { 0, 0, 1, 1 } },
      { "abs", { 2, 0, 1, 3 }, { -1, 0, 1, 1 } },
      { "neg", { 2, 0, -1, -3 }, { -1, -1, -1, -1 } },
      { "square", { 4, 0, 1, 9 }, { -4, 0, 2, 6 } },
      { "sign", { -1, 0, 1, 1 }, { 0, 0, 0, 0 } },
      { "hardsigmoid", { 1/6, 1/2, 2/3, 1 }, { 1/6, 1/6, 1/6, 0 } },
      { "hardswish", { -1/3, 0, 2/3, 3 }, { -1/6, 1/2, 5/6, 1 } },
      { "exp", { math.exp(-2), 1, math.exp(1), math.exp(3) }, { math.exp(-2), 1, math.exp(1), math.exp(3) } },
    }
    for _, c in ipairs(cases) do
      local y, g = both(crun[c[1]], x)
      near(c[2], y)
      near(c[3], g)
    end
  end)

  it("takes its options", function()
    near({ -0.4, 2 }, crun.tensor{-2, 2}:leaky_relu { slope = 0.2 })
    near({ 0.5 * (math.exp(-2) - 1), 2 }, crun.tensor{-2, 2}:elu { alpha = 0.5 })
    near({ math.log(1 + math.exp(2)) / 2 }, crun.tensor{1}:softplus { beta = 2 })
    near({ -1, 0.5, 1 }, crun.tensor{-3, 0.5, 3}:clamp(-1, 1))
    near({ -3, 0.5, 1 }, crun.tensor{-3, 0.5, 3}:clamp { max = 1 })
    near({ 0.8411919906082768 }, crun.tensor{1}:gelu { approximate = "tanh" })
    near({ 0.8413447460685430 }, crun.tensor{1}:gelu())
  end)

  it("rounds halves to the even neighbour", function()
    near({ -2, -2, 0, 0, 2, 2 }, crun.tensor{-2.5, -1.5, -0.5, 0.5, 1.5, 2.5}:round())
  end)

  it("is right at the edges", function()
    assert.equal(inf, crun.tensor{inf}:exp():item())
    assert.equal(0, crun.tensor{-inf}:exp():item())
    assert.equal(-inf, crun.tensor{0}:log():item())
    assert.equal(-inf, crun.tensor{-1}:log1p():item())
    assert.equal(1, crun.tensor{inf}:tanh():item())
    assert.equal(-1, crun.tensor{-1000}:erf():item())
    assert.equal(0, crun.tensor{-1000}:sigmoid():item())
    assert.equal(-1000, crun.tensor{-1000}:logsigmoid():item())
    assert.equal(1000, crun.tensor{1000}:softplus():item())
    for _, name in ipairs { "exp", "log", "log1p", "expm1", "tanh", "sigmoid", "erf", "relu", "relu6", "softplus",
                            "clamp", "elu", "gelu", "silu", "mish", "abs", "sqrt", "leaky_relu", "hardsigmoid" } do
      assert(is_nan(crun.tensor{nan}[name](crun.tensor{nan}):item()), name .. " of nan")
    end
  end)

  it("works on transposed, empty and large tensors alike", function()
    local x = crun.randn(crun.rng(1, "x"), 301, 257)
    local packed = x:t():contiguous()
    assert(crun.allclose(x:t():tanh(), packed:tanh(), 0, 0))
    assert.same({ 0, 3 }, crun.zeros(0, 3):exp():shape())
    assert.equal(crun.tensor{ x[301][257] }:exp():item(), x:exp()[301][257])
  end)

  it("keeps whole numbers whole in neg and abs", function()
    local y = -crun.int{ 3, -(1 << 60) - 1 }
    assert.equal("int64", y:dtype())
    assert.same({ -3, (1 << 60) + 1 }, y:totable())
    assert.same({ 3, (1 << 60) + 1 }, crun.int{ 3, -(1 << 60) - 1 }:abs():totable())
  end)

  it("tells nan and the infinite apart", function()
    local x = crun.tensor{ 1, inf, -inf, nan }
    assert.same({ 0, 0, 0, 1 }, x:isnan():totable())
    assert.same({ 1, 0, 0, 0 }, x:isfinite():totable())
  end)

  it("refuses bounds the wrong way round", function()
    assert.error_matches(function() crun.tensor{1}:clamp(2, 1) end, "min must not be above max, got min = 2 and max = 1")
  end)
end)
