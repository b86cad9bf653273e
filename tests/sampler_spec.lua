local crun = require "crun"
local sampler = crun.sampler

local function epoch(s)
  local batches = {}
  for rows in s do batches[#batches + 1] = rows:totable() end
  return batches
end

local function refused(opts)
  local ok, text = pcall(sampler.pk, opts)
  assert.is_false(ok)
  return (text:gsub("^[^:]*:%d+: ", ""))
end

-- 10 classes, class c of c + 3 rows, in turns
local labels, class_of = {}, {}
for c = 1, 10 do for _ = 1, c + 3 do labels[#labels + 1] = c end end
crun.rng(1):shuffle(labels)
for i, c in ipairs(labels) do class_of[i] = c end
labels = crun.int(labels)

describe("sampler.pk", function()
  it("gives p classes of k different rows, every class once an epoch", function()
    local s = sampler.pk { labels = labels, p = 3, k = 4 }
    assert.equal(4, #s)
    local visits = {}
    for _, rows in ipairs(epoch(s)) do
      assert.equal(12, #rows)
      local classes, seen = {}, {}
      for i, row in ipairs(rows) do
        assert.is_nil(seen[row])
        seen[row] = true
        assert.equal(class_of[rows[i - (i - 1) % 4]], class_of[row])
        if i % 4 == 1 then
          assert.is_nil(classes[class_of[row]])
          classes[class_of[row]] = true
          visits[class_of[row]] = (visits[class_of[row]] or 0) + 1
        end
      end
    end
    local twice = 0
    for c = 1, 10 do
      assert.is_true(visits[c] == 1 or visits[c] == 2)
      twice = twice + visits[c] - 1
    end
    assert.equal(2, twice)                     -- 4 batches of 3 for 10 classes
  end)
  it("comes round to every row when there are many batches", function()
    local counts = {}
    for _, rows in ipairs(epoch(sampler.pk { labels = labels, p = 5, k = 4, batches = 40 })) do
      for _, row in ipairs(rows) do counts[row] = (counts[row] or 0) + 1 end
    end
    -- a class of n rows was shown 20 times: 80 / n a row
    for row, c in ipairs(class_of) do
      assert.is_true(math.abs(counts[row] - 80 / (c + 3)) <= 1, "row " .. row)
    end
  end)
  it("is a function of seed and epoch", function()
    local function make(seed, at)
      return sampler.pk { labels = labels, p = 4, k = 3, seed = seed, epoch = at }
    end
    local s = make(1)
    local first, second = epoch(s), epoch(s)
    assert.same(first, epoch(make(1)))
    assert.same(second, epoch(make(1, 2)))
    assert.are_not.same(first, second)
    assert.are_not.same(first, epoch(make(2)))
  end)
  it("goes on where its state was taken, or a loop was left", function()
    local function make() return sampler.pk { labels = labels, p = 2, k = 2, seed = 9 } end
    local whole, a, b = epoch(make()), make(), make()
    for _, n in a do if n == 3 then break end end
    assert.same({ epoch = 1, batch = 3 }, a:state())
    b:load(a:state())
    local rest = table.move(whole, 4, #whole, 1, {})
    assert.same(rest, epoch(a))
    assert.same(rest, epoch(b))
    assert.same({ epoch = 2, batch = 0 }, b:state())
    assert.same(whole, epoch(b:start(1)))
  end)
  it("says which classes are short, and does what it is told with them", function()
    local few = crun.int { 1, 1, 1, 1, 2, 2, 2, 2, 7, 7, 9 }
    assert.equal("sampler.pk: 2 classes have fewer than k = 4 rows (class 7 has 2, class 9 has 1); " ..
      "use a smaller k, or short = \"repeat\" or \"drop\"", refused { labels = few, p = 2, k = 4 })
    assert.equal("sampler.pk: class 9 has one row, which has no other to be pulled to; use short = \"drop\"",
      refused { labels = few, p = 2, k = 4, short = "repeat" })
    local s = sampler.pk { labels = few, p = 2, k = 4, short = "drop" }
    assert.same({ 7, 9 }, s.dropped)
    assert.equal(2, s.classes)
    assert.equal("sampler.pk: p = 3 classes a batch need as many classes, got 2 (after dropping 2 with fewer than 4 rows)",
      refused { labels = few, p = 3, k = 4, short = "drop" })
  end)
  it("repeats the rows of a short class evenly", function()
    local s = sampler.pk { labels = crun.int { 1, 1, 1, 1, 2, 2 }, p = 2, k = 4, short = "repeat" }
    local counts = {}
    for _, row in ipairs(s():totable()) do counts[row] = (counts[row] or 0) + 1 end
    assert.same({ 1, 1, 1, 1, 2, 2 }, counts)
  end)
  it("refuses labels that are none", function()
    assert.truthy(refused { labels = crun.zeros(3), p = 2,
      k = 2 }:find("labels must be an int64 tensor [n]", 1, true))
  end)
end)

describe("plain samplers", function()
  it("visit every row once", function()
    for _, kind in ipairs { "shuffled", "sequential" } do
      local rows = {}
      for _, batch in ipairs(epoch(sampler[kind] { n = 10, batch = 4 })) do
        table.move(batch, 1, #batch, #rows + 1, rows)
      end
      if kind == "sequential" then assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, rows) end
      table.sort(rows)
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, rows)
    end
    assert.equal(2, #epoch(sampler.shuffled { n = 10, batch = 4, drop_last = true }))
  end)
  it("may be closed", function()
    local s <close> = sampler.shuffled { n = 3, batch = 2 }
    assert.equal(2, s():numel())
  end)
end)
