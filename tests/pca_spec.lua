local crun = require "crun"
local pca = crun.pca

describe("pca", function()
  it("is worked by hand", function()           -- points on y = x, one step apart
    local p = pca.fit(crun.tensor { { -1, -1 }, { 0, 0 }, { 1, 1 } }, 1)
    local r = math.sqrt(0.5)
    assert.near(r, p.components[1][1], 1e-6)
    assert.near(r, p.components[1][2], 1e-6)
    assert.near(2, p.variance[1], 1e-5)
    assert.near(1, p.ratio[1], 1e-6)
    assert.same({ 0, 0 }, p.mean:totable())
    assert.near(math.sqrt(2), p:transform(crun.tensor { { 1, 1 } }):item(), 1e-6)
  end)
  it("has orthonormal components on either side of the Gram matrix", function()
    for _, size in ipairs { { 40, 6 }, { 6, 40 } } do
      local x = crun.randn(crun.rng(2), size[1], size[2])
      local p = pca.fit(x)
      local k = math.min(size[1] - 1, size[2])
      assert.same({ k, size[2] }, p.components:shape())
      assert.is_true(crun.allclose(p.components:matmul(p.components:t()), crun.eye(k), 1e-4, 1e-4))
      assert.is_true(crun.allclose(p:inverse(p:transform(x)), x, 1e-3, 1e-4))
      local sum = 0
      for i = 1, k do sum = sum + p.ratio[i] end
      assert.near(1, sum, 1e-5)
    end
  end)
  it("finds the same on both sides", function()
    local x = crun.randn(crun.rng(3), 8, 8)
    -- 8 points in 11 dimensions: the other branch
    local wide = crun.cat({ x, crun.zeros(8, 3) }, 2)
    local a, b = pca.fit(x, 3), pca.fit(wide, 3)
    assert.is_true(crun.allclose(a.variance, b.variance, 1e-3, 1e-4))
    assert.is_true(crun.allclose(a:transform(x), b:transform(wide), 1e-2, 1e-3))
  end)
  it("refuses what it cannot do", function()
    local _, text = pcall(pca.fit, crun.zeros(5, 3), 4)
    assert.truthy(text:find("pca.fit: k must be in 1 .. 3, got 4", 1, true))
    assert.has_error(function() pca.fit(crun.zeros(1, 3)) end)
  end)
end)
