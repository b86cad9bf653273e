local crun = require "crun"

local function close(want, got, tolerance)
  assert.same(want:shape(), got:shape())
  local ok = crun.allclose(got, want, tolerance or 1e-4, tolerance or 1e-4)
  if not ok then error("got " .. tostring(got) .. "\nwant " .. tostring(want), 2) end
end

local function randn(...) return crun.randn(crun.rng(1, "algebra", select("#", ...)), ...) end

local function naive(x, y)
  local out = crun.zeros(x:size(1), y:size(2))
  for i = 1, x:size(1) do
    for j = 1, y:size(2) do
      local sum = 0
      for k = 1, x:size(2) do sum = sum + x[i][k] * y[k][j] end
      out[i][j] = sum
    end
  end
  return out
end

-- gradients of sum(out * upstream) for both inputs, at leaves that f makes the operands from
local function gradients(f, a, b)
  a, b = a:clone():requires_grad_(true), b:clone():requires_grad_(true)
  local out = f(a, b)
  out:backward(crun.randn(crun.rng(2, "upstream"), out:shape()))
  return out, a:grad(), b:grad()
end

local function agree(f, g, a, b)
  local out, ga, gb = gradients(f, a, b)
  local want, wa, wb = gradients(g, a, b)
  close(want, out)
  close(wa, ga)
  close(wb, gb)
end

describe("matmul", function()
  it("is worked by hand", function()
    local x, y = crun.tensor{{1, 2, 3}, {4, 5, 6}}, crun.tensor{{1, 0}, {0, 1}, {1, 1}}
    assert.same({{4, 5}, {10, 11}}, x:matmul(y):totable())
    assert.same({{14, 32}, {32, 77}}, x:matmul(x, { transpose_y = true }):totable())
    assert.same(5 * 5 + 1, crun.tensor{5, 1}:matmul(crun.tensor{5, 1}):item())
  end)
  it("is the sum of products at any size", function()
    for _, s in ipairs { {1, 1, 1}, {3, 5, 7}, {17, 300, 9}, {49, 8, 65}, {2, 600, 1} } do
      local x, y = randn(s[1], s[2]), randn(s[2], s[3])
      close(naive(x, y), x:matmul(y))
    end
  end)
  it("reads transposed views as they lie", function()
    agree(function(a, b) return a:t():matmul(b:t()) end,
          function(a, b) return a:t():contiguous():matmul(b:t():contiguous()) end,
          randn(5, 3), randn(4, 5))
    agree(function(a, b) return a:transpose(2, 3):matmul(b) end,
          function(a, b) return a:matmul(b, { transpose_x = true }) end,
          randn(2, 5, 3), randn(2, 5, 4))
  end)
  it("copies views with gaps both ways", function()
    local function gaps(a) return a:slice({1, 2}, {-1, -1}, {2, 2}) end
    agree(function(a, b) return gaps(a):matmul(gaps(b)) end,
          function(a, b) return gaps(a):contiguous():matmul(gaps(b):contiguous()) end,
          randn(6, 8), randn(7, 9))
  end)
  it("broadcasts the leading dimensions and sums their gradients", function()
    local function stacked(a, b)       -- a [2 1 3 4], b [3 4 2], spelled out
      local rows = {}
      for i = 1, 2 do
        local row = {}
        for j = 1, 3 do row[j] = a[i][1]:matmul(b[j]) end
        rows[i] = crun.stack(row, 1)
      end
      return crun.stack(rows, 1)
    end
    agree(function(a, b) return a:matmul(b) end, stacked, randn(2, 1, 3, 4), randn(3, 4, 2))
  end)
  it("takes a vector as a row before and as a column behind", function()
    assert.same({3, 5}, randn(4):matmul(randn(3, 4, 5)):shape())
    assert.same({3, 4}, randn(3, 4, 5):matmul(randn(5)):shape())
    assert.same({}, randn(5):matmul(randn(5)):shape())
  end)
  it("of nothing is zero", function()
    assert.same({{0, 0}, {0, 0}}, crun.zeros(2, 0):matmul(crun.zeros(0, 2)):totable())
    assert.same({0, 3, 2}, crun.zeros(0, 3, 4):matmul(randn(4, 2)):shape())
    local x, y = crun.zeros(0, 3, 4), randn(4, 2):requires_grad_(true)
    x:matmul(y):sum():backward()
    assert.equal(0, y:grad():abs():sum():item())
  end)
  it("has the same bits on one thread and on two, alone and in a batch", function()
    local threads = crun.threads()
    local x, y = randn(300, 257), randn(257, 200)
    crun.threads(1)
    local one = x:matmul(y)
    crun.threads(2)
    local two, row = x:matmul(y), x:narrow(1, 7, 1):matmul(y)
    crun.threads(threads)
    assert.equal(0, (one - two):abs():amax():item())
    assert.equal(0, (one:narrow(1, 7, 1) - row):abs():amax():item())
    local gram = x:matmul(x:t())
    assert.equal(0, (gram - gram:t()):abs():amax():item())
  end)
  it("says what does not fit", function()
    assert.error_matches(function() randn(2, 3):matmul(randn(4, 5)) end,
      "x of shape %[2, 3%] has rows of 3, but y of shape %[4, 5%] has columns of 4")
    assert.error_matches(function() randn(2, 3, 4):matmul(randn(3, 4, 5)) end,
      "leading dimensions of shapes %[2, 3, 4%] and %[3, 4, 5%] do not fit")
    assert.error_matches(function() randn(3):matmul(randn(3), { transpose_x = true }) end,
      "transpose_x needs 2 dimensions or more, got 1")
    assert.error_matches(function() crun.scalar(1):matmul(randn(3)) end, "need 1 dimension or more")
  end)
end)

describe("linear", function()
  it("is x weight^T + bias over any leading dimensions", function()
    local weight, bias = randn(3, 4), randn(3)
    agree(function(x, w) return x:linear(w, bias) end,
          function(x, w) return x:matmul(w:t()) + bias end, randn(2, 5, 4), weight)
    close(randn(4):reshape(1, 4):matmul(weight:t()):reshape(3), randn(4):linear(weight))
  end)
  it("sums the gradient of the bias over all rows", function()
    local bias = crun.zeros(70):requires_grad_(true)
    crun.ones(3, 500, 4):linear(crun.ones(70, 4), bias):sum():backward()
    assert.equal(1500 * 70, bias:grad():sum():item())
  end)
  it("says what does not fit", function()
    assert.has_error(function() randn(2, 3):linear(randn(5, 4)) end)
    assert.has_error(function() randn(2, 4):linear(randn(5, 4), randn(4)) end)
  end)
end)

describe("outer", function()
  it("is every product", function()
    local x, y = crun.tensor{1, 2, 3}, crun.tensor{3, 4}
    assert.same({{3, 4}, {6, 8}, {9, 12}}, x:outer(y):totable())
    agree(function(a, b) return a:outer(b) end,
          function(a, b) return a:reshape(5, 1):matmul(b:reshape(1, 6)) end,
          randn(5), crun.arange(1, 6):real())
  end)
end)

describe("eigh", function()
  it("gives the largest eigenvalue first and eigenvectors as rows", function()
    local values, vectors = crun.eigh(crun.tensor{{2, 1, 0}, {1, 2, 0}, {0, 0, 5}})
    close(crun.tensor{5, 3, 1}, values)
    close(crun.tensor{{0, 0, 1}, {0.5^0.5, 0.5^0.5, 0}}, vectors:narrow(1, 1, 2))
  end)
  it("takes the matrix apart and puts it together again", function()
    local a = randn(40, 40)
    a = a + a:t()
    local values, vectors = crun.eigh(a)
    close(a, vectors:t():matmul(vectors * values:reshape(40, 1)), 1e-3)
    close(crun.eye(40), vectors:matmul(vectors:t()), 1e-4)
    for i = 2, 40 do assert.is_true(values[i] <= values[i - 1]) end
    for i = 1, 40 do assert.is_true(vectors[i]:amax():item() >= vectors[i]:neg():amax():item()) end
  end)
  it("reads both halves of a matrix that is nearly symmetric", function()
    close(crun.eigh(crun.tensor{{1, 1}, {1, 1}}), (crun.eigh(crun.tensor{{1, 2}, {0, 1}})))
  end)
  it("says NaN where it cannot say more, and takes an empty matrix", function()
    local values = crun.eigh(crun.tensor{{1, 0 / 0}, {0, 1}})
    assert.is_true(values[1] ~= values[1])
    assert.same({0}, crun.eigh(crun.zeros(0, 0)):shape())
    assert.error_matches(function() crun.eigh(crun.zeros(2, 3)) end, "x must")
  end)
end)

describe("inverse", function()
  it("is worked by hand", function()
    close(crun.tensor{{1, -2}, {0, 1}}, crun.tensor{{1, 2}, {0, 1}}:inverse())
  end)
  it("undoes a product, matrix by matrix", function()
    local a = randn(3, 20, 20) + crun.eye(20) * 10
    close(crun.eye(20):unsqueeze(1):expand(3, 20, 20), a:matmul(a:inverse()), 1e-4)
  end)
  it("of a singular matrix is NaN", function()
    local y = crun.tensor{{1, 2}, {2, 4}}:inverse()
    assert.is_true(y[1][1] ~= y[1][1])
  end)
end)
