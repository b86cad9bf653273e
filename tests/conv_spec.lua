local crun = require "crun"

local function close(want, got, tolerance)
  assert.same(want:shape(), got:shape())
  local ok = crun.allclose(got, want, tolerance or 1e-4, tolerance or 1e-4)
  if not ok then error("got " .. tostring(got) .. "\nwant " .. tostring(want), 2) end
end

local function randn(...) return crun.randn(crun.rng(1, "conv", select("#", ...)), ...) end

-- the definition, place by place
local function naive(x, weight, o)
  local B, C, H, W = table.unpack(x:shape())
  local O, I, K, L = table.unpack(weight:shape())
  local s, p, d, g = o.stride or 1, o.padding or 0, o.dilation or 1, o.groups or 1
  local P, Q = (H + 2*p - d*(K - 1) - 1) // s + 1, (W + 2*p - d*(L - 1) - 1) // s + 1
  local xs, ws, out = x:totable(), weight:totable(), {}
  for b = 1, B do
    out[b] = {}
    for f = 1, O do
      out[b][f] = {}
      local first = (f - 1) // (O // g) * I
      for i = 1, P do
        local row = {}
        for j = 1, Q do
          local sum = 0
          for c = 1, I do
            for k = 1, K do
              for l = 1, L do
                local line = xs[b][first + c][(i - 1)*s - p + (k - 1)*d + 1]
                sum = sum + ws[f][c][k][l] * (line and line[(j - 1)*s - p + (l - 1)*d + 1] or 0)
              end
            end
          end
          row[j] = sum
        end
        out[b][f][i] = row
      end
    end
  end
  assert(C == I * g)
  return crun.tensor(out)
end

describe("conv2d", function()
  it("is worked by hand", function()
    local x = crun.tensor{{{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}}}
    local weight = crun.tensor{{{{1, 0}, {0, -1}}}}
    assert.same({{{{-4, -4}, {-4, -4}}}}, x:conv2d(weight):totable())
    assert.same({{{{-3, -3}, {-3, -3}}}}, x:conv2d(weight, crun.tensor{1}):totable())
    local y = x:conv2d(weight, nil, { stride = 2, padding = 1 })
    assert.same({{{{-1, -3}, {-7, -4}}}}, y:totable())
  end)
  it("is its definition, past the borders of strips and runs too", function()
    for _, case in ipairs {
      { {2, 3, 8, 7}, {5, 3, 3, 3}, { padding = 1 } },
      { {1, 40, 9, 9}, {3, 40, 3, 3}, { padding = 1 } },             -- 360 rows: two runs
      { {1, 2, 23, 22}, {3, 2, 3, 2}, { padding = 1 } },   -- over 384 positions: two strips
      { {2, 6, 9, 9}, {4, 3, 3, 3}, { stride = 2, padding = 2, dilation = 2, groups = 2 } },
      { {2, 5, 6, 6}, {4, 5, 1, 1}, {} },
      { {2, 5, 7, 7}, {4, 5, 1, 1}, { stride = 2 } },
    } do
      local x, weight = randn(table.unpack(case[1])), crun.randn(crun.rng(2, "w"), case[2])
      close(naive(x, weight, case[3]), x:conv2d(weight, nil, case[3]), 1e-3)
    end
  end)
  it("has gradients that are its transposes: <conv(x, w), g> = <x, gx> = <w, gw>", function()
    for _, case in ipairs {
      { {20, 3, 8, 7}, {5, 3, 3, 3}, { padding = 1 } },
      { {3, 40, 21, 20}, {3, 40, 3, 3}, { padding = 1 } },
      { {18, 6, 9, 9}, {4, 3, 3, 3}, { stride = 2, padding = 2, dilation = 2, groups = 2 } },
      { {5, 5, 6, 6}, {4, 5, 1, 1}, {} },
    } do
      local x = randn(table.unpack(case[1])):requires_grad_(true)
      local weight = crun.randn(crun.rng(2, "w"), case[2]):requires_grad_(true)
      local bias = crun.zeros(case[2][1]):requires_grad_(true)
      local y = x:conv2d(weight, bias, case[3])
      local g = crun.randn(crun.rng(3, "g"), y:shape())
      local product = (y:detach() * g):sum():item()
      y:backward(g)
      local scale = 1e-4 * (y:numel())^0.5 * 10
      assert.near(product, (x:detach() * x:grad()):sum():item(), scale)
      assert.near(product, (weight:detach() * weight:grad()):sum():item(), scale)
      close(g:sum{ dim = {1, 3, 4} }, bias:grad(), 1e-3)
    end
  end)
  it("has the same bits on one thread and on two, and for an image alone", function()
    local threads = crun.threads()
    local x, weight = randn(19, 8, 20, 21), crun.randn(crun.rng(2, "w"), 12, 8, 3, 3)
    local function run(n)
      crun.threads(n)
      local a, b = x:clone():requires_grad_(true), weight:clone():requires_grad_(true)
      local y = a:conv2d(b, nil, { padding = 1 })
      y:backward(y:detach())
      return y:detach(), a:grad(), b:grad()
    end
    local y1, gx1, gw1 = run(1)
    local y2, gx2, gw2 = run(2)
    local alone = x:narrow(1, 5, 1):conv2d(weight, nil, { padding = 1 })
    crun.threads(threads)
    assert.equal(0, (y1 - y2):abs():amax():item())
    assert.equal(0, (gx1 - gx2):abs():amax():item())
    assert.equal(0, (gw1 - gw2):abs():amax():item())
    assert.equal(0, (y1:narrow(1, 5, 1) - alone):abs():amax():item())
  end)
  it("takes a batch of no images", function()
    local weight = crun.ones(2, 3, 3, 3):requires_grad_(true)
    local y = crun.zeros(0, 3, 5, 5):conv2d(weight)
    assert.same({0, 2, 3, 3}, y:shape())
    y:sum():backward()
    assert.equal(0, weight:grad():abs():sum():item())
  end)
  it("says what does not fit", function()
    assert.error_matches(function() randn(1, 4, 5, 5):conv2d(randn(2, 3, 3, 3)) end,
      "x has 4 channels and weight 2 filters of 3 channels, which does not make 1 group")
    assert.error_matches(function() randn(1, 4, 2, 5):conv2d(randn(2, 4, 3, 3)) end,
      "the window reaches over 3 elements of the height, but there are only 2 with padding")
    local x, weight = randn(1, 4, 5, 5), randn(2, 4, 3, 3)
    assert.has_error(function() x:conv2d(weight, nil, { stride = 0 }) end)
    assert.has_error(function() x:conv2d(weight, randn(3)) end)
    assert.error_matches(function() x:conv2d(weight, nil, { stride = {1, 2, 3} }) end,
      "stride takes 1 or 2 numbers, got 3")
  end)
end)

describe("conv1d", function()
  it("is conv2d on one row", function()
    local x, weight = randn(2, 4, 11), crun.randn(crun.rng(2, "w"), 6, 2, 3)
    local flat = { stride = {1, 2}, padding = {0, 1}, groups = 2 }
    close(x:unsqueeze(3):conv2d(weight:unsqueeze(3), nil, flat):squeeze(3),
          x:conv1d(weight, nil, { stride = 2, padding = 1, groups = 2 }))
  end)
end)

describe("conv_transpose2d", function()
  it("is the gradient of conv2d for its input", function()
    local o = { stride = 2, padding = 1, groups = 2 }
    local x = crun.zeros(2, 4, 8, 7):requires_grad_(true)
    local weight = crun.randn(crun.rng(2, "w"), 6, 2, 3, 3)
    local y = x:conv2d(weight, nil, o)
    local g = crun.randn(crun.rng(3, "g"), y:shape())
    y:backward(g)
    o.output_padding = {1, 0}
    close(x:grad(), g:conv_transpose2d(weight, nil, o))
  end)
  it("says what does not fit", function()
    local x, weight = randn(1, 4, 5, 5), randn(4, 2, 3, 3)
    assert.error_matches(function() x:conv_transpose2d(weight, nil, { output_padding = 1 }) end,
      "output_padding must be below stride, got 1 and 1")
    assert.error_matches(function() x:conv_transpose2d(weight, randn(3)) end,
      "bias must have shape %[2%]")
  end)
end)

describe("unfold", function()
  it("times the weights is conv2d", function()
    local x, weight = randn(2, 3, 6, 7), crun.randn(crun.rng(2, "w"), 5, 3, 3, 2)
    local columns = x:unfold{ kernel = {3, 2}, padding = 1, stride = {2, 1} }
    local y = x:conv2d(weight, nil, { padding = 1, stride = {2, 1} })
    close(y, weight:reshape(5, 18):matmul(columns):reshape(y:shape()))
  end)
end)

describe("max_pool2d", function()
  it("is worked by hand", function()
    local x = crun.tensor{{{{1, 2, 5}, {4, 3, 6}, {9, 8, 7}}}}:requires_grad_(true)
    local y, index = x:max_pool2d{ kernel = 2, stride = 1, return_indices = true }
    assert.same({{{{4, 6}, {9, 8}}}}, y:totable())
    assert.same({{{{4, 6}, {7, 8}}}}, index:totable())
    y:sum():backward()
    assert.same({{{{0, 0, 0}, {1, 0, 1}, {1, 1, 0}}}}, x:grad():totable())
  end)
  it("goes the same way for 2 x 2 windows as for others", function()
    for _, size in ipairs { {6, 8}, {7, 9}, {33, 35} } do
      local x = randn(3, 2, size[1], size[2])
      local function both(options)
        local a = x:clone():requires_grad_(true)
        local y = a:max_pool2d(options)
        y:backward(crun.arange(1, y:numel()):real():reshape(y:shape()))
        return y, a:grad()
      end
      local y, g = both{ kernel = 2 }
      local function corner(i, j)
        return x:slice({1, 1, i, j}, {-1, -1, 2*y:size(3), 2*y:size(4)}, {1, 1, 2, 2})
      end
      local parts = crun.stack({ corner(1, 1), corner(1, 2), corner(2, 1), corner(2, 2) }, 1)
      assert.equal(0, (y:detach() - parts:amax{ dim = 1 }):abs():amax():item())
      assert.near(y:numel() * (y:numel() + 1) / 2, g:sum():item(), 1)
      assert.equal(y:numel(), g:ne(0):real():sum():item())
    end
  end)
  it("sends the gradient to the first of equals, and lets NaN through", function()
    local x = crun.zeros(1, 1, 2, 2):requires_grad_(true)
    x:max_pool2d{ kernel = 2 }:sum():backward()
    assert.same({{{{1, 0}, {0, 0}}}}, x:grad():totable())
    for place = 1, 4 do
      local n = crun.arange(1, 4):real()
      n[place] = 0 / 0
      local y = n:reshape(1, 1, 2, 2):max_pool2d{ kernel = 2 }:item()
      local z = n:reshape(1, 1, 2, 2):max_pool2d{ kernel = 2, stride = 1 }:item()
      assert.is_true(y ~= y and z ~= z)
    end
  end)
  it("keeps an incomplete window with ceil_mode, and only if it begins inside", function()
    local x = crun.arange(1, 5):real():reshape(1, 1, 1, 5)
    assert.same({{{{2, 4}}}}, x:max_pool2d{ kernel = {1, 2} }:totable())
    assert.same({{{{2, 4, 5}}}}, x:max_pool2d{ kernel = {1, 2}, ceil_mode = true }:totable())
    local y = x:max_pool2d{ kernel = {1, 2}, stride = {1, 3}, ceil_mode = true }
    assert.same({{{{2, 5}}}}, y:totable())
  end)
  it("refuses padding of more than half of the kernel", function()
    assert.error_matches(function() randn(1, 1, 4, 4):max_pool2d{ kernel = 2, padding = 2 } end,
      "padding must be at most half of the kernel of 2, got 2")
  end)
end)

describe("average pooling", function()
  it("counts the padding, or not", function()
    local x = crun.ones(1, 1, 2, 2) * 4
    assert.same({{{{1, 1}, {1, 1}}}}, x:avg_pool2d{ kernel = 2, padding = 1 }:totable())
    local y = x:avg_pool2d{ kernel = 2, padding = 1, count_include_pad = false }
    assert.same({{{{4, 4}, {4, 4}}}}, y:totable())
  end)
  it("is the same in one dimension", function()
    local x = crun.tensor{{{1, 2, 3, 4, 5}}}
    assert.same({{{1.5, 3.5}}}, x:avg_pool1d{ kernel = 2 }:totable())
    assert.same({{{2, 4, 5}}}, x:max_pool1d{ kernel = 2, ceil_mode = true }:totable())
  end)
  it("adapts to any number of parts", function()
    local x = crun.arange(1, 9):real():reshape(1, 1, 3, 3)
    assert.same({{{{5}}}}, x:adaptive_avg_pool2d(1):totable())
    assert.same({{{{3, 4}, {6, 7}}}}, x:adaptive_avg_pool2d(2):totable())
    assert.same({{{{5, 6}, {8, 9}}}}, x:adaptive_max_pool2d(2):totable())
    local plane = crun.arange(0, 35):real():reshape(1, 1, 6, 6)
    assert.equal(35 / 2, plane:adaptive_avg_pool2d(1):item())
  end)
end)
