local crun = require "crun"
local nn = crun.nn

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), ("expected %q in %q"):format(text, tostring(message)))
end

describe("nn.GRU, nn.LSTM, nn.RNN", function()
  local T, B, D, H = 6, 4, 3, 5
  local lengths = { 6, 3, 1, 0 }
  local x = crun.randn(crun.rng(7, "recurrent"), T, B, D)

  local function each(f)
    for _, name in ipairs { "GRU", "LSTM", "RNN" } do
      for _, both in ipairs { false, true } do
        nn.seed(3)
        f(nn[name](D, H, { layers = 2, bidirectional = both }), both and 2 or 1, name)
      end
    end
  end

  it("have the shapes they say", function()
    each(function(layer, ways, name)
      local out, hn, cn = layer(x)
      assert.same({ T, B, ways * H }, out:shape())
      assert.same({ 2 * ways, B, H }, hn:shape())
      assert.equal(name == "LSTM", cn ~= nil)
    end)
  end)

  it("take a padded row as the row alone", function()
    each(function(layer, ways)
      local out, hn, cn = layer(x, { lengths = crun.int(lengths) })
      for b, n in ipairs(lengths) do
        if n > 0 then
          local own, own_hn, own_cn = layer(x:narrow(2, b, 1):narrow(1, 1, n):contiguous())
          assert.is_true(crun.allclose(own:select(2, 1), out:select(2, b):narrow(1, 1, n), 1e-5, 1e-6))
          assert.is_true(crun.allclose(own_hn:select(2, 1), hn:select(2, b), 1e-5, 1e-6))
          if cn then assert.is_true(crun.allclose(own_cn:select(2, 1), cn:select(2, b), 1e-5, 1e-6)) end
        end
        if n < T then
          local padding = out:select(2, b):narrow(1, n + 1, T - n)
          assert.same(crun.zeros(T - n, ways * H):totable(), padding:totable())
        end
      end
    end)
  end)

  it("give padding no gradient, and do not read it", function()
    each(function(layer)
      local function gradient(noise)
        local input = x:clone()
        for b, n in ipairs(lengths) do
          if n < T then input:select(2, b):narrow(1, n + 1, T - n):fill_(noise) end
        end
        input:requires_grad_()
        layer:zero_grad()
        local out, hn = layer(input, { lengths = crun.int(lengths) })
        local loss = (out * out):sum() + hn:sum()
        loss:backward()
        return input:grad(), layer.weight_hh_l0:grad():clone()
      end
      local a, wa = gradient(0)
      local b, wb = gradient(100)
      assert.same(a:totable(), b:totable())
      assert.same(wa:totable(), wb:totable())
      for r, n in ipairs(lengths) do
        if n < T then
          assert.equal(0, a:select(2, r):narrow(1, n + 1, T - n):abs():sum():item())
        end
      end
    end)
  end)

  it("go batch first when asked", function()
    nn.seed(5)
    local a = nn.GRU(D, H)
    nn.seed(5)
    local b = nn.GRU(D, H, { batch_first = true })
    assert.is_true(crun.allclose(a(x), b(x:transpose(1, 2)):transpose(1, 2), 0, 0))
  end)

  it("refuse what does not fit", function()
    local gru = nn.GRU(D, H)
    fails("nn.GRU(3 -> 5): takes [T, B, 3], got [6, 4, 2]", gru, crun.zeros(6, 4, 2))
    fails("h0 must be [1, 4, 5], got [4, 5]", gru, x, { h0 = crun.zeros(4, 5) })
    fails("lengths must be in 0 .. T = 6, row 2 has 7", gru, x, { lengths = crun.int { 1, 7, 1, 1 } })
    fails("unknown option 'c0'", gru, x, { c0 = crun.zeros(1, 4, 5) })
  end)

  it("are printed with their size", function()
    assert.truthy(tostring(nn.LSTM(2, 3, { layers = 2, bidirectional = true })):find("LSTM(2 -> 3, 2 layers, both directions)", 1, true))
  end)
end)

describe("the smaller layers", function()
  it("CELU, 1-d pools, instance and RMS norm", function()
    assert.is_true(crun.allclose(crun.tensor { 1, 2 * (math.exp(-0.5) - 1) },
      nn.CELU { alpha = 2 } (crun.tensor { 1, -1 }), 1e-5, 1e-6))
    local x = crun.tensor {{{ 1, 3, 2, 5 }}}
    assert.same({{{ 3, 5 }}}, nn.MaxPool1d(2)(x):totable())
    assert.same({{{ 2, 3.5 }}}, nn.AvgPool1d(2)(x):totable())
    assert.same({ 1, 1, 3 }, nn.MaxPool1d(2, { stride = 1 })(x):shape())
    local y = nn.InstanceNorm1d(1)(x)
    assert.near(0, y:mean():item(), 1e-6)
    assert.equal(0, nn.InstanceNorm2d(3):count())
    assert.equal(6, nn.InstanceNorm2d(3, { affine = true }):count())
    assert.is_true(crun.allclose(crun.rms_norm(crun.tensor {{3, 4}}), nn.RMSNorm(2)(crun.tensor {{3, 4}}), 1e-5, 1e-5))
    fails("nn.InstanceNorm1d(2): got [1, 1, 4]; it takes [B, 2, T]", nn.InstanceNorm1d(2), x)
  end)
end)
