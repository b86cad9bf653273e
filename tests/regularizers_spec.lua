local crun = require "crun"
local regularizers = crun.regularizers

describe("regularizers", function()
  local x = crun.tensor { { 3, 4 }, { 0, -2 } }

  it("are worked by hand", function()
    assert.equal(3.5, regularizers.lp()(x):item())
    assert.equal(29, regularizers.lp { power = 2, reducer = "sum" }(x):item())
    assert.equal(4.5, regularizers.lp { p = 1 }(x):item())
    assert.equal(4.5, regularizers.zero_mean()(x):item())
    -- squares 25 and 4, mean 14.5
    assert.near(10.5 ^ 2 / 4, regularizers.center_invariant()(x):item(), 1e-4)
    assert.near(-0.8, regularizers.regular_face()(x):item(), 1e-6)
    -- one class of two centres: |(0.6, 0.8) - (0, -1)| by twice one pair
    assert.near(math.sqrt(0.36 + 3.24) / 2, regularizers.sparse_centers { classes = 1,
      centers = 2 }(x):item(), 1e-6)
  end)

  it("keep centres that have met where they are", function()
    local w = crun.tensor { { 1, 0 }, { 1, 0 } }:requires_grad_()
    regularizers.sparse_centers { classes = 1, centers = 2 }(w):backward()
    assert.same({ { 0, 0 }, { 0, 0 } }, w:grad():totable())
    local z = crun.tensor { { 0, 0 }, { 1, 0 } }:requires_grad_()
    regularizers.lp()(z):backward()
    assert.same({ { 0, 0 }, { 0.5, 0 } }, z:grad():totable())
  end)

  it("take one row", function()
    assert.equal(0, regularizers.regular_face()(crun.tensor { { 1, 2 } }):item())
    assert.equal(0, regularizers.center_invariant()(crun.tensor { { 1, 2 } }):item())
  end)

  it("are added to a loss with their weight, fused or composed", function()
    local z, y = crun.tensor { { 0, 0 }, { 3, 4 }, { 0, 1 } }, crun.int { 1, 1, 2 }
    for _, composed in ipairs { false, true } do
      local plain = crun.losses.contrastive { composed = composed }(z, y):item()
      local priced = crun.losses.contrastive { composed = composed,
        regularizer = { regularizers.lp(), 0.5 } }(z, y)
      assert.near(plain + 0.5 * (0 + 5 + 1) / 3, priced:item(), 1e-5)
    end
  end)

  it("say what is wrong", function()
    local ok, message = pcall(regularizers.sparse_centers { classes = 2, centers = 2 }, x)
    assert.is_false(ok)
    assert.truthy(message:find("x must have 4 rows, 2 classes of 2 centres, got 2", 1, true),
      message)
    ok, message = pcall(crun.losses.triplet { regularizer = { 3 } }, x, crun.int { 1, 2 })
    assert.is_false(ok)
    assert.truthy(message:find("regularizer must be { crun.regularizers.NAME { ... }, weight }, got 3", 1, true), message)
  end)
end)
