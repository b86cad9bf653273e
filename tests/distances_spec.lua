local crun = require "crun"
local distances = crun.distances

local function near(want, t, tolerance)
  assert(crun.allclose(crun.tensor(want), t, 0, tolerance or 1e-5), tostring(t))
end

describe("distances", function()
  local x = crun.tensor { { 0, 0 }, { 3, 4 } }
  local y = crun.tensor { { 3, 4 }, { 0, 1 }, { 0, 0 } }

  it("are worked by hand", function()
    near({ { 5, 1, 0 }, { 0, math.sqrt(18), 5 } }, distances.euclidean()(x, y))
    near({ { 7, 1, 0 }, { 0, 6, 7 } }, distances.manhattan()(x, y))
    near({ { 25, 1, 0 }, { 0, 18, 25 } }, distances.lp { power = 2 }(x, y))
    near({ { 4, 1, 0 }, { 0, 3, 4 } }, distances.lp { p = math.huge }(x, y))
    near({ { 0, 0, 0 }, { 25, 4, 0 } }, distances.dot_similarity()(x, y))
    near({ { 0, 0, 0 }, { -25, -4, 0 } }, distances.dot()(x, y))
    near({ { 0, 0, 0 }, { 1, 0.8, 0 } }, distances.cosine_similarity()(x, y))
    near({ { 1, 1, 1 }, { 0, 0.2, 1 } }, distances.cosine()(x, y))
  end)

  it("has the signal-to-noise ratio of x as the anchor", function()
    -- var(x) = 1; x - y = (0, 1, -1), variance 1; y - x the same over var(y) = 4
    local a, b = crun.tensor { { 1, 2, 3 } }, crun.tensor { { 1, 1, 4 } }
    near({ { 1 } }, distances.snr()(a, b))
    near({ { 1 / 3 } }, distances.snr()(b, a))
    near({ 1 }, distances.snr():rows(a, b))
  end)

  it("has Mahalanobis' by a transform or by a matrix", function()
    local L = crun.tensor { { 2, 0 }, { 0, 1 } }
    local M = crun.tensor { { 4, 0 }, { 0, 1 } }
    near({ { math.sqrt(52), 1, 0 } }, distances.mahalanobis { transform = L }(x:narrow(1, 1, 1), y))
    near({ { math.sqrt(52), 1, 0 } }, distances.mahalanobis { matrix = M }(x:narrow(1, 1, 1), y),
      1e-4)
    local learnt = crun.nn.parameter(L:clone())
    local d = distances.mahalanobis { transform = learnt }
    assert.same({ "transform" }, select(2, d:parameters()))
    d(x, y):sum():backward()
    assert.is_true(learnt:grad():abs():sum():item() > 0)
    assert.has_error(function() distances.mahalanobis { matrix = crun.tensor { { -1, 0 },
      { 0, 1 } } } end,
      "distances.mahalanobis: matrix must be positive semidefinite, its least eigenvalue is -1")
  end)

  it("give the diagonal of the matrix row by row", function()
    local rng = crun.rng(1, "rows")
    local a, b = crun.randn(rng, 5, 4), crun.randn(rng, 5, 4)
    local k = crun.arange(1, 5)
    for _, d in ipairs { distances.lp { p = 3, power = 2, normalize = true }, distances.manhattan(),
      distances.cosine(),
      distances.dot { normalize = true }, distances.snr { normalize = true },
        distances.cosine_similarity { power = 3 },
      distances.mahalanobis { transform = crun.randn(rng, 2, 4) } } do
      assert(crun.allclose(d(a, b):index_pairs(k, k), d:rows(a, b), 1e-4, 1e-4), tostring(d))
    end
  end)

  it("normalise only when told, by the norm of p or another", function()
    local a = crun.tensor { { 3, 4 }, { 0, 0 } }
    local b = crun.tensor { { 0, 2 } }
    near({ { 6 / 7 }, { 1 } }, distances.manhattan { normalize = true }(a, b))
    near({ { 0.8 }, { 1 } }, distances.manhattan { normalize = true, norm = 2 }(a, b))
  end)

  it("have gradient 0 at distance 0, and an exact diagonal", function()
    local z = crun.tensor { { 1, 2 }, { 1, 2 }, { 4, 6 } }:requires_grad_()
    local d = distances.lp()(z)
    assert.equal(0, d[1][2])
    assert.equal(0, d[3][3])
    d:sum():backward()
    assert.is_true(z:grad():isfinite():all():item() == 1)
    near({ 0, 0 }, z:grad():sum(1), 1e-4)
  end)

  it("know which of two is nearer", function()
    local a, b = crun.tensor { 1, 5 }, crun.tensor { 2, 3 }
    near({ -1, 2 }, distances.lp():margin(a, b))
    near({ 1, -2 }, distances.cosine_similarity():margin(a, b))
    near({ 1, 3 }, distances.lp():nearest(a, b))
    near({ 2, 5 }, distances.dot_similarity():nearest(a, b))
    near({ -1, -5 }, distances.lp():similarity(a))
    near({ 3, 2 }, distances.lp():margin(4, crun.tensor { 1, 2 }))
  end)

  it("say what is wrong", function()
    local function fails(text, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.equal(text, (message:gsub("^[^:]*:%d+: ", "")))
    end
    fails("distances.lp: x must be a tensor [N D], got [2]", distances.lp(), crun.tensor { 1, 2 })
    fails("distances.lp: y must be as wide as x, 2, got 3", distances.lp(), x, crun.zeros(1, 3))
    fails("distances.lp: rows need two tensors of one shape, got [2, 2] and [3, 2]",
      distances.lp().rows, distances.lp(), x, y)
    fails("distances.lp: unknown option 'normalise'; did you mean 'normalize'?", distances.lp,
      { normalise = true })
    fails("t: distance must be one of euclidean, manhattan, cosine, dot, snr, cosine_similarity, " ..
      "dot_similarity, or made by crun.distances; got a string \"cosin\", did you mean 'cosine'?",
      distances.named, "t", "cosin")
  end)
end)
