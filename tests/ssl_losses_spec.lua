-- Losses of two views: vicreg, barlow_twins, negative_cosine, alignment, uniformity.
local crun = require "crun"
local losses = crun.losses
local near = crun.precision == "float64" and 1e-9 or 2e-4

local function randn(tag, ...) return crun.randn(crun.rng(5, tag), ...) end

-- loss and gradients of f at leaves with the values of the tensors given
local function gradients(f, ...)
  local leaves = { ... }
  for i, t in ipairs(leaves) do leaves[i] = t:clone():requires_grad_() end
  local loss = f(table.unpack(leaves))
  loss:backward()
  for i, t in ipairs(leaves) do leaves[i] = t:grad() end
  return loss:item(), table.unpack(leaves)
end

local function close(want, got) assert.is_true(crun.allclose(got, want, near, near)) end

-- both ways of writing a loss give the same value and gradients
local function agree(f, g, ...)
  local want, got = { gradients(f, ...) }, { gradients(g, ...) }
  assert.near(want[1], got[1], near * math.max(1, math.abs(want[1])))
  for i = 2, #want do close(want[i], got[i]) end
end

local function finite(...)
  for _, t in ipairs { ... } do assert.is_true(t:isfinite():all():item() == 1) end
end

local function off_diagonal(C) return (C * (1 - crun.eye(#C))):square():sum() end
local function centred(z) return z - z:mean { dim = 1, keepdim = true } end

describe("losses.vicreg", function()
  it("is worked by hand", function()
    -- one column each: var 2 and 8, so sd > 1; mse = (1 + 1) / 2
    local vicreg = losses.vicreg { lambda = 3, mu = 2, nu = 5, eps = 0 }
    local x, y = crun.tensor { { 0 }, { 2 } }, crun.tensor { { -1 }, { 3 } }
    assert.near(3 * 1, vicreg(x, y):item(), 1e-6)
    -- sd sqrt(2)/10 and sqrt(2)/5, mse 0.0025
    local v = ((1 - math.sqrt(2) / 10) + (1 - math.sqrt(2) / 5)) / 2
    assert.near(3 * 0.01 + 2 * v, vicreg(x / 10, y / 10):item(), 1e-6)
    assert.near(v, vicreg.stats.variance, 1e-6)
    assert.near(0.01, vicreg.stats.invariance, 1e-6)
    assert.equal(0, vicreg.stats.covariance)
  end)

  for _, shape in ipairs { { 40, 9 }, { 9, 40 }, { 7, 7 }, { 400, 350 }, { 2, 1 } } do
    local B, D = shape[1], shape[2]
    it(("is the formula for %d rows of %d"):format(B, D), function()
      local function formula(x, y)
        local function terms(z)
          local c = centred(z)
          local C = c:t():matmul(c) / (B - 1)
          local sd = (c:square():sum(1) / (B - 1) + 1e-4):sqrt()
          return (1 - sd):relu():mean(), off_diagonal(C) / D
        end
        local vx, cx = terms(x)
        local vy, cy = terms(y)
        return (x - y):square():sum() * (25 / B) + 25 * (vx + vy) + cx + cy
      end
      agree(formula, losses.vicreg { variant = "paper" }, randn("x", B, D) * 0.9, randn("y", B, D) + 50)
    end)
  end

  it("leaves variance and covariance out with one row, and is 0 without rows", function()
    local loss, gx = gradients(losses.vicreg {}, crun.tensor { { 1, 2 } }, crun.tensor { { 1, 4 } })
    assert.near(25 * 2, loss, 1e-5)
    assert.same({ { 0, -50 } }, gx:totable())
    assert.equal(0, losses.vicreg {} (crun.zeros(0, 3), crun.zeros(0, 3)):item())
  end)

  it("has a gradient where views have collapsed", function()
    for _, eps in ipairs { 0, 1e-4 } do
      finite(select(2, gradients(losses.vicreg { eps = eps }, crun.ones(5, 3) * 0.1, crun.ones(5, 3))))
    end
  end)

  it("refuses views of different shape", function()
    assert.error_matches(function() losses.vicreg {} (crun.ones(3, 2), crun.ones(4, 2)) end,
      "y must have shape [B, D] with B = 3", 1, true)
  end)
end)

describe("losses.barlow_twins", function()
  it("is worked by hand", function()
    -- columns of x are uncorrelated with variance 1; y swaps them: C = {{0, 1}, {1, 0}}
    local x = crun.tensor { { 1, 1 }, { 1, -1 }, { -1, 1 }, { -1, -1 } }
    local y = crun.tensor { { 1, 1 }, { -1, 1 }, { 1, -1 }, { -1, -1 } } * 7 + 3
    local barlow = losses.barlow_twins { lambda = 0.1 }
    assert.near(2 + 0.1 * 2, barlow(x, y):item(), 1e-5)
    assert.near(2, barlow.stats.on_diagonal, 1e-5)
    assert.near(2, barlow.stats.off_diagonal, 1e-5)
    assert.near(0, barlow(x, x * 5 - 1):item(), 1e-5)
  end)

  for _, shape in ipairs { { 40, 9 }, { 9, 40 }, { 7, 7 }, { 400, 350 } } do
    local B, D = shape[1], shape[2]
    it(("is the formula for %d rows of %d"):format(B, D), function()
      local function formula(x, y)
        local function standard(z)
          local c = centred(z)
          return c / (c:square():mean(1) + 1e-3):sqrt()
        end
        local C = standard(x):t():matmul(standard(y)) / B
        return ((1 - C:diag()):square():sum() + 0.02 * off_diagonal(C)) / 8
      end
      agree(formula, losses.barlow_twins { lambda = 0.02, eps = 1e-3, scale = 1 / 8 },
        randn("x", B, D), randn("x", B, D) + randn("y", B, D))
    end)
  end

  it("does not see shift and scale of a column", function()
    local x, y, barlow = randn("x", 20, 5), randn("y", 20, 5), losses.barlow_twins {}
    assert.near(barlow(x, y):item(), barlow(x * 3 + 5, y):item(), near)
  end)

  it("takes a constant column as uncorrelated", function()
    local x = randn("x", 6, 2)
    local flat = crun.cat({ x:narrow(2, 1, 1), crun.full({ 6, 1 }, 0.1) }, 2)
    local loss, gx, gy = gradients(losses.barlow_twins {}, flat, x)
    assert.is_true(loss >= 1)
    finite(gx, gy)
    for i = 1, 6 do assert.equal(0, gx[i][2]) end
    assert.equal(3, losses.barlow_twins {} (crun.ones(1, 3), crun.ones(1, 3)):item())
    assert.equal(0, losses.barlow_twins {} (crun.ones(0, 3), crun.ones(0, 3)):item())
  end)
end)

describe("losses.negative_cosine", function()
  it("is worked by hand", function()
    local p, z = crun.tensor { { 3, 4 }, { 0, 2 } }, crun.tensor { { 10, 0 }, { 0, -1 } }
    local cosine = losses.negative_cosine {}
    assert.near(-(0.6 - 1) / 2, cosine(p, z):item(), 1e-6)
    assert.near(-0.2, cosine.stats.cosine, 1e-6)
    local byol = losses.negative_cosine { form = "byol", reduction = "none" } (p, z)
    assert.near(2 - 2 * 0.6, byol[1], 1e-6)
    assert.near(4, byol[2], 1e-6)
  end)

  it("is the formula", function()
    for _, form in ipairs { "simsiam", "byol" } do
      for _, reduction in ipairs { "mean", "sum" } do
        agree(function(p, z)
          local cosine = (p:normalize() * z:normalize()):sum(2)
          if form == "byol" then cosine = cosine * 2 - 2 end
          return -cosine[reduction](cosine)
        end, losses.negative_cosine { form = form, reduction = reduction },
          randn("p", 700, 30), randn("z", 700, 30))
      end
    end
  end)

  it("gives a detached target no gradient", function()
    local p, z = randn("p", 4, 3):requires_grad_(), randn("z", 4, 3):requires_grad_()
    losses.negative_cosine {} (p, z:detach()):backward()
    assert.is_nil(z:grad())
    assert.is_truthy(p:grad())
  end)

  it("takes rows of zeros and huge rows, and no rows", function()
    local loss, gp, gz = gradients(losses.negative_cosine { reduction = "sum" },
      crun.tensor { { 0, 0 }, { 1e30, 0 }, { 1e-30, 0 } }, crun.tensor { { 1, 1 }, { 1e30, 1e30 }, { 1, 0 } })
    assert.near(-math.sqrt(0.5) - 1, loss, 1e-6)
    finite(gz)
    assert.same({ 0, 0 }, gp[1]:totable())
    assert.equal(0, losses.negative_cosine {} (crun.zeros(0, 2), crun.zeros(0, 2)):item())
  end)
end)

describe("losses.alignment", function()
  it("is worked by hand", function()
    local x, y = crun.tensor { { 3, 4 }, { 1, 1 } }, crun.tensor { { 0, 0 }, { 1, 1 } }
    assert.near(25 / 2, losses.alignment {} (x, y):item(), 1e-5)
    assert.near(5, losses.alignment { alpha = 1, reduction = "sum" } (x, y):item(), 1e-5)
    assert.near(125, losses.alignment { alpha = 3, reduction = "none" } (x, y)[1], 1e-3)
  end)

  it("is the formula", function()
    for _, alpha in ipairs { 1, 2, 3 } do
      for _, normalize in ipairs { false, true } do
        agree(function(x, y)
          if normalize then x, y = x:normalize(), y:normalize() end
          return (x - y):square():sum(2):pow(alpha / 2):mean()
        end, losses.alignment { alpha = alpha, normalize = normalize }, randn("x", 50, 6), randn("y", 50, 6))
      end
    end
  end)

  it("has gradient 0 at distance 0", function()
    local _, gx, gy = gradients(losses.alignment { alpha = 1 }, crun.ones(2, 3), crun.ones(2, 3))
    assert.same(crun.zeros(2, 3):totable(), gx:totable())
    assert.same(crun.zeros(2, 3):totable(), gy:totable())
    assert.equal(0, losses.alignment {} (crun.zeros(0, 2), crun.zeros(0, 2)):item())
  end)
end)

describe("losses.uniformity", function()
  it("is worked by hand", function()
    local x = crun.tensor { { 0 }, { 1 }, { 3 } }
    local want = math.log((math.exp(-2) + math.exp(-2 * 9) + math.exp(-2 * 4)) / 3)
    local uniformity = losses.uniformity {}
    assert.near(want, uniformity(x):item(), 1e-5)
    assert.near((1 + 9 + 4) / 3, uniformity.stats.distance, 1e-5)
  end)

  it("is the formula, in one tile and in many", function()
    for _, B in ipairs { 2, 50, 600 } do
      for _, normalize in ipairs { false, true } do
        agree(function(x)
          if normalize then x = x:normalize() end
          local d = (x:unsqueeze(2) - x:unsqueeze(1)):square():sum(3)
          d = d + crun.eye(B) * 1e9
          return (d * -0.5):reshape(B * B):logsumexp(1) - math.log(B * (B - 1))
        end, losses.uniformity { t = 0.5, normalize = normalize }, randn("x", B, 4))
      end
    end
  end)

  it("does not underflow where all rows are far apart", function()
    local loss, gx = gradients(losses.uniformity {}, crun.tensor { { 0 }, { 100 }, { 250 } })
    assert.near(-2 * 1e4 - math.log(3), loss, 1e-2)
    assert.near(-2 * -2 * 100, gx[1][1], 1e-3)
    assert.near(0, gx[3][1], 1e-6)
  end)

  it("is 0 for equal rows, one row or none", function()
    local loss, gx = gradients(losses.uniformity {}, crun.ones(4, 3))
    assert.near(0, loss, 1e-6)
    assert.same(crun.zeros(4, 3):totable(), gx:totable())
    loss, gx = gradients(losses.uniformity {}, crun.ones(1, 3))
    assert.equal(0, loss)
    assert.same({ { 0, 0, 0 } }, gx:totable())
    assert.equal(0, losses.uniformity {} (crun.zeros(0, 3)):item())
  end)
end)
