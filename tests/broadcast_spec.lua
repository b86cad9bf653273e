local crun = require "crun"

local function rng(name) return crun.rng(1, name) end

-- x op y by a loop over numbers, for tensors of 2 dimensions and shapes that broadcast
local function by_loop(f, x, y, rows, columns)
  local out = crun.zeros(rows, columns)
  local function at(t, i, j) return t[math.min(i, t:size(1))][math.min(j, t:size(2))] end
  for i = 1, rows do
    for j = 1, columns do out[i][j] = f(at(x, i, j), at(y, i, j)) end
  end
  return out
end

local function same(want, got)
  assert.same(want:shape(), got:shape())
  if not crun.allclose(got, want, 1e-5, 1e-5) then
    error("got " .. tostring(got) .. "\nwant " .. tostring(want), 2)
  end
end

describe("broadcasting", function()
  it("repeats sizes of 1, forward", function()
    local shapes = { { 5, 7, 5, 7 }, { 5, 7, 1, 7 }, { 5, 1, 5, 7 }, { 5, 1, 1, 7 }, { 1, 1, 5, 7 }, { 5, 7, 1, 1 } }
    for _, s in ipairs(shapes) do
      local x, y = crun.randn(rng "x", s[1], s[2]), crun.rand(rng "y", s[3], s[4]) + 1
      same(by_loop(function(a, b) return a + b end, x, y, 5, 7), x + y)
      same(by_loop(function(a, b) return a / b end, x, y, 5, 7), x / y)
      same(by_loop(math.max, x, y, 5, 7), x:maximum(y))
    end
  end)

  it("adds up the gradient over what was repeated", function()
    local x = crun.tensor{{1, 2}, {3, 4}}:requires_grad_(true)
    local row = crun.tensor{10, 20}:requires_grad_(true)
    local one = crun.scalar(3):requires_grad_(true)
    local out = x * row * one
    out:sum():backward()
    same(crun.tensor{{30, 60}, {30, 60}}, x:grad())
    same(crun.tensor{12, 18}, row:grad())
    assert.near(10 * 4 + 20 * 6, one:grad():item(), 1e-3)
  end)

  it("needs no copy of an operand that is transposed or expanded", function()
    local x, y = crun.randn(rng "x", 300, 40), crun.randn(rng "y", 40, 300)
    same(x + y:t():contiguous(), x + y:t())
    local row = crun.randn(rng "row", 40)
    same(x * row, x * row:expand(300, 40))
  end)

  it("crosses the borders of pieces and of the pool's grains", function()
    for _, columns in ipairs { 1, 3, 255, 256, 257, 1000 } do
      local rows = 70000 // columns + 1
      local x, row = crun.randn(rng "x", rows, columns), crun.randn(rng "row", columns)
      local column = crun.randn(rng "column", rows, 1)
      local out = x + row * column
      for _, i in ipairs { 1, rows // 2 + 1, rows } do
        for _, j in ipairs { 1, columns // 2 + 1, columns } do
          assert.near(x[i][j] + row[j] * column[i][1], out[i][j], 1e-5)
        end
      end
    end
  end)

  it("handles eight dimensions and sizes of 0", function()
    local x = crun.randn(rng "x", 2, 1, 2, 1, 2, 1, 2, 1)
    local y = crun.randn(rng "y", 1, 2, 1, 2, 1, 2, 1, 2)
    local out = x * y
    assert.same({ 2, 2, 2, 2, 2, 2, 2, 2 }, out:shape())
    assert.near(x:sum():item() * y:sum():item(), out:sum():item(), 1e-3)
    assert.same({ 0, 3 }, (crun.zeros(0, 1) + crun.zeros(3)):shape())
    local leaf = crun.ones(1, 3):requires_grad_(true)
    ;(leaf * crun.zeros(0, 3)):sum():backward()
    same(crun.zeros(1, 3), leaf:grad())
  end)

  it("keeps int64 exact", function()
    local big = (1 << 53) + 1
    assert.same({ big + 1 }, (crun.int{big} + crun.int{1}):totable())
    assert.same({ 0 }, crun.int{big}:eq(crun.int{big - 1}):totable())
    assert.same({ 1 }, crun.int{big}:gt(crun.int{big - 1}):totable())
    assert.equal("int64", (crun.int{2} * crun.int{3}):dtype())
    assert.equal(crun.precision, (crun.int{1} / crun.int{2}):dtype())
    assert.equal("int64", crun.where(crun.byte{1}, crun.int{big}, crun.int{0}):dtype())
    assert.same({ big }, crun.where(crun.byte{1}, crun.int{big}, crun.int{0}):totable())
  end)

  it("compares to uint8, with nan equal to nothing", function()
    local x, nan = crun.tensor{ 1, 2, 0/0 }, crun.tensor{ 0/0 }
    assert.equal("uint8", x:lt(2):dtype())
    assert.same({ 1, 0, 0 }, x:lt(2):totable())
    assert.same({ 0, 0, 0 }, x:eq(nan):totable())
    assert.same({ 1, 1, 1 }, x:ne(nan):totable())
    assert.same({ 1, 0, 0 }, crun.byte{1, 1, 0}:logical_and(crun.byte{1, 0, 0}):totable())
    assert.same({ 1, 1, 0 }, crun.byte{1, 1, 0}:logical_or(crun.byte{1, 0, 0}):totable())
    assert.same({ 0, 1 }, crun.byte{2, 0}:logical_not():totable())
  end)

  it("lets a nan that is not chosen reach nothing", function()
    local x = crun.tensor{ 0/0, 2 }:requires_grad_(true)
    local y = x:masked_fill(crun.byte{1, 0}, 7)
    assert.same({ 7, 2 }, y:totable())
    crun.where(crun.byte{0, 1}, x, 5):sum():backward()
    assert.same({ 0, 1 }, x:grad():totable())
  end)

  it("shares the gradient of a tie", function()
    local x = crun.tensor{ 1, 2 }:requires_grad_(true)
    x:maximum(crun.tensor{ 1, 5 }):sum():backward()
    assert.same({ 0.5, 0 }, x:grad():totable())
  end)

  it("raises to powers", function()
    local x = crun.tensor{ 0, 2, 3 }:requires_grad_(true)
    local y = x ^ 2
    assert.same({ 0, 4, 9 }, y:totable())
    y:sum():backward()
    assert.same({ 0, 4, 6 }, x:grad():totable())
    assert.near(8, (crun.tensor{2} ^ crun.tensor{3}):item(), 1e-5)
    assert.equal(1, (crun.tensor{0} ^ 0):item())
  end)

  it("refuses shapes that do not fit", function()
    assert.error_matches(function() return crun.zeros(2, 3) + crun.zeros(4) end,
      "y of shape %[4%] does not broadcast with %[2, 3%]")
    assert.error_matches(function() return crun.zeros(3):masked_fill(crun.zeros(2, 3):byte(), 1) end,
      "mask of shape %[2, 3%] does not broadcast to x of shape %[3%]")
    assert.error_matches(function() return crun.int{1}:masked_fill(crun.byte{1}, 1/0) end, "does not fit a tensor of int64")
  end)
end)
