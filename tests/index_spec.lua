local crun = require "crun"

local function fails(text, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), ("expected %q in %q"):format(text, tostring(message)))
end

local nan = 0 / 0

describe("picking by number", function()
  local x = crun.tensor { { 1, 2, 3 }, { 4, 5, 6 } }

  it("index_select takes places in the order they are named", function()
    assert.same({ { 4, 5, 6 }, { 1, 2, 3 }, { 4, 5, 6 } }, x:index_select(crun.int { 2, 1, 2 }, 1):totable())
    assert.same({ { 3, 1 }, { 6, 4 } }, x:index_select(crun.int { 3, 1 }, 2):totable())
    assert.same({ 0, 3 }, x:index_select(crun.zeros(0):int(), 1):shape())
    fails("index 9 is out of range 1..2", x.index_select, x, crun.int { 1, 9 }, 1)
    fails("index 0 is out of range 1..2", x.index_select, x, crun.int { 0 }, 1)
  end)

  it("embedding takes rows, never trains the padding row", function()
    local w = crun.tensor { { 1, 2 }, { 3, 4 }, { 5, 6 } }:requires_grad_()
    local y = w:embedding(crun.int { { 3, 1 }, { 3, 2 } }, { padding = 2 })
    assert.same({ { { 5, 6 }, { 1, 2 } }, { { 5, 6 }, { 3, 4 } } }, y:totable())
    y:sum():backward()
    assert.same({ { 1, 1 }, { 0, 0 }, { 2, 2 } }, w:grad():totable())
    fails("index 4 is out of range 1..3", crun.embedding, w, crun.int { 4 })
    fails("padding = 4 is out of range 1..3", crun.embedding, w, crun.int { 1 }, { padding = 4 })
  end)

  it("gather takes one element for each element of index", function()
    assert.same({ { 3, 1 }, { 4, 4 } }, x:gather(crun.int { { 3, 1 }, { 1, 1 } }, 2):totable())
    assert.same({ { 4, 2, 6 } }, x:gather(crun.int { { 2, 1, 2 } }, 1):totable())
    fails("index 4 is out of range 1..3", x.gather, x, crun.int { { 4 }, { 1 } }, 2)
    fails("index of shape [3, 1] does not fit into x of shape [2, 3]", x.gather, x, crun.int { { 1 }, { 1 }, { 1 } }, 2)
  end)

  it("scatter writes, the last one stays and has the gradient", function()
    local src = crun.tensor { { 7, 8 }, { 9, 10 } }:requires_grad_()
    local y = x:clone():scatter(crun.int { { 1, 1 }, { 3, 2 } }, src, 2)
    assert.same({ { 8, 2, 3 }, { 4, 10, 9 } }, y:totable())
    y:backward(crun.tensor { { 1, 2, 3 }, { 4, 5, 6 } })
    assert.same({ { 0, 1 }, { 6, 5 } }, src:grad():totable())
    assert.same({ { 0, 2, 3 }, { 4, 5, 0 } }, crun.scatter(x, crun.int { { 1 }, { 3 } }, nil, { dim = 2, value = 0 }):totable())
    fails("give either src or value", crun.scatter, x, crun.int { { 1 }, { 3 } })
    fails("src must have shape [2, 1] as index, got [1]", crun.scatter, x, crun.int { { 1 }, { 3 } }, crun.zeros(1), 2)
  end)

  it("scatter_add and index_add collect", function()
    local zero = crun.zeros(1, 3)
    assert.same({ { 3, 0, 4 } }, zero:scatter_add(crun.int { { 1, 3, 1 } }, crun.tensor { { 1, 4, 2 } }, 2):totable())
    assert.same({ { 11, 22, 33 }, { 4, 5, 6 } },
      x:index_add(crun.int { 1, 1 }, crun.tensor { { 4, 8, 12 }, { 6, 12, 18 } }, 1):totable())
    fails("src must have shape [2, 3], got [2, 2]", x.index_add, x, crun.int { 1, 1 }, crun.ones(2, 2), 1)
  end)

  it("index_pairs takes single elements of a matrix", function()
    local m = x:clone():requires_grad_()
    local y = m:index_pairs(crun.int { 1, 2, 1 }, crun.int { 3, 1, 3 })
    assert.same({ 3, 4, 3 }, y:totable())
    y:sum():backward()
    assert.same({ { 0, 0, 2 }, { 1, 0, 0 } }, m:grad():totable())
    fails("column 4 is out of range 1..3", crun.index_pairs, x, crun.int { 1 }, crun.int { 4 })
    fails("column must have shape [P] with P = 2 as in row, got 1", crun.index_pairs, x, crun.int { 1, 2 }, crun.int { 1 })
  end)

  it("masked_select and nonzero find where", function()
    local mask = crun.byte { { 0, 1, 0 }, { 1, 0, 1 } }
    assert.same({ 2, 4, 6 }, x:masked_select(mask):totable())
    assert.same({ { 1, 2 }, { 2, 1 }, { 2, 3 } }, mask:nonzero():totable())
    assert.same({ 0, 2 }, crun.zeros(2, 2):nonzero():shape())
    fails("mask must have shape [2, 3] as x, got [3]", x.masked_select, x, crun.byte { 1, 0, 1 })
  end)

  it("one_hot and bincount count classes from 1", function()
    assert.same({ { 0, 1, 0 }, { 1, 0, 0 } }, crun.int { 2, 1 }:one_hot(3):totable())
    assert.same({ 1, 2, 0, 1 }, crun.int { 1, 2, 2, 4 }:bincount():totable())
    assert.same({ 0, 1, 0 }, crun.int { 2 }:bincount(3):totable())
    fails("class 4 is out of range 1..3", crun.one_hot, crun.int { 4 }, 3)
    fails("numbers must be 1 or more, got 0", crun.bincount, crun.int { 0 })
  end)

  it("sums a gradient that many share without losing count", function()
    -- 2^25 ones: a float sum would stop at 2^24
    local w = crun.zeros(1, 1):requires_grad_()
    w:expand(1 << 25, 1):sum():backward()
    assert.equal(2.0 ^ 25, w:grad():totable()[1][1])
  end)
end)

describe("order", function()
  it("sort is stable, NaN last either way", function()
    local v, i = crun.tensor { 2, nan, 1, 2, -1 }:sort()
    assert.same({ -1, 1, 2, 2 }, v:narrow(1, 1, 4):totable())
    assert.same({ 5, 3, 1, 4, 2 }, i:totable())
    v, i = crun.tensor { 2, nan, 1, 2, -1 }:sort(1, true)
    assert.same({ 2, 2, 1, -1 }, v:narrow(1, 1, 4):totable())
    assert.same({ 1, 4, 3, 5, 2 }, i:totable())
    assert.same({ 1, 2, 3 }, (select(2, crun.tensor { 0.0, -0.0, 0.0 }:sort())):totable())
  end)

  it("sorts whole numbers of any size, and along any dimension", function()
    assert.same({ math.mininteger, -1, 0, 5, math.maxinteger },
      (crun.int { 5, math.maxinteger, -1, math.mininteger, 0 }:sort()):totable())
    local v, i = crun.tensor { { 3, 1 }, { 2, 5 }, { 9, 0 } }:sort(1)
    assert.same({ { 2, 0 }, { 3, 1 }, { 9, 5 } }, v:totable())
    assert.same({ { 2, 3 }, { 1, 1 }, { 3, 2 } }, i:totable())
  end)

  it("agrees with table.sort on long rows", function()
    local x = crun.randn(crun.rng(3, "sort"), 5000)
    local want = x:totable()
    table.sort(want)
    local got, index = x:sort()
    assert.same(want, got:totable())
    assert.same(want, x:gather(index, 1):totable())
    assert.same(index:totable(), x:argsort():totable())
  end)

  it("topk is the head of sort, whatever k", function()
    local x = (crun.randint(crun.rng(4, "topk"), 50, 3, 400)):real()      -- many ties
    for _, k in ipairs { 0, 1, 2, 7, 49, 51, 399, 400 } do
      for _, largest in ipairs { true, false } do
        local v, i = x:topk { k = k, largest = largest }
        local sv, si = x:sort { descending = largest }
        assert.same(sv:narrow(2, 1, k):totable(), v:totable())
        assert.same(si:narrow(2, 1, k):totable(), i:totable())
      end
    end
    fails("k = 3 is more than the 2 places of dimension 1", crun.topk, crun.ones(2), 3)
  end)

  it("searchsorted finds places", function()
    local s = crun.tensor { 1, 3, 3, 5 }
    assert.same({ 1, 2, 4, 5 }, s:searchsorted(crun.tensor { 1, 2, 4, 9 }):totable())
    assert.same({ 2, 4, 5 }, s:searchsorted(crun.tensor { 1, 3, nan }, { side = "right" }):totable())
    fails("sorted must be rising, but number 2 is less than the one before", crun.searchsorted, crun.tensor { 2, 1 },
      crun.tensor { 1 })
  end)

  it("unique tells values, which is which, and how many", function()
    local v, inverse, count = crun.int { { 7, -2 }, { 7, 0 } }:unique()
    assert.same({ -2, 0, 7 }, v:totable())
    assert.same({ { 3, 1 }, { 3, 2 } }, inverse:totable())
    assert.same({ 1, 1, 2 }, count:totable())
    assert.same({ 2 }, (crun.tensor { nan, 1, nan }:unique()):shape())
  end)
end)

it("gives the same bits with any number of threads", function()
  local function all()
    local rng = crun.rng(5, "threads")
    local x = crun.randn(rng, 300, 200):requires_grad_()
    local i = crun.randint(rng, 300, 5000)
    local y = x:index_select(i, 1) * crun.randn(rng, 5000, 200)
    y:sum():backward()
    local v, n = x:detach():sort(1)
    return x:grad():totable(), v:totable(), n:totable()
  end
  local before = crun.threads()
  crun.threads(1)
  local one = { all() }
  crun.threads(3)
  local three = { all() }
  crun.threads(before)
  assert.same(one, three)
end)
