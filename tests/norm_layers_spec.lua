local crun = require "crun"

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), ("expected %q in %q"):format(text, tostring(message)))
end

local function near(want, got, tolerance)
  local t = crun.is_tensor(want) and want or crun.tensor(want)
  assert.same(t:shape(), got:shape())
  assert.truthy(crun.allclose(got, t, 0, tolerance or 1e-5), "got " .. tostring(got) .. " want " .. tostring(t))
end

describe("normalize", function()
  it("is worked by hand", function()
    near({ { 0.6, 0.8 }, { 0, 0 } }, crun.tensor { { 3, 4 }, { 0, 0 } }:normalize())
    near({ { 3 / 7, -4 / 7 } }, crun.tensor { { 3, -4 } }:normalize { p = 1 })
    near({ { 0.6 }, { 0.8 } }, crun.tensor { { 3 }, { 4 } }:normalize { dim = 1 })
  end)

  it("has a gradient at right angles to the row", function()
    local x = crun.randn(crun.rng(1, "normalize"), 5, 100):requires_grad_()
    x:normalize():backward(crun.randn(crun.rng(2, "normalize"), 5, 100))
    near(crun.zeros(5), (x:grad() * x:detach()):sum(2), 1e-4)
  end)

  it("is fine where squares overflow or vanish", function()
    near({ { 0.6, 0.8 }, { 0.6, 0.8 } }, crun.tensor { { 3e25, 4e25 }, { 3e-6, 4e-6 } }:normalize())
  end)
end)

describe("batch_norm", function()
  it("is worked by hand", function()
    -- channel 1: 1 2 3, mean 2, variance 2/3; channel 2: all 5
    local x = crun.tensor { { 1, 5 }, { 2, 5 }, { 3, 5 } }
    local mean, var = crun.zeros(2), crun.ones(2)
    local s = 1 / math.sqrt(2 / 3)
    near({ { -s, 0 }, { 0, 0 }, { s, 0 } }, crun.batch_norm(x, nil, nil, mean, var, { eps = 0.0000001 }), 1e-3)
    near({ 0.2, 0.5 }, mean)
    near({ 0.9 + 0.1 * 1, 0.9 }, var)                             -- 2/3 * 3/2 = 1: the unbiased one
    near({ { 2 * 1 + 1, 0 } }, crun.batch_norm(crun.tensor { { 1.2, 0.5 } }, crun.tensor { 2, 1 }, crun.tensor { 1, 0 },
      mean, crun.ones(2), { training = false, eps = 0 }))
  end)

  it("has mean 0 and variance 1 in every channel, whatever the shape", function()
    for i, shape in ipairs { { 40, 3 }, { 9, 130 }, { 5, 3, 7 }, { 4, 2, 33, 17 } } do
      local x = crun.randn(crun.rng(3, "batch_norm", i), shape) * 3 + 100
      local y = crun.batch_norm(x):transpose(1, 2):flatten(2)
      near(crun.zeros(shape[2]), y:mean(2), 1e-4)
      near(crun.ones(shape[2]), y:var { dim = 2, correction = 0 }, 1e-3)
    end
  end)

  it("is not fooled by a large mean", function()
    local x = crun.randn(crun.rng(4, "batch_norm"), 16, 2, 8, 8)
    local want = crun.batch_norm(x + 1024)
    near(crun.batch_norm((x + 1024) - 1024), want, 2e-2)
    near(crun.ones(2), want:transpose(1, 2):flatten(2):var { dim = 2, correction = 0 }, 1e-3)
  end)

  it("refuses what it cannot do", function()
    fails("training needs 2 values or more of each channel, got x of shape [1, 3]", crun.batch_norm, crun.ones(1, 3))
    fails("running_mean and running_var are needed when training is false", crun.batch_norm, crun.ones(2, 3),
      { training = false })
    fails("weight must have shape [3], one for each channel of x, got 2", crun.batch_norm, crun.ones(4, 3), crun.ones(2))
    fails("x must have shape [B, C, ...], got [3]", crun.batch_norm, crun.ones(3))
  end)

  it("gives the same bits with any number of threads", function()
    local function run()
      local rng = crun.rng(5, "batch_norm")
      local x, w = crun.randn(rng, 8, 6, 40, 40):requires_grad_(), crun.randn(rng, 6):requires_grad_()
      crun.batch_norm(x, w):backward(crun.randn(rng, 8, 6, 40, 40))
      return { x:grad():totable(), w:grad():totable() }
    end
    local before = crun.threads()
    crun.threads(1)
    local one = run()
    crun.threads(3)
    local three = run()
    crun.threads(before)
    assert.same(one, three)
  end)
end)

describe("layer, group, instance and rms norm", function()
  local x = crun.randn(crun.rng(6, "norms"), 3, 4, 5)

  it("agree where they mean the same", function()
    near(crun.layer_norm(x, { normalized_shape = { 4, 5 } }), crun.group_norm(x, { groups = 1 }))
    near(crun.layer_norm(x), crun.instance_norm(x))
    near(crun.instance_norm(x), crun.group_norm(x, { groups = 4 }))
  end)

  it("rms_norm divides by the root mean square", function()
    near({ { 3 / math.sqrt(12.5), 4 / math.sqrt(12.5) } }, crun.rms_norm(crun.tensor { { 3, 4 } }))
    near({ { 6 / math.sqrt(12.5), 0 } }, crun.rms_norm(crun.tensor { { 3, 4 } }, crun.tensor { 2, 0 }))
  end)

  it("do not see a row's mean and size", function()
    near(crun.layer_norm(x), crun.layer_norm(x * 7 + 3), 1e-3)
  end)

  it("refuse what does not fit", function()
    fails("normalized_shape must be the last sizes of x of shape [3, 4, 5], got [3, 4]", crun.layer_norm, x,
      { normalized_shape = { 3, 4 } })
    fails("groups = 3 does not divide the 4 channels of x", crun.group_norm, x, { groups = 3 })
    fails("bias must have shape [4], one for each channel of x, got 5", crun.group_norm, x, nil, crun.ones(5), { groups = 2 })
  end)
end)

describe("dropout", function()
  local x = crun.ones(200, 50)

  it("drops about p and raises the rest", function()
    local y = x:dropout { p = 0.25, seed = 3 }
    local kept = y:ne(0):real():mean():item()
    assert.near(0.75, kept, 0.02)
    assert.near(1 / 0.75, y:amax():item(), 1e-6)
    assert.same(x:totable(), x:dropout { p = 0.9, training = false }:totable())
    assert.same(crun.zeros(200, 50):totable(), x:dropout { p = 1 }:totable())
  end)

  it("masks by row number, not by batch", function()
    local whole = x:dropout { seed = 9, stream = 2, place = { 5, 1 } }
    local part = x:narrow(1, 101, 20):dropout { seed = 9, stream = 2, place = { 5, 101 } }
    assert.same(whole:narrow(1, 101, 20):totable(), part:totable())
    assert.not_same(whole:totable(), x:dropout { seed = 9, stream = 2, place = { 6, 1 } }:totable())
    assert.not_same(whole:totable(), x:dropout { seed = 9, stream = 3, place = { 5, 1 } }:totable())
  end)

  it("uses the same mask backward", function()
    local a = crun.ones(20, 30):requires_grad_()
    local y = a:dropout { seed = 4 }
    y:backward(crun.ones(20, 30))
    assert.same(y:totable(), a:grad():totable())
  end)
end)

describe("interpolate", function()
  it("is worked by hand", function()
    local x = crun.tensor { { { { 1, 3 } } } }
    near({ { { { 1, 1.5, 2.5, 3 } } } }, x:interpolate({ 1, 4 }))
    near({ { { { 1, 5 / 3, 7 / 3, 3 } } } }, x:interpolate { size = { 1, 4 }, align_corners = true })
    near({ { { { 1, 1, 3, 3 } } } }, x:interpolate { size = { 1, 4 }, mode = "nearest" })
    fails("give either size or scale", x.interpolate, x)
  end)
end)

describe("comparing row with row", function()
  it("pairwise_distance and cosine_similarity", function()
    local x, y = crun.tensor { { 0, 0 }, { 3, 4 } }, crun.tensor { { 3, 4 }, { 3, 4 } }
    near({ 5, 0 }, x:pairwise_distance(y), 1e-5)
    near({ 7, 0 }, x:pairwise_distance(y, { p = 1 }), 1e-5)
    near({ 0, 1 }, x:cosine_similarity(y))
    near({ -1, 0 }, crun.tensor { { 1, 0 }, { 0, 1 } }:cosine_similarity(crun.tensor { -2, 0 }))
    fails("y must have shape [2, 2] as x, got [1, 2]", x.pairwise_distance, x, crun.ones(1, 2))
  end)
end)

describe("attention", function()
  it("looks at the key that fits, and only where it may", function()
    local q = crun.tensor { { 100, 0 }, { 0, 100 } }
    local k, v = crun.tensor { { 1, 0 }, { 0, 1 } }, crun.tensor { { 1, 2 }, { 3, 4 } }
    near({ { 1, 2 }, { 3, 4 } }, crun.scaled_dot_product_attention(q, k, v))
    near({ { 1, 2 }, { 3, 4 } }, crun.scaled_dot_product_attention(q, k, v, { causal = true }))
    near({ { 3, 4 }, { 0, 0 } }, crun.scaled_dot_product_attention(q, k, v, crun.byte { { 0, 1 }, { 0, 0 } }))
  end)
end)

describe("recurrent layers", function()
  local function weights(parts)
    local rng = crun.rng(8, "recurrent", parts)
    local H = 2
    return crun.randn(rng, parts * H, 3), crun.randn(rng, parts * H, H), crun.randn(rng, parts * H), crun.randn(rng, parts * H)
  end
  local x = crun.randn(crun.rng(7, "recurrent"), 6, 4, 3)

  it("are their cell, step by step", function()
    for _, kind in ipairs { "rnn", "gru" } do
      local w = { weights(kind == "rnn" and 1 or 3) }
      local out, hn = crun[kind](x, nil, table.unpack(w))
      local h
      for t = 1, 6 do
        h = crun[kind .. "_cell"](x:select(1, t), h, table.unpack(w))
        near(h, out:select(1, t))
      end
      near(h, hn)
    end
    local w = { weights(4) }
    local out, hn, cn = crun.lstm(x, nil, nil, table.unpack(w))
    local h, c
    for t = 1, 6 do
      h, c = crun.lstm_cell(x:select(1, t), h, c, table.unpack(w))
      near(h, out:select(1, t))
    end
    near(h, hn)
    near(c, cn)
  end)

  it("reverse is the same as a sequence turned round", function()
    local w = { weights(3) }
    local plain = crun.gru(x:flip(1), nil, table.unpack(w))
    local a, b, c, d = table.unpack(w)
    near(plain:flip(1), (crun.gru(x, nil, a, b, c, d, { reverse = true })))
  end)

  it("refuse weights of the wrong height", function()
    fails("w_ih must have 4 H = 8 rows with H = 2 as in w_hh, got 6", crun.lstm, x, nil, nil, weights(3))
  end)
end)
