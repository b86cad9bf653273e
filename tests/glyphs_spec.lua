-- data.glyphs: characters of invented alphabets, the same however drawn.
local crun = require "crun"
local glyphs = crun.data.glyphs
local dials = { "shape", "place", "order", "weight" }

local function equal(a, b) return crun.allclose(a:real(), b:real(), 0, 0) end

local function all(value, more)
  local o = {}
  for _, dial in ipairs(dials) do o[dial] = value end
  for key, v in pairs(more or {}) do o[key] = v end
  return o
end

describe("data.glyphs", function()
  it("gives pictures, characters, alphabets, and the points of the pen", function()
    local images, labels, alphabets, points, lengths = glyphs { alphabets = 2, characters = 3,
      writers = 4, size = 24, steps = 30 }
    assert.same({ 24, 1, 24, 24 }, images:shape())
    assert.same({ 24, 30, 3 }, points:shape())
    assert.same({ 1, 1, 1, 1, 2 }, labels:narrow(1, 1, 5):totable())
    assert.equal(6, labels:amax():item())
    assert.same({ 1, 2 }, { alphabets[12], alphabets[13] })
    for i, n in ipairs(lengths:totable()) do
      assert.is_true(n >= 2 and n <= 30)
      assert.equal(1, points[i][1][3])
      assert.is_true(points[i]:narrow(1, 1, n):narrow(2, 3, 1):sum():item() <= 6)
      assert.is_true(images[i]:real():amax():item() > 100)
    end
  end)

  it("writes the same again, with any number of threads, and alone as among others", function()
    local o = { alphabets = 3, characters = 4, writers = 3, seed = 5 }
    local before = crun.threads()
    crun.threads(1)
    local one, _, _, points = glyphs(o)
    crun.threads(2)
    local two = glyphs(o)
    crun.threads(before)
    assert.is_true(equal(one, two))
    local third, labels, _, own = glyphs { alphabets = 1, first = 3, characters = 4, writers = 1,
      first_writer = 2, seed = 5 }
    for character = 1, 4 do
      local row = 24 + 3 * (character - 1) + 2
      assert.is_true(equal(one[row], third[character]))
      assert.is_true(equal(points[row], own[character]))
      assert.equal(8 + character, labels[character])
    end
  end)

  it("keeps to the model with every dial at 0, and characters apart", function()
    local x = glyphs(all(0, { alphabets = 1, characters = 6, writers = 3 }))
    for character = 0, 5 do assert.is_true(equal(x[3 * character + 1], x[3 * character + 3])) end
    for character = 1, 5 do assert.is_false(equal(x[1], x[3 * character + 1])) end
  end)

  for _, dial in ipairs(dials) do
    it("has a dial for " .. dial .. " that works alone", function()
      local o = { alphabets = 2, characters = 10, writers = 3 }
      local still, _, _, still_points = glyphs(all(0, o))
      o[dial] = 2
      local moved, _, _, points = glyphs(all(0, o))
      assert.is_false(equal(still, moved) and equal(still_points, points))
    end)
  end

  it("refuses what cannot be", function()
    assert.has_error(function() glyphs { size = 4 } end)
    assert.has_error(function() glyphs { alphabets = 1e6, characters = 1e6, writers = 1e6 } end)
  end)
end)
