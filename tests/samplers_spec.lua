-- Samplers of classes by weight, of classes within groups, of given triplets and of views.
local crun = require "crun"
local sampler = crun.sampler

local function epoch(s)
  local batches = {}
  for rows in s do batches[#batches + 1] = rows:totable() end
  return batches
end

local function refused(f, opts, text)
  local ok, message = pcall(f, opts)
  assert.is_false(ok)
  assert.truthy(tostring(message):find(text, 1, true), tostring(message))
end

-- 12 classes in 4 groups of 2, 3, 3 and 4 classes; class c has 4 or 5 rows
local labels, groups, class_of, group_of = {}, {}, {}, {}
local home = { 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4 }
for c = 1, 12 do
  for _ = 1, 4 + c % 2 do labels[#labels + 1] = c * 10 end
end
crun.rng(1):shuffle(labels)
for i, c in ipairs(labels) do
  groups[i] = home[c // 10]
  class_of[i], group_of[i] = c, groups[i]
end
labels, groups = crun.int(labels), crun.int(groups)

-- every sampler is a pure function of seed and epoch, and goes on where its state says
local function resumes(make)
  local s, again = make(), make()
  local first, second = epoch(s), epoch(s)
  assert.same(first, epoch(again))
  assert.not_same(first, second)
  local half = make():load { epoch = 2, batch = 1 }
  local rest = epoch(half)
  assert.same({ table.unpack(second, 2) }, rest)
  assert.same({ epoch = 3, batch = 0 }, half:state())
end

local function check_batch(rows, p, k)
  local classes, seen, count = {}, {}, 0
  assert.equal(p * k, #rows)
  for i, row in ipairs(rows) do
    assert.is_nil(seen[row])
    seen[row] = true
    assert.equal(class_of[rows[i - (i - 1) % k]], class_of[row])
    if not classes[class_of[row]] then count = count + 1 end
    classes[class_of[row]] = true
  end
  assert.equal(p, count)
  return classes
end

describe("sampler.class_weighted", function()
  local function make(weights, batches)
    return sampler.class_weighted { labels = labels, p = 3, k = 2, weights = weights, batches = batches, seed = 3 }
  end

  it("draws different classes, in proportion to their weights", function()
    local weights = {}
    for c = 1, 12 do weights[c * 10] = c <= 6 and 1 or 0.25 end
    local visits = { 0, 0 }
    for _, rows in ipairs(epoch(make(weights, 2000))) do
      for c in pairs(check_batch(rows, 3, 2)) do
        local side = c <= 60 and 1 or 2
        visits[side] = visits[side] + 1
      end
    end
    -- the first of three draws alone would give 4 : 1
    local ratio = visits[1] / visits[2]
    assert.is_true(ratio > 2.9 and ratio < 4)
  end)

  it("never draws a class of weight 0, and takes a function", function()
    for _, rows in ipairs(epoch(make(function(label, n) return label <= 40 and n or 0 end, 50))) do
      for c in pairs(check_batch(rows, 3, 2)) do assert.is_true(c <= 40) end
    end
  end)

  it("is a function of seed and epoch", function() resumes(make) end)

  it("refuses weights that will not do", function()
    refused(make, { [10] = -1 }, "sampler.class_weighted: the weight of class 10 must be a number, 0 or more, got -1")
    refused(make, function(label) return label <= 20 and 1 or 0 end,
      "p = 3 classes a batch need as many classes with a weight above 0, got 2")
    refused(make, "inverse", "weights must be a table label -> weight or a function")
  end)
end)

describe("sampler.hierarchical", function()
  local function make(more)
    local opts = { labels = labels, groups = groups, g = 2, p = 2, k = 3 }
    for key, value in pairs(more or {}) do opts[key] = value end
    return sampler.hierarchical(opts)
  end
  local function groups_in(rows)
    local n, seen = 0, {}
    for _, row in ipairs(rows) do
      if not seen[group_of[row]] then n = n + 1 end
      seen[group_of[row]] = (seen[group_of[row]] or 0) + 1
    end
    return n, seen
  end

  it("stays with its groups for some batches", function()
    local s = make()
    assert.equal(8, #s)
    local batches = epoch(s)
    for b, rows in ipairs(batches) do
      check_batch(rows, 4, 3)
      local n, seen = groups_in(rows)
      assert.equal(2, n)
      for _, count in pairs(seen) do assert.equal(6, count) end
      if b % 4 ~= 1 then
        local _, before = groups_in(batches[b - 1])
        assert.same(before, seen)
      end
    end
  end)

  it("meets every group as often, as sampler.categories does, which changes groups each time", function()
    local s = sampler.categories { labels = labels, groups = groups, g = 2, p = 2, k = 3, batches = 20 }
    local visits = { 0, 0, 0, 0 }
    for _, rows in ipairs(epoch(s)) do
      for g in pairs(select(2, groups_in(rows))) do visits[g] = visits[g] + 1 end
    end
    assert.same({ 10, 10, 10, 10 }, visits)
    local weighed = sampler.categories { labels = labels, groups = groups, g = 1, p = 2, k = 3, batches = 600,
      weigh = true }
    visits = { 0, 0, 0, 0 }
    for _, rows in ipairs(epoch(weighed)) do
      for g in pairs(select(2, groups_in(rows))) do visits[g] = visits[g] + 1 end
    end
    assert.is_true(visits[4] > 1.4 * visits[1])                -- 4 classes against 2
  end)

  it("is a function of seed and epoch", function() resumes(make) end)

  it("refuses groups that will not do, or drops them", function()
    refused(make, { p = 3 }, "sampler.hierarchical: group 1 has 2 classes, fewer than p = 3")
    assert.equal(3, make { p = 3, short = "drop" }.groups)
    refused(make, { g = 5 }, "g = 5 groups a batch need as many groups, got 4")
    refused(make, { groups = labels:narrow(1, 1, 5) }, "groups must have an entry for each of the 54 labels, got 5")
    refused(make, { groups = crun.arange(1, #labels) }, "lies in two groups")
  end)
end)

describe("sampler.triplets", function()
  it("gives each triplet once an epoch", function()
    local given = crun.int { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 }, { 1, 5, 9 }, { 2, 6, 7 } }
    local s = sampler.triplets { triplets = given, batch = 2 }
    assert.equal(3, #s)
    local seen = {}
    for _, rows in ipairs(epoch(s)) do
      for i = 1, #rows, 3 do seen[#seen + 1] = table.concat({ rows[i], rows[i + 1], rows[i + 2] }, " ") end
    end
    table.sort(seen)
    assert.same({ "1 2 3", "1 5 9", "2 6 7", "4 5 6", "7 8 9" }, seen)
    assert.equal(2, #sampler.triplets { triplets = given, batch = 2, drop_last = true })
  end)

  it("draws them from labels, once and for all", function()
    local function make() return sampler.triplets { labels = labels, number = 40, batch = 8, seed = 5 } end
    local s = make()
    assert.same(make().triplets:totable(), s.triplets:totable())
    for _, t in ipairs(s.triplets:totable()) do
      assert.equal(class_of[t[1]], class_of[t[2]])
      assert.not_equal(t[1], t[2])
      assert.not_equal(class_of[t[1]], class_of[t[3]])
    end
    resumes(make)
  end)

  it("tells a loss which rows are which", function()
    local tuples = sampler.tuples(crun.int { 5, 6, 7, 1, 2, 3 })
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } },
      { tuples[1]:totable(), tuples[2]:totable(), tuples[3]:totable() })
  end)

  it("refuses what is neither", function()
    local text = "sampler.triplets: takes triplets, or labels and the number of triplets to draw from them"
    refused(sampler.triplets, { batch = 2 }, text)
    refused(sampler.triplets, { batch = 2, labels = labels }, text)
    refused(sampler.triplets, { batch = 2, triplets = labels }, "triplets must be an int64 tensor [T, 3], got int64 [54]")
    refused(sampler.triplets, { batch = 2, labels = crun.int { 1, 2, 3 }, number = 4 },
      "a triplet needs a class of two rows or more and another class")
  end)
end)

describe("sampler.views", function()
  it("gives every row twice", function()
    local s, seen = sampler.views { n = 10, batch = 3 }, {}
    assert.equal(3, #s)
    for _, rows in ipairs(epoch(s)) do
      assert.equal(6, #rows)
      for i = 1, 3 do
        assert.equal(rows[i], rows[i + 3])
        assert.is_nil(seen[rows[i]])
        seen[rows[i]] = true
      end
    end
    assert.equal(9, #epoch(sampler.views { n = 10, batch = 3, views = 3 })[1])
    resumes(function() return sampler.views { n = 10, batch = 3 } end)
  end)
end)
